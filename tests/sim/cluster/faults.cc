#include "tests/sim/cluster/faults.h"

#include <glog/logging.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::sim {
namespace {

constexpr int64_t kDayMs = 24LL * 3600 * 1000;

}  // namespace

NodeId Faults::Pick() { return cluster_.ids()[random_.Below(cluster_.ids().size())]; }

void Faults::One() {
  const NodeId id = Pick();
  const bool running = cluster_.running(id);
  const std::vector<std::pair<uint64_t, std::function<void()>>> faults = {
      {swarm_.kill,
       [&] {
         if (running) cluster_.Kill(id);
       }},
      {swarm_.power_cut, [&] { PowerCut(id); }},
      {swarm_.all_power_cut, [&] { PowerCutAll(); }},
      {swarm_.clean_stop,
       [&] {
         if (running && !cluster_.paused(id)) cluster_.StopCleanly(id);
       }},
      {swarm_.pause,
       [&] {
         if (running) cluster_.Pause(id);
       }},
      {swarm_.isolate, [&] { cluster_.Isolate(id); }},
      {swarm_.cut_one_way, [&] { CutOneWay(id); }},
      {swarm_.cut_pair, [&] { CutPair(id); }},
      {swarm_.cut_clients, [&] { CutClients(id); }},
      {swarm_.bounce, [&] { Bounce(id); }},
      {swarm_.disk_error, [&] { FailDisk(id); }},
      {swarm_.disk_full, [&] { FillDisk(id); }},
      {swarm_.disk_replaced, [&] { ReplaceDisk(id); }},
      {swarm_.clock_step, [&] { StepClock(id); }},
  };
  uint64_t all = 0;
  for (const auto& [weight, run] : faults) all += weight;
  if (all == 0) return;
  uint64_t drawn = random_.Below(all);
  for (const auto& [weight, run] : faults) {
    if (drawn < weight) return run();
    drawn -= weight;
  }
}

void Faults::CutOneWay(NodeId id) {
  const NodeId other = Pick();
  if (id != other) cluster_.world().network().Cut(id, other);
}

void Faults::CutPair(NodeId id) {
  const NodeId other = Pick();
  if (id == other) return;
  cluster_.world().network().Cut(id, other);
  cluster_.world().network().Cut(other, id);
}

void Faults::CutClients(NodeId id) {
  const NodeId client(kFirstClientHost + static_cast<int32_t>(random_.Below(4)));
  cluster_.world().network().Cut(client, id);
  cluster_.world().network().Cut(id, client);
}

void Faults::PowerCut(NodeId id) {
  // What is not synced counts where the topic's promise is replication alone.
  if (!cluster_.running(id) || (swarm_.replicated_topic && !MayHurt(id))) return;
  if (swarm_.replicated_topic) hurt_.insert(id);
  cluster_.PowerCut(id);
}

void Faults::PowerCutAll() {
  if (swarm_.replicated_topic) return;
  for (const NodeId each : cluster_.ids()) cluster_.PowerCut(each);
}

// So fast that those who wait for it see no more than another incarnation.
void Faults::Bounce(NodeId id) {
  if (!cluster_.running(id)) return;
  if (random_.Chance(1, 2)) {
    cluster_.Kill(id);
  } else {
    PowerCut(id);
  }
  cluster_.RunForMs(random_.Between(0, 50));
  if (!cluster_.running(id)) Start(id);
}

// The next writes or syncs fail, of records; the process should end.
void Faults::FailDisk(NodeId id) {
  if (!cluster_.running(id) || !MayHurt(id)) return;
  LOG(INFO) << cluster_.now_ms() << " ms: the disk of node " << id << " fails";
  hurt_.insert(id);
  failed_disks_.insert(id);
  cluster_.host(id).disk.InjectFault({.operation = random_.Chance(1, 2)
                                                       ? testing::FileOperation::kSync
                                                       : testing::FileOperation::kWrite,
                                      .path_part = cluster_.host(id).config.log_directory + "/",
                                      .status = Status::IoError("EIO"),
                                      .skip = static_cast<int>(random_.Below(10)),
                                      .times = random_.Chance(1, 2) ? 1 : -1});
}

