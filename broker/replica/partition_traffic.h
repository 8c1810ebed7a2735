#pragma once
// PartitionTraffic: what producers bring to a replica that leads, and what consumers are given of
// it, as rates that follow about a minute. Counting is one addition; the rates are made from two
// readings, by whoever looks after the partition now and then.
//
// A replica that leads no more tells less and less, and the one that leads in its place more and
// more, at the same pace: the sum over replicas is the partition's rate all the while.
//
// Thread rule: AddIn and AddOut from any thread; the rest under the partition's mutex.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sluice::broker {

class PartitionTraffic {
 public:
  void AddIn(size_t bytes) { in_.total.fetch_add(bytes, std::memory_order_relaxed); }
  void AddOut(size_t bytes) { out_.total.fetch_add(bytes, std::memory_order_relaxed); }

  // Often enough, once in kReadingMs; steady time.
  void Tick(int64_t now_ms);
  // Bytes a second; 0 before the second reading.
  int64_t in_rate() const { return RateOf(in_); }
  int64_t out_rate() const { return RateOf(out_); }

  static constexpr int64_t kReadingMs = 10'000;
  static constexpr int64_t kMemoryMs = 60'000;  // what was before counts e times less

 private:
  struct Direction {
    std::atomic<uint64_t> total = 0;  // bytes
    uint64_t read = 0;                // of them, at the last reading
    double average = 0;               // bytes a second, times weight_
  };
  void Read(Direction& direction, int64_t passed_ms, double keep);
  int64_t RateOf(const Direction& direction) const;

  Direction in_;
  Direction out_;
  int64_t read_ms_ = -1;  // the last reading
  // Of all readings in the averages: 1 in the long run, less for the first ones.
  double weight_ = 0;
};

}  // namespace sluice::broker
