#include "controller/controller_node.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>

#include "controller/config_options.h"
#include "controller/controller_service.h"
#include "controller/driver_quorum.h"
#include "controller/feed_service.h"
#include "controller/format.h"
#include "controller/quorum_log.h"
#include "controller/raft_service.h"
#include "controller/raft_transport.h"
#include "rpc/gate.h"
#include "rpc/tcp_prober.h"
#include "storage/log_manager.h"
#include "storage/reserve_file_system.h"

namespace sluice::controller {

namespace {

// A subscriber that is further behind gets a snapshot, which is seldom larger.
constexpr size_t kFeedBytesMax = 8 << 20;
constexpr int64_t kTransferPollMs = 10;

class ProberDialer final : public Dialer {
 public:
  void Dial(const std::string& address, int64_t timeout_ms,
            std::function<void(DialOutcome)> done) override {
    prober_.Probe(address, {.answer_ms = static_cast<int>(timeout_ms)},
                  [done = std::move(done)](rpc::ProbeOutcome outcome) {
                    done(outcome == rpc::ProbeOutcome::kAccepted  ? DialOutcome::kConnected
                         : outcome == rpc::ProbeOutcome::kRefused ? DialOutcome::kRefused
                                                                  : DialOutcome::kUnreachable);
                  });
  }

 private:
  rpc::TcpProber prober_;
};

Status ThreeLines(StatusCode code, const std::string& what, const std::string& why,
                  const std::string& fix) {
  return Status(code, what + "\n" + why + "\n" + fix);
}

}  // namespace

struct ControllerNode::Impl {
  explicit Impl(ControllerNodeOptions given)
      : options(std::move(given)),
        loop("controller", *options.clock),
        io_loop("quorum-log", *options.clock),
        snapshot_loop("snapshots", *options.clock),
        door(loop) {}

  Status OpenLog();
  Status FindSelf();
  void MakeParts();
  void Start();
  void Stop();
  void HandOver();
  void OnRaftMessage(raft::Message message);
  void OnRaftCall(NodeId peer, const std::string& address);
  void OnForeignMessage(const raft::Message& message);
  // Runs `task` on the loop and waits for it.
  void RunOnLoop(std::function<void()> task) const;

