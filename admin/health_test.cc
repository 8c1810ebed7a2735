// What cluster health says of full disks and of brokers that operators have set aside, over a
// backend that answers as the test says.
#include "admin/health.h"

#include <gtest/gtest.h>

#include <functional>

#include "admin/testing/handlers_fixture.h"

namespace sluice::admin {
namespace {

class HealthTest : public testing::HandlersFixture {
 protected:
  // Both partitions of "orders", whose replicas are on brokers 1, 2 and 3 and of which
  // min.insync.replicas wants two.
  void Let(int32_t leader, const std::vector<int32_t>& isr) {
    metadata::MetadataBatch batch;
    for (int32_t i = 0; i < 2; ++i) {
      auto* change = batch.add_records()->mutable_partition_change();
      change->set_topic_id(std::string(16, 'T'));
      change->set_partition(i);
      change->set_leader(leader);
      for (const int32_t id : isr) change->mutable_isr()->add_ids(id);
    }
    Apply(batch);
  }
  void Want(int32_t broker, metadata::BrokerGoalCode goal) {
    metadata::MetadataBatch batch;
    batch.add_records()->mutable_broker_change()->set_broker_id(broker);
    batch.mutable_records(0)->mutable_broker_change()->set_goal(goal);
    Apply(batch);
  }
  void Fill(int32_t broker, int directories = 1) {
    auto* full = backend_.quorum.add_full_brokers();
    full->set_id(broker);
    full->set_directories(directories);
  }
  // Of broker 2, which has two: partition 0 is in the full one, partition 1 in the other.
  void FillADirectory() {
    const std::string full_id(16, 'F'), other_id(16, 'O');
    auto image = std::make_shared<metadata::Image>(*backend_.image);
    auto broker = std::make_shared<metadata::BrokerImage>(*image->FindBroker(NodeId(2)));
    broker->log_directories = {Uuid::FromBytes(full_id), Uuid::FromBytes(other_id)};
    image->brokers[NodeId(2)] = broker;
    backend_.image = image;
    Change([&](metadata::TopicImage& topic) {
      for (size_t i = 0; i < 2; ++i) {
        topic.partitions[i].leader = NodeId(1);
        topic.partitions[i].directories.resize(3);
        topic.partitions[i].directories[1] = Uuid::FromBytes(i == 0 ? full_id : other_id);
      }
    });
    Fill(2);
    backend_.quorum.mutable_full_brokers(0)->add_directory_ids(full_id);
  }
  // "orders", as no controller would have it by itself.
  void Change(const std::function<void(metadata::TopicImage&)>& change) {
    auto image = std::make_shared<metadata::Image>(*backend_.image);
    auto topics = std::make_shared<metadata::TopicsByName>(*image->topics_by_name);
    auto topic = std::make_shared<metadata::TopicImage>(*topics->begin()->second);
    change(*topic);
    topics->Set(topic->name, topic);
    image->topics_by_name = topics;
    backend_.image = image;
  }
  ClusterHealthResponse Health() { return *Call(&Handlers::ClusterHealth, ClusterHealthRequest()); }
  static std::vector<std::string> WhatOf(const ClusterHealthResponse& health) {
    std::vector<std::string> what;
    for (const Problem& problem : health.problems()) what.push_back(problem.what());
    return what;
  }

