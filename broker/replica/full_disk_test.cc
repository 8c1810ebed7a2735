// Disks that fill up, under brokers that replicate among themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "broker/testing/disk_test_bed.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using testing::DiskTest;
using testing::SimClusterOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};

constexpr SimClusterOptions kWithMarks{.replica_lag_ms_max = 1000,
                                       .marks = {.soft_bytes = 20000, .hard_bytes = 10000}};

TEST_F(DiskTest, AtTheHardMarkNothingIsAppendedUntilThereIsRoom) {
  Build({.replicas = {kOne}}, kWithMarks);
  ASSERT_EQ(Send(0, "a"), ErrorCode::kNone);
  SetFree(kOne, "/data", 9999);
  cluster_->RunFor(200);
  const int64_t before_ms = cluster_->scheduler().clock().SteadyMs();
  EXPECT_EQ(Send(0, "b"), ErrorCode::kKafkaStorageError);
  EXPECT_LT(cluster_->scheduler().clock().SteadyMs() - before_ms, 50)
      << "who is refused is to look for another leader, and not to wait";
  EXPECT_EQ(cluster_->Consume(kOne, Key(0), Offset(0)).size(), 1U);
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(0))->error, "") << "nothing has failed";
  SetFree(kOne, "/data", 30000);
  cluster_->RunFor(200);
  EXPECT_EQ(Send(0, "b"), ErrorCode::kNone);
  EXPECT_EQ(cluster_->Consume(kOne, Key(0), Offset(0)).size(), 2U);
  EXPECT_EQ(cluster_->storage_failures(kOne), 0);
}

TEST_F(DiskTest, AtTheHardMarkRecordsCanBeDeleted) {
  Build({.replicas = {kOne}}, kWithMarks);
  ASSERT_EQ(Send(0, "a"), ErrorCode::kNone);
  SetFree(kOne, "/data", 100);
  cluster_->RunFor(200);
  DeleteRecordsResult deleted;
  cluster_->replicas(kOne)->DeleteRecords(
      {.timeout_ms = 1000, .entries = {{Key(0), Offset(1)}}},
      [&](std::vector<DeleteRecordsResult> results) { deleted = results[0]; });
  cluster_->RunFor(1000);
  EXPECT_EQ(deleted.error, ErrorCode::kNone);
  EXPECT_EQ(deleted.low_watermark, Offset(1));
}

TEST_F(DiskTest, BelowTheSoftMarkProducersAreSlowedDownTheMoreTheLessRoomThereIs) {
  Build({.replicas = {kOne}}, kWithMarks);
  const auto takes_ms = [&] {
    const int64_t before_ms = cluster_->scheduler().clock().SteadyMs();
    EXPECT_EQ(Send(0, "a"), ErrorCode::kNone);
    return cluster_->scheduler().clock().SteadyMs() - before_ms;
  };
  EXPECT_LT(takes_ms(), 50);
  SetFree(kOne, "/data", 18000);
  cluster_->RunFor(200);
  const int64_t a_little_ms = takes_ms();
  EXPECT_GE(a_little_ms, 190);
  EXPECT_LE(a_little_ms, 300);
  SetFree(kOne, "/data", 12000);
  cluster_->RunFor(200);
  const int64_t a_lot_ms = takes_ms();
  EXPECT_GE(a_lot_ms, 790);
  EXPECT_LE(a_lot_ms, 900);
  SetFree(kOne, "/data", 40000);
  cluster_->RunFor(200);
  EXPECT_LT(takes_ms(), 50);
}

TEST_F(DiskTest, AFollowerWithAFullDiskFallsOutAndCatchesUp) {
  Build({.min_isr = 2}, kWithMarks);
  ASSERT_TRUE(InSync(0, 3));
  const NodeId leader = cluster_->LeaderOf(Key(0));
  const NodeId follower = leader == kThree ? kTwo : kThree;
  SetFree(follower, "/data", 5000);
  cluster_->RunFor(200);
  EXPECT_EQ(Send(0, "a"), ErrorCode::kNone) << cluster_->Describe(Key(0));
  ASSERT_TRUE(InSync(0, 2)) << cluster_->Describe(Key(0));
  EXPECT_EQ(cluster_->StatusOf(follower, Key(0))->log_end_offset, Offset(0));
  EXPECT_EQ(cluster_->StatusOf(follower, Key(0))->error, "");
  SetFree(follower, "/data", 50000);
  EXPECT_TRUE(InSync(0, 3)) << cluster_->Describe(Key(0));
  EXPECT_EQ(cluster_->ReadLog(follower, Key(0)), cluster_->ReadLog(leader, Key(0)));
}

