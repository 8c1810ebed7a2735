// What operators want of brokers: what is refused and why, and how a decommission goes to its end.

#include "controller/broker_goals.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"
#include "metadata/obstacles.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using metadata::BrokerGoal;
using metadata::CONFIG_RESOURCE_TYPE_TOPIC;
using Operation = ChangeBrokerRequest::Operation;

class BrokerGoalsTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
  BrokerGoal GoalOf(int id) const { return controller_->committed()->FindBroker(NodeId(id))->goal; }
  void ExpectRefused(Operation operation, int id, ErrorCode code, const std::string& cause) {
    const uint64_t hash = metadata::StateHash(*controller_->committed());
    const auto refusal = Change(operation, id);
    EXPECT_EQ(refusal.error_code(), Code(code)) << refusal.message();
    EXPECT_NE(refusal.message().find(cause), std::string::npos) << refusal.message();
    EXPECT_EQ(metadata::StateHash(*controller_->committed()), hash);
  }
  // Leaders take into their ISRs whoever is to be a replica.
  void CatchUp() {
    const metadata::ImagePtr image = controller_->committed();
    for (const auto& [name, topic] : *image->topics_by_name) {
      const metadata::PartitionImage& p = topic->partitions[0];
      std::vector<int> isr;
      for (const NodeId node : p.replicas) {
        if (metadata::ReplicaActive(*image, p, node)) isr.push_back(node.value());
      }
      if (p.leader != kNoNode && isr.size() != p.isr.size()) AlterIsr(p.leader.value(), name, isr);
    }
  }
  int Replicas(int broker) const {
    int count = 0;
    for (const auto& [name, topic] : *controller_->committed()->topics_by_name) {
      for (const auto& p : topic->partitions)
        count += std::count(p.replicas.begin(), p.replicas.end(), NodeId(broker));
    }
    return count;
  }
};

TEST_F(BrokerGoalsTest, ADrainThatWouldBreakMinIsrIsRefusedWithThePartitionsNamed) {
  StartBrokers(3);
  CreateAssigned("two", {{1, 2, 3}});
  CreateAssigned("alone", {{1}});
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "two", "min.insync.replicas", "2");
  AlterIsr(1, "two", {1, 2});
  const auto no = ErrorCode::kIneligibleReplica;
  ExpectRefused(ChangeBrokerRequest::DRAIN, 1, no,
                "two-0 (in sync are 1,2: 1 would be left, min.insync.replicas wants 2)");
  ExpectRefused(ChangeBrokerRequest::DRAIN, 1, no, "alone-0 (broker 1 has it alone)");
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 3).error_code(), 0);  // it is out of sync anyway
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 1, true).error_code(), 0);
  EXPECT_EQ(GoalOf(1), BrokerGoal::kDrain);
}

TEST_F(BrokerGoalsTest, NotAllReplicasOfAPartitionAreDrained) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2}});
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 1).error_code(), 0);
  ExpectRefused(ChangeBrokerRequest::DRAIN, 2, ErrorCode::kIneligibleReplica,
                "t-0 (in sync are 1,2, all drained: none of the others would lead)");
}

TEST_F(BrokerGoalsTest, WhatMakesNoSenseIsRefused) {
  StartBrokers(4);
  CreateAssigned("t", {{1, 2, 3}});
  const auto unknown = ErrorCode::kBrokerIdNotRegistered;
  for (const int id : {0, -1, 9}) {
    for (const auto operation :
         {ChangeBrokerRequest::DRAIN, ChangeBrokerRequest::UNDRAIN,
          ChangeBrokerRequest::DECOMMISSION, ChangeBrokerRequest::CANCEL_DECOMMISSION})
      ExpectRefused(operation, id, unknown, "is not registered");
  }
  ExpectRefused(static_cast<Operation>(9), 1, ErrorCode::kInvalidRequest, "no such change");
  ExpectRefused(ChangeBrokerRequest::CANCEL_DECOMMISSION, 1, ErrorCode::kNoReassignmentInProgress,
                "broker 1 is not being decommissioned");
  EXPECT_EQ(Change(ChangeBrokerRequest::DECOMMISSION, 1).error_code(), 0);
  ExpectRefused(ChangeBrokerRequest::DRAIN, 1, ErrorCode::kIneligibleReplica, "give that up first");
  ExpectRefused(ChangeBrokerRequest::UNDRAIN, 1, ErrorCode::kIneligibleReplica, "give that up");
  ExpectRefused(
      ChangeBrokerRequest::DECOMMISSION, 2, ErrorCode::kIneligibleReplica,
      "t-0 (its replication factor is 3, 2 brokers would be left, without those that are drained "
      "or leave: 1)");
}

