#pragma once
// Driver: runs one voter. It feeds the pure core (core.h) with messages, time and the outcomes of
// IO, and carries out what the core answers: persist, send, apply. It has no thread of its own;
// everything happens on the EventLoop it was given, so that the simulator can run many of them in
// one thread.
//
//   raft::Driver driver({.config = {}, .cluster_id = id, .self = me, .random =
//   Random::FromSystem()},
//                       {.loop = loop, .log = log, .transport = transport, .state_machine =
//                       machine});
//   loop.Post([&] { driver.Start(); });
//   driver.Propose("record", [](Result<LogIndex> committed) { ... });
//
// Not for: many groups in one process; each group wants its own loop and log.
//
// Thread rule: Step, PeerLost and Status may be called from any thread; all else, the destructor
// included, on the loop's thread (or after the loop has stopped). Callbacks run on the loop's
// thread.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/random.h"
#include "base/status.h"
#include "raft/config.h"
#include "raft/log_store.h"
#include "raft/metrics.h"
#include "raft/state_machine.h"
#include "raft/transport.h"
#include "raft/types.h"

namespace sluice::raft {

class Core;
struct Ready;
struct Refused;

struct DriverOptions {
  RaftConfig config;
  std::string cluster_id;
  VoterId self;
  Random random;
};

// What the driver works with; all of it outlives the driver.
struct DriverParts {
  EventLoop& loop;
  LogStore& log;
  Transport& transport;
  StateMachine& state_machine;
  EventLoop* background = nullptr;  // makes the bytes of snapshots; null: the loop does
};

struct PeerStatus {
  VoterId voter;
  std::string address;        // empty: as configured
  LogIndex match = kNoIndex;  // known durable there; meaningful on the leader only
  // Since it last answered this leader, or since that leads; -1 = this node does not lead.
  int64_t last_heard_ms = -1;
  // From the last heartbeat that it answered until the answer; -1: none, or not this leader's.
  int64_t round_trip_micros = -1;
  bool recovering = false;  // it waits for entries that its disk has lost, as it told this leader
};

struct DriverStatus {
  Role role = Role::kFollower;
  Term term;
  NodeId leader = kNoNode;
  // Neither votes nor stands: it waits for entries that its disk has lost.
  bool recovering = false;
  // Takes no part at all: it asks the others whether its disk is a new one (Core::inquiring).
  bool inquiring = false;
  std::string why_inquiring;  // what is missing still
  LogIndex first_index;       // of the log
  LogIndex last_index = kNoIndex;
  LogIndex commit = kNoIndex;
  LogIndex applied = kNoIndex;
  LogIndex snapshot_index = kNoIndex;
  bool leader_ready = false;       // leads, and has applied everything of earlier terms
  std::vector<PeerStatus> voters;  // this node included, if it is one
  std::vector<PeerStatus> learners;
  Metrics counts;              // of the core
  uint64_t reads_refused = 0;  // because too many wait
};

// Who takes part as of the end of a log that was opened. Servers ask first, to refuse a log of
// another cluster (kInvalidArgument; a driver aborts. A snapshot does not name its cluster, but its
// voters' disks tell as much). kNotFound: nobody, the log is that of a node that is yet to join.
Result<Membership> MembersOf(const LogStore& log, const std::string& cluster_id);

class Driver {
 public:
  using ProposeDone = std::function<void(Result<LogIndex>)>;
  using ReadDone = std::function<void(Result<LogIndex>)>;

  Driver(DriverOptions options, DriverParts parts);
  ~Driver();

  // Loads the snapshot, if any, into the state machine and begins to take part.
  void Start();

  // Appends `data` to the log of the cluster. `done` gets the index once it is committed and
  // applied here. Errors: kNotLeader and kResourceExhausted say that nothing was appended;
  // kUnavailable says that leadership was lost meanwhile and the outcome is unknown. An error may
  // be reported from inside the call.
  void Propose(std::string data, ProposeDone done);
  // Changes who takes part (Core::ChangeMember). `done` gets the index once the change is committed
  // and applied here; errors as of Propose and of Core::ChangeMember.
  void ChangeMember(const MemberChange& change, ProposeDone done);
  // The error that ChangeMember would give now; nothing changes.
  Status WhyRefuseChange(const MemberChange& change) const;
  // The index that the next Propose gets; on the leader only.
  LogIndex NextIndex() const;

