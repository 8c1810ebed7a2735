#pragma once
// ModelLog: one partition of __consumer_offsets on a few brokers, as replication keeps it, without
// brokers: a replicated log with leader epochs, a high watermark and an in-sync set, whose leaders
// fail, move and come back. What is above the high watermark when a leader goes may stay or be cut
// away; what is below never changes, which is checked.
//
//   a broker that is      it
//   dead                  has forgotten its role; its log is there, its high watermark may be older
//   cut off               hears of no other broker and of no change, and so may go on as a leader
//   of
//                         an epoch that is over; clients reach it
//   paused                does nothing, and knows what it knew before
//
// Each broker has a ReplicaManager in front of its replica, which the coordinator's own code uses.
// Parts of the cluster that are not modelled do not exist: nobody may call them.
//
// Thread rule: one thread, as all of the simulator.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/testing/pausable_loop.h"
#include "broker/replica/replica_manager.h"

namespace sluice::broker::testing {

struct ModelBatch {
  Offset base;
  Offset end;
  LeaderEpoch epoch;
  std::string bytes;
};
using ModelBatchPtr = std::shared_ptr<const ModelBatch>;

struct ModelLogOptions {
  PartitionKey key;
  std::vector<NodeId> nodes;
  int64_t network_ms_max = 2;
  int64_t session_ms = 600;  // a broker that is silent for so long is taken for dead
  size_t in_sync_min = 2;    // nothing is appended or committed with fewer
  // In thousands: an append is refused, a read fails, though the replica is in order.
  uint64_t refusals = 0;
  uint64_t bad_reads = 0;
};

class ModelLog {
 public:
  struct Listener {
    std::function<void(const ModelBatchPtr& batch)> on_committed;  // in the log's order
    std::function<void(NodeId id)> on_change;                      // as PartitionObserver
    std::function<void(NodeId id)> on_metadata;                    // the broker has the newest
    std::function<void(NodeId id)> on_contact;                     // its lease begins anew
  };

  ModelLog(::sluice::testing::SimScheduler& scheduler, Random random, ModelLogOptions options,
           Listener listener);
  ~ModelLog();

  // --- Faults. A broker is dead until it is started ---
  void Start(NodeId id);
  void Kill(NodeId id);
  void SetCut(NodeId id, bool cut);
  void SetPaused(NodeId id, bool paused);
  // Another leader, if that one may be one; the old one is told as everybody is.
  bool Move(NodeId to);
  // Something else in the metadata has changed: every broker is told.
  void SpreadMetadata();
  void set_random_faults(bool on) { random_faults_ = on; }

  // --- What is so ---
  NodeId leader() const { return leader_; }
  LeaderEpoch epoch() const { return epoch_; }
  size_t in_sync() const { return in_sync_.size(); }
  // The leader leads, every live broker follows it and has all, and all of that is committed.
  bool Settled() const;
  // As this broker believes.
  NodeId LeaderKnownTo(NodeId id) const;
  const std::vector<ModelBatchPtr>& committed() const { return committed_; }
  Offset committed_end() const { return committed_.empty() ? Offset(0) : committed_.back()->end; }
  ReplicaManager& replicas(NodeId id);
  std::string Describe() const;

 private:
  class Replicas;
  struct Waiting {
    Offset base;
    Offset end;
    int64_t deadline_ms;
    std::function<void(std::vector<ProduceEntryResult>)> done;
  };
  struct Replica {
    // On its disk.
    std::vector<ModelBatchPtr> batches;
    Offset high_watermark{0};
    // Its process.
    std::unique_ptr<::sluice::testing::PausableLoop> loop;  // null: dead
    bool cut = false;
    bool knows_role = false;
    bool leads = false;
    NodeId leader = kNoNode;
    LeaderEpoch epoch = kNoEpoch;
    Offset epoch_start{0};
    std::set<NodeId> in_sync;                // a leader's
    std::map<NodeId, Offset> follower_ends;  // the same
    std::deque<Waiting> waiting;             // the same
    uint64_t fetch = 0;                      // a follower's last; answers to others are void
    bool fetching = false;
    bool told = false;
    Offset lowest_end{INT64_MAX};
    // As the controller sees it.
    bool fenced = true;
    int64_t contact_ms = 0;

    Offset end() const { return batches.empty() ? Offset(0) : batches.back()->end; }
    bool running() const { return loop != nullptr && !loop->paused(); }
  };

  Replica& At(NodeId id) { return replicas_.at(id); }
  const Replica& At(NodeId id) const { return replicas_.at(id); }
  int64_t Delay() { return random_.Between(0, options_.network_ms_max); }
  int64_t NowMs() { return scheduler_.clock().SteadyMs(); }
  bool Linked(NodeId a, NodeId b) const;
  // When the broker gets to it; never, if it dies before.
  void On(NodeId id, int64_t delay_ms, std::function<void()> task);
  void Note(NodeId id);

  // --- Controller ---
  void Tick();
  bool Reachable(const Replica& replica) const { return replica.running() && !replica.cut; }
  void Fence(NodeId id);
  void Elect();
  void SetLeader(NodeId id);
  void ShrinkInSync();
  void TakeRole(NodeId id);

  // --- Replicas ---
  void Kick(NodeId follower);
  void KickAll();
  void Serve(NodeId follower, uint64_t fetch);
  struct Served {
    uint64_t fetch;
    size_t common;  // the batches that both have
    std::vector<ModelBatchPtr> batches;
    Offset high_watermark;
  };
  void TakeServed(NodeId follower, const Served& served);
  void Cut(Replica& replica, size_t batches);
  void AdvanceHighWatermark(NodeId leader);
  void NoteCommitted(const Replica& leader);
  void Acknowledge(NodeId leader);
  void FailWaiting(NodeId id, kafka::ErrorCode error);
  void ExpireWaiting(NodeId id);

  // --- As ReplicaManager has them ---
  void Produce(NodeId id, ProduceRequestParams params,
               std::function<void(std::vector<ProduceEntryResult>)> done);
  kafka::ErrorCode CheckAppend(const Replica& replica, const ProduceEntry& entry);
  std::optional<LocalState> TakeLocalState(NodeId id);
  LocalRead ReadLocal(NodeId id, Offset from);

  ::sluice::testing::SimScheduler& scheduler_;
  Random random_;
  const ModelLogOptions options_;
  const Listener listener_;
  ::sluice::testing::SimEventLoop world_;  // the controller's and the network's
  std::map<NodeId, Replica> replicas_;
  std::map<NodeId, std::unique_ptr<Replicas>> managers_;
  NodeId leader_ = kNoNode;
  LeaderEpoch epoch_{0};
  std::set<NodeId> in_sync_;
  std::vector<ModelBatchPtr> committed_;
  bool random_faults_ = true;
};

}  // namespace sluice::broker::testing
