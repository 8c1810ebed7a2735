// Shortening the log: truncation at its end, deletion at its start, retention.

#include <algorithm>

#include "base/planted_fault.h"
#include "storage/file_names.h"
#include "storage/log_impl.h"
#include "storage/recovery.h"

namespace sluice::storage {

namespace {

// Of a step in whose midst the log is neither what it was nor what it is to be: no failure of it is
// a refusal that changed nothing.
Status HalfDone(const Status& status) {
  return status.code() == StatusCode::kDiskFull ? Status::IoError(status.message()) : status;
}

}  // namespace

Status LogImpl::LowerRecoveryPoint(Offset offset) {
  for (Captured& capture : captures_) capture.cap = std::min(capture.cap, offset);
  if (offset >= flushed_offset()) return Status::Ok();
  // In this order: a checkpoint that is being written beside this either ends before the callback,
  // or sees the lowered value.
  flushed_.store(offset.value(), std::memory_order_seq_cst);
  return options_.lower_recovery_point ? options_.lower_recovery_point(offset) : Status::Ok();
}

// Without room for the epochs the log goes on: they are saved before the next record comes in.
Status LogImpl::EndTruncation() {
  const Status saved = SaveEpochs();
  SLUICE_RETURN_IF_ERROR(Checked(FlushNow()));
  return Checked(saved);
}

Status LogImpl::TruncateTo(Offset offset) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  if (offset < log_start_offset()) return TruncateFullyAndStartAt(offset);
  SLUICE_RETURN_IF_ERROR(EnsureEpochs());
  if (offset >= log_end_offset()) {
    // Even when no record goes: an epoch that this node only heard of may conflict with the
    // leader's history.
    const bool cut = epochs_.TruncateFromEnd(offset);
    return cut || epochs_unsaved_ ? Checked(SaveEpochs()) : Status::Ok();
  }
  SLUICE_RETURN_IF_ERROR(EnsureProducers());  // and with them the newest transaction index
  VoidPlans();
  size_t holder = SegmentIndexOf(offset);
  // An empty segment behind a gap would tell the next start of records that it lacks.
  if (holder > 0 && segments_[holder]->base_offset() == offset) {
    Segment& before = *segments_[holder - 1];
    if (before.EnsureLoaded().ok() && before.end_offset() < offset) --holder;
  }
  SLUICE_RETURN_IF_ERROR(Checked(segments_[holder]->EnsureLoaded()));
  SLUICE_ASSIGN_OR_RETURN(const auto cut, segments_[holder]->Locate(offset));
  // A batch that holds the offset in its middle goes whole.
  const Offset end = cut ? std::min(offset, cut->base_offset) : offset;
  // It may begin below the log's start: then nothing is left.
  if (end < log_start_offset()) return TruncateFullyAndStartAt(log_start_offset());
  // Where compaction left no batch that ends there, the log will end below; how far, only the scan
  // of the segment tells.
  bool in_gap = cut ? cut->base_offset > offset : segments_[holder]->end_offset() < offset;
  if (cut && !in_gap && end > segments_[holder]->base_offset()) {
    SLUICE_ASSIGN_OR_RETURN(const auto before, segments_[holder]->Locate(end - 1));
    in_gap = before && before->base_offset >= end;
  }
  // First what needs room: up to here nothing was changed.
  SLUICE_RETURN_IF_ERROR(Checked(segments_[holder]->SpillIndexes()));
  SLUICE_RETURN_IF_ERROR(
      Checked(LowerRecoveryPoint(in_gap ? segments_[holder]->base_offset() : end)));
  epochs_.TruncateFromEnd(end);
  lost_.erase(lost_.lower_bound(end), lost_.end());
  std::erase_if(found_, [&](const FoundDamage& found) { return found.from >= end; });
  SettleDamagedAt();
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(RemoveSegmentsFrom(holder + 1))));
  std::erase_if(sealed_unsynced_,
                [&](const SealedFiles& sealed) { return sealed.end > active().base_offset(); });
  SLUICE_RETURN_IF_ERROR(
      Checked(HalfDone(active().TruncateTo(end, config().index_interval_bytes))));
  if (in_gap && active().end_offset() < log_start_offset())
    return Checked(HalfDone(TruncateFullyAndStartAt(log_start_offset())));
  SetEnd(in_gap ? active().end_offset() : end);
  uint64_t size = 0;
  for (const auto& segment : segments_) size += segment->size_bytes();
  size_bytes_.store(size, std::memory_order_relaxed);
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(RemoveSnapshots(end + 1, Offset(INT64_MAX)))));
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(TruncateTxnIndex(end))));
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(ReloadProducers())));
  return EndTruncation();
}

