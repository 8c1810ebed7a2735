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
  if (random.Chance(1, 3))
    config.snapshot_interval_bytes = static_cast<size_t>(random.Between(50, 2000));
  config.snapshot_chunk_bytes = static_cast<size_t>(random.Between(1, 200));
  if (random.Chance(1, 5)) config.proposal_bytes_max = 100;
  return config;
}

}  // namespace

Swarm DrawSwarm(Random& random) {
  Swarm swarm;
  const int sizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5};
  swarm.cluster.voters = sizes[random.Below(std::size(sizes))];
  swarm.cluster.config = DrawConfig(random);
  const int64_t delays[] = {1, 2, 5, 20, 100};
  swarm.cluster.network.delay_ms_max = delays[random.Below(std::size(delays))];
  if (random.Chance(1, 2)) swarm.cluster.network.loss_percent = random.Below(31);
  if (random.Chance(1, 2)) swarm.cluster.network.duplicate_percent = random.Below(51);
  if (random.Chance(1, 2)) {
    swarm.cluster.network.straggler_percent = 1 + random.Below(5);
    swarm.cluster.network.straggler_ms_max = random.Between(100, 3000);
  }
  const int64_t disks[] = {0, 1, 5, 30, 300};
  swarm.cluster.disk.ms_max = disks[random.Below(std::size(disks))];
  swarm.safety_ms = random.Between(2000, 12000);
  swarm.step_ms_max = random.Between(20, 600);
  swarm.crashes = random.Chance(2, 3);
  swarm.pauses = random.Chance(1, 3);
  swarm.partitions = random.Chance(1, 2);
  swarm.one_way = random.Chance(1, 3);
  swarm.transfers = random.Chance(1, 3);
  swarm.refused_hints = random.Chance(1, 2);
  if (random.Chance(1, 3)) swarm.false_hint_ms_max = random.Between(200, 2000);
  swarm.snapshots = random.Chance(1, 2);
  swarm.work_ms_max = random.Between(2, 60);
  if (random.Chance(1, 3)) {
    // Promises are made in elections: this is where lost ones hurt. Timeouts that lie close
    // together make candidates collide.
    swarm.election_crashes = true;
    swarm.work_ms_max = 4;
    swarm.cluster.config.election_timeout_ms_min = random.Between(60, 300);
    swarm.cluster.config.election_timeout_ms_max =
        swarm.cluster.config.election_timeout_ms_min + random.Between(1, 60);
    swarm.cluster.disk.ms_max = std::max<int64_t>(swarm.cluster.disk.ms_max, 5);
  }
  return swarm;
}

}  // namespace sluice::raft::testing
