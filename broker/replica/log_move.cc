#include "broker/replica/log_move.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "storage/no_waiting.h"
#include "storage/read_lacking.h"

namespace sluice::broker {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
// So much is made durable at a time: the disk is others' too, and the last flush is to be short.
constexpr size_t kFlushBytes = size_t{16} << 20;
// What may be copied under the partition's mutex.
constexpr size_t kLastBytes = size_t{256} << 10;
constexpr int kFruitlessMax = 100;
constexpr Offset kNoCut{INT64_MAX};
// Batches of every epoch are the log's.
constexpr LeaderEpoch kAnyEpoch{INT32_MAX};

// Of the log, that is: not of the target.
Status OfLog(const Status& status) {
  return status.ok() ? status : Status::Unavailable("its log cannot be read: " + status.message());
}

}  // namespace

LogMove::LogMove(std::shared_ptr<Partition> partition, storage::DirectoryPtr target)
    : partition_(std::move(partition)), target_(std::move(target)) {}

storage::LogMoveSpec LogMove::Spec() const {
  return {partition_->name(), partition_->key().topic_id, target_};
}

LogMove::Begun LogMove::Begin() {
  Partition& partition = *partition_;
  std::lock_guard lock(partition.mutex_);
  if (!partition.usable() || partition.directory_ == nullptr) return Begun::kOffline;
  if (partition.directory_ == target_) {
    partition.move_.reset();  // another one, which is given up
    return Begun::kThere;
  }
  partition.move_ = weak_from_this();
  return Begun::kMoves;
}

Status LogMove::LookOnce(Look& look, size_t size_bytes, bool may_wait) {
  Partition& partition = *partition_;
  const Offset from = copy_->log_end_offset();
  std::lock_guard lock(partition.mutex_);
  if (!partition.usable()) return Status::Unavailable(partition.error_);
  if (!partition.damage_.empty()) return Status::Unavailable(partition.damage_);
  storage::Log& log = *partition.log_;
  cut_due_ = std::min(cut_due_, std::exchange(cut_, kNoCut));
  look.start = log.log_start_offset();
  look.end = log.log_end_offset();
  look.config = partition.config_;
  look.lacking = {};
  if (cut_due_ < from || from < look.start || from >= look.end) return Status::Ok();
  const storage::NoWaiting no_waiting(log, may_wait ? nullptr : &look.lacking);
  auto read = log.Read(from, size_bytes, Offset(INT64_MAX), /*one_at_least=*/true);
  if (read.status().code() == StatusCode::kWouldWait) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(read.status());
  look.slices = std::move(read->slices);
  return Status::Ok();
}

Result<LogMove::Look> LogMove::LookAtLog(size_t size_bytes) {
  Look look;
  const auto once = [&](bool may_wait) -> Result<storage::Lacking> {
    SLUICE_RETURN_IF_ERROR(LookOnce(look, size_bytes, may_wait));
    return look.lacking;
  };
  SLUICE_RETURN_IF_ERROR(OfLog(storage::ReadWhatLacks(once)));
  return look;
}

Result<bool> LogMove::Adapt(const Look& look) {
  copy_->set_config(LogConfigOf(*look.config));
  bool changed = false;
  if (cut_due_ < copy_->log_end_offset()) {
    SLUICE_RETURN_IF_ERROR(copy_->TruncateTo(cut_due_));
    changed = true;
  }
  // Not before: for want of room it may have to be tried again.
  cut_due_ = kNoCut;
  const Offset start = copy_->log_start_offset();
  if (look.start > copy_->log_end_offset()) {
    SLUICE_RETURN_IF_ERROR(copy_->TruncateFullyAndStartAt(look.start));
    changed = true;
  } else if (look.start > start) {
    SLUICE_RETURN_IF_ERROR(copy_->AdvanceLogStart(look.start));
  }
  return changed;
}

Result<std::string> LogMove::ReadPiece(const std::vector<FileSlice>& slices) const {
  std::string bytes;
  for (const FileSlice& slice : slices) {
    const size_t at = bytes.size();
    bytes.resize(at + slice.size_bytes);
    auto read = slice.file->ReadAt(slice.offset, bytes.data() + at, slice.size_bytes);
    SLUICE_RETURN_IF_ERROR(OfLog(read.status()));
    // It was cut a moment ago.
    bytes.resize(at + *read);
    if (*read < slice.size_bytes) break;
  }
  return bytes;
}

Status LogMove::Append(const std::string& bytes) {
  const Offset before = copy_->log_end_offset();
  const Status appended = copy_->AppendAsFollower(bytes, kAnyEpoch);
  const bool grown = copy_->log_end_offset() > before;
  fruitless_ = grown ? 0 : fruitless_ + 1;
  if (grown) {
    target_->NoteWritten(bytes.size());
    unflushed_bytes_ += bytes.size();
  }
  // Bytes that were cut away and replaced while they were read: the next look tells.
  if (appended.code() != StatusCode::kInvalidArgument) SLUICE_RETURN_IF_ERROR(appended);
  if (fruitless_ <= kFruitlessMax) return Status::Ok();
  return Status::Unavailable("nothing can be copied from offset " + std::to_string(before.value()) +
                             " on: " + appended.message());
}

