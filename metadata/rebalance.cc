#include "metadata/rebalance.h"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace sluice::metadata {

namespace {

constexpr size_t kPairsLookedAt = 64;  // the biggest of one broker against the smallest of another

std::string Name(NodeId node) { return "broker " + std::to_string(node.value()); }

class Planner {
 public:
  Planner(const std::vector<RebalanceBroker>& brokers,
          const std::vector<RebalancePartition>& partitions, const RebalanceOptions& options)
      : partitions_(partitions), options_(options), now_(partitions), reasons_(partitions.size()) {
    for (const RebalanceBroker& broker : brokers) {
      racks_[broker.id] = broker.rack;
      if (broker.takes) taking_.push_back(broker.id);
    }
    for (size_t i = 0; i < now_.size(); ++i) Count(i, 1);
  }

  RebalancePlan Run() {
    RebalancePlan plan;
    plan.before = LoadsOfAll();
    if (taking_.size() > 1) {
      if (!options_.leads_only) {
        while (copies_ < options_.moves_max && EvenOutReplicas()) continue;
        while (copies_ + 2 <= options_.moves_max && EvenOutBytes()) continue;
      }
      while (EvenOutLeads()) continue;
    }
    plan.after = LoadsOfAll();
    for (size_t i = 0; i < now_.size(); ++i) {
      if (now_[i].replicas == partitions_[i].replicas) continue;
      plan.moves.push_back({now_[i].topic, now_[i].index, partitions_[i].replicas, now_[i].replicas,
                            now_[i].bytes * Copies(i), reasons_[i]});
    }
    return plan;
  }

 private:
  std::map<NodeId, BrokerLoad> LoadsOfAll() const {
    std::map<NodeId, BrokerLoad> loads = loads_;
    for (const auto& [id, rack] : racks_) loads.try_emplace(id);
    return loads;
  }

  void Count(size_t index, int64_t sign) {
    const RebalancePartition& p = now_[index];
    if (!p.replicas.empty()) loads_[p.replicas.front()].leads += sign;
    for (const NodeId node : p.replicas) {
      loads_[node].replicas += sign;
      loads_[node].bytes += sign * p.bytes;
    }
  }

  int64_t Copies(size_t index) const {
    return std::count_if(now_[index].replicas.begin(), now_[index].replicas.end(),
                         [&](NodeId node) {
                           const auto& before = partitions_[index].replicas;
                           return std::find(before.begin(), before.end(), node) == before.end();
                         });
  }

  static bool Has(const RebalancePartition& p, NodeId node) {
    return std::find(p.replicas.begin(), p.replicas.end(), node) != p.replicas.end();
  }

  // Whether `to` may take the place of `from`: the racks stay at least as far apart.
  bool MayReplace(const RebalancePartition& p, NodeId from, NodeId to) const {
    if (p.moving || !Has(p, from) || Has(p, to)) return false;
    const auto others_on = [&](const std::string& rack) {
      return std::count_if(p.replicas.begin(), p.replicas.end(), [&](NodeId node) {
        const auto found = racks_.find(node);
        return node != from && found != racks_.end() && found->second == rack;
      });
    };
    return others_on(racks_.at(to)) <= others_on(racks_.at(from));
  }

  void Replace(size_t index, NodeId from, NodeId to, const std::string& reason) {
    Count(index, -1);
    copies_ -= static_cast<size_t>(Copies(index));
    auto& replicas = now_[index].replicas;
    std::replace(replicas.begin(), replicas.end(), from, to);
    copies_ += static_cast<size_t>(Copies(index));
    Count(index, 1);
    AddReason(index, reason);
  }

  void AddReason(size_t index, const std::string& reason) {
    reasons_[index] += (reasons_[index].empty() ? "" : "; ") + reason;
  }

