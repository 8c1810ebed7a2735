// Histories that part and come together again: the scenarios D1 to D5 and some of their neighbours
// (reliability.md 3.3), and random runs whose invariants are that nothing committed ever changes,
// nothing acknowledged is ever lost, and all replicas end up equal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::CommitChecker;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimProduce;
using testing::SimRecord;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr PartitionIndex kZero{0};

class DivergenceTest : public ::testing::Test {
 protected:
  using List = std::vector<std::string>;

  void Build(SimTopicOptions options, SimClusterOptions cluster = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    cluster_ = std::make_unique<SimCluster>(cluster);
    key_ = {cluster_->CreateTopic("orders", options), kZero};
    cluster_->RunFor(200);
  }
  std::shared_ptr<SimProduce> Send(NodeId at, const std::string& value, int16_t acks = -1) {
    return cluster_->Produce(at, key_, value, acks);
  }
  void SendAcknowledged(NodeId at, const std::string& value) {
    const auto sent = Send(at, value);
    ASSERT_TRUE(cluster_->RunUntil([&] { return sent->acknowledged(); }))
        << value << ": " << sent->error;
  }
  List Values(NodeId id) {
    List values;
    for (const SimRecord& record : cluster_->ReadLog(id, key_)) values.push_back(record.value);
    return values;
  }
  void MoveLeader(NodeId leader) {
    cluster_->controller().MoveLeader("orders", kZero, leader);
    WaitForLeader(leader);
  }
  void ForceLeader(NodeId leader) {
    cluster_->controller().ForceLeader("orders", kZero, leader);
    WaitForLeader(leader);
  }
  void WaitForLeader(NodeId leader) {
    ASSERT_TRUE(cluster_->RunUntil([&] {
      const auto status = cluster_->StatusOf(leader, key_);
      return status.has_value() && status->is_leader;
    }));
  }
  void WaitForFullIsr() {
    ASSERT_TRUE(cluster_->RunUntil(
        [&] { return cluster_->IsrSize(key_) == cluster_->ids().size(); }, 60000));
  }
  void ExpectAllEqual(const List& values) {
    WaitForFullIsr();
    for (const NodeId id : cluster_->ids()) {
      EXPECT_TRUE(cluster_->RunUntil([&] { return Values(id) == values; }))
          << "node " << id << " has " << ::testing::PrintToString(Values(id));
    }
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
};

// D1 (KIP-101, first scenario): a follower that restarts before it learns the high watermark must
// not cut its log to it.
TEST_F(DivergenceTest, ARestartedFollowerKeepsWhatItHasAboveItsHighWatermark) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 2}, {.nodes = 2});
  SendAcknowledged(kOne, "a");
  // Node 2 has it, but has not heard that it is committed; then both restart, and node 2 becomes
  // the leader.
  EXPECT_EQ(cluster_->StatusOf(kTwo, key_)->high_watermark, Offset(0));
  cluster_->Kill(kTwo);
  cluster_->Kill(kOne);
  cluster_->Start(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kTwo; }));
  cluster_->Start(kOne);
  ExpectAllEqual({"a"});
}

// D2 (KIP-101, second scenario): both lose what they had not flushed, and the one that comes back
// first leads; the other's longer log gives way.
TEST_F(DivergenceTest, AfterALeaderLostItsTailTheOthersTailOfAnOlderEpochIsCut) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 1, .fsync = false}, {.nodes = 2});
  cluster_->set_auto_fence(false);
  SendAcknowledged(kOne, "a");
  cluster_->Cut(kOne, kTwo);
  Send(kOne, "lost", 1);
  ForceLeader(kTwo);
  Send(kTwo, "b", 1);
  cluster_->Heal();
  cluster_->RunFor(100);
  ExpectAllEqual({"a", "b"});
}

// D3 (KAFKA-6361): three leaders in a row with tails of their own; one round of truncation is not
// enough.
TEST_F(DivergenceTest, ThreeFastLeaderChangesNeedSeveralRoundsOfTruncation) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 1, .fsync = false}, {.nodes = 2});
  cluster_->set_auto_fence(false);
  SendAcknowledged(kOne, "a");
  cluster_->Cut(kOne, kTwo);
  ForceLeader(kTwo);
  Send(kTwo, "two-1", 1);
  Send(kTwo, "two-2", 1);
  ForceLeader(kOne);
  Send(kOne, "one-1", 1);
  ForceLeader(kTwo);
  Send(kTwo, "two-3", 1);
  ForceLeader(kOne);
  Send(kOne, "one-2", 1);
  Send(kOne, "one-3", 1);
  cluster_->Heal();
  ExpectAllEqual({"a", "one-1", "one-2", "one-3"});
  EXPECT_EQ(cluster_->ReadLog(kOne, key_), cluster_->ReadLog(kTwo, key_));
}

