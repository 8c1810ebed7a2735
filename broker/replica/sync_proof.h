#pragma once
// SyncProof: where topics went over to fsync, this broker may hold records of before that are
// acknowledged and in memory only. It has those logs flushed, some at a time, and then tells the
// controllers, with its heartbeats (BrokerState::synced_index), that they need not fear for them
// any more (docs/decisions/0019-durability-that-was.md). Owned by ReplicaManager.
//
// Invariant: once an index is told, everything that a leader counts, or has counted, for a replica
// here is on the disk, for all topics that were fsync at that index. For a walk begins when the
// partitions obey an image of then, and the fetchers of before are gone: what the replicas held at
// that moment the walk has flushed, and later fetches tell flushed offsets only. A log that failed
// tells nothing, and as long as it is not removed, or could be opened after all, nor does the walk.
//
// Thread rule: OnImage on the metadata loop, Stop from any thread, the rest on the replica loop.

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "broker/broker_state.h"
#include "broker/replica/partition.h"
#include "metadata/image.h"

namespace sluice::broker {

class SyncProof : public std::enable_shared_from_this<SyncProof> {
 public:
  using PartitionPtr = std::shared_ptr<Partition>;
  struct Surroundings {
    BrokerState* state = nullptr;  // neither is owned
    EventLoop* loop = nullptr;
    std::shared_ptr<const PartitionContext> context;
    std::function<std::vector<PartitionPtr>()> partitions;
    std::function<bool(const PartitionPtr&)> holds;  // it was not removed
  };
  explicit SyncProof(Surroundings surroundings) : around_(std::move(surroundings)) {}

  // The replicas have the image, and the fetchers have been told, or will have on their loop.
  void OnImage(const metadata::ImagePtr& image);
  void Stop() { stopped_ = true; }  // no flush is asked for any more

  static constexpr size_t kAtOnce = 128;  // flushes asked for
  static constexpr int64_t kRetryMs = 1000;

 private:
  void Begin(const metadata::ImagePtr& image);
  void Step();
  void Flush(const PartitionPtr& partition, PartitionEffects& effects);
  void OnFlushed(const PartitionPtr& partition);
  void EndRound();
  void LookAgainLater();

  const Surroundings around_;
  std::atomic<bool> stopped_ = false;
  LogIndex asked_{-1};  // metadata loop only

  // Of the walk under way; null: there is none.
  metadata::ImagePtr image_;
  metadata::ImagePtr next_;            // that came meanwhile
  std::vector<PartitionPtr> waiting_;  // to be flushed
  std::vector<PartitionPtr> failed_;   // to be looked at again
  size_t flushing_ = 0;
  LogIndex proven_{0};
  bool warned_ = false;
};

}  // namespace sluice::broker
