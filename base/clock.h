#pragma once
// Time comes by constructor: nobody outside base/ calls std::chrono::*::now(). SystemClock is the
// real one, base/testing/sim_clock.h its simulated twin.
//
// Thread rule: a Clock may be read from any thread.

#include <cstdint>

namespace sluice {

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic time in ms since an arbitrary start: for timeouts, leases and intervals.
  virtual int64_t SteadyMs() const = 0;
  // Monotonic time in microseconds on the same axis as SteadyMs: for measuring.
  virtual int64_t SteadyMicros() const = 0;
  // Wall time in ms since the Unix epoch: only for timestamps that users see.
  virtual int64_t WallMs() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t SteadyMs() const override;
  int64_t SteadyMicros() const override;
  int64_t WallMs() const override;
};

}  // namespace sluice
