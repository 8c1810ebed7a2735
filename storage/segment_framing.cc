// Whether whole batches lie where a reader is to be sent bytes that an earlier process wrote: the
// lengths and offsets in their headers, not the checksums, which clients verify. Some clients end
// their process over a batch of length 0, so that such bytes are never sent. Each part of a file is
// looked at once.

#include <algorithm>

#include "storage/remedy.h"
#include "storage/segment.h"

namespace sluice::storage {
namespace {

// Of a range that is not in memory this much is brought in at a time: it is sent next.
constexpr uint64_t kPieceBytesMax = uint64_t{512} << 10;
// What a scanner may read beyond the last header.
constexpr uint64_t kBeyondBytes = uint64_t{16} << 10;

}  // namespace

Result<uint32_t> Segment::WholeUpto(uint32_t position, uint32_t upto) {
  const uint32_t unsure_end = std::min(upto, unwalked_upto_);
  if (position >= unsure_end) return upto;
  if (walked_ == nullptr) walked_ = std::make_unique<WalkedRanges>();
  uint32_t at = walked_->EndFrom(position);
  if (at >= unsure_end) return upto;
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  BatchScanner batches = Scan(file, at, size_, BatchScanner::kHeadersOnly);
  Status walked;
  for (Offset due = base_; at < unsure_end;) {
    const Result<bool> more = batches.Next();
    if (!more.ok()) walked = more.status();
    if (!more.ok() || !*more) break;
    const BatchHeader& batch = batches.header();
    if (batch.base_offset < due || batch.last_offset >= end_) break;
    due = batch.last_offset + 1;
    at = static_cast<uint32_t>(batches.next_position());
  }
  walked_->Add(position, at);
  if (walked.code() == StatusCode::kWouldWait) {
    const uint64_t piece = std::min(unsure_end - at + kBeyondBytes, kPieceBytesMax);
    home_.lacking->slice = {file, at, static_cast<uint32_t>(std::min(piece, size_ - at))};
    home_.lacking->passing = true;
  }
  if (!walked.ok()) return walked;
  return at < unsure_end ? at : upto;
}

Status Segment::NoBatchAt(uint64_t position, const std::string& where) const {
  return Status::Corruption(path() + ": no batch begins at position " + std::to_string(position) +
                            ", where " + where + kFileRemedy);
}

}  // namespace sluice::storage
