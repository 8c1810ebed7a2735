#pragma once
// Broker: all parts of a broker put together from a configuration: logs, flusher, key-value store,
// replicas, listeners, API handlers, and the standing with the controllers. The composition root
// starts one beside the node's controller, or alone.
//
// Thread rule: Start, Stop and the destructor from one thread, which is none of its loops;
// accessors from any thread until Stop.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/status.h"
#include "broker/api/broker_services.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "broker/metadata_cache.h"
#include "broker/net/net_metrics.h"
#include "broker/offset_look_up.h"
#include "broker/replica/replica_manager.h"
#include "broker/stall_watch.h"
#include "metadata/server_config.h"
#include "storage/flusher.h"
#include "storage/kv.h"
#include "storage/log_directories.h"
#include "storage/space_reserve.h"

namespace sluice::rpc {
class ControllerConnection;
}

namespace sluice::broker {

class AsioPeerConnector;
class BrokerLifecycle;
class BrokerMetrics;
class Dispatcher;
class FetchSessionCache;
class GroupCoordinator;
class GrpcControllerClient;
class MetadataClient;
class NetworkLoop;
class ProducerIdAllocator;
class Server;
class TopicCreator;

struct BrokerOptions {
  const metadata::ServerConfig* config = nullptr;  // none of these is owned; all outlive the broker
  FileSystem* file_system = nullptr;
  storage::SpaceReserve* reserve = nullptr;  // for its opening; may be missing
  const Clock* clock = nullptr;
  MetricsRegistry* metrics = nullptr;
  Random random{0};
  std::string grpc_address;  // of the node's own servers, as others dial them
  std::string http_address;
  // How calls reach a controller; null: rpc::ConnectOverGrpc.
  std::function<std::unique_ptr<rpc::ControllerConnection>(const std::string& address)>
      connect_to_controller;
  // Told once, from any thread, when the disk has failed: the process should then stop, so that
  // others take over.
  std::function<void(const Status&)> on_storage_failure;
  // Told once, from any thread, when the controllers turn out to be of another cluster than the log
  // directory: the broker will never be in service.
  std::function<void(const Status&)> on_refused;
};

class Broker {
 public:
  // Opens everything, binds the listeners and begins to register; Ready() tells when the broker is
  // in service. kNotFound when the log directory is not formatted, kUnavailable when another
  // process uses it or a port is taken.
  static Result<std::unique_ptr<Broker>> Start(BrokerOptions options);
  ~Broker();

  // Whether the metadata has been read up to this broker's registration, since it started.
  bool KnowsCluster() const;
  // In service: registered, unfenced, with a valid lease and its own registration applied.
  bool Ready() const;
  // Why not; empty when it is.
  std::string WhyNotReady() const;
  // Controlled shutdown: leaders move away first, then everything closes and the clean-shutdown
  // marker is written. Idempotent.
  void Stop();

  const BrokerState& state() const { return state_; }
  MetadataCache& metadata() { return metadata_; }
  ControllerClient& controller();
  std::vector<PartitionStatus> Partitions() const { return replicas_->Status(); }
  // Of partitions that this broker leads.
  void DeleteRecords(DeleteRecordsParams params,
                     std::function<void(std::vector<DeleteRecordsResult>)> done) {
    replicas_->DeleteRecords(std::move(params), std::move(done));
  }
  // Where partitions that this broker leads begin and end, and what stands where in them.
  void LookUpOffsets(std::vector<OffsetQuestion> questions, OffsetAnswers done) {
    broker::LookUpOffsets(*replicas_, *background_loop_, std::move(questions), std::move(done));
  }
  GroupCoordinator& groups() { return *groups_; }
  const std::vector<storage::DirectoryPtr>& LogDirectories() const { return logs_->directories(); }
  int port(const std::string& listener) const;

 private:
  explicit Broker(BrokerOptions options);

  // Start's steps, in order.
  Status OpenStorage();
  Status OpenKv();
  void ConnectControllers();
  CompactionOptions MakeCompaction();
  void MakeReplicas();
  void MakeGroups();
  void MakeServices();
  Status Listen();
  Status JoinCluster();
  void SendClientsAwayFromLostLeaders();
  Status StartParts();

  void CloseLogs(const std::map<storage::TopicPartition, Offset>& high_watermarks);
  sluice::metadata::RegisterBrokerRecord Registration();
  std::map<NodeId, std::string> Controllers() const;

  BrokerOptions options_;
  const metadata::ServerConfig& config_;
  BrokerState state_;
  MetadataCache metadata_;
  NetMetrics net_metrics_;
  std::atomic<int64_t> logs_to_recover_ = 0;
  std::unique_ptr<MetricsGroup> recovery_metrics_;
  ApiMetrics api_metrics_;

  // Loops outlive what runs on them. Heartbeats have their own: a late one costs leadership.
  std::unique_ptr<ThreadEventLoop> heartbeat_loop_;
  std::unique_ptr<ThreadEventLoop> metadata_loop_;
  std::unique_ptr<NetworkLoop> replica_loop_;
  std::unique_ptr<ThreadEventLoop> background_loop_;
  std::vector<std::unique_ptr<ThreadEventLoop>> cleaner_loops_;
  std::vector<std::unique_ptr<ThreadEventLoop>> cold_loops_;
  std::unique_ptr<ColdReads> cold_reads_;
  std::vector<std::unique_ptr<ThreadEventLoop>> group_loops_;

  std::unique_ptr<storage::LogDirectories> logs_;
  // One for each directory, by path.
  std::map<std::string, std::unique_ptr<storage::Flusher>> flushers_;
  std::optional<StallWatch> stalls_;  // asked on the heartbeat loop
  std::unique_ptr<storage::Kv> kv_;
  std::unique_ptr<GrpcControllerClient> heartbeat_client_;
  std::unique_ptr<GrpcControllerClient> controller_client_;
  std::unique_ptr<AsioPeerConnector> peers_;
  std::unique_ptr<ReplicaManager> replicas_;
  std::unique_ptr<GroupCoordinator> groups_;
  std::unique_ptr<ProducerIdAllocator> producer_ids_;
  std::unique_ptr<FetchSessionCache> fetch_sessions_;
  std::unique_ptr<TopicCreator> topic_creator_;
  BrokerServices services_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<BrokerLifecycle> lifecycle_;
  std::unique_ptr<MetadataClient> metadata_client_;
  std::unique_ptr<BrokerMetrics> broker_metrics_;  // last: it reads the others
  std::atomic<bool> stopped_ = false;
  mutable std::atomic<bool> knows_cluster_ = false;  // once it has, for good
};

}  // namespace sluice::broker
