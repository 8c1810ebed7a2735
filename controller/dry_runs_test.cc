// Requests that are only validated: what they say would be, and that nothing is.
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"
#include "kafka/error_code.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;

class DryRunsTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(5);
    CreateAssigned("t", {{1, 2, 3}});
    entries_ = quorum_.log().size();
  }
  void TearDown() override { EXPECT_EQ(quorum_.log().size(), entries_) << "nothing is proposed"; }

  PartitionOutcome Move(std::optional<std::vector<int>> replicas) {
    AlterPartitionReassignmentsRequest request;
    request.set_validate_only(true);
    auto& partition = *request.add_partitions();
    partition.set_topic("t");
    if (replicas.has_value()) {
      for (const int id : *replicas) partition.mutable_replicas()->add_ids(id);
    }
    return Call(&MetadataController::AlterPartitionReassignments, request).partitions(0);
  }
  ElectLeadersResponse Elect(bool all, bool unclean = false) {
    ElectLeadersRequest request;
    request.set_validate_only(true);
    request.set_all(all);
    request.set_unclean(unclean);
    if (!all) request.add_partitions()->set_topic("t");
    return Call(&MetadataController::ElectLeaders, request);
  }
  // "leader=4 replicas=4,5,3", or "" where nothing would change.
  static std::string WouldBe(const PartitionOutcome& outcome) {
    EXPECT_EQ(outcome.error_code(), 0) << outcome.message();
    if (!outcome.has_would_be()) return "";
    std::string text = "leader=" + std::to_string(outcome.would_be().leader()) + " replicas=";
    for (int i = 0; i < outcome.would_be().replicas_size(); ++i)
      text += (i == 0 ? "" : ",") + std::to_string(outcome.would_be().replicas(i));
    return text;
  }

  void Fill(int broker) {
    Broker(broker).full_log_directories = {Broker(broker).directory};
    Heartbeat(broker);
  }
  // That "t" comes to what was told of the move: once broker 4, which is new, is in sync.
  void ExpectLeaderAfter(const std::vector<int>& replicas, const std::string& leader) {
    Reassign("t", replicas);
    AlterIsr(1, "t", {1, 2, 3, 4});
    EXPECT_EQ(Show("t").find("leader=" + leader + " isr=2,3,4 "), 0U) << Show("t");
    entries_ = quorum_.log().size();
  }

  size_t entries_ = 0;
};

TEST_F(DryRunsTest, AMoveIsToldAsItWillHaveEnded) {
  EXPECT_EQ(WouldBe(Move({{4, 5, 1}})), "leader=1 replicas=4,5,1");
  EXPECT_EQ(WouldBe(Move({{4, 5, 3}})), "leader=4 replicas=4,5,3") << "who leads goes";
  EXPECT_EQ(WouldBe(Move({{1, 2, 3}})), "") << "they are there";
  EXPECT_FALSE(Move({{4, 5, 9}}).has_would_be());
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,3 adding= removing=");
}

TEST_F(DryRunsTest, AMoveGivenUpGoesBack) {
  Reassign("t", {{4, 5, 3}});
  entries_ = quorum_.log().size();
  EXPECT_EQ(WouldBe(Move(std::nullopt)), "leader=1 replicas=3,1,2") << "who stayed comes first";
  EXPECT_EQ(ShowMove("t"), "replicas=4,5,3,1,2 adding=4,5 removing=1,2");
}

TEST_F(DryRunsTest, WhoIsDrainedIsNotToldToLead) {
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 2).error_code(), 0);
  EXPECT_EQ(WouldBe(Move({{2, 3, 4}})), "leader=3 replicas=2,3,4");
  ExpectLeaderAfter({2, 3, 4}, "3");
}

TEST_F(DryRunsTest, WhoseDiskIsFullIsNotToldToLead) {
  // All are needed, so nobody leaves the ISR.
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "3");
  Fill(2);
  EXPECT_EQ(WouldBe(Move({{2, 3, 4}})), "leader=3 replicas=2,3,4");
  ExpectLeaderAfter({2, 3, 4}, "3");
}

