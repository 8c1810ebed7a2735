#include "broker/net/frame_reader.h"

#include <glog/logging.h>

#include "base/bytes.h"

namespace sluice::broker {

bool FrameReader::ReadSize(std::string_view& input) {
  while (size_filled_ < sizeof size_bytes_ && !input.empty()) {
    size_bytes_[size_filled_++] = input.front();
    input.remove_prefix(1);
  }
  if (size_filled_ < sizeof size_bytes_) return false;
  size_ = LoadBigEndian<int32_t>(size_bytes_);
  return true;
}

FrameReader::Outcome FrameReader::Feed(std::string_view& input) {
  if (frame_ == nullptr) {
    if (!ReadSize(input)) return Outcome::kNeedBytes;
    if (size_ < limits_.size_min || size_ > limits_.size_max) return Outcome::kBadSize;
    BudgetLease lease = budget_->TryAcquire(static_cast<size_t>(size_));
    if (!lease) return Outcome::kNeedBudget;
    Grant(std::move(lease));
  }
  input.remove_prefix(frame_->Append(input));
  return frame_->complete() ? Outcome::kFrame : Outcome::kNeedBytes;
}

void FrameReader::Grant(BudgetLease lease) {
  CHECK(frame_ == nullptr && size_filled_ == sizeof size_bytes_);
  frame_ = std::make_shared<Frame>(static_cast<size_t>(size_), std::move(lease), pool_);
  size_filled_ = 0;
}

std::span<char> FrameReader::DirectSpace() {
  if (frame_ == nullptr ||
      frame_->size_bytes() - frame_->filled_bytes() < FramePool::kStepBytes / 4)
    return {};
  return frame_->Space();
}

}  // namespace sluice::broker
