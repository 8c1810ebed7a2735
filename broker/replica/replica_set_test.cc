#include "broker/replica/replica_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kSelf{1}, kTwo{2}, kThree{3};
constexpr BrokerEpoch kEpoch{10};

class ReplicaSetTest : public ::testing::Test {
 protected:
  ReplicaSetTest() { set_.StartEpoch(kSelf, {kSelf, kTwo, kThree}, {kSelf, kTwo}, 0); }

  void Fetch(NodeId id, int64_t offset, int64_t leader_end, int64_t now_ms = 0) {
    ASSERT_TRUE(
        set_.RecordFetch(*set_.Find(id), Offset(offset), kEpoch, Offset(leader_end), now_ms));
  }
  int64_t Committable(int64_t own, bool eligible = true, int64_t now_ms = 0) {
    return set_
        .CommittableOffset(Offset(own), {Offset(own), now_ms, 100},
                           [eligible](const RemoteReplica&) { return eligible; })
        .value();
  }

  ReplicaSet set_;
};

TEST_F(ReplicaSetTest, NothingIsCommittedBeforeAllOfTheIsrHasFetchedInThisEpoch) {
  EXPECT_EQ(Committable(5), -1);
  Fetch(kTwo, 3, 5);
  EXPECT_EQ(Committable(5), 3);
}

TEST_F(ReplicaSetTest, TheLeaderIsAReplicaLikeAnyOther) {
  Fetch(kTwo, 5, 5);
  EXPECT_EQ(Committable(4), 4);
}

TEST_F(ReplicaSetTest, AProposedMemberCountsAtOnce) {
  Fetch(kTwo, 5, 5);
  Fetch(kThree, 2, 5);
  EXPECT_EQ(Committable(5), 5);
  set_.Propose({kSelf, kTwo, kThree});
  EXPECT_EQ(Committable(5), 2);
}

TEST_F(ReplicaSetTest, AMemberThatIsToLeaveCountsUntilTheControllerHasSaidSo) {
  Fetch(kTwo, 2, 5);
  set_.Propose({kSelf});
  EXPECT_EQ(Committable(5), 2);
  set_.CommitIsr({kSelf});
  EXPECT_EQ(Committable(5, false), 5);
}

TEST_F(ReplicaSetTest, ACaughtUpReplicaOutsideTheIsrHoldsTheHighWatermarkIfItMayJoin) {
  Fetch(kTwo, 8, 8);
  Fetch(kThree, 5, 5, 50);
  EXPECT_EQ(Committable(8, true, 60), 5);
  EXPECT_EQ(Committable(8, false, 60), 8) << "not eligible";
  EXPECT_EQ(Committable(8, true, 500), 8) << "not caught up any more";
}

// The controller put it out, for a damaged log perhaps: it may never fetch again.
TEST_F(ReplicaSetTest, OneThatHadToLeaveTheIsrHoldsNothingUntilItHasCaughtUpAgain) {
  Fetch(kTwo, 5, 5, 50);
  EXPECT_EQ(Committable(8, true, 60), 5);
  set_.CommitIsr({kSelf});
  EXPECT_EQ(Committable(8, true, 60), 8);
  Fetch(kTwo, 8, 9, 70);
  EXPECT_EQ(Committable(9, true, 80), 9);
  Fetch(kTwo, 9, 9, 90);
  EXPECT_EQ(Committable(12, true, 100), 9);
}

TEST_F(ReplicaSetTest, UnderConstantAppendsAFollowerIsCaughtUpWithTheEndOfItsLastFetch) {
  Fetch(kTwo, 0, 10, 0);
  for (int64_t now_ms = 10; now_ms <= 1000; now_ms += 10) Fetch(kTwo, now_ms, now_ms + 10, now_ms);
  EXPECT_THAT(set_.Lagging({Offset(1020), 1005, 100}), IsEmpty());
  EXPECT_THAT(set_.Lagging({Offset(1020), 1200, 100}), ElementsAre(kTwo));
}