// It has all there is of an idle partition, so its leader would wait for it until it lags.
TEST_F(DiskTest, AFullFollowerThatTheControllersKeepOutHoldsUpNothing) {
  SimClusterOptions options = kWithMarks;
  options.replica_lag_ms_max = 10'000;
  Build({.min_isr = 2}, options);
  ASSERT_TRUE(InSync(0, 3));
  const NodeId leader = cluster_->LeaderOf(Key(0));
  const NodeId follower = leader == kThree ? kTwo : kThree;
  SetFree(follower, "/data", 5000);
  cluster_->RunFor(200);
  cluster_->controller().KeepOut(follower);
  cluster_->RunFor(3000);
  int64_t slowest_ms = 0;
  for (int i = 0; i < 20; ++i) {
    const int64_t before_ms = cluster_->scheduler().clock().SteadyMs();
    EXPECT_EQ(Send(0, "a"), ErrorCode::kNone) << cluster_->Describe(Key(0));
    slowest_ms = std::max(slowest_ms, cluster_->scheduler().clock().SteadyMs() - before_ms);
    cluster_->RunFor(100);
  }
  EXPECT_LT(slowest_ms, 200);
  EXPECT_EQ(cluster_->IsrSize(Key(0)), 2U);
  cluster_->controller().LetIn(follower);
  SetFree(follower, "/data", 50000);
  EXPECT_TRUE(InSync(0, 3)) << cluster_->Describe(Key(0));
}

// The first was refused a moment ago, and lacks but what came since.
TEST_F(DiskTest, AFullFollowerHoldsUpNothingWhenAnotherDiskIsFullToo) {
  SimClusterOptions options = kWithMarks;
  options.replica_lag_ms_max = 10'000;
  Build({.min_isr = 1}, options);
  ASSERT_TRUE(InSync(0, 3));
  const NodeId leader = cluster_->LeaderOf(Key(0));
  for (const NodeId follower : {kOne, kTwo, kThree}) {
    if (follower == leader) continue;
    SetFree(follower, "/data", 5000);
    cluster_->controller().KeepOut(follower);
    cluster_->RunFor(1300);
    const int64_t before_ms = cluster_->scheduler().clock().SteadyMs();
    EXPECT_EQ(Send(0, "a"), ErrorCode::kNone) << cluster_->Describe(Key(0));
    EXPECT_LT(cluster_->scheduler().clock().SteadyMs() - before_ms, 200);
  }
  EXPECT_EQ(cluster_->IsrSize(Key(0)), 1U);
}

// Each is proposed again and again while its partition is idle, but never both at once: so one may
// have asked, and count, while the other one was refused.
TEST_F(DiskTest, TwoFullFollowersOfIdlePartitionsHoldUpNothing) {
  int64_t slowest_ms = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimClusterOptions options = kWithMarks;
    options.seed = seed;
    options.replica_lag_ms_max = 10'000;
    options.network_ms_max = 20;
    Build({.min_isr = 1}, options);
    ASSERT_TRUE(InSync(0, 3));
    const NodeId leader = cluster_->LeaderOf(Key(0));
    for (const NodeId follower : cluster_->ids()) {
      if (follower == leader) continue;
      SetFree(follower, "/data", 5000);
      cluster_->controller().KeepOut(follower);
    }
    cluster_->RunFor(1000 + static_cast<int64_t>(seed * 17));
    const int64_t before_ms = cluster_->scheduler().clock().SteadyMs();
    EXPECT_EQ(Send(0, "a"), ErrorCode::kNone) << cluster_->Describe(Key(0));
    slowest_ms = std::max(slowest_ms, cluster_->scheduler().clock().SteadyMs() - before_ms);
  }
  EXPECT_LT(slowest_ms, 500);
}

