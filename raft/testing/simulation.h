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
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "raft/quorum.h"
#include "raft/testing/moves.h"
#include "raft/testing/register_history.h"
#include "raft/testing/swarm.h"
#include "raft/testing/takes_part.h"
#include "raft/testing/trouble.h"

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
    const std::string wrong = Sound() ? CheckLiveness() : cluster_.invariants().breach();
    return wrong.empty() ? history_.Check() : wrong;
  }

  Cluster& cluster() { return cluster_; }
  // There was no leader in the end, and there could be none.
  bool excused() const { return excused_; }
  const RegisterHistory& history() const { return history_; }

 private:
  static constexpr size_t kUnansweredMax = 200;

  // Stands by at the end.
  bool Counts(NodeId id) { return cluster_.running(id) && cluster_.takes_part(id); }

  bool Sound() { return cluster_.invariants().breach().empty(); }

  void RideOut() {
    const int64_t end_ms = cluster_.now_ms() + weather_.lasts_ms;
    trouble_.Begin(weather_);
    const auto enough = [this] { return steps_min_ > 0 && cluster_.steps() >= steps_min_; };
    while (cluster_.now_ms() < end_ms && !enough() && Sound()) {
      cluster_.RunForMs(random_.Between(1, weather_.work_ms_max));
      Work();
      trouble_.Strike();
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

  void CalmDown() {
    HealAll();
    for (const NodeId id : cluster_.ids()) {
      if (!cluster_.running(id)) trouble_.Start(id);
    }
    const int64_t end_ms = cluster_.now_ms() + random_.Between(100, 2000);
    while (cluster_.now_ms() < end_ms && Sound()) {
      cluster_.RunForMs(random_.Between(1, weather_.work_ms_max));
      Work();
    }
  }

  void Work() {
    // Mostly where the leader is, sometimes where a client only believes it to be.
    const NodeId id = cluster_.leader() == kNoNode || random_.Chance(1, 5) ? trouble_.AnyNode()
                                                                           : cluster_.leader();
    if (!cluster_.running(id) || cluster_.paused(id)) return;
    // Clients wait for answers: what a slow disk cannot take would only pile up.
    const bool piles_up = cluster_.unanswered(id) > kUnansweredMax;
    for (uint64_t n = piles_up ? 0 : random_.Below(4); n > 0; --n) {
      Write(id, random_.Below(40));
    }
    // Reads wherever somebody believes to lead: a deposed leader must not answer. Nor must the
    // others, who are asked now and then.
    for (const NodeId reader : cluster_.ids()) {
      if (!cluster_.running(reader) || cluster_.paused(reader)) continue;
      const bool leads = cluster_.core(reader).role() == Role::kLeader;
      if (!piles_up && random_.Chance(1, leads ? 2 : 20)) Read(reader);
    }
    if (weather_.snapshots && random_.Chance(1, 30)) cluster_.TakeSnapshot(id);
    if (weather_.snapshot_storms) TakeSnapshots();
    if (weather_.transfers && random_.Chance(1, 60)) {
      // Most nodes refuse: they do not lead. That is part of the test.
      cluster_.Transfer(id, random_.Chance(1, 2) ? kNoNode : trouble_.AnyNode());
    }
    if (weather_.moves && random_.Chance(1, 15) && trouble_.AllTookPart()) moves_.Make(id);
  }

  RegisterHistory::Value Write(NodeId id, size_t padding) {
    const RegisterHistory::Value value = history_.WriteBegan();
    cluster_.Propose(id, "w" + std::to_string(value) + std::string(padding, '.'),
                     [this, value](const Result<LogIndex>& result) {
                       using Outcome = RegisterHistory::Outcome;
                       if (result.ok() && value >= last_from_) last_ = std::max(last_, *result);
                       if (result.ok()) history_.WriteEnded(value, Outcome::kDone);
                       // Of anything else the outcome is not known.
                       const StatusCode code = result.status().code();
                       if (code == StatusCode::kNotLeader || code == StatusCode::kResourceExhausted)
                         history_.WriteEnded(value, Outcome::kRefused);
                     });
    return value;
  }

  void Read(NodeId id) {
    cluster_.Read(id, [this, id, began = history_.ReadBegan()](const Result<LogIndex>& result) {
      if (result.ok()) history_.ReadEnded(began, cluster_.value(id));
    });
  }

  void TakeSnapshots() {
    for (const NodeId id : cluster_.ids()) {
      const bool able = cluster_.running(id) && !cluster_.paused(id);
      if (able && random_.Chance(1, 3)) cluster_.TakeSnapshot(id);
    }
  }

  std::string CheckLiveness() {
    HealAll();
    // A majority is enough; the rest may stay away.
    for (const NodeId id : trouble_.lost()) {
      if (cluster_.running(id)) cluster_.Crash(id);
    }
    size_t spare = random_.Chance(1, 2) && !swarm_.moves && !trouble_.SomebodyAsks()
                       ? (cluster_.ids().size() - 1) / 2 - trouble_.Struck().size()
                       : 0;
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.running(id) || trouble_.lost().contains(id)) continue;
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
    if (!settled) {
      // While members move, a change may leave too few that can vote: its leader did not know yet
      // which of them had just lost something.
      excused_ = swarm_.moves && !SomebodyCanWin(cluster_);
      return excused_ ? "" : "no leader within a minute of the healing:" + Situation();
    }
    // Again and again, as a client does: a transfer begun before the healing may still take the
    // lead away, and with a window of a few bytes the backlog of the safety phase takes its time.
    for (int attempt = 0; attempt < 120 && last_ == kNoIndex; ++attempt) {
      if (cluster_.leader() != kNoNode)
        last_from_ = std::min(last_from_, Write(cluster_.leader(), 0));
      cluster_.RunUntil([this] { return last_ != kNoIndex; }, 500);
    }
    if (!Sound()) return cluster_.invariants().breach();
    if (last_ == kNoIndex) return "no write was committed within a minute of the healing";
    const auto all_applied = [this] {
      return std::ranges::all_of(
          cluster_.ids(), [&](NodeId id) { return !Counts(id) || cluster_.applied(id) >= last_; });
    };
    if (!cluster_.RunUntil(all_applied, 60'000)) return "a voter did not catch up";
    if (!Sound()) return cluster_.invariants().breach();
    if (!RunUntilGivenBack()) return "a voter was not given back what it had lost";
    const std::string wrong = CheckStatesEqual();
    return wrong.empty() ? CheckStability() : wrong;
  }

  std::string Situation() {
    std::ostringstream out;
    for (const NodeId id : cluster_.ids()) {
      out << " [" << id;
      if (cluster_.running(id)) {
        const Core& core = cluster_.core(id);
        out << " " << RoleName(core.role()) << " term=" << core.term()
            << " last=" << core.log().last_index() << "/" << core.log().last_term()
            << " commit=" << core.commit() << " " << core.members();
      }
      if (cluster_.unanswered(id) > 0) out << " unanswered=" << cluster_.unanswered(id);
      out << (cluster_.damaged(id) ? " damaged]" : "]");
    }
    return out.str();
  }

  // What was lost may have been longer than the log is now. It grows.
  bool RunUntilGivenBack() {
    const auto done = [this] {
      return std::ranges::none_of(cluster_.ids(), [this](NodeId id) {
        return Counts(id) && (cluster_.core(id).recovering() || cluster_.core(id).inquiring());
      });
    };
    for (int attempt = 0; attempt < 120 && !done(); ++attempt) {
      for (int n = 0; n < 20 && cluster_.leader() != kNoNode; ++n) Write(cluster_.leader(), 0);
      cluster_.RunUntil(done, 500);
    }
    return done();
  }

  std::string CheckStatesEqual() {
    cluster_.RunForMs(1000);
    const auto answered = [this] {
      return std::ranges::none_of(cluster_.ids(), [this](NodeId id) {
        return cluster_.running(id) && cluster_.unanswered(id) > 0;
      });
    };
    if (!cluster_.RunUntil(answered, 60'000))
      return "a proposal or a read was never answered:" + Situation();
    cluster_.RunForMs(1000);
    std::map<std::pair<LogIndex, uint32_t>, int> states;
    for (const NodeId id : cluster_.ids()) {
      if (!Counts(id)) continue;
      ++states[{cluster_.applied(id), cluster_.checksum(id)}];
    }
    return states.size() == 1 ? "" : "the states differ at the end";
  }

  // A follower that is cut off for a while must not depose a leader that works.
  std::string CheckStability() {
    const NodeId leader = cluster_.leader();
    const Term term = cluster_.core(leader).term();
    const std::vector<Member>& voters = cluster_.core(leader).members().voters;
    const auto running = static_cast<size_t>(
        std::ranges::count_if(voters, [this](const Member& voter) { return Counts(voter.id.id); }));
    // Heartbeats that travel for 5 ms come too late for a timeout that is hardly longer than they
    // are apart.
    if (cluster_.ids().size() == 1 || running - 1 < MajorityOf(voters.size()) ||
        swarm_.cluster.config.election_timeout_ms_min < 2 * swarm_.cluster.config.heartbeat_ms)
      return "";
    NodeId away = trouble_.AnyNode();
    while (away == leader || !cluster_.running(away)) away = trouble_.AnyNode();
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
  Trouble<Cluster> trouble_{cluster_, random_};
  Moves<Cluster> moves_{cluster_, random_};
  const uint64_t steps_min_;
  RegisterHistory history_;
  RegisterHistory::Value last_from_ = UINT64_MAX;  // the first write after the healing
  LogIndex last_ = kNoIndex;                       // acknowledged of those
  bool excused_ = false;
};

}  // namespace sluice::raft::testing