Status LogImpl::TruncateFullyAndStartAt(Offset offset) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  VoidPlans();
  SLUICE_RETURN_IF_ERROR(Checked(LowerRecoveryPoint(Offset(0))));
  lost_.clear();
  found_.clear();
  SettleDamagedAt();
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(RemoveSegmentsFrom(0))));
  sealed_unsynced_.clear();
  SLUICE_RETURN_IF_ERROR(Checked(HalfDone(RemoveSnapshots(Offset(0), Offset(INT64_MAX)))));
  auto first = Segment::Create(*home_, offset);
  if (!first.ok()) {
    // No segment is left to fall back on: the log cannot go on without being opened again.
    return Checked(Status::IoError(first.status().message()));
  }
  segments_.push_back(std::move(*first));
  epochs_.Clear();
  epochs_loaded_ = true;
  producers_.Clear();
  producers_loaded_ = true;
  active_since_ms_ = options_.clock->SteadyMs();
  log_start_.store(offset.value(), std::memory_order_relaxed);
  flushed_.store(offset.value(), std::memory_order_relaxed);
  size_bytes_.store(0, std::memory_order_relaxed);
  SetEnd(offset);
  return EndTruncation();
}

Status LogImpl::RemoveSegmentsFrom(size_t first) {
  if (first >= segments_.size()) return Status::Ok();
  // The newest first: a crash in between leaves a log without a hole.
  while (segments_.size() > first) {
    for (const std::string& path : segments_.back()->FilePaths()) {
      if (fs().Exists(path)) SLUICE_RETURN_IF_ERROR(fs().Remove(path));
    }
    txn_indexes_->Forget(segments_.back()->base_offset());
    segments_.pop_back();
  }
  return fs().SyncDirectory(options_.directory);
}

Status LogImpl::RemoveSnapshots(Offset from, Offset below) {
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs().List(options_.directory));
  for (const std::string& name : names) {
    const auto offset = ParseOffsetFileName(name, kSnapshotSuffix);
    if (!offset || *offset < from || *offset >= below) continue;
    ForgetSnapshot(*offset);
    SLUICE_RETURN_IF_ERROR(fs().Remove(PathTo(name)));
  }
  return Status::Ok();
}

void LogImpl::ForgetSnapshot(Offset offset) {
  const Beside snapshot{Beside::Kind::kSnapshot, offset};
  std::erase_if(unsynced_, [&](const Unsynced& item) { return item.what == snapshot; });
}

Status LogImpl::ReloadProducers() {
  if (FaultPlanted(ReplicationFault::kProducersNotRebuilt)) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(ProducerState producers, LoadProducers(options_, segments_));
  producers.KeepMarkers(producers_, log_end_offset());
  producers_ = std::move(producers);
  producers_loaded_ = true;
  return Status::Ok();
}

void LogImpl::SetStart(Offset start) {
  log_start_.store(start.value(), std::memory_order_relaxed);
  // Nothing below the start can be lost any more. Recovery knows: a recovery point that is no
  // higher than the start vouches for nothing.
  if (start > flushed_offset()) flushed_.store(start.value(), std::memory_order_relaxed);
  SettleDamagedAt();
}

Status LogImpl::AdvanceLogStart(Offset offset) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  if (offset <= log_start_offset()) return Status::Ok();
  if (offset > log_end_offset()) {
    return Status::OutOfRange(options_.directory + ": the start cannot move to " +
                              std::to_string(offset.value()) + ", above the end " +
                              std::to_string(log_end_offset().value()));
  }
  SetStart(offset);
  size_t below = 0;
  while (below + 1 < segments_.size() && segments_[below + 1]->base_offset() <= offset) ++below;
  SLUICE_RETURN_IF_ERROR(DeleteOldSegments(below).status());
  SLUICE_RETURN_IF_ERROR(EnsureEpochs());
  return epochs_.TruncateFromStart(offset) ? Checked(SaveEpochs()) : Status::Ok();
}

Status LogImpl::RenameToDeleted(const Segment& segment, bool with_snapshot, Doomed& doomed) {
  Status outcome;
  const auto rename = [&](const std::string& path) {
    std::string renamed = path + std::string(kDeletedSuffix);
    const Status status = fs().Rename(path, renamed);
    if (status.ok())
      doomed.paths.push_back(std::move(renamed));
    else
      outcome = status;
  };
  rename(segment.path());
  if (!outcome.ok()) return outcome;
  std::vector<std::string> others = segment.FilePaths();
  others.erase(others.begin());
  if (with_snapshot) {
    others.push_back(PathTo(OffsetFileName(segment.base_offset(), kSnapshotSuffix)));
    ForgetSnapshot(segment.base_offset());
  }
  for (const std::string& path : others) {
    if (fs().Exists(path)) rename(path);
  }
  txn_indexes_->Forget(segment.base_offset());
  if (auto open = segment.open_file()) doomed.open_files.push_back(std::move(open));
  return outcome;
}

