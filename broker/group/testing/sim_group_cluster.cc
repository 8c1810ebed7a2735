#include "broker/group/testing/sim_group_cluster.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "broker/group/testing/sim_member.h"

namespace sluice::broker::testing {

using kafka::ErrorCode;

namespace {

constexpr char kViewDirectory[] = "/kv";

TopicId OffsetsTopicId() {
  std::string id(16, '\0');
  id[0] = 1;
  return TopicId(Uuid::FromBytes(id));
}

// As the handlers do: names become ids by what this broker knows. False: it does not know one.
bool ResolveTopics(GroupRequest& request, const metadata::Image& image) {
  auto* const commit = std::get_if<kafka::OffsetCommitRequest>(&request);
  if (commit == nullptr) return true;
  for (auto& topic : commit->topics) {
    const auto known = image.FindTopic(topic.name);
    if (known == nullptr || known->id != TopicId(topic.topic_id)) return false;
  }
  return true;
}

}  // namespace

// One request on its way there and back.
struct SimGroupCluster::Request {
  SimGroupCluster* cluster;
  SimConnectionPtr connection;
  GroupCaller caller;
  GroupRequest request;
  Done done;
  bool arrived = false;
  bool answered = false;
  int boot = 0;  // of the broker that it has arrived at
  int64_t arrived_ms = 0;

