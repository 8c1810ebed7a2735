#pragma once
// SimCluster: a Raft cluster in one thread: real drivers and cores over simulated loops, disks and
// network, with the invariants checked after every event. Simulations and scenario tests drive it.
//
// Thread rule: one thread.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/testing/pausable_loop.h"
#include "base/testing/sim_event_loop.h"
#include "raft/driver.h"
#include "raft/testing/invariants.h"
#include "raft/testing/sim_log_store.h"
#include "raft/testing/sim_network.h"

namespace sluice::raft::testing {

struct SimClusterOptions {
  int voters = 3;
  int spares = 0;  // nodes with an empty log that may join
  RaftConfig config;
  SimNetworkOptions network;
  SimDiskLatency disk;
};

// The state is also a register: data like "w17..." writes 17, other data leaves it alone.
uint64_t ValueIn(std::string_view data, uint64_t otherwise);

// Keeps a running checksum and the data of what it applied; its snapshot is both.
class SimStateMachine final : public StateMachine {
 public:
  SimStateMachine(NodeId self, Invariants& invariants) : self_(self), invariants_(invariants) {}
  void Apply(const std::vector<Entry>& committed) override;
  std::string TakeSnapshot() override;
  void LoadSnapshot(const SnapshotMeta& meta, std::string_view data) override;
  void OnRoleChange(Role role, Term term, NodeId leader) override;
  void OnLeaderReady(Term term) override { ready_term = term; }

  uint32_t checksum = 0;  // of all data applied, in order
  uint64_t count = 0;     // of entries with data
  uint64_t value = 0;     // of the register that the data writes (ValueIn)
  LogIndex applied = kNoIndex;
  Role role = Role::kFollower;
  NodeId leader = kNoNode;
  Term ready_term;

 private:
  const NodeId self_;
  Invariants& invariants_;
};

class SimCluster {
 public:
  SimCluster(SimClusterOptions options, uint64_t seed);
  ~SimCluster();

  // ---- Faults
  void Crash(NodeId id);
  void Start(NodeId id);
  // Starts with an empty disk under the same node id: another disk id, so another voter.
  void StartWiped(NodeId id);
  // A node that is stopped, and no member, gets an empty disk of a new id.
  void Renew(NodeId id);
  // Some of what a node that is stopped has stored turns out to be damaged.
  void Rot(NodeId id) { nodes_.at(id)->disk.Rot(random_); }
  // The disk of a node that is stopped is lost, and formatted again under its former id.
  void FormatAgain(NodeId id);
  void Pause(NodeId id) { nodes_.at(id)->loop->Pause(); }
  void Resume(NodeId id);
  void FailDisk(NodeId id) { nodes_.at(id)->log->FailFromNowOn(); }
  // `id` can send and receive nothing.
  void Isolate(NodeId id);
  void HealNetwork() { network_.HealAll(); }
  void Cut(NodeId from, NodeId to) { network_.Cut(from, to); }
  void SetNetwork(const SimNetworkOptions& options) { network_.set_options(options); }
  // `peer` finds the address of `about` refused, be that node dead or not.
  void TellRefused(NodeId peer, NodeId about);
  void TellPeersRefused(NodeId about);
  void SetDiskLatency(SimDiskLatency latency);
  void SetDiskLatency(NodeId id, SimDiskLatency latency) {
    nodes_.at(id)->log->set_latency(latency);
  }

  // ---- Work. The callback may be empty.
  void Propose(NodeId id, std::string data, std::function<void(Result<LogIndex>)> done = {});
  void Read(NodeId id, std::function<void(Result<LogIndex>)> done = {});
  void TakeSnapshot(NodeId id) { driver(id).TakeSnapshot(); }
  // Most nodes refuse, and most changes are.
  void ChangeMember(NodeId id, const MemberChange& change);
  // Most nodes refuse: they do not lead.
  void Transfer(NodeId id, NodeId target) {
    const Status ignored = driver(id).TransferLeadership(target);
  }

