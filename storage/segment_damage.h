#pragma once
// SegmentDamage: why a segment cannot be loaded, and what of it is whole all the same: the batches
// before the damage, which were all read to find it. Owned by its segment.
//
// Thread rule: as its segment: guarded by the log's owner.

#include <optional>
#include <vector>

#include "base/status.h"
#include "storage/batch_header.h"
#include "storage/offset_index.h"
#include "storage/time_index.h"

namespace sluice::storage {

struct SegmentDamage {
  Status why;
  Offset whole_end;
  uint32_t whole_bytes = 0;
  struct Place : OffsetIndex::Entry {
    int64_t time_before_ms;  // the largest of the batches before it
  };
  std::vector<Place> places;  // of some whole batches, from the first on
  TimeIndex::Entry newest;
  std::optional<int64_t> first_timestamp_ms;

  // Batches in order; remembers one here and there.
  void OnBatch(const BatchHeader& batch, uint64_t position);
  OffsetIndex::Entry Floor(Offset offset) const;
  // No batch before it has a record of `timestamp_ms` or later.
  Offset FloorOfTime(int64_t timestamp_ms, Offset base) const;
};

}  // namespace sluice::storage
