#pragma once
// IndexTestimony: what a segment's two indexes say of its log, where they do not fit it. An index
// that is damaged is built again; but when both are whole, ascend, and yet most of what either says
// is untrue, then it is more likely the log that was changed for another.
//
// A sample of the entries is compared with the batches as a walk over the log comes by them.
//
// Thread rule: one owner.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "storage/batch_header.h"
#include "storage/offset_index.h"
#include "storage/time_index.h"

namespace sluice::storage {

class IndexTestimony {
 public:
  // Of indexes as they were loaded from their files; entries at or above `end_max` cannot be the
  // segment's. The indexes outlive it no longer than the call.
  static Result<IndexTestimony> Take(const OffsetIndex& offsets, const TimeIndex& times,
                                     Offset end_max);

  // All batches of the log, in order.
  void OnBatch(const BatchHeader& batch, uint64_t position);
  // After the last batch: of what they say of the log below `upto`.
  bool BothDeny(Offset upto = Offset(INT64_MAX)) const {
    return Denies(offsets_, true_offsets_, upto) && Denies(times_, true_times_, upto);
  }

 private:
  template <typename Entry>
  static bool Denies(const std::vector<Entry>& said, size_t held, Offset upto) {
    const auto below = std::partition_point(
        said.begin(), said.end(), [upto](const Entry& entry) { return entry.offset < upto; });
    return held * 2 < static_cast<size_t>(below - said.begin());
  }

  // Empty when the index says nothing, or cannot be believed.
  std::vector<OffsetIndex::Entry> offsets_;
  std::vector<TimeIndex::Entry> times_;
  size_t next_offset_ = 0;
  size_t next_time_ = 0;
  size_t true_offsets_ = 0;
  size_t true_times_ = 0;
};

}  // namespace sluice::storage