  // ---- Time. Each stops early at a breach of an invariant.
  void RunForMs(int64_t ms);
  bool RunUntil(const std::function<bool()>& done, int64_t limit_ms);

  // ---- What is known
  const std::vector<NodeId>& ids() const { return ids_; }
  const VoterId& voter(NodeId id) const { return nodes_.at(id)->voter; }
  // One of the first voters, with the disk of the first day.
  bool planned(NodeId id) const { return first_members_.HasVoter(voter(id)); }
  size_t planned_voters() const { return first_members_.voters.size(); }
  // Whether it is a member as far as the leader knows; asked of who runs. Without a leader: yes.
  bool takes_part(NodeId id) const;
  uint64_t member_changes() const { return member_changes_; }
  // Waits for entries that it has lost, as its disk says.
  bool damaged(NodeId id) const { return nodes_.at(id)->disk.LacksSomething(); }
  // Has not voted, and holds nothing but the bootstrap entry.
  bool as_formatted(NodeId id) const { return nodes_.at(id)->disk.AsFormatted(); }
  bool running(NodeId id) const { return nodes_.at(id)->driver != nullptr; }
  bool paused(NodeId id) const { return running(id) && nodes_.at(id)->loop->paused(); }
  Driver& driver(NodeId id) { return *nodes_.at(id)->driver; }
  const Core& core(NodeId id) const { return nodes_.at(id)->driver->core(); }
  LogIndex applied(NodeId id) const { return nodes_.at(id)->state_machine->applied; }
  uint32_t checksum(NodeId id) const { return nodes_.at(id)->state_machine->checksum; }
  SimStateMachine& state_machine(NodeId id) { return *nodes_.at(id)->state_machine; }
  uint64_t value(NodeId id) const { return nodes_.at(id)->state_machine->value; }
  // Proposals and reads of the node's present incarnation that have had no answer yet.
  size_t unanswered(NodeId id) const { return nodes_.at(id)->unanswered; }
  SimDisk& disk(NodeId id) { return nodes_.at(id)->disk; }
  // The leader of the highest term that has one, or kNoNode.
  NodeId leader() const;
  // A leader that may serve is there, and every running member follows it.
  bool settled() const;
  SimNetwork& network() { return network_; }
  Invariants& invariants() { return invariants_; }
  int64_t now_ms() { return scheduler_.clock().SteadyMs(); }
  // Tasks that have run.
  uint64_t steps() const { return steps_; }
  // Of everything that was sent and applied, with its time.
  uint64_t trace_hash() const { return trace_hash_; }
  // When set, every message is kept here in words.
  void set_trace(std::vector<std::string>* trace) { trace_ = trace; }

 private:
  struct Node : Transport {
    void Send(NodeId to, Message message) override;
    void SetPeers(const std::vector<Member>& members) override { peers = members; }
    SimCluster* cluster = nullptr;
    std::vector<Member> peers;
    VoterId voter;
    SimDisk disk;
    std::optional<SimDisk> former;  // the first one, when another took its place
    std::unique_ptr<sluice::testing::PausableLoop> loop;
    std::unique_ptr<SimLogStore> log;
    std::unique_ptr<SimStateMachine> state_machine;
    std::unique_ptr<Driver> driver;
    size_t unanswered = 0;
    int renewals = 0;
  };
  bool Step();
  void CheckNode(NodeId id);
  void Trace(const std::string& line);

  const SimClusterOptions options_;
  Membership first_members_;
  Entry bootstrap_;
  Random random_;
  sluice::testing::SimScheduler scheduler_;
  SimNetwork network_;
  Invariants invariants_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<NodeId> ids_;
  SimDiskLatency disk_latency_;
  uint64_t member_changes_ = 0;  // that were committed
  uint64_t steps_ = 0;
  uint64_t trace_hash_ = 14695981039346656037ULL;
  std::vector<std::string>* trace_ = nullptr;
};

}  // namespace sluice::raft::testing
