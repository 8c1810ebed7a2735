#include "storage/checkpoints.h"

namespace sluice::storage {
namespace {

std::optional<Offset> Lookup(const OffsetCheckpoint& offsets, const TopicPartition& partition) {
  const auto found = offsets.find(partition);
  return found == offsets.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

Checkpoints::Checkpoints(FileSystem& fs, std::string directory)
    : fs_(fs), directory_(std::move(directory)) {
  stored_.recovery_points = Load(kRecoveryPointCheckpointName);
  stored_.high_watermarks = Load(kHighWatermarkCheckpointName);
  stored_.log_starts = Load(kLogStartCheckpointName);
  stored_.cleaned = Load(kCleanerCheckpointName);
}

OffsetCheckpoint Checkpoints::Load(const char* name) const {
  auto offsets = ReadOffsetCheckpoint(fs_, directory_ + "/" + name);
  if (offsets.ok()) return *std::move(offsets);
  LOG(WARNING) << offsets.status().message() << "; it is taken as absent";
  return {};
}

std::optional<Offset> Checkpoints::RecoveryPoint(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return Lookup(stored_.recovery_points, partition);
}

std::optional<Offset> Checkpoints::HighWatermark(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return Lookup(stored_.high_watermarks, partition);
}

std::optional<Offset> Checkpoints::LogStart(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return Lookup(stored_.log_starts, partition);
}

std::optional<Offset> Checkpoints::Cleaned(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return Lookup(stored_.cleaned, partition);
}

Status Checkpoints::SetCleaned(const TopicPartition& partition, Offset offset) {
  std::lock_guard lock(mutex_);
  OffsetCheckpoint wanted = stored_.cleaned;
  wanted[partition] = offset;
  return Store(kCleanerCheckpointName, stored_.cleaned, std::move(wanted));
}

Status Checkpoints::Write(const std::function<Content()>& collect) {
  std::lock_guard lock(mutex_);
  Content wanted = collect();
  // The starts first: a recovery point must not pass a start that the file does not tell yet.
  SLUICE_RETURN_IF_ERROR(
      Store(kLogStartCheckpointName, stored_.log_starts, std::move(wanted.log_starts)));
  SLUICE_RETURN_IF_ERROR(Store(kRecoveryPointCheckpointName, stored_.recovery_points,
                               std::move(wanted.recovery_points)));
  return Store(kHighWatermarkCheckpointName, stored_.high_watermarks,
               std::move(wanted.high_watermarks));
}

Status Checkpoints::Lower(const TopicPartition& partition, Offset offset) {
  std::lock_guard lock(mutex_);
  const auto lowered = [&](OffsetCheckpoint offsets) {
    const auto found = offsets.find(partition);
    if (found != offsets.end() && found->second > offset) found->second = offset;
    return offsets;
  };
  SLUICE_RETURN_IF_ERROR(Store(kRecoveryPointCheckpointName, stored_.recovery_points,
                               lowered(stored_.recovery_points)));
  SLUICE_RETURN_IF_ERROR(
      Store(kLogStartCheckpointName, stored_.log_starts, lowered(stored_.log_starts)));
  // What is appended in place of the cut records was never cleaned.
  return Store(kCleanerCheckpointName, stored_.cleaned, lowered(stored_.cleaned));
}

Status Checkpoints::Forget(const TopicPartition& partition) {
  std::lock_guard lock(mutex_);
  const auto without = [&](OffsetCheckpoint offsets) {
    offsets.erase(partition);
    return offsets;
  };
  SLUICE_RETURN_IF_ERROR(Store(kRecoveryPointCheckpointName, stored_.recovery_points,
                               without(stored_.recovery_points)));
  SLUICE_RETURN_IF_ERROR(
      Store(kLogStartCheckpointName, stored_.log_starts, without(stored_.log_starts)));
  SLUICE_RETURN_IF_ERROR(Store(kCleanerCheckpointName, stored_.cleaned, without(stored_.cleaned)));
  return Store(kHighWatermarkCheckpointName, stored_.high_watermarks,
               without(stored_.high_watermarks));
}

Status Checkpoints::Store(const char* name, OffsetCheckpoint& stored, OffsetCheckpoint wanted) {
  if (stored == wanted) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(WriteOffsetCheckpoint(fs_, directory_ + "/" + name, wanted));
  stored = std::move(wanted);
  return Status::Ok();
}

}  // namespace sluice::storage