TEST_F(ReplicaSetTest, AMemberWithAllRecordsNeverLags) {
  Fetch(kTwo, 10, 10, 0);
  EXPECT_THAT(set_.Lagging({Offset(10), 100000, 100}), IsEmpty());
}

TEST_F(ReplicaSetTest, AMemberThatNeverFetchesLagsAfterItsGrace) {
  EXPECT_THAT(set_.Lagging({Offset(1), 100, 100}), IsEmpty());
  EXPECT_THAT(set_.Lagging({Offset(1), 101, 100}), ElementsAre(kTwo));
}

TEST_F(ReplicaSetTest, ARequestOfAFormerLifeIsIgnored) {
  Fetch(kTwo, 5, 5);
  EXPECT_FALSE(set_.RecordFetch(*set_.Find(kTwo), Offset(9), BrokerEpoch(9), Offset(9), 0));
  EXPECT_EQ(set_.Find(kTwo)->log_end_offset, Offset(5));
}

// Anybody can say that he is a replica; the epoch is what only a registered broker knows.
TEST_F(ReplicaSetTest, AFetchWithoutABrokerEpochMovesNothing) {
  EXPECT_FALSE(set_.RecordFetch(*set_.Find(kTwo), Offset(5), BrokerEpoch(-1), Offset(5), 0));
  EXPECT_EQ(Committable(5), -1);
  Fetch(kTwo, 3, 5);
  EXPECT_FALSE(set_.RecordFetch(*set_.Find(kTwo), Offset(5), BrokerEpoch(-1), Offset(5), 0));
  EXPECT_EQ(Committable(5), 3);
}

TEST_F(ReplicaSetTest, ANewEpochForgetsPositions) {
  Fetch(kTwo, 5, 5);
  set_.StartEpoch(kSelf, {kSelf, kTwo, kThree}, {kSelf, kTwo}, 1000);
  EXPECT_FALSE(set_.Find(kTwo)->fetched_in_epoch());
  EXPECT_EQ(Committable(5), -1);
}

// From the question on: the controllers do not wait for this leader.
TEST_F(ReplicaSetTest, ForgottenPositionsHoldTheHighWatermarkAndNobodyLagsForIt) {
  Fetch(kTwo, 5, 5);
  EXPECT_EQ(Committable(5), 5);
  set_.ForgetPositions();
  EXPECT_EQ(Committable(5), -1);
  EXPECT_THAT(set_.Lagging({Offset(5), 100, 100}), IsEmpty());
  Fetch(kTwo, 4, 5);
  EXPECT_EQ(Committable(5), 4);
}

TEST_F(ReplicaSetTest, ALeaderIsRelievedByTheIsrThatEndsItsMove) {
  set_.set_move({{kTwo, kThree}, {kSelf}});
  EXPECT_FALSE(set_.MayBeRelieved());
  set_.Propose({kSelf, kTwo});
  EXPECT_FALSE(set_.MayBeRelieved());
  set_.Propose({kSelf, kTwo, kThree});
  EXPECT_TRUE(set_.MayBeRelieved());
  set_.DropProposal();
  EXPECT_FALSE(set_.MayBeRelieved());
  set_.set_move({{kSelf, kThree}, {kTwo}});
  set_.Propose({kSelf, kTwo, kThree});
  EXPECT_FALSE(set_.MayBeRelieved());
}

// It may have led in the epoch before, and tell ends until it hears of this one.
TEST_F(ReplicaSetTest, AMoveEndsWhenWhoGoesHasBeenHeardOf) {
  set_.set_move({{kSelf, kThree}, {kTwo}});
  EXPECT_TRUE(set_.EndsMoveUnheard(kThree));
  Fetch(kTwo, 0, 5);
  EXPECT_FALSE(set_.EndsMoveUnheard(kThree));
  set_.StartEpoch(kSelf, {kSelf, kTwo, kThree}, {kSelf, kTwo}, 0);
  EXPECT_TRUE(set_.EndsMoveUnheard(kThree));
  set_.CommitIsr({kSelf});  // it has left by itself, or has been made to
  EXPECT_FALSE(set_.EndsMoveUnheard(kThree));
}

