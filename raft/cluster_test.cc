// Stories of whole clusters, each with the fault that it is about.
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "raft/core.h"
#include "raft/testing/sim_cluster.h"

namespace sluice::raft::testing {
namespace {

class ClusterTest : public ::testing::Test {
 protected:
  void Start(SimClusterOptions options, uint64_t seed = 7) {
    cluster_ = std::make_unique<SimCluster>(options, seed);
    for (const NodeId id : cluster_->ids()) cluster_->Start(id);
  }
  void StartSettled(SimClusterOptions options, uint64_t seed = 7) {
    Start(options, seed);
    ASSERT_TRUE(Settle());
  }
  bool Settle(int64_t limit_ms = 5000) {
    return cluster_->RunUntil([this] { return cluster_->settled(); }, limit_ms);
  }
  NodeId leader() { return cluster_->leader(); }
  NodeId AnyFollower() {
    for (const NodeId id : cluster_->ids()) {
      if (id != leader() && cluster_->running(id)) return id;
    }
    return kNoNode;
  }
  // Proposes at the leader and waits for the outcome.
  Result<LogIndex> Write(const std::string& data, int64_t limit_ms = 5000) {
    std::optional<Result<LogIndex>> outcome;
    cluster_->Propose(leader(), data, [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
    if (!cluster_->RunUntil([&outcome] { return outcome.has_value(); }, limit_ms))
      return Status::Timeout("no answer");
    return *outcome;
  }
  bool AllApplied(LogIndex index) {
    return cluster_->RunUntil(
        [this, index] {
          for (const NodeId id : cluster_->ids()) {
            if (cluster_->running(id) && cluster_->state_machine(id).applied < index) return false;
          }
          return true;
        },
        5000);
  }
  void TearDown() override {
    ASSERT_NE(cluster_, nullptr);
    EXPECT_EQ(cluster_->invariants().breach(), "");
  }

  std::unique_ptr<SimCluster> cluster_;
};

TEST_F(ClusterTest, AFreshClusterIsReadyWellBelowASecond) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Start({.voters = 3}, seed);
    EXPECT_TRUE(Settle(400)) << "seed " << seed;
  }
}

TEST_F(ClusterTest, ASingleVoterLeadsAtOnce) {
  Start({.voters = 1, .disk = {.ms_min = 1, .ms_max = 1}});
  EXPECT_TRUE(Settle(5));
  EXPECT_TRUE(Write("a").ok());
}

TEST_F(ClusterTest, ASingleVoterAcknowledgesOnlyWhatIsOnItsDisk) {
  StartSettled({.voters = 1, .disk = {.ms_min = 10, .ms_max = 10}});
  bool done = false;
  cluster_->Propose(NodeId(1), "a", [&done](const Result<LogIndex>&) { done = true; });
  cluster_->RunForMs(9);
  EXPECT_FALSE(done);
  const Result<LogIndex> later = Write("b");
  ASSERT_TRUE(later.ok());
  EXPECT_TRUE(done);
  EXPECT_GE(cluster_->disk(NodeId(1)).last_index(), *later);
}

TEST_F(ClusterTest, TheLeaderMayCommitBeforeItsOwnSlowDisk) {
  StartSettled({.voters = 3, .network = {.delay_ms_max = 1}, .disk = {.ms_min = 1, .ms_max = 1}});
  const Result<LogIndex> warm = Write("warm");
  ASSERT_TRUE(warm.ok() && AllApplied(*warm));
  const NodeId slow = leader();
  cluster_->SetDiskLatency(slow, {.ms_min = 200, .ms_max = 200});
  const Result<LogIndex> index = Write("a", 50);
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_LT(cluster_->disk(slow).last_index(), *index);
}

TEST_F(ClusterTest, ARefusedConnectionStartsAnElectionWithinMilliseconds) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    StartSettled({.voters = 3}, seed);
    ASSERT_TRUE(Write("a").ok());
    const NodeId dead = leader();
    cluster_->Crash(dead);
    cluster_->TellPeersRefused(dead);
    EXPECT_TRUE(Settle(250)) << "seed " << seed;
  }
}

TEST_F(ClusterTest, ASilentLeaderIsReplacedWithinTheTimeout) {
  StartSettled({.voters = 3});
  const NodeId old = leader();
  cluster_->Isolate(old);
  EXPECT_TRUE(cluster_->RunUntil([&] { return leader() != old && leader() != kNoNode; }, 1500));
  cluster_->RunForMs(500);
  EXPECT_NE(cluster_->driver(old).status().role, Role::kLeader)
      << "a leader without a majority resigns";
}