// D4 (KAFKA-6880): a leader that is cut off goes on until its lease ends; nothing it took then was
// acknowledged with acks=all, and all of it is cut.
TEST_F(DivergenceTest, AZombieLeaderAcknowledgesNothingThatIsLost) {
  Build({.min_isr = 2});
  SendAcknowledged(kOne, "a");
  cluster_->Isolate(kOne);
  const auto zombie = Send(kOne, "zombie");
  WaitForLeader(kTwo);
  EXPECT_FALSE(zombie->answered);
  const auto late = Send(kOne, "late", 1);
  EXPECT_EQ(late->error, ErrorCode::kNotLeaderOrFollower)
      << "its lease ended before another could lead";
  SendAcknowledged(kTwo, "b");
  cluster_->Heal();
  ExpectAllEqual({"a", "b"});
  EXPECT_TRUE(zombie->answered);
  EXPECT_EQ(zombie->error, ErrorCode::kNotLeaderOrFollower);
}

// D5 (KAFKA-7128): a replica that joins the ISR with a lagging high watermark becomes leader;
// nothing committed may vanish.
TEST_F(DivergenceTest, AReplicaThatHasJustJoinedTheIsrMayLead) {
  Build({.min_isr = 2}, {.replica_lag_ms_max = 1000});
  CommitChecker checker(*cluster_, key_);
  for (int round = 0; round < 5; ++round) {
    const NodeId leader = cluster_->LeaderOf(key_);
    const NodeId joiner = leader == kThree ? kTwo : kThree;
    cluster_->Kill(joiner);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
    cluster_->RunFor(10);
    for (int i = 0; i < 5; ++i)
      SendAcknowledged(leader, "r" + std::to_string(round) + "-" + std::to_string(i));
    cluster_->Start(joiner);
    WaitForFullIsr();
    MoveLeader(joiner);
    ASSERT_TRUE(checker.Check()) << checker.error();
    SendAcknowledged(joiner, "after-" + std::to_string(round));
    ASSERT_TRUE(checker.Check()) << checker.error();
  }
  EXPECT_EQ(checker.committed().size(), 30u);
}

// D8: the last replica standing dies with its unsynced tail; what was acknowledged was on the
// eligible one, too.
TEST_F(DivergenceTest, TheLastReplicaStandingHasAcknowledgedNothingAlone) {
  Build({.min_isr = 2, .fsync = false}, {.unclean_after_power_cut = true});
  SendAcknowledged(kOne, "a");
  cluster_->Kill(kTwo);
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  cluster_->RunFor(10);
  EXPECT_EQ(Send(kOne, "refused")->error, ErrorCode::kNotEnoughReplicas);
  Send(kOne, "tail", 1);
  cluster_->PowerCut(kOne);
  cluster_->Start(kTwo);
  cluster_->Start(kThree);
  cluster_->Start(kOne);
  ExpectAllEqual({"a"});
}

// D13: a broker comes back with an empty disk under its old id; it copies everything before it
// counts.
TEST_F(DivergenceTest, ABrokerWithAnEmptyDirectoryCopiesEverythingBeforeItJoins) {
  Build({.min_isr = 2});
  for (const char* value : {"a", "b", "c"}) SendAcknowledged(kOne, value);
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->disk(kThree).RemoveAll("/data/orders-0").ok());
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
  SendAcknowledged(kOne, "d");
  cluster_->Start(kThree);
  ExpectAllEqual({"a", "b", "c", "d"});
}

// D14: it comes back with what it had long ago.
TEST_F(DivergenceTest, AnOldCopyCatchesUpAcrossEpochs) {
  Build({.min_isr = 2});
  SendAcknowledged(kOne, "a");
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
  cluster_->RunFor(10);
  SendAcknowledged(kOne, "b");
  MoveLeader(kTwo);
  SendAcknowledged(kTwo, "c");
  MoveLeader(kOne);
  SendAcknowledged(kOne, "d");
  cluster_->Start(kThree);
  ExpectAllEqual({"a", "b", "c", "d"});
}

