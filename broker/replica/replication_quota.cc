#include "broker/replica/replication_quota.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice::broker {
namespace {

// Rates above it (a terabyte a second) are no limit, and all sums below it fit.
constexpr int64_t kRateMax = 1'000'000'000'000;
constexpr int64_t kRefillMsMax = 1'000'000;
constexpr int64_t kThousandths = 1000;

}  // namespace

void ReplicationQuota::SetRate(int64_t bytes_per_second) {
  std::lock_guard lock(mutex_);
  const bool limited = bytes_per_second <= kRateMax;
  if (limited == limited_ && (!limited || bytes_per_second == rate_)) return;
  Refill();
  limited_ = limited;
  rate_ = bytes_per_second;
  if (limited && !std::exchange(filled_, true)) {
    tokens_ = rate_ * kThousandths;
    filled_ms_ = clock_.SteadyMs();
  }
  Refill();
}

void ReplicationQuota::Refill() {
  if (!limited_) return;
  const int64_t now_ms = clock_.SteadyMs();
  const int64_t passed_ms = std::clamp<int64_t>(now_ms - filled_ms_, 0, kRefillMsMax);
  filled_ms_ = now_ms;
  // A thousandth of a byte for each byte a second and millisecond.
  tokens_ = std::min(tokens_ + rate_ * passed_ms, rate_ * kThousandths);
}

int64_t ReplicationQuota::Available() {
  if (!limited()) return std::numeric_limits<int64_t>::max();
  std::lock_guard lock(mutex_);
  Refill();
  return std::max<int64_t>(tokens_ / kThousandths, 0);
}

void ReplicationQuota::Take(int64_t bytes) {
  if (!limited()) return;
  std::lock_guard lock(mutex_);
  Refill();
  tokens_ -= bytes * kThousandths;
}

int64_t ReplicationQuota::WaitMs() {
  if (!limited()) return 0;
  std::lock_guard lock(mutex_);
  Refill();
  if (tokens_ >= kThousandths) return 0;
  if (rate_ == 0) return kWaitMsMax;
  return std::min(kWaitMsMax, (kThousandths - tokens_ + rate_ - 1) / rate_);
}

}  // namespace sluice::broker
