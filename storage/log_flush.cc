// Durability: what a flush has to sync, what its end proves, and the small files beside the
// segments.

#include <algorithm>

#include "base/planted_fault.h"
#include "storage/file_names.h"
#include "storage/log_impl.h"

namespace sluice::storage {

namespace {

Status SyncPaths(FileCache& cache, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    FileCache::Ref ref;
    const auto file = cache.Open(ref, path, OpenMode::kReadWrite);
    if (file.status().code() == StatusCode::kNotFound) continue;
    SLUICE_RETURN_IF_ERROR(file.status());
    const Status synced = (*file)->Sync();
    cache.Forget(ref);
    SLUICE_RETURN_IF_ERROR(synced);
  }
  return Status::Ok();
}

}  // namespace

// The id file and its name come before the records: those that a power cut leaves behind an id that
// it took would be anybody's (LogManagerImpl::NeverFlushed has the other half of it).
Status FlushTarget::Run() const {
  SLUICE_RETURN_IF_ERROR(status);
  if (!beside.empty()) SLUICE_RETURN_IF_ERROR(SyncPaths(*cache, beside));
  for (const std::string& directory : directories) {
    const Status synced = file_system->SyncDirectory(directory);
    if (synced.code() != StatusCode::kNotFound) SLUICE_RETURN_IF_ERROR(synced);
  }
  for (const auto& file : files) SLUICE_RETURN_IF_ERROR(file->Sync());
  return paths.empty() ? Status::Ok() : SyncPaths(*cache, paths);
}

FlushTarget LogImpl::PrepareFlush() {
  FlushTarget target;
  target.upto = log_end_offset();
  target.cache = home_->cache;
  target.file_system = options_.file_system;
  // Without a capture the report of this target would prove nothing, so that it must be an error.
  if (Status captured = Capture(target); !captured.ok())
    return {.upto = target.upto, .status = std::move(captured)};
  return target;
}

Status LogImpl::Capture(FlushTarget& target) {
  constexpr size_t kCapturesMax = 64;
  SLUICE_RETURN_IF_ERROR(failure());
  for (const SealedFiles& sealed : sealed_unsynced_) {
    target.files.insert(target.files.end(), sealed.files.begin(), sealed.files.end());
    if (!sealed.files.empty()) continue;
    // Here nothing is being removed. Indexes can be built again; records cannot.
    if (const std::string log = home_->PathOf(sealed.base, kLogSuffix); !fs().Exists(log))
      return Checked(Status::NotFound(log + " is gone before it was synced"));
    for (const std::string_view suffix : {kLogSuffix, kIndexSuffix, kTimeIndexSuffix})
      target.paths.push_back(home_->PathOf(sealed.base, suffix));
    if (txn_indexes_->Has(sealed.base))
      target.paths.push_back(home_->PathOf(sealed.base, kTxnIndexSuffix));
  }
  // Bytes below a start that was moved past them count too: the log's end depends on them.
  const bool dirty = active().end_offset() > flushed_offset() || active().has_unsynced_bytes();
  if (active().size_bytes() > 0 && dirty) {
    auto file = active().OpenFile();
    SLUICE_RETURN_IF_ERROR(Checked(file.status()));
    target.files.push_back(std::move(*file));
  }
  for (const Unsynced& item : unsynced_) {
    const bool is_directory =
        item.what.kind == Beside::Kind::kDirectory || item.what.kind == Beside::Kind::kParent;
    (is_directory ? target.directories : target.beside).push_back(PathOf(item.what));
  }
  // Captures that nobody reported on must not pile up; one forgotten here only makes its report
  // prove nothing.
  if (captures_.size() == kCapturesMax) captures_.erase(captures_.begin());
  captures_.push_back({target.upto, target.upto, next_sequence_});
  return Status::Ok();
}

void LogImpl::OnFlushed(Offset upto, const Status& outcome) {
  if (!outcome.ok()) {
    // The kernel may have dropped the dirty pages: a later sync that succeeds proves nothing
    // (invariant 3 of Log).
    (void)Checked(Status::IoError("a flush failed: " + outcome.message()));
    return;
  }
  const auto capture = std::find_if(captures_.begin(), captures_.end(),
                                    [&](const Captured& c) { return c.upto == upto; });
  if (capture == captures_.end()) return;
  const Offset proven = FaultPlanted(ReplicationFault::kFlushedBeyondCapture)
                            ? log_end_offset()
                            : std::min(capture->cap, log_end_offset());
  const uint64_t sequence = capture->sequence;
  captures_.erase(capture);
  if (proven > flushed_offset()) flushed_.store(proven.value(), std::memory_order_relaxed);
  if (proven >= active().end_offset()) active().MarkSynced();
  std::erase_if(sealed_unsynced_, [&](const SealedFiles& sealed) {
    return sealed.sequence < sequence && sealed.end <= proven;
  });
  std::erase_if(unsynced_, [&](const Unsynced& item) { return item.sequence < sequence; });
  if (unsynced_.empty()) unsynced_.shrink_to_fit();
}

