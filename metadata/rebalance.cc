#include "metadata/rebalance.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/rate_text.h"

namespace sluice::metadata {

namespace {

constexpr size_t kPairsLookedAt = 64;  // the biggest of one broker against the smallest of another

std::string Name(NodeId node) { return "broker " + std::to_string(node.value()); }

// What brokers should carry alike, and how far two of them may be apart.
struct Measure {
  int64_t BrokerLoad::*of;
  int64_t apart;
};

void Add(const BrokerLoad& load, int64_t sign, BrokerLoad& sum) {
  for (const auto of : {&BrokerLoad::leads, &BrokerLoad::replicas, &BrokerLoad::bytes,
                        &BrokerLoad::lead_rate, &BrokerLoad::write_rate})
    sum.*of += sign * load.*of;
}

bool Has(const RebalancePartition& p, NodeId node) {
  return std::find(p.replicas.begin(), p.replicas.end(), node) != p.replicas.end();
}

bool LedBy(const RebalancePartition& p, NodeId node) {
  return !p.replicas.empty() && p.replicas.front() == node;
}

int64_t RateAsLead(const RebalancePartition& p) { return p.in_rate + p.out_rate; }

// What it amounts to to lead it, on whichever node.
BrokerLoad LeadOf(const RebalancePartition& p, NodeId) {
  return {.leads = 1, .lead_rate = RateAsLead(p)};
}

// What the replica on `node` amounts to.
BrokerLoad ReplicaOf(const RebalancePartition& p, NodeId node) {
  BrokerLoad load = LedBy(p, node) ? LeadOf(p, node) : BrokerLoad();
  load.replicas = 1;
  load.bytes = p.bytes;
  load.write_rate = p.in_rate;
  return load;
}

class Planner {
 public:
  Planner(const std::vector<RebalanceBroker>& brokers,
          const std::vector<RebalancePartition>& partitions, const RebalanceOptions& options)
      : partitions_(partitions), options_(options), now_(partitions), reasons_(partitions.size()) {
    for (const RebalanceBroker& broker : brokers) {
      racks_[broker.id] = broker.rack;
      if (broker.takes) taking_.push_back(broker.id);
    }
    for (size_t i = 0; i < now_.size(); ++i) {
      Count(i, 1);
      for (const NodeId node : now_[i].replicas) held_[node].push_back(i);
    }
    bytes_.apart = static_cast<int64_t>(2 * options_.bytes_slack * Mean(bytes_));
    for (Measure* rate : {&lead_rate_, &write_rate_}) {
      rate->apart = std::max(options_.rate_apart,
                             static_cast<int64_t>(2 * options_.rate_slack * Mean(*rate)));
    }
  }

  RebalancePlan Run() {
    RebalancePlan plan;
    plan.before = LoadsOfAll();
    // What serves one goal may open a way to serve one before it.
    while (taking_.size() > 1 && Improve()) continue;
    plan.after = LoadsOfAll();
    for (size_t i = 0; i < now_.size(); ++i) {
      if (now_[i].replicas == partitions_[i].replicas) continue;
      plan.moves.push_back({now_[i].topic, now_[i].index, partitions_[i].replicas, now_[i].replicas,
                            now_[i].bytes * Copies(i), reasons_[i]});
    }
    return plan;
  }

 private:
  struct Pair {
    NodeId full;
    NodeId empty;
  };
  // What goes from the full one to the empty one, and what comes back for it, if anything.
  struct Exchange {
    size_t there = 0;
    std::optional<size_t> back;
  };
  struct Candidates {
    std::vector<size_t> there;
    std::vector<std::optional<size_t>> back;
  };
  using LoadOn = BrokerLoad (*)(const RebalancePartition&, NodeId);
  using May = bool (Planner::*)(const RebalancePartition&, const Pair&) const;

  // Each goal as far as it goes. False when there was nothing to do.
  bool Improve() {
    bool improved = false;
    const auto all = [&](auto step) {
      while (step()) improved = true;
    };
    const auto may_copy = [&](size_t copies) {
      return !options_.leads_only && copies_ + copies <= options_.moves_max;
    };
    all([&] { return may_copy(1) && EvenOutReplicas(); });
    all([&] { return may_copy(2) && EvenOutBytes(); });
    all([&] { return EvenOutLeads(); });
    all([&] { return EvenOutLeadRates(); });
    all([&] { return may_copy(2) && EvenOutWriteRates(); });
    return improved;
  }

