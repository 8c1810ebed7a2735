// Plans for small clusters by hand, and rules that every plan keeps, for clusters at random.

#include "metadata/rebalance.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace sluice::metadata {
namespace {

std::vector<NodeId> Nodes(const std::vector<int>& ids) {
  std::vector<NodeId> nodes;
  for (const int id : ids) nodes.emplace_back(id);
  return nodes;
}

std::vector<RebalanceBroker> Brokers(int count, int racks = 0) {
  std::vector<RebalanceBroker> brokers;
  for (int id = 1; id <= count; ++id)
    brokers.push_back({NodeId(id), racks == 0 ? "" : "r" + std::to_string(id % racks)});
  return brokers;
}

std::string ToText(const RebalancePlan& plan) {
  std::string text;
  for (const PlannedMove& move : plan.moves) {
    text += move.topic + "-" + std::to_string(move.index) + ":";
    for (const NodeId node : move.to) text += " " + std::to_string(node.value());
    text += "; ";
  }
  return text;
}

TEST(RebalanceTest, ANewBrokerGetsItsShare) {
  std::vector<RebalancePartition> partitions;
  for (int i = 0; i < 6; ++i)
    partitions.push_back({"t", i, Nodes(i % 2 == 0 ? std::vector{1, 2} : std::vector{2, 1})});
  const RebalancePlan plan = PlanRebalance(Brokers(3), partitions, {});
  EXPECT_EQ(plan.before.at(NodeId(3)), BrokerLoad());
  for (int id = 1; id <= 3; ++id) {
    EXPECT_EQ(plan.after.at(NodeId(id)).replicas, 4);
    EXPECT_EQ(plan.after.at(NodeId(id)).leads, 2);
  }
  for (const PlannedMove& move : plan.moves) EXPECT_NE(move.reason, "");
}

TEST(RebalanceTest, LeadsAloneCopyNothing) {
  std::vector<RebalancePartition> partitions;
  for (int i = 0; i < 6; ++i) partitions.push_back({"t", i, Nodes({1, 2, 3}), 100});
  const RebalancePlan plan = PlanRebalance(Brokers(4), partitions, {.leads_only = true});
  EXPECT_EQ(ToText(plan), "t-0: 2 1 3; t-1: 3 2 1; t-2: 2 1 3; t-3: 3 2 1; ");
  for (const PlannedMove& move : plan.moves) EXPECT_EQ(move.bytes, 0);
  EXPECT_EQ(plan.moves[0].reason, "broker 1 leads 6, broker 2 0");
  EXPECT_EQ(plan.after.at(NodeId(1)).leads, 2);
}

TEST(RebalanceTest, BigAndSmallChangePlaces) {
  const std::vector<RebalancePartition> partitions{{"t", 0, Nodes({1}), 900},
                                                   {"t", 1, Nodes({1}), 900},
                                                   {"t", 2, Nodes({2}), 10},
                                                   {"t", 3, Nodes({2}), 10}};
  const RebalancePlan plan = PlanRebalance(Brokers(2), partitions, {});
  EXPECT_EQ(ToText(plan), "t-0: 2; t-2: 1; ");
  EXPECT_EQ(plan.moves[0].reason, "broker 1 has 1800 bytes, broker 2 20");
  EXPECT_EQ(plan.moves[0].bytes, 900);
  EXPECT_EQ(plan.after.at(NodeId(1)).bytes, 910);
}

TEST(RebalanceTest, WhatIsEvenOrMovesOrIsDrainedStays) {
  const std::vector<RebalancePartition> even{{"t", 0, Nodes({1, 2})}, {"t", 1, Nodes({2, 1})}};
  EXPECT_TRUE(PlanRebalance(Brokers(2), even, {}).moves.empty());
  std::vector<RebalancePartition> moving;
  for (int i = 0; i < 4; ++i) moving.push_back({"t", i, Nodes({1}), 5, true});
  EXPECT_TRUE(PlanRebalance(Brokers(2), moving, {}).moves.empty());
  std::vector<RebalanceBroker> drained = Brokers(3);
  drained[0].takes = false;
  for (RebalancePartition& p : moving) p.moving = false;
  EXPECT_TRUE(PlanRebalance(drained, moving, {}).moves.empty());
  EXPECT_TRUE(PlanRebalance({}, moving, {}).moves.empty());
  EXPECT_TRUE(PlanRebalance(Brokers(3), {}, {}).moves.empty());
}

TEST(RebalanceTest, TheNumberOfCopiesIsBounded) {
  std::vector<RebalancePartition> partitions;
  for (int i = 0; i < 40; ++i) partitions.push_back({"t", i, Nodes({1}), 7});
  const RebalancePlan plan = PlanRebalance(Brokers(4), partitions, {.moves_max = 5});
  EXPECT_EQ(plan.moves.size(), 5U);
  EXPECT_EQ(plan.after.at(NodeId(1)).replicas, 35);
}

size_t RacksOf(const std::vector<NodeId>& replicas, int racks) {
  std::set<int> used;
  for (const NodeId node : replicas) used.insert(node.value() % racks);
  return used.size();
}

TEST(RebalanceTest, EveryPlanKeepsTheRules) {
  Random random(7);
  for (int run = 0; run < 300; ++run) {
    const int count = static_cast<int>(random.Between(2, 9));
    const int racks = static_cast<int>(random.Between(1, 4));
    std::vector<RebalanceBroker> brokers = Brokers(count, racks);
    std::vector<RebalancePartition> partitions;
    for (int i = static_cast<int>(random.Between(1, 60)); i > 0; --i) {
      RebalancePartition p{"t", i, {}, random.Between(0, 1000), random.Chance(1, 20)};
      for (int r = static_cast<int>(random.Between(1, std::min(count, 4))); r > 0; --r) {
        const NodeId node(static_cast<int32_t>(random.Between(1, count)));
        if (std::find(p.replicas.begin(), p.replicas.end(), node) == p.replicas.end())
          p.replicas.push_back(node);
      }
      partitions.push_back(std::move(p));
    }
    for (RebalanceBroker& broker : brokers) broker.takes = random.Chance(4, 5);
    const RebalancePlan plan = PlanRebalance(brokers, partitions, {});
    EXPECT_EQ(ToText(plan), ToText(PlanRebalance(brokers, partitions, {})));
    int64_t bytes_before = 0, bytes_after = 0, high_before = 0, high_after = 0;
    for (const RebalanceBroker& broker : brokers) {
      bytes_before += plan.before.at(broker.id).bytes;
      bytes_after += plan.after.at(broker.id).bytes;
      if (!broker.takes) {
        EXPECT_EQ(plan.before.at(broker.id).replicas, plan.after.at(broker.id).replicas);
        continue;
      }
      high_before = std::max(high_before, plan.before.at(broker.id).replicas);
      high_after = std::max(high_after, plan.after.at(broker.id).replicas);
    }
    EXPECT_EQ(bytes_before, bytes_after);
    EXPECT_LE(high_after, high_before);
    for (const PlannedMove& move : plan.moves) {
      EXPECT_EQ(std::set<NodeId>(move.to.begin(), move.to.end()).size(), move.from.size());
      EXPECT_GE(RacksOf(move.to, racks), RacksOf(move.from, racks));
      EXPECT_NE(move.reason, "");
    }
  }
}

}  // namespace
}  // namespace sluice::metadata
