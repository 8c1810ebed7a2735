#include "storage/inspect/index_checks.h"

#include <algorithm>

namespace sluice::storage {
namespace {

std::string Text(Offset offset) { return std::to_string(offset.value()); }
std::string Text(int64_t number) { return std::to_string(number); }

}  // namespace

Status IndexCheck::CheckTail(SegmentRole role) {
  if (fault_ || !reader_.has_tail()) return Status::Ok();
  const uint64_t end = reader_.end_position();
  SLUICE_ASSIGN_OR_RETURN(const auto behind, reader_.FirstNonZeroInTail());
  const uint64_t bytes = reader_.size_bytes() - end;
  if (behind) {
    FailAt(*behind, "bytes behind the last entry, which ends at " + std::to_string(end) +
                        ": a torn entry, or a hole of zeros");
  } else if (role == SegmentRole::kSealed) {
    FailAt(end, end == 0 ? "zero-filled: " + std::to_string(bytes) + " zero bytes and no entry"
                         : std::to_string(bytes) + " zero bytes behind the last entry");
  }
  return Status::Ok();
}

Status OffsetIndexCheck::Advance() {
  const std::optional<OffsetEntry> before = entry_;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Next());
  if (bytes.empty()) {
    entry_.reset();
    return Status::Ok();
  }
  entry_ = DecodeOffsetEntry(bytes, base_);
  const bool ascends = before
                           ? entry_->offset > before->offset && entry_->position > before->position
                           : entry_->offset >= base_ && entry_->position >= 0;
  if (!ascends) {
    Fail("the entry for offset " + Text(entry_->offset) + " at position " + Text(entry_->position) +
         " does not ascend");
  }
  return Status::Ok();
}

Status OffsetIndexCheck::OnBatch(const BatchHeader& batch, uint64_t position) {
  if (fault()) return Status::Ok();
  if (!started_) SLUICE_RETURN_IF_ERROR(Advance());
  started_ = true;
  const auto at = static_cast<int64_t>(position);
  if (!entry_ || fault() || entry_->position > at) return Status::Ok();
  if (entry_->position < at) {
    Fail("an entry for offset " + Text(entry_->offset) + " points to position " +
         Text(entry_->position) + " of the log, where no batch begins");
    return Status::Ok();
  }
  if (entry_->offset != batch.last_offset) {
    Fail("an entry says offset " + Text(entry_->offset) + " for position " + Text(at) +
         " of the log, where a batch ends at offset " + Text(batch.last_offset));
    return Status::Ok();
  }
  return Advance();
}

Status OffsetIndexCheck::Finish(SegmentRole role) {
  if (!started_ && !fault()) SLUICE_RETURN_IF_ERROR(Advance());
  if (!fault() && entry_) {
    Fail("an entry for offset " + Text(entry_->offset) + " points to position " +
         Text(entry_->position) + ", behind the end of the log");
  }
  return CheckTail(role);
}

Status TimeIndexCheck::Advance(bool zeros_count) {
  const std::optional<TimeEntry> before = entry_;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Next(zeros_count));
  if (bytes.empty()) {
    entry_.reset();
    return Status::Ok();
  }
  entry_ = DecodeTimeEntry(bytes, base_);
  const bool ascends =
      before ? entry_->timestamp_ms > before->timestamp_ms && entry_->offset > before->offset
             : entry_->timestamp_ms >= 0 && entry_->offset >= base_;
  if (!ascends) {
    Fail("the entry for time " + Text(entry_->timestamp_ms) + " and offset " +
         Text(entry_->offset) + " does not ascend");
  }
  return Status::Ok();
}