Status LogImpl::FlushNow() {
  const FlushTarget target = PrepareFlush();
  const Status outcome = target.Run();
  OnFlushed(target.upto, outcome);
  return outcome;
}

std::string LogImpl::PathOf(const Beside& what) const {
  switch (what.kind) {
    case Beside::Kind::kDirectory: return options_.directory;
    case Beside::Kind::kParent: return options_.directory.substr(0, options_.directory.rfind('/'));
    case Beside::Kind::kTopicId: return PathTo(kPartitionMetadataName);
    case Beside::Kind::kEpochs: return PathTo(kEpochCheckpointName);
    case Beside::Kind::kSnapshot: return PathTo(OffsetFileName(what.offset, kSnapshotSuffix));
  }
  return "";
}

Status LogImpl::WriteUnsynced(const Beside& beside, std::string_view data) {
  const std::string path = PathOf(beside);
  const std::string temporary = path + std::string(kTempSuffix);
  SLUICE_ASSIGN_OR_RETURN(auto file, fs().Open(temporary, OpenMode::kCreateTruncate));
  if (const Status written = file->WriteAt(0, data); !written.ok()) {
    // Half of it would only take room from what needs it.
    (void)fs().Remove(temporary);
    return written;
  }
  SLUICE_RETURN_IF_ERROR(fs().Rename(temporary, path));
  MarkUnsynced(beside);
  MarkDirectoryDirty();
  return Status::Ok();
}

void LogImpl::MarkUnsynced(const Beside& what) {
  const auto found = std::find_if(unsynced_.begin(), unsynced_.end(),
                                  [&](const Unsynced& item) { return item.what == what; });
  const uint64_t sequence = next_sequence_++;
  if (found != unsynced_.end())
    found->sequence = sequence;
  else
    unsynced_.push_back({what, sequence});
}

Status LogImpl::SaveEpochs() {
  // A start would believe the old file: no record may come in before this one is there.
  epochs_unsaved_ = true;
  SLUICE_RETURN_IF_ERROR(WriteUnsynced({Beside::Kind::kEpochs}, epochs_.ToText()));
  epochs_unsaved_ = false;
  return Status::Ok();
}

Status LogImpl::SaveSnapshot() {
  return WriteUnsynced({Beside::Kind::kSnapshot, log_end_offset()}, producers_.EncodeSnapshot());
}

Status LogImpl::Close() {
  SLUICE_ASSIGN_OR_RETURN(const FlushTarget target, BeginClose());
  return FinishClose(target.upto, target.Run());
}

Result<FlushTarget> LogImpl::BeginClose() {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  VoidPlans();
  if (active().loaded()) {
    SLUICE_RETURN_IF_ERROR(Checked(active().Seal()));
    // Its .txnindex wants what was appended.
    if (log_end_offset() != opened_end_) SLUICE_RETURN_IF_ERROR(EnsureProducers());
    SLUICE_ASSIGN_OR_RETURN(auto files, active().SealedFiles());
    SLUICE_RETURN_IF_ERROR(Checked(SealTxnIndex(active().base_offset(), files)));
    sealed_unsynced_.push_back(
        {next_sequence_++, active().base_offset(), log_end_offset(), std::move(files)});
  }
  // A log that was not used since it was opened has its snapshot from the last stop.
  if (log_end_offset() > log_start_offset() &&
      (producers_loaded_ || log_end_offset() != opened_end_)) {
    SLUICE_RETURN_IF_ERROR(EnsureProducers());
    SLUICE_RETURN_IF_ERROR(Checked(SaveSnapshot()));
  }
  if (epochs_unsaved_) SLUICE_RETURN_IF_ERROR(Checked(SaveEpochs()));
  FlushTarget target = PrepareFlush();
  SLUICE_RETURN_IF_ERROR(target.status);
  return target;
}

Status LogImpl::FinishClose(Offset upto, const Status& outcome) {
  OnFlushed(upto, outcome);
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  offline_ = Status::Unavailable(options_.directory + " is closed");
  offline_code_ = offline_.code();
  return Status::Ok();
}

}  // namespace sluice::storage
