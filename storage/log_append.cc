// Appending: offsets, the roll to a new segment, producer and epoch bookkeeping.

#include <array>

#include "base/bytes.h"
#include "storage/log_impl.h"

namespace sluice::storage {

Result<AppendOutcome> LogImpl::AppendAsLeader(std::string_view bytes, LeaderEpoch epoch) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  auto batch = BatchHeader::Parse(bytes);
  if (!batch || batch->size_bytes != bytes.size()) {
    return Status::InvalidArgument("an append of " + std::to_string(bytes.size()) +
                                   " bytes is not one record batch");
  }
  AppendOutcome outcome;
  if (batch->has_producer()) {
    ProducerState::Verdict verdict = producers_.Check(*batch);
    if (verdict.duplicate_of) {
      outcome.info = {verdict.duplicate_of->first_offset(), verdict.duplicate_of->last_offset,
                      true};
      return outcome;
    }
    if (verdict.error != kafka::ErrorCode::kNone) {
      outcome.error = verdict.error;
      outcome.message = std::move(verdict.message);
      return outcome;
    }
  }
  const int32_t last_delta = batch->last_offset_delta();
  batch->base_offset = log_end_offset();
  batch->last_offset = batch->base_offset + last_delta;
  batch->leader_epoch = epoch;
  if (NeedsRoll(*batch, 0, 0)) SLUICE_RETURN_IF_ERROR(Checked(Roll()));
  SLUICE_RETURN_IF_ERROR(Checked(NoteEpoch(epoch, batch->base_offset)));

  char prefix[BatchHeader::kPatchedBytes];
  StoreBigEndian(prefix, batch->base_offset.value());
  StoreBigEndian(prefix + 8, static_cast<int32_t>(batch->size_bytes - 12));
  StoreBigEndian(prefix + 12, epoch.value());
  const std::array<std::string_view, 2> parts = {std::string_view(prefix, sizeof prefix),
                                                 bytes.substr(BatchHeader::kPatchedBytes)};
  SLUICE_RETURN_IF_ERROR(Checked(active().Write(parts, bytes.size())));
  SLUICE_RETURN_IF_ERROR(Checked(active().Note(*batch, config().index_interval_bytes)));
  Observe(*batch, bytes);
  size_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  SetEnd(batch->last_offset + 1);
  outcome.info = {batch->base_offset, batch->last_offset, false};
  return outcome;
}

void LogImpl::Observe(const BatchHeader& batch, std::string_view bytes) {
  if (!batch.has_producer()) return;
  producers_.Observe(batch, CoordinatorEpochOfMarker(batch, bytes));
}

bool LogImpl::NeedsRoll(const BatchHeader& batch, size_t pending_bytes,
                        size_t pending_batches) const {
  const Segment& segment = active();
  const uint64_t size = segment.size_bytes() + pending_bytes;
  if (size == 0) return false;
  if (size + batch.size_bytes > static_cast<uint64_t>(config().segment_bytes)) return true;
  if (size + batch.size_bytes > Segment::kBytesMax) return true;
  if (batch.last_offset - segment.base_offset() > INT32_MAX) return true;
  const size_t index_bytes_after =
      segment.index_bytes() + (pending_batches + 1) * TimeIndex::kEntryBytes;
  if (index_bytes_after > static_cast<size_t>(config().index_size_bytes_max)) return true;
  const auto first = segment.first_timestamp_ms();
  const int64_t age_ms = first && *first >= 0 ? batch.max_timestamp_ms - *first
                                              : options_.clock->SteadyMs() - active_since_ms_;
  return age_ms > config().segment_ms;
}

