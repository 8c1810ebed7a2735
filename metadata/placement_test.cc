#include "metadata/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sluice::metadata {
namespace {

std::vector<PlacementBroker> Brokers(int count, int racks, const std::set<int>& fenced = {}) {
  std::vector<PlacementBroker> brokers;
  for (int i = 0; i < count; ++i)
    brokers.push_back(
        {NodeId(i), racks == 0 ? "" : "r" + std::to_string(i % racks), fenced.contains(i)});
  return brokers;
}

std::map<NodeId, int> Count(const std::vector<std::vector<NodeId>>& partitions, size_t first,
                            size_t last) {
  std::map<NodeId, int> counts;
  for (const auto& replicas : partitions) {
    for (size_t i = first; i < std::min(last, replicas.size()); ++i) ++counts[replicas[i]];
  }
  return counts;
}

int Spread(const std::map<NodeId, int>& counts, int brokers) {
  int low = counts.size() < static_cast<size_t>(brokers) ? 0 : 1 << 30;
  int high = 0;
  for (const auto& [id, count] : counts) {
    low = std::min(low, count);
    high = std::max(high, count);
  }
  return high - low;
}

TEST(PlaceReplicasTest, SpreadsLeadersReplicasAndRacks) {
  Random random(1);
  for (int brokers = 1; brokers <= 7; ++brokers) {
    for (int racks = 0; racks <= 3; ++racks) {
      for (int factor = 1; factor <= std::min(brokers, 4); ++factor) {
        for (int count : {1, 2, 6, 12, 50}) {
          const auto placed = PlaceReplicas(Brokers(brokers, racks), count, factor, random);
          ASSERT_TRUE(placed.ok());
          EXPECT_LE(Spread(Count(*placed, 0, 1), brokers), 1)
              << brokers << "/" << racks << "/" << factor << "/" << count;
          const bool even_racks = racks == 0 || brokers % racks == 0;
          if (even_racks) {
            EXPECT_LE(Spread(Count(*placed, 0, 9), brokers), 2)
                << brokers << "/" << racks << "/" << factor << "/" << count;
          }
          for (const auto& replicas : *placed) {
            EXPECT_EQ(std::set<NodeId>(replicas.begin(), replicas.end()).size(),
                      static_cast<size_t>(factor));
            if (racks == 0) continue;
            std::set<int> used;
            for (const NodeId id : replicas) used.insert(id.value() % racks);
            EXPECT_EQ(used.size(), static_cast<size_t>(std::min({factor, racks, brokers})));
          }
        }
      }
    }
  }
}

TEST(PlaceReplicasTest, FencedBrokersComeLastAndNeverLead) {
  Random random(2);
  const auto placed = PlaceReplicas(Brokers(4, 0, {1, 2}), 20, 3, random);
  ASSERT_TRUE(placed.ok());
  for (const auto& replicas : *placed) {
    EXPECT_TRUE(replicas[0] == NodeId(0) || replicas[0] == NodeId(3));
    EXPECT_TRUE(replicas[1] == NodeId(0) || replicas[1] == NodeId(3));
  }
  EXPECT_FALSE(PlaceReplicas(Brokers(2, 0, {0, 1}), 1, 1, random).ok());
}

TEST(PlaceReplicasTest, ADeadBrokersLeadersSpreadOverTheOthers) {
  Random random(3);
  const auto placed = PlaceReplicas(Brokers(3, 3), 12, 3, random);
  ASSERT_TRUE(placed.ok());
  for (int dead = 0; dead < 3; ++dead) {
    std::map<NodeId, int> heirs;
    for (const auto& replicas : *placed) {
      if (replicas[0] == NodeId(dead)) ++heirs[replicas[1]];
    }
    EXPECT_EQ(heirs.size(), 2U);
    EXPECT_LE(Spread(heirs, 2), 1);
  }
}

TEST(PlaceReplicasTest, SmallTopicsStartAnywhere) {
  Random random(4);
  std::set<NodeId> leaders;
  for (int i = 0; i < 100; ++i) leaders.insert((*PlaceReplicas(Brokers(5, 0), 1, 1, random))[0][0]);
  EXPECT_EQ(leaders.size(), 5U);
}

TEST(PlaceReplicasTest, NamesTheRange) {
  Random random(5);
  EXPECT_EQ(PlaceReplicas(Brokers(3, 0), 1, 4, random).status().message(),
            "replication factor 4 is outside 1 to 3, the number of brokers");
}

TEST(ChooseReplacementTest, KeepsRacksApartThenCountsReplicas) {
  const std::vector<PlacementBroker> brokers{
      {NodeId(1), "a"}, {NodeId(2), "b"}, {NodeId(3), "c"},      {NodeId(4), "a"},
      {NodeId(5), "b"}, {NodeId(6), "b"}, {NodeId(7), "a", true}};
  const std::map<NodeId, int64_t> counts{{NodeId(4), 90}, {NodeId(5), 4}, {NodeId(6), 3}};
  const struct {
    std::vector<int> replicas;
    int leaving;
    int expected;
  } cases[] = {
      {{1, 2, 3}, 1, 4},           // its own rack, however full
      {{1, 2, 3}, 2, 6},           // the emptier one of the rack
      {{1, 2, 3}, 3, 6},           // no other on c: the emptier one
      {{2}, 2, 1},                 // alone: the emptiest, the first of equals
      {{1, 2, 3, 4, 5, 6}, 1, -1}  // nobody is left but a fenced one
  };
  for (const auto& c : cases) {
    std::vector<NodeId> replicas;
    for (const int id : c.replicas) replicas.emplace_back(id);
    EXPECT_EQ(ChooseReplacement(brokers, counts, replicas, NodeId(c.leaving)), NodeId(c.expected));
  }
}

}  // namespace
}  // namespace sluice::metadata
