// A partition none of whose replicas is sure to be complete: who leads it is the one whose log has
// the most of those that have told, and whoever lives is waited for.
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;

class BalancedRecoveryTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(4);
    CreateAssigned("t", {{1, 2, 3}});
  }
  void Restart(int id) {
    ++Broker(id).incarnation;
    ASSERT_EQ(Register(id).outcome().error_code(), 0);
  }
  void Ends(int id, int epoch, int64_t offset) { Broker(id).log_ends[{"t", 0}] = {epoch, offset}; }
  // Broker 1 led alone, last, and came back with `damage`, or on an empty disk.
  void LastLeaderLoses(bool damage) {
    AlterIsr(1, "t", {1});
    if (damage) {
      Broker(1).damaged = {{"t", 0}};
    } else {
      BeatFor(1000, {2, 3, 4});
      ++Broker(1).directory;
    }
    Restart(1);
    Heartbeat(1);
    ASSERT_EQ(Partition("t").leader, kNoNode);
  }
  void ExpectRefused(const std::string& message) {
    const PartitionOutcome outcome = ElectLeader("t", true);
    EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kEligibleLeadersNotAvailable));
    EXPECT_NE(outcome.message().find(message), std::string::npos) << outcome.message();
    EXPECT_EQ(Partition("t").leader, kNoNode);
  }
};

TEST_F(BalancedRecoveryTest, AnUncleanElectionTakesWhoHasTheMost) {
  LastLeaderLoses(/*damage=*/false);
  ExpectRefused("brokers 1,2,3 have not yet told where their logs end; try again");
  Ends(1, -1, 0);
  Ends(2, 0, 10);
  Heartbeat(1);
  Heartbeat(2);
  ExpectRefused("broker 3 has not yet told where its log ends; try again");
  Ends(3, 0, 60);
  Heartbeat(3);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=") << "an operator has to ask";
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Show("t"), "leader=3 isr=3 elr= known=");
  EXPECT_EQ(controller_->metrics().unclean_elections, 1U);
}

TEST_F(BalancedRecoveryTest, TheEpochOfTheLastRecordsComesBeforeTheirNumber) {
  LastLeaderLoses(/*damage=*/false);
  Ends(1, -1, 0);
  Ends(2, 5, 10);
  Ends(3, 4, 60);
  for (const int id : {1, 2, 3}) Heartbeat(id);
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(2));
}

TEST_F(BalancedRecoveryTest, WhoIsAwayIsNotWaitedFor) {
  LastLeaderLoses(/*damage=*/false);
  Ends(1, -1, 0);
  Ends(2, 0, 10);
  for (const int id : {1, 2}) Heartbeat(id);
  BeatFor(1000, {1, 2, 4});
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(2));
}

TEST_F(BalancedRecoveryTest, ALogThatCannotBeUsedIsPassedOver) {
  LastLeaderLoses(/*damage=*/false);
  Ends(1, -1, -1);
  Ends(2, -1, -1);
  Ends(3, -1, -1);
  for (const int id : {1, 2, 3}) Heartbeat(id);
  ExpectRefused("none of the live ones has a log that can be used, of the replicas 1,2,3");
  Ends(3, -1, 0);
  Heartbeat(3);
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(3));
}

TEST_F(BalancedRecoveryTest, WhatWasToldOfAnotherTimeDoesNotCount) {
  LastLeaderLoses(/*damage=*/false);
  Ends(1, -1, 0);
  Ends(2, 0, 10);
  Ends(3, 0, 60);
  for (const int id : {1, 2}) Heartbeat(id);
  // Of an epoch before, by somebody who is no replica, or of no partition at all.
  HeartbeatRequest before = NextHeartbeat(3);
  before.mutable_log_ends(0)->set_leader_epoch(Partition("t").leader_epoch.value() - 1);
  before.add_log_ends()->set_topic_id("short");
  before.add_log_ends()->set_topic_id(std::string(16, 'x'));
  *before.add_log_ends() = before.log_ends(0);
  before.mutable_log_ends(3)->set_partition(7);
  Call(&MetadataController::Heartbeat, before);
  HeartbeatRequest stranger = NextHeartbeat(4);
  *stranger.add_log_ends() = NextHeartbeat(3).log_ends(0);
  Call(&MetadataController::Heartbeat, stranger);
  ExpectRefused("broker 3 has not yet told");
  // What an incarnation told, the next one need not have.
  Heartbeat(3);
  Restart(2);
  HeartbeatRequest in_service = NextHeartbeat(2);
  in_service.clear_log_ends();
  Call(&MetadataController::Heartbeat, in_service);
  ExpectRefused("broker 2 has not yet told");
  // Nor does a new controller know what another one was told.
  Heartbeat(2);
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  ExpectRefused("brokers 1,2,3 have not yet told");
  for (const int id : {1, 2, 3}) Heartbeat(id);
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(3));
}

