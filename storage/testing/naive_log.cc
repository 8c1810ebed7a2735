#include "storage/testing/naive_log.h"

#include <algorithm>

namespace sluice::storage::testing {

void NaiveLog::Append(const NaiveBatch& batch) {
  AssignEpoch(batch.seen.epoch, batch.seen.base);
  batches_.push_back(batch);
  end_ = batch.seen.last + 1;
}

void NaiveLog::AssignEpoch(int32_t epoch, int64_t start) {
  if (epoch <= latest_epoch()) return;
  while (!epochs_.empty() && epochs_.back().second >= start) epochs_.pop_back();
  epochs_.emplace_back(epoch, start);
}

void NaiveLog::TruncateTo(int64_t offset) {
  if (offset < start_) return StartAgainAt(offset);
  int64_t cut = offset;
  while (!batches_.empty() && batches_.back().seen.last >= offset) {
    cut = end_ =
        std::min(offset, batches_.back().seen.base);  // a batch that holds the offset goes whole
    batches_.pop_back();
  }
  if (cut < start_) return StartAgainAt(start_);
  while (!epochs_.empty() && epochs_.back().second >= cut) epochs_.pop_back();
}

void NaiveLog::StartAgainAt(int64_t offset) {
  batches_.clear();
  epochs_.clear();
  start_ = end_ = offset;
}

void NaiveLog::AdvanceStart(int64_t offset) {
  if (offset <= start_) return;
  start_ = offset;
  std::vector<std::pair<int32_t, int64_t>> history;
  for (const auto& [epoch, start] : epochs_) {
    if (start <= start_) history.clear();
    history.emplace_back(epoch, std::max(start, start_));
  }
  epochs_ = history;
}

void NaiveLog::CutTo(int64_t end) {
  while (!batches_.empty() && batches_.back().seen.last >= end) batches_.pop_back();
  while (!epochs_.empty() && epochs_.back().second > end) epochs_.pop_back();
  end_ = end;
}

std::vector<SeenBatch> NaiveLog::Read(int64_t from, int64_t upto) const {
  std::vector<SeenBatch> seen;
  for (const NaiveBatch& batch : batches_) {
    if (batch.seen.last >= from && batch.seen.last < upto) seen.push_back(batch.seen);
  }
  return seen;
}

std::optional<std::pair<int64_t, int64_t>> NaiveLog::FindTimestamp(int64_t ms, int64_t upto) const {
  for (const NaiveBatch& batch : batches_) {
    for (int64_t offset = batch.seen.base; offset <= batch.seen.last; ++offset) {
      const int64_t timestamp =
          batch.timestamp_ms + (offset - batch.seen.base) * batch.timestamp_step_ms;
      if (timestamp < ms || offset < start_) continue;
      if (offset >= upto) return std::nullopt;
      return std::pair(offset, timestamp);
    }
  }
  return std::nullopt;
}

int64_t NaiveLog::MaxTimestamp(int64_t upto) const {
  int64_t best = -1;
  for (const NaiveBatch& batch : batches_) {
    for (int64_t offset = std::max(batch.seen.base, start_);
         offset <= batch.seen.last && offset < upto; ++offset) {
      best =
          std::max(best, batch.timestamp_ms + (offset - batch.seen.base) * batch.timestamp_step_ms);
    }
  }
  return best;
}

std::pair<int32_t, int64_t> NaiveLog::EndOffsetFor(int32_t epoch) const {
  if (epochs_.empty() || epoch < 0) return {-1, -1};
  int64_t end = end_;
  for (auto it = epochs_.rbegin(); it != epochs_.rend(); ++it) {
    if (it->first <= epoch) return {it->first, end};
    end = it->second;
  }
  return {epoch, end};
}

}  // namespace sluice::storage::testing
