// Partition as a follower: where to fetch from, appending what came, and truncation by leader
// epochs.
#include <algorithm>

#include "base/planted_fault.h"
#include "broker/replica/log_move.h"
#include "broker/replica/partition.h"

namespace sluice::broker {

sluice::Status Partition::CheckFollowing(LeaderEpoch epoch) const {
  if (role_ != Role::kFollower || leader_epoch_ != epoch) {
    return sluice::Status::Fenced(name().ToString() + " is not a follower in epoch " +
                                  std::to_string(epoch.value()) + " any more");
  }
  if (!usable()) return sluice::Status::IoError(error_);
  // Else it would be in the ISR again, and might be elected.
  if (!damage_.empty()) return sluice::Status::IoError(damage_);
  return sluice::Status::Ok();
}

Result<Partition::FollowerPosition> Partition::PositionIn(LeaderEpoch epoch) const {
  std::lock_guard lock(mutex_);
  SLUICE_RETURN_IF_ERROR(CheckFollowing(epoch));
  return FollowerPosition{log_->log_end_offset(), log_->latest_epoch(), log_->log_start_offset()};
}

sluice::Status Partition::AppendFetched(const FetchedData& data, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  SLUICE_RETURN_IF_ERROR(CheckFollowing(data.epoch));
  if (!data.batches.empty() && DiskFull())
    return sluice::Status::DiskFull("the disk of " + directory_->path() + " is full");
  if (!data.batches.empty()) {
    const sluice::Status appended = log_->AppendAsFollower(data.batches, data.epoch);
    if (!appended.ok()) {
      // Bad bytes from the leader (kInvalidArgument) are not damage of this log.
      NoteStorage(appended, effects);
      return appended;
    }
    directory_->NoteWritten(data.batches.size());
    if (!config_->fsync) RequestDueFlush(effects);  // else the fetcher asks, and waits
  }
  // Rule 6. A new leader may still be behind what the old one told.
  const Offset known = FaultPlanted(ReplicationFault::kHighWatermarkBeyondEnd)
                           ? data.leader_high_watermark
                           : std::min(data.leader_high_watermark, log_->log_end_offset());
  if (known > high_watermark_) SetHighWatermark(known, effects);
  if (data.leader_log_start > log_->log_start_offset()) {
    const Offset start = std::min(data.leader_log_start, high_watermark_);
    if (start > log_->log_start_offset()) NoteStorage(log_->AdvanceLogStart(start), effects);
  }
  return sluice::Status::Ok();
}

sluice::Status Partition::TruncateDiverging(LeaderEpoch epoch,
                                            const storage::EpochEndOffset& leader_end,
                                            PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  SLUICE_RETURN_IF_ERROR(CheckFollowing(epoch));
  const storage::EpochEndOffset own = log_->EndOffsetFor(leader_end.epoch);
  Offset target = log_->log_start_offset();
  // Both histories hold that epoch: they agree up to the shorter one's end of it. We know only
  // older epochs: what follows the last of them is not the leader's, and the next fetch asks about
  // that epoch.
  if (own.epoch == leader_end.epoch) {
    target = std::min(own.end_offset, leader_end.end_offset);
  } else if (own.epoch != kNoEpoch) {
    target = own.end_offset;
  }
  if (FaultPlanted(ReplicationFault::kTruncatesTooFar))
    target = log_->EndOffsetFor(LeaderEpoch(leader_end.epoch.value() - 1)).end_offset;
  target = std::clamp(target, log_->log_start_offset(), log_->log_end_offset());
  // Else only the history is cut: of epochs in which nobody wrote.
  LOG_IF(INFO, target < log_->log_end_offset())
      << name().ToString() << ": truncating from " << log_->log_end_offset() << " to " << target
      << ", where epoch " << leader_end.epoch << " of the leader's history ends at "
      << leader_end.end_offset;
  const sluice::Status truncated = log_->TruncateTo(target);
  Truncated(effects);
  NoteStorage(truncated, effects);
  return truncated;
}

sluice::Status Partition::RestartAt(LeaderEpoch epoch, Offset leader_log_start,
                                    PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  SLUICE_RETURN_IF_ERROR(CheckFollowing(epoch));
  const bool empty = log_->log_end_offset() == log_->log_start_offset();
  if (log_->log_end_offset() >= leader_log_start && !empty) {
    return sluice::Status::InvalidArgument(name().ToString() + ": the leader refuses offset " +
                                           std::to_string(log_->log_end_offset().value()) +
                                           " though its log starts at " +
                                           std::to_string(leader_log_start.value()));
  }
  LOG(INFO) << name().ToString() << ": starting over at " << leader_log_start
            << ", the start of the leader's log";
  const sluice::Status truncated = log_->TruncateFullyAndStartAt(leader_log_start);
  if (truncated.ok()) high_watermark_ = leader_log_start;
  Truncated(effects);
  NoteStorage(truncated, effects);
  return truncated;
}

void Partition::Truncated(PartitionEffects& effects) {
  if (const auto move = move_.lock()) move->NoteCut(log_->log_end_offset());
  watch_.NoteEnd(log_->log_end_offset());
  watch_.Note(effects);
  // Only an unclean election can have made the leader's log end below what was committed; the rest
  // of it is gone everywhere.
  if (high_watermark_ > log_->log_end_offset()) {
    LOG(ERROR) << name().ToString() << ": committed records up to " << high_watermark_
               << " were truncated to " << log_->log_end_offset()
               << " after an unclean leader election";
    high_watermark_ = log_->log_end_offset();
  }
  for (FlushWaiter& waiter : flush_waiters_)
    waiter.upto = std::min(waiter.upto, log_->log_end_offset());
  CompleteFlushWaiters(effects);
}

}  // namespace sluice::broker
