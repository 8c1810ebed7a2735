#pragma once
// FetchWaiters: the fetches that are parked at a partition. A busy partition parks and wakes many a
// second, and one that nobody writes to is listed by fetches that other partitions answer: parking
// therefore looks at no other fetch, and those that are finished leave when the list has doubled.
//
// Thread rule: guarded by its partition.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

namespace sluice::broker {

// A fetch that waits for data.
class FetchWaiter {
 public:
  virtual ~FetchWaiter() = default;
  // There may be something to answer. Called with no lock held.
  virtual void Wake() = 0;
  // Only the high watermark moved, which a follower should learn soon, but rather with the next
  // data.
  virtual void WakeSoon() = 0;
  // Answered: partitions forget it when they come across it.
  virtual bool finished() const = 0;
  // True for the first caller of each parking.
  bool TakeNudge() { return !nudged_.exchange(true, std::memory_order_relaxed); }

 protected:
  std::atomic<bool> nudged_{false};
};

class FetchWaiters {
 public:
  using Waiter = std::shared_ptr<FetchWaiter>;

  // Parks `waiter` unless it still is: `round` is what the last call for this waiter and list left
  // there, 0 before the first.
  void Add(const Waiter& waiter, uint64_t& round) {
    if (round == round_) return;
    round = round_;
    if (parked_.size() >= prune_at_) Prune();
    parked_.push_back(waiter);
  }
  // All leave, to the end of `to`.
  void TakeAll(std::vector<Waiter>& to) {
    if (parked_.empty()) return;
    std::move(parked_.begin(), parked_.end(), std::back_inserter(to));
    parked_.clear();
    if (parked_.capacity() > kCapacityKept) parked_.shrink_to_fit();
    prune_at_ = kPruneAtMin;
    ++round_;
  }
  auto begin() const { return parked_.begin(); }
  auto end() const { return parked_.end(); }
  size_t size() const { return parked_.size(); }

 private:
  static constexpr size_t kPruneAtMin = 16;
  static constexpr size_t kCapacityKept = 1024;

  void Prune() {
    std::erase_if(parked_, [](const Waiter& waiter) { return waiter->finished(); });
    prune_at_ = std::max(kPruneAtMin, 2 * parked_.size());
  }

  std::vector<Waiter> parked_;
  size_t prune_at_ = kPruneAtMin;
  uint64_t round_ = 1;  // another one after each TakeAll
};

}  // namespace sluice::broker