  // The brokers that take, by what they carry, the least first; of equals by id.
  template <typename Value>
  std::vector<NodeId> Ranked(Value value) const {
    std::vector<NodeId> ranked = taking_;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](NodeId a, NodeId b) { return value(a) < value(b); });
    return ranked;
  }

  int64_t Replicas(NodeId node) const { return LoadOf(node).replicas; }
  int64_t Bytes(NodeId node) const { return LoadOf(node).bytes; }
  int64_t Leads(NodeId node) const { return LoadOf(node).leads; }
  BrokerLoad LoadOf(NodeId node) const {
    const auto found = loads_.find(node);
    return found == loads_.end() ? BrokerLoad() : found->second;
  }

  // Calls try_pair(fullest, emptiest) for pairs that are more than `apart` from each other, the
  // furthest first, until one succeeds.
  template <typename Value, typename TryPair>
  bool EachPair(Value value, int64_t apart, TryPair try_pair) const {
    const std::vector<NodeId> ranked = Ranked(value);
    for (size_t high = ranked.size(); high-- > 1;) {
      for (size_t low = 0; low < high; ++low) {
        if (value(ranked[high]) - value(ranked[low]) <= apart) break;
        if (try_pair(ranked[high], ranked[low])) return true;
      }
    }
    return false;
  }

  bool EvenOutReplicas() {
    const auto count = [&](NodeId node) { return Replicas(node); };
    return EachPair(count, 1, [&](NodeId full, NodeId empty) {
      // Half of the difference in bytes would even it out at once; never make it worse.
      const int64_t wanted = std::max<int64_t>(0, (Bytes(full) - Bytes(empty)) / 2);
      size_t best = now_.size();
      for (size_t i = 0; i < now_.size(); ++i) {
        if (!MayReplace(now_[i], full, empty)) continue;
        if (best == now_.size() ||
            std::llabs(now_[i].bytes - wanted) < std::llabs(now_[best].bytes - wanted))
          best = i;
      }
      if (best == now_.size()) return false;
      Replace(best, full, empty,
              Name(full) + " has " + std::to_string(Replicas(full)) + " replicas, " + Name(empty) +
                  " " + std::to_string(Replicas(empty)));
      return true;
    });
  }

  bool EvenOutBytes() {
    int64_t sum = 0;
    for (const NodeId node : taking_) sum += Bytes(node);
    const double mean = static_cast<double>(sum) / static_cast<double>(taking_.size());
    const auto apart = static_cast<int64_t>(2 * options_.bytes_slack * mean);
    const auto bytes = [&](NodeId node) { return Bytes(node); };
    return EachPair(bytes, apart, [&](NodeId full, NodeId empty) { return Swap(full, empty); });
  }

  // A big replica of `full` and a small one of `empty` change places.
  bool Swap(NodeId full, NodeId empty) {
    const std::vector<size_t> big = BySize(full, empty, true);
    const std::vector<size_t> small = BySize(empty, full, false);
    const int64_t difference = Bytes(full) - Bytes(empty);
    int64_t best_left = difference;
    std::pair<size_t, size_t> best;
    for (const size_t a : big) {
      for (const size_t b : small) {
        const int64_t left = std::llabs(difference - 2 * (now_[a].bytes - now_[b].bytes));
        if (left >= best_left) continue;
        best_left = left;
        best = {a, b};
      }
    }
    // What gains less than a tenth is not worth the copies.
    if (best_left > difference - difference / 10) return false;
    const std::string reason = Name(full) + " has " + std::to_string(Bytes(full)) + " bytes, " +
                               Name(empty) + " " + std::to_string(Bytes(empty));
    Replace(best.first, full, empty, reason);
    Replace(best.second, empty, full, reason);
    return true;
  }

  // Partitions that could go from one to the other: the biggest, or the smallest.
  std::vector<size_t> BySize(NodeId from, NodeId to, bool biggest) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < now_.size(); ++i) {
      if (MayReplace(now_[i], from, to)) found.push_back(i);
    }
    std::stable_sort(found.begin(), found.end(), [&](size_t a, size_t b) {
      return biggest ? now_[a].bytes > now_[b].bytes : now_[a].bytes < now_[b].bytes;
    });
    if (found.size() > kPairsLookedAt) found.resize(kPairsLookedAt);
    return found;
  }

  bool EvenOutLeads() {
    const auto count = [&](NodeId node) { return Leads(node); };
    return EachPair(count, 1, [&](NodeId full, NodeId empty) {
      for (size_t i = 0; i < now_.size(); ++i) {
        auto& replicas = now_[i].replicas;
        if (now_[i].moving || replicas.empty() || replicas.front() != full) continue;
        const auto other = std::find(replicas.begin(), replicas.end(), empty);
        if (other == replicas.end()) continue;
        AddReason(i, Name(full) + " leads " + std::to_string(Leads(full)) + ", " + Name(empty) +
                         " " + std::to_string(Leads(empty)));
        Count(i, -1);
        std::iter_swap(replicas.begin(), other);
        Count(i, 1);
        return true;
      }
      return false;
    });
  }

  const std::vector<RebalancePartition>& partitions_;
  const RebalanceOptions options_;
  std::vector<RebalancePartition> now_;
  std::vector<std::string> reasons_;
  std::map<NodeId, std::string> racks_;
  std::vector<NodeId> taking_;
  std::map<NodeId, BrokerLoad> loads_;
  size_t copies_ = 0;
};

}  // namespace

RebalancePlan PlanRebalance(const std::vector<RebalanceBroker>& brokers,
                            const std::vector<RebalancePartition>& partitions,
                            const RebalanceOptions& options) {
  return Planner(brokers, partitions, options).Run();
}

}  // namespace sluice::metadata
