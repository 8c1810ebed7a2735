// Leads that the active controller moves by itself: back to the preferred replicas, at a pace, and
// away from brokers that are drained.

#include "controller/leader_pass.h"

#include <gtest/gtest.h>

#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

class LeaderPassTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(3);
  }
  // Partitions of "t" that broker 1 is to lead, and whose other replicas are in sync with it.
  void MakeTopic(int partitions) {
    CreateAssigned("t", std::vector<std::vector<int>>(static_cast<size_t>(partitions), {1, 2, 3}));
  }
  // Away, and back in all ISRs, leading nothing.
  void Bounce() {
    controller_->OnBrokerConnectionLost(NodeId(1), true);
    BeatFor(200, {2, 3});
    Heartbeat(1);
    AlterPartitionRequest request;
    *request.mutable_sender() = SenderFor(2);
    const auto& partitions = controller_->committed()->FindTopic("t")->partitions;
    for (size_t i = 0; i < partitions.size(); ++i) {
      auto& asked = *request.add_partitions();
      asked.set_topic_id(std::string(controller_->committed()->FindTopic("t")->id.view()));
      asked.set_partition(static_cast<int32_t>(i));
      asked.set_leader_epoch(partitions[i].leader_epoch.value());
      asked.set_partition_epoch(partitions[i].partition_epoch.value());
      for (const int id : {1, 2, 3}) {
        asked.add_isr()->set_id(id);
        asked.mutable_isr()->rbegin()->set_broker_epoch(Broker(id).epoch);
      }
    }
    Call(&MetadataController::AlterPartition, request);
    ASSERT_EQ(LedBy(1), 0);
  }
  int LedBy(int broker) const {
    int count = 0;
    for (const auto& p : controller_->committed()->FindTopic("t")->partitions)
      count += p.leader == NodeId(broker) ? 1 : 0;
    return count;
  }
};

TEST_F(LeaderPassTest, LeadsComeBackToThePreferredReplicas) {
  MakeTopic(3);
  Bounce();
  BeatFor(50'000, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 0);
  BeatFor(15'000, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 3);
  EXPECT_EQ(controller_->metrics().preferred_elections, 3U);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  const size_t entries = quorum_.log().size();
  BeatFor(130'000, {1, 2, 3});  // where all is well nothing is written
  EXPECT_EQ(quorum_.log().size(), entries);
}

TEST_F(LeaderPassTest, WhoIsNotInSyncIsNotElected) {
  MakeTopic(1);
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  BeatFor(200, {2, 3});
  BeatFor(130'000, {1, 2, 3});
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(controller_->metrics().preferred_elections, 0U);
}

// 500 a second, 50 a step.
TEST_F(LeaderPassTest, NotAllLeadsMoveAtOnce) {
  MakeTopic(230);
  Bounce();
  int before = 0;
  for (int step = 0; step < 700 && before < 230; ++step) {
    BeatFor(100, {1, 2, 3});
    const int now = LedBy(1);
    EXPECT_LE(now - before, 50);
    before = now;
  }
  EXPECT_EQ(before, 230);
  EXPECT_EQ(controller_->metrics().preferred_elections, 230U);
}

TEST_F(LeaderPassTest, ADrainedBrokerLosesItsLeadsAtAPaceAndGetsThemBack) {
  MakeTopic(120);
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 1).error_code(), 0);
  EXPECT_EQ(LedBy(1), 120);
  BeatFor(100, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 70);
  BeatFor(300, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
  EXPECT_EQ(controller_->metrics().yielded_leads, 120U);
  BeatFor(130'000, {1, 2, 3});  // preferred or not
  EXPECT_EQ(LedBy(1), 0);
  EXPECT_EQ(Change(ChangeBrokerRequest::UNDRAIN, 1).error_code(), 0);
  BeatFor(400, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 120);
}

TEST_F(LeaderPassTest, ADrainGoesOnWithTheNextController) {
  MakeTopic(120);
  Change(ChangeBrokerRequest::DRAIN, 1);
  BeatFor(100, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 70);
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  BeatFor(300, {1, 2, 3});
  EXPECT_EQ(LedBy(1), 0);
  ++Broker(1).incarnation;
  Register(1);
  BeatFor(200, {1, 2, 3});
  EXPECT_TRUE(metadata::Yields(*controller_->committed(), NodeId(1)));
  EXPECT_EQ(LedBy(1), 0);
}

TEST_F(LeaderPassTest, ItLeadsWhileNobodyElseIsInSyncAndNoLonger) {
  MakeTopic(1);
  AlterIsr(1, "t", {1});
  EXPECT_EQ(Change(ChangeBrokerRequest::DRAIN, 1, true).error_code(), 0);
  BeatFor(500, {1, 2, 3});
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  AlterIsr(1, "t", {1, 3});
  EXPECT_EQ(Show("t"), "leader=3 isr=1,3 elr= known=");
}

TEST_F(LeaderPassTest, TheSameImageGivesTheSameSteps) {
  MakeTopic(130);
  Bounce();
  const metadata::ImagePtr image = controller_->committed();
  std::vector<std::string> runs;
  for (int run = 0; run < 2; ++run) {
    LeaderPass pass({.leads_per_second = 200});
    pass.Activate(*image, 0);
    EXPECT_TRUE(pass.Next(*image, FullDirectories(), 100).records.empty());
    pass.Request();
    std::string& text = runs.emplace_back();
    for (int64_t now_ms = 200; now_ms < 2000; now_ms += 100) {
      const LeaderPass::Step step = pass.Next(*image, FullDirectories(), now_ms);
      EXPECT_EQ(step.records.size(), step.preferred);
      EXPECT_LE(step.preferred, 20U);
      for (const auto& record : step.records) text += record.SerializeAsString();
    }
  }
  EXPECT_FALSE(runs[0].empty());
  EXPECT_EQ(runs[0], runs[1]);
  LeaderPass off({.preferred = false});
  off.Activate(*image, 0);
  off.Request();
  EXPECT_TRUE(off.Next(*image, FullDirectories(), 100).records.empty());
}

}  // namespace
}  // namespace sluice::controller
