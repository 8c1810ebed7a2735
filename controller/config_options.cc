#include "controller/config_options.h"

#include <algorithm>
#include <utility>

namespace sluice::controller {

raft::RaftConfig ToRaftConfig(const metadata::ServerConfig& config) {
  raft::RaftConfig raft;
  raft.heartbeat_ms = config.quorum_heartbeat_interval_ms;
  raft.election_timeout_ms_min = config.election_timeout_ms;
  raft.election_timeout_ms_max = 2 * config.election_timeout_ms;
  raft.leader_lost_timeout_ms_min =
      config.values.GetInt("controller.quorum.leader.lost.timeout.ms");
  raft.leader_lost_timeout_ms_max = 3 * raft.leader_lost_timeout_ms_min;
  raft.transfer_timeout_ms = 2 * config.election_timeout_ms;
  raft.start_timeout_ms_max = std::min(raft.start_timeout_ms_max, raft.election_timeout_ms_min);
  raft.snapshot_interval_bytes =
      static_cast<size_t>(config.values.GetInt("metadata.log.max.record.bytes.between.snapshots"));
  raft.snapshot_interval_ms = config.values.GetInt("metadata.log.max.snapshot.interval.ms");
  return raft;
}

ControllerOptions ToControllerOptions(const metadata::ServerConfig& config, std::string cluster_id,
                                      Random random) {
  const ConfigValues& values = config.values;
  std::map<NodeId, std::string> addresses;
  for (const metadata::VoterAddress& voter : config.voters)
    addresses[voter.id] = voter.address.ToString();
  return {
      .self = config.node_id,
      .cluster_id = std::move(cluster_id),
      .server = values,
      .addresses = std::move(addresses),
      .brokers = {.session_timeout_ms = config.broker_session_timeout_ms,
                  .refused_grace_ms = values.GetInt("broker.refused.grace.ms"),
                  .silence_before_dial_ms = values.GetInt("broker.dial.silence.ms"),
                  .takeover_before_dial_ms = values.GetInt("broker.dial.takeover.ms"),
                  .dial_interval_ms = values.GetInt("broker.dial.interval.ms"),
                  .dial_timeout_ms = values.GetInt("broker.dial.timeout.ms"),
                  .fence_brake_percent = values.GetInt("broker.fence.brake.percent")},
      .leaders = {.preferred = values.GetBool("auto.leader.rebalance.enable"),
                  .interval_ms = 1000 * values.GetInt("leader.imbalance.check.interval.seconds"),
                  .leads_per_second = values.GetInt("leader.rebalance.rate")},
      .confirm_interval_ms = values.GetInt("controller.quorum.confirm.interval.ms"),
      .moves_max = values.GetInt("partition.moves.max"),
      .random = random};
}

}  // namespace sluice::controller
