// Full disks, as the controller sees them: whose replicas lead and are in sync in their place, and
// what comes back when there is room.

#include "controller/full_pass.h"

#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;

class FullPassTest : public testing::ClusterFixture {
 protected:
  static constexpr size_t kChangesMax = 10;  // of partitions in an entry

  FullPassTest() : ClusterFixture(1, {.fence_step_changes = kChangesMax}) {}
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
  // "t" with the replicas 1, 2, 3, of which 1 leads.
  void Start(const std::string& min_isr) {
    StartBrokers(3);
    CreateAssigned("t", {{1, 2, 3}});
    AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", min_isr);
  }
  void Fill(int broker) { Broker(broker).full_log_directories = {Broker(broker).directory}; }
  void Empty(int broker) { Broker(broker).full_log_directories.clear(); }
  // A heartbeat of each and a tick.
  void Beat() { BeatFor(100, {1, 2, 3}); }
  int32_t ErrorOfIsr(int leader, std::vector<int> isr) {
    return AlterIsr(leader, "t", std::move(isr)).partitions(0).error_code();
  }
};

TEST_F(FullPassTest, ALeaderWhoseDiskIsFullGivesUpItsLead) {
  Start("2");
  Fill(1);
  Beat();
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  const PartitionEpoch epoch = Partition("t").partition_epoch;
  BeatFor(12'000, {1, 2, 3});
  EXPECT_EQ(Partition("t").partition_epoch, epoch) << "told again: nothing changes";
}

TEST_F(FullPassTest, AFollowerWhoseDiskIsFullLeavesTheIsr) {
  Start("2");
  const LeaderEpoch epoch = Partition("t").leader_epoch;
  Fill(3);
  Beat();
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, epoch) << "no client is interrupted";
}

TEST_F(FullPassTest, NobodyLeavesTheIsrWhereMinIsrWouldBreak) {
  Start("3");
  Fill(3);
  Beat();
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  // A lead goes all the same: what does not ask for all is taken.
  Fill(1);
  Beat();
  EXPECT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
}

TEST_F(FullPassTest, WhereMinIsrIsLoweredTheFullOneLeaves) {
  Start("3");
  Fill(3);
  Beat();
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  BeatFor(FullPass::kIntervalMs + 200, {1, 2, 3});
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
}

TEST_F(FullPassTest, WhereAllAreFullAllStaysAsItIs) {
  Start("1");
  for (const int id : {1, 2, 3}) Fill(id);
  for (const int id : {1, 2, 3}) Heartbeat(id);
  RunForMs(100);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  // The first that has room takes over.
  Empty(3);
  Beat();
  EXPECT_EQ(Show("t"), "leader=3 isr=3 elr= known=");
}

TEST_F(FullPassTest, ADrainedBrokerLeadsRatherThanAFullOne) {
  Start("2");
  AlterIsr(1, "t", {1, 2});
  Change(ChangeBrokerRequest::DRAIN, 2, /*force=*/true);
  Fill(1);
  BeatFor(1000, {1, 2, 3});
  EXPECT_EQ(Show("t"), "leader=2 isr=1,2 elr= known=");
}

TEST_F(FullPassTest, NobodyIsTakenBackWhileItsDiskIsFull) {
  Start("2");
  Fill(3);
  Beat();
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), Code(ErrorCode::kIneligibleReplica));
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
  Empty(3);
  Beat();
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), 0);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
}

// Its answer was lost, and the next try was refused: what the leader asks for then ends it.
TEST_F(FullPassTest, AJoinIsVoidWhenTheIsrThatIsWasAskedFor) {
  Start("2");
  AlterIsr(1, "t", {1, 2});
  const AlterPartitionRequest late = AlterIsrRequest(1, "t", {1, 2, 3});
  Fill(3);
  Beat();
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), Code(ErrorCode::kIneligibleReplica));
  const PartitionEpoch epoch = Partition("t").partition_epoch;
  const auto answer = AlterIsr(1, "t", {1, 2}).partitions(0);
  EXPECT_EQ(answer.error_code(), 0);
  EXPECT_EQ(answer.partition_epoch(), epoch.value() + 1);
  EXPECT_EQ(Partition("t").partition_epoch, epoch + 1);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
  Empty(3);
  Beat();
  EXPECT_EQ(Call(&MetadataController::AlterPartition, late).partitions(0).error_code(),
            Code(ErrorCode::kInvalidUpdateVersion));
}