// D29: an unclean leader, then the old one with its longer log.
TEST_F(DivergenceTest, AfterAnUncleanElectionTheOldLeadersLongerLogIsCut) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 1}, {.nodes = 2, .replica_lag_ms_max = 1000});
  SendAcknowledged(kOne, "a");
  cluster_->Kill(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  cluster_->RunFor(10);
  for (const char* value : {"b", "c", "d"}) SendAcknowledged(kOne, value);
  cluster_->Kill(kOne);
  cluster_->set_auto_fence(true);
  cluster_->Start(kTwo);
  cluster_->RunFor(1000);
  EXPECT_EQ(cluster_->LeaderOf(key_), kNoNode) << "node 2 lacks records";
  ForceLeader(kTwo);
  SendAcknowledged(kTwo, "x");
  cluster_->Start(kOne);
  ExpectAllEqual({"a", "x"});
}

// What the controller chooses by, where nobody has everything: each replica tells, and nothing of
// partitions that are led.
TEST_F(DivergenceTest, AReplicaThatNobodyLeadsTellsWhereItsLogEnds) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 1}, {.nodes = 2, .replica_lag_ms_max = 1000});
  SendAcknowledged(kOne, "a");
  cluster_->Kill(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  cluster_->RunFor(10);
  SendAcknowledged(kOne, "b");
  cluster_->Isolate(kOne);  // nobody takes what is offered
  cluster_->RunFor(500);
  EXPECT_TRUE(cluster_->state(kOne).leaderless.Take().empty()) << "it leads, for all it knows";
  cluster_->Kill(kOne);
  cluster_->Heal();
  cluster_->set_auto_fence(true);
  cluster_->Start(kTwo);
  const auto in_service = [&] {
    return cluster_->alive(kTwo) && cluster_->controller().image()->FindBroker(kTwo)->active() &&
           cluster_->LeaderOf(key_) == kNoNode;
  };
  ASSERT_TRUE(cluster_->RunUntil(in_service));
  cluster_->RunFor(500);
  cluster_->Isolate(kTwo);
  cluster_->RunFor(500);
  const std::vector<LeaderlessLogs::End> told = cluster_->state(kTwo).leaderless.Take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].replica, LeaderlessLogs::Replica(key_.topic_id, key_.partition));
  EXPECT_EQ(told[0].leader_epoch, cluster_->ImageOf(key_).leader_epoch);
  EXPECT_EQ(told[0].last_epoch, LeaderEpoch(0));
  EXPECT_EQ(told[0].end_offset, Offset(1));
  // Gone with a leader, and with the replica.
  cluster_->Heal();
  ForceLeader(kTwo);
  cluster_->RunFor(500);
  EXPECT_TRUE(cluster_->state(kTwo).leaderless.NextToTell().empty());
}

// D12: the topic is made anew while a replica is away, and assigned to it again.
TEST_F(DivergenceTest, AReplicaOfADeletedTopicOfThatNameIsNotServed) {
  Build({.min_isr = 2});
  SendAcknowledged(kOne, "old");
  cluster_->Kill(kThree);
  cluster_->controller().DeleteTopic("orders");
  cluster_->RunFor(10);
  const TopicId id = cluster_->CreateTopic("orders", {.min_isr = 2});
  key_ = {id, kZero};
  cluster_->Start(kThree);
  WaitForFullIsr();
  SendAcknowledged(cluster_->LeaderOf(key_), "new");
  ExpectAllEqual({"new"});
}

struct RandomRun {
  uint64_t seed;
  bool fsync;
  bool min_isr_changes = false;
};

class RandomReplicationTest : public DivergenceTest {
 protected:
  struct Sent {
    std::string value;
    std::shared_ptr<SimProduce> outcome;
  };

