#include "controller/driver_quorum.h"

#include <algorithm>

namespace sluice::controller {

raft::RaftConfig ToRaftConfig(const metadata::ServerConfig& config) {
  raft::RaftConfig raft;
  raft.heartbeat_ms = config.quorum_heartbeat_interval_ms;
  raft.election_timeout_ms_min = config.election_timeout_ms;
  raft.election_timeout_ms_max = 2 * config.election_timeout_ms;
  raft.transfer_timeout_ms = 2 * config.election_timeout_ms;
  raft.start_timeout_ms_max = std::min(raft.start_timeout_ms_max, raft.election_timeout_ms_min);
  raft.snapshot_interval_bytes =
      static_cast<size_t>(config.values.GetInt("metadata.log.max.record.bytes.between.snapshots"));
  raft.snapshot_interval_ms = config.values.GetInt("metadata.log.max.snapshot.interval.ms");
  return raft;
}

}  // namespace sluice::controller
