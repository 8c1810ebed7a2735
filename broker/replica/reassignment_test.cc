// Partitions that move to other brokers while they are written to: stories, and random runs with
// deaths, cut links and moves that are given up or replaced, in which nothing committed changes and
// nothing acknowledged is lost.
#include "metadata/reassignment.h"

#include <gtest/gtest.h>

#include <algorithm>

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

constexpr NodeId kOne{1}, kTwo{2}, kThree{3}, kFour{4}, kFive{5};
constexpr PartitionIndex kZero{0};

class ReassignmentTest : public ::testing::Test {
 protected:
  struct Sent {
    std::string value;
    std::shared_ptr<SimProduce> outcome;
  };

  void Build(SimClusterOptions options = {}, bool fsync = true) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    options.nodes = 5;
    cluster_ = std::make_unique<SimCluster>(options);
    key_ = {cluster_->CreateTopic("orders",
                                  {.replicas = {kOne, kTwo, kThree}, .min_isr = 2, .fsync = fsync}),
            kZero};
    cluster_->RunFor(200);
  }
  void Send(NodeId at) {
    const std::string value = "v" + std::to_string(sent_.size());
    sent_.push_back({value, cluster_->Produce(at, key_, value)});
  }
  void SendAcknowledged() {
    Send(cluster_->LeaderOf(key_));
    const auto outcome = sent_.back().outcome;
    ASSERT_TRUE(cluster_->RunUntil([&] { return outcome->acknowledged(); })) << outcome->error;
  }
  bool Reassign(const std::optional<std::vector<NodeId>>& target) {
    return cluster_->controller().Reassign("orders", kZero, target);
  }
  const metadata::PartitionImage& Image() { return cluster_->ImageOf(key_); }
  void WaitUntilMoved() {
    ASSERT_TRUE(cluster_->RunUntil([&] { return !Image().moving(); }, 120000))
        << cluster_->Describe(key_);
  }
  // All replicas have the same log, and everything acknowledged is in it; nobody else has one.
  void ExpectNothingLost(const std::string& run) {
    ASSERT_TRUE(cluster_->RunUntil([&] { return Settled(); }, 60000))
        << run << cluster_->Describe(key_);
    const std::vector<SimRecord> log = cluster_->ReadLog(Image().leader, key_);
    for (const NodeId id : Image().replicas) EXPECT_EQ(cluster_->ReadLog(id, key_), log) << run;
    for (const Sent& sent : sent_) {
      if (!sent.outcome->acknowledged()) continue;
      ++acknowledged_;
      const auto at = static_cast<size_t>(sent.outcome->offset.value());
      ASSERT_LT(at, log.size()) << run << ": " << sent.value << " was acknowledged";
      EXPECT_EQ(log[at].value, sent.value) << run;
    }
  }
  bool Settled() {
    const auto leader = cluster_->StatusOf(Image().leader, key_);
    if (!leader || !leader->is_leader || leader->high_watermark != leader->log_end_offset)
      return false;
    const std::vector<NodeId> ids = cluster_->ids();
    return std::all_of(ids.begin(), ids.end(), [&](NodeId id) {
      const auto status = cluster_->StatusOf(id, key_);
      const auto& replicas = Image().replicas;
      if (std::find(replicas.begin(), replicas.end(), id) == replicas.end())
        return !status.has_value();
      return status.has_value() && status->high_watermark == leader->high_watermark &&
             status->log_end_offset == leader->log_end_offset;
    });
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
  std::vector<Sent> sent_;
  size_t acknowledged_ = 0;
};

TEST_F(ReassignmentTest, TheNewReplicasHaveAllAndTheOldOnesNothing) {
  Build();
  for (int i = 0; i < 5; ++i) SendAcknowledged();
  ASSERT_TRUE(Reassign({{kFour, kFive, kThree}}));
  for (int i = 0; i < 20; ++i) {
    Send(cluster_->LeaderOf(key_));
    cluster_->RunFor(3);
  }
  WaitUntilMoved();
  EXPECT_EQ(Image().leader, kFour);
  SendAcknowledged();
  ExpectNothingLost("");
  EXPECT_EQ(Image().replicas, (std::vector<NodeId>{kFour, kFive, kThree}));
  EXPECT_FALSE(cluster_->StatusOf(kOne, key_).has_value());
  EXPECT_FALSE(cluster_->disk(kOne).Exists("/data/orders-0"));
}

// The controllers have given the lead to another one before this leader hears of it.
TEST_F(ReassignmentTest, ALeaderThatGoesTellsNoEndsOnceItsMoveMayBeDone) {
  Build({.image_lag_ms = 1000});
  SendAcknowledged();
  const auto end = [this] { return cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -1}})[0]; };
  ASSERT_TRUE(Reassign({{kFour, kFive, kThree}}));
  EXPECT_EQ(end().found.offset, Offset(1));
  WaitUntilMoved();
  ASSERT_TRUE(cluster_->StatusOf(kOne, key_)->is_leader) << "it does not know yet";
  EXPECT_EQ(end().error, ErrorCode::kNotLeaderOrFollower);
  ASSERT_TRUE(cluster_->RunUntil([this] { return Settled(); }));
  SendAcknowledged();
  ExpectNothingLost("");
}

// What waits for the ISR is not refused for a replica that is dropped.
TEST_F(ReassignmentTest, ALeaderThatStaysRefusesNothing) {
  Build();
  ASSERT_TRUE(Reassign({{kOne, kFour, kFive}}));
  for (int i = 0; i < 200 || Image().moving(); ++i) {
    ASSERT_LT(i, 10000);
    Send(kOne);
    cluster_->RunFor(1);
  }
  EXPECT_EQ(Image().leader_epoch, LeaderEpoch(1));
  ExpectNothingLost("");
  EXPECT_EQ(acknowledged_, sent_.size());
}

