#pragma once
// Process: one run of a node that is controller and broker, put together as
// controller/controller_node and broker/broker.cc do it, of the same parts, but over the simulated
// loops, disk and network. What is not here: sockets and gRPC, the admin service, groups and the
// cleaner.
//
// Thread rule: one thread, as all of the simulator. Ends between two tasks only.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/pausable_loop.h"
#include "broker/api/dispatch.h"
#include "broker/api/fetch_session.h"
#include "broker/api/topic_creator.h"
#include "broker/broker_lifecycle.h"
#include "broker/controller_client_grpc.h"
#include "broker/metadata_client.h"
#include "broker/producer_id_allocator.h"
#include "broker/replica/replica_manager.h"
#include "broker/stall_watch.h"
#include "controller/controller.h"
#include "controller/driver_quorum.h"
#include "controller/quorum_log.h"
#include "raft/core.h"
#include "raft/driver.h"
#include "storage/testing/sim_flusher.h"
#include "tests/sim/cluster/controller_wire.h"
#include "tests/sim/cluster/disk_loop.h"
#include "tests/sim/cluster/feed_wire.h"
#include "tests/sim/cluster/host.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {

class Process final : public raft::Transport, public controller::Dialer {
 public:
  // `on_failure`: the disk has failed, so the process should be ended soon.
  Process(World& world, Host& host, std::function<void(const Status&)> on_failure);
  ~Process() override;
  // kCorruption and the like when what the disk holds cannot be opened.
  Status Start();

  void Pause();
  void Resume();
  bool paused() const { return controller_loop_.paused(); }

  // From other hosts.
  EventLoop& controller_loop() { return controller_loop_; }
  controller::MetadataController& controller() { return *controller_; }
  FeedServer& feed_server() { return *feed_server_; }
  // A frame of a Kafka client, or of a follower.
  void Serve(std::string frame, const std::shared_ptr<broker::ConnectionInfo>& connection,
             std::function<void(Result<std::string>)> reply);
  // The process on `peer` has ended, as its connections to here show.
  void OnPeerGone(NodeId peer, bool refused);

  // Not one that is being torn down, which says nothing any more.
  bool alive() const { return world_.process(host_.id).get() == this; }

  // For checks.
  NodeId id() const { return host_.id; }
  const Host& host() const { return host_; }
  const raft::Core& raft_core() const { return driver_->core(); }
  const broker::BrokerState& broker_state() const { return state_; }
  const controller::FeedLog& feed() const { return feed_; }
  const broker::MetadataCache& metadata() const { return metadata_; }
  broker::ReplicaManager& replicas() { return *replicas_; }
  const storage::LogDirectories& logs() const { return *logs_; }
  broker::BrokerLifecycle& lifecycle() { return *lifecycle_; }
  // Leaders move away, then everything closes: `stopped` runs when the process may be ended.
  void StopCleanly(std::function<void()> stopped);

  // raft::Transport
  void Send(NodeId to, raft::Message message) override;
  void SetPeers(const std::vector<raft::Member>&) override {}
  // controller::Dialer
  void Dial(const std::string& address, int64_t timeout_ms,
            std::function<void(controller::DialOutcome)> done) override;

 private:
  Status OpenLogs();
  void MakeController();
  void MakeReplicas();
  void MakeServices();
  void JoinCluster();
  void CloseAll();
  metadata::RegisterBrokerRecord Registration();
  std::vector<std::string> ControllerAddresses() const;
  std::vector<testing::PausableLoop*> Loops();
  int64_t SyncMs() { return random_.Between(0, host_.sync_ms_max); }

  World& world_;
  Host& host_;
  Random random_;
  const std::function<void(const Status&)> on_failure_;
  ControllerWire wire_;

  // Loops outlive what runs on them.
  testing::PausableLoop controller_loop_;
  testing::PausableLoop io_loop_;
  testing::PausableLoop heartbeat_loop_;
  testing::PausableLoop metadata_loop_;
  testing::PausableLoop replica_loop_;
  testing::PausableLoop background_loop_;
  testing::PausableLoop cold_loop_;
  testing::PausableLoop flush_loop_;
  testing::PausableLoop reactor_loop_;
  DiskLoop quorum_io_{io_loop_, [this] { return SyncMs(); }};

  // The controller.
  controller::FeedLog feed_{8 << 20};
  std::unique_ptr<controller::QuorumLog> quorum_log_;
  std::unique_ptr<controller::MetadataController> controller_;
  std::unique_ptr<raft::Driver> driver_;
  std::unique_ptr<controller::DriverQuorum> quorum_;
  std::unique_ptr<FeedServer> feed_server_;

  // The broker.
  broker::BrokerState state_;
  broker::MetadataCache metadata_;
  broker::ApiMetrics api_metrics_;
  std::unique_ptr<broker::ColdReads> cold_reads_;
  std::unique_ptr<storage::LogDirectories> logs_;
  std::unique_ptr<storage::Flusher> flusher_;
  std::optional<broker::StallWatch> stalls_;
  std::unique_ptr<broker::GrpcControllerClient> heartbeat_client_;
  std::unique_ptr<broker::GrpcControllerClient> controller_client_;
  std::unique_ptr<broker::PeerConnector> peers_;
  std::unique_ptr<broker::ReplicaManager> replicas_;
  std::unique_ptr<broker::ProducerIdAllocator> producer_ids_;
  std::unique_ptr<broker::FetchSessionCache> fetch_sessions_;
  std::unique_ptr<broker::TopicCreator> topic_creator_;
  broker::BrokerServices services_;
  std::unique_ptr<broker::Dispatcher> dispatcher_;
  std::unique_ptr<broker::BrokerLifecycle> lifecycle_;
  std::unique_ptr<broker::MetadataClient> metadata_client_;
};

}  // namespace sluice::sim
