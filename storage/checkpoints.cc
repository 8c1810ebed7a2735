#include "storage/checkpoints.h"

namespace sluice::storage {
namespace {

std::optional<Offset> Lookup(const OffsetCheckpoint& offsets, const TopicPartition& partition) {
  const auto found = offsets.find(partition);
  return found == offsets.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

Status Checkpoints::Read() {
  std::lock_guard lock(mutex_);
  SLUICE_RETURN_IF_ERROR(ReadInto(stored_.recovery_points, kRecoveryPointCheckpointName));
  SLUICE_RETURN_IF_ERROR(ReadInto(stored_.high_watermarks, kHighWatermarkCheckpointName));
  SLUICE_RETURN_IF_ERROR(ReadInto(stored_.log_starts, kLogStartCheckpointName));
  SLUICE_RETURN_IF_ERROR(ReadInto(stored_.damaged, kDamageCheckpointName));
  return ReadInto(stored_.cleaned, kCleanerCheckpointName);
}

Status Checkpoints::ReadInto(OffsetCheckpoint& offsets, const char* name) const {
  auto read = ReadOffsetCheckpoint(fs_, directory_ + "/" + name);
  if (read.ok()) {
    offsets = *std::move(read);
  } else if (read.status().code() == StatusCode::kCorruption) {
    LOG(WARNING) << read.status().message() << "; it is taken as absent";
  } else {
    return read.status();
  }
  return Status::Ok();
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

std::optional<Offset> Checkpoints::DamagedAt(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return Lookup(stored_.damaged, partition);
}

std::set<TopicPartition> Checkpoints::WithRecords() const {
  std::lock_guard lock(mutex_);
  std::set<TopicPartition> partitions;
  for (const OffsetCheckpoint* offsets : {&stored_.recovery_points, &stored_.high_watermarks}) {
    for (const auto& [partition, offset] : *offsets) {
      if (offset > Offset(0)) partitions.insert(partition);
    }
  }
  return partitions;
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

Status Checkpoints::Write(const std::function<Content(const Content& stored)>& collect) {
  std::lock_guard lock(mutex_);
  Content wanted = collect(stored_);
  // The starts first: a recovery point must not pass a start that the file does not tell yet.
  SLUICE_RETURN_IF_ERROR(
      Store(kLogStartCheckpointName, stored_.log_starts, std::move(wanted.log_starts)));
  SLUICE_RETURN_IF_ERROR(Store(kRecoveryPointCheckpointName, stored_.recovery_points,
                               std::move(wanted.recovery_points)));
  SLUICE_RETURN_IF_ERROR(Store(kDamageCheckpointName, stored_.damaged, std::move(wanted.damaged)));
  return Store(kHighWatermarkCheckpointName, stored_.high_watermarks,
               std::move(wanted.high_watermarks));
}

Status Checkpoints::Lower(const TopicPartition& partition, Offset offset) {
  std::lock_guard lock(mutex_);
  const auto lower = [&](const char* name, OffsetCheckpoint& stored) {
    const auto found = stored.find(partition);
    if (found == stored.end() || found->second <= offset) return Status::Ok();
    OffsetCheckpoint lowered = stored;
    lowered[partition] = offset;
    return Store(name, stored, std::move(lowered));
  };
  SLUICE_RETURN_IF_ERROR(lower(kRecoveryPointCheckpointName, stored_.recovery_points));
  SLUICE_RETURN_IF_ERROR(lower(kLogStartCheckpointName, stored_.log_starts));
  // What is appended in place of the cut records was never cleaned.
  return lower(kCleanerCheckpointName, stored_.cleaned);
}

Status Checkpoints::Forget(const TopicPartition& partition) {
  std::lock_guard lock(mutex_);
  // Most have no entry: nothing is to be copied for those, who may be thousands.
  const auto forget = [&](const char* name, OffsetCheckpoint& stored) {
    if (!stored.contains(partition)) return Status::Ok();
    OffsetCheckpoint without = stored;
    without.erase(partition);
    return Store(name, stored, std::move(without));
  };
  SLUICE_RETURN_IF_ERROR(forget(kRecoveryPointCheckpointName, stored_.recovery_points));
  SLUICE_RETURN_IF_ERROR(forget(kLogStartCheckpointName, stored_.log_starts));
  SLUICE_RETURN_IF_ERROR(forget(kCleanerCheckpointName, stored_.cleaned));
  SLUICE_RETURN_IF_ERROR(forget(kDamageCheckpointName, stored_.damaged));
  return forget(kHighWatermarkCheckpointName, stored_.high_watermarks);
}

Status Checkpoints::Store(const char* name, OffsetCheckpoint& stored, OffsetCheckpoint wanted) {
  if (stored == wanted) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(WriteOffsetCheckpoint(fs_, directory_ + "/" + name, wanted));
  stored = std::move(wanted);
  return Status::Ok();
}

}  // namespace sluice::storage
