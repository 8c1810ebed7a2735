#pragma once
// Trouble: what strikes a simulated cluster in some weather: crashes, pauses, cut links, slow,
// failing, damaged and wiped disks, false hints of a death.
//
// Thread rule: one thread.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <set>
#include <vector>

#include "raft/testing/swarm.h"

namespace sluice::raft::testing {

template <typename Cluster>
class Trouble {
 public:
  Trouble(Cluster& cluster, Random& random) : cluster_(cluster), random_(random) {}

  void Begin(const Weather& weather) {
    weather_ = weather;
    next_fault_ms_ = cluster_.now_ms() + random_.Between(0, weather_.step_ms_max);
  }

  // What is due now.
  void Strike() {
    if (weather_.election_crashes) CrashInElections();
    if (weather_.formats) FormatBetweenLeaders();
    if (weather_.false_hint_ms_max > 0 && cluster_.now_ms() >= next_hint_ms_) TellFalsely();
    if (cluster_.now_ms() >= heal_ms_) {
      heal_ms_ = INT64_MAX;
      cluster_.HealNetwork();
    }
    if (cluster_.now_ms() < next_fault_ms_) return;
    next_fault_ms_ = cluster_.now_ms() + random_.Between(1, weather_.step_ms_max);
    Fault();
  }

  NodeId AnyNode() {
    const auto& ids = cluster_.ids();
    return ids[random_.Below(ids.size())];
  }

  void Start(NodeId id) {
    if (!lost_.contains(id)) cluster_.Start(id);
  }

  // Voters that will never be again, fewer than half.
  const std::set<NodeId>& lost() const { return lost_; }
  // Whether some voter would need an answer of all the others.
  bool SomebodyAsks() const {
    return std::ranges::any_of(cluster_.ids(), [this](NodeId id) {
      return !lost_.contains(id) && cluster_.as_formatted(id);
    });
  }
  // A first voter that has never been up when members change is one no more.
  bool AllTookPart() {
    all_took_part_ = all_took_part_ || !SomebodyAsks();
    return all_took_part_;
  }
  // These, those that wait for what they have lost, and those that have to be told whether they
  // have lost anything.
  std::set<NodeId> Struck() const {
    std::set<NodeId> struck = lost_;
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.damaged(id) || cluster_.as_formatted(id)) struck.insert(id);
    }
    return struck;
  }

 private:
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
    switch (random_.Below(10)) {
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
      case 7:
        if (weather_.rot && MayBeStruck(id) && !cluster_.as_formatted(id)) Rot(id);
        return;
      case 8:
        if (weather_.formats && MayBeFormatted(id)) Format(id);
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

  // Fewer than half of the voters may be without what they had promised to keep: who has lost all
  // for ever, and who waits to be given back some. Whoever is to be asked later may vote by any
  // configuration that is about.
  bool MayBeStruck(NodeId id) {
    std::set<NodeId> struck = Struck();
    struck.insert(id);
    const auto few = [&struck](const Membership& members) {
      const auto count = std::ranges::count_if(
          members.voters, [&](const Member& voter) { return struck.contains(voter.id.id); });
      return static_cast<size_t>(count) <= (members.voters.size() - 1) / 2;
    };
    const Membership* committed = cluster_.invariants().committed_members();
    if (committed == nullptr || !few(*committed)) return false;
    return std::ranges::all_of(cluster_.ids(), [&](NodeId other) {
      // What the log of one that is away says of the members is not known.
      if (!cluster_.running(other)) return cluster_.member_changes() == 0;
      if (cluster_.core(other).members().voters.empty()) return true;
      const MembershipHistory& history = cluster_.core(other).log().history();
      return few(history.newest()) && (history.previous() == nullptr || few(*history.previous()));
    });
  }

  void Rot(NodeId id) {
    cluster_.Crash(id);
    if (weather_.refused_hints) cluster_.TellPeersRefused(id);
    cluster_.Rot(id);
    if (random_.Chance(1, 2)) Start(id);
  }

  // With the plan of the first day, which has to name others: all of them have to be there to tell
  // it what it was. And of two it would have to elect the one that tells.
  bool MayBeFormatted(NodeId id) {
    return cluster_.planned(id) && cluster_.planned_voters() > 1 && cluster_.ids().size() > 2 &&
           lost_.empty() && MayBeStruck(id);
  }

  void Format(NodeId id) {
    cluster_.Crash(id);
    if (weather_.refused_hints) cluster_.TellPeersRefused(id);
    cluster_.FormatAgain(id);
    if (random_.Chance(1, 2)) Start(id);
  }

  // Two lead at once, and one that helped the newer one forgets it just when only the older one can
  // be heard.
  void FormatBetweenLeaders() {
    const NodeId leader = cluster_.leader();
    if (leader == kNoNode || !random_.Chance(1, 3)) return;
    const bool two = std::ranges::any_of(cluster_.ids(), [&](NodeId id) {
      return id != leader && cluster_.running(id) && cluster_.core(id).role() == Role::kLeader;
    });
    if (!two) return;
    std::vector<NodeId> helpers;
    std::ranges::copy_if(cluster_.ids(), std::back_inserter(helpers), [&](NodeId id) {
      return id != leader && cluster_.running(id) && cluster_.core(id).leader() == leader &&
             MayBeFormatted(id);
    });
    if (helpers.empty()) return;
    const NodeId id = helpers[random_.Below(helpers.size())];
    cluster_.HealNetwork();
    cluster_.Isolate(leader);
    Format(id);
    if (!cluster_.running(id)) Start(id);
  }

  // For ever; a majority is never lost.
  void Lose(NodeId id) {
    if (lost_.contains(id) || !MayBeStruck(id) || SomebodyAsks()) return;
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

  Cluster& cluster_;
  Random& random_;
  Weather weather_;
  std::set<NodeId> lost_;
  bool all_took_part_ = false;
  int64_t next_fault_ms_ = 0;
  int64_t next_hint_ms_ = 0;
  int64_t heal_ms_ = INT64_MAX;
};

}  // namespace sluice::raft::testing