  std::map<NodeId, BrokerLoad> LoadsOfAll() const {
    std::map<NodeId, BrokerLoad> loads = loads_;
    for (const auto& [id, rack] : racks_) loads.try_emplace(id);
    return loads;
  }

  void Count(size_t index, int64_t sign) {
    const RebalancePartition& p = now_[index];
    for (const NodeId node : p.replicas) {
      Add(ReplicaOf(p, node), sign, loads_[node]);
      if (!p.moving) hand_ons_[{p.replicas.front(), node}] += sign;
    }
  }

  int64_t Copies(size_t index) const {
    return std::count_if(now_[index].replicas.begin(), now_[index].replicas.end(),
                         [&](NodeId node) { return !Has(partitions_[index], node); });
  }

  // Whether the empty one may take the place of the full one: the racks stay at least as far apart.
  bool MayReplace(const RebalancePartition& p, const Pair& pair) const {
    if (p.moving || Has(p, pair.empty)) return false;
    const auto others_on = [&](const std::string& rack) {
      return std::count_if(p.replicas.begin(), p.replicas.end(), [&](NodeId node) {
        const auto found = racks_.find(node);
        return node != pair.full && found != racks_.end() && found->second == rack;
      });
    };
    return others_on(racks_.at(pair.empty)) <= others_on(racks_.at(pair.full));
  }

  // Whether the empty one may lead in the place of the full one.
  bool MayHandOn(const RebalancePartition& p, const Pair& pair) const {
    return !p.moving && LedBy(p, pair.full) && Has(p, pair.empty);
  }

  // Most pairs of a large cluster have nothing in common: that is known without a search.
  bool AnyHandOn(const Pair& pair) const {
    const auto found = hand_ons_.find({pair.full, pair.empty});
    return found != hand_ons_.end() && found->second > 0;
  }

  const std::vector<size_t>& HeldBy(NodeId node) const {
    static const std::vector<size_t> kNothing;
    const auto found = held_.find(node);
    return found == held_.end() ? kNothing : found->second;
  }

  void Replace(size_t index, const Pair& pair, const std::string& reason) {
    Count(index, -1);
    copies_ -= static_cast<size_t>(Copies(index));
    auto& replicas = now_[index].replicas;
    std::replace(replicas.begin(), replicas.end(), pair.full, pair.empty);
    std::erase(held_[pair.full], index);
    auto& held = held_[pair.empty];
    held.insert(std::lower_bound(held.begin(), held.end(), index), index);
    copies_ += static_cast<size_t>(Copies(index));
    Count(index, 1);
    AddReason(index, reason);
  }

  void HandOn(size_t index, NodeId to, const std::string& reason) {
    Count(index, -1);
    auto& replicas = now_[index].replicas;
    std::iter_swap(replicas.begin(), std::find(replicas.begin(), replicas.end(), to));
    Count(index, 1);
    AddReason(index, reason);
  }

  void AddReason(size_t index, const std::string& reason) {
    reasons_[index] += (reasons_[index].empty() ? "" : "; ") + reason;
  }

  BrokerLoad LoadOf(NodeId node) const {
    const auto found = loads_.find(node);
    return found == loads_.end() ? BrokerLoad() : found->second;
  }
  int64_t Value(const Measure& measure, NodeId node) const { return LoadOf(node).*measure.of; }
  int64_t Difference(const Measure& measure, const Pair& pair) const {
    return Value(measure, pair.full) - Value(measure, pair.empty);
  }
  double Mean(const Measure& measure) const {
    int64_t sum = 0;
    for (const NodeId node : taking_) sum += Value(measure, node);
    return static_cast<double>(sum) / static_cast<double>(std::max<size_t>(taking_.size(), 1));
  }

  // Whether a goal's measure stays even, or gets no worse, when `load` goes from full to empty.
  bool Keeps(const Measure& measure, const Pair& pair, const BrokerLoad& load) const {
    const int64_t difference = Difference(measure, pair);
    const int64_t goes = load.*measure.of;
    if (std::llabs(difference - 2 * goes) <= std::llabs(difference)) return true;
    int64_t lowest = Value(measure, pair.full) - goes;
    int64_t highest = lowest;
    for (const NodeId node : taking_) {
      if (node == pair.full) continue;
      const int64_t value = Value(measure, node) + (node == pair.empty ? goes : 0);
      lowest = std::min(lowest, value);
      highest = std::max(highest, value);
    }
    return highest - lowest <= measure.apart;
  }

