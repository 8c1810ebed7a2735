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
  SLUICE_RETURN_IF_ERROR(EnsureActive());
  AppendOutcome outcome;
  if (batch->has_producer()) {
    SLUICE_RETURN_IF_ERROR(EnsureProducers());
    ProducerState::Verdict verdict = producers_.Check(*batch);
    if (verdict.duplicate_of) {
      outcome.info = {verdict.duplicate_of->first_offset(), verdict.duplicate_of->last_offset,
                      true};
      return outcome;
    }
    if (verdict.error != kafka::ErrorCode::kNone) {
      outcome.error = verdict.error;
      outcome.message = std::move(verdict.message);
      outcome.info.last_offset = verdict.stored_below - 1;
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
  SLUICE_RETURN_IF_ERROR(Checked(Observe(*batch, bytes)));
  size_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  NoteHot(batch->base_offset);
  SetEnd(batch->last_offset + 1);
  outcome.info = {batch->base_offset, batch->last_offset, false};
  return outcome;
}

void LogImpl::NoteRefused(std::string_view bytes) {
  const auto batch = BatchHeader::Parse(bytes);
  if (batch) producers_.NoteRefused(*batch);
}

Status LogImpl::Observe(const BatchHeader& batch, std::string_view bytes) {
  // State that is not loaded yet will be read from the batches, this one among them.
  if (!batch.has_producer() || !producers_loaded_) return Status::Ok();
  const auto completed = producers_.Observe(batch, EndMarkerOf(batch, bytes));
  if (!completed || !completed->aborted) return Status::Ok();
  return txn_indexes_->Append(active().base_offset(),
                              {completed->producer_id, completed->first_offset,
                               completed->marker_offset, completed->last_stable_offset});
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
  SLUICE_RETURN_IF_ERROR(EnsureProducers());
  // The new file first: when the disk is full the old segment simply goes on.
  SLUICE_ASSIGN_OR_RETURN(auto next, Segment::Create(*home_, base));
  if (const Status sealed = SealActive(); !sealed.ok()) {
    // An empty segment in the midst of the one that goes on would pass for damage at a start, also
    // at one after a power cut: it is gone for good before a record comes in.
    const std::string path = next->path();
    next.reset();
    SLUICE_RETURN_IF_ERROR(fs().Remove(path));
    SLUICE_RETURN_IF_ERROR(fs().SyncDirectory(options_.directory));
    return sealed;
  }
  segments_.push_back(std::move(next));
  active_since_ms_ = options_.clock->SteadyMs();
  MarkDirectoryDirty();
  return Status::Ok();
}

// What may fail for want of room comes first: until SealedFiles the segment can go on.
Status LogImpl::SealActive() {
  producers_.RemoveExpired(options_.clock->WallMs(), config().producer_id_expiration_ms);
  SLUICE_RETURN_IF_ERROR(SaveSnapshot());
  SLUICE_RETURN_IF_ERROR(active().Seal());
  std::vector<std::shared_ptr<File>> txn_files;
  SLUICE_RETURN_IF_ERROR(SealTxnIndex(active().base_offset(), txn_files));
  SLUICE_ASSIGN_OR_RETURN(auto files, active().SealedFiles());
  files.insert(files.end(), txn_files.begin(), txn_files.end());
  sealed_unsynced_.push_back(
      {next_sequence_++, active().base_offset(), log_end_offset(), std::move(files)});
  return Status::Ok();
}

Result<std::vector<BatchHeader>> LogImpl::CheckFetched(std::string_view batches,
                                                       LeaderEpoch max) const {
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
    // The leader's log may have gaps, where compaction took whole batches away; and it may start in
    // the midst of a batch, where one that begins with nothing gets it whole.
    const bool holds_start = headers.empty() && log_start_offset() == expected &&
                             batch->base_offset < expected && batch->last_offset >= expected;
    if (batch->base_offset < expected && !holds_start) {
      return Status::InvalidArgument(
          "a batch at offset " + std::to_string(batch->base_offset.value()) +
          " cannot follow the end at " + std::to_string(expected.value()));
    }
    if (batch->leader_epoch > max) {
      return Status::Fenced("the batch at offset " + std::to_string(expected.value()) +
                            " is of epoch " + std::to_string(batch->leader_epoch.value()) +
                            ", above the " + std::to_string(max.value()) + " that was asked for");
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
  SLUICE_RETURN_IF_ERROR(EnsureActive());
  SLUICE_ASSIGN_OR_RETURN(const std::vector<BatchHeader> headers, CheckFetched(batches, epoch_max));
  const Offset start = log_start_offset();
  if (headers.empty() || headers.front().base_offset >= start)
    return AppendFetched(batches, headers);
  // Nothing is in it, and the first batch holds its start.
  SLUICE_RETURN_IF_ERROR(TruncateFullyAndStartAt(headers.front().base_offset));
  const Status appended = AppendFetched(batches, headers);
  if (log_end_offset() >= start)
    SetStart(start);
  else if (CheckOnline().ok())
    SLUICE_RETURN_IF_ERROR(TruncateFullyAndStartAt(start));
  return appended;
}

Status LogImpl::AppendFetched(std::string_view batches, const std::vector<BatchHeader>& headers) {
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
    SLUICE_RETURN_IF_ERROR(Observe(batch, run.bytes.substr(at, batch.size_bytes)));
    at += batch.size_bytes;
  }
  size_bytes_.fetch_add(run.bytes.size(), std::memory_order_relaxed);
  NoteHot(run.batches.front().base_offset);
  SetEnd(active().end_offset());
  run = Run();
  return Status::Ok();
}

}  // namespace sluice::storage
