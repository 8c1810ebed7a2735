// What a broker may do on the two edges of being fenced. The cluster simulation (tests/sim) found
// both.
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

class FencingTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
};

// A broker that stood still comes back between the decision to fence it and its commit. The lease
// that it got then went on beside that of the next leader.
TEST_F(FencingTest, ABrokerWhoseFencingIsUnderWayGetsNoLease) {
  StartBrokers(3);
  BeatFor(500, {2, 3});
  for (int i = 0; i < 100 && quorum_.pending() == 0; ++i) {
    for (const int id : {2, 3}) controller_->Heartbeat(NextHeartbeat(id), [](const auto&) {});
    scheduler_.RunForMs(5);
  }
  const auto beat = [this](int id) {
    HeartbeatResponse response;
    controller_->Heartbeat(NextHeartbeat(id), [&](HeartbeatResponse got) { response = got; });
    return response;
  };
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(beat(1).fenced()) << "nothing is committed";
    EXPECT_GT(beat(1).lease_age_ms(), 60'000);
    EXPECT_LE(beat(2).lease_age_ms(), 60);
  }
  CommitAll();
  EXPECT_TRUE(beat(1).fenced());
  CommitAll();
  EXPECT_FALSE(beat(1).fenced());
  EXPECT_LE(beat(1).lease_age_ms(), 60);
}

// With an older image it would go on as leader of epochs that are over, with a lease.
TEST_F(FencingTest, ABrokerIsUnfencedOnceItKnowsThatItWasFenced) {
  StartBrokers(3);
  HeartbeatRequest old = NextHeartbeat(1);
  BeatFor(1000, {2, 3});
  ASSERT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
  const auto fenced_after = [this](const HeartbeatRequest& request) {
    return Call(&MetadataController::Heartbeat, request).fenced() &&
           controller_->committed()->FindBroker(NodeId(1))->fenced;
  };
  EXPECT_TRUE(fenced_after(old));
  // The next controller does not know when it was fenced.
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  EXPECT_TRUE(fenced_after(old));
  Call(&MetadataController::Heartbeat, NextHeartbeat(1));
  EXPECT_FALSE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

// It may lead for so long without a lease: the next controller must not give its leads away sooner,
// though it never heard of it.
TEST_F(FencingTest, ALongSessionIsKnownToTheNextController) {
  RegisterBrokerRequest request = RegisterRequest(1);
  request.set_session_timeout_ms(3000);
  Broker(1).epoch = Call(&MetadataController::RegisterBroker, request).broker_epoch();
  Heartbeat(1);
  for (const int id : {2, 3}) {
    Register(id);
    Heartbeat(id);
  }
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  BeatFor(2800, {2, 3});
  EXPECT_FALSE(controller_->committed()->FindBroker(NodeId(1))->fenced);
  BeatFor(500, {2, 3});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

}  // namespace
}  // namespace sluice::controller