TEST_F(ClusterTest, AVoterThatWasCutOffDoesNotDeposeTheLeader) {
  StartSettled({.voters = 3});
  const NodeId first = leader();
  const Term term = cluster_->driver(first).status().term;
  const NodeId away = AnyFollower();
  cluster_->Isolate(away);
  cluster_->RunForMs(5000);
  cluster_->HealNetwork();
  cluster_->RunForMs(2000);
  EXPECT_EQ(leader(), first);
  EXPECT_EQ(cluster_->driver(first).status().term, term);
}

TEST_F(ClusterTest, AVoterWithAnOlderLogDoesNotCampaignForEver) {
  StartSettled({.voters = 3});
  const NodeId away = AnyFollower();
  cluster_->Isolate(away);
  ASSERT_TRUE(Write("a").ok());
  const Term term = cluster_->driver(leader()).status().term;
  // The leader can still reach the other follower; `away` reaches only that follower, and asks it
  // in vain.
  const NodeId first = leader();
  cluster_->HealNetwork();
  cluster_->network().Cut(first, away);
  cluster_->network().Cut(away, first);
  cluster_->RunForMs(3000);
  EXPECT_EQ(leader(), first);
  EXPECT_EQ(cluster_->driver(first).status().term, term);
}

TEST_F(ClusterTest, AWipedDiskIsNotTheVoterItWas) {
  StartSettled({.voters = 3});
  ASSERT_TRUE(Write("a").ok());
  const NodeId wiped = AnyFollower();
  cluster_->Crash(wiped);
  cluster_->StartWiped(wiped);
  cluster_->RunForMs(1000);
  // Two of three must do without the third: it gets no vote and gives none.
  EXPECT_TRUE(Write("b").ok());
  EXPECT_EQ(cluster_->driver(wiped).status().counts.elections_started, 0U);
  EXPECT_GT(cluster_->driver(wiped).status().counts.messages_refused(), 0U);
  const NodeId other = leader();
  cluster_->Crash(other);
  cluster_->RunForMs(3000);
  EXPECT_EQ(leader(), kNoNode) << "the wiped voter must not complete a majority";
}

TEST_F(ClusterTest, WhatIsRefusedIsLoggedOnceAVoterAndReason) {
  StartSettled({.voters = 3});
  const NodeId follower = AnyFollower();
  Message rubbish{.cluster_id = "other", .from = {NodeId(8), Uuid()}, .to = follower};
  rubbish.body = HeartbeatRequest{};
  const sluice::testing::LogCatcher log;
  const uint64_t before = cluster_->driver(follower).status().counts.messages_refused();
  for (int i = 0; i < 5; ++i) {
    rubbish.from.id = NodeId(8 + i);  // who it is, nobody has shown
    cluster_->driver(follower).Step(rubbish);
    cluster_->RunForMs(10);
  }
  EXPECT_EQ(cluster_->driver(follower).status().counts.messages_refused(), before + 5);
  EXPECT_EQ(log.Count("another cluster"), 1);
}