void LogImpl::RemoveLater(Doomed doomed) {
  auto remove = [files = &fs(), doomed = std::move(doomed)]() mutable {
    for (const std::string& path : doomed.paths) {
      const Status removed = files->Remove(path);
      // A later file of the same name may have gone with an earlier task.
      const bool gone = removed.ok() || removed.code() == StatusCode::kNotFound;
      if (!gone) LOG(WARNING) << removed.ToString();
    }
    doomed.open_files.clear();
  };
  if (options_.run_later)
    options_.run_later(std::move(remove));
  else
    remove();
}

Result<size_t> LogImpl::DeleteOldSegments(size_t count) {
  Doomed doomed;
  Status outcome;
  size_t gone = 0;
  // Oldest first, and none behind one that stays: the log never has a hole.
  while (gone < count && outcome.ok()) {
    outcome = RenameToDeleted(*segments_[gone], true, doomed);
    if (!outcome.ok() && fs().Exists(segments_[gone]->path())) break;
    size_bytes_.fetch_sub(segments_[gone]->size_bytes(), std::memory_order_relaxed);
    ++gone;
  }
  // For want of room for the new name: retention tries again.
  if (outcome.code() != StatusCode::kDiskFull) SLUICE_RETURN_IF_ERROR(Checked(outcome));
  if (gone == 0) return gone;
  const Offset first_kept = segments_[gone]->base_offset();
  std::erase_if(sealed_unsynced_,
                [&](const SealedFiles& sealed) { return sealed.end <= first_kept; });
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(gone));
  if (first_kept > log_start_offset()) SetStart(first_kept);
  MarkDirectoryDirty();
  RemoveLater(std::move(doomed));
  return gone;
}

// All its records are too old. One that compaction emptied must not keep those behind it. What is
// damaged of one is taken to be no younger than what is whole of it and what comes behind it: else
// one bad segment would keep all that follows for ever. The newest one stays then.
bool LogImpl::Expired(size_t i, int64_t now_ms) const {
  if (segments_[i]->size_bytes() == 0) return true;
  int64_t newest_ms = TimeIndex::kNoTimestamp;
  for (size_t at = i; at < segments_.size(); ++at) {
    Segment& segment = *segments_[at];
    if (segment.size_bytes() == 0) continue;
    const Status loaded = NotedAtEnd(at, segment.EnsureLoaded());
    const bool readable = segment.EnsureReadable().ok();
    if (at > i && readable && segment.first_timestamp_ms())
      newest_ms = std::max(newest_ms, *segment.first_timestamp_ms());
    if (at == i && readable) newest_ms = std::max(newest_ms, segment.max_timestamp_ms());
    const bool told = at == i ? loaded.ok() : readable;
    if (told) return newest_ms >= 0 && now_ms - newest_ms > config().retention_ms;
    if (loaded.code() != StatusCode::kCorruption) return false;
  }
  return false;
}

Result<int> LogImpl::ApplyRetention(Offset high_watermark) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  const int64_t now_ms = options_.clock->WallMs();
  producers_.RemoveExpired(now_ms, config().producer_id_expiration_ms);
  int64_t excess_bytes = config().retention_bytes < 0
                             ? -1
                             : static_cast<int64_t>(size_bytes()) - config().retention_bytes;
  size_t count = 0;
  for (; count < segments_.size(); ++count) {
    Segment& segment = *segments_[count];
    const bool last = count + 1 == segments_.size();
    const Offset end = last ? log_end_offset() : segments_[count + 1]->base_offset();
    if (end > high_watermark || (last && segment.size_bytes() == 0)) break;
    const bool below_start = end <= log_start_offset();
    const bool expired =
        config().cleanup_delete && config().retention_ms >= 0 && Expired(count, now_ms);
    const bool surplus = config().cleanup_delete && excess_bytes >= 0 &&
                         excess_bytes - int64_t{segment.size_bytes()} >= 0;
    if (!below_start && !expired && !surplus) break;
    if (excess_bytes >= 0) excess_bytes -= segment.size_bytes();
  }
  if (count == 0) return 0;
  SLUICE_RETURN_IF_ERROR(EnsureEpochs());
  if (count == segments_.size()) {
    SLUICE_RETURN_IF_ERROR(EnsureActive());
    const Status rolled = Checked(Roll());
    // What the others leave is the room that this one waits for.
    if (rolled.code() == StatusCode::kDiskFull && count > 1)
      --count;
    else
      SLUICE_RETURN_IF_ERROR(rolled);
  }
  SLUICE_ASSIGN_OR_RETURN(const size_t deleted, DeleteOldSegments(count));
  if (epochs_.TruncateFromStart(log_start_offset())) SLUICE_RETURN_IF_ERROR(Checked(SaveEpochs()));
  return static_cast<int>(deleted);
}

}  // namespace sluice::storage
