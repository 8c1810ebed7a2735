#include "tests/sim/cluster/swarm.h"

#include <algorithm>
#include <sstream>

namespace sluice::sim {

namespace {

// What the clients and the admin do.
void DrawUses(Random& random, Swarm& swarm) {
  if (random.Chance(1, 2)) swarm.segment_ms = random.Between(500, 20'000);
  if (random.Chance(1, 3)) swarm.replica_fetch_bytes = random.Between(100, 2000);
  if (random.Chance(1, 2)) swarm.replica_lag_ms_max = random.Between(500, 5000);
  swarm.replicated_topic = random.Chance(1, 3);
  // Where replication is all, what every host loses at once is gone.
  if (swarm.replicated_topic) swarm.all_power_cut = 0;
  swarm.in_flight_max = random.Chance(1, 2) ? 1 : static_cast<int>(random.Between(2, 5));
  swarm.producer_of_acks_one = random.Chance(1, 3);
  swarm.balance = random.Chance(1, 2);
  if (swarm.balance) swarm.balance_interval_s = random.Between(1, 5);
  if (random.Chance(1, 2)) return;
  const auto sometimes = [&random] { return random.Chance(1, 2) ? random.Below(4) + 1 : 0; };
  swarm.admin_pause_ms_max = random.Between(200, 8000);
  swarm.set_min_isr = sometimes();
  // What a nearly full disk holds back was decided by the number before: the check cannot tell.
  if (swarm.disk_full > 0) swarm.set_min_isr = 0;
  // With one disk that has a record and fails it is gone.
  const bool one_is_enough = swarm.disk_replaced + swarm.disk_error == 0;
  swarm.min_isr_of_one = one_is_enough && random.Chance(1, 2);
  swarm.move = sometimes();
  swarm.elect = sometimes();
  swarm.remake = sometimes();
  swarm.drain = sometimes();
  swarm.decommission = sometimes();
  // Somebody must be left who takes the replicas.
  if (swarm.decommission > 0) swarm.nodes = std::max(swarm.nodes, 4);
}

}  // namespace

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
  swarm.bounce = sometimes(1, 3);
  swarm.disk_error = sometimes(1, 5);
  swarm.disk_full = sometimes(1, 5);
  swarm.disk_replaced = sometimes(1, 5);
  swarm.clock_step = sometimes(1, 4);
  const auto slow = [&random](int64_t ms_max) {
    return SlowLane{.percent = random.Below(40) + 1, .ms_max = random.Between(50, ms_max)};
  };
  if (random.Chance(1, 3)) swarm.weather.slow_lanes[kFeedLane] = slow(1500);
  if (random.Chance(1, 3)) swarm.weather.slow_lanes[kControllerLane] = slow(3000);
  if (random.Chance(1, 6)) swarm.weather.slow_lanes[kHeartbeatLane] = slow(700);
  swarm.partitions = static_cast<int>(random.Between(1, 3));
  swarm.producers = static_cast<int>(random.Between(1, 2));
  swarm.produce_pause_ms_max = random.Between(20, 500);
  DrawUses(random, swarm);
  return swarm;
}

std::string Describe(const Swarm& swarm) {
  std::ostringstream out;
  out << swarm.nodes << " nodes, delay " << swarm.weather.delay_ms_max << " ms, stragglers "
      << swarm.weather.straggler_percent << " % up to " << swarm.weather.straggler_ms_max << " ms";
  for (const auto& [lane, slow] : swarm.weather.slow_lanes)
    out << ", lane " << lane << ' ' << slow.percent << " % up to " << slow.ms_max << " ms";
  out << ", sync " << swarm.sync_ms_max << " ms, a fault each " << swarm.fault_interval_ms
      << " ms:";
  const auto tell = [&out](const char* name, uint64_t weight) {
    if (weight > 0) out << ' ' << name << ' ' << weight;
  };
  tell("kill", swarm.kill);
  tell("power-cut", swarm.power_cut);
  tell("of-all", swarm.all_power_cut);
  tell("clean-stop", swarm.clean_stop);
  tell("pause", swarm.pause);
  tell("isolate", swarm.isolate);
  tell("one-way", swarm.cut_one_way);
  tell("pair", swarm.cut_pair);
  tell("clients", swarm.cut_clients);
  tell("bounce", swarm.bounce);
  tell("disk-error", swarm.disk_error);
  tell("disk-full", swarm.disk_full);
  tell("disk-replaced", swarm.disk_replaced);
  tell("clock-step", swarm.clock_step);
  out << "; lag " << swarm.replica_lag_ms_max << " ms";
  if (swarm.balance) out << "; balance each " << swarm.balance_interval_s << " s";
  out << "; " << swarm.partitions << " partitions" << (swarm.replicated_topic ? " and one " : " ")
      << (swarm.replicated_topic ? "replicated, " : ", ") << swarm.producers << " producers with "
      << swarm.in_flight_max << " in flight" << (swarm.producer_of_acks_one ? ", acks=1" : "")
      << "; admin:";
  tell("min-isr", swarm.set_min_isr);
  tell("down-to-1", swarm.min_isr_of_one ? 1 : 0);
  tell("move", swarm.move);
  tell("elect", swarm.elect);
  tell("remake", swarm.remake);
  tell("drain", swarm.drain);
  tell("decommission", swarm.decommission);
  return out.str();
}

}  // namespace sluice::sim
