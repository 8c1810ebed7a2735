#include "tests/sim/cluster/swarm.h"

#include <sstream>

namespace sluice::sim {

Swarm DrawSwarm(Random& random) {
  Swarm swarm;
  swarm.nodes = random.Chance(1, 6) ? 5 : 3;
  swarm.weather.delay_ms_max = random.Chance(1, 2) ? random.Between(1, 5) : random.Between(5, 40);
  if (random.Chance(1, 3)) {
    swarm.weather.straggler_percent = random.Below(5) + 1;
    swarm.weather.straggler_ms_max = random.Between(50, 1500);
  }
  if (random.Chance(1, 3)) swarm.weather.loss_percent = random.Below(10);
  swarm.sync_ms_max = random.Chance(3, 4) ? random.Between(0, 5) : random.Between(5, 60);
  swarm.fault_interval_ms = random.Between(300, 3000);
  const auto sometimes = [&random](uint64_t numerator, uint64_t denominator) {
    return random.Chance(numerator, denominator) ? random.Below(8) + 1 : 0;
  };
  swarm.kill = sometimes(2, 3);
  swarm.power_cut = sometimes(1, 2);
  swarm.all_power_cut = sometimes(1, 4) > 0 ? 1 : 0;
  swarm.clean_stop = sometimes(1, 3);
  swarm.pause = sometimes(1, 2);
  swarm.isolate = sometimes(1, 2);
  swarm.cut_one_way = sometimes(1, 3);
  swarm.cut_pair = sometimes(1, 3);
  swarm.cut_clients = sometimes(1, 3);
  swarm.partitions = static_cast<int>(random.Between(1, 3));
  swarm.producers = static_cast<int>(random.Between(1, 2));
  swarm.produce_pause_ms_max = random.Between(20, 500);
  return swarm;
}

std::string Describe(const Swarm& swarm) {
  std::ostringstream out;
  out << swarm.nodes << " nodes, delay " << swarm.weather.delay_ms_max << " ms, stragglers "
      << swarm.weather.straggler_percent << " % up to " << swarm.weather.straggler_ms_max
      << " ms, sync " << swarm.sync_ms_max << " ms, a fault each " << swarm.fault_interval_ms
      << " ms: kill " << swarm.kill << ", power cut " << swarm.power_cut << ", of all "
      << swarm.all_power_cut << ", clean stop " << swarm.clean_stop << ", pause " << swarm.pause
      << ", isolate " << swarm.isolate << ", one way " << swarm.cut_one_way << ", pair "
      << swarm.cut_pair << ", clients " << swarm.cut_clients << "; " << swarm.partitions
      << " partitions, " << swarm.producers << " producers";
  return out.str();
}

}  // namespace sluice::sim
