// Disks that fail and disks that fill up, under brokers that replicate among themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using testing::CommitChecker;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};

class DiskTest : public ::testing::Test {
 protected:
  // Four partitions; node 1 is the first replica of all of them unless `options` says otherwise.
  void Build(SimTopicOptions options, SimClusterOptions cluster) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // broken disks are the subject here
    cluster_ = std::make_unique<SimCluster>(cluster);
    topic_ = cluster_->CreateTopic("orders", options);
    cluster_->RunFor(500);
  }
  PartitionKey Key(int partition) const { return {topic_, PartitionIndex(partition)}; }
  ErrorCode Send(int partition, const std::string& value, int32_t timeout_ms = 30000) {
    const auto sent = cluster_->Produce(cluster_->LeaderOf(Key(partition)), Key(partition), value,
                                        -1, timeout_ms);
    EXPECT_TRUE(cluster_->RunUntil([&] { return sent->answered; }, 60000)) << value;
    return sent->error;
  }
  storage::DirectoryPtr DirectoryOf(NodeId node, int partition) {
    return cluster_->logs(node).DirectoryOf({"orders", PartitionIndex(partition)});
  }
  bool InSync(int partition, size_t replicas) {
    return cluster_->RunUntil([&] { return cluster_->IsrSize(Key(partition)) == replicas; }, 30000);
  }
  // The operation fails from now on on one of the node's disks.
  void Break(NodeId node, const std::string& directory, FileOperation operation) {
    cluster_->disk(node).InjectFault({.operation = operation,
                                      .path_part = directory + "/",
                                      .status = Status::IoError("EIO"),
                                      .times = -1});
  }
  void Restart(NodeId node) {
    cluster_->Kill(node);
    cluster_->disk(node).ClearFaults();
    cluster_->Start(node);
  }
  // Leaves so much room on a node's directory.
  void SetFree(NodeId node, const std::string& directory, uint64_t bytes) {
    auto& disk = cluster_->disk(node);
    disk.set_capacity_bytes(uint64_t{1} << 40, directory);
    const DiskSpace space = disk.Space(directory).value();
    disk.set_capacity_bytes(space.total_bytes - space.free_bytes + bytes, directory);
  }

  std::unique_ptr<SimCluster> cluster_;
  TopicId topic_;
};

constexpr SimClusterOptions kTwoDirectories{.directories = 2};

TEST_F(DiskTest, TheMetadataTellsWhereEachReplicaIs) {
  Build({.partitions = 4}, kTwoDirectories);
  for (int p = 0; p < 4; ++p) {
    for (const NodeId node : cluster_->ids()) {
      ASSERT_TRUE(cluster_->RunUntil([&] {
        return cluster_->ImageOf(Key(p)).DirectoryOf(node) == DirectoryOf(node, p)->id();
      })) << p;
    }
  }
  EXPECT_NE(DirectoryOf(kOne, 0), DirectoryOf(kOne, 1)) << "like room: the fewest logs";
}

TEST_F(DiskTest, ABrokerWithOneDirectoryAssignsNothing) {
  Build({}, {});
  EXPECT_TRUE(cluster_->ImageOf(Key(0)).directories.empty());
}

TEST_F(DiskTest, AFailedDirectoryTakesOnlyItsReplicasOffline) {
  Build({.partitions = 4, .replicas = {kOne}}, kTwoDirectories);
  for (int p = 0; p < 4; ++p) ASSERT_EQ(Send(p, "before"), ErrorCode::kNone);
  Break(kOne, "/data2", FileOperation::kSync);
  int failed = 0;
  for (int p = 0; p < 4; ++p) {
    const bool there = DirectoryOf(kOne, p)->path() == "/data2";
    failed += there ? 1 : 0;
    // Each of them, though only one was written to when the disk failed.
    EXPECT_EQ(Send(p, "after"), there ? ErrorCode::kKafkaStorageError : ErrorCode::kNone) << p;
    if (there) break;
  }
  EXPECT_EQ(failed, 1);
  ASSERT_FALSE(cluster_->directory(kOne, 1)->online());
  int offline = 0;
  for (int p = 0; p < 4; ++p) offline += cluster_->StatusOf(kOne, Key(p))->error.empty() ? 0 : 1;
  EXPECT_EQ(offline, 2);
  EXPECT_EQ(cluster_->storage_failures(kOne), 0) << "the process goes on";
}

