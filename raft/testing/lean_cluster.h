#pragma once
// LeanCluster: SimCluster for many schedules. Cores, disks and a network as there, but no Driver,
// no loops and no closures between them: each event is handed to its core and what the core answers
// is carried out at once, as raft::Driver does. The invariants are checked where the event struck,
// those that it may have touched, and all of them over all nodes each thousand steps. What it gives
// up is the driver: SimCluster runs that.
//
// A step is one event delivered to a core: a message, the end of a write, a refused connection, a
// proposal, read or transfer that it took, a snapshot, a part of one that was read, or a timer that
// made it do something.
//
// Thread rule: one thread.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/testing/sim_event_loop.h"
#include "raft/core.h"
#include "raft/testing/event_queue.h"
#include "raft/testing/invariants.h"
#include "raft/testing/json_trace.h"
#include "raft/testing/sim_cluster.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {

class LeanCluster {
 public:
  LeanCluster(SimClusterOptions options, uint64_t seed);

  // ---- Faults and work, each as in SimCluster
  void Start(NodeId id);
  void Crash(NodeId id);
  void Pause(NodeId id);
  void Resume(NodeId id);
  void Isolate(NodeId id);
  void Cut(NodeId from, NodeId to) { cut_[Link(from, to)] = true; }
  void HealNetwork() { cut_.assign(cut_.size(), false); }
  void SetNetwork(const SimNetworkOptions& network) { options_.network = network; }
  void SetDiskLatency(SimDiskLatency latency);
  void SetDiskLatency(NodeId id, SimDiskLatency latency) { At(id).latency = latency; }
  void FailDisk(NodeId id) { At(id).disk_fails = true; }
  void StartWiped(NodeId id);
  void Rot(NodeId id) { At(id).disk.Rot(random_); }
  void FormatAgain(NodeId id);
  void Renew(NodeId id);
  void TellRefused(NodeId peer, NodeId about);
  void TellPeersRefused(NodeId about);
  void Propose(NodeId id, std::string data, std::function<void(Result<LogIndex>)> done = {});
  void Read(NodeId id, std::function<void(Result<LogIndex>)> done = {});
  void TakeSnapshot(NodeId id);
  void Transfer(NodeId id, NodeId target);
  void ChangeMember(NodeId id, const MemberChange& change);

  // ---- Time. Each stops early at a breach of an invariant.
  void RunForMs(int64_t ms);
  bool RunUntil(const std::function<bool()>& done, int64_t limit_ms);

  // ---- What is known
  const std::vector<NodeId>& ids() const { return ids_; }
  const VoterId& voter(NodeId id) const { return At(id).voter; }
  // One of the first voters, with the disk of the first day.
  bool planned(NodeId id) const { return first_members_.HasVoter(voter(id)); }
  size_t planned_voters() const { return first_members_.voters.size(); }
  bool takes_part(NodeId id) const;  // while it runs
  uint64_t member_changes() const { return member_changes_; }
  bool running(NodeId id) const { return At(id).core != nullptr; }
  bool damaged(NodeId id) const { return At(id).disk.LacksSomething(); }
  // Has not voted, and holds nothing but the bootstrap entry.
  bool as_formatted(NodeId id) const { return At(id).disk.AsFormatted(); }
  bool paused(NodeId id) const { return running(id) && At(id).paused; }
  const Core& core(NodeId id) const { return *At(id).core; }
  LogIndex applied(NodeId id) const { return At(id).applied; }
  uint32_t checksum(NodeId id) const { return At(id).checksum; }
  uint64_t value(NodeId id) const { return At(id).value; }
  size_t unanswered(NodeId id) const;
  NodeId leader() const;
  bool settled() const;
  Invariants& invariants() { return invariants_; }
  int64_t now_ms() const { return now_ms_; }
  uint64_t steps() const { return steps_; }
  // Of every event, in order.
  uint64_t trace_hash() const { return hash_; }
  // Before the first Start. nullptr: none.
  void set_trace(JsonTrace* trace) { trace_ = trace; }

