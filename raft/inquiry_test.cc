// A voter whose disk is as it was formatted asks the others before it takes part.
#include <gtest/gtest.h>

#include "raft/testing/hand_fed.h"

namespace sluice::raft {
namespace {

using testing::EntriesOf;
using testing::HandFed;
using testing::kClusterId;
using testing::Voter;

class InquiryTest : public ::testing::Test {
 protected:
  InquiryTest() {
    node_.core_->Tick(0);
    node_.FinishWrites();
  }

  Core& core() { return *node_.core_; }
  uint64_t question() { return node_.Sent<Inquiry>().back().question; }
  // Whoever had the vote that is forgotten has given up by then.
  void PassCandidacies() {
    const uint64_t before = question();
    core().Tick(core().now_ms() + 2 * RaftConfig().election_timeout_ms_max);
    node_.FinishWrites();
    EXPECT_NE(question(), before);
  }
  void Answer(int from, int64_t term, InquiryResponse answer) {
    answer.question = question();
    node_.Step(from, term, answer);
    node_.FinishWrites();
  }
  // From one that knows of nothing.
  void AnswerNothing(int from) {
    Answer(from, 0, {.last_index = LogIndex(0), .same_voters = true});
  }
  // From one that holds entries up to `last`.
  void AnswerHas(int from, int64_t term, int64_t last, bool leads) {
    Answer(from, term, {.last_index = LogIndex(last), .leads = leads, .same_voters = true});
  }
  void AskForVote(int from, int64_t term, int64_t last_index, int64_t last_term) {
    node_.sent_.clear();
    node_.Step(from, term,
               VoteRequest{.last_index = LogIndex(last_index), .last_term = Term(last_term)});
    node_.FinishWrites();
  }
  bool Granted() {
    const auto answers = node_.Sent<VoteResponse>();
    return answers.size() == 1 && answers.front().granted;
  }

  HandFed node_{{HandFed::FirstEntry()}, true};
};

TEST_F(InquiryTest, OnTheFirstDayItTakesPartWhenAllTheOthersKnowOfNothing) {
  EXPECT_EQ(node_.Sent<Inquiry>().size(), 2u);
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 2, 3");
  AskForVote(2, 1, 0, 0);
  EXPECT_TRUE(node_.sent_.empty()) << "what is asked meanwhile is lost, as a message may be";
  core().Tick(core().next_deadline_ms());
  node_.FinishWrites();
  AnswerNothing(2);
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 3");
  AnswerNothing(3);
  EXPECT_EQ(core().WhyInquiring(), "");
  AskForVote(2, 1, 0, 0);
  EXPECT_TRUE(Granted());
}

// A third one may hold what both of these have lost.
TEST_F(InquiryTest, AMajorityIsNeverEnough) {
  PassCandidacies();
  AnswerNothing(3);
  core().Tick(1'000'000);
  EXPECT_TRUE(core().inquiring());
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 2");
}

TEST_F(InquiryTest, AloneItNeverTakesPart) {
  core().Tick(1'000'000);
  EXPECT_TRUE(core().inquiring());
  EXPECT_EQ(core().role(), Role::kFollower);
}

// First voters 1, 2 and 3, and 4 that was added and removed, has not heard of it, and campaigns
// with the vote that was forgotten: 2 may vote for it after it has answered. 4 gives up in time.
TEST_F(InquiryTest, WhatItHearsCountsOnceNobodyCampaignsWithItsForgottenVote) {
  AnswerHas(2, 5, 7, false);
  AnswerHas(3, 5, 7, true);
  EXPECT_EQ(core().WhyInquiring(), "an election that it has voted in may still go on");
  const uint64_t early = question();
  PassCandidacies();
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 2, 3");
  node_.Step(3, 5, InquiryResponse{early, LogIndex(7), true, true});
  AnswerHas(2, 6, 7, false);
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 3");
  AnswerHas(3, 5, 7, true);
  EXPECT_EQ(core().WhyInquiring(), "none of the others leads yet") << "in the newest term";
}

TEST_F(InquiryTest, WhereTheClusterHasRunItWaitsForAllAndForTheLeader) {
  PassCandidacies();
  AnswerHas(2, 5, 7, true);
  EXPECT_TRUE(core().inquiring()) << "3 may be in a later term, by the vote that is forgotten";
  node_.Append(2, 5, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 7, 5)});
  EXPECT_EQ(core().log().last_index(), LogIndex(0));
  AnswerHas(3, 6, 7, false);
  EXPECT_EQ(core().WhyInquiring(), "none of the others leads yet");
  core().Tick(1'000'000);
  EXPECT_TRUE(core().inquiring());
  AnswerHas(3, 6, 8, true);
  EXPECT_FALSE(core().inquiring());
  const HardState lost{Term(6), NodeId(3), {LogIndex(8), Term(6)}};
  EXPECT_EQ(core().hard_state(), lost);
  EXPECT_EQ(node_.disk_.hard_state, lost) << "a restart has to know it too";
}

