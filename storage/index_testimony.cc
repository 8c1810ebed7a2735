#include "storage/index_testimony.h"

#include <algorithm>

namespace sluice::storage {
namespace {

constexpr size_t kSamplesMax = 64;

template <typename Index>
auto Sample(const Index& index, Offset end_max) -> Result<std::vector<typename Index::Entry>> {
  std::vector<typename Index::Entry> entries;
  const size_t count = index.count();
  if (count == 0 || !index.whole() || index.last().offset >= end_max) return entries;
  SLUICE_ASSIGN_OR_RETURN(const bool ascends, index.Ascends());
  if (!ascends) return entries;
  const size_t samples = std::min(count, kSamplesMax);
  for (size_t i = 0; i < samples; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const typename Index::Entry entry, index.At(i * count / samples));
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace

Result<IndexTestimony> IndexTestimony::Take(const OffsetIndex& offsets, const TimeIndex& times,
                                            Offset end_max) {
  IndexTestimony testimony;
  SLUICE_ASSIGN_OR_RETURN(testimony.offsets_, Sample(offsets, end_max));
  SLUICE_ASSIGN_OR_RETURN(testimony.times_, Sample(times, end_max));
  return testimony;
}

void IndexTestimony::OnBatch(const BatchHeader& batch, uint64_t position) {
  while (next_offset_ < offsets_.size() && offsets_[next_offset_].position < position)
    ++next_offset_;
  if (next_offset_ < offsets_.size() && offsets_[next_offset_].position == position &&
      offsets_[next_offset_].offset == batch.last_offset) {
    ++true_offsets_;
  }
  while (next_time_ < times_.size() && times_[next_time_].offset < batch.base_offset) ++next_time_;
  if (next_time_ < times_.size() && times_[next_time_].offset <= batch.last_offset &&
      times_[next_time_].timestamp_ms == batch.max_timestamp_ms) {
    ++true_times_;
  }
}

}  // namespace sluice::storage
