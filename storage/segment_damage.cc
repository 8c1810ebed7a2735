#include "storage/segment_damage.h"

#include <algorithm>
#include <iterator>

namespace sluice::storage {

void SegmentDamage::OnBatch(const BatchHeader& batch, uint64_t position) {
  constexpr uint64_t kStepBytes = 1 << 20;
  if (places.empty() || position >= places.back().position + kStepBytes)
    places.push_back({{batch.last_offset, static_cast<uint32_t>(position)}, newest.timestamp_ms});
  if (!first_timestamp_ms) first_timestamp_ms = batch.max_timestamp_ms;
  if (batch.max_timestamp_ms > newest.timestamp_ms)
    newest = {batch.max_timestamp_ms, batch.last_offset};
}

OffsetIndex::Entry SegmentDamage::Floor(Offset offset) const {
  const auto after =
      std::upper_bound(places.begin(), places.end(), offset,
                       [](Offset o, const OffsetIndex::Entry& entry) { return o < entry.offset; });
  if (after == places.begin()) return {offset, 0};
  return *std::prev(after);
}

Offset SegmentDamage::FloorOfTime(int64_t timestamp_ms, Offset base) const {
  const auto after = std::partition_point(places.begin(), places.end(), [&](const Place& place) {
    return place.time_before_ms < timestamp_ms;
  });
  return after == places.begin() ? base : std::prev(after)->offset;
}

}  // namespace sluice::storage
