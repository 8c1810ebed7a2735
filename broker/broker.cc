#include "broker/broker.h"

#include <algorithm>
#include <future>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/memory_limit.h"
#include "base/thread_priority.h"
#include "base/version.h"
#include "broker/api/dispatch.h"
#include "broker/api/fetch_session.h"
#include "broker/api/topic_creator.h"
#include "broker/broker_lifecycle.h"
#include "broker/broker_metrics.h"
#include "broker/controller_client_grpc.h"
#include "broker/disk_testimony.h"
#include "broker/group/group_coordinator.h"
#include "broker/lost_leaders.h"
#include "broker/metadata_client.h"
#include "broker/net/peer_client_asio.h"
#include "broker/net/server.h"
#include "broker/producer_id_allocator.h"

namespace sluice::broker {
namespace {

// Files and directories of ours beside the partitions; none looks like "<topic>-<number>".
constexpr char kImageFile[] = "/metadata-image";
constexpr char kKvDirectory[] = "/kv";
constexpr char kKernelBootId[] = "/proc/sys/kernel/random/boot_id";

// Column families of the key-value store.
constexpr storage::KvFamily kGroupsFamily = 0, kViewsFamily = 1;

constexpr int64_t kStopGraceMs = 2000;
// Two that read, each of which keeps the disk busy: it asks for half a MiB before it waits for the
// first page. One that builds indexes again.
constexpr int kColdReadThreads = 3;

constexpr int64_t kGroupThreadsMax = 4;  // unless it is set otherwise

// The first word of a small file, which may be one of /proc: those say that they are empty. "" when
// it cannot be read.
std::string ReadWord(FileSystem& fs, const std::string& path) {
  const Result<std::shared_ptr<File>> file = fs.Open(path, OpenMode::kRead);
  if (!file.ok()) return "";
  std::string text(64, '\0');
  const Result<size_t> size = (*file)->ReadAt(0, text.data(), text.size());
  if (!size.ok()) return "";
  text.resize(*size);
  return text.substr(0, text.find_first_of(" \n"));
}

}  // namespace

Broker::Broker(BrokerOptions options) : options_(std::move(options)), config_(*options_.config) {
  heartbeat_loop_ = std::make_unique<ThreadEventLoop>("heartbeat", *options_.clock);
  metadata_loop_ = std::make_unique<ThreadEventLoop>("metadata", *options_.clock);
  replica_loop_ = std::make_unique<NetworkLoop>("replica", *options_.clock);
  background_loop_ = std::make_unique<ThreadEventLoop>("background", *options_.clock);
  std::vector<EventLoop*> cold_loops;
  for (int i = 0; i < kColdReadThreads; ++i) {
    cold_loops_.push_back(
        std::make_unique<ThreadEventLoop>("cold-" + std::to_string(i), *options_.clock));
    cold_loops.push_back(cold_loops_.back().get());
  }
  cold_reads_ = std::make_unique<ColdReads>(std::move(cold_loops));
}

Result<std::unique_ptr<Broker>> Broker::Start(BrokerOptions options) {
  std::unique_ptr<Broker> broker(new Broker(std::move(options)));
  SLUICE_RETURN_IF_ERROR(broker->StartParts());
  return broker;
}

Status Broker::StartParts() {
  SLUICE_RETURN_IF_ERROR(OpenStorage());
  ConnectControllers();
  MakeReplicas();
  MakeGroups();
  MakeServices();
  SLUICE_RETURN_IF_ERROR(Listen());
  SLUICE_RETURN_IF_ERROR(JoinCluster());
  broker_metrics_ = std::make_unique<BrokerMetrics>(
      *options_.metrics,
      BrokerMetricsSources{
          .api = api_metrics_,
          .net = net_metrics_,
          .session_evictions = [this] { return fetch_sessions_->evictions(); },
          .metadata_resyncs = [this] { return static_cast<uint64_t>(metadata_client_->resyncs()); },
          .directories = logs_->directories(),
          .compaction = [this] { return replicas_->CompactionStats(); },
          .kv = [this] { return kv_->stats(); }});
  return Status::Ok();
}

Status Broker::OpenStorage() {
  const std::string& directory = config_.log_directory;
  FileSystem& fs = *options_.file_system;
  storage::LogDirectoriesOptions options;
  options.directories = config_.log_directories;
  options.file_system = &fs;
  options.clock = options_.clock;
  options.random = &options_.random;
  options.recovery_threads =
      static_cast<int>(config_.values.GetInt("num.recovery.threads.per.data.dir"));
  options.logs_to_recover = &logs_to_recover_;
  recovery_metrics_ = std::make_unique<MetricsGroup>(*options_.metrics);
  recovery_metrics_->AddCallbackGauge("kafka_log_logmanager_remaininglogstorecover",
                                      "Logs that this start has still to open.",
                                      [this] { return double(logs_to_recover_); });
  options.boot_id = ReadWord(fs, kKernelBootId);
  options.marks = {.soft_bytes = config_.values.GetInt("disk.free.soft.bytes"),
                   .hard_bytes = config_.values.GetInt("disk.free.hard.bytes")};
  SLUICE_ASSIGN_OR_RETURN(logs_, storage::LogDirectories::Open(std::move(options)));
  for (const storage::DirectoryPtr& opened : logs_->directories()) {
    flushers_[opened->path()] = storage::NewThreadFlusher(fs, {.directory = opened->path(),
                                                               .report = ReplicaManager::OnFlushed,
                                                               .metrics = options_.metrics,
                                                               .clock = options_.clock});
  }
  const storage::DirectoryIdentity& identity = logs_->identity();
  if (identity.node_id != config_.node_id) {
    return Status::InvalidArgument(directory + " belongs to node " +
                                   std::to_string(identity.node_id.value()) + ", but node.id is " +
                                   std::to_string(config_.node_id.value()));
  }
  state_.node_id = identity.node_id;
  state_.cluster_id = identity.cluster_id;
  state_.directory_id = identity.directory_id;
  state_.rack = config_.rack;
  state_.session_timeout_ms = config_.broker_session_timeout_ms;
  state_.lease_margin_ms = config_.values.GetInt("broker.lease.margin.ms");
  return OpenKv();
}

Status Broker::OpenKv() {
  FileSystem& fs = *options_.file_system;
  SLUICE_RETURN_IF_ERROR(fs.CreateDirectories(config_.metadata_directory));
  const int64_t given = config_.values.GetInt("memory.limit.bytes");
  const uint64_t limit = given < 0 ? MemoryLimitBytes(fs) : static_cast<uint64_t>(given);
  const storage::KvOptions kv{.directory = config_.metadata_directory + kKvDirectory,
                              .families = {"groups", "views"},
                              .cache_bytes = storage::KvCacheBytes(limit)};
  const auto open = [&kv] { return storage::OpenRocksKv(kv); };
  auto opened =
      options_.reserve == nullptr ? open() : storage::WithReserve(*options_.reserve, open);
  SLUICE_RETURN_IF_ERROR(opened.status());
  kv_ = *std::move(opened);
  return Status::Ok();
}

std::map<NodeId, std::string> Broker::Controllers() const {
  std::map<NodeId, std::string> controllers;
  for (const metadata::VoterAddress& voter : config_.voters)
    controllers[voter.id] = voter.address.ToString();
  return controllers;
}

void Broker::ConnectControllers() {
  std::vector<std::string> addresses;
  for (const auto& [id, address] : Controllers()) addresses.push_back(address);
  const rpc::ConnectToController connect =
      options_.connect_to_controller ? options_.connect_to_controller : &rpc::ConnectOverGrpc;
  heartbeat_client_ = std::make_unique<GrpcControllerClient>(addresses, state_, *heartbeat_loop_,
                                                             options_.random.Fork(), connect);
  controller_client_ = std::make_unique<GrpcControllerClient>(addresses, state_, *replica_loop_,
                                                              options_.random.Fork(), connect);
}

CompactionOptions Broker::MakeCompaction() {
  const ConfigValues& values = config_.values;
  CompactionOptions options;
  if (!values.GetBool("log.cleaner.enable")) return options;
  for (int64_t i = 0; i < values.GetInt("log.cleaner.threads"); ++i) {
    cleaner_loops_.push_back(
        std::make_unique<ThreadEventLoop>("cleaner-" + std::to_string(i), *options_.clock));
    cleaner_loops_.back()->Post(LowerThreadPriority);
    options.loops.push_back(cleaner_loops_.back().get());
  }
  options.file_system = options_.file_system;
  options.random = options_.random.Fork();
  options.dedupe_buffer_bytes =
      static_cast<uint64_t>(values.GetInt("log.cleaner.dedupe.buffer.size"));
  options.dedupe_load_factor = values.GetDouble("log.cleaner.io.buffer.load.factor");
  options.io_bytes_per_second_max = values.GetDouble("log.cleaner.io.max.bytes.per.second");
  options.backoff_ms = values.GetInt("log.cleaner.backoff.ms");
  options.tombstones_stay_from = [this](const storage::TopicPartition& partition) {
    return storage::TombstonesStayFrom(*kv_, partition.ToString());
  };
  return options;
}

void Broker::MakeReplicas() {
  const ConfigValues& values = config_.values;
  peers_ = std::make_unique<AsioPeerConnector>(
      PeerConnectorOptions{
          .client_id = "broker-" + std::to_string(state_.node_id.value()) + "-fetcher",
          .metrics = &net_metrics_},
      *replica_loop_);
  ReplicaManagerOptions options;
  options.state = &state_;
  options.metadata = &metadata_;
  options.logs = logs_.get();
  options.flusher_of = [this](const storage::DirectoryState& directory) -> storage::Flusher& {
    return *flushers_.at(directory.path());
  };
  options.vital_directory = config_.metadata_directory;
  options.controller = controller_client_.get();
  options.peers = peers_.get();
  options.loop = replica_loop_.get();
  options.background_loop = background_loop_.get();
  options.cold_reads = cold_reads_.get();
  options.clock = options_.clock;
  options.server_config = &values;
  options.inter_broker_listener = config_.inter_broker_listener;
  options.replica_lag_ms_max = config_.replica_lag_time_ms_max;
  options.replica_fetch_wait_ms = static_cast<int32_t>(values.GetInt("replica.fetch.wait.max.ms"));
  options.replica_fetch_bytes = static_cast<int32_t>(values.GetInt("replica.fetch.max.bytes"));
  options.replica_fetch_response_bytes =
      static_cast<int32_t>(values.GetInt("replica.fetch.response.max.bytes"));
  options.retention_check_interval_ms = values.GetInt("log.retention.check.interval.ms");
  options.on_storage_failure = options_.on_storage_failure;
  options.compaction = MakeCompaction();
  options.observed_topic = kOffsetsTopic;
  options.observer = [this](const PartitionKey& key) { groups_->OnReplicaChanged(key); };
  replicas_ = ReplicaManager::Create(std::move(options));
}

void Broker::MakeGroups() {
  const ConfigValues& values = config_.values;
  GroupCoordinatorOptions options;
  options.state = &state_;
  options.metadata = &metadata_;
  options.replicas = replicas_.get();
  // More than there are cores would wake each other for fewer commits at a time.
  const int64_t threads =
      values.IsSet("group.coordinator.threads")
          ? values.GetInt("group.coordinator.threads")
          : std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kGroupThreadsMax);
  for (int64_t i = 0; i < threads; ++i) {
    group_loops_.push_back(
        std::make_unique<ThreadEventLoop>("group-" + std::to_string(i), *options_.clock));
    options.loops.push_back(group_loops_.back().get());
  }
  options.background_loop = background_loop_.get();
  options.clock = options_.clock;
  options.random = options_.random.Fork();
  options.store = {.kv = kv_.get(), .entries = kGroupsFamily, .sources = kViewsFamily};
  options.server_config = &values;
  options.config = ReadGroupConfig(values);
  options.write_timeout_ms = values.GetInt("offsets.commit.timeout.ms");
  groups_ = GroupCoordinator::Create(std::move(options));
}