// Its files stay open, so that neither reads nor writes would tell.
TEST_F(DiskTest, ADirectoryThatIsRemovedUnderTheNodeHasFailed) {
  Build({.partitions = 4, .replicas = {kOne}}, kTwoDirectories);
  ASSERT_TRUE(cluster_->disk(kOne).RemoveAll("/data2").ok());
  EXPECT_TRUE(cluster_->RunUntil([&] { return !cluster_->directory(kOne, 1)->online(); }, 1000));
  EXPECT_TRUE(cluster_->directory(kOne, 0)->online());
  EXPECT_EQ(cluster_->storage_failures(kOne), 0) << "the process goes on";
  ASSERT_TRUE(cluster_->disk(kOne).RemoveAll("/data").ok());
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->storage_failures(kOne) == 1; }, 1000));
}

TEST_F(DiskTest, LeadersLeaveAFailedDirectoryAndComeBackWithIt) {
  Build({.partitions = 4, .min_isr = 2}, kTwoDirectories);
  for (int p = 0; p < 4; ++p) ASSERT_EQ(Send(p, "a"), ErrorCode::kNone);
  CommitChecker checker(*cluster_, Key(0));
  int victim = -1;
  for (int p = 0; p < 4; ++p) {
    if (cluster_->LeaderOf(Key(p)) == kOne && DirectoryOf(kOne, p)->path() == "/data2") victim = p;
  }
  for (int p = 0; p < 4 && victim < 0; ++p) {
    if (DirectoryOf(kOne, p)->path() != "/data2") continue;
    victim = p;
    cluster_->controller().MoveLeader("orders", PartitionIndex(p), kOne);
    cluster_->RunFor(200);
  }
  ASSERT_GE(victim, 0);
  ASSERT_EQ(cluster_->LeaderOf(Key(victim)), kOne);
  Break(kOne, "/data2", FileOperation::kSync);
  EXPECT_EQ(Send(victim, "lost"), ErrorCode::kKafkaStorageError);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(Key(victim)) != kOne; }));
  cluster_->RunFor(200);
  EXPECT_EQ(Send(victim, "b"), ErrorCode::kNone) << cluster_->Describe(Key(victim));
  for (int p = 0; p < 4; ++p) {
    const bool there =
        cluster_->ImageOf(Key(p)).DirectoryOf(kOne) == cluster_->directory(kOne, 1)->id();
    EXPECT_EQ(cluster_->IsrSize(Key(p)), there ? 2U : 3U) << p;
  }
  EXPECT_EQ(cluster_->storage_failures(kOne), 0);
  // With the disk mended and the process started anew it catches up.
  Restart(kOne);
  EXPECT_TRUE(InSync(victim, 3)) << cluster_->Describe(Key(victim));
  EXPECT_EQ(cluster_->ReadLog(kOne, Key(victim)), cluster_->ReadLog(kTwo, Key(victim)));
  EXPECT_TRUE(checker.Check()) << checker.error();
}

TEST_F(DiskTest, AFailedDirectoryIsNotReplacedByAnother) {
  Build({.partitions = 2, .min_isr = 2}, kTwoDirectories);
  int there = DirectoryOf(kOne, 0)->path() == "/data2" ? 0 : 1;
  ASSERT_EQ(Send(there, "a"), ErrorCode::kNone);
  // The disk is dead before the process starts again.
  cluster_->Kill(kOne);
  Break(kOne, "/data2", FileOperation::kOpen);
  cluster_->Start(kOne);
  ASSERT_TRUE(InSync(1 - there, 3)) << cluster_->Describe(Key(1 - there));
  cluster_->RunFor(1000);
  EXPECT_EQ(cluster_->IsrSize(Key(there)), 2U);
  EXPECT_FALSE(cluster_->StatusOf(kOne, Key(there))->error.empty());
  EXPECT_FALSE(cluster_->disk(kOne).Exists("/data/orders-" + std::to_string(there)));
  // New partitions are made on what is left.
  const TopicId topic = cluster_->CreateTopic("more", {.partitions = 3, .replicas = {kOne}});
  for (int p = 0; p < 3; ++p)
    EXPECT_EQ(cluster_->StatusOf(kOne, {topic, PartitionIndex(p)})->error, "");
  Restart(kOne);
  EXPECT_TRUE(InSync(there, 3)) << cluster_->Describe(Key(there));
}

