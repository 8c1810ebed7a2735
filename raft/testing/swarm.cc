#include "raft/testing/swarm.h"

#include <algorithm>
#include <iterator>

namespace sluice::raft::testing {
namespace {

RaftConfig DrawConfig(Random& random) {
  RaftConfig config;
  if (random.Chance(1, 2)) {
    config.append_bytes_max = static_cast<size_t>(random.Between(1, 400));
    config.window_messages_max = static_cast<size_t>(random.Between(1, 8));
    config.window_bytes_max = static_cast<size_t>(random.Between(1, 2000));
    config.cache_bytes_max = static_cast<size_t>(random.Between(1, 4000));
    config.apply_bytes_max = static_cast<size_t>(random.Between(1, 500));
  }
  // Never so rarely that logs grow without bound: each restart reads all of its log.
  config.snapshot_interval_bytes = static_cast<size_t>(
      random.Chance(1, 3) ? random.Between(50, 2000) : random.Between(20'000, 100'000));
  config.snapshot_chunk_bytes = static_cast<size_t>(random.Between(1, 200));
  if (random.Chance(1, 5)) config.proposal_bytes_max = 100;
  return config;
}

SimNetworkOptions DrawNetwork(Random& random) {
  SimNetworkOptions network;
  const int64_t delays[] = {1, 2, 5, 20, 100};
  network.delay_ms_max = delays[random.Below(std::size(delays))];
  if (random.Chance(1, 2)) network.loss_percent = random.Below(31);
  if (random.Chance(1, 2)) network.duplicate_percent = random.Below(51);
  if (random.Chance(1, 2)) {
    network.straggler_percent = 1 + random.Below(5);
    network.straggler_ms_max = random.Between(100, 3000);
  }
  return network;
}

}  // namespace

Weather DrawWeather(const Swarm& swarm, Random& random) {
  Weather weather;
  weather.network = DrawNetwork(random);
  const int64_t disks[] = {0, 1, 5, 30, 300};
  weather.disk.ms_max = disks[random.Below(std::size(disks))];
  // Alone, a voter does nothing but write.
  if (swarm.cluster.voters == 1) weather.disk.ms_max = std::min<int64_t>(weather.disk.ms_max, 5);
  weather.lasts_ms = random.Between(2000, 12000);
  weather.step_ms_max = random.Between(20, 600);
  weather.crashes = random.Chance(2, 3);
  weather.pauses = random.Chance(1, 3);
  weather.partitions = random.Chance(1, 2);
  weather.one_way = random.Chance(1, 3);
  weather.rings = random.Chance(1, 4);
  weather.slow_disks = random.Chance(1, 4);
  weather.losses = random.Chance(1, 8);
  weather.rot = random.Chance(1, 4);
  weather.transfers = random.Chance(1, 3);
  weather.refused_hints = random.Chance(1, 2);
  if (random.Chance(1, 3)) weather.false_hint_ms_max = random.Between(200, 2000);
  weather.snapshots = random.Chance(1, 2);
  weather.snapshot_storms = random.Chance(1, 8);
  weather.work_ms_max = random.Between(2, 60);
  if (swarm.moves) {
    weather.moves = random.Chance(3, 4);
    weather.losses = false;  // who can be missed depends on who is a voter by then
  }
  weather.formats = random.Chance(1, 3);
  if (swarm.close_timeouts) {
    // Promises are made in elections: this is where lost ones hurt.
    weather.election_crashes = true;
    weather.work_ms_max = 4;
    weather.disk.ms_max = std::max<int64_t>(weather.disk.ms_max, 5);
  }
  return weather;
}

Swarm DrawSwarm(Random& random) {
  Swarm swarm;
  const int sizes[] = {1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 7};
  swarm.cluster.voters = sizes[random.Below(std::size(sizes))];
  swarm.cluster.config = DrawConfig(random);
  if (random.Chance(1, 3)) {
    swarm.moves = true;
    swarm.cluster.spares = static_cast<int>(random.Between(swarm.cluster.voters > 1 ? 0 : 1, 2));
  }
  if (random.Chance(1, 3)) {
    swarm.close_timeouts = true;
    swarm.cluster.config.election_timeout_ms_min = random.Between(60, 300);
    swarm.cluster.config.election_timeout_ms_max =
        swarm.cluster.config.election_timeout_ms_min + random.Between(1, 60);
  }
  swarm.weather = DrawWeather(swarm, random);
  swarm.cluster.network = swarm.weather.network;
  swarm.cluster.disk = swarm.weather.disk;
  return swarm;
}

}  // namespace sluice::raft::testing
