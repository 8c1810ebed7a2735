// A voter whose disk has lost entries, and its leader: what they may do, and until when.
#include <gtest/gtest.h>

#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

class RecoveringTest : public ::testing::Test, protected HandFed {
 protected:
  // Entries up to `last` of term 1, which is the present one; those from `lost` on are damaged.
  void Lose(int64_t lost, int64_t last = 5) {
    core_.reset();
    disk_ = {};
    disk_.entries.push_back(FirstEntry());
    for (Entry& entry : EntriesOf(1, last, 1)) disk_.entries.push_back(std::move(entry));
    disk_.hard_state = {Term(1), NodeId(3), {}};
    disk_.LoseEntriesFrom(LogIndex(lost));
    Open();
  }

  void AppendFrom(int64_t first, std::vector<Entry> entries, int64_t leaders_term) {
    const LogIndex prev(first - 1);
    Append(3, leaders_term,
           {.prev_index = prev,
            .prev_term = core_->log().TermAt(prev).value_or(Term(0)),
            .entries = std::move(entries)});
    Work();
  }

  bool Grants(int64_t term, bool pre_vote) {
    sent_.clear();
    // A candidate that has everything, and a leader that is long gone.
    core_->Tick(core_->now_ms() + 1000);
    Step(
        2, term,
        VoteRequest{.pre_vote = pre_vote, .last_index = LogIndex(99), .last_term = Term(term - 1)});
    FinishWrites();
    const auto answers = Sent<VoteResponse>();
    EXPECT_EQ(answers.size(), 1U);
    return !answers.empty() && answers.back().granted;
  }
};