  // The brokers that take, by what they carry, the least first; of equals by id.
  std::vector<NodeId> Ranked(const Measure& measure) const {
    std::vector<NodeId> ranked = taking_;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](NodeId a, NodeId b) { return Value(measure, a) < Value(measure, b); });
    return ranked;
  }

  // Calls try_pair for pairs of full and empty ones that are too far apart, the furthest first,
  // until one succeeds.
  template <typename TryPair>
  bool EachPair(const Measure& measure, TryPair try_pair) const {
    const std::vector<NodeId> ranked = Ranked(measure);
    for (size_t high = ranked.size(); high-- > 1;) {
      for (size_t low = 0; low < high; ++low) {
        const Pair pair{ranked[high], ranked[low]};
        if (Difference(measure, pair) <= measure.apart) break;
        if (try_pair(pair)) return true;
      }
    }
    return false;
  }

  // Of the partitions that `may` go to the empty one the first whose value is nearest to the one
  // wanted: half of a difference would even it out at once; never make it worse.
  template <typename ValueOf>
  std::optional<size_t> Nearest(May may, const Pair& pair, int64_t difference,
                                ValueOf value_of) const {
    const int64_t wanted = std::max<int64_t>(0, difference / 2);
    std::optional<size_t> best;
    int64_t best_off = 0;
    for (const size_t i : HeldBy(pair.full)) {
      if (!(this->*may)(now_[i], pair)) continue;
      const int64_t off = std::llabs(value_of(now_[i]) - wanted);
      if (best && off >= best_off) continue;
      best = i;
      best_off = off;
      if (off == 0) break;
    }
    return best;
  }

  bool EvenOutReplicas() {
    return EachPair(replicas_, [&](const Pair& pair) {
      const auto best = Nearest(&Planner::MayReplace, pair, Difference(bytes_, pair),
                                [](const RebalancePartition& p) { return p.bytes; });
      if (best) Replace(*best, pair, CountReason(replicas_, pair, " replicas"));
      return best.has_value();
    });
  }

  bool EvenOutBytes() {
    return EachPair(bytes_, [&](const Pair& pair) {
      return SwapReplicas(pair, bytes_, {}, CountReason(bytes_, pair, " bytes"));
    });
  }

  bool EvenOutLeads() {
    return EachPair(leads_, [&](const Pair& pair) {
      if (!AnyHandOn(pair)) return false;
      const auto best =
          Nearest(&Planner::MayHandOn, pair, Difference(lead_rate_, pair), RateAsLead);
      if (!best) return false;
      HandOn(*best, pair.empty,
             Name(pair.full) + " leads " + std::to_string(Value(leads_, pair.full)) + ", " +
                 Name(pair.empty) + " " + std::to_string(Value(leads_, pair.empty)));
      return true;
    });
  }

  bool EvenOutLeadRates() {
    return EachPair(lead_rate_, [&](const Pair& pair) {
      if (!AnyHandOn(pair)) return false;
      Candidates candidates = CandidatesOf(&Planner::MayHandOn, pair, RateAsLead);
      candidates.back.insert(candidates.back.begin(), std::nullopt);
      const auto best = BestExchange(pair, {lead_rate_, {leads_}}, candidates, LeadOf);
      if (!best) return false;
      const std::string reason = RateReason(lead_rate_, pair.full, " takes ", " as a leader");
      HandOn(best->there, pair.empty, reason);
      if (best->back) HandOn(*best->back, pair.full, reason);
      return true;
    });
  }

  bool EvenOutWriteRates() {
    return EachPair(write_rate_, [&](const Pair& pair) {
      return SwapReplicas(pair, write_rate_, {bytes_, leads_, lead_rate_},
                          RateReason(write_rate_, pair.full, " writes ", ""));
    });
  }

