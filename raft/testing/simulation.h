#pragma once
// Simulation: one seed, a cluster of its own with faults of its own. A safety phase throws
// everything at it, in spells of changing weather; then all is healed and it must get going again.
// `Cluster` is SimCluster, which runs drivers too, or LeanCluster, which runs cores only and many
// more of them.
//
// Thread rule: one thread.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/quorum.h"
#include "raft/testing/swarm.h"

namespace sluice::raft::testing {

template <typename Cluster>
class Simulation {
 public:
  // The faults go on until the cluster has made `steps_min` steps.
  explicit Simulation(uint64_t seed, uint64_t steps_min = 0)
      : random_(seed),
        swarm_(DrawSwarm(random_)),
        weather_(swarm_.weather),
        cluster_(swarm_.cluster, random_.Next()),
        steps_min_(steps_min) {}

  // An empty string, or what went wrong.
  std::string Run() {
    for (const NodeId id : cluster_.ids()) cluster_.Start(id);
    RideOut();
    while (Sound() && cluster_.steps() < steps_min_) {
      // Where nothing was ever committed, nothing can be lost.
      if (random_.Chance(3, 4)) CalmDown();
      weather_ = DrawWeather(swarm_, random_);
      cluster_.SetNetwork(weather_.network);
      cluster_.SetDiskLatency(weather_.disk);
      RideOut();
    }
    return Sound() ? CheckLiveness() : cluster_.invariants().breach();
  }

  Cluster& cluster() { return cluster_; }

 private:
  static constexpr size_t kUnansweredMax = 200;

  bool Sound() { return cluster_.invariants().breach().empty(); }

  void RideOut() {
    const int64_t end_ms = cluster_.now_ms() + weather_.lasts_ms;
    int64_t next_fault_ms = cluster_.now_ms() + random_.Between(0, weather_.step_ms_max);
    const auto enough = [this] { return steps_min_ > 0 && cluster_.steps() >= steps_min_; };
    while (cluster_.now_ms() < end_ms && !enough() && Sound()) {
      cluster_.RunForMs(random_.Between(1, weather_.work_ms_max));
      Work();
      if (weather_.election_crashes) CrashInElections();
      if (weather_.false_hint_ms_max > 0 && cluster_.now_ms() >= next_hint_ms_) TellFalsely();
      if (cluster_.now_ms() >= heal_ms_) {
        heal_ms_ = INT64_MAX;
        cluster_.HealNetwork();
      }
      if (cluster_.now_ms() < next_fault_ms) continue;
      next_fault_ms = cluster_.now_ms() + random_.Between(1, weather_.step_ms_max);
      Fault();
    }
  }