void Broker::MakeServices() {
  producer_ids_ = std::make_unique<ProducerIdAllocator>(state_, *controller_client_);
  FetchSessionOptions sessions;
  sessions.slots =
      static_cast<size_t>(config_.values.GetInt("max.incremental.fetch.session.cache.slots"));
  fetch_sessions_ =
      std::make_unique<FetchSessionCache>(sessions, *options_.clock, options_.random.Fork());
  topic_creator_ = std::make_unique<TopicCreator>(state_, *controller_client_);
  services_.state = &state_;
  services_.metadata = &metadata_;
  services_.replicas = replicas_.get();
  services_.directories = logs_->directories();
  services_.controller = controller_client_.get();
  services_.producer_ids = producer_ids_.get();
  services_.fetch_sessions = fetch_sessions_.get();
  services_.topic_creator = topic_creator_.get();
  services_.groups = groups_.get();
  services_.config = &config_;
  services_.clock = options_.clock;
  services_.loop = replica_loop_.get();
  services_.metrics = &api_metrics_;
  services_.knows_cluster = [this] { return KnowsCluster(); };
  dispatcher_ = std::make_unique<Dispatcher>(services_);
}

Status Broker::Listen() {
  const ConfigValues& values = config_.values;
  ServerOptions options;
  for (const metadata::Listener& listener : config_.listeners) {
    options.listeners.push_back({listener.name, listener.address.host, listener.address.port});
  }
  options.sink = [this](SharedBytes frame, const std::shared_ptr<ConnectionInfo>& connection,
                        ReplyCallback reply) {
    return dispatcher_->Dispatch(std::move(frame), connection, std::move(reply));
  };
  options.in_turn = &AsksForTheMoment;
  options.clock = options_.clock;
  options.metrics = &net_metrics_;
  options.cold_reads = cold_reads_.get();
  if (values.IsSet("num.network.threads"))
    options.reactors = static_cast<int>(values.GetInt("num.network.threads"));
  options.request_bytes_max = static_cast<int32_t>(values.GetInt("socket.request.max.bytes"));
  options.idle_ms_max = values.GetInt("connections.max.idle.ms");
  options.connections_max = static_cast<int32_t>(values.GetInt("max.connections"));
  options.connections_per_ip_max = static_cast<int32_t>(values.GetInt("max.connections.per.ip"));
  options.socket_send_bytes = static_cast<int32_t>(values.GetInt("socket.send.buffer.bytes"));
  options.socket_receive_bytes = static_cast<int32_t>(values.GetInt("socket.receive.buffer.bytes"));
  SLUICE_ASSIGN_OR_RETURN(server_, Server::Start(std::move(options)));
  SendClientsAwayFromLostLeaders();
  return Status::Ok();
}

