#pragma once
// NaiveLog: what a Log must do, as plainly as it can be said: a vector of batches and a list of
// epochs. Tests run both and compare.
//
// Thread rule: one owner.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "storage/testing/log_fixture.h"

namespace sluice::storage::testing {

struct NaiveBatch {
  SeenBatch seen;
  int64_t timestamp_ms = 0;  // of the first record
  int64_t timestamp_step_ms = 0;
};

class NaiveLog {
 public:
  int64_t start() const { return start_; }
  int64_t end() const { return end_; }
  const std::vector<NaiveBatch>& batches() const { return batches_; }

  void Append(const NaiveBatch& batch);
  void AssignEpoch(int32_t epoch, int64_t start);
  void TruncateTo(int64_t offset);
  void StartAgainAt(int64_t offset);
  void AdvanceStart(int64_t offset);
  // What a crash left: everything at or above `end` is gone. Epochs are kept up to `end`, as a Log
  // does.
  void CutTo(int64_t end);

  // Batches that hold offsets of [from, upto), whole, and end below `upto`.
  std::vector<SeenBatch> Read(int64_t from, int64_t upto) const;
  // (offset, timestamp) of the first record at or above the start with timestamp >= `ms`.
  std::optional<std::pair<int64_t, int64_t>> FindTimestamp(int64_t ms, int64_t upto) const;
  int64_t MaxTimestamp(int64_t upto) const;  // -1 when there is no record
  // (epoch, end offset), (-1, -1) when there is no history.
  std::pair<int32_t, int64_t> EndOffsetFor(int32_t epoch) const;
  int32_t latest_epoch() const { return epochs_.empty() ? -1 : epochs_.back().first; }

 private:
  std::vector<NaiveBatch> batches_;
  std::vector<std::pair<int32_t, int64_t>> epochs_;  // with start offsets
  int64_t start_ = 0;
  int64_t end_ = 0;
};

}  // namespace sluice::storage::testing
