// Rates of partitions: the arithmetic alone, and brokers that produce and consume.
#include "broker/replica/partition_traffic.h"

#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using testing::SimCluster;

class PartitionTrafficTest : public ::testing::Test {
 protected:
  void RunFor(int64_t ms, size_t in_each_second, size_t out_each_second = 0) {
    for (const int64_t end_ms = now_ms_ + ms; now_ms_ < end_ms; now_ms_ += 100) {
      traffic_.AddIn(in_each_second / 10);
      traffic_.AddOut(out_each_second / 10);
      traffic_.Tick(now_ms_ + 100);
    }
  }

  PartitionTraffic traffic_;
  int64_t now_ms_ = 1'000'000;
};

TEST_F(PartitionTrafficTest, ASteadyRateIsKnownFromTheSecondReadingOn) {
  traffic_.Tick(now_ms_);
  RunFor(9'900, 50'000, 7000);
  EXPECT_EQ(traffic_.in_rate(), 0);
  RunFor(100, 50'000, 7000);
  EXPECT_EQ(traffic_.in_rate(), 50'000);
  EXPECT_EQ(traffic_.out_rate(), 7000);
  RunFor(300'000, 50'000, 7000);
  EXPECT_EQ(traffic_.in_rate(), 50'000);
  EXPECT_EQ(traffic_.out_rate(), 7000);
}

TEST_F(PartitionTrafficTest, AnotherRateIsFollowedInAMinuteOrTwo) {
  traffic_.Tick(now_ms_);
  RunFor(600'000, 0);
  RunFor(60'000, 10'000);
  EXPECT_NEAR(static_cast<double>(traffic_.in_rate()), 6321, 50);
  RunFor(240'000, 10'000);
  EXPECT_NEAR(static_cast<double>(traffic_.in_rate()), 9933, 50);
  RunFor(60'000, 0);
  EXPECT_NEAR(static_cast<double>(traffic_.in_rate()), 3654, 50);
  RunFor(1'200'000, 0);
  EXPECT_EQ(traffic_.in_rate(), 0);
}

// However rarely somebody looks, no byte is lost, and none counted twice.
TEST_F(PartitionTrafficTest, RareReadingsAreReadingsToo) {
  traffic_.Tick(now_ms_);
  traffic_.AddIn(6'000'000);
  traffic_.Tick(now_ms_ + 120'000);
  EXPECT_EQ(traffic_.in_rate(), 50'000);
  traffic_.Tick(now_ms_ + 120'001);
  EXPECT_EQ(traffic_.in_rate(), 50'000);
}

constexpr NodeId kOne{1}, kTwo{2};

class BrokerTrafficTest : public ::testing::Test {
 protected:
  BrokerTrafficTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;
    key_ = {cluster_.CreateTopic("orders", {.replicas = {kOne, kTwo}, .min_isr = 1}),
            PartitionIndex(0)};
    cluster_.RunFor(500);
  }
  // A kilobyte each 100 ms to the leader; its consumers read all of it `readers` times.
  void RunFor(int64_t ms, int readers) {
    const int64_t end_ms = cluster_.scheduler().clock().SteadyMs() + ms;
    while (cluster_.scheduler().clock().SteadyMs() < end_ms) {
      const NodeId leader = cluster_.LeaderOf(key_);
      const auto sent = cluster_.Produce(leader, key_, std::string(1000, 'x'));
      ASSERT_TRUE(cluster_.RunUntil([&] { return sent->acknowledged(); }));
      for (int i = 0; i < readers; ++i) cluster_.Consume(leader, key_, sent->offset);
      cluster_.RunFor(100);
    }
  }
  PartitionStatus StatusOf(NodeId id) { return cluster_.StatusOf(id, key_).value(); }

  SimCluster cluster_{{.nodes = 2}};
  PartitionKey key_;
};

TEST_F(BrokerTrafficTest, OnlyTheLeaderCountsAndOnlyClients) {
  RunFor(40'000, 2);
  const PartitionStatus leader = StatusOf(kOne);
  EXPECT_GT(leader.in_rate, 5000);
  EXPECT_LT(leader.in_rate, 11'500);
  EXPECT_GT(leader.out_rate, leader.in_rate * 9 / 5);
  EXPECT_LT(leader.out_rate, leader.in_rate * 11 / 5);
  EXPECT_EQ(StatusOf(kTwo).in_rate, 0);
  EXPECT_EQ(StatusOf(kTwo).out_rate, 0);
}

TEST_F(BrokerTrafficTest, TheSumIsTheSameWhoeverLeads) {
  RunFor(120'000, 0);
  const int64_t before = StatusOf(kOne).in_rate;
  ASSERT_EQ(cluster_.IsrSize(key_), 2u);
  cluster_.controller().MoveLeader("orders", PartitionIndex(0), kTwo);
  cluster_.RunFor(1000);
  RunFor(60'000, 0);
  EXPECT_GT(StatusOf(kOne).in_rate, before / 5);
  EXPECT_GT(StatusOf(kTwo).in_rate, before / 5);
  EXPECT_NEAR(static_cast<double>(StatusOf(kOne).in_rate + StatusOf(kTwo).in_rate),
              static_cast<double>(before), static_cast<double>(before) / 5);
}

}  // namespace
}  // namespace sluice::broker
