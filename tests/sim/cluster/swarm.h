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
  int partitions = 2;
  int producers = 2;
  int64_t produce_pause_ms_max = 300;
};

Swarm DrawSwarm(Random& random);
std::string Describe(const Swarm& swarm);

}  // namespace sluice::sim