TEST_F(ReassignmentTest, AMoveThatIsGivenUpLeavesNothingBehind) {
  Build();
  SendAcknowledged();
  cluster_->Cut(kOne, kFive);
  ASSERT_TRUE(Reassign({{kFour, kFive, kThree}}));
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 4; }));
  ASSERT_TRUE(Reassign(std::nullopt));
  SendAcknowledged();
  ExpectNothingLost("");
  EXPECT_EQ(Image().leader, kOne);
  EXPECT_FALSE(cluster_->StatusOf(kFour, key_).has_value());
}

// D11: a replica is dropped and added again before the leader learns of either; its log is empty,
// and the leader must not count on how far it had come.
TEST_F(ReassignmentTest, AReplicaThatCameBackIsAskedAnewHowFarItIs) {
  Build({.image_lag_ms = 50});
  for (int i = 0; i < 5; ++i) SendAcknowledged();
  cluster_->Isolate(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
  ASSERT_TRUE(Reassign({{kOne, kTwo}}));
  ASSERT_TRUE(Reassign({{kOne, kTwo, kThree}}));
  EXPECT_EQ(Image().leader_epoch, LeaderEpoch(1));
  EXPECT_TRUE(Image().moving());
  cluster_->Heal();
  WaitUntilMoved();
  SendAcknowledged();
  ExpectNothingLost("");
  EXPECT_EQ(cluster_->IsrSize(key_), 3u);
}

// min.insync.replicas above the replication factor: the partition takes records all the time.
TEST_F(ReassignmentTest, AMoveDemandsNoMoreInSyncReplicas) {
  FLAGS_minloglevel = google::GLOG_FATAL;
  cluster_ = std::make_unique<SimCluster>(SimClusterOptions{.nodes = 5});
  key_ = {cluster_->CreateTopic("orders", {.replicas = {kOne}, .min_isr = 2}), kZero};
  cluster_->RunFor(200);
  SendAcknowledged();
  cluster_->Cut(kOne, kTwo);
  ASSERT_TRUE(Reassign({{kTwo}}));
  cluster_->RunFor(100);
  SendAcknowledged();
  cluster_->Heal();
  WaitUntilMoved();
  cluster_->RunFor(100);
  SendAcknowledged();
  ExpectNothingLost("");
  EXPECT_EQ(Image().replicas, std::vector<NodeId>{kTwo});
}

class RandomReassignmentTest : public ReassignmentTest {
 protected:
  NodeId AnyNode() { return NodeId(static_cast<int32_t>(cluster_->random().Between(1, 5))); }

  void Move() {
    Random& random = cluster_->random();
    if (random.Chance(1, 4)) {
      if (Image().moving()) Reassign(std::nullopt);
      return;
    }
    std::vector<NodeId> nodes{kOne, kTwo, kThree, kFour, kFive};
    for (size_t i = nodes.size() - 1; i > 0; --i) std::swap(nodes[i], nodes[random.Below(i + 1)]);
    nodes.resize(static_cast<size_t>(random.Between(2, 4)));
    moves_ += Reassign(nodes) ? 1 : 0;
  }

  void Step() {
    Random& random = cluster_->random();
    const uint64_t what = random.Below(100);
    if (what < 65) {
      const NodeId leader = cluster_->LeaderOf(key_);
      return Send(leader == kNoNode || random.Chance(1, 10) ? AnyNode() : leader);
    }
    if (what < 75) return Move();
    const NodeId node = AnyNode();
    if (what < 82) {
      if (!cluster_->alive(node)) return cluster_->Start(node);
      return random.Chance(1, 2) ? cluster_->PowerCut(node) : cluster_->Kill(node);
    }
    if (what < 86) return cluster_->Cut(node, NodeId(node.value() % 5 + 1));
    if (what < 88) return cluster_->Isolate(node);
    if (what < 95) return cluster_->Heal();
    cluster_->RunFor(random.Between(0, 1500));
  }

  void Run(uint64_t seed) {
    SimClusterOptions options;
    options.seed = seed;
    options.network_ms_max = 1 + static_cast<int64_t>(seed % 20);
    options.flush_ms_max = static_cast<int64_t>(seed % 30);
    options.replica_lag_ms_max = 1000;
    options.alter_loss_percent = seed % 3 == 0 ? 20 : 0;
    options.image_lag_ms = static_cast<int64_t>(seed % 4) * 50;
    Build(options);
    sent_.clear();
    CommitChecker checker(*cluster_, key_);
    const std::string run = "seed " + std::to_string(seed);
    for (int step = 0; step < 150; ++step) {
      Step();
      cluster_->RunFor(cluster_->random().Between(0, 60));
      ASSERT_TRUE(checker.Check()) << run << " step " << step << ": " << checker.error();
    }
    cluster_->Heal();
    for (const NodeId id : cluster_->ids()) {
      if (!cluster_->alive(id)) cluster_->Start(id);
    }
    WaitUntilMoved();
    ASSERT_TRUE(checker.Check()) << run << ": " << checker.error();
    ExpectNothingLost(run);
  }

  int moves_ = 0;
};

TEST_F(RandomReassignmentTest, NothingAcknowledgedIsLost) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Run(seed);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(acknowledged_, 1000u);
  EXPECT_GT(moves_, 500);
}

}  // namespace
}  // namespace sluice::broker