// A sealed file is cut while its broker is away.
class DamageTest : public DiskTest {
 protected:
  void CutASealedFileOf(NodeId node, std::vector<NodeId> replicas) {
    Build({.replicas = std::move(replicas), .configs = {{"segment.bytes", "300"}}}, {});
    for (int i = 0; i < 12; ++i) ASSERT_EQ(Send(0, "value" + std::to_string(i)), ErrorCode::kNone);
    cluster_->RunFor(1000);
    cluster_->Kill(node);
    auto& disk = cluster_->disk(node);
    std::vector<std::string> logs;
    const std::vector<std::string> names = disk.List("/data/orders-0").value();
    for (const std::string& name : names) {
      if (name.ends_with(".log")) logs.push_back("/data/orders-0/" + name);
    }
    std::sort(logs.begin(), logs.end());
    ASSERT_GE(logs.size(), 4U);
    const auto file = disk.Open(logs[1], OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok() && (*file)->Truncate((*file)->Size().value() - 5).ok());
    cluster_->Start(node);
  }
  // Fetches on from where the answers end, until one is refused.
  std::vector<int64_t> ConsumeFrom(NodeId node) {
    std::vector<int64_t> offsets;
    ErrorCode error = ErrorCode::kNone;
    for (int64_t next = 0; error == ErrorCode::kNone && next < 12;) {
      const auto records = cluster_->Consume(node, Key(0), Offset(next), &error);
      for (const auto& record : records) offsets.push_back(record.offset);
      if (records.empty()) break;
      next = offsets.back() + 1;
    }
    refusal_ = error;
    return offsets;
  }
  ErrorCode refusal_ = ErrorCode::kNone;
};

TEST_F(DamageTest, WhoeverMeetsDamageHandsTheLeadershipOver) {
  CutASealedFileOf(kOne, {kOne, kTwo, kThree});
  ASSERT_TRUE(InSync(0, 3));
  cluster_->controller().MoveLeader("orders", PartitionIndex(0), kOne);
  cluster_->RunFor(300);
  const std::vector<int64_t> whole = ConsumeFrom(kOne);
  EXPECT_FALSE(whole.empty()) << "what lies before the damage";
  EXPECT_LT(whole.size(), 12U);
  EXPECT_EQ(refusal_, ErrorCode::kKafkaStorageError);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(Key(0)) != kOne; }, 2000));
  cluster_->RunFor(5000);
  EXPECT_EQ(cluster_->IsrSize(Key(0)), 2U) << "it does not come back into the ISR";
  EXPECT_EQ(ConsumeFrom(cluster_->LeaderOf(Key(0))).size(), 12U);
  EXPECT_EQ(Send(0, "more"), ErrorCode::kNone);
  EXPECT_NE(cluster_->StatusOf(kOne, Key(0))->error.find(".log"), std::string::npos);
}

TEST_F(DamageTest, WhoeverIsAloneServesWhatIsWhole) {
  CutASealedFileOf(kOne, {kOne});
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(Key(0)) == kOne; }, 5000));
  cluster_->RunFor(300);
  EXPECT_FALSE(ConsumeFrom(kOne).empty());
  EXPECT_EQ(refusal_, ErrorCode::kCorruptMessage) << "nobody else will have it";
  cluster_->RunFor(2000);
  EXPECT_EQ(cluster_->LeaderOf(Key(0)), kOne);
  EXPECT_EQ(Send(0, "more"), ErrorCode::kNone);
  EXPECT_FALSE(cluster_->Consume(kOne, Key(0), Offset(10)).empty()) << "and what lies behind it";
}

TEST_F(DamageTest, WhatAReadFoundIsKnownAfterAStartAndForgottenOnceItIsDeleted) {
  CutASealedFileOf(kOne, {kOne});
  const auto leads = [&] {
    const auto status = cluster_->StatusOf(kOne, Key(0));
    return status.has_value() && status->is_leader;
  };
  const auto damage = [&] { return cluster_->StatusOf(kOne, Key(0))->error; };
  ASSERT_TRUE(cluster_->RunUntil(leads, 5000));
  cluster_->RunFor(300);  // until the high watermark is known again
  EXPECT_EQ(damage(), "");
  ConsumeFrom(kOne);
  EXPECT_THAT(damage(), ::testing::HasSubstr(".log"));
  cluster_->RunFor(6000);
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil(leads, 5000));
  EXPECT_THAT(damage(), ::testing::HasSubstr(".log")) << "before anybody reads";
  cluster_->replicas(kOne)->DeleteRecords({.timeout_ms = 1000, .entries = {{Key(0), Offset(10)}}},
                                          [](std::vector<DeleteRecordsResult> results) {
                                            EXPECT_EQ(results[0].error, ErrorCode::kNone);
                                          });
  cluster_->RunFor(1000);
  EXPECT_EQ(damage(), "");
  EXPECT_EQ(Send(0, "more"), ErrorCode::kNone);
  EXPECT_EQ(cluster_->Consume(kOne, Key(0), Offset(10)).size(), 3U);
}

TEST_F(DamageTest, AFollowerWhoseDamageWasDeletedComesBack) {
  CutASealedFileOf(kOne, {kOne, kTwo, kThree});
  ASSERT_TRUE(InSync(0, 3));
  cluster_->controller().MoveLeader("orders", PartitionIndex(0), kOne);
  cluster_->RunFor(300);
  ConsumeFrom(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(Key(0)) == 2U; }, 2000));
  cluster_->RunFor(2000);
  ASSERT_EQ(cluster_->IsrSize(Key(0)), 2U);
  // Each replica deletes for itself, also one that is damaged.
  cluster_->controller().SetTopicConfig("orders", "retention.bytes", "300");
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(Key(0)) == 3U; }, 400000));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(0))->error, "");
}

