#include "tests/sim/cluster/cluster.h"

#include <glog/logging.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "kafka/messages/create_topics.h"

namespace sluice::sim {
namespace {

constexpr int16_t kCreateTopicsVersion = 7;
constexpr int64_t kCreateTimeoutMs = 5000;

}  // namespace

Cluster::Cluster(const HostOptions& options, uint64_t seed)
    : options_(options), world_(seed), checks_(AllChecks()) {
  for (int i = 1; i <= options.nodes; ++i) {
    ids_.push_back(NodeId(i));
    hosts_[NodeId(i)] = std::make_unique<Host>(NodeId(i), options, world_.clock());
    world_.SetPower(NodeId(i), Power::kOn);
  }
}

Cluster::~Cluster() {
  for (const NodeId id : ids_) {
    if (running(id)) End(id, true);
  }
}

void Cluster::Start(NodeId id) {
  CHECK(!running(id));
  LOG(INFO) << now_ms() << " ms: node " << id << " starts";
  world_.SetPower(id, Power::kOn);
  const auto fail = [this, id](const Status&) {
    // Not from inside of it.
    world_.loop().Post([this, id, weak = std::weak_ptr(world_.process(id))] {
      if (!weak.expired()) Kill(id);
    });
  };
  auto process = std::make_shared<Process>(world_, *hosts_.at(id), fail);
  world_.SetProcess(id, process);
  for (const auto& check : checks_) check->OnProcessChange(id);
  const Status started = process->Start();
  if (!started.ok())
    Breach("node " + std::to_string(id.value()) + " cannot start: " + started.ToString());
}

void Cluster::StartAll() {
  for (const NodeId id : ids_) {
    if (!running(id)) Start(id);
  }
}

void Cluster::End(NodeId id, bool host_lost) {
  if (host_lost) world_.SetPower(id, Power::kOff);
  std::shared_ptr<Process> ended = world_.process(id);
  world_.SetProcess(id, nullptr);
  stopping_.erase(id);
  CHECK_EQ(ended.use_count(), 1);
  ended.reset();
  for (const auto& check : checks_) check->OnProcessChange(id);
  world_.BreakConnections(id, host_lost);
  if (host_lost) {
    world_.network().ForgetFrom(id);
    return;
  }
  for (const NodeId other : ids_) {
    if (other == id || !running(other)) continue;
    world_.network().CarryDatagram(id, other, [this, id, other] {
      if (running(other)) world_.process(other)->OnPeerGone(id, !running(id));
    });
  }
}

void Cluster::Kill(NodeId id) {
  LOG(INFO) << now_ms() << " ms: node " << id << " is killed";
  End(id, false);
  hosts_.at(id)->disk.KillProcess();
}

void Cluster::PowerCut(NodeId id) {
  LOG(INFO) << now_ms() << " ms: node " << id << " loses power";
  if (running(id)) End(id, true);
  Host& host = *hosts_.at(id);
  host.disk.Crash(world_.random());
  ++host.boots;
  world_.SetPower(id, Power::kOff);
}

void Cluster::ReplaceDisk(NodeId id) {
  CHECK(!running(id));
  LOG(INFO) << now_ms() << " ms: node " << id << " gets a new disk";
  hosts_.at(id)->FormatLogs(Uuid::Generate(world_.random()));
}

void Cluster::StopCleanly(NodeId id) {
  if (!stopping_.insert(id).second) return;
  LOG(INFO) << now_ms() << " ms: node " << id << " begins to stop";
  world_.process(id)->StopCleanly([this, id, weak = std::weak_ptr(world_.process(id))] {
    world_.loop().Post([this, id, weak] {
      if (!weak.expired()) Kill(id);
    });
  });
}

void Cluster::Isolate(NodeId id) {
  for (const NodeId other : ids_) {
    if (other == id) continue;
    world_.network().Cut(id, other);
    world_.network().Cut(other, id);
  }
}

void Cluster::CreateTopic(const TopicOptions& options, std::function<void(bool created)> done) {
  kafka::CreateTopicsRequest request;
  request.timeout_ms = kCreateTimeoutMs;
  auto& topic = request.topics.emplace_back();
  topic.name = options.name;
  topic.num_partitions = options.partitions;
  topic.replication_factor = static_cast<int16_t>(options.replication_factor);
  if (!options.replicas.empty()) {
    topic.num_partitions = -1;
    topic.replication_factor = -1;
    auto& assignment = topic.assignments.emplace_back();
    assignment.partition_index = 0;
    for (const NodeId replica : options.replicas) assignment.broker_ids.push_back(replica.value());
  }
  for (const auto& [key, value] : options.configs) {
    auto& config = topic.configs.emplace_back();
    config.name = key;
    config.value = value;
  }
  const NodeId to = ids_[world_.random().Below(ids_.size())];
  admin_connections_.push_back(std::make_unique<KafkaConnection>(world_, NodeId(100), to));
  admin_connections_.back()->Call<kafka::CreateTopicsRequest, kafka::CreateTopicsResponse>(
      request, kCreateTopicsVersion, 2 * kCreateTimeoutMs,
      [done = std::move(done)](const Result<kafka::CreateTopicsResponse>& response) {
        if (!response.ok()) return done(false);
        const auto error = static_cast<kafka::ErrorCode>(response->topics.at(0).error_code);
        done(error == kafka::ErrorCode::kNone || error == kafka::ErrorCode::kTopicAlreadyExists);
      });
}

bool Cluster::CreateTopicNow(const TopicOptions& options, int64_t limit_ms) {
  const int64_t end_ms = now_ms() + limit_ms;
  while (now_ms() < end_ms && breach_.empty()) {
    std::optional<bool> created;
    CreateTopic(options, [&created](bool done) { created = done; });
    if (RunUntil([&] { return created.has_value(); }, limit_ms) && *created) return true;
    RunForMs(100);
  }
  return false;
}

Producer& Cluster::AddProducer(ProducerOptions options) {
  producers_.push_back(std::make_unique<Producer>(world_, NodeId(next_client_host_++), ids_, log_,
                                                  std::move(options)));
  return *producers_.back();
}

void Cluster::AddScratchProducer(ProducerOptions options) {
  scratch_producers_.push_back(std::make_unique<Producer>(world_, NodeId(next_client_host_++), ids_,
                                                          scratch_, std::move(options)));
}

Admin& Cluster::AddAdmin(AdminOptions options) {
  admin_ =
      std::make_unique<Admin>(world_, NodeId(next_client_host_++), ids_, log_, std::move(options));
  return *admin_;
}

Consumer& Cluster::AddConsumer(history::Place place) {
  consumers_.push_back(std::make_unique<Consumer>(world_, NodeId(next_client_host_++), ids_, log_,
                                                  std::move(place)));
  return *consumers_.back();
}

bool Cluster::Step() {
  const int64_t before_us = world_.clock().SteadyMicros();
  if (!world_.scheduler().Step()) return false;
  ++steps_;
  if (world_.clock().SteadyMicros() != before_us) CheckInstant();
  return breach_.empty();
}

const std::vector<broker::PartitionStatus>& Cluster::StatusesOf(NodeId id) {
  auto& statuses = statuses_[id];
  if (!statuses.has_value()) {
    const auto process = world_.process(id);
    statuses =
        process == nullptr ? std::vector<broker::PartitionStatus>() : process->replicas().Status();
  }
  return *statuses;
}

void Cluster::CheckInstant() {
  statuses_.clear();
  for (const NodeId id : ids_) {
    const auto process = world_.process(id);
    if (process == nullptr) continue;
    metadata::ImagePtr committed = process->controller().committed();
    if (committed->last_index > newest_image_->last_index) newest_image_ = std::move(committed);
  }
  for (const Log* log : {&log_, &scratch_}) {
    if (!log->breaches.empty()) Breach(log->breaches.front());
  }
  for (const auto& check : checks_) {
    const std::string wrong = check->AfterInstant(*this);
    if (!wrong.empty()) Breach(wrong);
  }
}

void Cluster::Breach(const std::string& what) {
  if (!breach_.empty()) return;
  breach_ = "at " + std::to_string(now_ms()) + " ms: " + what;
}

bool Cluster::TakeUncleanElection(const broker::PartitionKey& key) {
  if (!std::exchange(unclean_expected_, false)) return false;
  ++unclean_elections_[key];
  return true;
}

int Cluster::unclean_elections(const broker::PartitionKey& key) const {
  const auto found = unclean_elections_.find(key);
  return found == unclean_elections_.end() ? 0 : found->second;
}

bool Cluster::MayHoldVoid(NodeId id, const broker::PartitionKey& key) const {
  if (unclean_elections(key) == 0) return false;
  const auto* partition = newest_image_->FindPartition(key.topic_id, key.partition);
  return partition == nullptr || std::ranges::find(partition->isr, id) == partition->isr.end();
}

void Cluster::RunForMs(int64_t ms) {
  const int64_t end_ms = now_ms() + ms;
  world_.loop().RunAfter(ms, [] {});
  while (now_ms() < end_ms && Step()) {
  }
}

bool Cluster::RunUntil(const std::function<bool()>& done, int64_t limit_ms) {
  const int64_t end_ms = now_ms() + limit_ms;
  world_.loop().RunAfter(limit_ms, [] {});
  while (now_ms() < end_ms) {
    if (done()) return true;
    if (!Step()) return false;
  }
  return false;
}

metadata::ImagePtr Cluster::ActiveImage() const {
  metadata::ImagePtr image;
  Term term{-1};
  for (const NodeId id : ids_) {
    const auto process = world_.process(id);
    if (process == nullptr || !process->controller().active()) continue;
    if (process->raft_core().term() < term) continue;
    term = process->raft_core().term();
    image = process->controller().committed();
  }
  return image;
}

std::string Cluster::Describe() const {
  std::ostringstream out;
  for (const NodeId id : ids_) {
    const auto process = world_.process(id);
    out << "\nnode " << id;
    if (process == nullptr) {
      out << " down";
      continue;
    }
    out << (process->paused() ? " paused" : "") << " raft term " << process->raft_core().term()
        << (process->controller().active() ? " active controller" : "") << ", broker epoch "
        << process->broker_state().broker_epoch << (process->broker_state().fenced ? " fenced" : "")
        << ", metadata " << process->metadata().Current()->last_index;
    for (const broker::PartitionStatus& status : process->replicas().Status()) {
      out << "\n  " << status.name.ToString() << (status.is_leader ? " leader" : " follower")
          << " epoch " << status.leader_epoch << " high watermark " << status.high_watermark
          << " end " << status.log_end_offset << ' ' << status.error;
    }
  }
  const metadata::ImagePtr image = ActiveImage();
  if (image == nullptr) return out.str() + "\nno active controller";
  for (const auto& [id, broker] : image->brokers) {
    if (broker->yields()) out << "\nbroker " << id << " is to give up what it has";
  }
  for (const auto& [name, topic] : *image->topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const metadata::PartitionImage& partition = topic->partitions[i];
      out << "\n"
          << name << "-" << i << ": leader " << partition.leader << " epoch "
          << partition.leader_epoch << " replicas";
      for (const NodeId id : partition.replicas) out << ' ' << id;
      out << (partition.moving() ? " (moving)" : "") << " ISR";
      for (const NodeId id : partition.isr) out << ' ' << id;
      out << " ELR";
      for (const NodeId id : partition.elr) out << ' ' << id;
    }
  }
  return out.str();
}

}  // namespace sluice::sim
