#include "storage/segment_origin.h"

#include <optional>

#include "storage/producer_state.h"

namespace sluice::storage {
namespace {

// Above it a look at the snapshot would cost more than the segment's first use.
constexpr uint64_t kBytesMax = 256 << 10;
constexpr uint64_t kHistoryBytesMin = sizeof("0\n1\n0 0\n") - 1;  // of one epoch
constexpr uint64_t kSnapshotBytesMin = 56;                        // of one producer

std::string Text(Offset offset) { return std::to_string(offset.value()); }

// nullopt when there is no such file, or a larger one, or one that says nothing.
Result<std::optional<std::string>> ReadSmall(const SegmentHome& home, const std::string& path,
                                             uint64_t bytes_min) {
  const auto file = home.fs().Open(path, OpenMode::kRead);
  if (file.status().code() == StatusCode::kNotFound) return std::optional<std::string>();
  SLUICE_RETURN_IF_ERROR(file.status());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  if (size > kBytesMax || size < bytes_min) return std::optional<std::string>();
  std::string bytes(size, '\0');
  SLUICE_ASSIGN_OR_RETURN(const size_t got, home.ReadAt(*file, 0, bytes.data(), bytes.size()));
  bytes.resize(got);
  return std::optional(std::move(bytes));
}

}  // namespace

Result<SegmentOrigin> SegmentOrigin::Read(const SegmentHome& home, Offset end, bool complete) {
  SegmentOrigin origin;
  origin.epochs_complete_ = complete;
  origin.epochs_path_ = home.directory + "/" + kEpochCheckpointName;
  origin.snapshot_path_ = home.PathOf(end, kSnapshotSuffix);
  SLUICE_ASSIGN_OR_RETURN(const auto text, ReadSmall(home, origin.epochs_path_, kHistoryBytesMin));
  if (text) {
    if (auto epochs = EpochCache::Parse(*text); epochs.ok()) origin.epochs_ = *std::move(epochs);
  }
  SLUICE_ASSIGN_OR_RETURN(const auto bytes,
                          ReadSmall(home, origin.snapshot_path_, kSnapshotBytesMin));
  if (!bytes) return origin;
  const auto producers = ProducerState::DecodeSnapshot(*bytes);
  if (!producers.ok()) return origin;
  for (const auto& [id, entry] : producers->producers()) {
    const ProducerBatch* last = entry.last_batch();
    if (last != nullptr && last->last_offset >= Offset(0))
      origin.claims_[last->last_offset] = {id, last->last_sequence};
  }
  return origin;
}

void SegmentOrigin::OnBatch(const BatchHeader& batch) {
  if (!contradiction_.empty()) return;
  CheckEpoch(batch);
  CheckProducer(batch);
}

void SegmentOrigin::CheckEpoch(const BatchHeader& batch) {
  const LeaderEpoch told = epochs_.EpochAt(batch.base_offset);
  // Below its beginning are only batches older than the log's start.
  const bool speaks = told != kNoEpoch && batch.leader_epoch != kNoEpoch &&
                      (epochs_complete_ || batch.leader_epoch <= epochs_.latest());
  if (!speaks || told == batch.leader_epoch) return;
  contradiction_ = epochs_path_ + " has leader epoch " + std::to_string(told.value()) +
                   " at offset " + Text(batch.base_offset) + ", where a batch of epoch " +
                   std::to_string(batch.leader_epoch.value()) + " stands";
}

void SegmentOrigin::CheckProducer(const BatchHeader& batch) {
  for (auto claim = claims_.lower_bound(batch.base_offset);
       claim != claims_.end() && claim->first <= batch.last_offset; ++claim) {
    const auto& [offset, told] = *claim;
    const bool same = offset == batch.last_offset && batch.producer_id == told.producer_id &&
                      batch.last_sequence() == told.last_sequence;
    if (same) continue;
    contradiction_ = snapshot_path_ + " has a batch of producer " +
                     std::to_string(told.producer_id.value()) + " end at offset " + Text(offset) +
                     " with sequence number " + std::to_string(told.last_sequence) +
                     ", where one of producer " + std::to_string(batch.producer_id.value()) +
                     " stands that ends at " + Text(batch.last_offset) + " with " +
                     std::to_string(batch.last_sequence());
    return;
  }
}

}  // namespace sluice::storage
