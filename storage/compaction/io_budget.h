#pragma once
// IoBudget: what all cleaner threads together may read and write in a second. Who has spent more
// than time has brought waits; the waits are given back as delays, so that nobody sleeps.
//
// Thread rule: thread-safe.

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace sluice::storage {

class IoBudget {
 public:
  explicit IoBudget(double bytes_per_second_max)
      : micros_per_byte_(1e6 / std::max(bytes_per_second_max, 1.0)) {}

  // How long, in ms, whoever has just moved `bytes` has to wait before moving more.
  int64_t Spend(uint64_t bytes, int64_t now_micros) {
    std::lock_guard lock(mutex_);
    // What nobody used is not saved up.
    paid_until_micros_ = std::max(paid_until_micros_, static_cast<double>(now_micros)) +
                         static_cast<double>(bytes) * micros_per_byte_;
    return static_cast<int64_t>((paid_until_micros_ - static_cast<double>(now_micros)) / 1000);
  }

 private:
  const double micros_per_byte_;
  std::mutex mutex_;
  double paid_until_micros_ = 0;  // guarded by mutex_
};

}  // namespace sluice::storage