TEST_F(BalancedRecoveryTest, WhatHasALeaderIsForgotten) {
  LastLeaderLoses(/*damage=*/false);
  LogEnds ends;
  Ends(2, 0, 10);
  const HeartbeatRequest told = NextHeartbeat(2);
  const LogEnds::Place place{controller_->committed()->FindTopic("t")->id, PartitionIndex(0)};
  ends.Note(*controller_->committed(), told);
  EXPECT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends.Find(*controller_->committed(), place, NodeId(2)),
            (metadata::LogEnd{LeaderEpoch(0), Offset(10)}));
  EXPECT_EQ(ends.Find(*controller_->committed(), place, NodeId(3)), std::nullopt);
  for (const int id : {1, 2, 3}) Ends(id, 0, id);
  for (const int id : {1, 2, 3}) Heartbeat(id);
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(ends.Find(*controller_->committed(), place, NodeId(2)), std::nullopt);
  ends.Note(*controller_->committed(), told);
  EXPECT_EQ(ends.size(), 0U);
}

// As many as a large cluster may have in a power cut, and all of them wait for a broker that is
// gone.
TEST_F(BalancedRecoveryTest, NoneThatStaysUndecidedKeepsAnotherOneOut) {
  constexpr int kPartitions = 250'000;
  const TopicId topic_id = TopicId::FromBytes(std::string(16, 't'));
  auto topic = std::make_shared<metadata::TopicImage>();
  topic->id = topic_id;
  topic->partitions.resize(kPartitions);
  for (metadata::PartitionImage& partition : topic->partitions)
    partition.replicas = {NodeId(1), NodeId(2)};
  metadata::Image image = *controller_->committed();
  auto topics = std::make_shared<metadata::TopicsById>();
  topics->Set(topic_id, topic);
  image.topics_by_id = std::move(topics);
  HeartbeatRequest told = NextHeartbeat(2);
  told.clear_log_ends();
  for (int i = 0; i < kPartitions; ++i) {
    auto& end = *told.add_log_ends();
    end.set_topic_id(std::string(topic_id.view()));
    end.set_partition(i);
    end.set_leader_epoch(0);
    end.set_last_epoch(0);
    end.set_end_offset(10);
  }
  LogEnds ends;
  ends.Note(image, told);
  EXPECT_EQ(ends.Find(image, {topic_id, PartitionIndex(kPartitions - 1)}, NodeId(2)),
            (metadata::LogEnd{LeaderEpoch(0), Offset(10)}));
}

// It is the last known leader, and comes back without some of its records, while others may have
// them: they are not to cut theirs before anybody knows.
TEST_F(BalancedRecoveryTest, WhoLedLastAndLostSomeWaitsUntilAllHaveTold) {
  LastLeaderLoses(/*damage=*/true);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=1");
  Ends(1, 0, 3);
  Ends(2, 0, 10);
  Ends(3, 0, 60);
  Heartbeat(1);
  BeatFor(1000, {1, 2, 4});
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=1") << "3 is away";
  Heartbeat(3);  // it is in service again, and has told
  Heartbeat(3);
  EXPECT_EQ(Show("t"), "leader=3 isr=3 elr= known=");
  EXPECT_EQ(controller_->metrics().unclean_elections, 1U);
}

TEST_F(BalancedRecoveryTest, AnUnusableLogLeavesItToAnOperator) {
  LastLeaderLoses(/*damage=*/true);
  Ends(1, -1, -1);
  Ends(2, 0, 10);
  Ends(3, 0, 10);
  for (const int id : {1, 2, 3}) Heartbeat(id);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr= known=1");
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr= known=");
}

// Who has everything is not weighed against anybody.
TEST_F(BalancedRecoveryTest, AReplicaThatLostNothingLeadsAtOnce) {
  AlterIsr(1, "t", {1});
  Restart(1);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=1 known=1");
  Heartbeat(1);
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  EXPECT_EQ(controller_->metrics().unclean_elections, 0U);
}

}  // namespace
}  // namespace sluice::controller
