#include "tests/sim/cluster/process.h"

#include <glog/logging.h>

#include <utility>

#include "broker/disk_testimony.h"
#include "controller/config_options.h"
#include "tests/sim/cluster/kafka_wire.h"

namespace sluice::sim {
namespace {

constexpr char kImageFile[] = "/metadata-image";

}  // namespace

Process::Process(World& world, Host& host, std::function<void(const Status&)> on_failure)
    : world_(world),
      host_(host),
      random_(world.random().Fork()),
      on_failure_(std::move(on_failure)),
      wire_(world, host.id),
      controller_loop_(world.scheduler(), &host.clock),
      io_loop_(world.scheduler(), &host.clock),
      heartbeat_loop_(world.scheduler(), &host.clock),
      metadata_loop_(world.scheduler(), &host.clock),
      replica_loop_(world.scheduler(), &host.clock),
      background_loop_(world.scheduler(), &host.clock),
      cold_loop_(world.scheduler(), &host.clock),
      flush_loop_(world.scheduler(), &host.clock),
      reactor_loop_(world.scheduler(), &host.clock) {}

// As a kill leaves it: nobody says goodbye.
Process::~Process() {
  if (controller_ != nullptr) controller_->Stop();
  wire_.EndAll();
  // Whatever it would write is not written any more; whoever ends the process says what is left.
  host_.disk.KillProcess();
  host_.disk.StopAfter(0);
  // Requests that wait are answered, to nobody, while what they work with is still there.
  if (replicas_ != nullptr) static_cast<void>(replicas_->Stop());
}

std::vector<testing::PausableLoop*> Process::Loops() {
  return {&controller_loop_, &io_loop_,   &heartbeat_loop_, &metadata_loop_, &replica_loop_,
          &background_loop_, &cold_loop_, &flush_loop_,     &reactor_loop_};
}

void Process::Pause() {
  for (testing::PausableLoop* loop : Loops()) loop->Pause();
}

void Process::Resume() {
  for (testing::PausableLoop* loop : Loops()) loop->Resume();
}

Status Process::Start() {
  SLUICE_RETURN_IF_ERROR(OpenLogs());
  MakeController();
  MakeReplicas();
  MakeServices();
  JoinCluster();
  return Status::Ok();
}

Status Process::OpenLogs() {
  const metadata::ServerConfig& config = host_.config;
  SLUICE_ASSIGN_OR_RETURN(
      quorum_log_, controller::QuorumLog::Open({.directory = config.metadata_directory + "/" +
                                                             controller::kQuorumLogDirectory,
                                                .file_system = &host_.disk,
                                                .clock = &host_.clock,
                                                .loop = &controller_loop_,
                                                .io_loop = &quorum_io_,
                                                .self = host_.voter,
                                                .alone = config.voters.size() == 1}));
  storage::LogDirectoriesOptions options;
  options.directories = config.log_directories;
  options.file_system = &host_.disk;
  options.clock = &host_.clock;
  options.random = &random_;
  options.recovery_threads = 1;
  options.boot_id = "boot " + std::to_string(host_.boots);
  options.run_later = [this](std::function<void()> task) {
    background_loop_.Post(std::move(task));
  };
  SLUICE_ASSIGN_OR_RETURN(logs_, storage::LogDirectories::Open(std::move(options)));
  flusher_ = std::make_unique<storage::testing::SimFlusher>(
      flush_loop_,
      [this](std::span<const storage::Flushed> group) {
        ++host_.syncs_ended;
        broker::ReplicaManager::OnFlushed(group);
      },
      [this] { return SyncMs(); });
  const storage::DirectoryIdentity& identity = logs_->identity();
  state_.node_id = identity.node_id;
  state_.cluster_id = identity.cluster_id;
  state_.directory_id = identity.directory_id;
  state_.session_timeout_ms = config.broker_session_timeout_ms;
  state_.lease_margin_ms = config.values.GetInt("broker.lease.margin.ms");
  return Status::Ok();
}

void Process::MakeController() {
  const metadata::ServerConfig& config = host_.config;
  controller_ = std::make_unique<controller::MetadataController>(
      controller::ToControllerOptions(config, state_.cluster_id, random_.Fork()), controller_loop_,
      *this, feed_);
  driver_ =
      std::make_unique<raft::Driver>(raft::DriverOptions{.config = controller::ToRaftConfig(config),
                                                         .cluster_id = state_.cluster_id,
                                                         .self = host_.voter,
                                                         .random = random_.Fork()},
                                     raft::DriverParts{.loop = controller_loop_,
                                                       .log = *quorum_log_,
                                                       .transport = *this,
                                                       .state_machine = *controller_});
  driver_->set_on_failure([this](const Status& status) { on_failure_(status); });
  quorum_ = std::make_unique<controller::DriverQuorum>(*driver_);
  controller_->Start(quorum_.get());
  feed_server_ =
      std::make_unique<FeedServer>(world_, host_.id, feed_, controller_loop_, [this](NodeId lost) {
        controller_loop_.Post([this, lost] { controller_->OnBrokerConnectionLost(lost, false); });
      });
  controller_loop_.Post([this] { driver_->Start(); });
}

std::vector<std::string> Process::ControllerAddresses() const {
  std::vector<std::string> addresses;
  for (const metadata::VoterAddress& voter : host_.config.voters)
    addresses.push_back(voter.address.ToString());
  return addresses;
}

void Process::MakeReplicas() {
  const metadata::ServerConfig& config = host_.config;
  heartbeat_client_ =
      std::make_unique<broker::GrpcControllerClient>(ControllerAddresses(), state_, heartbeat_loop_,
                                                     random_.Fork(), wire_.connect(kHeartbeatLane));
  controller_client_ = std::make_unique<broker::GrpcControllerClient>(
      ControllerAddresses(), state_, replica_loop_, random_.Fork(), wire_.connect(kControllerLane));
  cold_reads_ = std::make_unique<broker::ColdReads>(std::vector<EventLoop*>{&cold_loop_});
  peers_ = std::make_unique<PeerWire>(world_, host_.id);
  broker::ReplicaManagerOptions options;
  options.state = &state_;
  options.metadata = &metadata_;
  options.logs = logs_.get();
  options.flusher_of = [this](const storage::DirectoryState&) -> storage::Flusher& {
    return *flusher_;
  };
  options.vital_directory = config.metadata_directory;
  options.controller = controller_client_.get();
  options.peers = peers_.get();
  options.loop = &replica_loop_;
  options.background_loop = &background_loop_;
  options.cold_reads = cold_reads_.get();
  options.clock = &host_.clock;
  options.server_config = &config.values;
  options.inter_broker_listener = config.inter_broker_listener;
  options.replica_lag_ms_max = config.replica_lag_time_ms_max;
  options.replica_fetch_bytes =
      static_cast<int32_t>(config.values.GetInt("replica.fetch.max.bytes"));
  options.replica_fetch_response_bytes =
      static_cast<int32_t>(config.values.GetInt("replica.fetch.response.max.bytes"));
  options.retention_check_interval_ms = config.values.GetInt("log.retention.check.interval.ms");
  options.on_storage_failure = [this](const Status& status) { on_failure_(status); };
  replicas_ = broker::ReplicaManager::Create(std::move(options));
}

void Process::MakeServices() {
  producer_ids_ = std::make_unique<broker::ProducerIdAllocator>(state_, *controller_client_);
  fetch_sessions_ = std::make_unique<broker::FetchSessionCache>(broker::FetchSessionOptions(),
                                                                host_.clock, random_.Fork());
  topic_creator_ = std::make_unique<broker::TopicCreator>(state_, *controller_client_);
  services_.state = &state_;
  services_.metadata = &metadata_;
  services_.replicas = replicas_.get();
  services_.controller = controller_client_.get();
  services_.producer_ids = producer_ids_.get();
  services_.fetch_sessions = fetch_sessions_.get();
  services_.topic_creator = topic_creator_.get();
  services_.config = &host_.config;
  services_.clock = &host_.clock;
  services_.loop = &replica_loop_;
  services_.metrics = &api_metrics_;
  services_.knows_cluster = [this] {
    const int64_t epoch = state_.broker_epoch;
    return epoch >= 0 && metadata_.Current()->last_index.value() >= epoch;
  };
  dispatcher_ = std::make_unique<broker::Dispatcher>(services_);
}

metadata::RegisterBrokerRecord Process::Registration() {
  metadata::RegisterBrokerRecord record;
  record.set_broker_id(host_.id.value());
  record.set_incarnation_id(std::string(Uuid::Generate(random_).view()));
  record.set_directory_id(std::string(state_.directory_id.view()));
  for (const metadata::Listener& listener : host_.config.advertised_listeners) {
    auto* endpoint = record.add_endpoints();
    endpoint->set_listener(listener.name);
    endpoint->set_host(listener.address.host);
    endpoint->set_port(listener.address.port);
    endpoint->set_security_protocol("PLAINTEXT");
  }
  record.set_grpc_address(ControllerAddress(host_.id));
  record.set_boot_id("boot " + std::to_string(host_.boots));
  record.set_fenced(true);
  record.set_is_controller(true);
  return record;
}

void Process::JoinCluster() {
  const metadata::ServerConfig& config = host_.config;
  broker::BrokerLifecycleOptions options;
  options.state = &state_;
  options.metadata = &metadata_;
  options.controller = heartbeat_client_.get();
  options.loop = &heartbeat_loop_;
  options.registration = Registration();
  broker::TellOfDisks(*logs_, options);
  options.heartbeat_interval_ms = config.broker_heartbeat_interval_ms;
  options.keep_epoch = [this](BrokerEpoch epoch, std::function<void()> kept) {
    replicas_->KeepBrokerEpoch(epoch, std::move(kept));
  };
  stalls_.emplace(host_.clock, config.values.GetInt("broker.stall.timeout.ms"));
  stalls_->WatchDisk(config.log_directory, *flusher_, std::make_unique<HostDiskWrites>(host_));
  stalls_->WatchLoop("metadata", metadata_loop_);
  stalls_->WatchLoop("replica", replica_loop_);
  options.what_is_stuck = [this] { return stalls_->WhatIsStuck(); };
  options.on_leader = [this](NodeId leader) { metadata_client_->OnLeader(leader); };
  lifecycle_ = std::make_unique<broker::BrokerLifecycle>(std::move(options));

  broker::MetadataClientOptions feed;
  for (const metadata::VoterAddress& voter : config.voters)
    feed.controllers[voter.id] = voter.address.ToString();
  feed.state = &state_;
  feed.cache = &metadata_;
  feed.loop = &metadata_loop_;
  feed.background_loop = &background_loop_;
  feed.file_system = &host_.disk;
  feed.image_path = config.metadata_directory + kImageFile;
  feed.save_interval_ms = 5000;
  feed.on_leader = [this](const std::string& address) {
    heartbeat_client_->OnLeader(address);
    controller_client_->OnLeader(address);
  };
  feed.on_controllers = [this](const std::vector<std::string>& addresses) {
    heartbeat_client_->OnVoters(addresses);
    controller_client_->OnVoters(addresses);
  };
  feed.connector = std::make_shared<FeedWire>(world_, host_.id);
  metadata_client_ = broker::MetadataClient::Start(std::move(feed));
  lifecycle_->Start();
}

void Process::StopCleanly(std::function<void()> stopped) {
  lifecycle_->BeginShutdown([this, stopped = std::move(stopped)](bool) {
    // The rest as from the main thread, which waits for each loop's task to end.
    world_.loop().Post([here = std::weak_ptr(world_.process(host_.id)), stopped] {
      const std::shared_ptr<Process> process = here.lock();
      if (process == nullptr) return;
      process->CloseAll();
      stopped();
    });
  });
}

void Process::CloseAll() {
  lifecycle_->Stop();
  metadata_client_->Stop();
  const auto high_watermarks = replicas_->Stop();
  const Status closed = broker::CloseDisks(*logs_, high_watermarks, state_.broker_epoch,
                                           lifecycle_->registration_open());
  LOG_IF(WARNING, !closed.ok()) << "a simulated stop: " << closed.ToString();
  Pause();  // what is left goes with the process
}

void Process::Serve(std::string frame, const std::shared_ptr<broker::ConnectionInfo>& connection,
                    std::function<void(Result<std::string>)> reply) {
  const auto bytes = std::make_shared<std::string>(std::move(frame));
  reactor_loop_.Post([this, bytes, connection, reply = std::move(reply)] {
    dispatcher_->Dispatch({bytes, *bytes}, connection, [this, reply](broker::Reply answer) {
      if (!alive()) return;
      if (answer.kind == broker::Reply::Kind::kClose)
        return reply(Status::Unavailable(answer.reason));
      if (answer.kind == broker::Reply::Kind::kSend) reply(Flatten(answer.frame));
    });
  });
}

void Process::Send(NodeId to, raft::Message message) {
  if (!alive()) return;
  world_.network().CarryDatagram(
      host_.id, to, [&world = world_, from = host_.id, to, message = std::move(message)]() mutable {
        const std::shared_ptr<Process> target = world.process(to);
        if (target == nullptr) return;
        world.Trace("raft", static_cast<uint64_t>(from.value() * 100 + to.value()));
        target->controller_loop_.Post([process = target.get(), message = std::move(message)] {
          process->driver_->Step(message);
        });
      });
}

void Process::OnPeerGone(NodeId peer, bool refused) {
  controller_loop_.Post([this, peer, refused] {
    driver_->PeerLost(peer, refused);
    controller_->OnVoterLost(peer, refused);
    feed_server_->OnSubscribersGone();
  });
}

namespace {

// Answered by the host, not by the process: a paused one accepts, too.
class DialCall final : public Pending {
 public:
  explicit DialCall(std::function<void(controller::DialOutcome)> done) : done_(std::move(done)) {}
  void Break(const std::string&) override { Finish(controller::DialOutcome::kRefused); }
  bool over() const override { return done_ == nullptr; }
  void Finish(controller::DialOutcome outcome) {
    if (auto done = std::exchange(done_, nullptr); done) done(outcome);
  }

 private:
  std::function<void(controller::DialOutcome)> done_;
};

}  // namespace

void Process::Dial(const std::string& address, int64_t timeout_ms,
                   std::function<void(controller::DialOutcome)> done) {
  const NodeId to = NodeAt(address);
  const NodeId from = host_.id;
  // The answer may come when this process has ended.
  const auto call =
      std::make_shared<DialCall>([here = std::weak_ptr(world_.process(from)),
                                  done = std::move(done)](controller::DialOutcome outcome) {
        if (!here.expired()) done(outcome);
      });
  World& world = world_;
  world.network().CarryDatagram(from, to, [&world, from, to, call] {
    if (world.power(to) == Power::kOff) return;
    const bool listens = world.process(to) != nullptr;
    world.network().CarryDatagram(to, from, [call, listens] {
      call->Finish(listens ? controller::DialOutcome::kConnected
                           : controller::DialOutcome::kRefused);
    });
  });
  world.network().After(timeout_ms,
                        [call] { call->Finish(controller::DialOutcome::kUnreachable); });
}

}  // namespace sluice::sim
