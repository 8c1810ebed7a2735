#pragma once
// SimClock: a Clock that moves only when told. Wall time starts at a fixed date, so that traces
// repeat. Thread rule: one thread, as all of the simulator.

#include "base/clock.h"

namespace sluice::testing {

class SimClock final : public Clock {
 public:
  int64_t SteadyMs() const override { return micros_ / 1000; }
  int64_t SteadyMicros() const override { return micros_; }
  int64_t WallMs() const override { return kWallStartMs + micros_ / 1000; }
  void AdvanceMs(int64_t ms) { micros_ += ms * 1000; }
  void AdvanceMicros(int64_t micros) { micros_ += micros; }

 private:
  static constexpr int64_t kWallStartMs = 1'700'000'000'000;
  int64_t micros_ = 0;
};

}  // namespace sluice::testing
