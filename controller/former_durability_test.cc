// A loss is judged by the durability under which records were acknowledged: what was replicated
// once is trusted after a power cut when the broker has told that it flushed it
// (docs/decisions/0019-durability-that-was.md).

#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using metadata::CONFIG_RESOURCE_TYPE_BROKER;
using metadata::CONFIG_RESOURCE_TYPE_TOPIC;

class FormerDurabilityTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(3);
  }
  void Make(std::map<std::string, std::string> configs) {
    configs["min.insync.replicas"] = "3";
    CreateTopic("t", 1, 3, std::move(configs));
  }
  void SetDurability(const std::string& value) {
    AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "durability", value);
  }
  int64_t LastIndex() const { return controller_->committed()->last_index.value(); }
  int64_t SyncedIndex() const {
    return controller_->committed()->FindBroker(NodeId(3))->synced_index.value();
  }
  // Broker 3 has flushed what it held.
  void Tell(int64_t index) {
    Broker(3).synced_index = index;
    Heartbeat(3);
  }
  void LosePower() {
    ++Broker(3).incarnation;
    Broker(3).boot += "'";
    Broker(3).synced_index = 0;
    EXPECT_EQ(Register(3).outcome().error_code(), 0);
  }
  bool Trusted() const { return Partition("t").elr == std::vector<NodeId>{NodeId(3)}; }
  // In all ISRs again.
  void JoinAgain() {
    Heartbeat(3);
    AlterIsr(Partition("t").leader.value(), "t", {1, 2, 3});
  }
};

TEST_F(FormerDurabilityTest, WhatWasAlwaysFsyncIsTrusted) {
  Make({});
  LosePower();
  EXPECT_TRUE(Trusted());
}

TEST_F(FormerDurabilityTest, WhatHasJustBecomeFsyncIsNotTrusted) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  LosePower();
  EXPECT_FALSE(Trusted());
}

TEST_F(FormerDurabilityTest, ItIsWhenTheBrokerHasFlushedIt) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  Tell(LastIndex());
  EXPECT_EQ(SyncedIndex(), Broker(3).synced_index);
  LosePower();
  EXPECT_TRUE(Trusted());
  EXPECT_GT(SyncedIndex(), 0) << "what was flushed stays flushed";
  JoinAgain();
  LosePower();
  EXPECT_TRUE(Trusted());
}

TEST_F(FormerDurabilityTest, NotByWhatItFlushedBeforeTheLastChange) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  Tell(LastIndex());
  SetDurability("replicated");
  SetDurability("fsync");
  LosePower();
  EXPECT_FALSE(Trusted());
}

TEST_F(FormerDurabilityTest, TheDefaultOfTheClusterCountsAsMuch) {
  AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "", "durability", "replicated");
  Make({});
  AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "", "durability", "fsync");
  LosePower();
  EXPECT_FALSE(Trusted());
  JoinAgain();
  Tell(LastIndex());
  LosePower();
  EXPECT_TRUE(Trusted());
}

TEST_F(FormerDurabilityTest, AnotherControllerJudgesAlike) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  Tell(LastIndex());
  const auto image = controller_->committed();
  const auto copy = metadata::FromSnapshot(metadata::ToSnapshot(*image));
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  EXPECT_EQ(*(*copy)->FindBroker(NodeId(3)), *image->FindBroker(NodeId(3)));
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  LosePower();
  EXPECT_TRUE(Trusted());
}

TEST_F(FormerDurabilityTest, ARecordIsWrittenOnlyWhereItChangesTheJudgement) {
  Make({});
  const int64_t before = LastIndex();
  Tell(before);
  EXPECT_EQ(LastIndex(), before);
  EXPECT_EQ(SyncedIndex(), 0);
  SetDurability("replicated");
  SetDurability("fsync");
  Tell(LastIndex());
  const int64_t told = LastIndex();
  Heartbeat(3);
  Heartbeat(3);
  EXPECT_EQ(LastIndex(), told) << "once";
}

TEST_F(FormerDurabilityTest, OfWhatItDoesNotKnowABrokerCannotTell) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  const int64_t before = LastIndex();
  Tell(before + 1);
  EXPECT_EQ(LastIndex(), before);
  Broker(3).synced_index = before;
  HeartbeatRequest request = NextHeartbeat(3);
  request.set_applied_index(before - 1);
  Call(&MetadataController::Heartbeat, request);
  EXPECT_EQ(LastIndex(), before);
}

// A process cannot say it for itself when it registers.
TEST_F(FormerDurabilityTest, ARegistrationTellsNothing) {
  Make({{"durability", "replicated"}});
  SetDurability("fsync");
  RegisterBrokerRequest request = RegisterRequest(3);
  request.mutable_broker()->set_synced_index(LastIndex());
  request.mutable_broker()->set_incarnation_id(std::string(16, 'x'));
  Call(&MetadataController::RegisterBroker, request);
  EXPECT_EQ(SyncedIndex(), 0);
}

}  // namespace
}  // namespace sluice::controller