  void Run(const RandomRun& run) {
    SimClusterOptions options;
    options.seed = run.seed;
    options.network_ms_max = 1 + static_cast<int64_t>(run.seed % 20);
    options.flush_ms_max = static_cast<int64_t>(run.seed % 30);
    options.replica_lag_ms_max = 1000;
    options.alter_loss_percent = run.seed % 3 == 0 ? 20 : 0;
    options.unclean_after_power_cut = !run.fsync;
    if (run.min_isr_changes) options.image_lag_ms = static_cast<int64_t>(run.seed % 4) * 100;
    Build({.min_isr = 2, .fsync = run.fsync}, options);
    CommitChecker checker(*cluster_, key_);
    for (int step = 0; step < 150; ++step) {
      Step(run);
      cluster_->RunFor(cluster_->random().Between(0, 60));
      ASSERT_TRUE(checker.Check())
          << "seed " << run.seed << " step " << step << ": " << checker.error();
    }
    cluster_->Heal();
    for (const NodeId id : cluster_->ids()) {
      if (!cluster_->alive(id)) cluster_->Start(id);
    }
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }, 120000))
        << "seed " << run.seed << cluster_->Describe(key_);
    ASSERT_TRUE(Quiet()) << "seed " << run.seed << cluster_->Describe(key_);
    ASSERT_TRUE(checker.Check()) << "seed " << run.seed << ": " << checker.error();
    ExpectNothingLost(run.seed);
  }

  void Step(const RandomRun& run) {
    Random& random = cluster_->random();
    const NodeId node(static_cast<int32_t>(random.Between(1, 3)));
    const uint64_t what = random.Below(100);
    if (what < 70) {
      const NodeId leader = cluster_->LeaderOf(key_);
      // Sometimes to whoever believes to lead.
      const NodeId at = leader == kNoNode || random.Chance(1, 10) ? node : leader;
      const std::string value = "v" + std::to_string(sent_.size());
      sent_.push_back({value, Send(at, value)});
    } else if (what < 78) {
      if (!cluster_->alive(node)) {
        cluster_->Start(node);
      } else if (random.Chance(1, 2) && (run.fsync || AliveCount() == 3)) {
        // In replicated mode more than one power cut at a time may lose records: that is its
        // promise.
        cluster_->PowerCut(node);
      } else {
        cluster_->Kill(node);
      }
    } else if (what < 84) {
      cluster_->Cut(node, NodeId(node.value() % 3 + 1));
    } else if (what < 87) {
      cluster_->Isolate(node);
    } else if (what < 94) {
      cluster_->Heal();
    } else if (run.min_isr_changes && random.Chance(1, 2)) {
      cluster_->controller().SetTopicConfig("orders", "min.insync.replicas",
                                            std::to_string(random.Between(1, 3)));
    } else {
      cluster_->RunFor(random.Between(0, 1500));
    }
  }
  size_t AliveCount() {
    size_t count = 0;
    for (const NodeId id : cluster_->ids())
      count += cluster_->alive(id) && cluster_->IsrSize(key_) == 3 ? 1 : 0;
    return count;
  }
  bool Quiet() {
    return cluster_->RunUntil([&] {
      const auto leader = cluster_->StatusOf(cluster_->LeaderOf(key_), key_);
      if (!leader.has_value() || !leader->is_leader ||
          leader->high_watermark != leader->log_end_offset)
        return false;
      for (const NodeId id : cluster_->ids()) {
        const auto status = cluster_->StatusOf(id, key_);
        if (!status || status->high_watermark != leader->high_watermark) return false;
        if (status->log_end_offset != leader->log_end_offset) return false;
      }
      return true;
    });
  }
  void ExpectNothingLost(uint64_t seed) {
    const std::vector<SimRecord> log = cluster_->ReadLog(kOne, key_);
    EXPECT_EQ(cluster_->ReadLog(kTwo, key_), log) << "seed " << seed;
    EXPECT_EQ(cluster_->ReadLog(kThree, key_), log) << "seed " << seed;
    size_t acknowledged = 0;
    for (const Sent& sent : sent_) {
      if (!sent.outcome->acknowledged()) continue;
      ++acknowledged;
      const size_t at = static_cast<size_t>(sent.outcome->offset.value());
      ASSERT_LT(at, log.size()) << "seed " << seed << ": " << sent.value << " was acknowledged";
      EXPECT_EQ(log[at].value, sent.value) << "seed " << seed;
    }
    total_acknowledged_ += acknowledged;
  }

  std::vector<Sent> sent_;
  size_t total_acknowledged_ = 0;
};

TEST_F(RandomReplicationTest, NothingAcknowledgedIsLostInFsyncMode) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    sent_.clear();
    Run({seed, true});
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(total_acknowledged_, 1000u) << "the faults leave the cluster no time to work";
}

TEST_F(RandomReplicationTest, NothingAcknowledgedIsLostThoughMinIsrChanges) {
  for (uint64_t seed = 2001; seed <= 2100; ++seed) {
    sent_.clear();
    Run({seed, true, true});
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(total_acknowledged_, 500u);
}

TEST_F(RandomReplicationTest, NothingAcknowledgedIsLostInReplicatedMode) {
  for (uint64_t seed = 1001; seed <= 1100; ++seed) {
    sent_.clear();
    Run({seed, false});
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(total_acknowledged_, 500u);
}

}  // namespace
}  // namespace sluice::broker
