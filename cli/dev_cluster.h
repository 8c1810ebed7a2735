#pragma once
// DevCluster: a cluster of real `sluice server` processes on this machine, kept in one directory:
// dev.json says which nodes with which ports, node-N/ holds each node's server.properties, log and
// data, node-N/process.json the process that runs it: its pid, and when it started, which tells it
// from a later process of the same pid.
//
// Thread rule: one process at a time works on a directory; the main thread.

#include <sys/types.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/status.h"

namespace sluice::cli {

struct DevNode {
  int id = 0;
  int kafka_port = 0;
  int grpc_port = 0;
  int http_port = 0;
};

// Kafka's, of node 1.
inline constexpr int kDefaultPort = 9092;

struct DevOptions {
  std::string directory;
  std::optional<int> nodes;           // of a new cluster; 1 unless given
  std::optional<int> port;            // Kafka's of node 1, 9092 unless given; further ones +100
  std::vector<std::string> settings;  // key=value, for every node of a new cluster
};

enum class DevNodeState { kStopped, kStarting, kReady, kPaused };
std::string_view DevNodeStateName(DevNodeState state);

class DevCluster {
 public:
  // Opens the cluster in options.directory, or creates and formats it. kInvalidArgument when it
  // exists and the options ask for another one, and in three lines (what, why, what to do) when the
  // settings are wrong; kUnavailable when a port of a new one is taken.
  static Result<DevCluster> OpenOrCreate(FileSystem& fs, Random& random, const DevOptions& options);
  static Result<DevCluster> Open(FileSystem& fs, const std::string& directory);

  const std::vector<DevNode>& nodes() const { return nodes_; }
  const DevNode* Find(int id) const;
  DevNodeState StateOf(const DevNode& node) const;
  std::optional<pid_t> PidOf(
      const DevNode& node) const;  // of the process we started, if it still lives
  std::string NodeDirectory(const DevNode& node) const;

  // Starts the node's process (which outlives this one), or lets a paused one go on. kUnavailable
  // when one of its ports is taken.
  Status Start(const DevNode& node);
  // Sends `signal`; kNotFound when the node does not run.
  Status Signal(const DevNode& node, int signal);
  // SIGTERM to those of `ids` that run, SIGKILL to those still there after `timeout_ms`; returns
  // when they are gone.
  Status Stop(const std::vector<int>& ids, int64_t timeout_ms);
  std::vector<int> Ids() const;
  // Waits until each node in `ids` answers /ready; gives those that do not, and why. One that exits
  // before tells by its own error, or else by the end of its log: kUnavailable.
  std::map<int, Status> WaitReady(const std::vector<int>& ids, int64_t timeout_ms);

 private:
  DevCluster(FileSystem& fs, std::string directory, std::vector<DevNode> nodes)
      : fs_(&fs), directory_(std::move(directory)), nodes_(std::move(nodes)) {}
  static Status CreateFiles(FileSystem& fs, Random& random, const DevOptions& options,
                            const std::vector<DevNode>& nodes);
  static Status CheckPortsFree(const DevNode& node);
  Status CheckSame(const DevOptions& options) const;
  static Status CheckNoNode(FileSystem& fs, const std::string& directory);
  Status Spawn(const DevNode& node);
  std::string LogTail(const DevNode& node) const;
  Status WhyEnded(const DevNode& node) const;

  FileSystem* fs_;
  std::string directory_;
  std::vector<DevNode> nodes_;
  std::map<int, size_t> log_start_bytes_;  // where the log of a node started here begins
};

}  // namespace sluice::cli
