#include "base/clock.h"

#include <chrono>

namespace sluice {

namespace {

template <typename Unit, typename Source>
int64_t Since() {
  return std::chrono::duration_cast<Unit>(Source::now().time_since_epoch()).count();
}

}  // namespace

int64_t SystemClock::SteadyMs() const {
  return Since<std::chrono::milliseconds, std::chrono::steady_clock>();
}

int64_t SystemClock::SteadyMicros() const {
  return Since<std::chrono::microseconds, std::chrono::steady_clock>();
}

int64_t SystemClock::WallMs() const {
  return Since<std::chrono::milliseconds, std::chrono::system_clock>();
}

}  // namespace sluice
