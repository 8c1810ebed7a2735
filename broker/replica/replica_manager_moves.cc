// ReplicaManager: replicas that move between the log directories of this broker.
#include <algorithm>
#include <mutex>

#include "broker/replica/replica_manager_impl.h"
#include "storage/log_directory.h"

namespace sluice::broker {

using kafka::ErrorCode;

void ReplicaManagerImpl::MakeMover() {
  LogMover::Options options;
  options.logs = options_->logs;
  options.metadata = options_->metadata;
  options.state = options_->state;
  options.clock = options_->clock;
  options.loop = &background_loop_;
  options.context = context_;
  options.assigner = assigner_;
  options.flusher_of = options_->flusher_of;
  options.exclusively = [weak = weak_from_this()](const PartitionPtr& partition,
                                                  const std::function<void()>& action) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::lock_guard lock(self->opening_mutex_);
    if (self->Find(partition->key()) == partition) action();
  };
  mover_ = std::make_shared<LogMover>(std::move(options));
}

std::vector<ErrorCode> ReplicaManagerImpl::AlterLogDirs(
    const std::vector<AlterLogDirEntry>& entries) {
  std::vector<ErrorCode> errors;
  errors.reserve(entries.size());
  for (const AlterLogDirEntry& entry : entries) errors.push_back(AlterLogDir(entry));
  return errors;
}

ErrorCode ReplicaManagerImpl::AlterLogDir(const AlterLogDirEntry& entry) {
  if (!storage::FutureNameFits(entry.name)) return ErrorCode::kInvalidTopicException;
  const auto& directories = options_->logs->directories();
  const auto target = std::find_if(directories.begin(), directories.end(),
                                   [&](const auto& each) { return each->path() == entry.path; });
  if (target == directories.end()) return ErrorCode::kLogDirNotFound;
  if (!(*target)->online()) return ErrorCode::kKafkaStorageError;
  const metadata::ImagePtr image = options_->metadata->Current();
  const auto topic = image->FindTopic(entry.name.topic);
  const PartitionPtr partition =
      topic == nullptr ? nullptr : Find({topic->id, entry.name.partition});
  if (partition != nullptr) return mover_->Begin(partition, *target);
  // It is made there when it comes. Kafka's tool asks again until it has.
  options_->logs->Prefer(entry.name, *target);
  const bool exists =
      topic != nullptr && image->FindPartition(topic->id, entry.name.partition) != nullptr;
  return exists ? ErrorCode::kReplicaNotAvailable : ErrorCode::kUnknownTopicOrPartition;
}

void ReplicaManagerImpl::GoOnWithMoves() {
  for (const storage::LogMoveSpec& move : options_->logs->BrokenOffMoves()) {
    const PartitionPtr partition = Find({move.topic_id, move.partition.partition});
    // Where its log is in a directory that is away, the move is all that tells of it.
    if (partition != nullptr && partition->Status().directory == nullptr) continue;
    if (partition == nullptr || partition->Status().directory == move.target)
      options_->logs->GiveUpMove(move, nullptr);
    else if (mover_->Begin(partition, move.target) != ErrorCode::kNone)
      LOG(WARNING) << move.partition.ToString() << " does not move to " << move.target->path()
                   << " now, for it is out of service; the next start goes on with it";
  }
}

}  // namespace sluice::broker