TEST_F(DiskTest, AJoinIsLoggedWhenItIsOneAndARefusalOnce) {
  Build({.min_isr = 2}, kWithMarks);
  ASSERT_TRUE(InSync(0, 3));
  cluster_->RunFor(2000);
  const NodeId follower = cluster_->LeaderOf(Key(0)) == kThree ? kTwo : kThree;
  const std::string name = "broker " + std::to_string(follower.value());
  ::sluice::testing::LogCatcher log;
  cluster_->controller().KeepOut(follower);
  cluster_->RunFor(5000);
  EXPECT_EQ(cluster_->IsrSize(Key(0)), 2U);
  EXPECT_FALSE(log.Saw(name + " has joined the ISR of "));
  EXPECT_EQ(log.Count(name + " has all there is, and is refused by the controller in the ISR of "),
            1);
  cluster_->controller().LetIn(follower);
  EXPECT_TRUE(InSync(0, 3)) << cluster_->Describe(Key(0));
  cluster_->RunFor(2000);
  EXPECT_EQ(log.Count(name + " has joined the ISR of "), 1);
}

// The first try is read when another one was refused, by a controller that was paused, say, and
// knows of no full disk: the follower would be in the ISR without what was acknowledged meanwhile.
TEST_F(DiskTest, ARefusedJoinDoesNotComeByAnEarlierTry) {
  Build({.min_isr = 2}, kWithMarks);
  ASSERT_TRUE(InSync(0, 3));
  const NodeId leader = cluster_->LeaderOf(Key(0));
  const NodeId follower = leader == kThree ? kTwo : kThree;
  cluster_->controller().KeepOut(follower);
  cluster_->RunFor(100);
  ASSERT_EQ(cluster_->IsrSize(Key(0)), 2U);
  cluster_->set_alters_late(true);
  cluster_->RunFor(3000);
  cluster_->set_alters_late(false);
  SetFree(follower, "/data", 5000);
  cluster_->RunFor(6000);
  EXPECT_EQ(Send(0, "a"), ErrorCode::kNone) << cluster_->Describe(Key(0));
  ASSERT_EQ(cluster_->StatusOf(follower, Key(0))->log_end_offset, Offset(0));
  cluster_->controller().LetIn(follower);
  EXPECT_GT(cluster_->ReadLateAlters(), 0U);
  EXPECT_EQ(cluster_->IsrSize(Key(0)), 2U) << cluster_->Describe(Key(0));
  SetFree(follower, "/data", 50000);
  EXPECT_TRUE(InSync(0, 3)) << cluster_->Describe(Key(0));
}

TEST_F(DiskTest, ARealENOSPCIsRefusedAndLeavesNothingBehind) {
  // No marks: the writes themselves fail.
  Build({.replicas = {kOne}}, {.marks = {.soft_bytes = 0, .hard_bytes = 0}});
  ASSERT_EQ(Send(0, "a"), ErrorCode::kNone);
  const auto names = cluster_->disk(kOne).List("/data/orders-0").value();
  SetFree(kOne, "/data", 10);
  EXPECT_EQ(Send(0, "too much"), ErrorCode::kKafkaStorageError);
  EXPECT_EQ(cluster_->disk(kOne).List("/data/orders-0").value(), names);
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(0))->log_end_offset, Offset(1));
  SetFree(kOne, "/data", 10000);
  EXPECT_EQ(Send(0, "b"), ErrorCode::kNone);
  EXPECT_EQ(cluster_->storage_failures(kOne), 0);
  // What is on the disk is what was acknowledged.
  Restart(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, Key(0));
    return status && status->is_leader && status->high_watermark == Offset(2);
  })) << cluster_->Describe(Key(0));
  const auto records = cluster_->ReadLog(kOne, Key(0));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[1].value, "b");
}

TEST_F(DiskTest, AReplicaThatCouldNotBeMadeComesWhenThereIsRoom) {
  Build({.replicas = {kOne}}, {.marks = {.soft_bytes = 0, .hard_bytes = 0}});
  SetFree(kOne, "/data", 0);
  const TopicId topic = cluster_->controller().CreateTopic(
      "late", {{kOne}}, {{"min.insync.replicas", "1"}, {"durability", "fsync"}});
  cluster_->RunFor(1000);
  const PartitionKey key{topic, PartitionIndex(0)};
  ASSERT_TRUE(cluster_->StatusOf(kOne, key).has_value());
  EXPECT_NE(cluster_->StatusOf(kOne, key)->error, "");
  SetFree(kOne, "/data", 1000000);
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kOne, key)->error.empty(); }));
  const auto sent = cluster_->Produce(kOne, key, "a");
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent->answered; }));
  EXPECT_EQ(sent->error, ErrorCode::kNone);
}