TEST_F(InquiryTest, InATermThatItMayHaveVotedInItDoesNotVote) {
  AnswerNothing(2);
  Answer(3, 1, {.last_index = LogIndex(0), .same_voters = true});
  EXPECT_FALSE(core().inquiring());
  EXPECT_FALSE(core().recovering());
  AskForVote(2, 1, 0, 0);
  EXPECT_FALSE(Granted()) << "it may have led that term, by the vote of 3";
  AskForVote(2, 2, 0, 0);
  EXPECT_TRUE(Granted());
}

TEST_F(InquiryTest, ItVotesAgainOnceItHasGotBackWhatTheLeaderHeld) {
  PassCandidacies();
  AnswerHas(2, 5, 7, true);
  AnswerHas(3, 5, 7, false);
  node_.Append(2, 5, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 6, 5)});
  node_.FinishWrites();
  EXPECT_TRUE(core().recovering());
  AskForVote(3, 6, 9, 5);
  EXPECT_FALSE(Granted());
  node_.Append(2, 6,
               {.prev_index = LogIndex(6), .prev_term = Term(5), .entries = EntriesOf(7, 7, 6)});
  node_.FinishWrites();
  EXPECT_FALSE(core().recovering());
  AskForVote(3, 7, 9, 6);
  EXPECT_FALSE(Granted()) << "it hears a leader";
  core().Tick(core().now_ms() + 1000);
  AskForVote(3, 8, 9, 6);
  EXPECT_TRUE(Granted());
}

TEST_F(InquiryTest, InTheTermThatItFindsItHasVoted) {
  PassCandidacies();
  AnswerHas(2, 5, 1, true);
  AnswerHas(3, 5, 1, false);
  node_.Append(2, 5, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 1, 5)});
  node_.FinishWrites();
  ASSERT_FALSE(core().recovering());
  core().Tick(core().now_ms() + 1000);
  AskForVote(3, 5, 9, 4);
  EXPECT_FALSE(Granted());
}

TEST_F(InquiryTest, AnAnswerToAnEarlierIncarnationIsNone) {
  const uint64_t earlier = question() + 1;
  node_.Step(2, 5, InquiryResponse{earlier, LogIndex(7), true, true});
  node_.Step(3, 5, InquiryResponse{earlier, LogIndex(7), false, true});
  EXPECT_EQ(core().WhyInquiring(), "no answer yet from voter 2, 3");
}

TEST_F(InquiryTest, WhereTheVotersHaveChangedItStaysAway) {
  Answer(2, 5, {.last_index = LogIndex(7), .leads = true, .same_voters = false});
  AnswerHas(3, 5, 7, false);
  EXPECT_EQ(core().WhyInquiring(),
            "the voters are not those any more that this disk was formatted with");
}

