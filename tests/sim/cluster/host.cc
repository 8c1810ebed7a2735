#include "tests/sim/cluster/host.h"

#include <glog/logging.h>

#include <utility>

#include "controller/quorum_log.h"
#include "storage/log_manager.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {
namespace {

metadata::ServerConfig MakeConfig(NodeId node, const HostOptions& options) {
  const std::string name = "node" + std::to_string(node.value());
  std::string voters;
  for (int i = 1; i <= options.nodes; ++i) {
    voters += (i > 1 ? "," : "") + std::to_string(i) + "@" + ControllerAddress(NodeId(i));
  }
  metadata::ConfigSources sources;
  sources.host_name = name;
  sources.overrides = {
      "node.id=" + std::to_string(node.value()),
      "process.roles=broker,controller",
      "log.dirs=/data",
      "metadata.log.dir=/meta",
      "listeners=PLAINTEXT://" + name + ":" + std::to_string(kKafkaPortBase + node.value()) +
          ",CONTROLLER://" + ControllerAddress(node),
      "controller.listener.names=CONTROLLER",
      "controller.quorum.voters=" + voters,
  };
  for (const std::string& setting : options.settings) sources.overrides.push_back(setting);
  Result<metadata::LoadedConfig> loaded = metadata::LoadServerConfig(sources);
  CHECK(loaded.ok()) << loaded.status().ToString();
  return loaded->config;
}

}  // namespace

raft::VoterId VoterOf(NodeId id) {
  return {id, Uuid::FromBytes(std::string(16, static_cast<char>(id.value())))};
}

Host::Host(NodeId node, const HostOptions& options, const Clock& time)
    : id(node),
      cluster_id(options.cluster_id),
      clock(time),
      config(MakeConfig(node, options)),
      voter(VoterOf(node)) {
  raft::Bootstrap bootstrap{.cluster_id = options.cluster_id};
  for (int i = 1; i <= options.nodes; ++i) bootstrap.voters.push_back(VoterOf(NodeId(i)));
  CHECK(storage::LogManager::Format(disk, config.log_directory,
                                    {options.cluster_id, node, voter.disk_id})
            .ok());
  CHECK(
      controller::QuorumLog::Format(
          disk, clock, config.metadata_directory + "/" + controller::kQuorumLogDirectory, bootstrap)
          .ok());
  CHECK(disk.SyncFileSystem("/").ok());
}

void Host::FormatLogs(const Uuid& directory_id) {
  disk_replaced = true;
  disk.ClearFaults();
  disk.set_capacity_bytes(kAmpleBytes, config.log_directory);
  CHECK(disk.RemoveAll(config.log_directory).ok());
  const storage::DirectoryIdentity identity{cluster_id, id, directory_id};
  CHECK(storage::LogManager::Format(disk, config.log_directory, identity).ok());
  CHECK(disk.SyncFileSystem("/").ok());
}

}  // namespace sluice::sim