TEST_F(ClusterTest, AWriteIsNotAcknowledgedWithoutAMajority) {
  StartSettled({.voters = 3});
  const NodeId old = leader();
  cluster_->Isolate(old);
  std::optional<Result<LogIndex>> outcome;
  cluster_->Propose(old, "lost", [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  EXPECT_TRUE(cluster_->RunUntil([&outcome] { return outcome.has_value(); }, 2000));
  ASSERT_FALSE(outcome->ok());
  EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
}

TEST_F(ClusterTest, ADeposedLeaderAnswersNoRead) {
  StartSettled({.voters = 3});
  const NodeId old = leader();
  cluster_->Isolate(old);
  std::optional<Result<LogIndex>> outcome;
  cluster_->Read(old, [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  EXPECT_TRUE(cluster_->RunUntil([&outcome] { return outcome.has_value(); }, 2000));
  EXPECT_FALSE(outcome->ok());
}

TEST_F(ClusterTest, AReadCoversTheLastWrite) {
  StartSettled({.voters = 3});
  const Result<LogIndex> written = Write("a");
  ASSERT_TRUE(written.ok());
  std::optional<Result<LogIndex>> outcome;
  cluster_->Read(leader(), [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  ASSERT_TRUE(cluster_->RunUntil([&outcome] { return outcome.has_value(); }, 1000));
  ASSERT_TRUE(outcome->ok());
  EXPECT_GE(**outcome, *written);
}

TEST_F(ClusterTest, ProposalsAtAFollowerNameTheLeader) {
  StartSettled({.voters = 3});
  std::optional<Result<LogIndex>> outcome;
  cluster_->Propose(AnyFollower(), "a", [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->status().code(), StatusCode::kNotLeader);
  EXPECT_NE(outcome->status().message().find("node " + std::to_string(leader().value())),
            std::string::npos);
}

TEST_F(ClusterTest, ProposedBytesAreBounded) {
  SimClusterOptions options{.voters = 3};
  options.config.proposal_bytes_max = 10 * SizeOfEntry(100);
  StartSettled(options);
  int refused = 0;
  const auto propose_20 = [&](const std::string& data) {
    refused = 0;
    for (int i = 0; i < 20; ++i) {
      cluster_->Propose(leader(), data, [&refused](const Result<LogIndex>& r) {
        refused += !r.ok() && r.status().code() == StatusCode::kResourceExhausted;
      });
    }
  };
  propose_20(std::string(100, 'x'));
  EXPECT_EQ(refused, 10);
  EXPECT_TRUE(Write("later").status().code() == StatusCode::kResourceExhausted);
  cluster_->RunForMs(200);
  EXPECT_TRUE(Write("much later").ok());
  cluster_->RunForMs(200);
  for (int i = 0; i < 10; ++i) propose_20("");
  EXPECT_EQ(refused, 20) << "nothing is not free";
}

TEST_F(ClusterTest, WaitingReadsAreBounded) {
  SimClusterOptions options{.voters = 3};
  options.config.reads_max = 10;
  StartSettled(options);
  const NodeId at = leader();
  int answered = 0;
  int refused = 0;
  const auto count = [&](const Result<LogIndex>& read) {
    answered += read.ok();
    refused += !read.ok() && read.status().code() == StatusCode::kResourceExhausted;
  };
  for (int i = 0; i < 15; ++i) cluster_->Read(at, count);
  EXPECT_EQ(refused, 5);
  cluster_->RunForMs(200);
  EXPECT_EQ(answered, 10);
  cluster_->Read(at, count);
  cluster_->RunForMs(200);
  EXPECT_EQ(answered, 11) << "later there is room again";
  EXPECT_EQ(cluster_->driver(at).status().reads_refused, 5U);
}

TEST_F(ClusterTest, ALeaderKnowsHowLongItsPeersTakeToAnswer) {
  StartSettled({.voters = 3, .network = {.delay_ms_min = 5, .delay_ms_max = 5}});
  cluster_->RunForMs(500);
  for (const NodeId id : cluster_->ids()) {
    for (const PeerStatus& peer : cluster_->driver(id).status().voters) {
      const bool told = id == leader() && peer.voter.id != id;
      EXPECT_EQ(peer.round_trip_micros, told ? 10'000 : -1) << peer.voter << " at " << id;
    }
  }
}

TEST_F(ClusterTest, LeadershipIsHandedOverWithoutAGap) {
  StartSettled({.voters = 3, .network = {.delay_ms_max = 1}});
  ASSERT_TRUE(Write("a").ok());
  const NodeId old = leader();
  ASSERT_TRUE(cluster_->driver(old).TransferLeadership(kNoNode).ok());
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->settled() && leader() != old; }, 100));
  EXPECT_TRUE(Write("b").ok());
}

TEST_F(ClusterTest, AFollowerFarBehindGetsASnapshot) {
  SimClusterOptions options{.voters = 3};
  options.config.snapshot_interval_bytes = 500;
  options.config.snapshot_chunk_bytes = 50;
  StartSettled(options);
  const NodeId away = AnyFollower();
  cluster_->Crash(away);
  Result<LogIndex> last = Status::Unavailable("");
  for (int i = 0; i < 100; ++i) last = Write(std::string(50, 'x'));
  ASSERT_TRUE(last.ok());
  EXPECT_GT(cluster_->disk(leader()).first_index, LogIndex(50));
  cluster_->Start(away);
  EXPECT_TRUE(AllApplied(*last));
  EXPECT_EQ(cluster_->state_machine(away).checksum, cluster_->state_machine(leader()).checksum);
  EXPECT_EQ(cluster_->driver(away).core().metrics().snapshots_installed, 1U);
}

TEST_F(ClusterTest, ASnapshotIsTakenOfWhatIsNewWhenTheLastOneIsOld) {
  SimClusterOptions options{.voters = 3};
  options.config.snapshot_interval_ms = 10'000;
  StartSettled(options);
  const auto snapshots = [this] {
    std::vector<LogIndex> indexes;
    for (const NodeId id : cluster_->ids())
      indexes.push_back(cluster_->driver(id).status().snapshot_index);
    return indexes;
  };
  const Result<LogIndex> a = Write("a");
  ASSERT_TRUE(a.ok());
  cluster_->RunForMs(9'000 - cluster_->now_ms());
  EXPECT_EQ(snapshots(), std::vector<LogIndex>(3, kNoIndex));
  cluster_->RunForMs(2'000);
  EXPECT_EQ(snapshots(), std::vector<LogIndex>(3, *a));
  cluster_->RunForMs(30'000);
  EXPECT_EQ(snapshots(), std::vector<LogIndex>(3, *a)) << "nothing is new";
  const Result<LogIndex> b = Write("b");
  ASSERT_TRUE(b.ok());
  cluster_->RunForMs(200);
  EXPECT_EQ(snapshots(), std::vector<LogIndex>(3, *b));
  // What is older than the snapshot before goes with the next one.
  ASSERT_TRUE(Write("c").ok());
  cluster_->RunForMs(10'200);
  for (const NodeId id : cluster_->ids()) {
    const SimDisk& disk = cluster_->disk(id);
    ASSERT_TRUE(disk.snapshot_before.has_value());
    EXPECT_EQ(disk.snapshot_before->meta.index, *b);
    EXPECT_EQ(disk.first_index, *b + 1);
  }
}

TEST_F(ClusterTest, EveryAcknowledgedWriteSurvivesTheDeathOfAll) {
  StartSettled({.voters = 3});
  Result<LogIndex> last = Status::Unavailable("");
  for (int i = 0; i < 20; ++i) last = Write("w" + std::to_string(i));
  ASSERT_TRUE(last.ok());
  for (const NodeId id : cluster_->ids()) cluster_->Crash(id);
  for (const NodeId id : cluster_->ids()) cluster_->Start(id);
  ASSERT_TRUE(Settle());
  EXPECT_TRUE(AllApplied(*last));
  for (const NodeId id : cluster_->ids()) EXPECT_EQ(cluster_->state_machine(id).count, 20U);
}

TEST_F(ClusterTest, AFailedDiskSilencesTheVoter) {
  StartSettled({.voters = 3});
  const NodeId broken = leader();
  std::optional<Status> failure;
  cluster_->driver(broken).set_on_failure(
      [&failure](Status status) { failure = std::move(status); });
  cluster_->FailDisk(broken);
  std::optional<Result<LogIndex>> outcome;
  cluster_->Propose(broken, "a", [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  EXPECT_TRUE(cluster_->RunUntil([&failure] { return failure.has_value(); }, 1000));
  EXPECT_FALSE(failure->ok());
  EXPECT_NE(cluster_->driver(broken).status().role, Role::kLeader);
  EXPECT_NE(cluster_->state_machine(broken).role, Role::kLeader);
  cluster_->RunForMs(2000);
  // The others have elected one of themselves and never hear of the broken one again.
  int leaders = 0;
  for (const NodeId id : cluster_->ids()) {
    leaders += id != broken && cluster_->driver(id).status().role == Role::kLeader;
  }
  EXPECT_EQ(leaders, 1);
}

// It resigns in the step that commits the change, before it has applied it.
TEST_F(ClusterTest, ALeaderThatIsRemovedTellsThatItIs) {
  StartSettled({.voters = 3});
  cluster_->RunForMs(100);  // both others have answered it
  const NodeId removed = leader();
  std::optional<Result<LogIndex>> outcome;
  cluster_->driver(removed).ChangeMember(
      {MemberChange::Kind::kRemove, {cluster_->voter(removed), {}}},
      [&outcome](Result<LogIndex> r) { outcome = std::move(r); });
  ASSERT_TRUE(cluster_->RunUntil([&outcome] { return outcome.has_value(); }, 5000));
  EXPECT_TRUE(outcome->ok()) << outcome->status().ToString();
  ASSERT_TRUE(cluster_->RunUntil(
      [this, removed] { return leader() != removed && leader() != kNoNode; }, 5000));
  EXPECT_TRUE(Write("w1").ok());
}

}  // namespace
}  // namespace sluice::raft::testing