Status LogImpl::Roll() {
  const Offset base = log_end_offset();
  CHECK_GT(base, active().base_offset()) << options_.directory << ": a roll of an empty segment";
  // The new file first: when the disk is full the old segment simply goes on.
  SLUICE_ASSIGN_OR_RETURN(auto next, Segment::Create(*home_, base));
  producers_.RemoveExpired(options_.clock->WallMs(), config().producer_id_expiration_ms);
  SLUICE_RETURN_IF_ERROR(SaveSnapshot());
  SLUICE_RETURN_IF_ERROR(active().Seal());
  SLUICE_ASSIGN_OR_RETURN(auto files, active().SealedFiles());
  sealed_unsynced_.push_back({next_sequence_++, base, std::move(files)});
  segments_.push_back(std::move(next));
  active_since_ms_ = options_.clock->SteadyMs();
  MarkDirectoryDirty(options_.directory);
  return Status::Ok();
}

Result<std::vector<BatchHeader>> LogImpl::CheckFollowerBatches(std::string_view batches,
                                                               LeaderEpoch epoch_max) const {
  std::vector<BatchHeader> headers;
  Offset expected = log_end_offset();
  for (std::string_view rest = batches; rest.size() >= BatchHeader::kBytes;) {
    const auto batch = BatchHeader::Parse(rest);
    if (!batch) {
      return Status::InvalidArgument(
          "no record batch at byte " + std::to_string(batches.size() - rest.size()) +
          " of what was fetched at offset " + std::to_string(expected.value()));
    }
    if (batch->size_bytes > rest.size())
      break;  // cut by the fetch limit; the next fetch brings it whole
    const bool fits =
        headers.empty() ? batch->base_offset == expected : batch->base_offset >= expected;
    if (!fits) {
      return Status::InvalidArgument(
          "a batch at offset " + std::to_string(batch->base_offset.value()) +
          " cannot follow the end at " + std::to_string(expected.value()));
    }
    if (batch->leader_epoch > epoch_max) {
      return Status::Fenced("the batch at offset " + std::to_string(expected.value()) +
                            " is of epoch " + std::to_string(batch->leader_epoch.value()) +
                            ", above the " + std::to_string(epoch_max.value()) +
                            " that was asked for");
    }
    if (!BatchChecksumHolds(rest.substr(0, batch->size_bytes))) {
      return Status::InvalidArgument("the batch fetched at offset " +
                                     std::to_string(expected.value()) + " fails its checksum");
    }
    headers.push_back(*batch);
    expected = batch->last_offset + 1;
    rest.remove_prefix(batch->size_bytes);
  }
  return headers;
}

Status LogImpl::AppendAsFollower(std::string_view batches, LeaderEpoch epoch_max) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_ASSIGN_OR_RETURN(const std::vector<BatchHeader> headers,
                          CheckFollowerBatches(batches, epoch_max));
  Run run;
  const char* next = batches.data();
  for (const BatchHeader& batch : headers) {
    if (NeedsRoll(batch, run.bytes.size(), run.batches.size())) {
      SLUICE_RETURN_IF_ERROR(Checked(WriteRun(run)));
      if (active().size_bytes() > 0) SLUICE_RETURN_IF_ERROR(Checked(Roll()));
    }
    if (run.bytes.empty()) run.bytes = std::string_view(next, 0);
    run.bytes = std::string_view(run.bytes.data(), run.bytes.size() + batch.size_bytes);
    run.batches.push_back(batch);
    next += batch.size_bytes;
  }
  return Checked(WriteRun(run));
}

Status LogImpl::WriteRun(Run& run) {
  if (run.batches.empty()) return Status::Ok();
  for (const BatchHeader& batch : run.batches)
    SLUICE_RETURN_IF_ERROR(NoteEpoch(batch.leader_epoch, batch.base_offset));
  SLUICE_RETURN_IF_ERROR(
      active().Write(std::span<const std::string_view>(&run.bytes, 1), run.bytes.size()));
  size_t at = 0;
  for (const BatchHeader& batch : run.batches) {
    SLUICE_RETURN_IF_ERROR(active().Note(batch, config().index_interval_bytes));
    Observe(batch, run.bytes.substr(at, batch.size_bytes));
    at += batch.size_bytes;
  }
  size_bytes_.fetch_add(run.bytes.size(), std::memory_order_relaxed);
  SetEnd(active().end_offset());
  run = Run();
  return Status::Ok();
}

}  // namespace sluice::storage
