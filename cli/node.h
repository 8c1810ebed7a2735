#pragma once
// Node: one server process put together from a configuration: a controller, a broker or both, and
// the doors of the admin service. The composition root; everything else gets its parts by
// constructor.
//
// Thread rule: Start, Stop and the destructor from the main thread.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin/handlers.h"
#include "admin/http_routes.h"
#include "admin/http_server.h"
#include "admin/metrics_collector.h"
#include "admin/node_backend.h"
#include "admin/service.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "broker/broker.h"
#include "cli/node_groups.h"
#include "controller/controller_node.h"
#include "metadata/server_config.h"
#include "rpc/server.h"
#include "storage/space_reserve.h"

namespace sluice::cli {

class Node {
 public:
  // Everything is open and listening when this returns; Ready() tells when the node is in service.
  // `on_refused` is told once, from any thread, when the directory turns out to be of another
  // cluster than its controllers: the node will never be in service, and should be stopped.
  using OnRefused = std::function<void(const Status&)>;
  static Result<std::unique_ptr<Node>> Start(metadata::ServerConfig config, OnRefused on_refused);
  ~Node();

  bool Ready() const;
  // Leaders move away first; then the doors close, and the data is left as a clean stop leaves it.
  void Stop();

 private:
  Node(metadata::ServerConfig config, OnRefused on_refused);

  // Start's steps, in order.
  Status CheckFormatted();
  void UseReserve();
  void Refused(const Status& why);
  Status OpenController();
  Status StartRpc();
  Status StartBroker();
  Status StartHttp();
  void KeepReserve();
  void LookAtReserve();
  admin::NodeBackendOptions BackendOptions();
  admin::Readiness Readiness() const;
  std::optional<admin::LocalController> LocalController() const;

  const metadata::ServerConfig config_;
  const OnRefused on_refused_;
  std::atomic<bool> refused_ = false;
  std::unique_ptr<FileSystem> fs_ = NewPosixFileSystem();
  SystemClock clock_;
  Random random_ = Random::FromSystem();
  MetricsRegistry metrics_;
  std::string cluster_id_;
  Uuid directory_id_;
  std::unique_ptr<storage::SpaceReserve> reserve_;
  MetricsGroup reserve_metrics_{metrics_};
  std::unique_ptr<ThreadEventLoop> reserve_loop_;  // nobody else waits for the disk with it
  std::unique_ptr<ThreadEventLoop> admin_loop_;
  std::unique_ptr<controller::ControllerNode> controller_;
  std::unique_ptr<broker::Broker> broker_;
  // The admin service answers before the broker is there, and sees it only once it is whole.
  std::atomic<broker::Broker*> broker_in_service_ = nullptr;
  std::unique_ptr<NodeGroups> groups_;
  std::unique_ptr<admin::NodeBackend> backend_;
  std::unique_ptr<admin::Handlers> handlers_;
  std::unique_ptr<admin::MetricsCollector> collector_;
  std::unique_ptr<admin::AdminService> admin_service_;
  std::unique_ptr<rpc::Server> rpc_server_;
  std::unique_ptr<admin::HttpServer> http_server_;
  bool stopped_ = false;
};

}  // namespace sluice::cli
