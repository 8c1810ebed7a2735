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
  MakeRoom();
  CHECK(disk.RemoveAll(config.log_directory).ok());
  const storage::DirectoryIdentity identity{cluster_id, id, directory_id};
  CHECK(storage::LogManager::Format(disk, config.log_directory, identity).ok());
  CHECK(disk.SyncFileSystem("/").ok());
}

namespace {

void CopyFiles(FileSystem& disk, const std::string& path,
               std::map<std::string, std::string>& copies) {
  if (!disk.IsDirectory(path)) {
    const Result<std::string> content = ReadFile(disk, path);
    CHECK(content.ok()) << content.status().ToString();
    copies[path] = *content;
    return;
  }
  const auto names = disk.List(path);
  CHECK(names.ok()) << names.status().ToString();
  for (const std::string& name : *names) CopyFiles(disk, path + "/" + name, copies);
}

void StoreFile(FileSystem& disk, const std::string& path, std::string_view content) {
  const auto file = disk.Open(path, OpenMode::kCreateTruncate);
  CHECK(file.ok() && (*file)->WriteAt(0, content).ok()) << path;
}

}  // namespace

void Host::CopyLogs() {
  copied_logs.clear();
  CopyFiles(disk, config.log_directory, copied_logs);
}

void Host::RestoreLogs() {
  disk_replaced = true;
  CHECK(disk.RemoveAll(config.log_directory).ok());
  for (const auto& [path, content] : copied_logs) {
    CHECK(disk.CreateDirectories(path.substr(0, path.rfind('/'))).ok());
    StoreFile(disk, path, content);
  }
  CHECK(disk.SyncFileSystem("/").ok());
}

void Host::FillDisk(uint64_t spare_bytes) {
  // Before it has a size of its own, what is used is told of all disks together.
  MakeRoom();
  const auto space = disk.Space(config.log_directory);
  CHECK(space.ok()) << space.status().ToString();
  const uint64_t used_bytes = space->total_bytes - space->free_bytes;
  disk.set_capacity_bytes(used_bytes + spare_bytes, config.log_directory);
}

void Host::MakeRoom() { disk.set_capacity_bytes(kAmpleBytes, config.log_directory); }

bool Host::TearFile(const std::string& path) {
  const Result<std::string> content = ReadFile(disk, path);
  if (!content.ok()) return false;
  StoreFile(disk, path, content->substr(0, content->size() / 2));
  CHECK(disk.SyncFileSystem("/").ok());
  return true;
}

}  // namespace sluice::sim
