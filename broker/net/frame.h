#pragma once
// Frame, FramePool and MemoryBudget: the memory that requests take between the socket and their
// last reader. Every frame holds a lease on a node-wide budget and gives its buffer back to its
// reactor's pool, so that a busy broker neither grows without bound nor touches fresh pages for
// each request, and an idle one keeps nothing.
//
// Thread rule: all thread-safe but Frame, which has one owner until it is shared as const.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::broker {

class MemoryBudget;

// Bytes taken from a budget, given back by the destructor.
class BudgetLease {
 public:
  BudgetLease() = default;
  BudgetLease(std::shared_ptr<MemoryBudget> budget, size_t size_bytes)
      : budget_(std::move(budget)), size_bytes_(size_bytes) {}
  BudgetLease(BudgetLease&& other) noexcept { swap(other); }
  BudgetLease& operator=(BudgetLease&& other) noexcept {
    BudgetLease(std::move(other)).swap(*this);
    return *this;
  }
  ~BudgetLease();
  void swap(BudgetLease& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(size_bytes_, other.size_bytes_);
  }
  explicit operator bool() const { return budget_ != nullptr; }

 private:
  std::shared_ptr<MemoryBudget> budget_;
  size_t size_bytes_ = 0;
};

// A number of bytes that all requests in flight share. Who finds it used up waits in line: a large
// request is not starved by small ones.
class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  using Granted = std::function<void(BudgetLease)>;

  explicit MemoryBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  // A lease, or none when others are in line or the budget is used up. What exceeds the whole limit
  // is granted when nothing else is in use.
  BudgetLease TryAcquire(size_t size_bytes);
  // `granted` runs once, at once or on the thread that gives bytes back; it must be quick.
  void Acquire(size_t size_bytes, Granted granted);
  size_t used_bytes() const;

 private:
  friend class BudgetLease;
  struct Waiter {
    size_t size_bytes;
    Granted granted;
  };
  bool Fits(size_t size_bytes) const {
    return used_bytes_ == 0 || used_bytes_ + size_bytes <= limit_bytes_;
  }
  void Release(size_t size_bytes);

  const size_t limit_bytes_;
  mutable std::mutex mutex_;  // guards all below; never held while calling out
  size_t used_bytes_ = 0;
  std::deque<Waiter> waiting_;
};

// A malloc'd buffer: not zeroed, and grown in place by the kernel where it can.
struct RawBuffer {
  char* data = nullptr;
  size_t capacity = 0;
};

// Keeps buffers of kStepBytes and more for reuse.
class FramePool {
 public:
  static constexpr size_t kStepBytes = size_t{64} << 10;

  explicit FramePool(size_t retained_bytes_max) : retained_bytes_max_(retained_bytes_max) {}
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  // A kept buffer of at least `capacity`; none when there is none, and always none below
  // kStepBytes.
  RawBuffer Take(size_t capacity);
  void Give(RawBuffer buffer);
  // Frees everything unless a buffer was taken since the last call.
  void TrimIfUnused();
  size_t retained_bytes() const;

 private:
  const size_t retained_bytes_max_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<RawBuffer> kept_;
  size_t retained_bytes_ = 0;
  bool used_since_trim_ = false;
};

// One message's bytes, filled piece by piece. It grows as bytes arrive, so that a length prefix
// alone takes no memory.
class Frame {
 public:
  Frame(size_t size_bytes, BudgetLease lease, std::shared_ptr<FramePool> pool);
  ~Frame();
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  size_t size_bytes() const { return size_bytes_; }
  size_t filled_bytes() const { return filled_bytes_; }
  bool complete() const { return filled_bytes_ == size_bytes_; }
  std::string_view bytes() const { return {buffer_.data, filled_bytes_}; }

  // Where the next bytes go: not empty until the frame is complete.
  std::span<char> Space();
  void Commit(size_t bytes) { filled_bytes_ += bytes; }
  // Copies as much of `input` as the frame still needs, and says how much.
  size_t Append(std::string_view input);

 private:
  void Grow(size_t capacity_min);

  const size_t size_bytes_;
  size_t filled_bytes_ = 0;
  RawBuffer buffer_;
  BudgetLease lease_;
  std::shared_ptr<FramePool> pool_;
};

using FramePtr = std::shared_ptr<Frame>;

}  // namespace sluice::broker