void Broker::SendClientsAwayFromLostLeaders() {
  metadata_.AddListener([this](const metadata::ImagePtr& before, const metadata::ImagePtr& after) {
    const std::set<NodeId> lost = LostLeaders(*before, *after, state_.node_id);
    if (lost.empty()) return;
    const int64_t now_ms = options_.clock->SteadyMs();
    const Turns turns = TurnsOf(state_.node_id, *after);
    for (const int64_t turn_ms : turns.at_ms) {
      replica_loop_->RunAfter(turn_ms, [this, lost, now_ms, within_ms = turns.within_ms] {
        const auto which = [lost, now_ms](const ConnectionInfo& connection) {
          return Concerns(connection, lost, now_ms);
        };
        server_->CloseIdle(which, within_ms);
      });
    }
  });
}

bool Broker::KnowsCluster() const {
  if (knows_cluster_.load(std::memory_order_relaxed)) return true;
  const int64_t epoch = state_.broker_epoch;
  if (epoch < 0 || metadata_.Current()->last_index.value() < epoch) return false;
  knows_cluster_.store(true, std::memory_order_relaxed);
  return true;
}

int Broker::port(const std::string& listener) const { return server_->port(listener); }

sluice::metadata::RegisterBrokerRecord Broker::Registration() {
  sluice::metadata::RegisterBrokerRecord record;
  record.set_broker_id(state_.node_id.value());
  record.set_incarnation_id(std::string(Uuid::Generate(options_.random).view()));
  record.set_directory_id(std::string(state_.directory_id.view()));
  for (const metadata::Listener& listener : config_.advertised_listeners) {
    auto* endpoint = record.add_endpoints();
    endpoint->set_listener(listener.name);
    endpoint->set_host(listener.address.host);
    endpoint->set_port(listener.address.port != 0 ? listener.address.port
                                                  : server_->port(listener.name));
    endpoint->set_security_protocol("PLAINTEXT");
  }
  record.set_rack(config_.rack);
  record.set_grpc_address(options_.grpc_address);
  record.set_http_address(options_.http_address);
  record.set_boot_id(ReadWord(*options_.file_system, kKernelBootId));
  record.set_fenced(true);
  record.set_is_controller(config_.is_controller);
  record.set_version(kVersion);
  return record;
}