Result<LogMove::Progress> LogMove::CopyNext(storage::LogDirectories& logs,
                                            ReplicationQuota& quota) {
  if (!target_->online()) return Status::Unavailable(target_->path() + " is offline");
  // Also on a full disk: what an earlier copy has left there goes with it.
  if (copy_ == nullptr) {
    SLUICE_ASSIGN_OR_RETURN(copy_, logs.StartMove(Spec(), LogConfigOf(*partition_->config())));
  }
  if (target_->level() == storage::SpaceLevel::kFull) return Progress::kNoRoom;
  const int64_t available_bytes = quota.Available();
  if (available_bytes == 0) return Progress::kThrottled;
  const auto piece_bytes = std::min<int64_t>(kPieceBytes, available_bytes);
  SLUICE_ASSIGN_OR_RETURN(const Look look, LookAtLog(static_cast<size_t>(piece_bytes)));
  SLUICE_ASSIGN_OR_RETURN(const bool adapted, Adapt(look));
  if (!adapted && copy_->log_end_offset() < look.end) {
    if (look.slices.empty()) return Progress::kGap;
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadPiece(look.slices));
    SLUICE_RETURN_IF_ERROR(Append(bytes));
    quota.Take(static_cast<int64_t>(bytes.size()));
  }
  Publish();
  if (unflushed_bytes_ >= kFlushBytes) SLUICE_RETURN_IF_ERROR(Flush());
  return copy_->log_end_offset() == look.end ? Progress::kCaughtUp : Progress::kMore;
}

void LogMove::Publish() {
  copied_end_ = copy_->log_end_offset().value();
  copied_bytes_ = copy_->size_bytes();
}

Status LogMove::Flush() {
  const storage::FlushTarget target = copy_->PrepareFlush();
  const Status outcome = target.Run();
  copy_->OnFlushed(target.upto, outcome);
  unflushed_bytes_ = 0;
  return outcome;
}

bool LogMove::HoldFlushes() {
  Partition& partition = *partition_;
  std::lock_guard lock(partition.mutex_);
  partition.flushes_held_ = true;
  return !partition.flush_queued_ && partition.flushes_captured_ == 0;
}

void LogMove::ReleaseFlushes(PartitionEffects& effects) {
  Partition& partition = *partition_;
  std::lock_guard lock(partition.mutex_);
  if (!std::exchange(partition.flushes_held_, false)) return;
  if (partition.usable() && (partition.config_->fsync || !partition.flush_waiters_.empty()))
    partition.RequestFlush(effects);
}

// The partition's mutex is held. What is left is in memory: it was written a moment ago.
Status LogMove::CopyLast() {
  storage::Log& log = *partition_->log_;
  size_t copied_bytes = 0;
  while (copy_->log_end_offset() < log.log_end_offset()) {
    if (copied_bytes > kLastBytes || cut_ < copy_->log_end_offset())
      return Status::WouldWait("there is more");
    auto read =
        log.Read(copy_->log_end_offset(), kLastBytes, Offset(INT64_MAX), /*one_at_least=*/true);
    SLUICE_RETURN_IF_ERROR(OfLog(read.status()));
    if (read->slices.empty()) return Status::WouldWait("it ends in a gap");
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadPiece(read->slices));
    SLUICE_RETURN_IF_ERROR(Append(bytes));
    copied_bytes += std::max<size_t>(bytes.size(), 1);
  }
  if (cut_ != kNoCut || log.log_start_offset() < copy_->log_start_offset())
    return Status::WouldWait("it was cut");
  SLUICE_RETURN_IF_ERROR(copy_->AdvanceLogStart(log.log_start_offset()));
  copy_->set_config(LogConfigOf(*partition_->config_));
  SLUICE_RETURN_IF_ERROR(copy_->TakeHistoryOf(log));
  return Flush();
}

LogMove::Swapped LogMove::Swap(storage::LogDirectories& logs, storage::Flusher& flusher,
                               PartitionEffects& effects) {
  Partition& partition = *partition_;
  std::lock_guard lock(partition.mutex_);
  if (!partition.usable() || partition.role_ == Partition::Role::kNone) {
    failure_ = Status::Unavailable("the replica is out of service");
    return Swapped::kFailed;
  }
  if (partition.move_.lock().get() != this) {
    failure_ = Status::Unavailable("another directory was asked for");
    return Swapped::kFailed;
  }
  failure_ = CopyLast();
  if (failure_.code() == StatusCode::kWouldWait) return Swapped::kNotYet;
  if (!failure_.ok()) return Swapped::kFailed;
  bool source_lost = false;
  failure_ = logs.FinishMove(Spec(), {partition.directory_, copy_.get(), partition.high_watermark_},
                             source_lost);
  if (!failure_.ok()) {
    // Two disks have failed at once: which log the next start will find nobody can tell.
    if (source_lost)
      partition.GoOffline("its move has failed on both disks: " + failure_.message(), effects);
    return Swapped::kFailed;
  }
  partition.log_ = copy_;
  partition.directory_ = target_;
  partition.flusher_ = &flusher;
  partition.flushes_held_ = false;
  partition.move_.reset();
  // All of it is durable now.
  partition.CompleteFlushWaiters(effects);
  if (partition.role_ == Partition::Role::kLeader) partition.AdvanceHighWatermark(effects);
  return Swapped::kDone;
}

LogMove::Left LogMove::GiveUp(PartitionEffects& effects) {
  ReleaseFlushes(effects);
  Partition& partition = *partition_;
  std::lock_guard lock(partition.mutex_);
  if (partition.move_.lock().get() == this) partition.move_.reset();
  return {partition.directory_, partition.usable()};
}

std::function<void()> LogMove::Drop(storage::LogDirectories& logs) const {
  return [&logs, spec = Spec(), copy = copy_] { logs.GiveUpMove(spec, copy.get()); };
}

}  // namespace sluice::broker
