// Durability: what a flush has to sync, what its end proves, and the small files beside the
// segments.

#include <algorithm>

#include "storage/file_names.h"
#include "storage/log_impl.h"

namespace sluice::storage {

Status FlushTarget::Run() const {
  for (const auto& file : files) SLUICE_RETURN_IF_ERROR(file->Sync());
  for (const std::string& directory : directories)
    SLUICE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
  return Status::Ok();
}

FlushTarget LogImpl::PrepareFlush() {
  constexpr size_t kCapturesMax = 64;
  FlushTarget target;
  target.upto = log_end_offset();
  target.file_system = options_.file_system;
  if (!offline_.ok()) return target;
  for (const SealedFiles& sealed : sealed_unsynced_) {
    target.files.insert(target.files.end(), sealed.files.begin(), sealed.files.end());
  }
  if (active().size_bytes() > 0 && active().end_offset() > flushed_offset()) {
    auto file = active().OpenFile();
    // Without a capture the report of this target proves nothing.
    if (!Checked(file.status()).ok()) return target;
    target.files.push_back(std::move(*file));
  }
  for (const auto& [path, item] : unsynced_) {
    if (item.is_directory) {
      target.directories.push_back(path);
      continue;
    }
    auto file = fs().Open(path, OpenMode::kReadWrite);
    if (!Checked(file.status()).ok()) return target;
    target.files.push_back(std::move(*file));
  }
  // Captures that nobody reported on must not pile up; one forgotten here only makes its report
  // prove nothing.
  if (captures_.size() == kCapturesMax) captures_.erase(captures_.begin());
  captures_.push_back({target.upto, target.upto, next_sequence_});
  return target;
}

void LogImpl::OnFlushed(Offset upto, const Status& outcome) {
  if (!outcome.ok()) {
    // The kernel may have dropped the dirty pages: a later sync that succeeds proves nothing
    // (invariant 3 of Log).
    (void)Checked(Status::IoError("a flush failed: " + outcome.message()));
    return;
  }
  const auto capture = std::find_if(captures_.begin(), captures_.end(),
                                    [&](const Capture& c) { return c.upto == upto; });
  if (capture == captures_.end()) return;
  const Offset proven = std::min(capture->cap, log_end_offset());
  const uint64_t sequence = capture->sequence;
  captures_.erase(capture);
  if (proven > flushed_offset()) flushed_.store(proven.value(), std::memory_order_relaxed);
  if (proven >= active().end_offset()) active().MarkSynced();
  std::erase_if(sealed_unsynced_, [&](const SealedFiles& sealed) {
    return sealed.sequence < sequence && sealed.end <= proven;
  });
  std::erase_if(unsynced_, [&](const auto& item) { return item.second.sequence < sequence; });
}

Status LogImpl::FlushNow() {
  const FlushTarget target = PrepareFlush();
  const Status outcome = target.Run();
  OnFlushed(target.upto, outcome);
  return outcome;
}

Status LogImpl::WriteUnsynced(const std::string& path, std::string_view data) {
  const std::string temporary = path + std::string(kTempSuffix);
  SLUICE_ASSIGN_OR_RETURN(auto file, fs().Open(temporary, OpenMode::kCreateTruncate));
  if (const Status written = file->WriteAt(0, data); !written.ok()) {
    // Half of it would only take room from what needs it.
    (void)fs().Remove(temporary);
    return written;
  }
  SLUICE_RETURN_IF_ERROR(fs().Rename(temporary, path));
  unsynced_[path] = {next_sequence_++, false};
  MarkDirectoryDirty(options_.directory);
  return Status::Ok();
}

void LogImpl::MarkDirectoryDirty(const std::string& directory) {
  unsynced_[directory] = {next_sequence_++, true};
}

Status LogImpl::SaveEpochs() {
  return WriteUnsynced(PathTo(kEpochCheckpointName), epochs_.ToText());
}

Status LogImpl::SaveSnapshot() {
  return WriteUnsynced(PathTo(OffsetFileName(log_end_offset(), kSnapshotSuffix)),
                       producers_.EncodeSnapshot());
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
    sealed_unsynced_.push_back({next_sequence_++, log_end_offset(), std::move(files)});
  }
  // A log that was not used since it was opened has its snapshot from the last stop.
  if (log_end_offset() > log_start_offset() &&
      (producers_loaded_ || log_end_offset() != opened_end_)) {
    SLUICE_RETURN_IF_ERROR(EnsureProducers());
    SLUICE_RETURN_IF_ERROR(Checked(SaveSnapshot()));
  }
  FlushTarget target = PrepareFlush();
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  return target;
}

Status LogImpl::FinishClose(Offset upto, const Status& outcome) {
  OnFlushed(upto, outcome);
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  offline_ = Status::Unavailable(options_.directory + " is closed");
  return Status::Ok();
}

}  // namespace sluice::storage