  // A big replica of the full one and a small one of the empty one change places.
  bool SwapReplicas(const Pair& pair, const Measure& goal, const std::vector<Measure>& kept,
                    const std::string& reason) {
    const auto candidates =
        CandidatesOf(&Planner::MayReplace, pair,
                     [&](const RebalancePartition& p) { return ReplicaOf(p, kNoNode).*goal.of; });
    const auto best = BestExchange(pair, {goal, kept}, candidates, ReplicaOf);
    if (!best) return false;
    Replace(best->there, pair, reason);
    Replace(*best->back, {pair.empty, pair.full}, reason);
    return true;
  }

  struct Goal {
    Measure measure;
    std::vector<Measure> kept;  // of the goals before it
  };

  // The exchange that brings the two nearest to each other; what gains less than a tenth is not
  // worth the trouble.
  std::optional<Exchange> BestExchange(const Pair& pair, const Goal& goal,
                                       const Candidates& candidates, LoadOn load_on) const {
    const int64_t difference = Difference(goal.measure, pair);
    int64_t best_left = difference - std::max<int64_t>(difference / 10, 1) + 1;
    std::optional<Exchange> best;
    for (const size_t there : candidates.there) {
      for (const std::optional<size_t>& back : candidates.back) {
        BrokerLoad load = load_on(now_[there], pair.full);
        if (back) Add(load_on(now_[*back], pair.empty), -1, load);
        const int64_t left = std::llabs(difference - 2 * load.*goal.measure.of);
        const auto keeps = [&](const Measure& measure) { return Keeps(measure, pair, load); };
        if (left >= best_left || !std::ranges::all_of(goal.kept, keeps)) continue;
        best_left = left;
        best = Exchange{there, back};
      }
    }
    return best;
  }

  template <typename ValueOf>
  Candidates CandidatesOf(May may, const Pair& pair, ValueOf value_of) const {
    Candidates candidates;
    candidates.there = Extremes(may, pair, value_of, true);
    for (const size_t index : Extremes(may, {pair.empty, pair.full}, value_of, false))
      candidates.back.emplace_back(index);
    return candidates;
  }

  // The partitions that `may` go to the empty one: those with the highest values, or the lowest.
  template <typename ValueOf>
  std::vector<size_t> Extremes(May may, const Pair& pair, ValueOf value_of, bool highest) const {
    std::vector<size_t> found;
    for (const size_t i : HeldBy(pair.full)) {
      if ((this->*may)(now_[i], pair)) found.push_back(i);
    }
    std::stable_sort(found.begin(), found.end(), [&](size_t a, size_t b) {
      const int64_t of_a = value_of(now_[a]), of_b = value_of(now_[b]);
      return highest ? of_a > of_b : of_a < of_b;
    });
    if (found.size() > kPairsLookedAt) found.resize(kPairsLookedAt);
    return found;
  }

  std::string CountReason(const Measure& measure, const Pair& pair, const std::string& what) const {
    return Name(pair.full) + " has " + std::to_string(Value(measure, pair.full)) + what + ", " +
           Name(pair.empty) + " " + std::to_string(Value(measure, pair.empty));
  }
  std::string RateReason(const Measure& measure, NodeId full, const std::string& verb,
                         const std::string& role) const {
    return Name(full) + verb + RateText(Value(measure, full)) + role + ", the mean is " +
           RateText(static_cast<int64_t>(Mean(measure)));
  }

  const std::vector<RebalancePartition>& partitions_;
  const RebalanceOptions options_;
  std::vector<RebalancePartition> now_;
  std::vector<std::string> reasons_;
  std::map<NodeId, std::string> racks_;
  std::vector<NodeId> taking_;
  std::map<NodeId, BrokerLoad> loads_;
  // Of a leader and another replica: how many partitions they could hand on.
  std::map<std::pair<NodeId, NodeId>, int64_t> hand_ons_;
  std::map<NodeId, std::vector<size_t>> held_;  // which partitions, in their order
  Measure replicas_{&BrokerLoad::replicas, 1};
  Measure bytes_{&BrokerLoad::bytes, 0};
  Measure leads_{&BrokerLoad::leads, 1};
  Measure lead_rate_{&BrokerLoad::lead_rate, 0};
  Measure write_rate_{&BrokerLoad::write_rate, 0};
  size_t copies_ = 0;
};

}  // namespace

RebalancePlan PlanRebalance(const std::vector<RebalanceBroker>& brokers,
                            const std::vector<RebalancePartition>& partitions,
                            const RebalanceOptions& options) {
  return Planner(brokers, partitions, options).Run();
}

}  // namespace sluice::metadata