TEST_F(BrokerGoalsTest, WhatIsSoAlreadyIsNoChange) {
  StartBrokers(4);
  CreateAssigned("t", {{1, 2, 3}});
  for (const auto operation : {ChangeBrokerRequest::DRAIN, ChangeBrokerRequest::UNDRAIN}) {
    ChangeBrokerRequest request;
    request.set_operation(operation);
    request.set_broker_id(1);
    request.set_validate_only(true);
    const sluice::testing::LogCatcher log;
    EXPECT_EQ(Call(&MetadataController::ChangeBroker, request).changed(),
              operation == ChangeBrokerRequest::DRAIN);
    EXPECT_EQ(GoalOf(1), BrokerGoal::kServe);
    EXPECT_EQ(log.Count("drained"), 0) << "nothing was done";
  }
  Change(ChangeBrokerRequest::DRAIN, 1);
  BeatFor(300, {1, 2, 3, 4});
  const size_t entries = quorum_.log().size();
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 1).error_code(), 0);
  EXPECT_EQ(quorum_.log().size(), entries);
}

TEST_F(BrokerGoalsTest, ADrainedBrokerGetsNoNewReplicas) {
  StartBrokers(3);
  CreateAssigned("t", {{2, 3}});
  Change(ChangeBrokerRequest::DRAIN, 1);
  EXPECT_EQ(CreateTopic("many", 20, 2).error_code(), 0);
  EXPECT_EQ(Replicas(1), 0);
  const TopicOutcome three = CreateTopic("three", 1, 3);
  EXPECT_EQ(three.error_code(), Code(ErrorCode::kInvalidReplicationFactor));
  EXPECT_NE(three.message().find("drained"), std::string::npos) << three.message();
  EXPECT_NE(CreateAssigned("given", {{1, 2}}).message().find("broker 1 is drained"),
            std::string::npos);
  EXPECT_NE(Reassign("t", {{1, 2}}).message().find("broker 1 is drained"), std::string::npos);
  Change(ChangeBrokerRequest::UNDRAIN, 1);
  EXPECT_EQ(CreateTopic("three", 1, 3).error_code(), 0);
}

TEST_F(BrokerGoalsTest, NobodyElectsADrainedBroker) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  Change(ChangeBrokerRequest::DRAIN, 1);
  BeatFor(200, {1, 2, 3});
  const PartitionOutcome outcome = ElectLeader("t");
  EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kPreferredLeaderNotAvailable));
  EXPECT_NE(outcome.message().find("broker 1 is drained"), std::string::npos) << outcome.message();
}

TEST_F(BrokerGoalsTest, ADecommissionMovesAllAndUnregistersWhoDoesNotRun) {
  for (int id = 1; id <= 5; ++id) Broker(id).rack = id % 2 == 0 ? "even" : "odd";
  StartBrokers(5);
  for (int i = 0; i < 30; ++i) CreateAssigned("t" + std::to_string(i), {{1, 2, 3}});
  EXPECT_EQ(Change(ChangeBrokerRequest::DECOMMISSION, 2).error_code(), 0);
  int moving_max = 0;
  for (int step = 0; step < 100 && Replicas(2) > 0; ++step) {
    BeatFor(200, {1, 2, 3, 4, 5});
    int moving = 0;
    for (const auto& [name, topic] : *controller_->committed()->topics_by_name)
      moving += topic->partitions[0].moving() ? 1 : 0;
    moving_max = std::max(moving_max, moving);
    if (step == 0) {  // the next controller goes on with it
      quorum_.Lose(NodeId(2));
      quorum_.Lead();
      CommitAll();
    }
    CatchUp();
  }
  EXPECT_EQ(moving_max, 20);
  EXPECT_EQ(Replicas(2), 0);
  for (int i = 0; i < 30; ++i)  // the other broker on the even side
    EXPECT_EQ(ShowMove("t" + std::to_string(i)), "replicas=1,4,3 adding= removing=");
  BeatFor(1000, {1, 2, 3, 4, 5});
  ASSERT_NE(controller_->committed()->FindBroker(NodeId(2)), nullptr);  // it runs
  controller_->OnBrokerConnectionLost(NodeId(2), true);
  BeatFor(500, {1, 3, 4, 5});
  EXPECT_EQ(controller_->committed()->FindBroker(NodeId(2)), nullptr);
  // Whoever comes under that id is a new broker.
  ++Broker(2).incarnation;
  Register(2);
  EXPECT_EQ(GoalOf(2), BrokerGoal::kServe);
}

