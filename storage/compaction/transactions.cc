#include "storage/compaction/transactions.h"

#include <algorithm>

#include "base/bytes.h"
#include "storage/compaction/record_walk.h"

namespace sluice::storage {
namespace {

enum class MarkerType { kNone, kAbort, kCommit, kOther };

// The key of a control record is its version and its type, two bytes each.
MarkerType MarkerTypeOf(std::string_view batch) {
  constexpr size_t kTypeAt = 2;
  constexpr int16_t kAbort = 0;
  constexpr int16_t kCommit = 1;
  RecordWalk walk(batch.substr(BatchHeader::kBytes));
  RecordSpan record;
  if (!walk.Next(record)) return MarkerType::kNone;
  if (record.key.size() < kTypeAt + sizeof(int16_t)) return MarkerType::kOther;
  const auto type = LoadBigEndian<int16_t>(record.key.data() + kTypeAt);
  if (type == kAbort) return MarkerType::kAbort;
  return type == kCommit ? MarkerType::kCommit : MarkerType::kOther;
}

}  // namespace

TransactionTracker::TransactionTracker(std::vector<AbortedTransaction> aborted)
    : coming_(aborted.begin(), aborted.end()) {
  std::stable_sort(coming_.begin(), coming_.end(),
                   [](const AbortedTransaction& a, const AbortedTransaction& b) {
                     return a.first_offset < b.first_offset;
                   });
}

void TransactionTracker::BeginUpTo(Offset offset) {
  while (!coming_.empty() && coming_.front().first_offset <= offset) {
    aborted_.try_emplace(coming_.front().producer_id, Aborted{coming_.front(), false});
    coming_.pop_front();
  }
}

bool TransactionTracker::OnControlBatch(const BatchHeader& batch, std::string_view bytes) {
  BeginUpTo(batch.last_offset);
  switch (MarkerTypeOf(bytes)) {
    case MarkerType::kAbort: {
      const auto found = aborted_.find(batch.producer_id);
      if (found == aborted_.end()) return true;
      const Aborted ended = found->second;
      aborted_.erase(found);
      if (ended.seen) entries_.push_back(ended.span);
      return !ended.seen;
    }
    case MarkerType::kCommit: return committing_.erase(batch.producer_id) == 0;
    case MarkerType::kOther: return false;
    case MarkerType::kNone: return true;  // emptied by an earlier run
  }
  return false;
}

bool TransactionTracker::OnDataBatch(const BatchHeader& batch) {
  BeginUpTo(batch.last_offset);
  if (!batch.is_transactional()) return false;
  if (const auto found = aborted_.find(batch.producer_id); found != aborted_.end()) {
    found->second.seen = true;
    return true;
  }
  committing_.insert(batch.producer_id);
  return false;
}

std::vector<AbortedTransaction> TransactionTracker::TakeIndexEntries() {
  return std::exchange(entries_, {});
}

}  // namespace sluice::storage
