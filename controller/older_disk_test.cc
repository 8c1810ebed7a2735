// D14 without a clean stop: what a log directory tells of the registrations that have used it, and
// which of them count.

#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

class OlderDiskTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    Broker(1).keeps_epoch = true;
    StartBrokers(3);
    Keep(1);
    CreateAssigned("t", {{1, 2, 3}});
    AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "durability", "fsync");
    AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "3");
  }
  // The directory holds the epoch of the registration.
  void Keep(int directory) { Broker(1).kept_epochs[directory] = Broker(1).epoch; }
  // The process was killed and starts again. It is not in service yet.
  void RegisterAgain() {
    ++Broker(1).incarnation;
    EXPECT_EQ(Register(1).outcome().error_code(), 0);
  }
  // Writes its epoch, and is in service.
  void Serve() {
    Keep(1);
    Heartbeat(1);
    EXPECT_FALSE(controller_->committed()->FindBroker(NodeId(1))->fenced);
  }
  void JoinAgain() { AlterIsr(2, "t", {1, 2, 3}); }
  bool Trusted() const {
    const auto& elr = Partition("t").elr;
    return std::find(elr.begin(), elr.end(), NodeId(1)) != elr.end();
  }
};

TEST_F(OlderDiskTest, ACopyFromBeforeTheLastRegistrationIsNotTrusted) {
  const auto copy = Broker(1).kept_epochs;
  RegisterAgain();
  EXPECT_TRUE(Trusted()) << "killed, and all is there";
  Serve();
  JoinAgain();
  Broker(1).kept_epochs = copy;
  RegisterAgain();
  EXPECT_FALSE(Trusted());
}

TEST_F(OlderDiskTest, ARegistrationThatEndedBeforeTheDiskHeldItIsNoLoss) {
  RegisterAgain();
  RegisterAgain();
  EXPECT_TRUE(Trusted()) << "nothing was promised between the two";
  Serve();
  JoinAgain();
  RegisterAgain();
  EXPECT_TRUE(Trusted());
}

TEST_F(OlderDiskTest, NorIsOneThatTheDiskHoldsAndThatWasNeverInService) {
  RegisterAgain();
  Keep(1);  // killed before the heartbeat that says ready
  RegisterAgain();
  EXPECT_TRUE(Trusted());
  RegisterAgain();  // and now before its epoch was written
  EXPECT_TRUE(Trusted());
}

TEST_F(OlderDiskTest, WhatServedIsKnownAfterASnapshot) {
  RegisterAgain();
  Serve();
  const auto image = controller_->committed();
  const auto copy = metadata::FromSnapshot(metadata::ToSnapshot(*image));
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  const metadata::BrokerImage& broker = *(*copy)->FindBroker(NodeId(1));
  EXPECT_EQ(broker, *image->FindBroker(NodeId(1)));
  ASSERT_EQ(broker.served.size(), 1U);
  EXPECT_EQ(broker.served.begin()->second, BrokerEpoch(Broker(1).epoch));
}

// An older version in between does not write the file, and what it leaves must not look old.
TEST_F(OlderDiskTest, WithoutTheFileAnOlderVersionIsJudgedAsEver) {
  Broker(1).keeps_epoch = false;
  const auto kept = std::exchange(Broker(1).kept_epochs, {});
  RegisterAgain();
  EXPECT_TRUE(Trusted());
  Heartbeat(1);
  JoinAgain();
  Broker(1).keeps_epoch = true;
  Broker(1).kept_epochs = kept;
  RegisterAgain();
  EXPECT_TRUE(Trusted());
}

TEST_F(OlderDiskTest, MinusOneIsNoEpoch) {
  RegisterAgain();
  Serve();
  JoinAgain();
  Broker(1).kept_epochs[1] = -1;
  RegisterAgain();
  EXPECT_TRUE(Trusted());
}

TEST_F(OlderDiskTest, EachDirectoryIsJudgedByItself) {
  Broker(1).log_directories = {1, 12};
  RegisterAgain();
  Keep(12);
  Serve();
  JoinAgain();
  CreateAssigned("other", {{1, 2, 3}});
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "other", "min.insync.replicas", "3");
  EXPECT_EQ(Assign(1, "t", 1), 0);
  EXPECT_EQ(Assign(1, "other", 12), 0);
  const int64_t old = Broker(1).kept_epochs[12];
  RegisterAgain();
  Keep(12);
  Serve();
  JoinAgain();
  AlterIsr(2, "other", {1, 2, 3});
  Broker(1).kept_epochs[12] = old;
  RegisterAgain();
  EXPECT_TRUE(Trusted());
  EXPECT_EQ(Show("other"), "leader=2 isr=2,3 elr= known=1");
}

// Away in one incarnation, it did not serve in it: what it holds is as new as its last service.
TEST_F(OlderDiskTest, ADirectoryThatWasAwayIsNotOlder) {
  Broker(1).log_directories = {1, 12};
  RegisterAgain();
  Keep(12);
  Serve();
  JoinAgain();
  EXPECT_EQ(Assign(1, "t", 12), 0);
  Broker(1).log_directories = {1};
  RegisterAgain();
  Serve();
  Broker(1).log_directories = {1, 12};
  RegisterAgain();
  RegisterAgain();
  EXPECT_TRUE(Trusted());
}

}  // namespace
}  // namespace sluice::controller
