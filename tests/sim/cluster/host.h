#pragma once
// Host: a simulated machine that runs one node: its disk, its configuration and its identity, which
// outlive the node's processes.
//
// Thread rule: one thread, as all of the simulator.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/sim_file_system.h"
#include "metadata/server_config.h"
#include "raft/types.h"

namespace sluice::sim {

struct HostOptions {
  int nodes = 3;
  std::string cluster_id = "sim";
  std::vector<std::string> settings;  // "key=value", besides those that make it a node
};

struct Host {
  Host(NodeId node, const HostOptions& options);

  const NodeId id;
  metadata::ServerConfig config;
  raft::VoterId voter;
  testing::SimFileSystem disk;
  int boots = 1;
  int64_t sync_ms_max = 3;  // how long the disk takes
};

// What every host's voter is called.
raft::VoterId VoterOf(NodeId id);

}  // namespace sluice::sim
