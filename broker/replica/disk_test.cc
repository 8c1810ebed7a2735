// Disks that fail, under brokers that replicate among themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "broker/testing/disk_test_bed.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using testing::CommitChecker;
using testing::DiskTest;
using testing::SimClusterOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};

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
