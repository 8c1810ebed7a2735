#include "broker/testing/sim_cluster.h"

#include <algorithm>
#include <sstream>

#include "broker/metadata_cache.h"
#include "broker/testing/refusing_controller.h"
#include "kafka/record_batch.h"
#include "kafka/record_batch_builder.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"
#include "storage/testing/sim_flusher.h"

namespace sluice::broker::testing {

using ::sluice::testing::SimEventLoop;
using ::sluice::testing::SimFileSystem;

namespace {

constexpr char kDirectory[] = "/data";
constexpr int64_t kSpaceCheckMs = 100;
constexpr int64_t kCompactionBackoffMs = 1000;
constexpr int64_t kHeartbeatMs = 100;
constexpr int64_t kSessionMs = 600;

std::string OneRecordBatch(const std::string& value, int64_t now_ms) {
  kafka::RecordBatchBuilder builder({});
  builder.Append({.timestamp_ms = now_ms, .key = "k", .value = value, .headers = {}});
  Result<std::string> batch = builder.Build();
  CHECK(batch.ok());
  return *std::move(batch);
}

void AppendRecords(std::string_view bytes, std::vector<SimRecord>& records) {
  kafka::BatchIterator batches(bytes);
  for (;;) {
    const auto batch = batches.Next();
    CHECK(batch.ok()) << batch.status().ToString();
    if (!batch->has_value()) return;
    kafka::RecordIterator iterator(**batch, (*batch)->records());
    for (kafka::Record record; iterator.Next(record);) {
      records.push_back({record.offset.value(), (*batch)->partition_leader_epoch().value(),
                         std::string(record.value.value_or(""))});
    }
    CHECK(iterator.status().ok()) << iterator.status().ToString();
  }
}

std::string BytesOf(const std::vector<FileSlice>& slices) {
  OutputChain chain;
  for (const FileSlice& slice : slices) chain.Add(slice);
  Result<std::string> bytes = Flatten(chain);
  CHECK(bytes.ok()) << bytes.status().ToString();
  return *std::move(bytes);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const SimRecord& record) {
  return out << record.offset << '@' << record.epoch << '=' << record.value;
}

// One run of a broker. Its parts end in the order in which a real one's do.
struct SimCluster::Process {
  Process(SimCluster& cluster, NodeId id);

  SimCluster& cluster;
  BrokerState state;
  MetadataCache cache;
  LogIndex image_sent{-1};
  std::unique_ptr<ControllerClient> controller;
  std::unique_ptr<PeerConnector> peers;
  std::unique_ptr<storage::LogDirectories> logs;
  SimEventLoop loop;
  SimEventLoop cold_loop;
  ColdReads cold_reads;
  std::map<const storage::DirectoryState*, std::unique_ptr<storage::Flusher>> flushers;
  std::unique_ptr<SimFetchServer> server;
  std::unique_ptr<ReplicaManager> replicas;
};

// A fetch on its way.
struct SimCluster::Call {
  std::weak_ptr<Process> from_process;
  NodeId from;
  NodeId to;
  std::function<void(Result<kafka::FetchResponse>)> done;
};

class SimControllerClient final : public RefusingController {
 public:
  SimControllerClient(SimCluster& cluster, NodeId id) : cluster_(cluster), id_(id) {}

