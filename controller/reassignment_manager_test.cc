// Partitions that move and leaders that are chosen: stories, what is refused, and random walks in
// which a model knows who has all that was acknowledged.

#include "controller/reassignment_manager.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing/log_catcher.h"
#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using metadata::CONFIG_RESOURCE_TYPE_TOPIC;

class ReassignmentManagerTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(5);
    CreateAssigned("t", {{1, 2, 3}});
  }

  void ExpectRefused(const PartitionOutcome& outcome, ErrorCode code, const std::string& cause) {
    EXPECT_EQ(outcome.error_code(), Code(code)) << outcome.message();
    EXPECT_NE(outcome.message().find(cause), std::string::npos) << outcome.message();
  }
  uint64_t Hash() const { return metadata::StateHash(*controller_->committed()); }
  void Kill(int broker) {
    controller_->OnBrokerConnectionLost(NodeId(broker), true);
    RunForMs(200);
    std::vector<int> others;
    for (int id = 1; id <= 5; ++id) {
      if (id != broker && controller_->committed()->FindBroker(NodeId(id))->active())
        others.push_back(id);
    }
    BeatFor(100, others);
  }
};

TEST_F(ReassignmentManagerTest, AddsCatchesUpAndDrops) {
  EXPECT_EQ(Reassign("t", {{4, 5, 3}}).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=4,5,3,1,2 adding=4,5 removing=1,2");
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(0));
  EXPECT_EQ(AlterIsr(1, "t", {1, 2, 3, 4}).partitions(0).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=4,5,3,1,2 adding=4,5 removing=1,2");
  const auto done = AlterIsr(1, "t", {1, 2, 3, 4, 5}).partitions(0);
  EXPECT_EQ(ShowMove("t"), "replicas=4,5,3 adding= removing=");
  EXPECT_EQ(Show("t"), "leader=4 isr=3,4,5 elr= known=");
  EXPECT_EQ(done.leader(), 4);
  EXPECT_EQ(done.leader_epoch(), 1);
  EXPECT_EQ(done.isr_size(), 3);
  EXPECT_EQ(done.partition_epoch(), Partition("t").partition_epoch.value());
}

TEST_F(ReassignmentManagerTest, TheSameMoveAgainIsNoChange) {
  EXPECT_EQ(Reassign("t", {{1, 2, 3}}).error_code(), 0);
  EXPECT_EQ(Reassign("t", {{1, 2, 4}}).error_code(), 0);
  const uint64_t hash = Hash();
  Kill(4);
  const size_t entries = quorum_.log().size();
  EXPECT_EQ(Reassign("t", {{1, 2, 4}}).error_code(), 0);
  EXPECT_EQ(quorum_.log().size(), entries);
  EXPECT_NE(Hash(), hash);  // broker 4 is fenced, and that is all
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,4,3 adding=4 removing=3");
}

TEST_F(ReassignmentManagerTest, AMoveCanBeGivenUp) {
  ExpectRefused(Reassign("t", std::nullopt), ErrorCode::kNoReassignmentInProgress,
                "t-0 is not being reassigned");
  Reassign("t", {{4, 5, 1}});
  AlterIsr(1, "t", {1, 2, 3, 4});
  EXPECT_EQ(Reassign("t", std::nullopt).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,3 adding= removing=");
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(1));
}

TEST_F(ReassignmentManagerTest, AnotherMoveTakesThePlaceOfTheFirst) {
  Reassign("t", {{4, 5, 1}});
  AlterIsr(1, "t", {1, 2, 3, 4});
  EXPECT_EQ(Reassign("t", {{1, 2, 5}}).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,5,3 adding=5 removing=3");
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  AlterIsr(1, "t", {1, 2, 3, 5});
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,5 adding= removing=");
}

TEST_F(ReassignmentManagerTest, ARateIsThereAsLongAsItsMove) {
  const auto move = [this](std::vector<int> to, std::optional<uint32_t> rate = std::nullopt) {
    EXPECT_EQ(Reassign("t", std::move(to), false, rate).error_code(), 0);
    return ShowMove("t");
  };
  const std::string moving = "replicas=1,2,4,3 adding=4 removing=3";
  EXPECT_EQ(move({1, 2, 4}, 500), moving + " rate=500");
  const size_t entries = quorum_.log().size();
  EXPECT_EQ(move({1, 2, 4}), moving + " rate=500");
  EXPECT_EQ(move({1, 2, 4}, 500), moving + " rate=500");
  EXPECT_EQ(quorum_.log().size(), entries);
  EXPECT_EQ(move({1, 2, 4}, 700), moving + " rate=700");
  EXPECT_EQ(move({1, 2, 4}, 0), moving);
  EXPECT_EQ(move({1, 2, 4}, 700), moving + " rate=700");
  EXPECT_EQ(move({1, 2, 5}), "replicas=1,2,5,3 adding=5 removing=3");
  EXPECT_EQ(move({1, 2, 4}, 300), moving + " rate=300");
  EXPECT_EQ(Reassign("t", std::nullopt).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,3 adding= removing=");
  EXPECT_EQ(move({1, 2, 4}, 300), moving + " rate=300");
  AlterIsr(1, "t", {1, 2, 3, 4});
  EXPECT_EQ(ShowMove("t"), "replicas=1,2,4 adding= removing=");
  EXPECT_EQ(move({4, 2, 1}, 300), "replicas=4,2,1 adding= removing=");
}

TEST_F(ReassignmentManagerTest, WhatCannotBeIsRefused) {
  Kill(5);
  uint64_t hash = Hash();
  size_t entries = quorum_.log().size();
  const auto bad = ErrorCode::kInvalidReplicaAssignment;
  ExpectRefused(Reassign("t", {{1, 2, 9}}), bad, "broker 9 is not registered");
  ExpectRefused(Reassign("t", {{1, 2, -1}}), bad, "broker -1 is not registered");
  ExpectRefused(Reassign("t", {{1, 2, 5}}), bad, "broker 5 is fenced");
  ExpectRefused(Reassign("t", {{1, 2, 2}}), bad, "broker 2 is assigned twice");
  ExpectRefused(Reassign("t", {std::vector<int>{}}), bad, "assigned to no broker");
  ExpectRefused(Reassign("t", {{1, 2}}), ErrorCode::kInvalidReplicationFactor, "from 3 to 2");
  ExpectRefused(Reassign("t", {{1, 2, 3, 4}}), ErrorCode::kInvalidReplicationFactor, "from 3 to 4");
  ExpectRefused(Reassign("no", {{1}}), ErrorCode::kUnknownTopicOrPartition, "'no' does not exist");
  AlterPartitionReassignmentsRequest request;
  for (const int partition : {1, -1, 0, 0}) {
    auto& asked = *request.add_partitions();
    asked.set_topic("t");
    asked.set_partition(partition);
    for (const int id : {1, 2, 4}) asked.mutable_replicas()->add_ids(id);
  }
  // One more that would be done at once.
  CreateAssigned("drops", {{1, 2, 3}});
  auto& dropped = *request.add_partitions();
  dropped.set_topic("drops");
  dropped.mutable_replicas()->add_ids(1);
  request.set_allow_replication_factor_change(true);
  hash = Hash(), entries = quorum_.log().size();
  request.set_validate_only(true);
  const sluice::testing::LogCatcher log;
  const auto response = Call(&MetadataController::AlterPartitionReassignments, request);
  EXPECT_EQ(response.partitions(4).error_code(), 0) << response.partitions(4).message();
  EXPECT_EQ(log.Count("move"), 0) << "nothing was done";
  ExpectRefused(response.partitions(0), ErrorCode::kUnknownTopicOrPartition, "no partition 1");
  ExpectRefused(response.partitions(1), ErrorCode::kUnknownTopicOrPartition, "no partition -1");
  EXPECT_EQ(response.partitions(2).error_code(), 0);
  ExpectRefused(response.partitions(3), ErrorCode::kInvalidRequest, "more than once");
  EXPECT_EQ(Hash(), hash);
  EXPECT_EQ(quorum_.log().size(), entries);
}

TEST_F(ReassignmentManagerTest, TheReplicationFactorChangesWhenThatIsAllowed) {
  EXPECT_EQ(Reassign("t", {{2, 1}}, true).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=2,1 adding= removing=");
  EXPECT_EQ(Reassign("t", {{2, 1, 3, 4}}, true).error_code(), 0);
  EXPECT_EQ(ShowMove("t"), "replicas=2,1,3,4 adding=3,4 removing=");
  AlterIsr(1, "t", {1, 2, 3, 4});
  EXPECT_EQ(ShowMove("t"), "replicas=2,1,3,4 adding= removing=");
}

// A topic of one replica whose min.insync.replicas is 2 takes records before, during and after.
TEST_F(ReassignmentManagerTest, MovingDemandsNoMoreInSyncReplicas) {
  CreateAssigned("one", {{1}});
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "one", "min.insync.replicas", "2");
  Reassign("one", {{2}});
  const auto min_isr = [&] {
    return metadata::EffectiveMinIsr(*controller_->committed(), "one", Partition("one"));
  };
  EXPECT_EQ(min_isr(), 1);
  AlterIsr(1, "one", {1, 2});
  EXPECT_EQ(Show("one"), "leader=2 isr=2 elr= known=");
  EXPECT_EQ(min_isr(), 1);
}

TEST_F(ReassignmentManagerTest, NobodyIsDroppedWhoIsNeeded) {
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  Reassign("t", {{4, 5, 1}});
  AlterIsr(1, "t", {1, 2, 3, 4});
  Kill(2);
  Kill(3);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,4 elr= known=");
  ExpectRefused(Reassign("t", std::nullopt), ErrorCode::kInvalidReplicaAssignment,
                "too few of the in-sync ones, 1,4, would be left");
  ExpectRefused(Reassign("t", {{5, 2, 1}}), ErrorCode::kInvalidReplicaAssignment, "too few");
  // To go on is no danger.
  AlterIsr(1, "t", {1, 4, 5});
  EXPECT_EQ(ShowMove("t"), "replicas=4,5,1 adding= removing=");
}

// Who is eligible may have alone what was acknowledged, should 2 come back without its disk.
TEST_F(ReassignmentManagerTest, NobodyIsDroppedWhoIsEligibleAndNeeded) {
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  Kill(3);
  Reassign("t", {{1, 4, 3}});
  AlterIsr(1, "t", {1, 2, 4});
  Kill(1);
  Kill(4);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=4 known=");
  const uint64_t hash = Hash();
  const std::string cause = "too few of those with all records, in sync 2 and eligible 4, would";
  const auto bad = ErrorCode::kInvalidReplicaAssignment;
  ExpectRefused(Reassign("t", std::nullopt), bad, cause);
  ExpectRefused(Reassign("t", {{1, 2, 5}}), bad, cause);
  EXPECT_EQ(Hash(), hash);
  // Who says that one copy is enough may go on without it.
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "1");
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr= known=");
  EXPECT_EQ(Reassign("t", std::nullopt).error_code(), 0);
  EXPECT_FALSE(Partition("t").moving());
}

TEST_F(ReassignmentManagerTest, MorePartitionsHaveTheFactorOfThoseThatMove) {
  Reassign("t", {{4, 5, 1}});
  CreatePartitionsRequest request;
  request.add_topics()->set_name("t");
  request.mutable_topics(0)->set_partition_count(2);
  EXPECT_EQ(Call(&MetadataController::CreatePartitions, request).topics(0).error_code(), 0);
  EXPECT_EQ(Partition("t", 1).replicas.size(), 3U);
}

TEST_F(ReassignmentManagerTest, ThePreferredReplicaIsGivenTheLead) {
  ExpectRefused(ElectLeader("t"), ErrorCode::kElectionNotNeeded, "");
  Kill(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  ExpectRefused(ElectLeader("t"), ErrorCode::kPreferredLeaderNotAvailable,
                "broker 1 is not in sync: the in-sync replicas are 2,3");
  ExpectRefused(ElectLeader("no"), ErrorCode::kUnknownTopicOrPartition, "does not exist");
  Heartbeat(1);
  AlterIsr(2, "t", {1, 2, 3});
  EXPECT_EQ(ElectLeader("t").error_code(), 0);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(2));
  EXPECT_EQ(controller_->metrics().unclean_elections, 0U);
}

TEST_F(ReassignmentManagerTest, AnUncleanElectionIsSaidAndCounted) {
  AlterIsr(1, "t", {1});
  Kill(1);
  EXPECT_EQ(Show("t"), "leader=-1 isr= elr=1 known=1");
  ExpectRefused(ElectLeader("t"), ErrorCode::kPreferredLeaderNotAvailable, "broker 1");
  ::sluice::testing::LogCatcher log;
  for (const int id : {2, 3}) {
    Broker(id).log_ends[{"t", 0}] = {0, 5};
    Heartbeat(id);
  }
  EXPECT_EQ(ElectLeader("t", true).error_code(), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr= known=");
  EXPECT_EQ(log.Count("t-0: broker 2 was elected"), 1);
  EXPECT_EQ(controller_->metrics().unclean_elections, 1U);
  ExpectRefused(ElectLeader("t", true), ErrorCode::kElectionNotNeeded, "");
}

TEST_F(ReassignmentManagerTest, AnUncleanElectionNeedsSomebodyAlive) {
  for (const int id : {1, 2, 3}) Kill(id);
  ExpectRefused(ElectLeader("t", true), ErrorCode::kEligibleLeadersNotAvailable,
                "none is alive of the replicas 1,2,3");
}

TEST_F(ReassignmentManagerTest, ElectionsOfAllTellOnlyWhatWasNeeded) {
  CreateAssigned("u", {{2, 1, 3}, {1, 2, 3}, {3, 2, 1}});
  Kill(1);
  Heartbeat(1);
  ElectLeadersRequest request;
  request.set_all(true);
  auto response = Call(&MetadataController::ElectLeaders, request);
  ASSERT_EQ(response.partitions_size(), 2);  // t-0 and u-1
  for (const auto& outcome : response.partitions())
    EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kPreferredLeaderNotAvailable));
  AlterIsr(2, "t", {1, 2, 3});
  response = Call(&MetadataController::ElectLeaders, request);
  EXPECT_EQ(response.partitions(0).error_code(), 0);
  EXPECT_EQ(Partition("t").leader, NodeId(1));
}

// Who has every acknowledged record of a topic, as the rules of replication promise it: all of the
// ISR while it is at min ISR, for then records are acknowledged; whoever joins a complete leader;
// nobody who was dropped, for its log is gone.
class CopiesModel {
 public:
  // The leader asks for them in its ISR.
  void CaughtUp(const std::vector<int>& replicas) {
    for (const int id : replicas) complete_.insert(NodeId(id));
  }
  void Note(const metadata::Image& image, const std::string& topic,
            const metadata::PartitionImage& p) {
    const std::set<NodeId> isr(p.isr.begin(), p.isr.end());
    if (static_cast<int32_t>(isr.size()) >= metadata::EffectiveMinIsr(image, topic, p)) {
      EXPECT_TRUE(complete_.empty() || complete_.contains(p.leader)) << topic << ": lost";
      complete_ = isr;
    } else if (p.leader != kNoNode) {
      EXPECT_TRUE(complete_.contains(p.leader)) << topic << ": led by one that lacks records";
      complete_.insert(isr.begin(), isr.end());
    }
    const std::set<NodeId> replicas(p.replicas.begin(), p.replicas.end());
    std::erase_if(complete_, [&](NodeId node) { return !replicas.contains(node); });
    EXPECT_FALSE(complete_.empty()) << topic << ": nobody is left who has all";
  }

 private:
  std::set<NodeId> complete_;
};

class ReassignmentWalkTest : public testing::ClusterFixture,
                             public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int kBrokers = 5;
  ReassignmentWalkTest() : ClusterFixture(static_cast<uint64_t>(GetParam())) {}

  std::string AnyTopic() { return "t" + std::to_string(random_.Below(3)); }
  int AnyBroker() { return static_cast<int>(random_.Between(1, kBrokers)); }

  void Move() {
    std::optional<std::vector<int>> target;
    if (random_.Chance(5, 6)) {
      target.emplace();
      for (int id = 1; id <= kBrokers; ++id) {
        if (random_.Chance(1, 2)) target->push_back(id);
      }
      for (size_t i = 1; i < target->size(); ++i)
        std::swap((*target)[i], (*target)[random_.Below(i + 1)]);
    }
    const std::string topic = AnyTopic();
    const uint64_t hash = metadata::StateHash(*controller_->committed());
    const PartitionOutcome outcome = Reassign(topic, target, true);
    if (outcome.error_code() != 0) {
      EXPECT_EQ(metadata::StateHash(*controller_->committed()), hash) << outcome.message();
      return;
    }
    ++moves_;
  }

  void ChangeIsr() {
    const std::string topic = AnyTopic();
    const metadata::PartitionImage& p = Partition(topic);
    if (p.leader == kNoNode) return;
    std::vector<int> isr;
    for (const NodeId node : p.replicas) {
      if (node == p.leader || random_.Chance(2, 3)) isr.push_back(node.value());
    }
    const bool moving = p.moving();
    models_[topic].CaughtUp(isr);
    AlterIsr(p.leader.value(), topic, isr);
    if (moving && !Partition(topic).moving()) ++completed_;
  }

  // Operators drain brokers and want to be rid of some, and mostly think better of it.
  void ChangeGoal() {
    const int id = AnyBroker();
    if (random_.Chance(1, 3)) {
      Change(random_.Chance(1, 2) ? ChangeBrokerRequest::DRAIN : ChangeBrokerRequest::DECOMMISSION,
             id, random_.Chance(1, 2));
      return RunForMs(250);  // that leads and replicas go
    }
    Change(ChangeBrokerRequest::UNDRAIN, id);
    Change(ChangeBrokerRequest::CANCEL_DECOMMISSION, id);
  }

  void Step() {
    switch (random_.Below(11)) {
      case 10: return ChangeGoal();
      case 0:
      case 1: return Move();
      case 2: {  // killed and started again
        const int id = AnyBroker();
        ++Broker(id).incarnation;
        Register(id);
        return;
      }
      case 3: {
        controller_->OnBrokerConnectionLost(NodeId(AnyBroker()), true);
        RunForMs(100);
        return;
      }
      case 4: {
        AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, AnyTopic(), "min.insync.replicas",
                    std::to_string(random_.Between(1, 3)));
        return;
      }
      case 5: {
        ElectLeader(AnyTopic());
        return;
      }
      case 6: {
        for (int id = 1; id <= kBrokers; ++id) Heartbeat(id);
        return;
      }
      default: return ChangeIsr();
    }
  }

  std::map<std::string, CopiesModel> models_;
  int moves_ = 0;
  int completed_ = 0;
};

