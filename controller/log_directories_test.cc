// Brokers with several log directories, as the controller sees them: where replicas are,
// directories that fail, come back, or are replaced.

#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;

class LogDirectoriesTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
  // Brokers 1 to 3; number 1 has the directories 11 and 12.
  void Start(const std::string& durability = "fsync", const std::string& min_isr = "1") {
    Broker(1).directory = 11;
    Broker(1).log_directories = {11, 12};
    StartBrokers(3);
    CreateAssigned("t", {{1, 2, 3}});
    AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "durability", durability);
    AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", min_isr);
  }
  void Fail(int directory) {
    Broker(1).offline_log_directories.push_back(directory);
    std::erase(Broker(1).log_directories, directory);
    Heartbeat(1);
  }
  void Restart(std::vector<int> online) {
    testing::TestBroker& broker = Broker(1);
    ++broker.incarnation;
    broker.log_directories = std::move(online);
    broker.offline_log_directories.clear();
    EXPECT_EQ(Register(1).outcome().error_code(), 0);
    Heartbeat(1);
  }
};

TEST_F(LogDirectoriesTest, AReplicasDirectoryIsKept) {
  Start();
  const PartitionEpoch before = Partition("t").partition_epoch;
  EXPECT_EQ(Assign(1, "t", 12), 0);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(Partition("t").partition_epoch, before + 1);
  EXPECT_FALSE(Partition("t").DirectoryOf(NodeId(1)).IsZero());
  EXPECT_TRUE(Partition("t").DirectoryOf(NodeId(2)).IsZero());
  EXPECT_EQ(Assign(1, "t", 12), 0) << "again: nothing changes";
  EXPECT_EQ(Partition("t").partition_epoch, before + 1);
  // It survives a snapshot.
  const auto copy = metadata::FromSnapshot(metadata::ToSnapshot(*controller_->committed()));
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  EXPECT_EQ(*(*copy)->FindTopic("t"), *controller_->committed()->FindTopic("t"));
  EXPECT_EQ(*(*copy)->FindBroker(NodeId(1)), *controller_->committed()->FindBroker(NodeId(1)));
}

TEST_F(LogDirectoriesTest, AReplicaThatMovedWithItsRecordsStaysInTheIsrAndLeads) {
  Start();
  Assign(1, "t", 12);
  EXPECT_EQ(Assign(1, "t", 11, /*moved=*/true), 0);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  const Uuid there = Partition("t").DirectoryOf(NodeId(1));
  // The same without its records: it leaves both.
  EXPECT_EQ(Assign(1, "t", 12), 0);
  EXPECT_NE(Partition("t").DirectoryOf(NodeId(1)), there);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
}