  // Whoever forgets a request without an answer has a client wait for nothing.
  ~Request() {
    if (!arrived || answered || !connection->open) return;
    if (cluster->nodes_.at(connection->to)->boots != boot) return;
    cluster->invariants_.Fail("a request to " + GroupIdOf(request) + " was left without an answer");
  }
};

SimGroupCluster::SimGroupCluster(SimGroupOptions options, uint64_t seed)
    : options_(std::move(options)),
      random_(seed),
      world_(scheduler_),
      key_{OffsetsTopicId(), PartitionIndex(0)} {
  ModelLogOptions log = options_.log;
  log.key = key_;
  for (int i = 1; i <= kNodes; ++i) {
    log.nodes.emplace_back(i);
    nodes_[NodeId(i)] = std::make_unique<Node>();
  }
  ModelLog::Listener listener;
  listener.on_committed = [this](const ModelBatchPtr& batch) {
    Trace("committed up to " + std::to_string(batch->end.value()));
    invariants_.OnCommitted(*batch, *topics_.image());
  };
  listener.on_change = [this](NodeId id) {
    if (alive(id)) nodes_.at(id)->groups->PostReplicaChanged(key_);
  };
  listener.on_metadata = [this](NodeId id) { OnMetadata(id); };
  listener.on_contact = [this](NodeId id) {
    if (alive(id)) nodes_.at(id)->state->lease_start_steady_ms = now_ms();
  };
  log_ = std::make_unique<ModelLog>(scheduler_, random_.Fork(), log, std::move(listener));
  for (const NodeId id : ids()) Start(id);
}

SimGroupCluster::~SimGroupCluster() {
  // What is on its way goes first; then nobody is left to answer it.
  for (const NodeId id : ids()) {
    if (alive(id)) Kill(id);
  }
}

std::vector<NodeId> SimGroupCluster::ids() const {
  std::vector<NodeId> ids;
  for (const auto& [id, node] : nodes_) ids.push_back(id);
  return ids;
}

// --- Brokers ---

void SimGroupCluster::Start(NodeId id) {
  Node& node = *nodes_.at(id);
  CHECK(node.groups == nullptr);
  Trace("start " + std::to_string(id.value()));
  node.kv = *node.disk.Open({.directory = kViewDirectory, .families = {"groups", "views"}},
                            [this] { return random_.Chance(options_.view_flushes, 1000); });
  node.state = std::make_unique<BrokerState>();
  node.state->node_id = id;
  node.state->session_timeout_ms = options_.log.session_ms;
  node.cache = std::make_unique<MetadataCache>();
  node.known_topics = nullptr;
  node.loop = std::make_unique<::sluice::testing::PausableLoop>(scheduler_);
  node.paused = false;
  GroupCoordinatorOptions options;
  options.state = node.state.get();
  options.metadata = node.cache.get();
  options.replicas = &log_->replicas(id);
  options.loops = {node.loop.get()};
  options.background_loop = node.loop.get();
  options.clock = &scheduler_.clock();
  options.store = {node.kv.get(), 0, 1};
  options.config = options_.config;
  options.write_timeout_ms = options_.write_timeout_ms;
  options.limits = options_.limits;
  auto environment = std::make_shared<GroupEnvironment>(std::move(options));
  environment->batch_bytes_max = options_.batch_bytes_max;
  node.groups = std::make_shared<GroupLoop>(environment, *node.loop, random_.Fork());
  CheckView(id);
  log_->Start(id);
}

void SimGroupCluster::Kill(NodeId id) {
  Node& node = *nodes_.at(id);
  Trace("kill " + std::to_string(id.value()));
  CheckView(id);
  log_->Kill(id);
  ++node.boots;
  const std::shared_ptr<GroupLoop> groups = std::exchange(node.groups, nullptr);
  node.loop.reset();
  node.kv.reset();
  for (const auto& weak : std::exchange(node.connections, {})) {
    const SimConnectionPtr connection = weak.lock();
    if (connection == nullptr || !connection->open) continue;
    connection->open = false;
    world_.RunAfter(Delay(), [connection] {
      if (connection->on_broken) connection->on_broken();
    });
  }
}

void SimGroupCluster::Pause(NodeId id) {
  PauseGroups(id);
  log_->SetPaused(id, true);
}

void SimGroupCluster::PauseGroups(NodeId id) {
  if (!alive(id)) return;
  Trace("pause " + std::to_string(id.value()));
  nodes_.at(id)->loop->Pause();
  nodes_.at(id)->paused = true;
}

void SimGroupCluster::Resume(NodeId id) {
  Node& node = *nodes_.at(id);
  if (!alive(id) || !std::exchange(node.paused, false)) return;
  Trace("resume " + std::to_string(id.value()));
  node.loop->Resume();
  log_->SetPaused(id, false);
}

void SimGroupCluster::FlushView(NodeId id) {
  if (alive(id)) CHECK(nodes_.at(id)->kv->Flush().ok());
}

void SimGroupCluster::set_faults(bool on) {
  faults_ = on;
  log_->set_random_faults(on);
}

void SimGroupCluster::CheckView(NodeId id) {
  const Node& node = *nodes_.at(id);
  if (node.kv == nullptr) return;
  OffsetsView view({node.kv.get(), 0, 1}, key_.topic_id, key_.partition);
  CHECK(view.Open().ok());
  if (!view.applied().has_value()) return;
  if (*view.applied() > log_->committed_end())
    return invariants_.Fail("the view of " + std::to_string(id.value()) +
                            " has what is not committed");
  GroupInvariants::Entries entries;
  CHECK(view.ForEach(GroupView::Upto::kHighWatermark, {},
                     [&](std::string_view key, std::string_view value) {
                       entries.emplace(key, value);
                       return true;
                     })
            .ok());
  if (entries != invariants_.Replay(*view.applied()))
    invariants_.Fail("the view of " + std::to_string(id.value()) + " is no replay up to " +
                     std::to_string(view.applied()->value()));
}

const CoordinatorPartition* SimGroupCluster::CoordinatorOf(NodeId id) const {
  return alive(id) ? nodes_.at(id)->groups->Find(key_) : nullptr;
}

void SimGroupCluster::OnMetadata(NodeId id) {
  if (!alive(id)) return;
  Node& node = *nodes_.at(id);
  if (node.known_topics == topics_.image() && node.known_epoch == log_->epoch()) return;
  node.known_topics = topics_.image();
  node.known_epoch = log_->epoch();
  metadata::TopicImage offsets;
  offsets.name = kOffsetsTopic;
  offsets.id = key_.topic_id;
  offsets.partitions.resize(1);
  offsets.partitions[0].replicas = ids();
  offsets.partitions[0].leader = log_->leader();
  offsets.partitions[0].leader_epoch = log_->epoch();
  node.cache->Publish(topics_.ImageWith(offsets));
  node.groups->PostTopicsDeleted();
}

// --- Clients ---

SimConnectionPtr SimGroupCluster::Connect(NodeId to) {
  auto connection = std::make_shared<SimConnection>();
  connection->to = to;
  connection->open = alive(to);
  auto& all = nodes_.at(to)->connections;
  std::erase_if(all, [](const auto& weak) { return weak.expired(); });
  all.push_back(connection);
  return connection;
}

void SimGroupCluster::Close(const SimConnectionPtr& connection) {
  if (connection == nullptr) return;
  connection->open = false;
  connection->on_broken = nullptr;
  world_.RunAfter(Delay(), [connection] { connection->parked.AbandonAll(); });
}

void SimGroupCluster::Send(const SimConnectionPtr& connection, GroupCaller caller,
                           GroupRequest request, Done done) {
  auto sent = std::make_shared<Request>();
  sent->cluster = this;
  sent->connection = connection;
  sent->caller = std::move(caller);
  sent->request = std::move(request);
  sent->done = std::move(done);
  if (faults_ && random_.Chance(options_.loss, 1000)) connection->requests_lost = true;
  connection->last_request_ms = std::max(now_ms() + Delay(), connection->last_request_ms);
  const int copies = faults_ && random_.Chance(options_.duplicates, 1000) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    world_.RunAfter(connection->last_request_ms - now_ms(), [this, sent] { Deliver(sent); });
    if (copy + 1 < copies) {
      sent = std::make_shared<Request>(*sent);
      sent->done = nullptr;
    }
  }
}