  void HealAll() {
    cluster_.HealNetwork();
    cluster_.SetNetwork({.delay_ms_min = 0, .delay_ms_max = 5});
    cluster_.SetDiskLatency({.ms_min = 0, .ms_max = 5});
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.paused(id)) cluster_.Resume(id);
    }
  }

  void Start(NodeId id) {
    if (!lost_.contains(id)) cluster_.Start(id);
  }

  void CalmDown() {
    HealAll();
    for (const NodeId id : cluster_.ids()) {
      if (!cluster_.running(id)) Start(id);
    }
    const int64_t end_ms = cluster_.now_ms() + random_.Between(100, 2000);
    while (cluster_.now_ms() < end_ms && Sound()) {
      cluster_.RunForMs(random_.Between(1, weather_.work_ms_max));
      Work();
    }
  }

  NodeId AnyNode() {
    const auto& ids = cluster_.ids();
    return ids[random_.Below(ids.size())];
  }

  void Work() {
    // Mostly where the leader is, sometimes where a client only believes it to be.
    const NodeId id =
        cluster_.leader() == kNoNode || random_.Chance(1, 5) ? AnyNode() : cluster_.leader();
    if (!cluster_.running(id) || cluster_.paused(id)) return;
    // Clients wait for answers: what a slow disk cannot take would only pile up.
    const bool piles_up = cluster_.unanswered(id) > kUnansweredMax;
    for (uint64_t n = piles_up ? 0 : random_.Below(4); n > 0; --n) {
      cluster_.Propose(id, "w" + std::to_string(++writes_) + std::string(random_.Below(40), '.'));
    }
    // Reads wherever somebody believes to lead: a deposed leader must not answer. Nor must the
    // others, who are asked now and then.
    for (const NodeId reader : cluster_.ids()) {
      if (!cluster_.running(reader) || cluster_.paused(reader)) continue;
      const bool leads = cluster_.core(reader).role() == Role::kLeader;
      if (!piles_up && random_.Chance(1, leads ? 2 : 20)) cluster_.Read(reader);
    }
    if (weather_.snapshots && random_.Chance(1, 30)) cluster_.TakeSnapshot(id);
    if (weather_.snapshot_storms) TakeSnapshots();
    if (weather_.transfers && random_.Chance(1, 60)) {
      // Most nodes refuse: they do not lead. That is part of the test.
      cluster_.Transfer(id, random_.Chance(1, 2) ? kNoNode : AnyNode());
    }
  }

  void TakeSnapshots() {
    for (const NodeId id : cluster_.ids()) {
      const bool able = cluster_.running(id) && !cluster_.paused(id);
      if (able && random_.Chance(1, 3)) cluster_.TakeSnapshot(id);
    }
  }

  void Fault() {
    const NodeId id = AnyNode();
    if (!cluster_.running(id)) {
      if (random_.Chance(1, 2)) Start(id);
      return;
    }
    if (cluster_.paused(id)) {
      cluster_.Resume(id);
      return;
    }
    switch (random_.Below(8)) {
      case 0:
        if (!weather_.crashes) return;
        cluster_.Crash(id);
        if (weather_.refused_hints) cluster_.TellPeersRefused(id);
        return;
      case 1:
        if (weather_.pauses) cluster_.Pause(id);
        return;
      case 2:
        if (weather_.partitions) cluster_.Isolate(id);
        return;
      case 3:
        if (weather_.one_way) cluster_.Cut(id, AnyNode());
        return;
      case 4:
        if (weather_.rings) CutIntoRing();
        return;
      case 5:
        if (weather_.slow_disks) cluster_.SetDiskLatency(id, {.ms_min = 500, .ms_max = 1500});
        return;
      case 6:
        if (weather_.losses && random_.Chance(1, 5)) Lose(id);
        return;
      default:
        cluster_.HealNetwork();
        cluster_.SetDiskLatency(weather_.disk);
        return;
    }
  }

  // Each hears only the one before it, so that whoever is heard cannot be answered.
  void CutIntoRing() {
    const std::vector<NodeId>& ids = cluster_.ids();
    const size_t step = random_.Chance(1, 2) ? 1 : ids.size() - 1;
    for (size_t from = 0; from < ids.size(); ++from) {
      for (size_t to = 0; to < ids.size(); ++to) {
        if (to != from && to != (from + step) % ids.size()) cluster_.Cut(ids[from], ids[to]);
      }
    }
  }

  // For ever; a majority is never lost.
  void Lose(NodeId id) {
    if (lost_.contains(id) || lost_.size() >= (cluster_.ids().size() - 1) / 2) return;
    lost_.insert(id);
    if (random_.Chance(1, 2)) {
      cluster_.FailDisk(id);
    } else {
      cluster_.Crash(id);
      cluster_.StartWiped(id);
    }
  }

  // A full backlog or a firewall refuses too, and not for everybody. The firewall may also swallow
  // what is on its way.
  void TellFalsely() {
    next_hint_ms_ = cluster_.now_ms() + random_.Between(1, weather_.false_hint_ms_max);
    const NodeId leader = cluster_.leader();
    const NodeId about = leader == kNoNode || random_.Chance(1, 4) ? AnyNode() : leader;
    for (const NodeId id : cluster_.ids()) {
      if (id != about && random_.Chance(4, 5)) cluster_.TellRefused(id, about);
    }
    if (!weather_.partitions || !random_.Chance(1, 3)) return;
    cluster_.Isolate(about);
    // Soon enough for the old leader to meet its successor before it has resigned.
    heal_ms_ = cluster_.now_ms() + random_.Between(50, 400);
  }

  void CrashInElections() {
    const bool election = std::ranges::any_of(cluster_.ids(), [this](NodeId id) {
      if (!cluster_.running(id)) return false;
      const Core& core = cluster_.core(id);
      const bool fresh_leader = core.role() == Role::kLeader &&
                                core.log().last_term() == core.term() &&
                                core.commit() < core.log().last_index();
      return core.role() == Role::kCandidate || fresh_leader;
    });
    if (!election || !random_.Chance(1, 4)) return;
    const NodeId id = AnyNode();
    if (!cluster_.running(id) || cluster_.paused(id)) return;
    cluster_.Crash(id);
    if (random_.Chance(3, 4)) Start(id);
  }

  std::string CheckLiveness() {
    HealAll();
    // A majority is enough; the rest may stay away.
    for (const NodeId id : lost_) {
      if (cluster_.running(id)) cluster_.Crash(id);
    }
    size_t spare = random_.Chance(1, 2) ? (cluster_.ids().size() - 1) / 2 - lost_.size() : 0;
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.running(id) || lost_.contains(id)) continue;
      if (spare > 0) {
        --spare;
        continue;
      }
      cluster_.Start(id);
    }
    // What was under way before the healing may still arrive, and disturb, for a moment.
    cluster_.RunForMs(1000);
    const bool settled = cluster_.RunUntil([this] { return cluster_.settled(); }, 60'000);
    if (!Sound()) return cluster_.invariants().breach();
    if (!settled) return "no leader within a minute of the healing";
    LogIndex last = kNoIndex;
    // Again and again, as a client does: a transfer begun before the healing may still take the
    // lead away, and with a window of a few bytes the backlog of the safety phase takes its time.
    for (int attempt = 0; attempt < 120 && last == kNoIndex; ++attempt) {
      if (cluster_.leader() != kNoNode) {
        cluster_.Propose(cluster_.leader(), "last",
                         [&last](const Result<LogIndex>& r) { last = r.ok() ? *r : last; });
      }
      cluster_.RunUntil([&last] { return last != kNoIndex; }, 500);
    }
    if (!Sound()) return cluster_.invariants().breach();
    if (last == kNoIndex) return "no write was committed within a minute of the healing";
    const auto all_applied = [this, &last] {
      return std::ranges::all_of(cluster_.ids(), [&](NodeId id) {
        return !cluster_.running(id) || cluster_.applied(id) >= last;
      });
    };
    if (!cluster_.RunUntil(all_applied, 60'000)) return "a voter did not catch up";
    if (!Sound()) return cluster_.invariants().breach();
    const std::string wrong = CheckStatesEqual();
    return wrong.empty() ? CheckStability() : wrong;
  }

  std::string CheckStatesEqual() {
    cluster_.RunForMs(1000);
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.running(id) && cluster_.unanswered(id) > 0)
        return "a proposal or a read was never answered";
    }
    std::map<std::pair<LogIndex, uint32_t>, int> states;
    for (const NodeId id : cluster_.ids()) {
      if (!cluster_.running(id)) continue;
      ++states[{cluster_.applied(id), cluster_.checksum(id)}];
    }
    return states.size() == 1 ? "" : "the states differ at the end";
  }

  // A follower that is cut off for a while must not depose a leader that works.
  std::string CheckStability() {
    const auto running = static_cast<size_t>(
        std::ranges::count_if(cluster_.ids(), [this](NodeId id) { return cluster_.running(id); }));
    // Heartbeats that travel for 5 ms come too late for a timeout that is hardly longer than they
    // are apart.
    if (running - 1 < MajorityOf(cluster_.ids().size()) ||
        swarm_.cluster.config.election_timeout_ms_min < 2 * swarm_.cluster.config.heartbeat_ms)
      return "";
    const NodeId leader = cluster_.leader();
    const Term term = cluster_.core(leader).term();
    NodeId away = AnyNode();
    while (away == leader || !cluster_.running(away)) away = AnyNode();
    if (random_.Chance(1, 2)) {
      cluster_.Isolate(away);
    } else {
      cluster_.Cut(leader, away);
      if (random_.Chance(1, 2)) cluster_.Cut(away, leader);
    }
    cluster_.RunForMs(random_.Between(1000, 3000));
    cluster_.HealNetwork();
    cluster_.RunForMs(2000);
    if (!Sound()) return cluster_.invariants().breach();
    return cluster_.leader() == leader && cluster_.core(leader).term() == term
               ? ""
               : "a follower that was cut off deposed the leader";
  }

  Random random_;
  const Swarm swarm_;
  Weather weather_;
  Cluster cluster_;
  const uint64_t steps_min_;
  std::set<NodeId> lost_;
  uint64_t writes_ = 0;
  int64_t next_hint_ms_ = 0;
  int64_t heal_ms_ = INT64_MAX;
};

}  // namespace sluice::raft::testing