Status Broker::JoinCluster() {
  BrokerLifecycleOptions options;
  options.state = &state_;
  options.metadata = &metadata_;
  options.controller = heartbeat_client_.get();
  options.loop = heartbeat_loop_.get();
  options.registration = Registration();
  TellOfDisks(*logs_, options);
  options.heartbeat_interval_ms = config_.broker_heartbeat_interval_ms;
  options.keep_epoch = [this](BrokerEpoch epoch, std::function<void()> kept) {
    replicas_->KeepBrokerEpoch(epoch, std::move(kept));
  };
  stalls_.emplace(*options_.clock, config_.values.GetInt("broker.stall.timeout.ms"));
  for (const auto& [path, flusher] : flushers_)
    stalls_->WatchDisk(path, *flusher, OpenDiskWrites(*options_.file_system, path));
  stalls_->WatchLoop("metadata", *metadata_loop_);
  stalls_->WatchLoop("replica", *replica_loop_);
  options.what_is_stuck = [this] { return stalls_->WhatIsStuck(); };
  options.on_leader = [this](NodeId leader) { metadata_client_->OnLeader(leader); };
  options.on_refused = options_.on_refused;
  // After the replica manager, so that an image counts as applied only when the replicas have it.
  lifecycle_ = std::make_unique<BrokerLifecycle>(std::move(options));

  MetadataClientOptions feed;
  feed.controllers = Controllers();
  feed.state = &state_;
  feed.cache = &metadata_;
  feed.loop = metadata_loop_.get();
  feed.background_loop = background_loop_.get();
  feed.file_system = options_.file_system;
  feed.image_path = config_.metadata_directory + kImageFile;
  feed.on_leader = [this](const std::string& address) {
    heartbeat_client_->OnLeader(address);
    controller_client_->OnLeader(address);
  };
  feed.on_controllers = [this](const std::vector<std::string>& addresses) {
    heartbeat_client_->OnVoters(addresses);
    controller_client_->OnVoters(addresses);
  };
  metadata_client_ = MetadataClient::Start(std::move(feed));
  lifecycle_->Start();
  return Status::Ok();
}

