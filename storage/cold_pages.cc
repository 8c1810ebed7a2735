#include "storage/cold_pages.h"

#include <algorithm>

namespace sluice::storage {
namespace {

// Asked about and noted at once.
constexpr uint64_t kPieceBytes = 128u << 10;
constexpr uint64_t kPageBytes = 4096;

}  // namespace

ColdPages::Pin ColdPages::Note(const std::shared_ptr<File>& file, uint64_t offset,
                               uint64_t size_bytes) {
  const Pin pin = std::make_shared<char>();
  std::vector<Range> cold;
  uint64_t cold_bytes = 0;
  const uint64_t end = (offset + size_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  for (uint64_t at = offset / kPageBytes * kPageBytes; at < end;) {
    const uint64_t piece_end = std::min(end, (at / kPieceBytes + 1) * kPieceBytes);
    const uint64_t piece_bytes = piece_end - at;
    if (!file->MostlyInMemory(at, piece_bytes)) {
      const bool goes_on = !cold.empty() && cold.back().offset + cold.back().size_bytes == at;
      if (!goes_on) cold.push_back({file, holds_files_ ? file : nullptr, at, 0, pin});
      cold.back().size_bytes += piece_bytes;
      cold_bytes += piece_bytes;
    }
    at = piece_end;
  }
  if (cold.empty()) return nullptr;
  {
    std::lock_guard lock(mutex_);
    ranges_.insert(ranges_.end(), cold.begin(), cold.end());
    noted_bytes_ += cold_bytes;
  }
  DropDownTo(bytes_max_);
  return pin;
}

void ColdPages::DropDownTo(uint64_t bytes) {
  std::vector<Range> leaving;
  {
    std::lock_guard lock(mutex_);
    for (auto range = ranges_.begin(); range != ranges_.end() && noted_bytes_ > bytes;) {
      if (!range->pin.expired()) {
        ++range;
        continue;
      }
      noted_bytes_ -= range->size_bytes;
      leaving.push_back(std::move(*range));
      range = ranges_.erase(range);
    }
  }
  for (const Range& range : leaving) {
    if (const auto file = range.file.lock()) file->WontRead(range.offset, range.size_bytes);
  }
}

uint64_t ColdPages::noted_bytes() const {
  std::lock_guard lock(mutex_);
  return noted_bytes_;
}

}  // namespace sluice::storage
