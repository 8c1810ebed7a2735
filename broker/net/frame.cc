#include "broker/net/frame.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sluice::broker {

BudgetLease::~BudgetLease() {
  if (budget_ != nullptr) budget_->Release(size_bytes_);
}

BudgetLease MemoryBudget::TryAcquire(size_t size_bytes) {
  std::lock_guard lock(mutex_);
  if (!waiting_.empty() || !Fits(size_bytes)) return {};
  used_bytes_ += size_bytes;
  return BudgetLease(shared_from_this(), size_bytes);
}

void MemoryBudget::Acquire(size_t size_bytes, Granted granted) {
  {
    std::lock_guard lock(mutex_);
    if (!waiting_.empty() || !Fits(size_bytes)) {
      waiting_.push_back({size_bytes, std::move(granted)});
      return;
    }
    used_bytes_ += size_bytes;
  }
  granted(BudgetLease(shared_from_this(), size_bytes));
}

void MemoryBudget::Release(size_t size_bytes) {
  std::vector<Waiter> due;
  {
    std::lock_guard lock(mutex_);
    CHECK_GE(used_bytes_, size_bytes);
    used_bytes_ -= size_bytes;
    while (!waiting_.empty() && Fits(waiting_.front().size_bytes)) {
      used_bytes_ += waiting_.front().size_bytes;
      due.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  for (Waiter& waiter : due) waiter.granted(BudgetLease(shared_from_this(), waiter.size_bytes));
}

size_t MemoryBudget::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_bytes_;
}

FramePool::~FramePool() {
  for (const RawBuffer& buffer : kept_) std::free(buffer.data);
}

RawBuffer FramePool::Take(size_t capacity) {
  if (capacity < kStepBytes) return {};
  std::lock_guard lock(mutex_);
  used_since_trim_ = true;
  auto best = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (it->capacity >= capacity && (best == kept_.end() || it->capacity < best->capacity))
      best = it;
  }
  if (best == kept_.end()) return {};
  const RawBuffer buffer = *best;
  retained_bytes_ -= buffer.capacity;
  *best = kept_.back();
  kept_.pop_back();
  return buffer;
}

void FramePool::Give(RawBuffer buffer) {
  if (buffer.capacity >= kStepBytes) {
    std::lock_guard lock(mutex_);
    if (retained_bytes_ + buffer.capacity <= retained_bytes_max_) {
      retained_bytes_ += buffer.capacity;
      kept_.push_back(buffer);
      return;
    }
  }
  std::free(buffer.data);
}

void FramePool::TrimIfUnused() {
  std::vector<RawBuffer> freed;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(used_since_trim_, false)) return;
    freed.swap(kept_);
    retained_bytes_ = 0;
  }
  for (const RawBuffer& buffer : freed) std::free(buffer.data);
}

size_t FramePool::retained_bytes() const {
  std::lock_guard lock(mutex_);
  return retained_bytes_;
}

Frame::Frame(size_t size_bytes, BudgetLease lease, std::shared_ptr<FramePool> pool)
    : size_bytes_(size_bytes),
      buffer_(pool->Take(size_bytes)),
      lease_(std::move(lease)),
      pool_(std::move(pool)) {}

Frame::~Frame() { pool_->Give(buffer_); }

std::span<char> Frame::Space() {
  if (filled_bytes_ == buffer_.capacity && !complete()) Grow(filled_bytes_ + 1);
  return {buffer_.data + filled_bytes_, std::min(buffer_.capacity, size_bytes_) - filled_bytes_};
}

size_t Frame::Append(std::string_view input) {
  const size_t taken = std::min(input.size(), size_bytes_ - filled_bytes_);
  if (taken == 0) return 0;
  if (filled_bytes_ + taken > buffer_.capacity) Grow(filled_bytes_ + taken);
  std::memcpy(buffer_.data + filled_bytes_, input.data(), taken);
  filled_bytes_ += taken;
  return taken;
}

// At most doubles what has really arrived; the last step is rounded so that the pool's buffers fit
// requests of about one size.
void Frame::Grow(size_t capacity_min) {
  size_t capacity = size_bytes_;
  if (size_bytes_ >= FramePool::kStepBytes) {
    const size_t rounded =
        (size_bytes_ + FramePool::kStepBytes - 1) / FramePool::kStepBytes * FramePool::kStepBytes;
    capacity =
        std::min(rounded, std::max({FramePool::kStepBytes, 2 * filled_bytes_, capacity_min}));
  }
  char* data = static_cast<char*>(std::realloc(buffer_.data, capacity));
  CHECK(data != nullptr) << "out of memory for a frame of " << size_bytes_ << " bytes";
  buffer_ = {data, capacity};
}

}  // namespace sluice::broker
