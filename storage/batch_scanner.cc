#include "storage/batch_scanner.h"

#include <algorithm>

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

size_t BatchScanner::ChunkBytes(size_t size) const {
  if (chunk_bytes_ != kHeadersOnly) return std::max(size, chunk_bytes_);
  // Above this a system call for each header costs less than to read what lies between them.
  constexpr size_t kLargeBatchBytes = 2048;
  constexpr size_t kSmallBatchesBytes = 16384;
  return header_.size_bytes > kLargeBatchBytes ? size : std::max(size, kSmallBatchesBytes);
}

Result<std::string_view> BatchScanner::View(uint64_t position, size_t size) {
  const bool buffered =
      position >= buffer_position_ && position + size <= buffer_position_ + buffer_.size();
  if (!buffered) {
    const uint64_t left = end_ > position ? end_ - position : 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(left, ChunkBytes(size)));
    buffer_.resize(wanted);
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(position, buffer_.data(), wanted));
    buffer_.resize(got);
    buffer_position_ = position;
  }
  return std::string_view(buffer_).substr(position - buffer_position_, size);
}

}  // namespace sluice::storage
