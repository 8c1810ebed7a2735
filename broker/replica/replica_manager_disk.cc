// ReplicaManager: disks that fail, and disks that fill up.
#include <algorithm>
#include <mutex>

#include "broker/replica/replica_manager_impl.h"

namespace sluice::broker {
namespace {

// What an answer to a producer waits for at most, when its disk is nearly full.
constexpr double kDiskDelayMsMax = 1000;

}  // namespace

void ReplicaManagerImpl::ReportStorageFailure(const StorageFailure& failure) {
  storage::LogDirectories& logs = *options_->logs;
  if (failure.directory == nullptr || !logs.PutOffline(failure.directory, failure.status)) return;
  PartitionEffects effects;
  for (const PartitionPtr& partition : AllPartitions())
    partition->DirectoryFailed(failure, effects);
  effects.Run(*context_);
  const bool vital = failure.directory->path() == options_->vital_directory;
  // The next heartbeat tells the controllers.
  if (!vital && logs.AnyOnline()) return;
  if (storage_failed_.exchange(true)) return;
  if (options_->on_storage_failure) options_->on_storage_failure(failure.status);
}

void ReplicaManagerImpl::KeepBrokerEpoch(BrokerEpoch epoch, std::function<void()> done) {
  background_loop_.Post([weak = weak_from_this(), epoch, done = std::move(done)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    for (const auto& [directory, failure] : self->options_->logs->KeepBrokerEpoch(epoch)) {
      LOG(ERROR) << "keeping the broker's epoch: " << failure.ToString();
      self->ReportStorageFailure({directory, failure});
    }
    // The node that ends of it must not come into service first: its disk, which lacks nothing,
    // would pass for an older copy.
    if (!self->storage_failed_) done();
  });
}

void ReplicaManagerImpl::CheckSpace() {
  for (const storage::DirectoryPtr& directory : options_->logs->RefreshSpace()) {
    ReportStorageFailure(
        {directory, Status::NotFound(directory->path() + " was removed under the node")});
  }
  const auto& directories = options_->logs->directories();
  disks_low_ = std::any_of(directories.begin(), directories.end(), [](const auto& directory) {
    return directory->level() != storage::SpaceLevel::kAmple;
  });
  // Empty logs would take what little room a full disk still gets: of the node's reserve, say.
  const bool room = std::any_of(directories.begin(), directories.end(), [](const auto& directory) {
    return directory->online() && directory->level() != storage::SpaceLevel::kFull;
  });
  if (unopened_ > 0 && room) RetryUnopened();
}

// Producers are slowed down by late answers: that works for every client, and with acks=0 too, for
// a connection reads on only while few of its requests wait.
int64_t ReplicaManagerImpl::DiskDelayMs(const ProduceRequestParams& params) const {
  if (!disks_low_ || !params.slowed_by_disk) return 0;
  double pressure = 0;
  for (const ProduceEntry& entry : params.entries) {
    const PartitionPtr partition = Find(entry.key);
    if (partition != nullptr) pressure = std::max(pressure, partition->disk_pressure());
  }
  return static_cast<int64_t>(pressure * kDiskDelayMsMax);
}

// Replicas for which there was no room when they came.
void ReplicaManagerImpl::RetryUnopened() {
  PartitionEffects effects;
  std::vector<PartitionPtr> opened;
  unopened_ = 0;
  for (const PartitionPtr& partition : AllPartitions()) {
    if (!partition->awaits_room()) continue;
    const std::lock_guard lock(opening_mutex_);
    if (Find(partition->key()) != partition) continue;
    if (TryOpen(partition, effects)) opened.push_back(partition);
  }
  effects.Run(*context_);
  fetchers_->Assign(std::move(opened));
}

void ReplicaManagerImpl::NoteIfOffline(const PartitionPtr& partition,
                                       const storage::DirectoryPtr& directory,
                                       PartitionEffects& effects) {
  if (directory == nullptr || directory->online()) return;
  partition->DirectoryFailed({directory, Status::IoError(directory->failure())}, effects);
}

bool ReplicaManagerImpl::TryOpen(const PartitionPtr& partition, PartitionEffects& effects) {
  metadata::ImagePtr image = options_->metadata->Current();
  const PartitionKey& key = partition->key();
  const metadata::PartitionImage* now = image->FindPartition(key.topic_id, key.partition);
  if (now == nullptr) return false;
  const Uuid assigned = now->DirectoryOf(options_->state->node_id);
  storage::PlacedLog placed =
      options_->logs->GetOrCreate({.partition = partition->name(),
                                   .topic_id = key.topic_id,
                                   .may_remove = RemovableIn(image, partition->name().topic),
                                   .config = LogConfigOf(*partition->config()),
                                   .directory = assigned});
  if (!placed.log.ok()) {
    ++unopened_;
    return false;
  }
  LOG(INFO) << partition->name().ToString() << " could be opened now, in "
            << placed.directory->path();
  storage::Flusher& flusher = options_->flusher_of(*placed.directory);
  AssignDirectory(key, assigned, placed);
  const auto checkpointed = options_->logs->CheckpointedHighWatermark(partition->name());
  partition->Attach(
      {.log = *std::move(placed.log), .directory = placed.directory, .flusher = &flusher},
      checkpointed.value_or(Offset(0)));
  NoteIfOffline(partition, placed.directory, effects);
  // An image that came while the log was opened was applied to a replica without one, and an older
  // one would be refused. Where the partition is gone, whoever removes it waits for us.
  image = options_->metadata->Current();
  now = image->FindPartition(key.topic_id, key.partition);
  if (now != nullptr) {
    partition->ApplyImage({.partition = now,
                           .config = ConfigIn(*image, partition->name().topic),
                           .index = image->last_index},
                          effects);
  }
  return true;
}

void ReplicaManagerImpl::AssignDirectory(const PartitionKey& key, const Uuid& assigned,
                                         const storage::PlacedLog& placed) {
  const Uuid& actual = placed.directory->id();
  // A broker with one directory need not say where its replicas are, unless it had more.
  const bool told = options_->logs->directories().size() > 1 || !assigned.IsZero();
  if (told && assigned != actual) assigner_->Submit(key, actual, placed.move_broken_off);
}

}  // namespace sluice::broker