 private:
  void Apply(const metadata::MetadataBatch& batch) {
    const LogIndex index = backend_.image->last_index + 1;
    metadata::ImageBuilder builder(backend_.image);
    const Status applied = builder.ApplyBatch(batch, index);
    ASSERT_TRUE(applied.ok()) << applied.ToString();
    backend_.image = builder.Build(index, Term(1));
  }
};

constexpr char kTwoIsFull[] =
    "broker 2 has a full log directory: its replicas there lead nothing and are out of sync "
    "wherever the others suffice";
constexpr char kThreeIsFull[] =
    "broker 3 has a full log directory: its replicas there lead nothing and are out of sync "
    "wherever the others suffice";

TEST_F(HealthTest, OneFullDiskOfThreeLeavesNoFailureToSpare) {
  Fill(2);
  Let(1, {1, 3});
  const ClusterHealthResponse health = Health();
  EXPECT_EQ(WhatOf(health),
            (std::vector<std::string>{"2 partitions with just min.insync.replicas in sync on disks "
                                      "with room: one more failure stops writes to them",
                                      kTwoIsFull}));
  EXPECT_EQ(health.summary(), "all 3 brokers in service; no data unavailable");
  EXPECT_EQ(health.problems(0).next_step(), "give the disk of node 2 room, as said below");
}

// Nobody leaves an ISR where too few others have room, so members of it may append nothing.
TEST_F(HealthTest, TwoFullDisksOfThreeStopWritesAndNotReads) {
  Fill(2);
  Fill(3);
  Let(1, {1, 2, 3});
  const std::vector<std::string> stopped = {
      "2 partitions with fewer in-sync replicas on disks with room than min.insync.replicas: "
      "writes with acks=all fail; others, and reads, go on",
      kTwoIsFull, kThreeIsFull};
  EXPECT_EQ(WhatOf(Health()), stopped);
  EXPECT_EQ(Health().summary(), "all 3 brokers in service; 2 partitions cannot be written");
  EXPECT_EQ(Health().problems(0).next_step(), "give the disk of node 2, 3 room, as said below");
  // One that has left before: just as many as min.insync.replicas wants, and not all have room.
  Let(1, {1, 2});
  EXPECT_EQ(WhatOf(Health()), stopped);
  Let(1, {1});
  EXPECT_EQ(WhatOf(Health()).front(),
            "2 partitions with fewer replicas in sync than min.insync.replicas: writes with "
            "acks=all fail");
  EXPECT_EQ(Health().problems(0).next_step(), "give the disk of node 2, 3 room, as said below");
}

TEST_F(HealthTest, WhereAllDisksAreFullNothingIsWrittenAndAllIsRead) {
  for (const int32_t id : {1, 2, 3}) Fill(id);
  Let(1, {1, 2, 3});
  EXPECT_EQ(WhatOf(Health()).front(),
            "2 partitions whose leader is on a full disk: no record is taken, with any acks; what "
            "is there can be read");
  EXPECT_EQ(Health().summary(), "all 3 brokers in service; 2 partitions cannot be written");
}

TEST_F(HealthTest, OnlyReplicasInTheFullDirectoryLackRoom) {
  FillADirectory();
  EXPECT_EQ(WhatOf(Health()).front(),
            "1 partition with just min.insync.replicas in sync on disks with room: one more "
            "failure stops writes to them");
}

constexpr char kWait[] =
    "wait until the replicas have caught up; sluice topic describe shows a topic's. One that does "
    "not may be damaged: ask its own node for its health";

TEST_F(HealthTest, TheNextStepIsAboutTheReplicasThatSuffer) {
  FillADirectory();
  Change([](metadata::TopicImage& topic) { topic.partitions[1].isr = {NodeId(1)}; });
  ClusterHealthResponse health = Health();
  ASSERT_GE(health.problems_size(), 2);
  EXPECT_EQ(health.problems(0).what().find("1 partition with fewer replicas in sync than "), 0U);
  EXPECT_EQ(health.problems(0).next_step(), kWait) << "none of its replicas is on the full disk";
  EXPECT_EQ(health.problems(1).next_step(), "give the disk of node 2 room, as said below");
  // The same problem with two causes.
  Change([](metadata::TopicImage& topic) { topic.partitions[1].isr = {NodeId(1), NodeId(2)}; });
  health = Health();
  EXPECT_EQ(health.problems(0).what().find("2 partitions with just min.insync.replicas"), 0U);
  EXPECT_EQ(health.problems(0).next_step(),
            "give the disk of node 2 room, as said below; others catch up by themselves, unless "
            "the health of their own nodes names them");
}

TEST_F(HealthTest, WhoIsDownKeepsOnlyItsOwnPartitionsOutOfSync) {
  backend_.image = testing::ThreeBrokers(/*all_up=*/false);
  Change([](metadata::TopicImage& topic) {
    topic.partitions[0].isr = topic.partitions[0].replicas;
    topic.partitions[1].replicas = {NodeId(1), NodeId(2)};
    topic.partitions[1].isr = {NodeId(1)};
  });
  const ClusterHealthResponse health = Health();
  ASSERT_EQ(health.problems_size(), 2);
  EXPECT_EQ(health.problems(0).next_step(), "bring node 3 back");
  EXPECT_EQ(health.problems(1).next_step(), kWait);
}

TEST_F(HealthTest, OnlyADamagedReplicaOfThePartitionIsToBeRebuilt) {
  Change([](metadata::TopicImage& topic) { topic.partitions[1].isr = {NodeId(1), NodeId(2)}; });
  backend_.partitions = {
      {.topic = "orders", .partition = PartitionIndex(0), .offline = true, .damage = "short"}};
  EXPECT_EQ(Health().problems(0).next_step(), kWait);
  backend_.partitions[0].partition = PartitionIndex(1);
  EXPECT_EQ(Health().problems(0).next_step().find("rebuild the damaged replica of this node"), 0U);
}

TEST_F(HealthTest, OfItsOwnFullDirectoriesANodeKnowsMore) {
  Fill(1, 2);
  Let(3, {2, 3});
  EXPECT_EQ(WhatOf(Health()).at(1).find("broker 1 has 2 full log directories: "), 0U);
  backend_.directories = {{"/data", LocalDirectory::Standing::kFull, 5 << 20}};
  EXPECT_EQ(WhatOf(Health()).at(1),
            "log directory /data of node 1 has only 5 MiB free: nothing is written to it");
}

TEST_F(HealthTest, WhoIsDrainedIsNotedAndNoProblem) {
  EXPECT_EQ(Health().notes_size(), 0);
  Want(2, metadata::BROKER_GOAL_DRAIN);
  Want(3, metadata::BROKER_GOAL_DECOMMISSION);
  const ClusterHealthResponse health = Health();
  EXPECT_TRUE(health.healthy());
  EXPECT_EQ(health.problems_size(), 0);
  ASSERT_EQ(health.notes_size(), 2);
  EXPECT_EQ(health.notes(0).what(),
            "broker 2 is drained: it leads only what nobody else may lead, and gets no new "
            "replicas");
  EXPECT_EQ(health.notes(0).next_step(), "sluice broker undrain 2 lets it serve again");
  EXPECT_EQ(health.notes(1).what(),
            "broker 3 is being decommissioned: its replicas move to others");
  EXPECT_NE(health.notes(1).next_step().find("--cancel"), std::string::npos);
  Want(2, metadata::BROKER_GOAL_SERVE);
  Want(3, metadata::BROKER_GOAL_SERVE);
  EXPECT_EQ(Health().notes_size(), 0);
}

}  // namespace
}  // namespace sluice::admin