void Faults::FillDisk(NodeId id) {
  if (!cluster_.running(id)) return;
  Host& host = cluster_.host(id);
  if (!host.disk.Exists(host.config.log_directory) || full_disks_.contains(id)) return;
  LOG(INFO) << cluster_.now_ms() << " ms: the disk of node " << id << " becomes full";
  full_disks_.insert(id);
  host.FillDisk(random_.Below(20'000));
}

void Faults::ReplaceDisk(NodeId id) {
  if (!MayHurt(id)) return;
  hurt_.insert(id);
  if (cluster_.running(id)) cluster_.Kill(id);
  cluster_.ReplaceDisk(id);
  failed_disks_.erase(id);
  full_disks_.erase(id);
  if (random_.Chance(1, 2)) Start(id);
}

void Faults::StepClock(NodeId id) {
  const int64_t days_ms = random_.Chance(1, 2) ? 10'000 : kDayMs;
  cluster_.host(id).clock.wall_ahead_ms = random_.Between(-days_ms, days_ms);
}

// With a disk that works: what a failed one had not synced is gone with the reboot that it takes.
void Faults::Start(NodeId id) {
  Host& host = cluster_.host(id);
  host.disk.ClearFaults();
  if (failed_disks_.erase(id) > 0) cluster_.PowerCut(id);
  if (full_disks_.erase(id) > 0) host.MakeRoom();
  cluster_.Start(id);
}

void Faults::Repair() {
  const NodeId id = Pick();
  if (!cluster_.running(id)) {
    Start(id);
  } else if (cluster_.paused(id)) {
    cluster_.Resume(id);
  } else if (full_disks_.contains(id)) {
    full_disks_.erase(id);
    cluster_.host(id).MakeRoom();
  } else if (random_.Chance(2, 3)) {
    cluster_.Heal();
  }
}

void Faults::HealAll() {
  cluster_.Heal();
  cluster_.world().network().set_weather({});
  for (const NodeId id : cluster_.ids()) {
    Host& host = cluster_.host(id);
    host.sync_ms_max = 3;
    host.clock.wall_ahead_ms = 0;
    if (failed_disks_.contains(id) && cluster_.running(id)) cluster_.PowerCut(id);
    if (!cluster_.running(id)) Start(id);
    if (cluster_.paused(id)) cluster_.Resume(id);
    if (full_disks_.erase(id) > 0) host.MakeRoom();
  }
}

bool Faults::MayHurt(NodeId id) {
  std::erase_if(hurt_, [this](NodeId each) { return Whole(each); });
  return std::ranges::all_of(hurt_, [id](NodeId each) { return each == id; }) && !AloneWith(id);
}

// A topic that was made when the others did not run begins with one copy.
bool Faults::AloneWith(NodeId id) const {
  const metadata::ImagePtr& image = cluster_.NewestImage();
  return std::ranges::any_of(topics_, [&](const std::string& name) {
    const auto topic = image->FindTopic(name);
    return topic != nullptr && std::ranges::any_of(topic->partitions, [id](const auto& partition) {
             return partition.replicas.size() > 1 && partition.elr.empty() &&
                    partition.isr == std::vector<NodeId>{id};
           });
  });
}

bool Faults::Whole(NodeId id) const {
  const auto process = cluster_.process(id);
  const metadata::ImagePtr& image = cluster_.NewestImage();
  const metadata::BrokerImage* broker = image->FindBroker(id);
  if (process == nullptr || failed_disks_.contains(id) || broker == nullptr || !broker->active() ||
      process->broker_state().broker_epoch != broker->epoch.value())
    return false;
  return std::ranges::all_of(topics_, [&](const std::string& name) {
    const auto topic = image->FindTopic(name);
    return topic == nullptr || std::ranges::all_of(topic->partitions, [id](const auto& partition) {
             return std::ranges::count(partition.replicas, id) ==
                    std::ranges::count(partition.isr, id);
           });
  });
}

}  // namespace sluice::sim
