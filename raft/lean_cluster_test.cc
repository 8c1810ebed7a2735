// The lean simulator's own promises: that its faults are what they say.
#include "raft/testing/lean_cluster.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::raft::testing {
namespace {

class LeanClusterTest : public ::testing::Test {
 protected:
  LeanClusterTest() {
    for (const NodeId id : cluster_.ids()) cluster_.Start(id);
    EXPECT_TRUE(Settles());
  }

  bool Settles() {
    return cluster_.RunUntil([this] { return cluster_.settled(); }, 10'000);
  }

  bool Commits(const std::string& data) {
    LogIndex committed = kNoIndex;
    cluster_.Propose(cluster_.leader(), data, [&committed](const Result<LogIndex>& result) {
      if (result.ok()) committed = *result;
    });
    return cluster_.RunUntil([&committed] { return committed != kNoIndex; }, 5'000);
  }

  NodeId Follower() const {
    return *std::ranges::find_if(cluster_.ids(),
                                 [this](NodeId id) { return id != cluster_.leader(); });
  }

  LeanCluster cluster_{{.voters = 3}, 1};
};

TEST_F(LeanClusterTest, AVoterWhoseDiskFailsIsSilentFromItsNextWriteOn) {
  const NodeId first = cluster_.leader();
  cluster_.FailDisk(first);
  EXPECT_TRUE(cluster_.running(first));
  cluster_.Propose(first, "it cannot write this");
  EXPECT_TRUE(cluster_.RunUntil([&] { return !cluster_.running(first); }, 1'000));
  EXPECT_TRUE(Settles());
  EXPECT_NE(cluster_.leader(), first);
  EXPECT_TRUE(Commits("the others can"));
  EXPECT_EQ(cluster_.invariants().breach(), "");
}

TEST_F(LeanClusterTest, AVoterThatComesBackWithAnotherDiskIsNone) {
  const NodeId wiped = Follower();
  EXPECT_TRUE(Commits("it held this"));
  cluster_.Crash(wiped);
  cluster_.StartWiped(wiped);
  const Term term = cluster_.core(cluster_.leader()).term();
  cluster_.RunForMs(5'000);
  EXPECT_FALSE(cluster_.core(wiped).IsVoter());
  EXPECT_EQ(cluster_.core(wiped).log().last_index(), LogIndex(0)) << "it is sent nothing";
  EXPECT_EQ(cluster_.core(cluster_.leader()).term(), term) << "it disturbs nobody";
  EXPECT_TRUE(Commits("the others are a majority"));
  EXPECT_EQ(cluster_.invariants().breach(), "");
}

TEST_F(LeanClusterTest, ASlowDiskIsThatOfOneNodeUntilItStartsAnew) {
  const NodeId slow = Follower();
  cluster_.SetDiskLatency(slow, {.ms_min = 1'000, .ms_max = 1'000});
  EXPECT_TRUE(Commits("not on its disk yet"));
  EXPECT_LT(cluster_.core(slow).log().durable_index(),
            cluster_.core(cluster_.leader()).log().durable_index());
  cluster_.RunForMs(2'000);
  EXPECT_EQ(cluster_.core(slow).log().durable_index(),
            cluster_.core(cluster_.leader()).log().durable_index());
  EXPECT_EQ(cluster_.invariants().breach(), "");
}

TEST_F(LeanClusterTest, WhoIsHeardButHearsNobodyDoesNotLeadForLong) {
  const NodeId first = cluster_.leader();
  for (const NodeId id : cluster_.ids()) {
    if (id != first) cluster_.Cut(id, first);
  }
  EXPECT_TRUE(cluster_.RunUntil(
      [&] { return cluster_.leader() != kNoNode && cluster_.leader() != first; }, 5'000));
  EXPECT_NE(cluster_.core(first).role(), Role::kLeader);
  EXPECT_EQ(cluster_.invariants().breach(), "");
}

}  // namespace
}  // namespace sluice::raft::testing