 private:
  struct Proposal {
    LogIndex index;
    Term term;
    std::string data;
    std::function<void(Result<LogIndex>)> done;
  };
  // What was last compared of a node's log with its disk.
  struct Compared {
    LogIndex durable = kNoIndex;
    LogIndex first{-1};
    friend bool operator==(const Compared&, const Compared&) = default;
  };
  struct PendingRead {
    uint64_t id = 0;
    LogIndex floor;
    std::optional<LogIndex> index;  // once it is confirmed
    std::function<void(Result<LogIndex>)> done;
  };
  struct DiskRead {
    uint64_t after = 0;  // the write that was issued last
    SnapshotRead part;
    uint64_t load_received = 0;  // this instead, unless it is 0
  };
  struct Node {
    VoterId voter;
    SimDisk disk;
    std::optional<SimDisk> former;  // the first one, when another took its place
    SimDiskLatency latency;
    bool disk_fails = false;  // from now on
    uint32_t incarnation = 0;
    std::unique_ptr<SimLogStore> store;  // only read
    std::unique_ptr<Core> core;
    std::deque<std::pair<uint64_t, PersistRequest>> writes;
    size_t writing = 0;                             // the first so many
    std::deque<std::pair<uint64_t, Message>> held;  // by the write they wait for
    // The disk is asked for these, once what was issued before is done.
    std::deque<DiskRead> disk_reads;
    std::deque<Event> backlog;  // came while it stood still
    bool paused = false;
    int64_t timer_at_ms = -1;  // -1: none is set
    uint64_t persisted_id = 0;
    uint64_t issued_id = 0;
    uint64_t snapshot_persist_id = 0;
    bool snapshot_wanted = false;
    uint64_t bytes_since_snapshot = 0;
    LogIndex applied = kNoIndex;
    uint32_t checksum = 0;
    uint64_t count = 0;
    uint64_t value = 0;
    std::deque<Proposal> proposals;
    std::vector<PendingRead> reads;
    uint64_t next_read_id = 1;
    LogIndex last_before = kNoIndex;  // of its log, before the present inputs
    bool disk_changed = true;         // since the last comparison
    Compared compared;
  };

  static size_t Slot(NodeId id) { return static_cast<size_t>(id.value() - 1); }
  Node& At(NodeId id) { return nodes_[Slot(id)]; }
  const Node& At(NodeId id) const { return nodes_[Slot(id)]; }
  size_t Link(NodeId from, NodeId to) const { return Slot(from) * nodes_.size() + Slot(to); }
  bool Step();
  void PassTo(int64_t now_ms);
  void Settle();
  void Deliver(Node& node, const Event& event);
  void OnWritten(Node& node);
  void StartRead(Node& node, const DiskRead& read);
  void ScheduleRead(const Node& node, int64_t delay_ms);
  void OnRead(Node& node);
  void Stop(Node& node);
  void Input(Node& node);
  void Work(Node& node);
  void Execute(Node& node, Ready ready);
  void Persist(Node& node, Ready& ready);
  void StartWrite(Node& node);
  void ReleaseSends(Node& node);
  bool Strikes(uint64_t percent) { return percent > 0 && random_.Chance(percent, 100); }
  void Send(Node& node, Message& message);  // moves it away, or leaves it
  void Schedule(Message&& message);
  void Apply(Node& node);
  void LoadSnapshot(Node& node, const Snapshot& snapshot);
  void MaybeSnapshot(Node& node);
  void FinishReads(Node& node);
  void ArmTimer(Node& node);
  void Check(Node& node);
  void CheckDisk(Node& node);
  void CheckContact(Node& node);
  void CheckAll();
  void TraceMoves(const Node& node);
  void Hash(const Event& event);

  SimClusterOptions options_;
  Random random_;
  sluice::testing::SimScheduler scheduler_;         // only for the stores, which do not use it
  sluice::testing::SimEventLoop loop_{scheduler_};  // the same
  EventQueue queue_;
  Invariants invariants_;
  std::vector<Node> nodes_;
  std::vector<NodeId> ids_;
  std::vector<VoterDisk> disks_;  // those that promises were made on
  Membership first_members_;
  Entry bootstrap_;
  std::vector<bool> cut_;  // by Link
  // Has had inputs and has not worked yet: what comes in the same moment shares a Ready.
  Node* late_ = nullptr;
  int64_t now_ms_ = 0;
  uint64_t steps_ = 0;
  uint64_t member_changes_ = 0;  // that were begun
  uint64_t next_scan_ = 0;
  uint64_t hash_ = 14695981039346656037ULL;
  JsonTrace* trace_ = nullptr;
};

}  // namespace sluice::raft::testing
