// A partition whose last leader comes back without all its data, when nobody else is known to have
// it.
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

class LastKnownLeaderTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
};

TEST_F(LastKnownLeaderTest, LeadsAgainWhenNobodyElseCan) {
  StartBrokers(1);
  CreateTopic("t", 1, 1);
  ++Broker(1).incarnation;
  Broker(1).damaged = {{"t", 0}};
  Register(1);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=1");
  Heartbeat(1);
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(2));
}

// The others have all that it had when it was alone for a moment: they must not follow an empty
// log.
TEST_F(LastKnownLeaderTest, OnAnEmptyDiskItWaitsForAnOperator) {
  StartBrokers(3);
  CreateAssigned("t", {{3, 1, 2}});
  AlterIsr(3, "t", {3});
  Broker(3).want_shutdown = true;
  Heartbeat(3);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=3 known=3");
  Broker(3).want_shutdown = false;
  ++Broker(3).incarnation;
  ++Broker(3).directory;
  BeatFor(1000, {1, 2});
  Register(3);
  Heartbeat(3);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=");
}

}  // namespace
}  // namespace sluice::controller
