#pragma once
// Checks of a segment's three indexes against its batches, told one after another in the order of
// the log. Each keeps its first fault: what follows one wrong entry is mostly its consequence.
//
// Thread rule: one owner.

#include <optional>
#include <string>

#include "storage/inspect/entry_reader.h"
#include "storage/inspect/segment_walk.h"

namespace sluice::storage {

// Where and why an index is wrong.
struct IndexFault {
  uint64_t position = 0;
  std::string problem;
};

// What a segment is to its indexes: a sealed one's are complete, those of the newest may lag behind
// and end in zeros.
enum class SegmentRole { kSealed, kNewest };

class IndexCheck {
 public:
  IndexCheck(EntryReader reader, Offset base) : reader_(std::move(reader)), base_(base) {}
  const std::optional<IndexFault>& fault() const { return fault_; }
  const std::string& path() const { return reader_.path(); }

 protected:
  void Fail(std::string problem) { FailAt(reader_.position(), std::move(problem)); }
  void FailAt(uint64_t position, std::string problem) {
    if (!fault_) fault_ = IndexFault{position, std::move(problem)};
  }
  // Behind the entries.
  Status CheckTail(SegmentRole role);

  EntryReader reader_;
  const Offset base_;

 private:
  std::optional<IndexFault> fault_;
};

class OffsetIndexCheck : public IndexCheck {
 public:
  using IndexCheck::IndexCheck;
  Status OnBatch(const BatchHeader& batch, uint64_t position);
  // After the last batch.
  Status Finish(SegmentRole role);

 private:
  Status Advance();

  bool started_ = false;
  std::optional<OffsetEntry> entry_;  // the next to be met
};

class TimeIndexCheck : public IndexCheck {
 public:
  using IndexCheck::IndexCheck;
  Status OnBatch(const BatchHeader& batch);
  Status Finish(SegmentRole role);

 private:
  Status Advance(bool zeros_count);

  bool started_ = false;
  std::optional<TimeEntry> entry_;
  int64_t last_entry_ms_ = -1;
  int64_t max_ms_ = -1;  // of the batches so far
};

class TxnIndexCheck : public IndexCheck {
 public:
  // `may_lag`: the newest entries may not have been written, as after a crash.
  TxnIndexCheck(EntryReader reader, Offset base, bool may_lag)
      : IndexCheck(std::move(reader), base), may_lag_(may_lag) {}
  // An abort marker, and the entry that it should have, if there is anything left to hide.
  Status OnAbort(const BatchHeader& marker, const std::optional<TxnEntry>& expected);
  Status Finish();

 private:
  // Takes the entries that end below `offset`: their markers are not there.
  Status SkipBelow(Offset offset);
  Status Advance();

  const bool may_lag_;
  bool started_ = false;
  std::optional<TxnEntry> entry_;
  Offset last_{-1};
};

}  // namespace sluice::storage