TEST_F(ReplicaSetTest, NobodyIsWaitedForWhoStaysOrBeforeTheMoveEnds) {
  const NodeId four{4};
  set_.StartEpoch(kSelf, {kSelf, kTwo, kThree, four}, {kSelf, kTwo}, 0);
  EXPECT_FALSE(set_.EndsMoveUnheard(kThree));
  set_.set_move({{kSelf, kThree, four}, {kTwo}});
  EXPECT_FALSE(set_.EndsMoveUnheard(kThree));
  set_.set_move({{kSelf, kTwo, kThree}, {four}});
  EXPECT_FALSE(set_.EndsMoveUnheard(kThree));
}

TEST_F(ReplicaSetTest, WhoWasRefusedIsPassedOverUntilItHasAllAWhileLater) {
  const auto refused = [&](NodeId id) { return ReplicaSet::Refused(*set_.Find(id)); };
  const auto fetch_at = [&](int64_t now_ms) {
    set_.RecordFetch(*set_.Find(kThree), Offset(5), BrokerEpoch(1), Offset(5), now_ms);
  };
  set_.CommitIsr({kSelf, kTwo});
  fetch_at(100);
  set_.Propose({kSelf, kTwo, kThree});
  EXPECT_EQ(set_.NoteRefused(100), std::vector<NodeId>{kThree});
  EXPECT_TRUE(set_.ProposesToAdd());
  set_.DropProposal();
  EXPECT_FALSE(set_.ProposesToAdd());
  EXPECT_TRUE(refused(kThree));
  EXPECT_FALSE(refused(kTwo)) << "it is in the ISR";
  fetch_at(99 + ReplicaSet::kRefusedForMs);
  EXPECT_TRUE(refused(kThree));
  // It is there again, and lacks what came meanwhile: its disk is full still.
  set_.RecordFetch(*set_.Find(kThree), Offset(5), BrokerEpoch(1), Offset(9), 5000);
  EXPECT_TRUE(refused(kThree));
  fetch_at(5100);
  EXPECT_FALSE(refused(kThree));
  // That another one leaves says nothing of it: nobody may wait for it until it would lag.
  set_.Propose({kSelf, kTwo, kThree});
  EXPECT_EQ(set_.NoteRefused(5100), std::vector<NodeId>()) << "it was told of before";
  set_.CommitIsr({kSelf});
  EXPECT_FALSE(set_.pending());
  EXPECT_TRUE(refused(kThree));
  EXPECT_EQ(set_.CommittableOffset(
                Offset(9), {.leader_end = Offset(9), .now_ms = 5200, .lag_ms_max = 10'000},
                [](const RemoteReplica& remote) { return !ReplicaSet::Refused(remote); }),
            Offset(9));
  set_.CommitIsr({kSelf, kThree});
  EXPECT_FALSE(refused(kThree));
  set_.CommitIsr({kSelf});
  set_.Propose({kSelf, kThree});
  EXPECT_EQ(set_.NoteRefused(9000), std::vector<NodeId>{kThree});
}

TEST_F(ReplicaSetTest, CommitKeepsThePositionsOfThoseWhoStay) {
  Fetch(kTwo, 5, 5);
  set_.Commit({kSelf, kTwo, NodeId(4)}, {kSelf, kTwo});
  EXPECT_EQ(set_.Find(kTwo)->log_end_offset, Offset(5));
  EXPECT_EQ(set_.Find(kThree), nullptr);
  EXPECT_NE(set_.Find(NodeId(4)), nullptr);
}

}  // namespace
}  // namespace sluice::broker
