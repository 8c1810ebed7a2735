#include "metadata/placement.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice::metadata {

namespace {

class Placer {
 public:
  Placer(const std::vector<PlacementBroker>& brokers, size_t start)
      : brokers_(brokers),
        start_(start),
        leaders_(brokers.size()),
        replicas_(brokers.size()),
        second_(brokers.size(), std::vector<int>(brokers.size())) {}

  std::vector<NodeId> PlacePartition(int32_t replication_factor) {
    std::vector<size_t> chosen;
    std::map<std::string, int> racks;
    while (chosen.size() < static_cast<size_t>(replication_factor)) {
      const size_t next = chosen.empty() ? ChooseLeader() : ChooseFollower(chosen, racks);
      ++racks[brokers_[next].rack];
      chosen.push_back(next);
      ++replicas_[next];
    }
    ++leaders_[chosen[0]];
    if (chosen.size() > 1) ++second_[chosen[0]][chosen[1]];
    ++placed_;
    std::vector<NodeId> ids;
    for (const size_t broker : chosen) ids.push_back(brokers_[broker].id);
    return ids;
  }

 private:
  // Distance from the rotating start: the last word among equals.
  size_t Turn(size_t broker) const {
    return (broker + brokers_.size() - (start_ + placed_) % brokers_.size()) % brokers_.size();
  }

  size_t ChooseLeader() const {
    return Best(
        [&](size_t b) {
          return std::make_tuple(brokers_[b].fenced, leaders_[b], replicas_[b], Turn(b));
        },
        {});
  }

  size_t ChooseFollower(const std::vector<size_t>& chosen,
                        const std::map<std::string, int>& racks) const {
    const auto rank = [&](size_t b) {
      const auto rack = racks.find(brokers_[b].rack);
      const int in_rack = rack == racks.end() ? 0 : rack->second;
      const int together = chosen.size() == 1 ? second_[chosen[0]][b] : 0;
      return std::make_tuple(brokers_[b].fenced, in_rack, replicas_[b], together, Turn(b));
    };
    return Best(rank, chosen);
  }

  template <typename Rank>
  size_t Best(Rank rank, const std::vector<size_t>& without) const {
    size_t best = brokers_.size();
    for (size_t b = 0; b < brokers_.size(); ++b) {
      if (std::find(without.begin(), without.end(), b) != without.end()) continue;
      if (best == brokers_.size() || rank(b) < rank(best)) best = b;
    }
    return best;
  }

  const std::vector<PlacementBroker>& brokers_;
  const size_t start_;
  size_t placed_ = 0;
  std::vector<int> leaders_;
  std::vector<int> replicas_;
  std::vector<std::vector<int>> second_;  // [leader][first follower] -> how often
};

}  // namespace

Result<std::vector<std::vector<NodeId>>> PlaceReplicas(const std::vector<PlacementBroker>& brokers,
                                                       int32_t partition_count,
                                                       int32_t replication_factor, Random& random) {
  if (replication_factor < 1 || static_cast<size_t>(replication_factor) > brokers.size()) {
    return Status::InvalidArgument("replication factor " + std::to_string(replication_factor) +
                                   " is outside 1 to " + std::to_string(brokers.size()) +
                                   ", the number of brokers");
  }
  if (std::all_of(brokers.begin(), brokers.end(),
                  [](const PlacementBroker& b) { return b.fenced; })) {
    return Status::InvalidArgument("all " + std::to_string(brokers.size()) + " brokers are fenced");
  }
  Placer placer(brokers, random.Below(brokers.size()));
  std::vector<std::vector<NodeId>> partitions;
  for (int32_t i = 0; i < partition_count; ++i)
    partitions.push_back(placer.PlacePartition(replication_factor));
  return partitions;
}

NodeId ChooseReplacement(const std::vector<PlacementBroker>& brokers,
                         const std::map<NodeId, int64_t>& counts,
                         const std::vector<NodeId>& replicas, NodeId leaving) {
  const auto is_replica = [&](NodeId id) {
    return std::find(replicas.begin(), replicas.end(), id) != replicas.end();
  };
  std::map<std::string, int> racks;
  for (const PlacementBroker& broker : brokers)
    racks[broker.rack] += broker.id != leaving && is_replica(broker.id) ? 1 : 0;
  const auto rank = [&](const PlacementBroker& broker) {
    const auto count = counts.find(broker.id);
    return std::make_tuple(racks[broker.rack], count == counts.end() ? 0 : count->second);
  };
  const PlacementBroker* best = nullptr;
  for (const PlacementBroker& broker : brokers) {
    if (broker.fenced || is_replica(broker.id)) continue;
    if (best == nullptr || rank(broker) < rank(*best)) best = &broker;
  }
  return best == nullptr ? kNoNode : best->id;
}

}  // namespace sluice::metadata
