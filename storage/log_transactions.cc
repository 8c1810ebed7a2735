// Transactions as readers of what is committed need them: the last stable offset, and who was
// aborted.

#include <algorithm>

#include "storage/log_impl.h"
#include "storage/recovery.h"

namespace sluice::storage {

Result<Offset> LogImpl::LastStableOffset(Offset high_watermark) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_RETURN_IF_ERROR(EnsureProducers());
  const auto unstable = producers_.FirstUnstable(high_watermark);
  if (!unstable) return high_watermark;
  return std::min(high_watermark, std::max(*unstable, log_start_offset()));
}

Offset LogImpl::EndOfSegment(size_t i) const {
  return i + 1 < segments_.size() ? segments_[i + 1]->base_offset() : log_end_offset();
}

Status LogImpl::EnsureTxnIndex(size_t i) const {
  const Offset base = segments_[i]->base_offset();
  SLUICE_ASSIGN_OR_RETURN(const bool sound, txn_indexes_->Check(base, EndOfSegment(i)));
  if (sound) return Status::Ok();
  const MayWait wait(*home_);
  LOG(WARNING) << options_.directory << ": the transaction index of the segment at " << base
               << " is damaged; it is built again";
  SLUICE_RETURN_IF_ERROR(txn_indexes_->StartAgain(base));
  const TxnRebuild rebuild{txn_indexes_.get(), base, EndOfSegment(i)};
  SLUICE_RETURN_IF_ERROR(LoadProducers(options_, segments_, &rebuild).status());
  SLUICE_ASSIGN_OR_RETURN(const auto file, txn_indexes_->Complete(base));
  return file == nullptr ? Status::Ok() : file->Sync();
}

Result<std::vector<AbortedTransaction>> LogImpl::AbortedTransactions(
    const OffsetRange& range) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_RETURN_IF_ERROR(EnsureProducers());
  std::vector<AbortedTransaction> found;
  if (txn_indexes_->empty() || range.from >= range.upto) return found;
  for (size_t i = SegmentIndexOf(range.from); i < segments_.size(); ++i) {
    const Offset base = segments_[i]->base_offset();
    if (!txn_indexes_->Has(base)) continue;
    SLUICE_RETURN_IF_ERROR(EnsureTxnIndex(i));
    SLUICE_ASSIGN_OR_RETURN(const bool complete, txn_indexes_->Collect(base, range, found));
    if (complete) break;
  }
  return found;
}

Result<std::vector<AbortedTransaction>> LogImpl::AbortedInRead(const OffsetRange& range,
                                                               size_t size_bytes) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_RETURN_IF_ERROR(EnsureProducers());
  if (txn_indexes_->empty()) return std::vector<AbortedTransaction>();
  SLUICE_ASSIGN_OR_RETURN(const Offset end, EndOfRead(range.from, size_bytes));
  return AbortedTransactions({range.from, std::min(range.upto, end)});
}

// An offset above all records in the `size_bytes` that begin with the batch of `from`.
Result<Offset> LogImpl::EndOfRead(Offset from, size_t size_bytes) const {
  bool first_batch = true;
  for (size_t i = SegmentIndexOf(from); i < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    SLUICE_RETURN_IF_ERROR(segment.EnsureReadable());
    uint64_t position = 0;
    if (first_batch) {
      SLUICE_ASSIGN_OR_RETURN(const auto place, segment.Locate(from));
      if (!place) continue;
      position = place->position;
      first_batch = false;
    }
    if (position + size_bytes <= segment.readable_bytes())
      return segment.OffsetAbove(position + size_bytes);
    size_bytes -= segment.readable_bytes() - position;
  }
  return log_end_offset();
}

Status LogImpl::TruncateTxnIndex(Offset end) {
  const size_t i = segments_.size() - 1;
  const Offset base = segments_[i]->base_offset();
  if (!txn_indexes_->Has(base)) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const bool sound, txn_indexes_->Check(base, Offset(INT64_MAX)));
  if (!sound) return EnsureTxnIndex(i);
  return txn_indexes_->TruncateTo(base, end);
}

Status LogImpl::SealTxnIndex(Offset base, std::vector<std::shared_ptr<File>>& files) {
  SLUICE_ASSIGN_OR_RETURN(auto file, txn_indexes_->Complete(base));
  if (file != nullptr) files.push_back(std::move(file));
  return Status::Ok();
}

}  // namespace sluice::storage
