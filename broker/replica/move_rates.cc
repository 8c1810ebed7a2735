#include "broker/replica/move_rates.h"

#include <algorithm>
#include <limits>

namespace sluice::broker {

void MoveRates::Note(NodeId self, const PartitionKey& key,
                     const metadata::PartitionImage& partition) {
  Forget(key);
  if (partition.move_kib_per_second == 0) return;
  const int64_t rate = int64_t{partition.move_kib_per_second} * 1024;
  const bool comes =
      std::find(partition.adding.begin(), partition.adding.end(), self) != partition.adding.end();
  if (partition.leader == self) {
    leading_[key] = rate;
  } else if (comes && !metadata::InIsr(partition, self)) {
    joining_[key] = rate;
  }
}

void MoveRates::Forget(const PartitionKey& key) {
  if (!leading_.empty()) leading_.erase(key);
  if (!joining_.empty()) joining_.erase(key);
}

int64_t MoveRates::Lowest(const Rates& rates) {
  int64_t lowest = std::numeric_limits<int64_t>::max();
  for (const auto& [key, rate] : rates) lowest = std::min(lowest, rate);
  return lowest;
}

}  // namespace sluice::broker