  void AlterPartition(controller::AlterPartitionRequest request, int64_t timeout_ms,
                      Done<controller::AlterPartitionResponse> done) override {
    SimCluster& cluster = cluster_;
    const NodeId id = id_;
    if (!cluster.Linked(id, SimCluster::kController)) {
      cluster.network_.RunAfter(timeout_ms, [done] { done(Status::Timeout("no controller")); });
      return;
    }
    if (cluster.alters_late_) {
      cluster.late_alters_.push_back(std::move(request));
      cluster.network_.RunAfter(timeout_ms, [done] { done(Status::Timeout("no answer yet")); });
      return;
    }
    cluster.network_.RunAfter(cluster.Delay(), [&cluster, request, done, timeout_ms] {
      auto response = cluster.controller_.Alter(request);
      const bool lost =
          cluster.random_.Chance(static_cast<uint64_t>(cluster.options_.alter_loss_percent), 100);
      if (lost) {
        cluster.network_.RunAfter(timeout_ms,
                                  [done] { done(Status::Timeout("the answer got lost")); });
      } else {
        cluster.network_.RunAfter(cluster.Delay(), [done, response] { done(response); });
      }
    });
  }
  void AssignReplicasToDirs(controller::AssignReplicasToDirsRequest request, int64_t timeout_ms,
                            Done<controller::AssignReplicasToDirsResponse> done) override {
    SimCluster& cluster = cluster_;
    if (!cluster.Linked(id_, SimCluster::kController)) {
      cluster.network_.RunAfter(timeout_ms, [done] { done(Status::Timeout("no controller")); });
      return;
    }
    cluster.network_.RunAfter(cluster.Delay(), [&cluster, request, done] {
      auto response = cluster.controller_.Assign(request);
      cluster.network_.RunAfter(cluster.Delay(), [done, response] { done(response); });
    });
  }

 private:
  SimCluster& cluster_;
  const NodeId id_;
};

class SimPeerClient final : public PeerClient {
 public:
  SimPeerClient(SimCluster& cluster, std::weak_ptr<SimCluster::Process> process, NodeId from,
                NodeId to)
      : cluster_(cluster), process_(std::move(process)), from_(from), to_(to) {}
  // A closed connection takes its request along.
  ~SimPeerClient() override {
    if (const auto call = call_.lock()) call->done = nullptr;
  }

  void Fetch(const kafka::FetchRequest& request, int64_t timeout_ms,
             std::function<void(Result<kafka::FetchResponse>)> done) override {
    kafka::WireWriter writer;
    request.Encode(writer, kSimFetchVersion);
    CHECK(writer.status().ok()) << writer.status().ToString();
    const auto call =
        std::make_shared<SimCluster::Call>(SimCluster::Call{process_, from_, to_, std::move(done)});
    call_ = call;
    cluster_.network_.RunAfter(timeout_ms, [call] {
      SimCluster::FinishCall(call, Status::Timeout("no answer from the leader"));
    });
    cluster_.SendFetch(call, *Flatten(writer.Finish()));
  }

 private:
  SimCluster& cluster_;
  const std::weak_ptr<SimCluster::Process> process_;
  const NodeId from_;
  const NodeId to_;
  std::weak_ptr<SimCluster::Call> call_;
};

namespace {

class SimPeerConnector final : public PeerConnector {
 public:
  SimPeerConnector(SimCluster& cluster, NodeId id,
                   std::function<std::weak_ptr<SimCluster::Process>()> process)
      : cluster_(cluster), id_(id), process_(std::move(process)) {}
  std::shared_ptr<PeerClient> Connect(const std::string&, int port, EventLoop&) override {
    return std::make_shared<SimPeerClient>(cluster_, process_(), id_, NodeId(port));
  }