TEST_F(BrokerGoalsTest, ADecommissionThatIsGivenUpLeavesThingsAsTheyWere) {
  StartBrokers(4);
  CreateAssigned("t", {{1, 2, 3}});
  Change(ChangeBrokerRequest::DECOMMISSION, 1);
  BeatFor(300, {1, 2, 3, 4});
  EXPECT_EQ(ShowMove("t"), "replicas=4,2,3,1 adding=4 removing=1");
  EXPECT_EQ(Change(ChangeBrokerRequest::CANCEL_DECOMMISSION, 1).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=2,3,1 adding= removing=");
  EXPECT_EQ(GoalOf(1), BrokerGoal::kServe);
  BeatFor(1000, {1, 2, 3, 4});
  EXPECT_EQ(ShowMove("t"), "replicas=2,3,1 adding= removing=");
}

// The broker that was to go is the last one in sync, and may come back with nothing: the move away
// from it goes on, for the one that is eligible is new.
TEST_F(BrokerGoalsTest, ADecommissionThatIsGivenUpLetsMovesGoOnThatMust) {
  StartBrokers(4);
  CreateAssigned("t", {{1, 3, 2}});
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  Change(ChangeBrokerRequest::DECOMMISSION, 2);
  BeatFor(300, {1, 2, 3, 4});
  AlterIsr(1, "t", {1, 2, 4});
  for (const int gone : {1, 4}) controller_->OnBrokerConnectionLost(NodeId(gone), true);
  BeatFor(300, {2, 3});
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=4 known=");
  EXPECT_EQ(Change(ChangeBrokerRequest::CANCEL_DECOMMISSION, 2).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=1,3,4,2 adding=4 removing=2");
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=4 known=");
  EXPECT_EQ(GoalOf(2), BrokerGoal::kServe);
}

TEST_F(BrokerGoalsTest, ADecommissionWaitsForWhoIsAway) {
  StartBrokers(4);
  CreateAssigned("t", {{1, 2, 3}});
  controller_->OnBrokerConnectionLost(NodeId(4), true);
  BeatFor(200, {1, 2, 3});
  EXPECT_EQ(Change(ChangeBrokerRequest::DECOMMISSION, 1).error_code(), 0);
  BeatFor(1000, {1, 2, 3});
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,3 adding= removing=");
  BeatFor(500, {1, 2, 3, 4});
  EXPECT_EQ(ShowMove("t"), "replicas=4,2,3,1 adding=4 removing=1");
}

TEST_F(BrokerGoalsTest, LeadsLeftAreToldWithTheirReasons) {
  StartBrokers(3);
  CreateAssigned("a", {{1}});
  CreateAssigned("b", {{1, 2, 3}});
  CreateAssigned("c", {{1, 2}});
  AlterIsr(1, "c", {1});
  const auto left = metadata::LeadsLeft(*controller_->committed(), NodeId(1));
  EXPECT_EQ(metadata::ToText(left),
            "a-0 (no other broker has it); b-0 (its lead is about to go); "
            "c-0 (no other replica of 1,2 is in sync)");
  std::vector<metadata::Obstacle> many(13, left[0]);
  EXPECT_NE(metadata::ToText(many).find(" and 3 others"), std::string::npos);
  EXPECT_EQ(metadata::ToText({}), "");
}

}  // namespace
}  // namespace sluice::controller