Broker::~Broker() { Stop(); }

ControllerClient& Broker::controller() { return *controller_client_; }

bool Broker::Ready() const { return WhyNotReady().empty(); }

std::string Broker::WhyNotReady() const {
  if (stopped_) return "the broker is stopping";
  if (state_.broker_epoch < 0) {
    const std::string error = lifecycle_->last_error();
    return error.empty() ? "the broker is registering with the controllers" : error;
  }
  if (metadata_.Current()->last_index.value() < state_.broker_epoch)
    return "the broker is reading the cluster's metadata";
  const bool leased = state_.LeaseValid(*options_.clock);
  if (state_.fenced || !leased) {
    const std::string error = lifecycle_->last_error();
    if (!error.empty()) return error;
  }
  if (state_.fenced) return "the controllers have the broker fenced";
  if (!leased) return "no controller has answered a heartbeat in time";
  return "";
}

void Broker::Stop() {
  if (stopped_.exchange(true)) return;
  // A start that failed half-way leaves the later parts out.
  if (lifecycle_ != nullptr && config_.values.GetBool("controlled.shutdown.enable")) {
    std::promise<bool> moved;
    lifecycle_->BeginShutdown([&](bool m) { moved.set_value(m); });
    if (!moved.get_future().get())
      LOG(WARNING) << "stopping before all partitions have another leader";
  }
  // Members that wait for others look for another coordinator, rather than hold up the stop.
  if (groups_ != nullptr) groups_->Stop();
  if (server_ != nullptr) server_->Stop(kStopGraceMs);
  if (lifecycle_ != nullptr) lifecycle_->Stop();
  if (heartbeat_client_ != nullptr) heartbeat_client_->Stop();
  if (metadata_client_ != nullptr) metadata_client_->Stop();
  if (replicas_ != nullptr) {
    const std::map<storage::TopicPartition, Offset> high_watermarks = replicas_->Stop();
    controller_client_->Stop();
    // No task may touch a log while it closes.
    replica_loop_->Stop();
    background_loop_->Stop();
    for (const auto& loop : cleaner_loops_) loop->Stop();
    for (const auto& loop : cold_loops_) loop->Stop();
    for (const auto& loop : group_loops_) loop->Stop();
    CloseLogs(high_watermarks);
  }
  if (kv_ != nullptr) {
    const Status flushed = kv_->Flush();
    LOG_IF(ERROR, !flushed.ok()) << "the key-value store could not be flushed: "
                                 << flushed.ToString();
  }
}

void Broker::CloseLogs(const std::map<storage::TopicPartition, Offset>& high_watermarks) {
  const bool unknown = lifecycle_ != nullptr && lifecycle_->registration_open();
  const Status closed = CloseDisks(*logs_, high_watermarks, state_.broker_epoch, unknown);
  LOG_IF(ERROR, !closed.ok()) << "the logs could not be closed cleanly: " << closed.ToString();
}

}  // namespace sluice::broker
