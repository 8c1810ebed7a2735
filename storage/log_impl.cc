#include "storage/log_impl.h"

#include <algorithm>

#include "storage/file_names.h"
#include "storage/partition_metadata.h"
#include "storage/recovery.h"
#include "storage/remedy.h"

namespace sluice::storage {

Result<std::unique_ptr<Log>> Log::Open(LogOptions options) {
  CHECK(options.file_system != nullptr && options.clock != nullptr);
  SLUICE_ASSIGN_OR_RETURN(LogState state, RecoverLog(options));
  const LogImpl::Opened opened{state.unsynced_from, state.epochs_changed, state.directory_created};
  auto log = std::make_unique<LogImpl>(std::move(options), std::move(state));
  SLUICE_RETURN_IF_ERROR(log->FinishOpening(opened));
  log->LookAgain();
  return std::unique_ptr<Log>(std::move(log));
}

LogImpl::LogImpl(LogOptions options, LogState state)
    : options_(std::move(options)),
      home_(std::move(state.home)),
      segments_(std::move(state.segments)),
      epochs_(std::move(state.epochs)),
      epochs_loaded_(!state.later),
      producers_(std::move(state.producers)),
      producers_loaded_(!state.later),
      opened_end_(segments_.back()->end_offset()),
      txn_indexes_(std::move(state.txn_indexes)),
      lost_(std::move(state.lost)),
      log_start_(state.log_start.value()),
      log_end_(segments_.back()->end_offset().value()),
      flushed_(state.flushed.value()),
      size_bytes_(0),
      recovery_(std::move(state.report)),
      active_since_ms_(options_.clock->SteadyMs()) {
  for (const auto& segment : segments_) {
    size_bytes_ += segment->size_bytes();
    if (segment != segments_.back()) segment->SetSealed();
  }
}

Status LogImpl::FinishOpening(const Opened& opened) {
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    if (segment.base_offset() < opened.unsynced_from) continue;
    if (segment.loaded()) {
      SLUICE_RETURN_IF_ERROR(segment.Seal());
      SLUICE_RETURN_IF_ERROR(segment.SealedFiles().status());
      std::vector<std::shared_ptr<File>> txn_files;
      SLUICE_RETURN_IF_ERROR(SealTxnIndex(segment.base_offset(), txn_files));
    }
    sealed_unsynced_.push_back({next_sequence_++, segment.base_offset(), segment.end_offset(), {}});
    MarkDirectoryDirty();  // the index files may be new
  }
  // A process that was killed may have made the names and written the small files moments before:
  // the next flush must not take them for durable.
  if (opened.directory_created || !options_.clean) {
    MarkDirectoryDirty();
    const size_t slash = options_.directory.rfind('/');
    if (slash != std::string::npos && slash > 0) MarkUnsynced({Beside::Kind::kParent});
    for (const Beside file : {Beside{Beside::Kind::kTopicId}, Beside{Beside::Kind::kEpochs}}) {
      if (fs().Exists(PathOf(file))) MarkUnsynced(file);
    }
  }
  if (opened.epochs_changed) SLUICE_RETURN_IF_ERROR(SaveEpochs());
  // Checked against the id by RecoverLog; absent in a new directory, or when a crash came before
  // its first sync.
  if (options_.topic_id.IsZero() || fs().Exists(PathTo(kPartitionMetadataName)))
    return Status::Ok();
  return WriteUnsynced({Beside::Kind::kTopicId}, FormatPartitionMetadata(options_.topic_id));
}

void LogImpl::LookAgain() {
  if (!options_.damaged_at) return;
  const Offset from = std::clamp(*options_.damaged_at, log_start_offset(), log_end_offset());
  const Status read = Read(from, 1, Offset(INT64_MAX), true).status();
  LOG_IF(WARNING, !read.ok()) << options_.directory
                              << ": found damaged before the last stop, and now: "
                              << read.message();
}

Status LogImpl::known_damage() const {
  SLUICE_RETURN_IF_ERROR(CheckFirst(log_start_offset()));
  const auto lost = lost_.lower_bound(log_start_offset());
  if (lost != lost_.end()) {
    return Status::Corruption(home_->PathOf(*lost, kLogSuffix) +
                              " is missing: its indexes are there" + kFileRemedy);
  }
  for (const FoundDamage& found : found_) {
    if (Holds(found)) return found.why;
  }
  return Status::Ok();
}

Status LogImpl::Checked(Status status) const {
  switch (status.code()) {
    case StatusCode::kOk:
    case StatusCode::kDiskFull:  // nothing was changed; it works again when there is room
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
    case StatusCode::kFenced: return status;
    default: break;
  }
  if (!offline_.ok()) return status;
  offline_ = Status::IoError(options_.directory + " is offline after: " + status.message());
  offline_code_ = status.code();
  LOG(ERROR) << offline_.message();
  return status;
}

void LogImpl::SetEnd(Offset end) { log_end_.store(end.value(), std::memory_order_relaxed); }

void LogImpl::NoteHot(Offset first) {
  const int64_t now_ms = options_.clock->SteadyMs();
  const int64_t age_ms = now_ms - next_hot_since_ms_;
  if (age_ms < kHotStepMs) return;
  const bool goes_on = age_ms < 2 * kHotStepMs;
  hot_from_ = goes_on ? next_hot_from_ : first;
  hot_since_ms_ = goes_on ? next_hot_since_ms_ : now_ms;
  next_hot_from_ = first;
  next_hot_since_ms_ = now_ms;
}

Status LogImpl::NoteEpoch(LeaderEpoch epoch, Offset start) {
  SLUICE_RETURN_IF_ERROR(EnsureEpochs());
  const bool changed = epochs_.Assign(epoch, start);
  return changed || epochs_unsaved_ ? SaveEpochs() : Status::Ok();
}

Status LogImpl::AssignEpochStart(LeaderEpoch epoch, Offset start) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  if (start > log_end_offset()) {
    return Status::OutOfRange(options_.directory + ": epoch " + std::to_string(epoch.value()) +
                              " cannot start at " + std::to_string(start.value()) +
                              ", above the end " + std::to_string(log_end_offset().value()));
  }
  SLUICE_RETURN_IF_ERROR(EnsureEpochs());
  if (epoch < latest_epoch()) {
    return Status::Fenced(options_.directory + ": epoch " + std::to_string(epoch.value()) +
                          " is older than " + std::to_string(latest_epoch().value()));
  }
  return Checked(NoteEpoch(epoch, start));
}

LeaderEpoch LogImpl::latest_epoch() const {
  (void)EnsureEpochs();
  return epochs_.latest();
}

EpochEndOffset LogImpl::EndOffsetFor(LeaderEpoch epoch) const {
  (void)EnsureEpochs();
  return epochs_.EndOffsetFor(epoch, log_end_offset());
}

}  // namespace sluice::storage
