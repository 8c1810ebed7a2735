// Plans for small clusters by hand, and rules that every plan keeps, for clusters at random.

#include "metadata/rebalance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
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

constexpr int64_t kMiB = 1 << 20;

// Partitions of 100 bytes each, with these replicas and rates from producers.
std::vector<RebalancePartition> Busy(
    const std::vector<std::pair<std::vector<int>, int64_t>>& partitions) {
  std::vector<RebalancePartition> list;
  for (const auto& [replicas, in_rate] : partitions) {
    list.push_back({"t", static_cast<int>(list.size()), Nodes(replicas), 100});
    list.back().in_rate = in_rate;
  }
  return list;
}

struct RateCase {
  const char* what;
  int brokers;
  std::vector<RebalancePartition> partitions;
  const char* plan;
  const char* reason;  // of the first move
};

TEST(RebalanceTest, RatesAreEvenedOut) {
  const std::vector<RateCase> cases{
      {"a busy lead and a quiet one change places, and nothing is copied", 2,
       Busy({{{1, 2}, 30 * kMiB}, {{1, 2}, 11 * kMiB}, {{2, 1}, 0}, {{2, 1}, 0}}),
       "t-0: 2 1; t-2: 1 2; ", "broker 1 takes 41 MiB/s as a leader, the mean is 20.5 MiB/s"},
      {"the one with one lead more hands it on", 2,
       Busy({{{1, 2}, 8 * kMiB}, {{1, 2}, 10 * kMiB}, {{2, 1}, 0}}), "t-1: 2 1; ",
       "broker 1 takes 18 MiB/s as a leader, the mean is 9 MiB/s"},
      {"below a MiB/s nobody minds", 2, Busy({{{1, 2}, kMiB}, {{1, 2}, 0}, {{2, 1}, 0}}), "", ""},
      {"nor within the slack", 2, Busy({{{1, 2}, 115 * kMiB}, {{2, 1}, 85 * kMiB}}), "", ""},
      {"a single busy partition has to be somewhere", 3,
       Busy({{{1, 2}, 50 * kMiB}, {{2, 3}, 0}, {{3, 1}, 0}}), "", ""},
      {"replicas that cannot lead elsewhere are copied", 2,
       Busy({{{1}, 20 * kMiB}, {{1}, 20 * kMiB}, {{2}, 0}, {{2}, 0}}), "t-0: 2; t-2: 1; ",
       "broker 1 writes 40 MiB/s, the mean is 20 MiB/s"},
      {"followers that write are copied, and leads stay", 4,
       Busy({{{1, 3}, 20 * kMiB},
             {{2, 3}, 20 * kMiB},
             {{1, 4}, 0},
             {{2, 4}, 0},
             {{3, 1}, 0},
             {{3, 2}, 0},
             {{4, 1}, 0},
             {{4, 2}, 0}}),
       "t-0: 1 4; t-2: 1 3; ", "broker 3 writes 40 MiB/s, the mean is 20 MiB/s"},
  };
  for (const RateCase& each : cases) {
    const RebalancePlan plan = PlanRebalance(Brokers(each.brokers), each.partitions, {});
    EXPECT_EQ(ToText(plan), each.plan) << each.what;
    EXPECT_EQ(plan.moves.empty() ? "" : plan.moves[0].reason, each.reason) << each.what;
  }
}

// What consumers are given counts where it is led.
TEST(RebalanceTest, ConsumersCountForLeads) {
  auto partitions = Busy({{{1, 2}, 0}, {{1, 2}, 0}, {{2, 1}, 0}, {{2, 1}, 0}});
  partitions[0].out_rate = 30 * kMiB;
  partitions[1].out_rate = 12 * kMiB;
  const RebalancePlan plan = PlanRebalance(Brokers(2), partitions, {});
  EXPECT_EQ(ToText(plan), "t-0: 2 1; t-2: 1 2; ");
  EXPECT_EQ(plan.after.at(NodeId(1)).lead_rate, 12 * kMiB);
  EXPECT_EQ(plan.after.at(NodeId(1)).write_rate, 0);
}