TEST_F(FullPassTest, AFullMemberDoesNotKeepOthersFromComingAndGoing) {
  Start("3");
  AlterIsr(1, "t", {1, 3});
  Fill(3);
  Beat();
  ASSERT_EQ(Show("t"), "leader=1 isr=1,3 elr=2 known=");
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), 0);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(ErrorOfIsr(1, {1, 3}), 0);
}

TEST_F(FullPassTest, ThePreferredLeaderComesBackWhenItHasRoomAndNotBefore) {
  Start("2");
  Fill(1);
  Beat();
  ASSERT_EQ(Partition("t").leader, NodeId(2));
  EXPECT_EQ(ElectLeader("t").error_code(), Code(ErrorCode::kPreferredLeaderNotAvailable));
  BeatFor(130'000, {1, 2, 3});
  EXPECT_EQ(Partition("t").leader, NodeId(2));
  Empty(1);
  Beat();
  EXPECT_EQ(ErrorOfIsr(2, {1, 2, 3}), 0);
  BeatFor(70'000, {1, 2, 3});
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
}

TEST_F(FullPassTest, ThePreferredLeaderThatIsInSyncAndFullIsNotElected) {
  Start("3");
  Fill(1);
  Beat();
  ASSERT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
  const PartitionOutcome outcome = ElectLeader("t");
  EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kPreferredLeaderNotAvailable));
  EXPECT_EQ(outcome.message(),
            "the disk of broker 1 is full: it leads nothing in that log directory until it has "
            "room");
  BeatFor(130'000, {1, 2, 3});
  EXPECT_EQ(Partition("t").leader, NodeId(2));
  Empty(1);
  Beat();
  EXPECT_EQ(ElectLeader("t").error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(1));
}

// Whoever is next in line when a leader dies.
TEST_F(FullPassTest, AnElectionPassesByAFullReplica) {
  Start("3");
  Fill(2);
  Beat();
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  BeatFor(200, {2, 3});
  EXPECT_EQ(Show("t"), "leader=3 isr=2,3 elr=1 known=");
}

TEST_F(FullPassTest, OnlyReplicasInTheFullDirectoryAreConcerned) {
  Broker(1).directory = 11;
  Broker(1).log_directories = {11, 12};
  Start("2");
  CreateAssigned("other", {{1, 2, 3}});
  CreateAssigned("unplaced", {{1, 2, 3}});
  Assign(1, "t", 12);
  Assign(1, "other", 11);
  Broker(1).full_log_directories = {12, 12, 77};
  Beat();
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(Show("other"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(Show("unplaced"), "leader=1 isr=1,2,3 elr= known=");
  // Where it turns out to be there, and where the other one fills up too.
  Assign(1, "unplaced", 12);
  Broker(1).full_log_directories = {11, 12};
  Beat();
  EXPECT_EQ(Show("unplaced"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(Show("other"), "leader=2 isr=2,3 elr= known=");
  const auto answer = Call(&MetadataController::DescribeQuorum, DescribeQuorumRequest());
  ASSERT_EQ(answer.full_brokers_size(), 1);
  EXPECT_EQ(answer.full_brokers(0).id(), 1);
  EXPECT_EQ(answer.full_brokers(0).directories(), 2);
}

// A step looks at 20,000 at most, and each brings news.
TEST_F(FullPassTest, AWalkComesRoundWhateverIsToldMeanwhile) {
  StartBrokers(3);
  for (const char* name : {"a", "b", "c", "d", "e"})
    ASSERT_EQ(CreateTopic(name, 9000, 1).error_code(), 0);
  CreateAssigned("t", {{1, 2, 3}});
  FullPass pass(kChangesMax);
  FullDirectories full;
  const auto tell = [&](int broker, bool is_full) {
    is_full ? Fill(broker) : Empty(broker);
    full.Note(*controller_->committed(), NextHeartbeat(broker));
  };
  tell(1, true);
  int steps = 0;
  const auto step = [&] {
    tell(3, ++steps % 2 == 1);
    return pass.Next(*controller_->committed(), full, 0);
  };
  Records records;
  while (records.empty() && steps < 10) records = step();
  EXPECT_EQ(steps, 3);
  // What was told since this walk began is looked at by the next one.
  records.clear();
  while (records.empty() && steps < 10) records = step();
  EXPECT_EQ(steps, 6);
}

TEST_F(FullPassTest, NewReplicasGoToFullBrokersLast) {
  StartBrokers(3);
  Fill(2);
  Beat();
  const auto placed = [&](const std::string& name, int32_t factor) {
    EXPECT_EQ(CreateTopic(name, 6, factor).error_code(), 0);
    std::set<NodeId> replicas;
    for (const auto& partition : controller_->committed()->FindTopic(name)->partitions) {
      EXPECT_NE(partition.replicas.front(), NodeId(2)) << name;
      replicas.insert(partition.replicas.begin(), partition.replicas.end());
    }
    return replicas;
  };
  const std::set<NodeId> with_room{NodeId(1), NodeId(3)};
  EXPECT_EQ(placed("one", 1), with_room);
  EXPECT_EQ(placed("two", 2), with_room);
  EXPECT_EQ(placed("three", 3).size(), 3U) << "rather than none";
}

// Producers wait for room, as those of all other topics do.
TEST_F(FullPassTest, WhereNobodyHasRoomTopicsAreCreatedAllTheSame) {
  StartBrokers(3);
  for (const int id : {1, 2, 3}) Fill(id);
  Beat();
  EXPECT_EQ(CreateTopic("t", 6, 3).error_code(), 0);
}

TEST_F(FullPassTest, ManyPartitionsChangeInSteps) {
  constexpr int kPartitions = 25;
  StartBrokers(3);
  CreateAssigned("t", std::vector<std::vector<int>>(kPartitions, {1, 2, 3}));
  Fill(1);
  for (const int id : {2, 3, 1}) Heartbeat(id);
  const auto led = [&] {
    const auto& partitions = controller_->committed()->FindTopic("t")->partitions;
    return std::ranges::count(partitions, NodeId(1), &metadata::PartitionImage::leader);
  };
  std::vector<int64_t> seen{led()};
  for (int ms = 0; ms < 100; ms += 5) {
    RunForMs(5);
    if (led() != seen.back()) seen.push_back(led());
  }
  EXPECT_EQ(seen, (std::vector<int64_t>{kPartitions, kPartitions - 10, kPartitions - 20, 0}));
}

TEST_F(FullPassTest, ANewControllerIsToldAnew) {
  Start("2");
  Fill(1);
  Beat();
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  EXPECT_TRUE(
      Call(&MetadataController::DescribeQuorum, DescribeQuorumRequest()).full_brokers().empty());
  Beat();
  EXPECT_EQ(ErrorOfIsr(2, {1, 2, 3}), Code(ErrorCode::kIneligibleReplica));
}

TEST_F(FullPassTest, WhoIsFencedIsFullNoMore) {
  Start("2");
  Fill(3);
  Beat();
  controller_->OnBrokerConnectionLost(NodeId(3), true);
  BeatFor(200, {1, 2});
  EXPECT_TRUE(
      Call(&MetadataController::DescribeQuorum, DescribeQuorumRequest()).full_brokers().empty());
  BeatFor(200, {1, 2, 3});
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), Code(ErrorCode::kIneligibleReplica)) << "it tells again";
}

TEST_F(FullPassTest, ARestartedBrokerHasToldNothingYet) {
  Start("2");
  Fill(3);
  Beat();
  ++Broker(3).incarnation;
  Empty(3);
  Register(3);
  Heartbeat(3);
  EXPECT_EQ(ErrorOfIsr(1, {1, 2, 3}), 0);
}

}  // namespace
}  // namespace sluice::controller