TEST_F(DiskTest, TheDirectoryOfTheMetadataTakesTheNodeAlong) {
  Build({.partitions = 2, .replicas = {kOne}}, kTwoDirectories);
  const int there = DirectoryOf(kOne, 0)->path() == "/data" ? 0 : 1;
  Break(kOne, "/data", FileOperation::kWrite);
  EXPECT_EQ(Send(there, "a"), ErrorCode::kKafkaStorageError);
  EXPECT_EQ(cluster_->storage_failures(kOne), 1);
}

TEST_F(DiskTest, ADirectoryThatCannotTakeTheEpochHasFailed) {
  Build({.replicas = {kOne}}, kTwoDirectories);
  int kept = 0;
  const auto keep = [&](int64_t epoch) {
    cluster_->replicas(kOne)->KeepBrokerEpoch(BrokerEpoch(epoch), [&] { ++kept; });
    cluster_->RunFor(100);
  };
  keep(5);
  EXPECT_EQ(kept, 1);
  Break(kOne, "/data2", FileOperation::kSync);
  keep(6);
  EXPECT_FALSE(cluster_->directory(kOne, 1)->online());
  EXPECT_EQ(kept, 2) << "the other one has it";
  Break(kOne, "/data", FileOperation::kSync);
  keep(7);
  EXPECT_EQ(cluster_->storage_failures(kOne), 1);
  EXPECT_EQ(kept, 2) << "in service with 7 its disk, which holds 6, would pass for an older copy";
}

constexpr SimClusterOptions kWithMarks{.replica_lag_ms_max = 1000,
                                       .marks = {.soft_bytes = 20000, .hard_bytes = 10000}};

TEST_F(DiskTest, AtTheHardMarkNothingIsAppendedUntilThereIsRoom) {
  Build({.replicas = {kOne}}, kWithMarks);
  ASSERT_EQ(Send(0, "a"), ErrorCode::kNone);
  SetFree(kOne, "/data", 9999);
  cluster_->RunFor(200);
  EXPECT_EQ(Send(0, "b"), ErrorCode::kKafkaStorageError);
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

TEST_F(DiskTest, ADirectoryThatFailsWhileAReplicaIsMadeTakesItAlong) {
  bool armed = false;
  const std::function<void(NodeId, const storage::DirectoryState&)> placing =
      [&](NodeId id, const storage::DirectoryState& directory) {
        if (!armed || directory.path() != "/data2") return;
        armed = false;
        cluster_->logs(id).PutOffline(cluster_->directory(id, 1), Status::IoError("EIO"));
      };
  Build({.replicas = {kOne}}, {.directories = 2, .placing = &placing});
  armed = true;
  const TopicId topic = cluster_->CreateTopic("more", {.partitions = 3, .replicas = {kOne}});
  cluster_->RunFor(1000);
  ASSERT_FALSE(armed);
  int failed = 0;
  for (int p = 0; p < 3; ++p)
    failed += cluster_->StatusOf(kOne, {topic, PartitionIndex(p)})->error.empty() ? 0 : 1;
  EXPECT_EQ(failed, 1) << "it was in /data2; the others were made where there is a disk";
  cluster_.reset();  // before `placing`
}

TEST_F(DiskTest, DirectoriesSwappedByHandLoseNothing) {
  Build({.replicas = {kOne}}, {.nodes = 1});
  const PartitionKey orders = Key(0);
  const PartitionKey more{cluster_->CreateTopic("more", {.replicas = {kOne}}), PartitionIndex(0)};
  ASSERT_EQ(Send(0, "a"), ErrorCode::kNone);
  const auto swap = [&] {
    cluster_->Kill(kOne);
    for (const auto& [from, to] :
         {std::pair("/data/orders-0", "/data/kept"), std::pair("/data/more-0", "/data/orders-0"),
          std::pair("/data/kept", "/data/more-0")})
      ASSERT_TRUE(cluster_->disk(kOne).Rename(from, to).ok());
    cluster_->Start(kOne);
    cluster_->RunFor(3000);
  };
  swap();
  for (const PartitionKey& key : {orders, more}) {
    EXPECT_THAT(cluster_->StatusOf(kOne, key)->error, ::testing::HasSubstr("nothing was removed"));
  }
  swap();
  for (const PartitionKey& key : {orders, more})
    EXPECT_EQ(cluster_->StatusOf(kOne, key)->error, "");
  EXPECT_EQ(cluster_->ReadLog(kOne, orders).size(), 1U);
}

}  // namespace
}  // namespace sluice::broker