 private:
  SimCluster& cluster_;
  const NodeId id_;
  const std::function<std::weak_ptr<SimCluster::Process>()> process_;
};

}  // namespace

SimCluster::Process::Process(SimCluster& owner, NodeId id)
    : cluster(owner),
      loop(owner.scheduler_),
      cold_loop(owner.scheduler_),
      cold_reads({&cold_loop}) {
  Node& node = cluster.nodes_.at(id);
  state.node_id = id;
  state.rack = SimRack(id);
  state.cluster_id = "sim";
  state.directory_id = node.directory;
  state.session_timeout_ms = kSessionMs;
  controller = std::make_unique<SimControllerClient>(cluster, id);
  peers = std::make_unique<SimPeerConnector>(
      cluster, id, [&node] { return std::weak_ptr<SimCluster::Process>(node.process); });
  storage::LogDirectoriesOptions log_options;
  log_options.directories = {kDirectory};
  for (int i = 2; i <= cluster.options_.directories; ++i)
    log_options.directories.push_back(kDirectory + std::to_string(i));
  log_options.file_system = node.disk.get();
  log_options.clock = &cluster.scheduler_.clock();
  log_options.random = &cluster.random_;
  log_options.recovery_threads = 1;
  log_options.boot_id = "boot " + std::to_string(node.boots);
  log_options.run_later = [this](std::function<void()> task) { loop.Post(std::move(task)); };
  log_options.marks = cluster.options_.marks;
  auto opened = storage::LogDirectories::Open(std::move(log_options));
  CHECK(opened.ok()) << opened.status().ToString();
  logs = *std::move(opened);
  for (const storage::DirectoryPtr& directory : logs->directories()) {
    flushers[directory.get()] = std::make_unique<storage::testing::SimFlusher>(
        loop, ReplicaManager::OnFlushed,
        [&owner] { return owner.random_.Between(0, owner.options_.flush_ms_max); });
  }
  ReplicaManagerOptions options;
  options.state = &state;
  options.metadata = &cache;
  options.logs = logs.get();
  options.flusher_of = [this, &owner,
                        id](const storage::DirectoryState& directory) -> storage::Flusher& {
    if (owner.options_.placing != nullptr) (*owner.options_.placing)(id, directory);
    return *flushers.at(&directory);
  };
  options.vital_directory = kDirectory;
  options.space_check_interval_ms = kSpaceCheckMs;
  options.controller = controller.get();
  options.peers = peers.get();
  options.loop = &loop;
  options.cold_reads = &cold_reads;
  options.clock = &cluster.scheduler_.clock();
  options.server_config = &cluster.server_config_;
  options.on_storage_failure = [&node](const Status&) { ++node.storage_failures; };
  options.replica_lag_ms_max = cluster.options_.replica_lag_ms_max;
  options.compaction.loops = {&loop};
  options.compaction.file_system = node.disk.get();
  options.compaction.backoff_ms = kCompactionBackoffMs;
  if (const auto* stay_from = cluster.options_.tombstones_stay_from) {
    options.compaction.tombstones_stay_from = [id, stay_from](const storage::TopicPartition& name) {
      return (*stay_from)(id, name);
    };
  }
  options.observed_topic = cluster.options_.observed_topic;
  options.observer = [&owner, id](const PartitionKey& key) { (*owner.options_.observer)(id, key); };
  replicas = ReplicaManager::Create(options);
  server = std::make_unique<SimFetchServer>(*replicas);
}

SimCluster::SimCluster(SimClusterOptions options)
    : options_(options),
      random_(options.seed),
      network_(scheduler_),
      server_config_(metadata::ServerConfigKeys()),
      controller_(options.seed ^ 0x5eed, [this] { SpreadImage(); }) {
  for (int i = 1; i <= options.nodes; ++i) {
    Node& node = nodes_[NodeId(i)];
    node.directory = Uuid::Generate(random_);
    node.disk = std::make_unique<SimFileSystem>();
    CHECK(storage::LogManager::Format(*node.disk, kDirectory, {"sim", NodeId(i), node.directory})
              .ok());
    CHECK(node.disk->SyncFileSystem("/").ok());
  }
  for (const NodeId id : ids()) Start(id);
  CheckSessions();
  CHECK(RunUntil([this] {
    return std::all_of(nodes_.begin(), nodes_.end(), [this](const auto& entry) {
      return controller_.image()->FindBroker(entry.first)->active();
    });
  }));
}

SimCluster::~SimCluster() {
  for (auto& [id, node] : nodes_) node.process.reset();
}

std::vector<NodeId> SimCluster::ids() const {
  std::vector<NodeId> ids;
  for (const auto& [id, node] : nodes_) ids.push_back(id);
  return ids;
}

void SimCluster::Start(NodeId id) {
  Node& node = nodes_.at(id);
  CHECK(node.process == nullptr);
  node.process = std::make_shared<Process>(*this, id);
  Heartbeat(id);
}

void SimCluster::End(NodeId id) {
  Node& node = nodes_.at(id);
  // Connections break at once where the network is whole.
  for (const auto& weak : calls_) {
    const auto call = weak.lock();
    if (call == nullptr || call->to != id || !Linked(call->from, id)) continue;
    network_.RunAfter(1, [call] { FinishCall(call, Status::Unavailable("connection reset")); });
  }
  std::shared_ptr<Process> ended = std::exchange(node.process, nullptr);
  CHECK_EQ(ended.use_count(), 1);
}

void SimCluster::Kill(NodeId id) {
  disk(id).KillProcess();
  End(id);
}

void SimCluster::PowerCut(NodeId id) {
  disk(id).Crash(random_);
  ++nodes_.at(id).boots;
  nodes_.at(id).unclean = options_.unclean_after_power_cut;
  End(id);
}

size_t SimCluster::ReadLateAlters() {
  const auto late = std::exchange(late_alters_, {});
  for (const controller::AlterPartitionRequest& request : late) controller_.Alter(request);
  return late.size();
}

void SimCluster::Isolate(NodeId id) {
  Cut(id, kController);
  for (const NodeId other : ids()) {
    if (other != id) Cut(id, other);
  }
}

// Registration, lease, metadata feed and unfencing in one: all go to the controller.
void SimCluster::Heartbeat(NodeId id) {
  Node& node = nodes_.at(id);
  Process& process = *node.process;
  process.loop.RunAfter(kHeartbeatMs, [this, id] { Heartbeat(id); });
  if (!Linked(id, kController)) return;
  node.last_contact_ms = NowMs();
  if (process.state.broker_epoch.load() < 0) {
    const std::vector<Uuid> online =
        options_.directories > 1 ? process.logs->OnlineIds() : std::vector<Uuid>();
    process.state.broker_epoch =
        controller_.Register(id, node.directory, node.unclean, online).value();
    node.unclean = false;
  } else if (options_.directories > 1) {
    controller_.SetOnline(id, process.logs->OnlineIds());
  }
  for (const auto& [topic, partition] : process.state.damaged.List())
    controller_.SetDamaged(id, topic, partition);
  controller_.SetLogEnds(id, process.state.leaderless.Take());
  process.state.lease_start_steady_ms = NowMs();
  SendImage(id);
  const metadata::BrokerImage& registered = *controller_.image()->FindBroker(id);
  const bool applied =
      process.cache.Current()->last_index.value() >= process.state.broker_epoch.load();
  if (registered.fenced && applied && auto_fence_) controller_.SetFenced(id, false);
}

void SimCluster::CheckSessions() {
  network_.RunAfter(50, [this] { CheckSessions(); });
  if (!auto_fence_) return;
  for (const auto& [id, node] : nodes_) {
    const metadata::BrokerImage* broker = controller_.image()->FindBroker(id);
    if (broker != nullptr && !broker->fenced &&
        NowMs() - node.last_contact_ms > kSessionMs + kHeartbeatMs) {
      controller_.SetFenced(id, true);
    }
  }
}

void SimCluster::SpreadImage() {
  for (const auto& [id, node] : nodes_) {
    if (node.process != nullptr && Linked(id, kController)) SendImage(id);
  }
}

void SimCluster::SendImage(NodeId id) {
  Process& process = *nodes_.at(id).process;
  const metadata::ImagePtr image = controller_.image();
  if (image->last_index <= process.image_sent) return;
  process.image_sent = image->last_index;
  process.loop.RunAfter(options_.image_lag_ms + Delay(), [&process, image] {
    // One may have overtaken another.
    if (image->last_index > process.cache.Current()->last_index) process.cache.Publish(image);
  });
}

void SimCluster::SendFetch(const std::shared_ptr<Call>& call, std::string bytes) {
  std::erase_if(calls_, [](const auto& weak) { return weak.expired(); });
  calls_.push_back(call);
  network_.RunAfter(Delay(), [this, call, bytes = std::move(bytes)] {
    if (!Linked(call->from, call->to)) return;
    const std::shared_ptr<Process> target = nodes_.at(call->to).process;
    if (target == nullptr) return FinishCall(call, Status::Unavailable("connection refused"));
    target->server->Handle(bytes, [this, call](std::string answer) {
      network_.RunAfter(Delay(), [this, call, answer = std::move(answer)] {
        if (answer.empty() || !Linked(call->from, call->to)) return;
        const auto owned = std::make_shared<std::string>(answer);
        kafka::WireReader reader(*owned, owned);
        kafka::FetchResponse response;
        const Status decoded = response.Decode(reader, kSimFetchVersion);
        CHECK(decoded.ok()) << decoded.ToString();
        FinishCall(call, std::move(response));
      });
    });
  });
}

void SimCluster::FinishCall(const std::shared_ptr<Call>& call,
                            Result<kafka::FetchResponse> response) {
  auto done = std::exchange(call->done, nullptr);
  const std::shared_ptr<Process> process = call->from_process.lock();
  if (done == nullptr || process == nullptr) return;
  process->loop.Post([done = std::move(done), response = std::move(response)] { done(response); });
}

TopicId SimCluster::CreateTopic(const std::string& name, const SimTopicOptions& options) {
  std::vector<std::vector<NodeId>> assignments;
  std::vector<NodeId> replicas = options.replicas.empty() ? ids() : options.replicas;
  for (int i = 0; i < options.partitions; ++i) {
    assignments.push_back(replicas);
    std::rotate(replicas.begin(), replicas.begin() + 1, replicas.end());
  }
  metadata::ConfigMap configs = options.configs;
  configs["min.insync.replicas"] = std::to_string(options.min_isr);
  configs["durability"] = options.fsync ? "fsync" : "replicated";
  const TopicId id = controller_.CreateTopic(name, assignments, configs);
  CHECK(RunUntil([&] {
    for (int i = 0; i < options.partitions; ++i) {
      const PartitionKey key{id, PartitionIndex(i)};
      const auto status = StatusOf(LeaderOf(key), key);
      if (!status.has_value() || !status->is_leader) return false;
    }
    return true;
  }));
  return id;
}

std::shared_ptr<SimProduce> SimCluster::Produce(NodeId at, const PartitionKey& key,
                                                const std::string& value, int16_t acks,
                                                int32_t timeout_ms) {
  return ProduceBatch(at, key, OneRecordBatch(value, scheduler_.clock().WallMs()), acks,
                      timeout_ms);
}

std::shared_ptr<SimProduce> SimCluster::ProduceBatch(NodeId at, const PartitionKey& key,
                                                     std::string bytes, int16_t acks,
                                                     int32_t timeout_ms) {
  auto outcome = std::make_shared<SimProduce>();
  const std::shared_ptr<Process> process = nodes_.at(at).process;
  if (process == nullptr) return outcome;
  const auto batch = std::make_shared<std::string>(std::move(bytes));
  ProduceRequestParams params;
  params.acks = acks;
  params.api_version = 9;
  params.timeout_ms = timeout_ms;
  params.entries.push_back({key, kafka::Records::View({batch, *batch})});
  // A broker that is dying answers nobody.
  process->replicas->Produce(std::move(params),
                             [this, at, outcome, weak = std::weak_ptr(process)](auto results) {
                               if (nodes_.at(at).process == nullptr || weak.expired()) return;
                               outcome->answered = true;
                               outcome->error = results[0].error;
                               outcome->offset = results[0].base_offset;
                             });
  return outcome;
}

std::vector<ListOffsetsResult> SimCluster::ListOffsets(NodeId at,
                                                       std::vector<ListOffsetsEntry> entries) {
  std::optional<std::vector<ListOffsetsResult>> listed;
  replicas(at)->ListOffsets(std::move(entries), nullptr,
                            [&](auto results) { listed = std::move(results); });
  CHECK(RunUntil([&] { return listed.has_value(); }));
  return *listed;
}

storage::DirectoryPtr SimCluster::directory(NodeId id, size_t n) const {
  return nodes_.at(id).process->logs->directories().at(n);
}

storage::LogDirectories& SimCluster::logs(NodeId id) { return *nodes_.at(id).process->logs; }

ReplicaManager* SimCluster::replicas(NodeId id) { return nodes_.at(id).process->replicas.get(); }

BrokerState& SimCluster::state(NodeId id) { return nodes_.at(id).process->state; }

MetadataCache& SimCluster::cache(NodeId id) { return nodes_.at(id).process->cache; }

std::optional<PartitionStatus> SimCluster::StatusOf(NodeId id, const PartitionKey& key) {
  if (!nodes_.contains(id) || !alive(id)) return std::nullopt;
  for (const PartitionStatus& status : replicas(id)->Status()) {
    if (status.key == key) return status;
  }
  return std::nullopt;
}

std::string SimCluster::Describe(const PartitionKey& key) {
  std::ostringstream out;
  const metadata::PartitionImage& image = ImageOf(key);
  out << "\nat " << NowMs() << " ms: leader " << image.leader << " epoch " << image.leader_epoch
      << " partition epoch " << image.partition_epoch << " ISR";
  for (const NodeId id : image.isr) out << ' ' << id;
  out << " ELR";
  for (const NodeId id : image.elr) out << ' ' << id;
  for (const NodeId id : ids()) {
    const metadata::BrokerImage* broker = controller_.image()->FindBroker(id);
    out << "\nnode " << id << (broker->fenced ? " fenced" : "");
    const auto status = StatusOf(id, key);
    if (!status.has_value()) {
      out << (alive(id) ? " without replica" : " down");
      continue;
    }
    out << (status->is_leader ? " leader" : " follower") << " epoch " << status->leader_epoch
        << " start " << status->log_start_offset << " high watermark " << status->high_watermark
        << " end " << status->log_end_offset << ' ' << status->error;
  }
  return out.str();
}

const metadata::PartitionImage& SimCluster::ImageOf(const PartitionKey& key) const {
  return *controller_.image()->FindPartition(key.topic_id, key.partition);
}

std::vector<SimRecord> SimCluster::ReadLog(NodeId id, const PartitionKey& key, Offset upto) {
  std::vector<SimRecord> records;
  const auto status = StatusOf(id, key);
  if (!status.has_value()) return records;
  const auto log = nodes_.at(id).process->logs->Find(status->name);
  Offset from = log->log_start_offset();
  while (from < std::min(upto, log->log_end_offset())) {
    const Result<storage::ReadResult> read = log->Read(from, 1 << 20, upto, true);
    CHECK(read.ok()) << read.status().ToString();
    if (read->size_bytes == 0) break;
    AppendRecords(BytesOf(read->slices), records);
    from = Offset(records.back().offset + 1);
  }
  return records;
}

std::vector<SimRecord> SimCluster::Consume(NodeId at, const PartitionKey& key, Offset from,
                                           kafka::ErrorCode* error) {
  FetchRequestParams params;
  params.size_bytes_max = 1 << 20;
  params.entries.push_back({.key = key, .fetch_offset = from, .size_bytes_max = 1 << 20});
  auto answers = std::make_shared<std::vector<FetchEntryResult>>();
  replicas(at)->Fetch(std::move(params), [answers](std::vector<FetchEntryResult> results) {
    *answers = std::move(results);
  });
  // At once, or after a worker has had its turn.
  CHECK(RunUntil([&] { return !answers->empty(); }, 1000));
  const FetchEntryResult& answer = answers->front();
  if (error != nullptr) *error = answer.error;
  std::vector<SimRecord> records;
  AppendRecords(BytesOf(answer.records), records);
  std::erase_if(records, [&](const SimRecord& record) { return record.offset < from.value(); });
  return records;
}

bool CommitChecker::Check() {
  for (const NodeId id : cluster_.ids()) {
    const auto status = cluster_.StatusOf(id, key_);
    if (!status.has_value() || !status->error.empty()) continue;
    for (const SimRecord& record : cluster_.ReadLog(id, key_, status->high_watermark)) {
      const auto [found, added] = committed_.emplace(record.offset, record.value);
      if (found->second == record.value) continue;
      error_ = "node " + std::to_string(id.value()) + " has " + record.value + " at " +
               std::to_string(record.offset) + ", where " + found->second + " was committed";
    }
  }
  return error_.empty();
}

}  // namespace sluice::broker::testing
