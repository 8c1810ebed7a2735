#pragma once
// Swarm: what one seed of the simulation does.
//
// Thread rule: values.

#include <cstdint>

#include "base/random.h"
#include "raft/testing/sim_cluster.h"

namespace sluice::raft::testing {

// Which faults exist for a while, and how often they strike.
struct Weather {
  SimNetworkOptions network;
  SimDiskLatency disk;
  int64_t lasts_ms = 0;
  int64_t step_ms_max = 0;  // between two faults
  bool crashes = false;
  bool pauses = false;
  bool partitions = false;
  bool one_way = false;
  bool rings = false;       // each hears one other only
  bool slow_disks = false;  // one that takes a second for a write
  bool losses = false;      // disks that fail for ever, or come back empty under a new id
  bool rot = false;         // what is stored turns out to be damaged, of few enough at a time
  bool formats = false;     // the same of disks that are lost, and formatted as on the first day
  bool transfers = false;
  bool refused_hints = false;
  // Hints of a death that is none: the leader works on beside its successor. Between two of them;
  // 0: none.
  int64_t false_hint_ms_max = 0;
  bool snapshots = false;
  bool snapshot_storms = false;  // everybody, all the time
  bool moves = false;
  bool election_crashes = false;  // nodes that vote or have just won crash, and are back at once
  int64_t work_ms_max = 0;        // between two proposals
};

// What one seed does: a cluster, and the weather that it begins in.
struct Swarm {
  SimClusterOptions cluster;
  bool close_timeouts = false;  // candidates collide
  bool moves = false;           // members come and go
  Weather weather;
};

Swarm DrawSwarm(Random& random);
Weather DrawWeather(const Swarm& swarm, Random& random);

}  // namespace sluice::raft::testing
