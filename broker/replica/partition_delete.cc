// Partition as a leader: deletions of records from the front, which are done when every live
// replica has moved its log start. Followers learn the leader's start with their fetches and tell
// theirs with the next.
#include <algorithm>

#include "broker/replica/partition.h"

namespace sluice::broker {

using kafka::ErrorCode;

void Partition::DeleteRecords(const DeleteRequest& request, PartitionEffects& effects) {
  DeleteRecordsResult& result = request.operation->result(request.entry);
  std::lock_guard lock(mutex_);
  result.error = CheckLeader(kNoEpoch);
  if (result.error != ErrorCode::kNone) return;
  if (config_->cleanup_compact && !config_->cleanup_delete) {
    result.error = ErrorCode::kPolicyViolation;
    return;
  }
  const Offset before = request.before == Offset(-1) ? high_watermark_ : request.before;
  if (before < Offset(0) || before > high_watermark_) {
    result.error = ErrorCode::kOffsetOutOfRange;
    return;
  }
  if (before > log_->log_start_offset()) {
    if (const sluice::Status moved = log_->AdvanceLogStart(before); !moved.ok()) {
      NoteStorage(moved, effects);
      result.error = ErrorCode::kKafkaStorageError;
      return;
    }
    ForgetPassedDamage(effects);
    NudgeFollowers(effects);
  }
  result.low_watermark = LowWatermark();
  if (result.low_watermark >= before) return;
  delete_waiters_.push_back(request);
  delete_waiters_.back().before = before;
  request.operation->AddWaiting();
}

Offset Partition::LowWatermark() const {
  const metadata::ImagePtr image = context_->metadata->Current();
  Offset low = log_->log_start_offset();
  for (const RemoteReplica& remote : replicas_.remotes()) {
    const metadata::BrokerImage* broker = image->FindBroker(remote.id);
    // Who is away learns the start before it serves anything again.
    if (broker != nullptr && broker->active()) low = std::min(low, remote.log_start_offset);
  }
  return low;
}

void Partition::EndDelete(DeleteRequest& waiter, ErrorCode error, PartitionEffects& effects) {
  effects.callbacks.push_back([operation = std::move(waiter.operation), entry = waiter.entry,
                               error] { operation->Finish(entry, error); });
}

void Partition::CompleteDeletes(PartitionEffects& effects) {
  if (delete_waiters_.empty()) return;
  const Offset low = LowWatermark();
  std::erase_if(delete_waiters_, [&](DeleteRequest& waiter) {
    waiter.operation->result(waiter.entry).low_watermark = low;
    if (low < waiter.before) return false;
    EndDelete(waiter, ErrorCode::kNone, effects);
    return true;
  });
}

void Partition::ExpireDeletes(int64_t now_ms, PartitionEffects& effects) {
  if (delete_waiters_.empty()) return;
  CompleteDeletes(effects);  // a replica that held it up may be gone
  std::erase_if(delete_waiters_, [&](DeleteRequest& waiter) {
    if (waiter.deadline_ms > now_ms && !waiter.operation->abandoned()) return false;
    EndDelete(waiter, ErrorCode::kRequestTimedOut, effects);
    return true;
  });
}

void Partition::FailDeletes(ErrorCode error, PartitionEffects& effects) {
  for (DeleteRequest& waiter : delete_waiters_) EndDelete(waiter, error, effects);
  delete_waiters_.clear();
}

}  // namespace sluice::broker