TEST_F(DiskTest, BelowTheHardMarkAReplicaThatCouldNotBeMadeLeavesTheRoomToOthers) {
  Build({.replicas = {kOne}}, kWithMarks);
  SetFree(kOne, "/data", 0);
  const TopicId topic = cluster_->controller().CreateTopic(
      "late", {{kOne}}, {{"min.insync.replicas", "1"}, {"durability", "fsync"}});
  cluster_->RunFor(1000);
  const PartitionKey key{topic, PartitionIndex(0)};
  SetFree(kOne, "/data", 9999);
  cluster_->RunFor(2000);
  ASSERT_TRUE(cluster_->StatusOf(kOne, key).has_value());
  EXPECT_NE(cluster_->StatusOf(kOne, key)->error, "");
  SetFree(kOne, "/data", 1000000);
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kOne, key)->error.empty(); }));
}

TEST_F(DiskTest, AnImageThatComesWhileALateReplicaIsOpenedCounts) {
  bool armed = false;
  const std::function<void(NodeId, const storage::DirectoryState&)> placing =
      [&](NodeId id, const storage::DirectoryState&) {
        if (!std::exchange(armed, false)) return;
        cluster_->controller().ForceLeader("late", PartitionIndex(0), id);
        cluster_->cache(id).Publish(cluster_->controller().image());
      };
  Build({.replicas = {kOne}}, {.marks = {.soft_bytes = 0, .hard_bytes = 0}, .placing = &placing});
  SetFree(kOne, "/data", 0);
  const PartitionKey key{
      cluster_->controller().CreateTopic("late", {{kOne}},
                                         {{"min.insync.replicas", "1"}, {"durability", "fsync"}}),
      PartitionIndex(0)};
  cluster_->RunFor(1000);
  armed = true;
  SetFree(kOne, "/data", 1000000);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kOne, key)->error.empty(); }));
  EXPECT_FALSE(armed);
  EXPECT_TRUE(cluster_->StatusOf(kOne, key)->is_leader);
  const auto sent = cluster_->Produce(kOne, key, "a");
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent->answered; }));
  EXPECT_EQ(sent->error, ErrorCode::kNone);
  cluster_.reset();  // before `placing`
}

// Opening may wait for the disk for long: whom the first late replica follows is old by the time
// that the second one is there.
TEST_F(DiskTest, ALateReplicaFollowsWhoeverLeadsWhenAllAreOpened) {
  const PartitionIndex first(0);
  int placed = 0;
  const std::function<void(NodeId, const storage::DirectoryState&)> placing =
      [&](NodeId id, const storage::DirectoryState&) {
        if (++placed != 2) return;
        cluster_->controller().ForceLeader("late", first, kThree);
        cluster_->cache(id).Publish(cluster_->controller().image());
      };
  Build({.replicas = {kTwo}}, {.marks = {.soft_bytes = 0, .hard_bytes = 0}, .placing = &placing});
  SetFree(kOne, "/data", 0);
  placed = -100;  // of the other nodes, which have room
  const PartitionKey key{
      cluster_->controller().CreateTopic("late", {{kTwo, kThree, kOne}, {kTwo, kThree, kOne}},
                                         {{"min.insync.replicas", "1"}, {"durability", "fsync"}}),
      first};
  cluster_->RunFor(1000);
  ASSERT_EQ(cluster_->LeaderOf(key), kTwo);
  placed = 0;
  SetFree(kOne, "/data", 1000000);
  ASSERT_TRUE(cluster_->RunUntil([&] { return placed >= 2; }));
  ASSERT_EQ(cluster_->LeaderOf(key), kThree);
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key) == 3; }))
      << cluster_->Describe(key);
  cluster_.reset();  // before `placing`
}

}  // namespace
}  // namespace sluice::broker