TEST(RebalanceTest, RatesBreakNoGoalBeforeThem) {
  // Broker 1 could get rid of its busy partition only for one of another size.
  auto partitions = Busy({{{1}, 20 * kMiB}, {{1}, 20 * kMiB}, {{2}, 0}, {{2}, 0}});
  for (size_t i : {2, 3}) partitions[i].bytes = 10'000;
  for (size_t i : {0, 1}) partitions[i].bytes = 10'000;
  EXPECT_EQ(ToText(PlanRebalance(Brokers(2), partitions, {})), "t-0: 2; t-2: 1; ");
  partitions[0].bytes = partitions[1].bytes = 5000;
  partitions[2].bytes = 9999;
  partitions[3].bytes = 1;
  EXPECT_EQ(ToText(PlanRebalance(Brokers(2), partitions, {})), "");
}

// A difference of a few bytes is no reason, and once was one without end.
TEST(RebalanceTest, TinyDifferencesEndToo) {
  const std::vector<RebalancePartition> tiny{{"t", 0, Nodes({1}), 5},
                                             {"t", 1, Nodes({1}), 0},
                                             {"t", 2, Nodes({2}), 0},
                                             {"t", 3, Nodes({2}), 0}};
  EXPECT_TRUE(PlanRebalance(Brokers(2), tiny, {}).moves.empty());
}

size_t RacksOf(const std::vector<NodeId>& replicas, int racks) {
  std::set<int> used;
  for (const NodeId node : replicas) used.insert(node.value() % racks);
  return used.size();
}

// A cluster at random: on few brokers or many, with rates and sizes of all magnitudes, or unknown.
struct Cluster {
  std::vector<RebalanceBroker> brokers;
  std::vector<RebalancePartition> partitions;
};

Cluster ClusterOf(Random& random, int racks) {
  const int count = static_cast<int>(random.Between(2, 9));
  Cluster cluster{Brokers(count, racks), {}};
  const int64_t bytes_max = int64_t{1} << random.Between(0, 40);
  const int64_t rate_max = random.Chance(1, 4) ? 0 : int64_t{1} << random.Between(15, 30);
  for (int i = static_cast<int>(random.Between(1, 60)); i > 0; --i) {
    RebalancePartition p{"t", i, {}, random.Between(0, bytes_max), random.Chance(1, 20)};
    if (random.Chance(2, 3)) p.in_rate = random.Between(0, rate_max);
    if (random.Chance(1, 2)) p.out_rate = random.Between(0, rate_max * 3);
    for (int r = static_cast<int>(random.Between(1, std::min(count, 4))); r > 0; --r) {
      const NodeId node(static_cast<int32_t>(random.Between(1, count)));
      if (std::find(p.replicas.begin(), p.replicas.end(), node) == p.replicas.end())
        p.replicas.push_back(node);
    }
    cluster.partitions.push_back(std::move(p));
  }
  for (RebalanceBroker& broker : cluster.brokers) broker.takes = random.Chance(4, 5);
  return cluster;
}

void CarryOut(const RebalancePlan& plan, std::vector<RebalancePartition>& partitions) {
  for (const PlannedMove& move : plan.moves) {
    for (RebalancePartition& p : partitions) {
      if (p.index == move.index) p.replicas = move.to;
    }
  }
}

// How far the brokers that take are from each goal, the first goal first: 0 when it is reached.
std::vector<double> Distances(const Cluster& cluster, const std::map<NodeId, BrokerLoad>& loads) {
  std::vector<double> distances;
  const RebalanceOptions options;
  const auto rate_apart = static_cast<double>(options.rate_apart);
  const auto add = [&](int64_t BrokerLoad::*of, double slack, double apart_min) {
    std::vector<double> values;
    for (const RebalanceBroker& broker : cluster.brokers) {
      if (broker.takes) values.push_back(static_cast<double>(loads.at(broker.id).*of));
    }
    if (values.empty()) return;
    std::sort(values.begin(), values.end());
    double mean = 0, squares = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double apart = std::max(apart_min, 2 * slack * mean);
    distances.push_back(values.back() - values.front() <= apart ? 0 : squares);
  };
  add(&BrokerLoad::replicas, 0, 1);
  add(&BrokerLoad::bytes, options.bytes_slack, 0);
  add(&BrokerLoad::leads, 0, 1);
  add(&BrokerLoad::lead_rate, options.rate_slack, rate_apart);
  add(&BrokerLoad::write_rate, options.rate_slack, rate_apart);
  return distances;
}