Status TimeIndexCheck::OnBatch(const BatchHeader& batch) {
  if (fault()) return Status::Ok();
  // Records of 1970 may make a first entry of zeros.
  if (!started_) {
    SLUICE_RETURN_IF_ERROR(Advance(batch.max_timestamp_ms == 0 && reader_.size_bytes() == 12));
  }
  started_ = true;
  max_ms_ = std::max(max_ms_, batch.max_timestamp_ms);
  if (!entry_ || fault() || entry_->offset > batch.last_offset) return Status::Ok();
  if (entry_->offset < batch.base_offset) {
    Fail("an entry for time " + Text(entry_->timestamp_ms) + " names offset " +
         Text(entry_->offset) + ", which no batch holds");
    return Status::Ok();
  }
  if (entry_->timestamp_ms != batch.max_timestamp_ms || entry_->timestamp_ms != max_ms_) {
    Fail("an entry says time " + Text(entry_->timestamp_ms) + " for offset " +
         Text(entry_->offset) + "; the batch there has " + Text(batch.max_timestamp_ms) +
         ", the largest up to it is " + Text(max_ms_));
    return Status::Ok();
  }
  last_entry_ms_ = entry_->timestamp_ms;
  return Advance(false);
}

Status TimeIndexCheck::Finish(SegmentRole role) {
  if (!started_ && !fault()) SLUICE_RETURN_IF_ERROR(Advance(false));
  if (!fault() && entry_) {
    Fail("an entry for time " + Text(entry_->timestamp_ms) + " names offset " +
         Text(entry_->offset) + ", behind the end of the log");
  }
  SLUICE_RETURN_IF_ERROR(CheckTail(role));
  if (role == SegmentRole::kSealed && last_entry_ms_ < max_ms_) {
    FailAt(reader_.end_position(), "the entries end at time " + Text(last_entry_ms_) +
                                       ", but the segment holds records of " + Text(max_ms_));
  }
  return Status::Ok();
}

Status TxnIndexCheck::Advance() {
  SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Next());
  started_ = true;
  if (bytes.empty()) {
    entry_.reset();
    return Status::Ok();
  }
  entry_ = DecodeTxnEntry(bytes);
  if (entry_->version != 0) {
    Fail("an entry has version " + Text(int64_t{entry_->version}) + " where 0 is expected");
  } else if (entry_->last_offset <= last_ || entry_->first_offset >= entry_->last_offset) {
    Fail("the entry for offsets " + Text(entry_->first_offset) + " to " +
         Text(entry_->last_offset) + " does not ascend");
  }
  last_ = entry_->last_offset;
  return Status::Ok();
}

Status TxnIndexCheck::SkipBelow(Offset offset) {
  if (!started_ && !fault()) SLUICE_RETURN_IF_ERROR(Advance());
  while (!fault() && entry_ && entry_->last_offset < offset) {
    Fail("an entry for producer " + Text(entry_->producer_id.value()) + " names offset " +
         Text(entry_->last_offset) + ", where no abort marker stands");
  }
  return Status::Ok();
}

Status TxnIndexCheck::OnAbort(const BatchHeader& marker, const std::optional<TxnEntry>& expected) {
  SLUICE_RETURN_IF_ERROR(SkipBelow(marker.last_offset));
  if (fault()) return Status::Ok();
  const bool met = entry_ && entry_->last_offset == marker.last_offset;
  if (!met) {
    const bool lags = may_lag_ && !entry_;
    if (expected && !lags) {
      FailAt(reader_.end_position(), "no entry for the transaction of producer " +
                                         Text(marker.producer_id.value()) +
                                         " that was aborted at offset " + Text(marker.last_offset) +
                                         ": readers would take its records for committed");
    }
    return Status::Ok();
  }
  // Compaction may have dropped the transaction's first batches since the entry was written.
  const bool covers = !expected || entry_->first_offset <= expected->first_offset;
  if (entry_->producer_id != marker.producer_id || !covers) {
    Fail("an entry tells of producer " + Text(entry_->producer_id.value()) + " from offset " +
         Text(entry_->first_offset) + " on; the marker at offset " + Text(marker.last_offset) +
         " is of producer " + Text(marker.producer_id.value()) +
         (expected ? ", whose transaction began at " + Text(expected->first_offset) : ""));
    return Status::Ok();
  }
  return Advance();
}

Status TxnIndexCheck::Finish() {
  SLUICE_RETURN_IF_ERROR(SkipBelow(Offset(INT64_MAX)));
  return CheckTail(SegmentRole::kSealed);
}

}  // namespace sluice::storage
