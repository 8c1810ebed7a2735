#include "cli/node.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdlib>

#include "admin/errors.h"
#include "cli/cluster_plan.h"
#include "cli/context.h"
#include "cli/controller_metrics.h"
#include "cli/raft_metrics.h"
#include "kafka/error_code.h"
#include "rpc/leader_client.h"
#include "storage/log_manager.h"

namespace sluice::cli {

namespace {

constexpr int64_t kRpcGraceMs = 500;
constexpr int64_t kReserveLookMs = 1000;

// At once, without writing anything more: what the disk did with the last writes is unknown. Not
// by an abort, for where in the code it was helps nobody whose disk is broken.
[[noreturn]] void GiveUp(const std::string& what, const Status& failure) {
  LOG(ERROR) << what << " failed, this node gives up: " << failure.message()
             << (failure.code() == StatusCode::kDiskFull
                     ? ". Once the disk has room, start it again"
                     : ". Once the disk is mended, or another is in its place, start it again");
  google::FlushLogFiles(google::GLOG_INFO);
  std::_Exit(static_cast<int>(ExitCode::kFailed));
}

// Empty: for nothing.
std::string WhatVoteWaitsFor(const raft::DriverStatus& quorum) {
  if (quorum.inquiring)
    return "asks all the others whether its disk is new: " + quorum.why_inquiring;
  return quorum.recovering ? "waits for entries that its disk has lost" : "";
}

metadata::ControllerAddresses AddressesOf(const std::vector<metadata::VoterAddress>& voters) {
  metadata::ControllerAddresses addresses;
  for (const metadata::VoterAddress& voter : voters) addresses[voter.id] = voter.address.ToString();
  return addresses;
}

// The gRPC server's addresses: the CONTROLLER listener and the admin's, often one and the same.
std::vector<std::string> RpcAddresses(const metadata::ServerConfig& config) {
  std::vector<std::string> addresses = {config.grpc_listener.ToString()};
  if (config.controller_listener && *config.controller_listener != config.grpc_listener) {
    addresses.push_back(config.controller_listener->ToString());
  }
  return addresses;
}

std::vector<admin::LocalPartition> LocalPartitions(const broker::Broker* broker) {
  std::vector<admin::LocalPartition> partitions;
  if (broker == nullptr) return partitions;
  for (const broker::PartitionStatus& status : broker->Partitions()) {
    partitions.push_back({status.name.topic, status.name.partition, status.is_leader,
                          status.log_start_offset, status.log_end_offset, status.high_watermark,
                          status.size_bytes, status.in_rate, status.out_rate,
                          !status.error.empty() && !status.disk_away, status.error});
  }
  return partitions;
}

// Kafka's words for it name no offset.
Status OutsideOf(const broker::Broker& broker, const admin::DeleteRecordsRequest& request) {
  const std::string name = request.topic() + "-" + std::to_string(request.partition());
  std::string has = "what its replicas have in common";
  for (const broker::PartitionStatus& status : broker.Partitions()) {
    if (status.name.topic != request.topic() ||
        status.name.partition != PartitionIndex(request.partition()))
      continue;
    has = std::to_string(status.log_start_offset.value()) + " to " +
          std::to_string(status.high_watermark.value());
  }
  return Status::OutOfRange("offset " + std::to_string(request.before_offset()) +
                            " is outside of " + name +
                            ", whose records can be deleted before an offset from " + has +
                            "; -1 stands for the last one");
}

void DeleteLocalRecords(broker::Broker* broker, const admin::DeleteRecordsRequest& request,
                        int64_t timeout_ms, admin::Done<admin::DeleteRecordsResponse> done) {
  if (broker == nullptr) return done(Status::Unavailable("the broker is starting"));
  const auto topic = broker->metadata().Current()->FindTopic(request.topic());
  if (topic == nullptr)
    return done(Status::NotFound("topic '" + request.topic() + "' does not exist"));
  broker::DeleteRecordsParams params;
  params.timeout_ms = static_cast<int32_t>(timeout_ms);
  params.entries.push_back(
      {{topic->id, PartitionIndex(request.partition())}, Offset(request.before_offset())});
  broker->DeleteRecords(
      std::move(params),
      [broker, request, done](const std::vector<broker::DeleteRecordsResult>& results) {
        if (results.at(0).error == kafka::ErrorCode::kOffsetOutOfRange)
          return done(OutsideOf(*broker, request));
        const Status outcome = admin::StatusFromKafka(kafka::WireError(results.at(0).error), "");
        if (!outcome.ok()) return done(outcome);
        admin::DeleteRecordsResponse response;
        response.set_low_watermark(results[0].low_watermark.value());
        done(response);
      });
}

std::vector<admin::LocalDirectory> LocalDirectories(const broker::Broker* broker,
                                                    const storage::SpaceReserve& reserve) {
  using Standing = admin::LocalDirectory::Standing;
  std::vector<admin::LocalDirectory> directories;
  const storage::ReserveStanding reserve_stands = reserve.standing();
  if (reserve_stands == storage::ReserveStanding::kNoRoom ||
      reserve_stands == storage::ReserveStanding::kRefused) {
    const bool no_room = reserve_stands == storage::ReserveStanding::kNoRoom;
    directories.push_back({reserve.directory(),
                           no_room ? Standing::kReserveWithoutRoom : Standing::kReserveRefused,
                           reserve.held_bytes(), reserve.wanted_bytes()});
  }
  if (broker == nullptr) return directories;
  for (const storage::DirectoryPtr& state : broker->LogDirectories()) {
    Standing standing = Standing::kOnline;
    if (state->level() == storage::SpaceLevel::kLow) standing = Standing::kLow;
    if (state->level() == storage::SpaceLevel::kFull) standing = Standing::kFull;
    if (!state->online()) standing = Standing::kOffline;
    directories.push_back({state->path(), standing, state->free_bytes(), 0});
  }
  return directories;
}

}  // namespace

Node::Node(metadata::ServerConfig config, OnRefused on_refused)
    : config_(std::move(config)), on_refused_(std::move(on_refused)) {}

Node::~Node() { Stop(); }

Result<std::unique_ptr<Node>> Node::Start(metadata::ServerConfig config, OnRefused on_refused) {
  std::unique_ptr<Node> node(new Node(std::move(config), std::move(on_refused)));
  SLUICE_RETURN_IF_ERROR(node->CheckFormatted());
  node->UseReserve();
  SLUICE_RETURN_IF_ERROR(node->OpenController());
  SLUICE_RETURN_IF_ERROR(node->StartRpc());
  // First, so that probes and metrics tell of a start that takes long.
  SLUICE_RETURN_IF_ERROR(node->StartHttp());
  SLUICE_RETURN_IF_ERROR(node->StartBroker());
  node->KeepReserve();
  return node;
}

// A quorum of one formats itself; any other must be formatted from one plan, or two halves of it
// could each believe to be the cluster.
Status Node::CheckFormatted() {
  SLUICE_ASSIGN_OR_RETURN(std::optional<storage::DirectoryIdentity> identity,
                          storage::LogManager::ReadIdentity(*fs_, config_.log_directory));
  const Status formattable = storage::LogManager::CheckFormattable(*fs_, config_.log_directory);
  if (formattable.code() == StatusCode::kCorruption) {
    return Status::Corruption("node " + std::to_string(config_.node_id.value()) +
                              " cannot start\n" + formattable.message() +
                              "\nput that file back, or move what is there elsewhere and format "
                              "the node anew: sluice cluster init --help shows how");
  }
  if (!identity && config_.is_controller && config_.voters.size() == 1) {
    const ClusterPlan plan =
        ClusterPlan::Generate({{config_.node_id, config_.voters[0].address.ToString()}}, random_);
    SLUICE_RETURN_IF_ERROR(FormatNode(*fs_, random_, config_, plan));
    LOG(WARNING) << config_.log_directory << " was empty: a new cluster, " << plan.cluster_id
                 << ", begins in it. If this node had one before, stop it now: the disk that "
                    "belongs there may not be mounted";
    SLUICE_ASSIGN_OR_RETURN(identity,
                            storage::LogManager::ReadIdentity(*fs_, config_.log_directory));
  }
  if (!identity) {
    return Status::NotFound("node " + std::to_string(config_.node_id.value()) + " cannot start\n" +
                            config_.log_directory + " is not formatted for a cluster\n" +
                            "if it ran before, mount the disk that belongs there; a new node is "
                            "formatted first: sluice cluster init --help shows how");
  }
  if (identity->node_id != config_.node_id) {
    return Status::InvalidArgument(
        config_.log_directory + " belongs to node " + std::to_string(identity->node_id.value()) +
        " (meta.properties), but node.id is " + std::to_string(config_.node_id.value()));
  }
  cluster_id_ = identity->cluster_id;
  directory_id_ = identity->directory_id;
  return Status::Ok();
}

// Before anything is opened that may need it, locks included: it has one of its own. Only once the
// directory is known for this node's.
void Node::UseReserve() {
  reserve_ = std::make_unique<storage::SpaceReserve>(storage::SpaceReserveOptions{
      .directory = config_.metadata_directory,
      .file_system = fs_.get(),
      .clock = &clock_,
      .marks = {.soft_bytes = config_.values.GetInt("disk.free.soft.bytes"),
                .hard_bytes = config_.values.GetInt("disk.free.hard.bytes")}});
  reserve_->MakeRoomToStart();
  reserve_metrics_.AddCallbackGauge(
      "sluice_space_reserve_bytes",
      "What this node keeps on the disk of its metadata log for when that is full.",
      [this] { return static_cast<double>(reserve_->held_bytes()); });
}

void Node::KeepReserve() {
  reserve_loop_ = std::make_unique<ThreadEventLoop>("space-reserve", clock_);
  reserve_loop_->Post([this] { LookAtReserve(); });
}

void Node::LookAtReserve() {
  reserve_->Refill();
  reserve_loop_->RunAfter(kReserveLookMs, [this] { LookAtReserve(); });
}

// By the broker or by the voter, whichever hears of it first.
void Node::Refused(const Status& why) {
  if (refused_.exchange(true)) return;
  on_refused_(Status::InvalidArgument(config_.log_directory + " belongs to cluster " + cluster_id_ +
                                      " (meta.properties), but the controllers of " +
                                      "controller.quorum.voters do not: " + why.message()));
}

Status Node::OpenController() {
  if (!config_.is_controller) return Status::Ok();
  controller::ControllerNodeOptions options;
  options.config = &config_;
  options.file_system = fs_.get();
  options.reserve = reserve_.get();
  options.clock = &clock_;
  options.random = random_.Fork();
  options.cluster_id = cluster_id_;
  options.on_failure = [](const Status& failure) { GiveUp("the metadata log", failure); };
  options.on_refused = [this](const Status& why) { Refused(why); };
  options.metrics = &metrics_;
  SLUICE_ASSIGN_OR_RETURN(controller_, controller::ControllerNode::Open(std::move(options)));
  return Status::Ok();
}

admin::Readiness Node::Readiness() const {
  // The next node must not be stopped while this one's vote is missing.
  if (controller_ != nullptr) {
    const std::string waits_for = WhatVoteWaitsFor(controller_->status());
    if (!waits_for.empty()) return {false, "its controller " + waits_for};
  }
  const broker::Broker* broker = broker_in_service_.load();
  if (config_.is_broker) {
    if (broker == nullptr) return {false, "the broker is starting"};
    return {broker->Ready(), broker->WhyNotReady()};
  }
  const bool known = controller_->image()->last_index.value() >= 0;
  return {known, known ? "" : "the quorum has not committed anything yet"};
}

admin::NodeBackendOptions Node::BackendOptions() {
  admin::NodeBackendOptions options;
  options.node_id = config_.node_id;
  options.cluster_id = cluster_id_;
  options.directory_id = directory_id_;
  options.disk_id = controller_ ? controller_->disk_id() : directory_id_;
  options.config = &config_.values;
  options.loop = admin_loop_.get();
  options.controllers = AddressesOf(config_.voters);
  if (config_.is_controller) options.controller_address = options.controllers.at(config_.node_id);
  options.ready = [this] { return Readiness(); };
  options.image = [this] {
    broker::Broker* broker = broker_in_service_.load();
    if (broker != nullptr) return broker->metadata().Current();
    return controller_ ? controller_->image() : metadata::EmptyImage();
  };
  options.knows_cluster = [this] {
    broker::Broker* broker = broker_in_service_.load();
    if (config_.is_broker) return broker != nullptr && broker->KnowsCluster();
    return controller_->image()->last_index > LogIndex(0);  // more than the bootstrap entry
  };
  options.when_applied = [this](LogIndex index, std::function<void()> done) {
    broker::Broker* broker = broker_in_service_.load();
    if (broker != nullptr) return broker->metadata().WhenApplied(index, std::move(done));
    if (controller_) controller_->WhenApplied(index, std::move(done));
  };
  options.directories = [this] { return LocalDirectories(broker_in_service_.load(), *reserve_); };
  if (config_.is_broker) {
    options.partitions = [this] { return LocalPartitions(broker_in_service_.load()); };
    options.delete_records = [this](const admin::DeleteRecordsRequest& request, int64_t timeout_ms,
                                    admin::Done<admin::DeleteRecordsResponse> done) {
      DeleteLocalRecords(broker_in_service_.load(), request, timeout_ms, std::move(done));
    };
    groups_ =
        std::make_unique<NodeGroups>(config_.node_id, [this] { return broker_in_service_.load(); });
    options.broker = groups_.get();
  }
  options.coordinator_of = [image = options.image](const std::string& group) {
    return CoordinatorOf(*image(), group);
  };
  if (config_.is_controller) options.controller = [this] { return LocalController(); };
  options.controller_heard_ms_ago = [this]() -> std::optional<int64_t> {
    const broker::Broker* broker = broker_in_service_.load();
    const int64_t lease_start_ms =
        broker == nullptr ? -1 : broker->state().lease_start_steady_ms.load();
    if (lease_start_ms < 0) return std::nullopt;
    return std::max<int64_t>(0, clock_.SteadyMs() - lease_start_ms);
  };
  return options;
}

std::optional<admin::LocalController> Node::LocalController() const {
  const raft::DriverStatus status = controller_->status();
  return admin::LocalController{.active = controller_->active(),
                                .leader = status.leader,
                                .term = status.term,
                                .commit_index = status.commit,
                                .last_index = status.last_index,
                                .inquiring = status.inquiring,
                                .waits_for = WhatVoteWaitsFor(status)};
}

Status Node::StartRpc() {
  admin_loop_ = std::make_unique<ThreadEventLoop>("admin", clock_);
  backend_ = std::make_unique<admin::NodeBackend>(BackendOptions(), random_.Fork());
  handlers_ = std::make_unique<admin::Handlers>(*backend_);
  admin_service_ = std::make_unique<admin::AdminService>(*handlers_);
  rpc::ServerOptions options;
  options.addresses = RpcAddresses(config_);
  options.services = {admin_service_.get()};
  if (controller_) {
    for (grpc::Service* service : controller_->services()) options.services.push_back(service);
  }
  SLUICE_ASSIGN_OR_RETURN(rpc_server_, rpc::Server::Start(options));
  rpc_server_->SetServing(true);
  if (controller_) controller_->Start();
  return Status::Ok();
}

Status Node::StartBroker() {
  if (!config_.is_broker) return Status::Ok();
  broker::BrokerOptions options;
  options.config = &config_;
  options.file_system = fs_.get();
  options.reserve = reserve_.get();
  options.clock = &clock_;
  options.metrics = &metrics_;
  options.random = random_.Fork();
  options.grpc_address = config_.grpc_advertised.ToString();
  options.http_address = config_.http_advertised.ToString();
  if (controller_) {
    // Ten heartbeats a second to itself need not go through the network.
    options.connect_to_controller = [own = options.grpc_address,
                                     server = rpc_server_.get()](const std::string& address) {
      return address == own ? rpc::ConnectOver(server->ChannelWithin())
                            : rpc::ConnectOverGrpc(address);
    };
  }
  // What the disk did with the last writes is unknown: the others, whose disks answered, take over.
  options.on_storage_failure = [](const Status& failure) { GiveUp("the log directory", failure); };
  options.on_refused = [this](const Status& why) { Refused(why); };
  SLUICE_ASSIGN_OR_RETURN(broker_, broker::Broker::Start(std::move(options)));
  broker_in_service_ = broker_.get();
  return Status::Ok();
}

Status Node::StartHttp() {
  collector_ = std::make_unique<admin::MetricsCollector>(*backend_);
  collector_->AddSource(
      [this](admin::MetricsText& text) { text.Append(metrics_.PrometheusText()); });
  if (controller_) {
    collector_->AddSource([this](admin::MetricsText& text) {
      WriteControllerMetrics(controller_->metrics(), text);
      WriteRaftMetrics(controller_->status(),
                       {controller_->messages_dropped(), controller_->streams_paused()}, text);
    });
  }
  admin::HttpServerOptions options;
  options.host = config_.http_listener.host;
  options.port = config_.http_listener.port;
  options.handler = admin::MakeHttpHandler(*backend_, *handlers_, *collector_);
  SLUICE_ASSIGN_OR_RETURN(http_server_, admin::HttpServer::Start(std::move(options)));
  return Status::Ok();
}

bool Node::Ready() const { return Readiness().ready; }

// The broker goes while the doors and the controller still serve: its leaders must move first.
void Node::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (reserve_loop_) reserve_loop_->Stop();
  if (broker_) broker_->Stop();
  if (http_server_) http_server_->Stop();
  if (rpc_server_) rpc_server_->SetServing(false);
  if (controller_) controller_->Stop();
  if (admin_service_) admin_service_->Stop();
  if (rpc_server_) rpc_server_->Stop(kRpcGraceMs);
  if (backend_) backend_->Stop();
  broker_in_service_ = nullptr;
}

}  // namespace sluice::cli
