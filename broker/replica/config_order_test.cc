// The order in which metadata takes effect: what the controller decided with a configuration must
// not be acted on with an older one, or a record is acknowledged that a member of the ELR, who may
// lead tomorrow, has never had.
#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;
using testing::SimProduce;

constexpr NodeId kOne{1}, kTwo{2};

class ConfigOrderTest : public ::testing::Test {
 protected:
  // Two replicas led by node 1, min.insync.replicas 1; node 2 is cut off from node 1 while "a" is
  // sent, so that only node 1 has it.
  void Build(testing::SimClusterOptions options = {}) {
    options.nodes = 2;
    options.replica_lag_ms_max = 1000;
    cluster_ = std::make_unique<SimCluster>(options);
    key_ = {cluster_->CreateTopic("orders", {.replicas = {kOne, kTwo}, .min_isr = 1}),
            PartitionIndex(0)};
    cluster_->set_auto_fence(false);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
    cluster_->RunFor(100);
    cluster_->Cut(kOne, kTwo);
    sent_ = cluster_->Produce(kOne, key_, "a");
    cluster_->RunFor(20);
    ASSERT_FALSE(sent_->answered) << "node 2 is in the ISR and has it not";
  }
  void RaiseMinIsr() {
    cluster_->controller().SetTopicConfig("orders", "min.insync.replicas", "2");
  }
  std::vector<NodeId> Elr() const { return cluster_->ImageOf(key_).elr; }
  Offset HighWatermark(NodeId id) const { return cluster_->StatusOf(id, key_)->high_watermark; }
  // Node 1 is gone for good, and the other one, which is in the ELR, leads.
  void ExpectNothingLostWithoutNodeOne() {
    EXPECT_EQ(sent_->error, ErrorCode::kNotEnoughReplicasAfterAppend);
    EXPECT_EQ(HighWatermark(kOne), Offset(0));
    cluster_->Kill(kOne);
    cluster_->Heal();
    cluster_->controller().SetFenced(kOne, true);
    cluster_->controller().SetFenced(kTwo, false);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kTwo; }));
    EXPECT_TRUE(cluster_->ReadLog(kTwo, key_).empty());
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
  std::shared_ptr<SimProduce> sent_;
};

// Both changes come in one push of the feed.
TEST_F(ConfigOrderTest, ARaisedMinIsrHoldsForTheIsrOfTheSameImage) {
  Build();
  cluster_->Cut(kOne, SimCluster::kController);
  RaiseMinIsr();
  cluster_->controller().SetFenced(kTwo, true);
  ASSERT_EQ(Elr(), std::vector<NodeId>{kTwo});
  cluster_->Heal();
  cluster_->Cut(kOne, kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent_->answered; }, 400));
  ExpectNothingLostWithoutNodeOne();
}

// The leader asks for a smaller ISR before it knows of the new minimum, and the answer is faster
// than the image.
TEST_F(ConfigOrderTest, AnAnswerThatIsAheadOfTheConfigurationAcknowledgesNothing) {
  Build({.image_lag_ms = 3000});
  RaiseMinIsr();
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }, 2500));
  ASSERT_EQ(Elr(), std::vector<NodeId>{kTwo});
  cluster_->RunFor(100);
  EXPECT_FALSE(sent_->answered) << "by the answer alone";
  EXPECT_EQ(HighWatermark(kOne), Offset(0));
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent_->answered; }, 4000));
  ExpectNothingLostWithoutNodeOne();
}

// A minimum that was lowered lets the waiting record through, with the image and not before.
TEST_F(ConfigOrderTest, ALoweredMinIsrTakesEffectWithTheIsr) {
  Build();
  RaiseMinIsr();
  cluster_->RunFor(20);
  cluster_->Cut(kOne, SimCluster::kController);
  cluster_->controller().SetTopicConfig("orders", "min.insync.replicas", "1");
  cluster_->controller().SetFenced(kTwo, true);
  ASSERT_TRUE(Elr().empty());
  cluster_->Heal();
  cluster_->Cut(kOne, kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent_->answered; }, 400));
  EXPECT_EQ(sent_->error, ErrorCode::kNone);
  EXPECT_EQ(HighWatermark(kOne), Offset(1));
}

}  // namespace
}  // namespace sluice::broker
