// What a broker may do on the two edges of being fenced. The cluster simulation (tests/sim) found
// both.
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
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

TEST_F(FencingTest, WhoStopsInOrderIsNotToldAsAFailure) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  const sluice::testing::LogCatcher log;
  for (const int id : {1, 2}) {
    Broker(id).want_shutdown = true;
    Heartbeat(id);
  }
  for (const int id : {2, 3}) Heartbeat(id);
  ASSERT_TRUE(Heartbeat(1).may_shut_down());
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  BeatFor(200, {2, 3});
  EXPECT_EQ(log.Count("broker 1 has stopped: it was shutting down, and its process is gone"), 1);
  BeatFor(900, {3});
  EXPECT_EQ(log.Count("broker 2 has stopped: it was shutting down, and is not heard any more"), 1);
  for (const char* failure : {"is fenced", "is gone:"}) EXPECT_FALSE(log.Saw(failure)) << failure;
  for (const int id : {1, 2}) EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(id))->fenced);
}

// Timers do not wait behind other work, as heartbeats do when the controller has much of it.
TEST_F(FencingTest, AHeartbeatThatWaitsForItsTurnIsASignOfLife) {
  StartBrokers(3);
  const auto others_beat_for = [this](int64_t ms) {
    for (; ms > 0; --ms) {
      for (const int id : {2, 3}) controller_->Heartbeat(NextHeartbeat(id), [](const auto&) {});
      scheduler_.RunForMs(1);
    }
  };
  int64_t until_fenced_ms = 0;
  for (; quorum_.pending() == 0 && until_fenced_ms < 1000; ++until_fenced_ms) others_beat_for(1);
  ASSERT_GE(until_fenced_ms, 600);
  CommitAll();
  // At the same distance from a tick, which finds it silent again and comes before the heartbeat.
  constexpr int64_t kTicksMs = 1000;
  others_beat_for(kTicksMs - until_fenced_ms);
  Heartbeat(1);
  others_beat_for(until_fenced_ms - 1);
  ASSERT_EQ(quorum_.pending(), 0U);
  loop_.RunAfter(1, [this] { controller_->Heartbeat(NextHeartbeat(1), [](const auto&) {}); });
  scheduler_.RunForMs(1);
  EXPECT_EQ(quorum_.pending(), 0U) << "it is being fenced";
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

// What its feed has not brought it, it cannot know: it goes on to tell where the partition ended.
TEST_F(FencingTest, ABrokerThatDoesNotHearOfALostLeadLosesItsLeaseAfterASession) {
  StartBrokers(2);
  CreateAssigned("t", {{2, 1}});
  HeartbeatRequest old = NextHeartbeat(2);
  const auto lease_age_ms = [this](const HeartbeatRequest& request) {
    return Call(&MetadataController::Heartbeat, request).lease_age_ms();
  };
  BeatFor(1000, {1, 2});
  EXPECT_LE(lease_age_ms(old), 60) << "its metadata is old, but it leads what it thinks it leads";
  ASSERT_EQ(Reassign("t", std::vector<int>{1}, true).error_code(), 0);
  ASSERT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  EXPECT_LE(lease_age_ms(old), 60) << "the news may be under way";
  const auto beat = [&] {
    Heartbeat(1);
    const int64_t age_ms = lease_age_ms(old);
    RunForMs(100);
    return age_ms;
  };
  for (int i = 0; i < 6; ++i) beat();
  EXPECT_GT(beat(), 60'000);
  // The next controller does not know what it has lost.
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  for (int i = 0; i < 6; ++i) beat();
  EXPECT_GT(beat(), 60'000);
  EXPECT_LE(lease_age_ms(NextHeartbeat(2)), 60);
}

class FencingInStepsTest : public testing::ClusterFixture {
 protected:
  FencingInStepsTest() : ClusterFixture(1, {.fence_step_changes = 4}) {}
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(3);
    // Topics 0 to 4 have a leader without broker 1, "alone" has none.
    for (int i = 0; i < 5; ++i)
      CreateAssigned("t" + std::to_string(i), {{1, 2}, {2, 1}, {3, 2}, {1, 3}});
    CreateAssigned("alone", {{1}});
  }
  bool fenced() const { return controller_->committed()->FindBroker(NodeId(1))->fenced; }
  // In whose ISRs broker 1 is.
  int held() const {
    int count = 0;
    for (const auto& [name, topic] : *controller_->committed()->topics_by_name) {
      for (const auto& partition : topic->partitions)
        count += metadata::InIsr(partition, NodeId(1)) ? 1 : 0;
    }
    return count;
  }
};

TEST_F(FencingInStepsTest, AFewPartitionsAnEntryAndTheBrokerLast) {
  ASSERT_EQ(held(), 16);
  std::vector<int> seen;
  const sluice::testing::LogCatcher log;
  for (int i = 0; i < 100 && !fenced(); ++i) {
    Heartbeat(2);
    Heartbeat(3);
    RunForMs(25);
    CommitAll();
    if (seen.empty() || seen.back() != held()) seen.push_back(held());
  }
  EXPECT_TRUE(fenced());
  EXPECT_EQ(seen, (std::vector<int>{16, 12, 8, 4, 1, 0}));
  EXPECT_EQ(log.Count("broker 1 is gone: 10 leaders moved, 1 partition without leader, "), 1);
  EXPECT_EQ(Show("alone"), "leader=-1 isr= elr=1 known=1");
  EXPECT_EQ(Show("t0"), "leader=2 isr=2 elr= known=");
}

// Nothing is left without a leader, and it leads nothing that it does not know of.
TEST_F(FencingInStepsTest, WhoComesBackBetweenTwoStepsStaysInService) {
  const HeartbeatRequest old = NextHeartbeat(1);
  while (held() == 16) {
    Heartbeat(2);
    Heartbeat(3);
    RunForMs(25);
    CommitAll();
  }
  HeartbeatResponse response = Call(&MetadataController::Heartbeat, old);
  EXPECT_FALSE(response.fenced());
  EXPECT_GT(response.lease_age_ms(), 60'000);
  response = Heartbeat(1);
  EXPECT_LE(response.lease_age_ms(), 60);
  BeatFor(500, {1, 2, 3});
  EXPECT_FALSE(fenced());
  EXPECT_EQ(held(), 12);
  EXPECT_EQ(Show("alone"), "leader=1 isr=1 elr= known=");
  // The next time all of it goes.
  BeatFor(2000, {2, 3});
  EXPECT_TRUE(fenced());
  EXPECT_EQ(held(), 0);
}

// It may have been deposed, and the next controller have decided otherwise.
TEST_F(FencingTest, WithoutAMajorityNothingIsRefusedForGood) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  const AlterPartitionRequest stranger = AlterIsrRequest(1, "t", {1, 2, 4});
  const auto error = [&] {
    const auto response = Call(&MetadataController::AlterPartition, stranger);
    return response.outcome().error_code();
  };
  EXPECT_EQ(error(), 0);
  quorum_.set_connected(false);
  EXPECT_EQ(error(), Code(kafka::ErrorCode::kNotController));
}

// Who stops waits for the answers of all its calls.
TEST_F(FencingTest, AnAnswerThatWaitsForAMajorityIsGivenWhenTheLeadIsLost) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  quorum_.set_silent(true);
  std::optional<int32_t> error;
  const auto ask = [&] {
    error.reset();
    controller_->AlterPartition(AlterIsrRequest(1, "t", {1, 2, 4}),
                                [&](const auto& got) { error = got.outcome().error_code(); });
    EXPECT_FALSE(error.has_value());
  };
  ask();
  quorum_.Lose(NodeId(2));
  EXPECT_EQ(error, Code(kafka::ErrorCode::kNotController));
  quorum_.Lead();
  ask();
  controller_->Stop();
  EXPECT_EQ(error, Code(kafka::ErrorCode::kNotController));
}

}  // namespace
}  // namespace sluice::controller
