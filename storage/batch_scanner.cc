#include "storage/batch_scanner.h"

#include <algorithm>

#include "storage/segment_home.h"

namespace sluice::storage {

Result<bool> BatchScanner::Next() {
  if (damaged_ || next_ >= end_) return false;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, View(next_, BatchHeader::kBytes));
  const auto header = BatchHeader::Parse(bytes);
  if (!header || header->size_bytes > end_ - next_) {
    damaged_ = true;
    return false;
  }
  header_ = *header;
  position_ = next_;
  next_ += header_.size_bytes;
  return true;
}

Result<std::string_view> BatchScanner::Bytes() { return View(position_, header_.size_bytes); }

size_t BatchScanner::ChunkBytes(uint64_t position, size_t size) const {
  if (chunk_bytes_ == kByPages) {
    constexpr uint64_t kPageBytes = 4096;
    constexpr int kDoublings = 4;
    const uint64_t pages = uint64_t{1} << std::clamp(reads_ - 2, 0, kDoublings);
    const uint64_t end = position + std::max<uint64_t>(size, (pages - 1) * kPageBytes + 1);
    return static_cast<size_t>((end + kPageBytes - 1) / kPageBytes * kPageBytes - position);
  }
  if (chunk_bytes_ != kHeadersOnly) return std::max(size, chunk_bytes_);
  // Above this a system call for each header costs less than to read what lies between them.
  constexpr size_t kLargeBatchBytes = 2048;
  constexpr size_t kSmallBatchesBytes = 16384;
  return header_.size_bytes > kLargeBatchBytes ? size : std::max(size, kSmallBatchesBytes);
}

// A page here and a page there would cost a disk more than all of them.
void BatchScanner::HintAhead(uint64_t position) {
  constexpr size_t kWorthSkippingBytes = 65536;
  constexpr uint64_t kAheadBytes = 1 << 20;
  if (chunk_bytes_ != kHeadersOnly || header_.size_bytes > kWorthSkippingBytes) return;
  if (hinted_upto_ >= end_ || position + kAheadBytes / 2 < hinted_upto_) return;
  const uint64_t from = std::max(position, hinted_upto_);
  hinted_upto_ = std::min(end_, from + kAheadBytes);
  file_->WillRead(from, hinted_upto_ - from);
}

Result<size_t> BatchScanner::Read(uint64_t position, size_t size) {
  if (lacking_ == nullptr) return file_->ReadAt(position, buffer_.data(), size);
  const FileSlice wanted{held_, position, static_cast<uint32_t>(size)};
  return SegmentHome::ReadOrTell(wanted, buffer_.data(), *lacking_);
}

Result<std::string_view> BatchScanner::View(uint64_t position, size_t size) {
  const bool buffered =
      position >= buffer_position_ && position + size <= buffer_position_ + buffer_.size();
  if (!buffered) {
    const uint64_t left = end_ > position ? end_ - position : 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(left, ChunkBytes(position, size)));
    buffer_.resize(wanted);
    ++reads_;
    HintAhead(position);
    SLUICE_ASSIGN_OR_RETURN(const size_t got, Read(position, wanted));
    buffer_.resize(got);
    buffer_position_ = position;
  }
  return std::string_view(buffer_).substr(position - buffer_position_, size);
}

}  // namespace sluice::storage