  // A message from another voter.
  void Step(Message message);
  // The connection to `peer` broke. `refused`: its address answers, and refuses new ones, so the
  // process is gone.
  void PeerLost(NodeId peer, bool refused);

  // Linearizable read: `done` gets an index that covers every write acknowledged before the call,
  // once it is applied here and a majority has confirmed that this node leads. kNotLeader,
  // kUnavailable, or kResourceExhausted while too many wait, otherwise; it may then be tried again.
  void ReadIndex(ReadDone done);

  // Asks `target` to take over; kNoNode picks the voter that holds most of the log. Gives up after
  // transfer_timeout_ms. Proposals are refused (kUnavailable, nothing appended) meanwhile.
  Status TransferLeadership(NodeId target);

  // Takes a snapshot soon, apart from those that the intervals ask for, and drops the log before
  // the previous one.
  void TakeSnapshot();

  DriverStatus status() const;

  // A failed write to the log, or read of a snapshot, is terminal; this says which. The owner
  // decides how to stop. Called at most once.
  void set_on_failure(std::function<void(Status)> on_failure) {
    on_failure_ = std::move(on_failure);
  }

  // For tests.
  const Core& core() const { return *core_; }

 private:
  struct Proposal {
    Term term;
    ProposeDone done;
  };
  struct PendingRead {
    LogIndex index;
    ReadDone done;
  };

  void Await(const Result<LogIndex>& index, ProposeDone done);
  PeerStatus StatusOf(const Member& member) const;
  void OnInput();
  void Flush();
  void Execute(Ready ready);
  void StartPersist(Ready& ready);
  void OnPersisted(uint64_t persist_id, const Status& status);
  void StartSnapshotRead(const SnapshotRead& read);
  void OnSnapshotRead(const SnapshotRead& read, Result<SnapshotChunk> chunk);
  void StartLoadingReceived(uint64_t load);
  void Fail(const Status& status);
  void LogRefusals(const std::vector<Refused>& refused);
  void Send(std::vector<Message>& messages);
  void NoteRoundTrip(const Message& message);
  void ReleaseSends();
  void OnRoleChange();
  void ApplyCommitted();
  void FinishProposals();
  bool MayBeLost(LogIndex index, Term term) const;
  void FinishReads();
  void MaybeSnapshot();
  void StoreSnapshot();
  void ArmTimer();
  void TellOfInquiry();
  void PublishStatus();
  int64_t NowMs() const { return parts_.loop.clock().SteadyMs(); }

  const RaftConfig config_;
  const DriverParts parts_;
  const VoterId self_;
  std::unique_ptr<Core> core_;
  std::function<void(Status)> on_failure_;
  std::shared_ptr<bool> alive_;  // callbacks that outlive the driver find it false
  bool started_ = false;
  bool failed_ = false;
  bool flush_posted_ = false;
  EventLoop::TimerId timer_ = 0;
  int64_t timer_at_ms_ = 0;

  LogIndex applied_ = kNoIndex;
  Term leader_ready_term_;                  // the last term that OnLeaderReady was called for
  std::map<LogIndex, Proposal> proposals_;  // appended, not yet applied
  std::map<uint64_t, ReadDone> unconfirmed_reads_;  // by the core's id
  std::vector<PendingRead> confirmed_reads_;        // wait for applied_
  uint64_t next_read_id_ = 1;
  uint64_t reads_refused_ = 0;
  std::map<NodeId, int64_t> round_trips_micros_;  // of those that this leader has heard
  uint64_t last_persist_id_ = 0;                  // issued
  uint64_t last_persisted_id_ = 0;                // done
  uint64_t snapshot_persist_id_ = 0;  // of the snapshot taken last; the next waits for it
  std::deque<std::pair<uint64_t, std::vector<Message>>>
      held_sends_;  // by the persist they wait for
  bool snapshot_wanted_ = false;
  struct MadeSnapshot {
    LogIndex index;
    std::string state;
  };
  bool making_snapshot_ = false;  // begun, and not yet stored
  std::optional<MadeSnapshot> made_snapshot_;
  uint64_t bytes_since_snapshot_ = 0;
  int64_t last_snapshot_ms_ = 0;

  std::set<std::pair<NodeId, Refusal>> refusals_logged_;
  bool inquiring_ = false;
  int64_t tell_of_inquiry_at_ms_ = 0;

  mutable std::mutex status_mutex_;
  DriverStatus status_;  // guarded by status_mutex_
};

}  // namespace sluice::raft
