// Bugs that other Raft libraries had, each as a test of its own under the number it had there.
// Those of members are in member_change_test.cc (Kafka17608, Kafka19400), that of batches with a
// later epoch in bad_input_test.cc (Kafka18723), those of the file system in
// controller/quorum_log_crash_test.cc (Etcd6368, Etcd6378), that of threads in driver_test.cc
// (Kafka15100).
#include <gtest/gtest.h>

#include <algorithm>

#include "raft/testing/hand_fed.h"
#include "raft/testing/lean_cluster.h"
#include "raft/testing/register_history.h"

namespace sluice::raft::testing {
namespace {

class Regression : public ::testing::Test, protected HandFed {
 protected:
  bool Granted() const {
    return std::ranges::any_of(Sent<VoteResponse>(),
                               [](const VoteResponse& vote) { return vote.granted; });
  }
};

// A vote was answered before it was on the disk. After a crash the voter had forgotten it, and
// voted for another in the same term. (RobustMQ's pull request 2039 mends the same.)
TEST_F(Regression, Camunda5356_AVoteIsAnsweredOnceItIsDurable) {
  Step(2, 1, VoteRequest{.last_index = LogIndex(0)});
  Work();
  EXPECT_FALSE(Granted());
  Restart();
  Step(3, 1, VoteRequest{.last_index = LogIndex(0)});
  FinishWrites();
  EXPECT_TRUE(Granted()) << "nobody knows of the first vote";
  Restart();
  Step(2, 1, VoteRequest{.last_index = LogIndex(0)});
  FinishWrites();
  EXPECT_FALSE(Granted()) << "the second is a promise";
}

// A leader lost what it had not flushed, and came back as the leader of the same epoch with another
// log.
TEST_F(Regression, Kafka10527_ALeaderThatRestartsDoesNotLeadThatTermAgain) {
  Lead();
  const Term led = core_->term();
  ASSERT_TRUE(core_->Propose("is lost").ok());
  Work();
  Restart();
  EXPECT_EQ(core_->term(), led);
  EXPECT_NE(core_->role(), Role::kLeader);
  Step(2, led.value(), VoteResponse{.granted = true});
  Work();
  EXPECT_NE(core_->role(), Role::kLeader);
  Lead();
  EXPECT_EQ(core_->role(), Role::kLeader);
  EXPECT_GT(core_->term(), led);
}

// The leader's own log was not flushed before it counted for the high watermark.
TEST_F(Regression, Kafka10533_TheLeaderCountsItselfOnceItHasFlushed) {
  Lead();
  const auto index = core_->Propose("in memory only");
  ASSERT_TRUE(index.ok());
  Work();
  ASSERT_FALSE(writes_.empty());
  Step(2, core_->term().value(), AppendResponse{.success = true, .match = *index});
  Work();
  EXPECT_LT(core_->commit(), *index) << "on one disk of three";
  FinishWrites();
  EXPECT_EQ(core_->commit(), *index);
}

// After a crash in the middle of taking a snapshot the log began behind the snapshot's end, and
// what lay between was gone.
TEST_F(Regression, Kafka14240_NoCrashLeavesAGapBetweenSnapshotAndLog) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    LeanCluster cluster({.voters = 1, .config = {.snapshot_interval_bytes = 40}}, seed);
    const NodeId only = cluster.ids().front();
    for (int round = 0; round < 4; ++round) {
      cluster.Start(only);
      ASSERT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 1'000));
      for (int n = 0; n < 5; ++n) cluster.Propose(only, "ten bytes.");
      cluster.RunForMs(random.Between(0, 6));
      cluster.Crash(only);
    }
    cluster.Start(only);
    EXPECT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 1'000));
    const RaftLog& log = cluster.core(only).log();
    EXPECT_LE(log.first_index(), log.snapshot_index() + 1);
    ASSERT_EQ(cluster.invariants().breach(), "") << "seed " << seed;
  }
}

// A follower that got a second snapshot while the first was on its way to the disk aborted.
TEST_F(Regression, Etcd18055_TwoSnapshotsInQuickSuccession) {
  Step(2, 1, WholeSnapshot(10, 1));
  Work();
  FinishOneWrite();
  LoadReceived();
  Step(2, 1, WholeSnapshot(20, 1));
  Work();
  ASSERT_EQ(writes_.size(), 2U);
  FinishWrites();
  Append(2, 1, {.prev_index = LogIndex(20), .prev_term = Term(1), .entries = EntriesOf(21, 22, 1)});
  FinishWrites();
  EXPECT_EQ(core_->log().snapshot_index(), LogIndex(20));
  EXPECT_EQ(core_->log().durable_index(), LogIndex(22));
  EXPECT_EQ(disk_.snapshot_index(), LogIndex(20));
  EXPECT_EQ(disk_.last_index(), LogIndex(22));
  Restart();
  EXPECT_EQ(core_->log().last_index(), LogIndex(22));
}

// The same on the side that takes them: the next is asked for before the one before is stored.
TEST_F(Regression, Etcd18055_TwoSnapshotsTakenInQuickSuccession) {
  LeanCluster cluster({.voters = 3, .disk = {.ms_min = 20, .ms_max = 20}}, 1);
  for (const NodeId id : cluster.ids()) cluster.Start(id);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 5'000));
  for (int n = 0; n < 200; ++n) {
    for (const NodeId id : cluster.ids()) cluster.TakeSnapshot(id);
    cluster.Propose(cluster.leader(), "more");
    cluster.RunForMs(1);
  }
  cluster.RunForMs(1'000);
  EXPECT_EQ(cluster.invariants().breach(), "");
  for (const NodeId id : cluster.ids())
    EXPECT_GT(cluster.core(id).log().snapshot_index(), LogIndex(150));
}

// Five nodes lost what was not synced, all at once and again and again: what had been acknowledged
// was gone.
TEST_F(Regression, Etcd14143_WhatIsAcknowledgedSurvivesPowerCutsOfAllFive) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    LeanCluster cluster({.voters = 5, .disk = {.ms_min = 1, .ms_max = 10}}, seed);
    RegisterHistory history;
    for (int round = 0; round < 10; ++round) {
      for (const NodeId id : cluster.ids()) cluster.Start(id);
      ASSERT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 30'000));
      const NodeId leader = cluster.leader();
      cluster.Read(leader, [&, began = history.ReadBegan()](const Result<LogIndex>& read) {
        if (read.ok()) history.ReadEnded(began, cluster.value(leader));
      });
      cluster.RunForMs(50);
      for (int n = 0; n < 10; ++n) {
        const RegisterHistory::Value value = history.WriteBegan();
        cluster.Propose(leader, "w" + std::to_string(value), [&, value](Result<LogIndex> written) {
          if (written.ok()) history.WriteEnded(value, RegisterHistory::Outcome::kDone);
        });
        cluster.RunForMs(random.Between(0, 10));
      }
      for (const NodeId id : cluster.ids()) cluster.Crash(id);
    }
    EXPECT_GT(history.reads(), 5U);
    ASSERT_EQ(history.Check(), "") << "seed " << seed;
    ASSERT_EQ(cluster.invariants().breach(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice::raft::testing
