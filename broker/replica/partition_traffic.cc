#include "broker/replica/partition_traffic.h"

#include <cmath>

namespace sluice::broker {

void PartitionTraffic::Tick(int64_t now_ms) {
  if (read_ms_ < 0) read_ms_ = now_ms;
  const int64_t passed_ms = now_ms - read_ms_;
  if (passed_ms < kReadingMs) return;
  read_ms_ = now_ms;
  const double keep = std::exp(-static_cast<double>(passed_ms) / kMemoryMs);
  Read(in_, passed_ms, keep);
  Read(out_, passed_ms, keep);
  weight_ = weight_ * keep + (1 - keep);
}

void PartitionTraffic::Read(Direction& direction, int64_t passed_ms, double keep) {
  const uint64_t total = direction.total.load(std::memory_order_relaxed);
  const auto since = static_cast<double>(total - direction.read);
  direction.read = total;
  const double rate = since * 1000 / static_cast<double>(passed_ms);
  direction.average = direction.average * keep + rate * (1 - keep);
}

int64_t PartitionTraffic::RateOf(const Direction& direction) const {
  return weight_ == 0 ? 0 : std::llround(direction.average / weight_);
}

}  // namespace sluice::broker