TEST_P(ReassignmentWalkTest, NothingAcknowledgedIsLost) {
  quorum_.Lead();
  CommitAll();
  StartBrokers(kBrokers);
  CreateAssigned("t0", {{1, 2, 3}});
  CreateAssigned("t1", {{4, 5}});
  CreateAssigned("t2", {{3}});
  size_t seen = quorum_.log().size();
  metadata::ImagePtr image = controller_->committed();
  for (const std::string topic : {"t0", "t1", "t2"})
    models_[topic].Note(*image, topic, Partition(topic));
  for (int step = 0; step < 500 && !HasFailure(); ++step) {
    Step();
    for (; seen < quorum_.log().size(); ++seen) {
      metadata::ImageBuilder builder(image);
      const raft::Entry& entry = quorum_.log()[seen];
      ASSERT_TRUE(builder.ApplyEntry(entry.data, entry.index).ok());
      image = builder.Build(entry.index, entry.term);
      for (auto& [topic, model] : models_)
        model.Note(*image, topic, image->FindTopic(topic)->partitions[0]);
    }
  }
  EXPECT_EQ(metadata::StateHash(*image), metadata::StateHash(*controller_->committed()));
  EXPECT_EQ(controller_->metrics().unclean_elections, 0U);
  EXPECT_GT(moves_, 12);
  EXPECT_GT(completed_, 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReassignmentWalkTest, ::testing::Range(1, 41));

}  // namespace
}  // namespace sluice::controller
