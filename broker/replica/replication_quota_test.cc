// The throttles of replication (KIP-73): the quota alone, and brokers that obey it.
#include "broker/replica/replication_quota.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "base/testing/sim_clock.h"
#include "broker/replica/move_rates.h"
#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using testing::SimCluster;
using testing::SimProduce;

class ReplicationQuotaTest : public ::testing::Test {
 protected:
  ::sluice::testing::SimClock clock_;
  ReplicationQuota quota_{clock_};
};

TEST_F(ReplicationQuotaTest, WithoutARateEverythingIsAllowed) {
  quota_.Take(1'000'000'000);
  EXPECT_EQ(quota_.Available(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(quota_.WaitMs(), 0);
  quota_.SetRate(std::numeric_limits<int64_t>::max());
  quota_.Take(1'000'000'000);
  EXPECT_EQ(quota_.WaitMs(), 0);
}

TEST_F(ReplicationQuotaTest, GivesASecondsWorthAtOnceAndThenTheRate) {
  quota_.SetRate(1000);
  EXPECT_EQ(quota_.Available(), 1000);
  quota_.Take(1000);
  EXPECT_EQ(quota_.Available(), 0);
  EXPECT_EQ(quota_.WaitMs(), 1);
  clock_.AdvanceMs(100);
  EXPECT_EQ(quota_.Available(), 100);
  clock_.AdvanceMs(100'000);
  EXPECT_EQ(quota_.Available(), 1000) << "time in which nothing was taken is not saved up";
}

TEST_F(ReplicationQuotaTest, WhatIsTakenTooMuchIsPaidBack) {
  quota_.SetRate(1000);
  quota_.Take(1300);
  EXPECT_EQ(quota_.Available(), 0);
  EXPECT_EQ(quota_.WaitMs(), 301);
  clock_.AdvanceMs(300);
  EXPECT_EQ(quota_.Available(), 0);
  clock_.AdvanceMs(1);
  EXPECT_EQ(quota_.Available(), 1);
}

TEST_F(ReplicationQuotaTest, ANewRateHoldsFromThenOnAndKeepsTheDebt) {
  quota_.SetRate(1000);
  quota_.Take(11'000);
  EXPECT_EQ(quota_.WaitMs(), ReplicationQuota::kWaitMsMax);
  quota_.SetRate(100'000);
  EXPECT_EQ(quota_.WaitMs(), 101);
  quota_.SetRate(0);
  clock_.AdvanceMs(60'000);
  EXPECT_EQ(quota_.Available(), 0);
  EXPECT_EQ(quota_.WaitMs(), ReplicationQuota::kWaitMsMax);
  quota_.SetRate(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(quota_.WaitMs(), 0);
}

// Else many small moves, one after the other, would each get a second's worth at once.
TEST_F(ReplicationQuotaTest, ARateThatComesAgainGoesOnWhereItEnded) {
  quota_.SetRate(1000);
  quota_.Take(1500);
  quota_.SetRate(std::numeric_limits<int64_t>::max());
  clock_.AdvanceMs(100);
  quota_.SetRate(1000);
  EXPECT_EQ(quota_.WaitMs(), 401);
  clock_.AdvanceMs(500);
  EXPECT_EQ(quota_.Available(), 100);
  quota_.SetRate(std::numeric_limits<int64_t>::max());
  clock_.AdvanceMs(100'000);
  quota_.SetRate(2000);
  EXPECT_EQ(quota_.Available(), 2000);
}

// Over any stretch longer than a second no more than the rate gives, a second's worth and the last
// take; and, while somebody wants more, no less.
TEST_F(ReplicationQuotaTest, TheRateHoldsWhateverIsTaken) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    ReplicationQuota quota(clock_);
    const int64_t rate = 1 + static_cast<int64_t>(random.Below(10'000'000));
    const int64_t most = 1 + static_cast<int64_t>(random.Below(5'000'000));
    quota.SetRate(rate);
    const int64_t start_ms = clock_.SteadyMs();
    int64_t taken = 0;
    for (int i = 0; i < 500; ++i) {
      if (quota.Available() > 0) {
        const int64_t take = 1 + static_cast<int64_t>(random.Below(static_cast<uint64_t>(most)));
        quota.Take(take);
        taken += take;
      }
      clock_.AdvanceMs(quota.WaitMs());
    }
    const int64_t passed_ms = clock_.SteadyMs() - start_ms;
    ASSERT_LE(taken, rate + most + rate * passed_ms / 1000) << "seed " << seed;
    ASSERT_GE(taken, rate * passed_ms / 1000) << "seed " << seed;
  }
}

constexpr NodeId kOne{1}, kTwo{2}, kThree{3}, kFour{4};
constexpr int kRecords = 200;
constexpr int kRecordBytes = 10'000;
constexpr int64_t kLogBytes = int64_t{kRecords} * kRecordBytes;

// Node 4 is to take over a partition of 2 MB from node 3.
class ThrottledMoveTest : public ::testing::Test {
 protected:
  ThrottledMoveTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;
    key_ = {cluster_.CreateTopic("orders", {.replicas = {kOne, kTwo, kThree}, .min_isr = 2}),
            PartitionIndex(0)};
    cluster_.RunFor(200);
    for (int i = 0; i < kRecords; ++i) Append(std::string(kRecordBytes, 'x'));
  }
  // Gives how long its acknowledgement took.
  int64_t Append(const std::string& value) {
    const int64_t start_ms = NowMs();
    const std::shared_ptr<SimProduce> sent = cluster_.Produce(cluster_.LeaderOf(key_), key_, value);
    EXPECT_TRUE(cluster_.RunUntil([&] { return sent->acknowledged(); }));
    return NowMs() - start_ms;
  }
  int64_t NowMs() { return cluster_.scheduler().clock().SteadyMs(); }
  void Throttle(const std::string& side, NodeId broker, int64_t rate, const std::string& replicas) {
    cluster_.controller().SetBrokerConfig(broker, side + ".replication.throttled.rate",
                                          std::to_string(rate));
    cluster_.controller().SetTopicConfig("orders", side + ".replication.throttled.replicas",
                                         replicas);
    cluster_.RunFor(100);
  }
  void Move(int64_t rate = 0) {
    ASSERT_TRUE(cluster_.controller().Reassign("orders", PartitionIndex(0), {{kOne, kTwo, kFour}},
                                               static_cast<uint32_t>(rate / 1024)));
  }
  bool Moved() { return !cluster_.ImageOf(key_).moving(); }
  // While a move goes on, slowly.
  void ExpectThoseInSyncAreQuick() {
    int64_t slowest_ms = 0;
    for (int i = 0; i < 100; ++i)
      slowest_ms = std::max(slowest_ms, Append(std::string(kRecordBytes, 'y')));
    EXPECT_LE(slowest_ms, 60);
    EXPECT_FALSE(Moved());
    EXPECT_EQ(cluster_.IsrSize(key_), 3u);
  }
  int64_t MoveMs(int64_t rate = 0) {
    const int64_t start_ms = NowMs();
    Move(rate);
    EXPECT_TRUE(cluster_.RunUntil([&] { return Moved(); }, 600'000)) << cluster_.Describe(key_);
    return NowMs() - start_ms;
  }

  SimCluster cluster_{{.nodes = 4}};
  PartitionKey key_;
};

TEST_F(ThrottledMoveTest, WithoutAThrottleItTakesNoTime) { EXPECT_LT(MoveMs(), 2000); }

// A second's worth goes at once.
TEST_F(ThrottledMoveTest, TheLeaderSendsNoMoreThanItsRate) {
  Throttle("leader", kOne, kLogBytes / 20, "0:1");
  const int64_t took_ms = MoveMs();
  EXPECT_GE(took_ms, 18'500);
  EXPECT_LE(took_ms, 60'000);
}

TEST_F(ThrottledMoveTest, TheFollowerFetchesNoMoreThanItsRate) {
  Throttle("follower", kFour, kLogBytes / 20, "0:4");
  const int64_t took_ms = MoveMs();
  // It fetches up to a megabyte at a time, and pays for it afterwards.
  EXPECT_GE(took_ms, 18'500 - 10'000);
  EXPECT_LE(took_ms, 60'000);
}

TEST_F(ThrottledMoveTest, OnlyTheReplicasThatAreNamedAreSlowedDown) {
  Throttle("leader", kOne, 1, "0:2,1:1");
  Throttle("follower", kFour, 1, "0:3,1:4");
  EXPECT_LT(MoveMs(), 2000);
}

TEST_F(ThrottledMoveTest, ReplicasInSyncAreNotSlowedDown) {
  Throttle("leader", kOne, 1000, "*");
  for (const NodeId id : {kTwo, kThree, kFour}) Throttle("follower", id, 1000, "*");
  Move();
  ExpectThoseInSyncAreQuick();
}

TEST_F(ThrottledMoveTest, TheRateOfTheMoveItselfHolds) {
  const int64_t took_ms = MoveMs(kLogBytes / 20);
  EXPECT_GE(took_ms, 18'500);
  EXPECT_LE(took_ms, 60'000);
  EXPECT_EQ(cluster_.ImageOf(key_).move_kib_per_second, 0U);
}

TEST_F(ThrottledMoveTest, OfTwoThrottlesTheLowerOneHolds) {
  Throttle("leader", kOne, kLogBytes / 20, "0:1");
  Throttle("follower", kFour, kLogBytes / 2, "0:4");
  const int64_t took_ms = MoveMs(kLogBytes / 5);
  EXPECT_GE(took_ms, 18'500);
  EXPECT_LE(took_ms, 60'000);
}

TEST_F(ThrottledMoveTest, ARateDoesNotSlowDownWhoIsInSync) {
  Move(1024);
  ExpectThoseInSyncAreQuick();
}

// A replica that was one before is brought back as fast as can be.
TEST_F(ThrottledMoveTest, ARateDoesNotSlowDownWhoWasThereBefore) {
  Move(1024);
  cluster_.Kill(kTwo);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.IsrSize(key_) == 2; }, 60'000));
  for (int i = 0; i < 100; ++i) Append(std::string(kRecordBytes, 'y'));
  cluster_.Start(kTwo);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.IsrSize(key_) == 3; }, 10'000));
  EXPECT_FALSE(Moved());
}

TEST_F(ThrottledMoveTest, AMoveGoesFastAgainOnceItsRateIsGone) {
  Move(1024);
  cluster_.RunFor(30'000);
  EXPECT_FALSE(Moved());
  const int64_t start_ms = NowMs();
  ASSERT_TRUE(cluster_.controller().Reassign("orders", PartitionIndex(0), std::nullopt));
  Move();
  ASSERT_TRUE(cluster_.RunUntil([&] { return Moved(); }, 60'000));
  EXPECT_LT(NowMs() - start_ms, 3000);
}

class MoveRatesTest : public ::testing::Test {
 protected:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  // Broker 3 comes; the leader is `leader`.
  void Note(int partition, uint32_t kib_per_second, NodeId leader = kOne, bool in_sync = false) {
    metadata::PartitionImage image;
    image.replicas = {kOne, kTwo, kThree};
    image.isr = in_sync ? std::vector{kOne, kTwo, kThree} : std::vector{kOne, kTwo};
    image.leader = leader;
    image.adding = {kThree};
    image.move_kib_per_second = kib_per_second;
    for (auto* rates : {&one_, &two_, &three_})
      rates->Note(rates == &one_ ? kOne : rates == &two_ ? kTwo : kThree, Key(partition), image);
  }
  static PartitionKey Key(int partition) { return {TopicId(), PartitionIndex(partition)}; }

  MoveRates one_, two_, three_;
};

TEST_F(MoveRatesTest, TheLeaderSendsAndWhoComesFetches) {
  Note(0, 10);
  EXPECT_EQ(one_.leader(), 10240);
  EXPECT_EQ(one_.follower(), kNone);
  EXPECT_EQ(two_.leader(), kNone);
  EXPECT_EQ(two_.follower(), kNone);
  EXPECT_EQ(three_.leader(), kNone);
  EXPECT_EQ(three_.follower(), 10240);
  Note(0, 10, kTwo);
  EXPECT_EQ(one_.leader(), kNone);
  EXPECT_EQ(two_.leader(), 10240);
  Note(0, 10, kOne, true);
  EXPECT_EQ(three_.follower(), kNone);
}

TEST_F(MoveRatesTest, TheLowestHoldsForAllMovesOfABroker) {
  Note(0, 10);
  Note(1, 5);
  Note(2, 0);
  EXPECT_EQ(three_.follower(), 5120);
  EXPECT_EQ(one_.leader(), 5120);
  Note(1, 0);
  EXPECT_EQ(three_.follower(), 10240);
  three_.Forget(Key(0));
  EXPECT_EQ(three_.follower(), kNone);
}

// As kafka-reassign-partitions does when somebody finds the move too slow.
TEST_F(ThrottledMoveTest, ARateThatIsRaisedIsHeededAtOnce) {
  Throttle("leader", kOne, 0, "*");
  Throttle("follower", kFour, 1, "*");
  Move();
  cluster_.RunFor(30'000);
  EXPECT_FALSE(Moved());
  const int64_t start_ms = NowMs();
  Throttle("leader", kOne, INT64_MAX, "*");
  Throttle("follower", kFour, 100'000'000, "*");
  ASSERT_TRUE(cluster_.RunUntil([&] { return Moved(); }, 60'000));
  EXPECT_LT(NowMs() - start_ms, 3000);
}

}  // namespace
}  // namespace sluice::broker