  ControllerNodeOptions options;
  raft::VoterId self;
  std::unique_ptr<storage::ReserveFileSystem> reserve_files;  // null without a reserve
  std::unique_ptr<FileLock> lock;
  mutable ThreadEventLoop loop;
  ThreadEventLoop io_loop;
  ThreadEventLoop snapshot_loop;  // with a million partitions one takes most of a second
  ServiceDoor door;
  std::shared_ptr<rpc::Gate> gate = std::make_shared<rpc::Gate>();
  FeedLog feed{kFeedBytesMax};
  ProberDialer dialer;
  std::unique_ptr<QuorumLogMetrics> log_metrics;
  std::unique_ptr<QuorumLog> log;
  std::unique_ptr<MetadataController> controller;
  std::unique_ptr<RaftTransport> transport;
  std::unique_ptr<raft::Driver> driver;
  std::unique_ptr<DriverQuorum> quorum;
  std::unique_ptr<RaftService> raft_service;
  std::unique_ptr<FeedService> feed_service;
  std::shared_ptr<grpc::Service> controller_service;
  std::multimap<LogIndex, std::function<void()>> waiting;  // of the loop
  uint64_t feed_listener = 0;
  std::atomic<bool> joined = false;   // heard a leader of its own cluster
  std::atomic<bool> refused = false;  // told so
  std::atomic<bool> foreign_logged = false;
  mutable std::mutex stop_mutex;  // guards stopped and the last words below
  bool stopped = false;
  raft::DriverStatus last_status;
  std::map<NodeId, uint64_t> last_dropped;
  ControllerMetrics last_metrics;
};

namespace {

// A voter whose log or votes are lost may have promised what it does not know any more: under its
// old disk id it must not vote again.
std::string RemedyForLostLog(const metadata::ServerConfig& config) {
  const std::string back = "Put the directory back as it was at this node's last stop";
  if (config.voters.size() == 1) {
    return back +
           ". Without that the cluster's topics and settings are lost, and only its records are "
           "left: sluice log dump --records reads them";
  }
  const std::string meanwhile = "The cluster goes on while a majority of its voters runs. ";
  const std::string replace = ", or replace the controller: docs/tasks/replace_a_controller.md";
  if (!config.is_broker) return meanwhile + back + replace;
  std::string others;
  for (const auto& voter : config.voters) {
    if (voter.id == config.node_id) continue;
    others += (others.empty() ? "" : ",") + std::to_string(voter.id.value()) + "@" +
              voter.address.ToString();
  }
  return meanwhile + back + replace +
         "; or let it serve its partitions as a broker alone: in its server.properties "
         "process.roles=broker and controller.quorum.voters=" +
         others;
}

}  // namespace

Status ControllerNode::Impl::OpenLog() {
  const std::string directory = options.config->metadata_directory + "/" + kQuorumLogDirectory;
  const std::string voter =
      "the metadata log of controller " + std::to_string(options.config->node_id.value());
  if (!IsControllerFormatted(*options.file_system, options.config->metadata_directory)) {
    return ThreeLines(StatusCode::kNotFound, voter + " is missing",
                      directory + " holds none, although the node was formatted (" +
                          options.config->log_directory + "/meta.properties)",
                      "if metadata.log.dir was changed, or its disk is not mounted, mend that. " +
                          RemedyForLostLog(*options.config));
  }
  if (options.reserve != nullptr) {
    reserve_files =
        std::make_unique<storage::ReserveFileSystem>(*options.file_system, *options.reserve);
  }
  FileSystem* const files = reserve_files ? reserve_files.get() : options.file_system;
  Result<std::unique_ptr<FileLock>> locked = files->Lock(directory + "/.lock");
  if (!locked.ok()) {
    return ThreeLines(locked.status().code(), "the metadata log is in use",
                      directory + ": " + locked.status().message(),
                      "stop the other process, or give this one its own metadata.log.dir");
  }
  lock = *std::move(locked);
  if (options.metrics != nullptr)
    log_metrics = std::make_unique<QuorumLogMetrics>(*options.metrics);
  const auto not_ours = [&directory](const Status& why) {
    return ThreeLines(why.code(), "the metadata log is not this node's",
                      directory + ": " + why.message(),
                      why.code() == StatusCode::kNotFound
                          ? "put the file back, or write it again: version=1, cluster.id, node.id, "
                            "and as directory.id the node's disk_id of the cluster's plan, or of "
                            "sluice quorum status on another node"
                          : "give the node the metadata log and the log directories of one "
                            "cluster, or format an empty directory with that cluster's plan");
  };
  if (const Status found = FindSelf(); !found.ok()) return not_ours(found);
  const bool alone = options.config->voters.size() == 1;
  Result<std::unique_ptr<QuorumLog>> opened = QuorumLog::Open({.directory = directory,
                                                               .file_system = files,
                                                               .clock = options.clock,
                                                               .loop = &loop,
                                                               .io_loop = &io_loop,
                                                               .metrics = log_metrics.get(),
                                                               .self = self,
                                                               .alone = alone});
  if (!opened.ok()) {
    const bool damaged = opened.status().code() == StatusCode::kCorruption;
    std::string why = opened.status().message();
    // What helps a partition does not help a voter.
    why.resize(std::min(why.size(), why.find(". Nothing was ")));
    if (!why.starts_with(directory)) why.insert(0, directory + ": ");
    return ThreeLines(opened.status().code(),
                      voter + (damaged ? " is damaged" : " cannot be opened"), why,
                      damaged ? RemedyForLostLog(*options.config)
                              : "mend what is named above, then start the node again");
  }
  log = *std::move(opened);
  if (!log->recovery_message().empty()) LOG(WARNING) << "metadata log: " << log->recovery_message();
  const Result<raft::Membership> members = raft::MembersOf(*log, options.cluster_id);
  const bool ours = members.ok() || members.status().code() == StatusCode::kNotFound;
  return ours ? Status::Ok() : not_ours(members.status());
}

// A voter that took over another one's log, or a log of another cluster, could vote twice. Who the
// members are does not tell whose log it is: a controller that joins may hold entries from before,
// one that was removed those from after.
Status ControllerNode::Impl::FindSelf() {
  self.id = options.config->node_id;
  SLUICE_ASSIGN_OR_RETURN(
      const std::optional<storage::DirectoryIdentity> owner,
      ReadControllerIdentity(*options.file_system, options.config->metadata_directory));
  if (!owner.has_value()) {
    return Status::NotFound(
        "its meta.properties is missing, which tells under which disk id this controller votes");
  }
  self.disk_id = owner->directory_id;
  if (owner->cluster_id == options.cluster_id && owner->node_id == self.id) return Status::Ok();
  return Status::InvalidArgument(
      "its meta.properties names node " + std::to_string(owner->node_id.value()) + " of cluster " +
      owner->cluster_id + ", and this is node " + std::to_string(self.id.value()) + " of cluster " +
      options.cluster_id);
}

void ControllerNode::Impl::MakeParts() {
  const metadata::ServerConfig& config = *options.config;
  ControllerOptions of_config =
      ToControllerOptions(config, options.cluster_id, options.random.Fork());
  std::map<NodeId, std::string> peers = of_config.addresses;
  const std::string self_address = peers[config.node_id];
  peers.erase(config.node_id);
  controller = std::make_unique<MetadataController>(std::move(of_config), loop, dialer, feed);
  transport = std::make_unique<RaftTransport>(
      RaftTransportOptions{
          .self = config.node_id, .self_address = self_address, .peers = std::move(peers)},
      loop, [this](NodeId peer, bool refused) {
        if (driver == nullptr) return;
        driver->PeerLost(peer, refused);
        controller->OnVoterLost(peer, refused);
      });
  driver = std::make_unique<raft::Driver>(raft::DriverOptions{.config = ToRaftConfig(config),
                                                              .cluster_id = options.cluster_id,
                                                              .self = self,
                                                              .random = options.random.Fork()},
                                          raft::DriverParts{.loop = loop,
                                                            .log = *log,
                                                            .transport = *transport,
                                                            .state_machine = *controller,
                                                            .background = &snapshot_loop});
  driver->set_on_failure([this](Status status) {
    LOG(ERROR) << "the metadata log failed: " << status.ToString();
    if (options.on_failure) options.on_failure(status);
  });
  quorum = std::make_unique<DriverQuorum>(*driver);
  controller->Start(quorum.get());

  raft_service = std::make_unique<RaftService>(
      loop, [this](raft::Message message) { OnRaftMessage(std::move(message)); },
      [this](NodeId peer, const std::string& address) { OnRaftCall(peer, address); });
  feed_service = std::make_unique<FeedService>(
      FeedServiceOptions{.cluster_id = options.cluster_id,
                         .on_lost =
                             [this](NodeId broker) {
                               door.Post([this, broker] {
                                 controller->OnBrokerConnectionLost(broker, false);
                               });
                             }},
      feed, loop);
  controller_service = NewControllerService(door, *controller);
  feed_listener = feed.AddListener([this] {
    const LogIndex applied = controller->committed()->last_index;
    std::vector<std::function<void()>> due;
    while (!waiting.empty() && waiting.begin()->first <= applied) {
      due.push_back(std::move(waiting.begin()->second));
      waiting.erase(waiting.begin());
    }
    // Not from here: the feed's lock is held.
    for (auto& done : due) loop.Post(std::move(done));
  });
}

// On gRPC's threads, which go on until the server stops.
void ControllerNode::Impl::OnRaftMessage(raft::Message message) {
  if (!gate->Enter()) return;
  const NodeId from = message.from.id;
  if (message.cluster_id != options.cluster_id) {
    OnForeignMessage(message);
  } else if (raft::IsFromLeader(message)) {
    joined = true;
  }
  driver->Step(std::move(message));
  loop.Post([this, from] { transport->PeerHeard(from); });
  gate->Leave();
}

void ControllerNode::Impl::OnRaftCall(NodeId peer, const std::string& address) {
  if (!gate->Enter()) return;
  loop.Post([this, peer, address] { transport->PeerCalled(peer, address); });
  gate->Leave();
}

// The driver drops it; here it is made known. A candidate's message may come from the one node that
// is wrong, a leader's comes with a majority of the configured voters behind it: then the wrong one
// is this node, unless it has been in its own cluster before.
void ControllerNode::Impl::OnForeignMessage(const raft::Message& message) {
  const std::string why = "voter " + std::to_string(message.from.id.value()) + " is of cluster " +
                          message.cluster_id + ", this node of cluster " + options.cluster_id;
  LOG_IF(WARNING, !foreign_logged.exchange(true)) << "raft: messages are dropped: " << why;
  if (!raft::IsFromLeader(message) || joined || driver->status().counts.elections_won > 0) return;
  if (options.on_refused && !refused.exchange(true))
    options.on_refused(Status::InvalidArgument(why));
}

void ControllerNode::Impl::Start() {
  loop.Post([this] {
    transport->Start();
    driver->Start();
  });
}

void ControllerNode::Impl::RunOnLoop(std::function<void()> task) const {
  // Shared: the promise may still be at work when the waiter wakes.
  auto ran = std::make_shared<std::promise<void>>();
  loop.Post([&task, ran] {
    task();
    ran->set_value();
  });
  ran->get_future().wait();
}

// Another voter should lead before this one goes: nobody then has to find out by a timeout.
void ControllerNode::Impl::HandOver() {
  auto done = std::make_shared<std::promise<void>>();
  const int64_t deadline_ms = options.clock->SteadyMs() + 2 * options.config->election_timeout_ms;
  auto poll = std::make_shared<std::function<void()>>();
  *poll = [this, done, deadline_ms, weak = std::weak_ptr(poll)] {
    const bool leads = driver->status().role == raft::Role::kLeader;
    if (!leads || options.clock->SteadyMs() >= deadline_ms) return done->set_value();
    loop.RunAfter(kTransferPollMs, *weak.lock());
  };
  loop.Post([this, poll, done] {
    if (driver->status().role != raft::Role::kLeader || !driver->TransferLeadership(kNoNode).ok())
      return done->set_value();
    (*poll)();
  });
  done->get_future().wait();
}

void ControllerNode::Impl::Stop() {
  {
    std::lock_guard lock(stop_mutex);
    if (stopped) return;
  }
  HandOver();
  door.Close();
  feed_service->Stop();
  gate->Close();
  feed.RemoveListener(feed_listener);
  RunOnLoop([this] {
    controller->Stop();
    std::lock_guard lock(stop_mutex);
    stopped = true;
    last_status = driver->status();
    last_dropped = transport->dropped();
    last_metrics = controller->metrics();
    waiting.clear();
    driver.reset();
  });
  loop.Stop();
  io_loop.Stop();
  transport.reset();
  log.reset();
  lock.reset();
}

ControllerNode::ControllerNode(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControllerNode::~ControllerNode() { Stop(); }

Result<std::unique_ptr<ControllerNode>> ControllerNode::Open(ControllerNodeOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  SLUICE_RETURN_IF_ERROR(impl->OpenLog());
  impl->MakeParts();
  return std::unique_ptr<ControllerNode>(new ControllerNode(std::move(impl)));
}

std::vector<grpc::Service*> ControllerNode::services() {
  return {impl_->raft_service.get(), impl_->feed_service->service(),
          impl_->controller_service.get()};
}

void ControllerNode::Start() { impl_->Start(); }

void ControllerNode::Stop() { impl_->Stop(); }

Uuid ControllerNode::disk_id() const { return impl_->self.disk_id; }

bool ControllerNode::active() const {
  const raft::DriverStatus now = status();
  return now.role == raft::Role::kLeader && now.leader_ready;
}

raft::DriverStatus ControllerNode::status() const {
  std::lock_guard lock(impl_->stop_mutex);
  raft::DriverStatus status = impl_->stopped ? impl_->last_status : impl_->driver->status();
  status.counts.refused[static_cast<size_t>(raft::Refusal::kUnreadable)] +=
      impl_->raft_service->messages_refused();
  return status;
}

std::map<NodeId, uint64_t> ControllerNode::messages_dropped() const {
  std::lock_guard lock(impl_->stop_mutex);
  return impl_->stopped ? impl_->last_dropped : impl_->transport->dropped();
}

uint64_t ControllerNode::streams_paused() const { return impl_->raft_service->pauses(); }

FeedProgress ControllerNode::progress() const { return impl_->feed.progress(); }

metadata::ImagePtr ControllerNode::image() const { return impl_->feed.progress().image; }

void ControllerNode::WhenApplied(LogIndex index, std::function<void()> done) {
  impl_->door.Post([impl = impl_.get(), index, done = std::move(done)]() mutable {
    if (impl->controller->committed()->last_index >= index) return done();
    impl->waiting.emplace(index, std::move(done));
  });
}

ControllerMetrics ControllerNode::metrics() const {
  {
    std::lock_guard lock(impl_->stop_mutex);
    if (impl_->stopped) return impl_->last_metrics;
  }
  auto result = std::make_shared<std::promise<ControllerMetrics>>();
  const bool posted = impl_->door.Post(
      [impl = impl_.get(), result] { result->set_value(impl->controller->metrics()); });
  return posted ? result->get_future().get() : ControllerMetrics();
}

void ControllerNode::TakeSnapshot() {
  impl_->door.Post([impl = impl_.get()] { impl->driver->TakeSnapshot(); });
}

}  // namespace sluice::controller
