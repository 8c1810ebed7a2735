#pragma once
// ControllerNode: one voter of the quorum, put together: the metadata log on disk, the raft driver
// and its transport, the controller, and their gRPC services. The process registers services() with
// its server, starts the server and then the node.
//
//   auto node = ControllerNode::Open({.config = &config, .cluster_id = id, ...});
//   rpc::ServerOptions server{.addresses = {...}, .services = (*node)->services()};
//   (*node)->Start();   ...   (*node)->Stop();   server->Stop(grace);   // and only then the node
//   goes
//
// Thread rule: Open, Start, Stop and the destructor from one owner, none of them on the node's
// loop; the rest from any thread.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/status.h"
#include "base/uuid.h"
#include "controller/controller.h"
#include "metadata/server_config.h"
#include "raft/driver.h"

namespace grpc {
class Service;
}

namespace sluice::storage {
class SpaceReserve;
}

namespace sluice::controller {

struct ControllerNodeOptions {
  const metadata::ServerConfig* config = nullptr;  // none of these is owned; all outlive the node
  FileSystem* file_system = nullptr;
  storage::SpaceReserve* reserve = nullptr;  // for the metadata log; may be missing
  const Clock* clock = nullptr;
  std::string cluster_id;  // of the log directory's meta.properties
  Random random{0};
  MetricsRegistry* metrics = nullptr;  // may be missing
  // The metadata log failed: the voter can promise nothing any more. Called once, on the loop; the
  // process should end.
  std::function<void(const Status&)> on_failure;
  // The voters at the configured addresses have a leader and are of another cluster than this
  // node's directory, which never joined them: it never will. Called once, from any thread.
  std::function<void(const Status&)> on_refused;
};

class ControllerNode {
 public:
  // Locks and opens the metadata log. Errors have three lines: what, why, what to do.
  static Result<std::unique_ptr<ControllerNode>> Open(ControllerNodeOptions options);
  // The server that has the services must be stopped by now. Stops, if Stop did not.
  ~ControllerNode();

  std::vector<grpc::Service*> services();
  // Begins to take part in the quorum.
  void Start();
  // Hands leadership to another voter, answers what waits, ends the streams and closes the log.
  // Idempotent.
  void Stop();

  Uuid disk_id() const;  // together with node.id it makes the voter
  bool active() const;   // the active controller, as far as this node knows
  raft::DriverStatus status() const;
  // RaftTransport::dropped
  std::map<NodeId, uint64_t> messages_dropped() const;
  // RaftService::pauses
  uint64_t streams_paused() const;
  metadata::ImagePtr image() const;  // committed
  FeedProgress progress() const;
  // Runs `done` once this node has applied `index`, on the loop (or never, when the node stops
  // before).
  void WhenApplied(LogIndex index, std::function<void()> done);
  // Counters of the controller, read on its loop; the last known ones once stopped.
  ControllerMetrics metrics() const;
  void TakeSnapshot();

 private:
  struct Impl;
  explicit ControllerNode(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