TEST_F(RecoveringTest, NeitherVotesNorStands) {
  Lose(3);
  EXPECT_TRUE(core_->recovering());
  EXPECT_EQ(core_->log().last_index(), LogIndex(2));
  EXPECT_FALSE(Grants(2, true));
  EXPECT_FALSE(Grants(2, false));
  EXPECT_EQ(core_->term(), Term(2)) << "the term is true all the same";
  EXPECT_EQ(core_->metrics().votes_refused_lost, 2U);
  core_->Tick(core_->next_deadline_ms());
  core_->Tick(core_->now_ms() + 10'000);
  Step(2, 2, TimeoutNow{});
  Work();
  EXPECT_EQ(core_->role(), Role::kFollower);
  EXPECT_EQ(core_->metrics().pre_votes_started, 0U);
}

TEST_F(RecoveringTest, ALeaderElectedSinceGivesBackWithItsFirstEntry) {
  Lose(3);
  AppendFrom(3, EntriesOf(3, 3, 1), 2);
  FinishWrites();
  EXPECT_TRUE(core_->recovering()) << "what is before its term may be less than was lost";
  AppendFrom(4, EntriesOf(4, 4, 2), 2);
  EXPECT_TRUE(core_->recovering()) << "not durable yet";
  FinishWrites();
  EXPECT_FALSE(core_->recovering()) << "what is above was not committed, or it would be there";
  FinishWrites();
  EXPECT_FALSE(disk_.hard_state.lost.any());
  EXPECT_TRUE(Grants(3, true));
  EXPECT_TRUE(Grants(3, false));
}

TEST_F(RecoveringTest, TheLeaderOfBeforeGivesBackAll) {
  Lose(3);
  AppendFrom(3, EntriesOf(3, 4, 1), 1);
  FinishWrites();
  EXPECT_TRUE(core_->recovering());
  AppendFrom(5, EntriesOf(5, 5, 1), 1);
  FinishWrites();
  EXPECT_FALSE(core_->recovering());
}

TEST_F(RecoveringTest, ItOutlivesARestartAndEndsAtOneWhereItHadBeenGivenBack) {
  Lose(3);
  AppendFrom(3, EntriesOf(3, 4, 1), 1);
  FinishWrites();
  Restart();
  EXPECT_TRUE(core_->recovering());
  AppendFrom(5, EntriesOf(5, 5, 1), 1);
  // The entries reach the disk, and nothing behind them.
  disk_.Execute(writes_.front().second);
  Restart();
  EXPECT_FALSE(core_->recovering());
  Work();
  ASSERT_FALSE(writes_.empty());
  EXPECT_TRUE(writes_.front().second.hard_state.has_value());
}

TEST_F(RecoveringTest, ASecondDamageIsNoLessThanTheFirst) {
  Lose(3);
  AppendFrom(3, EntriesOf(3, 3, 1), 2);
  FinishWrites();
  core_.reset();
  disk_.LoseEntriesFrom(LogIndex(1));
  Open();
  EXPECT_EQ(core_->hard_state().lost, (LostEntries{LogIndex(5), Term(2)}));
  AppendFrom(1, EntriesOf(1, 3, 1), 2);
  AppendFrom(4, EntriesOf(4, 4, 2), 2);
  FinishWrites();
  EXPECT_TRUE(core_->recovering()) << "it may have acknowledged more to this very leader";
  AppendFrom(5, EntriesOf(5, 5, 2), 2);
  FinishWrites();
  EXPECT_FALSE(core_->recovering());
}

// It may be of an earlier term than the leader's: then it is not known whether all is in it.
TEST_F(RecoveringTest, ASnapshotGivesBackWithTheFirstEntryOfTheLeaderBehindIt) {
  Lose(3);
  Step(3, 4, WholeSnapshot(4, 2));
  FinishWrites();
  EXPECT_EQ(core_->log().last_index(), LogIndex(4));
  EXPECT_TRUE(core_->recovering());
  AppendFrom(5, EntriesOf(5, 5, 4), 4);
  FinishWrites();
  EXPECT_FALSE(core_->recovering());
}

TEST_F(RecoveringTest, ASnapshotOfTheLeadersTermCountsOnceItIsDurable) {
  Lose(3);
  Step(3, 4, WholeSnapshot(9, 4));
  Work();
  EXPECT_TRUE(core_->recovering());
  FinishWrites();
  EXPECT_FALSE(core_->recovering());
}

TEST_F(RecoveringTest, NothingIsLeftAndAllComesBack) {
  Lose(0);
  EXPECT_EQ(core_->log().last_index(), kNoIndex);
  EXPECT_FALSE(core_->IsVoter()) << "it knows nobody";
  EXPECT_FALSE(Grants(2, false));
  sent_.clear();
  AppendFrom(4, EntriesOf(4, 4, 2), 2);
  ASSERT_EQ(Sent<AppendResponse>().size(), 1U);
  EXPECT_TRUE(Sent<AppendResponse>().front().lost);
  EXPECT_EQ(Sent<AppendResponse>().front().hint_index, kNoIndex);
  std::vector<Entry> all = EntriesOf(1, 3, 1);
  all.insert(all.begin(), FirstEntry());
  all.push_back(Normal(4, 2));
  AppendFrom(0, std::move(all), 2);
  FinishWrites();
  EXPECT_TRUE(core_->IsVoter());
  EXPECT_FALSE(core_->recovering());
}

TEST_F(RecoveringTest, AHeartbeatThatTellsOfWhatIsLostIsAnswered) {
  Lose(3);
  Step(3, 1, HeartbeatRequest{.commit = LogIndex(5), .read_sequence = 7});
  Work();
  EXPECT_EQ(core_->commit(), LogIndex(2));
  ASSERT_EQ(Sent<HeartbeatResponse>().size(), 1U);
  EXPECT_TRUE(Sent<HeartbeatResponse>().front().recovering);
  ASSERT_EQ(Sent<AppendResponse>().size(), 1U);
  const AppendResponse refusal = Sent<AppendResponse>().front();
  EXPECT_FALSE(refusal.success);
  EXPECT_TRUE(refusal.lost);
  EXPECT_EQ(refusal.prev_index, LogIndex(5));
  EXPECT_EQ(refusal.hint_index, LogIndex(2));
}

TEST_F(RecoveringTest, OneVoterAloneDoesNotLeadWithoutWhatItLost) {
  core_.reset();
  disk_ = {};
  disk_.entries.push_back(BootstrapEntry({.cluster_id = kClusterId, .voters = {Voter(1)}}));
  for (Entry& entry : EntriesOf(1, 5, 1)) disk_.entries.push_back(std::move(entry));
  disk_.hard_state = {Term(1), NodeId(1), {}};
  disk_.LoseEntriesFrom(LogIndex(3));
  Open();
  core_->Tick(core_->now_ms() + 10'000);
  EXPECT_EQ(core_->role(), Role::kFollower);
}

class LeaderOfADamagedVoterTest : public RecoveringTest {
 protected:
  // Leads, and 2 has acknowledged everything: entries up to 5.
  void LeadWithAll() {
    Lead();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(core_->Propose("p").ok());
    FinishWrites();
    Acknowledge(5);
    ASSERT_EQ(At2().match, LogIndex(5));
  }
  void Acknowledge(int64_t match) {
    Step(2, core_->term().value(), AppendResponse{.success = true, .match = LogIndex(match)});
    Work();
  }
  void Refuse(int64_t prev, int64_t hint, bool lost) {
    Step(2, core_->term().value(),
         AppendResponse{.success = false,
                        .prev_index = LogIndex(prev),
                        .hint_index = LogIndex(hint),
                        .hint_term = core_->log().TermAt(LogIndex(hint)).value(),
                        .lost = lost});
    Work();
  }
  const Progress& At2() const { return core_->progress().at(NodeId(2)); }
};

TEST_F(LeaderOfADamagedVoterTest, ForgetsWhatWasAcknowledgedAndSendsItAgain) {
  LeadWithAll();
  sent_.clear();
  Refuse(5, 2, false);
  EXPECT_EQ(At2().match, LogIndex(5)) << "an ordinary refusal is overtaken by the acknowledgement";
  EXPECT_TRUE(Sent<AppendRequest>().empty());
  Refuse(5, 2, true);
  EXPECT_EQ(At2().match, LogIndex(2));
  ASSERT_EQ(Sent<AppendRequest>().size(), 1U);
  EXPECT_EQ(Sent<AppendRequest>().front().prev_index, LogIndex(2));
  EXPECT_EQ(Sent<AppendRequest>().front().entries.size(), 3U);
  EXPECT_EQ(core_->commit(), LogIndex(5)) << "what is committed stays so";
  Acknowledge(5);
  EXPECT_EQ(At2().match, LogIndex(5));
  Refuse(5, 5, true);
  EXPECT_EQ(At2().match, LogIndex(5)) << "nothing was lost that counts";
}

TEST_F(LeaderOfADamagedVoterTest, WhatWasLostCountsForNothingNew) {
  LeadWithAll();
  Refuse(5, 2, true);
  ASSERT_TRUE(core_->Propose("new").ok());
  FinishWrites();
  EXPECT_EQ(core_->commit(), LogIndex(5));
  Acknowledge(6);
  EXPECT_EQ(core_->commit(), LogIndex(6));
}

TEST_F(LeaderOfADamagedVoterTest, HandsTheLeadToAnother) {
  LeadWithAll();
  const int64_t term = core_->term().value();
  Step(2, term, HeartbeatResponse{.recovering = true});
  EXPECT_EQ(core_->Transfer(NodeId(2)).code(), StatusCode::kUnavailable);
  EXPECT_EQ(core_->Transfer(kNoNode).code(), StatusCode::kUnavailable) << "3 was not heard";
  const MemberChange change{MemberChange::Kind::kRemove, {Voter(3), {}}};
  EXPECT_EQ(core_->ChangeMember(change).status().code(), StatusCode::kUnavailable)
      << "of 1 and 2 nobody could be elected";
  Step(2, term, HeartbeatResponse{});
  EXPECT_TRUE(core_->ChangeMember(change).ok());
}

}  // namespace
}  // namespace sluice::raft::testing
