// What a broker tells of its flushes after topics have become fsync, and when.
#include "broker/replica/sync_proof.h"

#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using testing::SimCluster;

constexpr NodeId kOne{1}, kTwo{2};

class SyncProofTest : public ::testing::Test {
 protected:
  void Build(testing::SimClusterOptions options = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    options.nodes = 2;
    cluster_ = std::make_unique<SimCluster>(options);
    orders_ = {cluster_->CreateTopic("orders", {.min_isr = 2, .fsync = false}), PartitionIndex(0)};
    cluster_->RunFor(100);
  }
  void Send(const PartitionKey& key) {
    const auto sent = cluster_->Produce(cluster_->LeaderOf(key), key, "a");
    ASSERT_TRUE(cluster_->RunUntil([&] { return sent->acknowledged(); }));
  }
  // Its index.
  int64_t SetDurability(const std::string& topic, const std::string& value) {
    cluster_->controller().SetTopicConfig(topic, "durability", value);
    return cluster_->controller().image()->last_index.value();
  }
  int64_t Told(NodeId id) { return cluster_->state(id).synced_index; }
  bool TellBy(NodeId id, int64_t index, int64_t limit_ms = 20000) {
    return cluster_->RunUntil([&] { return Told(id) >= index; }, limit_ms);
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey orders_;
};

TEST_F(SyncProofTest, WhatWasInMemoryIsOnTheDiskWhenItIsTold) {
  Build({.flush_ms_max = 300});
  Send(orders_);
  EXPECT_EQ(Told(kOne), 0);
  const int64_t index = SetDurability("orders", "fsync");
  for (const NodeId id : {kOne, kTwo}) {
    ASSERT_TRUE(TellBy(id, index));
    EXPECT_EQ(Told(id), index);
    cluster_->PowerCut(id);
    cluster_->Start(id);
    EXPECT_EQ(cluster_->logs(id).Find({"orders", PartitionIndex(0)})->log_end_offset(), Offset(1));
  }
}

TEST_F(SyncProofTest, NothingIsToldOfAFlushThatDidNotEnd) {
  Build({.flush_ms_max = 60'000});
  Send(orders_);
  const int64_t index = SetDurability("orders", "fsync");
  cluster_->RunFor(50);
  EXPECT_LT(Told(kTwo), index);
  EXPECT_TRUE(TellBy(kTwo, index, 120'000));
}

// No leader has it flushed, and no fetch.
TEST_F(SyncProofTest, AReplicaThatFollowsNobodyIsFlushedToo) {
  Build();
  const PartitionKey lonely{cluster_->CreateTopic("lonely", {.min_isr = 1, .fsync = false}),
                            PartitionIndex(0)};
  Send(lonely);
  cluster_->RunFor(100);
  cluster_->Kill(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(lonely) == 1; }));
  cluster_->Kill(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(lonely) == kNoNode; }));
  cluster_->Start(kTwo);
  cluster_->RunFor(500);
  const int64_t index = SetDurability("lonely", "fsync");
  ASSERT_TRUE(TellBy(kTwo, index));
  EXPECT_EQ(cluster_->LeaderOf(lonely), kNoNode);
  cluster_->PowerCut(kTwo);
  cluster_->Start(kTwo);
  EXPECT_EQ(cluster_->logs(kTwo).Find({"lonely", PartitionIndex(0)})->log_end_offset(), Offset(1));
}

TEST_F(SyncProofTest, WhatAKilledProcessLeftInMemoryIsFlushedByTheNext) {
  Build();
  Send(orders_);
  cluster_->Kill(kTwo);
  const int64_t index = SetDurability("orders", "fsync");
  cluster_->Start(kTwo);
  ASSERT_TRUE(TellBy(kTwo, index));
  cluster_->PowerCut(kTwo);
  cluster_->Start(kTwo);
  EXPECT_EQ(cluster_->logs(kTwo).Find({"orders", PartitionIndex(0)})->log_end_offset(), Offset(1));
}

TEST_F(SyncProofTest, ChangesThatComeWhileItFlushesComeNext) {
  Build({.flush_ms_max = 100});
  const PartitionKey clicks{cluster_->CreateTopic("clicks", {.min_isr = 2, .fsync = false}),
                            PartitionIndex(0)};
  Send(orders_);
  Send(clicks);
  const int64_t first = SetDurability("orders", "fsync");
  cluster_->RunFor(5);
  const int64_t second = SetDurability("clicks", "fsync");
  for (const NodeId id : {kOne, kTwo}) {
    ASSERT_TRUE(TellBy(id, first));
    ASSERT_TRUE(TellBy(id, second));
  }
}

TEST_F(SyncProofTest, ATopicThatIsMadeWithFsyncGivesNothingToTell) {
  Build();
  const PartitionKey clicks{cluster_->CreateTopic("clicks", {.min_isr = 2}), PartitionIndex(0)};
  Send(clicks);
  cluster_->RunFor(2000);
  EXPECT_EQ(Told(kOne), 0);
}

TEST_F(SyncProofTest, ALogThatHasFailedTellsNothingUntilItIsGone) {
  Build({.directories = 2});
  const PartitionKey clicks{cluster_->CreateTopic("clicks", {.min_isr = 1, .fsync = false}),
                            PartitionIndex(0)};
  Send(orders_);
  Send(clicks);
  const auto directory = cluster_->StatusOf(kTwo, orders_)->directory;
  ASSERT_NE(directory, cluster_->StatusOf(kTwo, clicks)->directory);
  cluster_->disk(kTwo).InjectFault({.operation = ::sluice::testing::FileOperation::kSync,
                                    .path_part = directory->path() + "/",
                                    .status = Status::IoError("EIO")});
  const int64_t index = SetDurability("orders", "fsync");
  cluster_->RunFor(3000);
  EXPECT_FALSE(directory->online());
  EXPECT_EQ(Told(kTwo), 0);
  EXPECT_EQ(Told(kOne), index);
  cluster_->controller().DeleteTopic("orders");
  EXPECT_TRUE(TellBy(kTwo, index));
}

}  // namespace
}  // namespace sluice::broker
