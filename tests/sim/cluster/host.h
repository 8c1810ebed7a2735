#pragma once
// Host: a simulated machine that runs one node: its disk, its configuration and its identity, which
// outlive the node's processes.
//
// Thread rule: one thread, as all of the simulator.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk_writes.h"
#include "base/testing/sim_file_system.h"
#include "base/uuid.h"
#include "metadata/server_config.h"
#include "raft/types.h"

namespace sluice::sim {

struct HostOptions {
  int nodes = 3;
  std::string cluster_id = "sim";
  // The metadata log has a disk of its own, so that the records' disk can fail alone.
  std::vector<std::string> settings;  // "key=value", besides those that make it a node
};

// Wall time can be set, steady time cannot.
class HostClock final : public Clock {
 public:
  explicit HostClock(const Clock& time) : time_(time) {}
  int64_t SteadyMs() const override { return time_.SteadyMs(); }
  int64_t SteadyMicros() const override { return time_.SteadyMicros(); }
  int64_t WallMs() const override { return time_.WallMs() + wall_ahead_ms; }

  int64_t wall_ahead_ms = 0;

 private:
  const Clock& time_;
};

struct Host {
  Host(NodeId node, const HostOptions& options, const Clock& time);
  // What the log directory held is gone; it is new, and empty, and has another id.
  void FormatLogs(const Uuid& directory_id);
  // The log directory as it is, and as it was then. The node is down.
  void CopyLogs();
  void RestoreLogs();
  // The log directory's disk has room for so much more; MakeRoom: for as much as ever.
  void FillDisk(uint64_t spare_bytes);
  void MakeRoom();
  // As if its writing had ended halfway; false when it is not there. The node is down.
  bool TearFile(const std::string& path);

  const NodeId id;
  const std::string cluster_id;
  HostClock clock;
  metadata::ServerConfig config;
  raft::VoterId voter;
  testing::SimFileSystem disk;
  int boots = 1;
  bool disk_replaced = false;
  std::map<std::string, std::string> copied_logs;  // by path
  int64_t sync_ms_max = 3;                         // how long the disk takes
  bool writes_on = false;    // also while a sync lasts: it is slow and does not hang
  uint64_t syncs_ended = 0;  // of the log directory
};

// What the disk of the log directory completes: one that writes on does so all the time.
class HostDiskWrites final : public DiskWrites {
 public:
  explicit HostDiskWrites(const Host& host) : host_(host) {}
  std::optional<uint64_t> Completed() const override {
    if (!host_.writes_on) return host_.syncs_ended;
    return host_.syncs_ended + static_cast<uint64_t>(host_.clock.SteadyMs());
  }

 private:
  const Host& host_;
};

inline constexpr uint64_t kAmpleBytes = uint64_t{1} << 40;  // of a disk that does not fill

// What every host's voter is called.
raft::VoterId VoterOf(NodeId id);

}  // namespace sluice::sim