TEST_F(InquiryTest, OneThatHasVotedBeforeDoesNotAsk) {
  AnswerNothing(2);
  AnswerNothing(3);
  AskForVote(2, 1, 0, 0);
  node_.Restart();
  EXPECT_FALSE(core().inquiring());
}

// After an hour it takes one, of the bootstrap entry.
TEST_F(InquiryTest, ASnapshotOfNothingIsNothing) {
  core().SnapshotTaken(LogIndex(0), std::make_shared<const std::string>("first"));
  node_.FinishWrites();
  ASSERT_TRUE(node_.disk_.snapshot.has_value());
  node_.Restart();
  EXPECT_TRUE(core().inquiring());
}

TEST_F(InquiryTest, DamageToADiskAsFormattedDoesNotMakeItAnother) {
  node_.disk_.hard_state.lost = {LogIndex(0), Term(0)};
  node_.Restart();
  EXPECT_TRUE(core().inquiring());
}

// Not even the bootstrap entry is left, so there is nobody it could ask.
TEST_F(InquiryTest, WhatWasLostBeforeAnyElectionIsNeverGivenBack) {
  node_.disk_.hard_state.lost = {LogIndex(0), Term(0)};
  node_.disk_.entries.clear();
  node_.Restart();
  std::vector<Entry> entries = EntriesOf(0, 3, 5);
  entries.front() = HandFed::FirstEntry();
  node_.Append(2, 5, {.entries = entries});
  node_.FinishWrites();
  EXPECT_EQ(core().log().last_index(), LogIndex(3));
  EXPECT_TRUE(core().recovering());
}

// What is lost to damage was held, and may be committed.
TEST_F(InquiryTest, OneThatIsDamagedTellsOfWhatItHasLost) {
  node_.disk_.hard_state = {Term(3), NodeId(2), {LogIndex(9), Term(3)}};
  node_.Restart();
  node_.Step(2, 0, Inquiry{9, {Voter(1), Voter(2), Voter(3)}});
  node_.FinishWrites();
  ASSERT_EQ(node_.Sent<InquiryResponse>().size(), 1u);
  EXPECT_EQ(node_.Sent<InquiryResponse>().front().last_index, LogIndex(9));
}

// A vote for the process before the disk was formatted again: it was for another log.
TEST_F(InquiryTest, AVoteForAnEarlierProcessIsNone) {
  AnswerNothing(2);
  AnswerNothing(3);
  core().Tick(core().next_deadline_ms());
  node_.FinishWrites();
  const auto vote = [this](bool pre_vote, uint64_t process) {
    const Term term = pre_vote ? core().term() + 1 : core().term();
    core().Step({kClusterId, Voter(2), NodeId(1), term,
                 VoteResponse{.pre_vote = pre_vote, .granted = true, .process = process}});
    node_.FinishWrites();
  };
  vote(true, core().process() + 1);
  EXPECT_EQ(core().role(), Role::kPreCandidate);
  vote(true, core().process());
  EXPECT_EQ(core().role(), Role::kCandidate);
  vote(false, core().process() + 1);
  EXPECT_EQ(core().role(), Role::kCandidate);
  vote(false, core().process());
  EXPECT_EQ(core().role(), Role::kLeader);
}

TEST_F(InquiryTest, OneThatTakesPartTellsWhatItKnows) {
  AnswerNothing(2);
  AnswerNothing(3);
  node_.Lead();
  node_.Step(2, 0, Inquiry{9, {Voter(3), Voter(1), Voter(2)}});
  node_.Step(3, 0, Inquiry{9, {Voter(3), Voter(1), Voter(4)}});
  node_.FinishWrites();
  const auto answers = node_.Sent<InquiryResponse>();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].question, 9u);
  EXPECT_TRUE(answers[0].leads);
  EXPECT_EQ(answers[0].last_index, core().log().last_index());
  EXPECT_TRUE(answers[0].same_voters);
  EXPECT_FALSE(answers[1].same_voters);
  EXPECT_EQ(node_.sent_.back().term, core().term());
}

}  // namespace
}  // namespace sluice::raft
