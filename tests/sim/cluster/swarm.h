#pragma once
// Swarm: what one seed's cluster is like and what happens to it. Each seed has only some of the
// faults, so that one kind does not hide what another would show.
//
// Thread rule: values.

#include <cstdint>
#include <string>

#include "base/random.h"
#include "tests/sim/cluster/network.h"

namespace sluice::sim {

struct Swarm {
  int nodes = 3;
  NetworkWeather weather;
  int64_t sync_ms_max = 3;
  int64_t fault_interval_ms = 1000;  // on average
  // How likely each is, by weight; 0: not in this seed.
  uint64_t kill = 0;
  uint64_t power_cut = 0;
  uint64_t all_power_cut = 0;
  uint64_t clean_stop = 0;
  uint64_t pause = 0;
  uint64_t isolate = 0;
  uint64_t cut_one_way = 0;
  uint64_t cut_pair = 0;
  uint64_t cut_clients = 0;
  uint64_t bounce = 0;      // a process or a host is there again at once
  uint64_t disk_error = 0;  // of writes or syncs
  uint64_t disk_full = 0;
  uint64_t disk_replaced = 0;  // by an empty one, newly formatted
  uint64_t clock_step = 0;     // of wall time
  int partitions = 2;
  bool balance = false;             // leads go back to first replicas,
  int64_t balance_interval_s = 60;  // looked for this often
  int64_t segment_ms = 7LL * 24 * 3600 * 1000;
  int64_t replica_fetch_bytes = 1 << 20;
  int64_t replica_lag_ms_max = 10'000;
  bool replicated_topic = false;  // one more, with durability=replicated
  int producers = 2;
  int in_flight_max = 1;
  bool producer_of_acks_one = false;
  int64_t produce_pause_ms_max = 300;
  // What an admin does meanwhile.
  int64_t admin_pause_ms_max = 5000;
  uint64_t set_min_isr = 0;
  bool min_isr_of_one = false;
  uint64_t move = 0;
  uint64_t elect = 0;
  uint64_t remake = 0;
  uint64_t drain = 0;
  uint64_t decommission = 0;
};

Swarm DrawSwarm(Random& random);
std::string Describe(const Swarm& swarm);

}  // namespace sluice::sim
