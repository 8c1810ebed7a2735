#include "tests/sim/cluster/simulation.h"

#include <algorithm>
#include <utility>

#include "tests/sim/cluster/contents.h"
#include "tests/support/history/judge.h"

namespace sluice::sim {
namespace {

constexpr char kTopic[] = "orders";

}  // namespace

Simulation::Simulation(uint64_t seed) : random_(seed), swarm_(DrawSwarm(random_)) {
  HostOptions options;
  options.nodes = swarm_.nodes;
  cluster_ = std::make_unique<Cluster>(options, random_.Next());
}

std::string Simulation::Run() {
  if (!Begin()) {
    return cluster_->breach().empty() ? "the cluster does not start" + cluster_->Describe()
                                      : cluster_->breach();
  }
  RideOut();
  std::string wrong = cluster_->breach();
  if (wrong.empty()) wrong = CheckLiveness();
  if (wrong.empty()) wrong = CheckContents();
  return wrong;
}

bool Simulation::Begin() {
  cluster_->StartAll();
  const bool created = cluster_->CreateTopicNow({.name = kTopic,
                                                 .partitions = swarm_.partitions,
                                                 .replication_factor = 3,
                                                 .configs = {{"min.insync.replicas", "2"}}},
                                                kStartMsMax);
  if (!created) return false;
  for (int i = 0; i < swarm_.partitions; ++i) places_.push_back({kTopic, PartitionIndex(i)});
  for (int i = 0; i < swarm_.producers; ++i)
    cluster_->AddProducer({.places = places_, .pause_ms_max = swarm_.produce_pause_ms_max});
  for (const history::Place& place : places_) cluster_->AddConsumer(place);
  return true;
}

NodeId Simulation::Pick() { return cluster_->ids()[random_.Below(cluster_->ids().size())]; }

void Simulation::RideOut() {
  cluster_->world().network().set_weather(swarm_.weather);
  for (const NodeId id : cluster_->ids()) cluster_->host(id).sync_ms_max = swarm_.sync_ms_max;
  const int64_t end_ms = cluster_->now_ms() + kFaultyMs;
  while (cluster_->now_ms() < end_ms && cluster_->breach().empty()) {
    cluster_->RunForMs(random_.Between(1, 2 * swarm_.fault_interval_ms));
    if (random_.Chance(1, 2)) {
      Repair();
    } else {
      OneFault();
    }
  }
}

void Simulation::OneFault() {
  const NodeId id = Pick();
  const NodeId other = Pick();
  Network& network = cluster_->world().network();
  const uint64_t all = swarm_.kill + swarm_.power_cut + swarm_.all_power_cut + swarm_.clean_stop +
                       swarm_.pause + swarm_.isolate + swarm_.cut_one_way + swarm_.cut_pair +
                       swarm_.cut_clients;
  if (all == 0) return;
  uint64_t drawn = random_.Below(all);
  const auto is = [&drawn](uint64_t weight) {
    if (drawn < weight) return true;
    drawn -= weight;
    return false;
  };
  if (is(swarm_.kill)) {
    if (cluster_->running(id)) cluster_->Kill(id);
  } else if (is(swarm_.power_cut)) {
    if (cluster_->running(id)) cluster_->PowerCut(id);
  } else if (is(swarm_.all_power_cut)) {
    for (const NodeId each : cluster_->ids()) cluster_->PowerCut(each);
  } else if (is(swarm_.clean_stop)) {
    if (cluster_->running(id) && !cluster_->paused(id)) cluster_->StopCleanly(id);
  } else if (is(swarm_.pause)) {
    if (cluster_->running(id)) cluster_->Pause(id);
  } else if (is(swarm_.isolate)) {
    cluster_->Isolate(id);
  } else if (is(swarm_.cut_one_way)) {
    if (id != other) network.Cut(id, other);
  } else if (is(swarm_.cut_pair)) {
    if (id != other) {
      network.Cut(id, other);
      network.Cut(other, id);
    }
  } else {
    const NodeId client(101 + static_cast<int32_t>(random_.Below(4)));
    network.Cut(client, id);
    network.Cut(id, client);
  }
}

// One thing gets better.
void Simulation::Repair() {
  const NodeId id = Pick();
  if (!cluster_->running(id)) {
    cluster_->Start(id);
  } else if (cluster_->paused(id)) {
    cluster_->Resume(id);
  } else if (random_.Chance(2, 3)) {
    cluster_->Heal();
  }
}

bool Simulation::Converged() const {
  const metadata::ImagePtr image = cluster_->ActiveImage();
  if (image == nullptr) return false;
  for (const NodeId id : cluster_->ids()) {
    const metadata::BrokerImage* broker = image->FindBroker(id);
    if (broker == nullptr || !broker->active()) return false;
  }
  const auto topic = image->FindTopic(kTopic);
  if (topic == nullptr) return false;
  return std::all_of(topic->partitions.begin(), topic->partitions.end(),
                     [](const metadata::PartitionImage& partition) {
                       return partition.leader != kNoNode &&
                              partition.isr.size() == partition.replicas.size();
                     });
}

std::string Simulation::CheckLiveness() {
  cluster_->Heal();
  cluster_->world().network().set_weather({});
  for (const NodeId id : cluster_->ids()) {
    cluster_->host(id).sync_ms_max = 3;
    if (!cluster_->running(id)) cluster_->Start(id);
    if (cluster_->paused(id)) cluster_->Resume(id);
  }
  // A stop that was under way ends its process yet.
  const auto converged = [this] {
    for (const NodeId id : cluster_->ids()) {
      if (cluster_->stopping(id)) return false;
      if (!cluster_->running(id)) cluster_->Start(id);
    }
    return Converged();
  };
  const auto failed = [this](const std::string& what) {
    return cluster_->breach().empty() ? what + cluster_->Describe() : cluster_->breach();
  };
  if (!cluster_->RunUntil(converged, kHealedMsMax))
    return failed("the healed cluster does not become whole");
  const uint64_t before = cluster_->log().acknowledged;
  if (!cluster_->RunUntil([&] { return cluster_->log().acknowledged > before + 10; }, kHealedMsMax))
    return failed("the healed cluster acknowledges nothing");
  for (const auto& producer : cluster_->producers()) producer->Quiesce();
  const auto idle = [this] {
    return std::all_of(cluster_->producers().begin(), cluster_->producers().end(),
                       [](const auto& producer) { return producer->idle(); });
  };
  if (!cluster_->RunUntil(idle, kHealedMsMax)) return failed("a producer does not come to an end");
  return ReadEverything();
}

// Whoever read so far comes to the end, and others read all of it once more.
std::string Simulation::ReadEverything() {
  for (const history::Place& place : places_) cluster_->AddConsumer(place);
  const int64_t since_ms = cluster_->now_ms();
  const auto read = [&] {
    return std::all_of(cluster_->consumers().begin(), cluster_->consumers().end(),
                       [since_ms](const auto& consumer) { return consumer->caught_up(since_ms); });
  };
  if (!cluster_->RunUntil(read, kHealedMsMax)) {
    return cluster_->breach().empty() ? "a reader does not come to the end" + cluster_->Describe()
                                      : cluster_->breach();
  }
  for (const auto& consumer : cluster_->consumers()) consumer->Quiesce();
  const auto alike = [this] { return CompareReplicas(*cluster_, places_).empty(); };
  if (!cluster_->RunUntil(alike, kHealedMsMax)) {
    return cluster_->breach().empty() ? CompareReplicas(*cluster_, places_) + cluster_->Describe()
                                      : cluster_->breach();
  }
  return "";
}

std::string Simulation::CheckContents() {
  history::History history = cluster_->log().history;
  std::stable_sort(history.operations.begin(), history.operations.end(),
                   [](const auto& a, const auto& b) { return a.begin_us < b.begin_us; });
  const std::vector<history::Anomaly> anomalies = history::Judge(history);
  if (anomalies.empty()) return "";
  std::string wrong = std::to_string(anomalies.size()) + " anomalies";
  for (size_t i = 0; i < std::min<size_t>(anomalies.size(), 5); ++i)
    wrong += "\n  " + anomalies[i].kind + ": " + anomalies[i].what;
  return wrong;
}

}  // namespace sluice::sim