void CheckMoves(const RebalancePlan& plan, int racks) {
  for (const PlannedMove& move : plan.moves) {
    EXPECT_EQ(std::set<NodeId>(move.to.begin(), move.to.end()).size(), move.from.size());
    EXPECT_GE(RacksOf(move.to, racks), RacksOf(move.from, racks));
    EXPECT_NE(move.reason, "");
  }
}

TEST(RebalanceTest, EveryPlanKeepsTheRules) {
  Random random(7);
  for (int run = 0; run < 1500; ++run) {
    const int racks = static_cast<int>(random.Between(1, 4));
    Cluster cluster = ClusterOf(random, racks);
    const RebalancePlan plan = PlanRebalance(cluster.brokers, cluster.partitions, {});
    EXPECT_EQ(ToText(plan), ToText(PlanRebalance(cluster.brokers, cluster.partitions, {})));
    BrokerLoad before, after;
    for (const RebalanceBroker& broker : cluster.brokers) {
      for (const auto of : {&BrokerLoad::replicas, &BrokerLoad::bytes, &BrokerLoad::leads,
                            &BrokerLoad::lead_rate, &BrokerLoad::write_rate}) {
        before.*of += plan.before.at(broker.id).*of;
        after.*of += plan.after.at(broker.id).*of;
      }
      if (!broker.takes) {
        EXPECT_EQ(plan.before.at(broker.id), plan.after.at(broker.id));
      }
    }
    EXPECT_EQ(before, after);
    CheckMoves(plan, racks);
    EXPECT_LE(Distances(cluster, plan.after), Distances(cluster, plan.before)) << "run " << run;
    CarryOut(plan, cluster.partitions);
    const RebalancePlan again = PlanRebalance(cluster.brokers, cluster.partitions, {});
    EXPECT_EQ(again.before, plan.after);
    EXPECT_EQ(ToText(again), "") << "run " << run;
  }
}

TEST(RebalanceTest, UnknownRatesHinderNothing) {
  std::vector<RebalancePartition> partitions;
  for (int i = 0; i < 12; ++i) {
    partitions.push_back({"t", i, Nodes(i % 2 == 0 ? std::vector{1, 2} : std::vector{2, 1}), 50});
    if (i < 4) partitions.back().in_rate = 90 * kMiB;
  }
  const RebalancePlan plan = PlanRebalance(Brokers(3), partitions, {});
  for (int id = 1; id <= 3; ++id) {
    EXPECT_EQ(plan.after.at(NodeId(id)).replicas, 8);
    EXPECT_EQ(plan.after.at(NodeId(id)).leads, 4);
    EXPECT_EQ(plan.after.at(NodeId(id)).bytes, 400);
    EXPECT_GE(plan.after.at(NodeId(id)).lead_rate, 90 * kMiB);
  }
}

TEST(RebalanceTest, LeadsAloneCopyNothingAtAnyRate) {
  Random random(9);
  for (int run = 0; run < 300; ++run) {
    Cluster cluster = ClusterOf(random, 3);
    const RebalancePlan plan =
        PlanRebalance(cluster.brokers, cluster.partitions, {.leads_only = true});
    for (const PlannedMove& move : plan.moves) {
      EXPECT_EQ(std::set<NodeId>(move.to.begin(), move.to.end()),
                std::set<NodeId>(move.from.begin(), move.from.end()));
    }
    CarryOut(plan, cluster.partitions);
    EXPECT_EQ(ToText(PlanRebalance(cluster.brokers, cluster.partitions, {.leads_only = true})), "");
  }
}

}  // namespace
}  // namespace sluice::metadata