TEST_F(DryRunsTest, AMoveThatIsDoneAtOnceElectsNobodyWhoseDiskIsFull) {
  Fill(2);
  AlterPartitionReassignmentsRequest request;
  request.set_allow_replication_factor_change(true);
  request.add_partitions()->set_topic("t");
  for (const int id : {2, 3}) request.mutable_partitions(0)->mutable_replicas()->add_ids(id);
  request.set_validate_only(true);
  const auto would_be = Call(&MetadataController::AlterPartitionReassignments, request);
  EXPECT_EQ(WouldBe(would_be.partitions(0)), "leader=3 replicas=2,3");
  request.set_validate_only(false);
  Call(&MetadataController::AlterPartitionReassignments, request);
  EXPECT_EQ(Show("t"), "leader=3 isr=2,3 elr= known=");
  entries_ = quorum_.log().size();
}

TEST_F(DryRunsTest, WhatIsTooLargeForOneEntryIsRefusedAsTheRealRequestIs) {
  const std::string one = "2147483646:2147483646";
  std::string everywhere = one;
  while (everywhere.size() < size_t{9} << 20) everywhere += "," + one;
  AlterConfigsRequest alter;
  auto& resource = *alter.add_resources();
  resource.set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  resource.set_name("t");
  resource.add_entries()->set_key("leader.replication.throttled.replicas");
  resource.mutable_entries(0)->set_value(everywhere);
  CreateTopicsRequest create;
  auto& topic = *create.add_topics();
  topic.set_name("new");
  topic.set_partition_count(1);
  topic.set_replication_factor(1);
  (*topic.mutable_configs())["leader.replication.throttled.replicas"] = everywhere;
  for (const bool dry_run : {true, false}) {
    alter.set_validate_only(dry_run);
    create.set_validate_only(dry_run);
    for (const Outcome& outcome : {Call(&MetadataController::AlterConfigs, alter).outcome(),
                                   Call(&MetadataController::CreateTopics, create).outcome()}) {
      EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kInvalidRequest)) << dry_run;
      EXPECT_NE(outcome.message().find("split it"), std::string::npos) << outcome.message();
    }
  }
}

TEST_F(DryRunsTest, AnElectionNamesWhoWouldLead) {
  Broker(1).want_shutdown = true;
  Heartbeat(1);
  BeatFor(900, {2, 3, 4, 5});
  Broker(1).want_shutdown = false;
  ++Broker(1).incarnation;
  Register(1);
  Heartbeat(1);
  AlterIsr(2, "t", {1, 2, 3});
  ASSERT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
  entries_ = quorum_.log().size();
  for (const bool all : {false, true}) {
    const ElectLeadersResponse would_be = Elect(all);
    ASSERT_EQ(would_be.partitions_size(), 1);
    EXPECT_EQ(WouldBe(would_be.partitions(0)), "leader=1 replicas=1,2,3");
  }
  EXPECT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
}

TEST_F(DryRunsTest, AnUncleanElectionIsNotLoggedAsDone) {
  AlterIsr(1, "t", {1});
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  RunForMs(200);
  BeatFor(100, {2, 3, 4, 5});
  for (const int id : {2, 3}) {
    Broker(id).log_ends[{"t", 0}] = {0, 5};
    Heartbeat(id);
  }
  ASSERT_EQ(Show("t"), "leader=-1 isr= elr=1 known=1");
  entries_ = quorum_.log().size();
  ::sluice::testing::LogCatcher log;
  EXPECT_EQ(WouldBe(Elect(false, true).partitions(0)), "leader=2 replicas=1,2,3");
  EXPECT_EQ(log.Count("was elected"), 0);
}

TEST_F(DryRunsTest, ATopicThatWouldBeDeletedStays) {
  DeleteTopicsRequest request;
  request.set_validate_only(true);
  request.add_topics()->set_name("t");
  request.add_topics()->set_name("none");
  const DeleteTopicsResponse response = Call(&MetadataController::DeleteTopics, request);
  EXPECT_EQ(response.topics(0).error_code(), 0);
  EXPECT_EQ(response.topics(0).partition_count(), 1);
  EXPECT_EQ(response.topics(1).error_code(), Code(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_NE(controller_->committed()->FindTopic("t"), nullptr);
}

}  // namespace
}  // namespace sluice::controller
