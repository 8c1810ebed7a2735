#pragma once
// ReplicaManagerImpl: ReplicaManager behind a shared_ptr, so that tasks still posted when it goes
// can tell. replica_manager.cc has its life and its timers, replica_manager_image.cc turns images
// into replicas and roles, replica_manager_requests.cc serves the API.
// replica_manager_disk.cc deals with disks that fail or fill up, replica_manager_moves.cc with
// moves between them.
//
// Thread rule: as ReplicaManager. OnImage runs on the metadata loop only; partitions_ is written
// there and by Stop.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "base/repeated_line.h"
#include "broker/replica/alter_partition_sender.h"
#include "broker/replica/directory_assigner.h"
#include "broker/replica/fetch_operation.h"
#include "broker/replica/fetcher_pool.h"
#include "broker/replica/list_offsets_operation.h"
#include "broker/replica/log_mover.h"
#include "broker/replica/move_rates.h"
#include "broker/replica/partition.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/sync_proof.h"

namespace sluice::broker {

class ReplicaManagerImpl : public std::enable_shared_from_this<ReplicaManagerImpl> {
 public:
  explicit ReplicaManagerImpl(ReplicaManagerOptions options);
  void Start();

  void Produce(ProduceRequestParams params, ProduceOperation::Done done);
  void Fetch(FetchRequestParams params, FetchOperation::Done done);
  void ListOffsets(std::vector<ListOffsetsEntry> entries, ParkedRequests* client,
                   ListOffsetsOperation::Done done);
  std::vector<EpochEndResult> OffsetsForLeaderEpoch(const std::vector<EpochEndEntry>& entries);
  void DeleteRecords(DeleteRecordsParams params, DeleteRecordsOperation::Done done);
  std::vector<kafka::ErrorCode> AlterLogDirs(const std::vector<AlterLogDirEntry>& entries);
  std::optional<LocalState> TakeLocalState(const PartitionKey& key);
  LocalRead ReadLocal(const PartitionKey& key, Offset from, size_t size_bytes_max);
  std::vector<PartitionStatus> Statuses() const;
  void KeepBrokerEpoch(BrokerEpoch epoch, std::function<void()> done);
  storage::CompactorStats CompactionStats() const;
  std::map<storage::TopicPartition, Offset> Stop();

 private:
  using PartitionPtr = std::shared_ptr<Partition>;
  struct ImageChange {
    bool first = false;  // since this process registered
    metadata::ImagePtr before;
    metadata::ImagePtr after;
    bool reconfigured = false;                                 // some topic or broker
    std::map<std::string, Partition::TopicConfigPtr> configs;  // by topic, as they come up
    PartitionEffects effects;
    std::vector<PartitionPtr> roles;  // that may have changed
  };

  // What the last checkpoints hold of a replica.
  struct Checkpointed {
    PartitionKey key;
    Offset high_watermark;
    Offset log_start;
    friend bool operator==(const Checkpointed&, const Checkpointed&) = default;
  };

  PartitionPtr Find(const PartitionKey& key) const;
  std::vector<PartitionPtr> AllPartitions() const;

  // Life and timers.
  void Every(EventLoop& loop, int64_t interval_ms, void (ReplicaManagerImpl::*task)());
  void Upkeep();
  void TellLeaderlessEnds();
  void TellIsrChanges(int64_t now_ms);
  void CheckpointHighWatermarks();
  void ApplyRetention();
  void StartCompactor();
  void MakeSyncProof();
  std::map<storage::TopicPartition, Offset> HighWatermarks() const;

  // Disks.
  void ReportStorageFailure(const StorageFailure& failure);
  void CheckSpace();
  void RetryUnopened();
  // A directory that failed before the partition could be found with its log did not tell it.
  static void NoteIfOffline(const PartitionPtr& partition, const storage::DirectoryPtr& directory,
                            PartitionEffects& effects);
  bool TryOpen(const PartitionPtr& partition, PartitionEffects& effects);
  int64_t DiskDelayMs(const ProduceRequestParams& params) const;
  void AssignDirectory(const PartitionKey& key, const Uuid& assigned,
                       const storage::PlacedLog& placed);

  // Moves between disks.
  void MakeMover();
  kafka::ErrorCode AlterLogDir(const AlterLogDirEntry& entry);
  void GoOnWithMoves();  // that the last stop broke off

  // Images.
  void OnImage(const metadata::ImagePtr& before, const metadata::ImagePtr& after);
  bool HoldsOurRegistration(const metadata::Image& image) const;
  void SetStrayLogsAside(const metadata::ImagePtr& image);
  // Which logs may go that lie in a directory of `topic`.
  storage::MayRemove RemovableIn(metadata::ImagePtr image, std::string topic) const;
  void RemoveGone(ImageChange& change);
  void ApplyTopics(ImageChange& change);
  void ApplyTopic(const metadata::TopicImage& topic, ImageChange& change);
  void ApplyConfigs(ImageChange& change);
  void ApplyThrottles(const metadata::Image& image);
  void ApplyMoveRates();
  PartitionPtr CreateReplica(const metadata::TopicImage& topic, PartitionIndex index,
                             ImageChange& change);
  void RemoveReplica(const PartitionPtr& partition, ImageChange& change);
  // One for all partitions of the topic.
  const Partition::TopicConfigPtr& ConfigOf(const std::string& topic, ImageChange& change) const;
  Partition::TopicConfigPtr ConfigIn(const metadata::Image& image, const std::string& topic) const;

  // Requests.
  void AppendEntry(const ProduceRequestParams& params, const Partition::AppendRequest& request,
                   PartitionEffects& effects);
  kafka::ErrorCode WhyUnknown(const PartitionKey& key, LeaderHint& hint) const;

  const std::shared_ptr<ReplicaManagerOptions> options_;
  EventLoop& background_loop_;
  std::shared_ptr<PartitionContext> context_;
  std::shared_ptr<AlterPartitionSender> sender_;
  std::shared_ptr<DirectoryAssigner> assigner_;
  std::shared_ptr<FetcherPool> fetchers_;
  std::shared_ptr<LogMover> mover_;
  std::shared_ptr<SyncProof> sync_proof_;
  std::unique_ptr<storage::Compactor> compactor_;  // null where nothing is compacted
  std::atomic<bool> stopped_{false};
  std::atomic<bool> storage_failed_{false};
  bool registered_ = false;       // metadata loop only
  MoveRates move_rates_;          // metadata loop only
  int64_t next_shrink_ms_ = 0;    // replica loop only
  int64_t next_isr_line_ms_ = 0;  // likewise
  std::atomic<bool> disks_low_{false};
  std::atomic<size_t> unopened_{0};  // replicas that may be opened when a disk has room again
  // Taken before mutex_: a replica is opened or removed by one thread at a time.
  std::mutex opening_mutex_;
  std::vector<Checkpointed> checkpointed_;  // background loop only
  RepeatedLine no_checkpoint_;              // likewise

  mutable std::shared_mutex mutex_;  // guards all below
  std::map<PartitionKey, PartitionPtr> partitions_;
};

}  // namespace sluice::broker
