#include "tests/sim/cluster/simulation.h"

#include <algorithm>
#include <utility>

#include "tests/sim/cluster/verdict.h"

namespace sluice::sim {
namespace {

constexpr char kTopic[] = "orders";
constexpr char kReplicatedTopic[] = "clicks";
constexpr char kScratchTopic[] = "scratch";
constexpr int kMinIsr = 2;

}  // namespace

Simulation::Simulation(uint64_t seed) : random_(seed), swarm_(DrawSwarm(random_)) {
  HostOptions options;
  options.nodes = swarm_.nodes;
  // Followers that get less than there is.
  options.settings = {
      "replica.fetch.max.bytes=" + std::to_string(swarm_.replica_fetch_bytes),
      "replica.fetch.response.max.bytes=" + std::to_string(swarm_.replica_fetch_bytes),
      "replica.lag.time.max.ms=" + std::to_string(swarm_.replica_lag_ms_max),
      std::string("auto.leader.rebalance.enable=") + (swarm_.balance ? "true" : "false"),
      "leader.imbalance.check.interval.seconds=" + std::to_string(swarm_.balance_interval_s)};
  cluster_ = std::make_unique<Cluster>(options, random_.Next());
}

std::string Simulation::Run() {
  if (!Begin()) {
    return cluster_->breach().empty() ? "the cluster does not start" + cluster_->Describe()
                                      : cluster_->breach();
  }
  RideOut();
  const std::string wrong = cluster_->breach();
  if (!wrong.empty()) return wrong;
  faults_->HealAll();
  cluster_->admin()->Settle(kMinIsr);
  return Verdict(*cluster_, topics_, true).Reach([this] { return Settled(); });
}

// What the admin asked for before may come late, and has to be taken back then.
bool Simulation::Settled() {
  const metadata::ImagePtr image = cluster_->ActiveImage();
  if (!cluster_->admin()->settled() || image == nullptr) return false;
  const bool all_serve = std::ranges::none_of(
      image->brokers, [](const auto& broker) { return broker.second->yields(); });
  if (!all_serve) cluster_->admin()->Settle(kMinIsr);
  return all_serve && (!swarm_.balance || Balanced(*image));
}

bool Simulation::Balanced(const metadata::Image& image) const {
  return std::ranges::all_of(topics_, [&image](const std::string& name) {
    const auto topic = image.FindTopic(name);
    return topic != nullptr && std::ranges::all_of(topic->partitions, [](const auto& partition) {
             return partition.leader == partition.replicas.front();
           });
  });
}

bool Simulation::Begin() {
  cluster_->StartAll();
  std::map<std::string, std::string> configs = {{"min.insync.replicas", std::to_string(kMinIsr)},
                                                {"segment.ms", std::to_string(swarm_.segment_ms)}};
  std::vector<TopicOptions> topics = {
      {.name = kTopic, .partitions = swarm_.partitions, .configs = configs}};
  if (swarm_.replicated_topic) {
    configs["durability"] = "replicated";
    topics.push_back({.name = kReplicatedTopic, .configs = configs});
  }
  for (const TopicOptions& topic : topics) {
    if (!cluster_->CreateTopicNow(topic, kStartMsMax)) return false;
    topics_.push_back(topic.name);
    for (int i = 0; i < topic.partitions; ++i) places_.push_back({topic.name, PartitionIndex(i)});
  }
  BeginUses();
  std::vector<std::string> all = topics_;
  all.push_back(kScratchTopic);
  faults_ = std::make_unique<Faults>(*cluster_, swarm_, all, random_.Fork());
  return true;
}

void Simulation::BeginUses() {
  ProducerOptions producer{.places = places_,
                           .pause_ms_max = swarm_.produce_pause_ms_max,
                           .in_flight_max = swarm_.in_flight_max};
  for (int i = 0; i < swarm_.producers; ++i) cluster_->AddProducer(producer);
  if (swarm_.producer_of_acks_one) {
    producer.acks = 1;
    producer.idempotent = false;
    cluster_->AddProducer(producer);
  }
  for (const history::Place& place : places_) cluster_->AddConsumer(place);
  if (swarm_.remake > 0) {
    cluster_->AddScratchProducer({.places = {{kScratchTopic, PartitionIndex(0)}},
                                  .pause_ms_max = swarm_.produce_pause_ms_max,
                                  .topic_may_go = true});
  }
  cluster_->AddAdmin({.places = places_,
                      .topic = kTopic,
                      .scratch = kScratchTopic,
                      .pause_ms_max = swarm_.admin_pause_ms_max,
                      .set_min_isr = swarm_.set_min_isr,
                      .move = swarm_.move,
                      .elect = swarm_.elect,
                      .remake = swarm_.remake,
                      .drain = swarm_.drain,
                      .decommission = swarm_.decommission,
                      .min_isr_min = swarm_.min_isr_of_one ? 1 : 2,
                      .scratch_is_safe = swarm_.disk_replaced + swarm_.disk_error > 0});
}

void Simulation::RideOut() {
  cluster_->world().network().set_weather(swarm_.weather);
  for (const NodeId id : cluster_->ids()) cluster_->host(id).sync_ms_max = swarm_.sync_ms_max;
  const int64_t end_ms = cluster_->now_ms() + kFaultyMs;
  while (cluster_->now_ms() < end_ms && cluster_->breach().empty()) {
    cluster_->RunForMs(random_.Between(1, 2 * swarm_.fault_interval_ms));
    if (random_.Chance(1, 2)) {
      faults_->Repair();
    } else {
      faults_->One();
    }
  }
}

}  // namespace sluice::sim