// As in Kafka, a directory that the broker has not registered is one that is offline.
TEST_F(LogDirectoriesTest, AReplicaInADirectoryThatNobodyKnowsIsOutOfService) {
  Start();
  EXPECT_EQ(Assign(1, "t", 77, /*moved=*/true), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(AlterIsr(2, "t", {2, 3, 1}).partitions(0).error_code(),
            Code(ErrorCode::kIneligibleReplica));
}

TEST_F(LogDirectoriesTest, AssignmentsAreFenced) {
  Start();
  CreateAssigned("elsewhere", {{2, 3}});
  EXPECT_EQ(Assign(1, "elsewhere", 11), Code(ErrorCode::kNotLeaderOrFollower));
  const int64_t epoch = std::exchange(Broker(1).epoch, 0);
  EXPECT_EQ(Assign(1, "t", 11), Code(ErrorCode::kStaleBrokerEpoch));
  Broker(1).epoch = epoch;
  AssignReplicasToDirsRequest request;
  request.mutable_sender()->set_cluster_id("cluster");
  request.mutable_sender()->set_node_id(1);
  request.mutable_sender()->set_broker_epoch(epoch);
  request.add_replicas()->set_directory("short");
  const auto response = Call(&MetadataController::AssignReplicasToDirs, request);
  EXPECT_EQ(response.replicas(0).error_code(), Code(ErrorCode::kInvalidRequest));
}

TEST_F(LogDirectoriesTest, AReplicaThatIsFoundDamagedLeavesTheIsrAndItsLeadership) {
  Start("fsync", "2");
  Broker(1).found_damaged = {{"t", 0}, {"t", 0}, {"t", 7}};
  Heartbeat(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  const PartitionEpoch epoch = Partition("t").partition_epoch;
  Heartbeat(1);
  EXPECT_EQ(Partition("t").partition_epoch, epoch) << "told again: nothing changes";
}

TEST_F(LogDirectoriesTest, ADamagedReplicaThatIsAloneLeadsUntilAnotherIsInSync) {
  Start();
  AlterIsr(1, "t", {1});
  ASSERT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  Broker(1).found_damaged = {{"t", 0}};
  Heartbeat(1);
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr= known=");
  AlterIsr(1, "t", {1, 2});
  Heartbeat(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr= known=");
}

TEST_F(LogDirectoriesTest, ADamagedReplicaIsNoEligibleLeader) {
  Start("fsync", "3");
  Broker(1).found_damaged = {{"t", 0}};
  Heartbeat(1);
  const auto& partition = Partition("t");
  EXPECT_EQ(partition.leader, NodeId(2));
  EXPECT_TRUE(partition.elr.empty()) << "it may lack what was acknowledged";
}

TEST_F(LogDirectoriesTest, AFailedDirectoryTakesOnlyItsReplicasOutOfService) {
  Start();
  CreateAssigned("other", {{1, 2, 3}});
  Assign(1, "t", 12);
  Assign(1, "other", 11);
  Fail(12);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(Show("other"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_FALSE(controller_->committed()->FindBroker(NodeId(1))->fenced);
  Heartbeat(1);  // says it again
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(AlterIsr(2, "t", {2, 3, 1}).partitions(0).error_code(),
            Code(ErrorCode::kIneligibleReplica));
}

TEST_F(LogDirectoriesTest, AnAssignmentToAFailedDirectoryMovesTheLeader) {
  Start();
  Fail(12);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=") << "nobody knows yet where it is";
  EXPECT_EQ(Assign(1, "t", 12), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
}

TEST_F(LogDirectoriesTest, AReplicaIsEligibleAgainWhenItsDirectoryIsBack) {
  Start("fsync", "2");
  Assign(1, "t", 12);
  AlterIsr(1, "t", {1});
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr=2,3 known=");
  Register(2);  // a retry: nothing happens
  Fail(12);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=1,3 known=");
  AlterIsr(2, "t", {2});
  // Others go: only the replica in the failed directory is complete, and nobody leads without it.
  ++Broker(2).incarnation;
  Broker(2).damaged = {{"t", 0}};
  Register(2);
  ++Broker(3).incarnation;
  Broker(3).damaged = {{"t", 0}};
  Register(3);
  EXPECT_EQ(Show("t").substr(0, 10), "leader=-1 ");
  Heartbeat(1);
  EXPECT_EQ(Show("t").substr(0, 10), "leader=-1 ");
  Restart({11, 12});
  EXPECT_EQ(Partition("t").leader, NodeId(1));
}

TEST_F(LogDirectoriesTest, InReplicatedModeAFailedDirectoryMayHaveLostRecords) {
  Start("replicated", "2");
  Assign(1, "t", 12);
  AlterIsr(1, "t", {1});
  Fail(12);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=1,3 known=");
  Restart({11, 12});
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=3 known=1");
}

TEST_F(LogDirectoriesTest, EachDirectoryIsJudgedByItsOwnMarker) {
  Start("replicated", "2");
  CreateAssigned("other", {{1, 2, 3}});
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "other", "durability", "replicated");
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "other", "min.insync.replicas", "3");
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "3");
  Assign(1, "t", 12);
  Assign(1, "other", 11);
  // The host was restarted, and only one directory had been closed.
  Broker(1).boot = "boot2";
  Broker(1).previous_epochs = {{11, Broker(1).epoch}};
  ++Broker(1).incarnation;
  Register(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=1");
  EXPECT_EQ(Show("other"), "leader=2 isr=2,3 elr=1 known=");
}

TEST_F(LogDirectoriesTest, AnOlderCopyOfOneDirectoryIsNotTrusted) {
  Start("fsync", "3");
  Assign(1, "t", 12);
  Broker(1).previous_epochs = {{11, Broker(1).epoch}, {12, Broker(1).epoch - 1}};
  ++Broker(1).incarnation;
  Register(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=1");
}

TEST_F(LogDirectoriesTest, AReplicaMadeAnewInAnotherDirectoryHasNothing) {
  Start("fsync", "2");
  Assign(1, "t", 12);
  AlterIsr(1, "t", {1, 2});
  Fail(12);
  Broker(2).want_shutdown = true;
  Heartbeat(2);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=2,1 known=2") << "complete, all of them away";
  // The operator takes the broken disk out of the configuration.
  Restart({});
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=2,1 known=2");
  EXPECT_EQ(Assign(1, "t", 11), 0);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=2 known=2");
  EXPECT_EQ(Assign(1, "t", 11), 0);
}

TEST_F(LogDirectoriesTest, ABrokerThatGrowsKeepsWhatItHad) {
  StartBrokers(2);
  CreateAssigned("t", {{1, 2}});
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  Broker(1).previous_epochs = {{1, Broker(1).epoch}};
  ++Broker(1).incarnation;
  Broker(1).log_directories = {1, 12};
  Register(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=1 known=");
  // But not when its only directory is another one now.
  ++Broker(2).incarnation;
  Broker(2).directory = 22;
  Broker(2).log_directories = {22, 23};
  EXPECT_NE(Register(2).outcome().error_code(), 0) << "alive with its old directory";
  BeatFor(1000, {1});
  EXPECT_EQ(Register(2).outcome().error_code(), 0);
  EXPECT_EQ(Partition("t").elr, std::vector<NodeId>{});
}

}  // namespace
}  // namespace sluice::controller