void SimGroupCluster::Deliver(const std::shared_ptr<Request>& request) {
  SimConnection& connection = *request->connection;
  if (!connection.open || connection.requests_lost || !alive(connection.to)) return;
  Node& node = *nodes_.at(connection.to);
  request->arrived = true;
  request->arrived_ms = now_ms();
  std::erase_if(arrived_, [](const auto& weak) { return weak.expired(); });
  arrived_.push_back(request);
  request->boot = node.boots;
  GroupRequest asked = request->request;
  const metadata::ImagePtr image = node.cache->Current();
  if (!ResolveTopics(asked, *image))
    return Answer(request, ErrorResponse(asked, ErrorCode::kUnknownTopicOrPartition));
  const auto call = std::make_shared<GroupCall>(
      request->caller,
      [this, request](GroupResponse response) { Answer(request, std::move(response)); });
  const metadata::PartitionImage* known = image->FindPartition(key_.topic_id, key_.partition);
  node.groups->Enqueue(key_, known != nullptr ? known->leader_epoch : kNoEpoch, call,
                       std::move(asked));
  if (!call->finished()) connection.parked.Add(call);
}

void SimGroupCluster::Answer(const std::shared_ptr<Request>& request, GroupResponse response) {
  if (std::exchange(request->answered, true)) invariants_.Fail("a request was answered twice");
  SimConnection& connection = *request->connection;
  if (request->done == nullptr) return;
  if (faults_ && random_.Chance(options_.loss, 1000)) connection.answers_lost = true;
  connection.last_answer_ms = std::max(now_ms() + Delay(), connection.last_answer_ms);
  world_.RunAfter(connection.last_answer_ms - now_ms(), [request, response = std::move(response)] {
    const SimConnection& on = *request->connection;
    if (on.open && !on.answers_lost) request->done(response);
  });
}

std::vector<std::string> SimGroupCluster::Unanswered() const {
  static constexpr const char* kNames[] = {
      "JoinGroup",    "SyncGroup",   "Heartbeat",    "LeaveGroup",    "ConsumerGroupHeartbeat",
      "OffsetCommit", "OffsetFetch", "OffsetDelete", "DescribeGroup", "DescribeConsumerGroup",
      "ExplainGroup", "DeleteGroup", "ListGroups"};
  std::vector<std::string> words;
  for (const auto& weak : arrived_) {
    const auto request = weak.lock();
    if (request == nullptr || request->answered) continue;
    if (nodes_.at(request->connection->to)->boots != request->boot) continue;
    words.push_back(request->caller.client_id + "'s " + kNames[request->request.index()] + " of " +
                    std::to_string(request->arrived_ms) + " at " +
                    std::to_string(request->connection->to.value()));
  }
  return words;
}

void SimGroupCluster::FindCoordinator(std::function<void(NodeId)> then) {
  const NodeId asked(static_cast<int32_t>(random_.Between(1, kNodes)));
  world_.RunAfter(2 * Delay(), [this, asked, then = std::move(then)] {
    const bool answers = alive(asked) && !nodes_.at(asked)->paused;
    then(answers ? log_->LeaderKnownTo(asked) : kNoNode);
  });
}

void SimGroupCluster::CheckTaken(const SimMember& taker, const PartitionSet& added) {
  for (const SimMember* other : members_) {
    if (other == &taker || other->group_id() != taker.group_id()) continue;
    for (const auto& partition : added) {
      if (other->owned().contains(partition))
        invariants_.CheckTaken(taker.claim(), other->claim(), partition);
    }
  }
}

// --- All of it ---

void SimGroupCluster::RunFor(int64_t ms) {
  const int64_t end_ms = now_ms() + ms;
  while (now_ms() < end_ms && invariants_.breach().empty())
    scheduler_.RunForMs(std::min<int64_t>(100, end_ms - now_ms()));
}

void SimGroupCluster::Trace(std::string_view what) {
  const auto mix = [this](uint8_t byte) { trace_hash_ = (trace_hash_ ^ byte) * 0x100000001b3ULL; };
  for (const char c : what) mix(static_cast<uint8_t>(c));
  for (int64_t now = now_ms(); now > 0; now >>= 8) mix(static_cast<uint8_t>(now));
  if (trace_ != nullptr) trace_->push_back(std::to_string(now_ms()) + " " + std::string(what));
}

}  // namespace sluice::broker::testing
