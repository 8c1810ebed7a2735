// Changes of members, as one node sees them; whole clusters are in the stories (testdata/) and in
// the simulation.
#include <gtest/gtest.h>

#include <set>

#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

using Kind = MemberChange::Kind;

Member AtHost(int id) { return {Voter(id), "host-" + std::to_string(id) + ":9095"}; }

Entry Setting(int64_t index, int64_t term, const Membership& members) {
  return {LogIndex(index), Term(term), EntryType::kMembership, EncodeMembership(members)};
}

TEST(Changed, IsOneStep) {
  const Membership first = MembershipOf({Voter(1), Voter(2)});
  const Membership learns = *Changed(first, {Kind::kAddLearner, AtHost(3)});
  EXPECT_EQ(learns.voters, first.voters);
  EXPECT_EQ(learns.learners, std::vector<Member>{AtHost(3)});
  const Membership votes = *Changed(learns, {Kind::kPromote, {Voter(3), "elsewhere:1"}});
  EXPECT_EQ(votes.voters.back(), AtHost(3)) << "at the address it joined with";
  EXPECT_TRUE(votes.learners.empty());
  EXPECT_EQ(*Changed(votes, {Kind::kRemove, AtHost(3)}), first);
  EXPECT_EQ(*Changed(learns, {Kind::kRemove, AtHost(3)}), first);
}

TEST(Changed, RefusesWhatCannotBe) {
  Membership members = MembershipOf({Voter(1)});
  members.learners = {AtHost(2)};
  const Member other_disk{{NodeId(2), Voter(9).disk_id}, {}};
  const auto code = [&](Kind kind, const Member& member) {
    return Changed(members, {kind, member}).status().code();
  };
  EXPECT_EQ(code(Kind::kAddLearner, AtHost(1)), StatusCode::kAlreadyExists);
  EXPECT_EQ(code(Kind::kAddLearner, AtHost(2)), StatusCode::kAlreadyExists);
  EXPECT_EQ(code(Kind::kAddLearner, other_disk), StatusCode::kAlreadyExists);
  EXPECT_EQ(code(Kind::kAddLearner, {{NodeId(3), Uuid()}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Kind::kAddLearner, {{NodeId(-1), Voter(3).disk_id}, {}}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Kind::kPromote, AtHost(1)), StatusCode::kAlreadyExists);
  EXPECT_EQ(code(Kind::kPromote, AtHost(3)), StatusCode::kNotFound);
  EXPECT_EQ(code(Kind::kPromote, other_disk), StatusCode::kNotFound);
  EXPECT_EQ(code(Kind::kRemove, AtHost(3)), StatusCode::kNotFound);
  EXPECT_EQ(code(Kind::kRemove, other_disk), StatusCode::kNotFound);
  EXPECT_EQ(code(Kind::kRemove, AtHost(1)), StatusCode::kInvalidArgument) << "nobody would be left";
}

// Node 1 leads three voters.
class LeaderTest : public ::testing::Test, protected HandFed {
 protected:
  LeaderTest() {
    Lead();
    Acknowledge(2);
  }
  void AcknowledgeFrom(const VoterId& from) {
    core_->Step({kClusterId, from, NodeId(1), core_->term(),
                 AppendResponse{.success = true, .match = core_->log().last_index()}});
    FinishWrites();
  }
  void Acknowledge(int from) { AcknowledgeFrom(Voter(from)); }
  StatusCode Change(Kind kind, int id) {
    const Result<LogIndex> index = core_->ChangeMember({kind, AtHost(id)});
    if (index.ok()) FinishWrites();
    return index.status().code();
  }
  // Adds node 4 as a learner that has everything.
  void Teach() {
    ASSERT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
    Acknowledge(2);
    Acknowledge(4);
    ASSERT_EQ(core_->commit(), core_->log().last_index());
  }
  LogIndex Propose() {
    const Result<LogIndex> index = core_->Propose("data");
    FinishWrites();
    return index.ok() ? *index : kNoIndex;
  }
  void Wait(int64_t ms) {
    core_->Tick(core_->now_ms() + ms);
    FinishWrites();
  }
};

TEST_F(LeaderTest, ALearnersCopyCommitsNothing) {
  Teach();
  const LogIndex index = Propose();
  Acknowledge(4);
  EXPECT_LT(core_->commit(), index);
  Acknowledge(2);
  EXPECT_EQ(core_->commit(), index);
}

TEST_F(LeaderTest, ALearnerIsNoMajorityToStayInContactWith) {
  Teach();
  for (int i = 0; i < 10 && core_->role() == Role::kLeader; ++i) {
    Wait(100);
    if (core_->role() == Role::kLeader) Step(4, core_->term().value(), HeartbeatResponse{});
  }
  EXPECT_EQ(core_->role(), Role::kFollower);
}

TEST_F(LeaderTest, ALearnerConfirmsNoRead) {
  Teach();
  core_->ReadIndex(7);
  Ready ready = core_->TakeReady();
  EXPECT_TRUE(ready.reads_ok.empty());
  Step(4, core_->term().value(), HeartbeatResponse{1});
  EXPECT_TRUE(core_->TakeReady().reads_ok.empty());
  Step(2, core_->term().value(), HeartbeatResponse{1});
  EXPECT_EQ(core_->TakeReady().reads_ok.size(), 1U);
}

TEST_F(LeaderTest, ALearnerIsNotHandedTheLead) {
  Teach();
  EXPECT_EQ(core_->Transfer(NodeId(4)).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(core_->Transfer(kNoNode).ok());
  FinishWrites();
  for (const Message& message : sent_) {
    if (!std::holds_alternative<TimeoutNow>(message.body)) continue;
    EXPECT_EQ(message.to, NodeId(2));
  }
}

TEST_F(LeaderTest, APromotedLearnerCountsAtOnce) {
  Teach();
  ASSERT_EQ(Change(Kind::kPromote, 4), StatusCode::kOk);
  const LogIndex index = core_->log().last_index();
  Acknowledge(2);
  EXPECT_LT(core_->commit(), index) << "two of four";
  Acknowledge(4);
  EXPECT_EQ(core_->commit(), index);
}

TEST_F(LeaderTest, ALearnerThatLagsOrIsSilentIsNotPromoted) {
  ASSERT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
  Acknowledge(2);
  EXPECT_EQ(Change(Kind::kPromote, 4), StatusCode::kUnavailable) << "it has never answered";
  Step(4, core_->term().value(), HeartbeatResponse{});
  EXPECT_EQ(Change(Kind::kPromote, 4), StatusCode::kUnavailable) << "it has nothing";
  Acknowledge(4);
  Wait(200);
  Acknowledge(2);
  Wait(200);
  Acknowledge(2);
  EXPECT_EQ(Change(Kind::kPromote, 4), StatusCode::kUnavailable) << "it is silent";
  Acknowledge(4);
  EXPECT_EQ(Change(Kind::kPromote, 4), StatusCode::kOk);
}

TEST_F(LeaderTest, NoChangeLeavesAMajorityThatDoesNotAnswer) {
  // 3 has never answered this leader: 1 and 3 could commit nothing.
  EXPECT_EQ(Change(Kind::kRemove, 2), StatusCode::kUnavailable);
  EXPECT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
}

// Until the change is committed both sides of it are reached.
TEST_F(LeaderTest, TellsWhomItReaches) {
  const auto reached = [this] {
    std::set<int> ids;
    for (const Member& peer : peers_) ids.insert(peer.id.id.value());
    return ids;
  };
  EXPECT_EQ(reached(), (std::set<int>{2, 3}));
  Teach();
  EXPECT_EQ(reached(), (std::set<int>{2, 3, 4}));
  EXPECT_EQ(peers_.back(), AtHost(4));
  ASSERT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
  EXPECT_EQ(reached(), (std::set<int>{2, 3, 4}));
  Acknowledge(2);
  EXPECT_EQ(reached(), (std::set<int>{2, 4}));
}

TEST_F(LeaderTest, OneChangeAtATime) {
  ASSERT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
  EXPECT_EQ(Change(Kind::kAddLearner, 5), StatusCode::kUnavailable);
  EXPECT_EQ(Change(Kind::kRemove, 3), StatusCode::kUnavailable);
  Acknowledge(2);
  EXPECT_EQ(Change(Kind::kAddLearner, 5), StatusCode::kOk);
}

TEST_F(LeaderTest, WhatARemovedVoterStillSendsIsDropped) {
  ASSERT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
  Step(3, core_->term().value(), HeartbeatResponse{});
  EXPECT_EQ(core_->metrics().messages_refused(), 0U) << "it may still become nothing";
  Acknowledge(2);
  EXPECT_FALSE(core_->progress().contains(NodeId(3)));
  const Term term = core_->term();
  Step(3, 9, AppendResponse{});
  EXPECT_EQ(core_->metrics().messages_refused(), 1U);
  EXPECT_EQ(core_->term(), term) << "nor does its term depose anybody";
}

TEST_F(LeaderTest, AReadThatWaitsForWhomIsRemovedIsConfirmed) {
  ASSERT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
  Acknowledge(2);
  core_->ReadIndex(1);
  FinishWrites();
  EXPECT_EQ(core_->metrics().reads_confirmed, 0U);
  ASSERT_EQ(Change(Kind::kRemove, 2), StatusCode::kOk);
  EXPECT_EQ(core_->metrics().reads_confirmed, 1U) << "alone it is the majority";
}

TEST_F(LeaderTest, UnderItsOldDiskIdAMemberCountsForNothing) {
  ASSERT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
  Acknowledge(2);
  const VoterId again{NodeId(3), Voter(9).disk_id};
  ASSERT_TRUE(core_->ChangeMember({Kind::kAddLearner, {again, {}}}).ok());
  FinishWrites();
  Acknowledge(2);
  Acknowledge(3);
  EXPECT_EQ(core_->progress().at(NodeId(3)).match, kNoIndex);
  AcknowledgeFrom(again);
  EXPECT_EQ(core_->progress().at(NodeId(3)).match, core_->log().last_index());
}

// The change needs the disk of the very voter that it adds: nobody may wait for the one before the
// other. And what is on its way is a state of the log, no slot that somebody has to clear.
TEST_F(LeaderTest, Kafka19400_APromotionIsCommittedByWhomItPromotes) {
  ASSERT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
  Acknowledge(2);
  ASSERT_EQ(Change(Kind::kRemove, 2), StatusCode::kOk);
  ASSERT_EQ(core_->members().voters.size(), 1U);
  ASSERT_EQ(core_->commit(), core_->log().last_index());
  ASSERT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
  Acknowledge(4);
  ASSERT_EQ(Change(Kind::kPromote, 4), StatusCode::kOk) << "answered before it is committed";
  EXPECT_LT(core_->commit(), core_->log().last_index());
  Acknowledge(4);
  EXPECT_EQ(core_->commit(), core_->log().last_index());
  EXPECT_EQ(Change(Kind::kAddLearner, 5), StatusCode::kOk);
}

TEST_F(LeaderTest, Kafka19400_AChangeThatIsLostWithItsLeaderHoldsNothingUp) {
  ASSERT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
  const LogIndex lost = core_->log().last_index();
  const int64_t term = core_->term().value() + 1;
  Append(2, term,
         {.prev_index = lost - 1,
          .prev_term = core_->term(),
          .commit = lost - 1,
          .entries = {Normal(lost.value(), term)}});
  FinishWrites();
  EXPECT_EQ(core_->members(), MembershipOf({Voter(1), Voter(2), Voter(3)}));
  Wait(1000);
  Lead();
  EXPECT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kUnavailable) << "nothing of its term";
  Acknowledge(2);
  EXPECT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kOk);
}

// What an earlier leader has begun may hold elsewhere, with a majority that does not meet this
// one's.
TEST_F(LeaderTest, NothingIsChangedBeforeACommitInTheOwnTerm) {
  Wait(1000);
  ASSERT_EQ(core_->role(), Role::kFollower);
  Lead();
  ASSERT_EQ(core_->role(), Role::kLeader);
  for (const int id : {2, 3}) Step(id, core_->term().value(), HeartbeatResponse{});
  EXPECT_EQ(Change(Kind::kAddLearner, 4), StatusCode::kUnavailable);
  EXPECT_EQ(Change(Kind::kRemove, 3), StatusCode::kUnavailable);
  Acknowledge(3);
  EXPECT_EQ(Change(Kind::kRemove, 3), StatusCode::kOk);
}

// The quorum went down with the leader that was removed: it went on as one, and stumbled over its
// own absence.
TEST_F(LeaderTest, Kafka17608_TheLeaderThatIsRemovedStepsAside) {
  Acknowledge(3);
  ASSERT_EQ(Change(Kind::kRemove, 1), StatusCode::kOk);
  EXPECT_EQ(core_->role(), Role::kLeader);
  EXPECT_EQ(Propose(), kNoIndex);
  Acknowledge(2);
  EXPECT_LT(core_->commit(), core_->log().last_index()) << "it does not count itself";
  sent_.clear();
  Acknowledge(3);
  EXPECT_EQ(core_->commit(), core_->log().last_index());
  EXPECT_EQ(core_->role(), Role::kFollower);
  EXPECT_EQ(Sent<TimeoutNow>().size(), 1U);
  // From here on it is idle, whoever writes to it.
  const Term term = core_->term();
  Wait(10'000);
  Step(2, term.value(), TimeoutNow{});
  Step(2, term.value(), AppendResponse{.success = true, .match = core_->commit()});
  core_->PeerLost(NodeId(2), true);
  Wait(10'000);
  EXPECT_EQ(core_->role(), Role::kFollower);
  EXPECT_EQ(core_->term(), term);
}

class FollowerOfChanges : public ::testing::Test, protected HandFed {};

// A candidate may have become a voter without this node's knowledge, under a disk that it knows
// nothing of: without its vote nobody might be elected.
TEST_F(FollowerOfChanges, ACandidateThatIsNotKnownGetsAVote) {
  Step(7, 3, VoteRequest{.last_index = LogIndex(9), .last_term = Term(2)});
  FinishWrites();
  ASSERT_EQ(Sent<VoteResponse>().size(), 1U);
  EXPECT_TRUE(Sent<VoteResponse>().front().granted);
  sent_.clear();
  core_->Step({kClusterId,
               {NodeId(2), Voter(9).disk_id},
               NodeId(1),
               Term(4),
               VoteRequest{.last_index = LogIndex(9), .last_term = Term(2)}});
  FinishWrites();
  ASSERT_EQ(Sent<VoteResponse>().size(), 1U);
  EXPECT_TRUE(Sent<VoteResponse>().front().granted);
  EXPECT_TRUE(sent_.front().to_disk.IsZero()) << "it is for whoever asked";
}

TEST_F(FollowerOfChanges, WhoeverWasRemovedDoesNotDisturb) {
  Step(2, 1, HeartbeatRequest{});
  FinishWrites();
  sent_.clear();
  Step(7, 9, VoteRequest{.pre_vote = true, .last_index = LogIndex(9), .last_term = Term(2)});
  Step(7, 9, VoteRequest{.last_index = LogIndex(9), .last_term = Term(2)});
  FinishWrites();
  for (const VoteResponse& answer : Sent<VoteResponse>()) EXPECT_FALSE(answer.granted);
  EXPECT_EQ(core_->term(), Term(1));
  EXPECT_EQ(core_->leader(), NodeId(2));
}

TEST_F(FollowerOfChanges, AVoterThatIsRemovedCampaignsOnlyUntilThatIsCommitted) {
  Append(2, 1,
         {.prev_index = LogIndex(0),
          .entries = {Normal(1, 1), Setting(2, 1, MembershipOf({Voter(2), Voter(3)}))}});
  FinishWrites();
  core_->Tick(core_->next_deadline_ms());
  EXPECT_EQ(core_->role(), Role::kPreCandidate) << "nobody else might have the entry";
  Step(2, 2, VoteResponse{.pre_vote = true, .granted = true});
  EXPECT_EQ(core_->role(), Role::kPreCandidate) << "its own does not count";
  Append(2, 1, {.prev_index = LogIndex(2), .prev_term = Term(1), .commit = LogIndex(2)});
  FinishWrites();
  core_->Tick(core_->now_ms() + 10'000);
  EXPECT_EQ(core_->role(), Role::kFollower);
}

// What a lost leader had under way is taken, and nothing else comes of it.
TEST_F(FollowerOfChanges, AVoterWhoseRemovalIsCommittedWhileItAsksWinsNothing) {
  const Membership four = MembershipOf({Voter(1), Voter(2), Voter(3), Voter(4)});
  Append(2, 1,
         {.prev_index = LogIndex(0),
          .entries = {Setting(1, 1, four),
                      Setting(2, 1, MembershipOf({Voter(2), Voter(3), Voter(4)}))}});
  FinishWrites();
  core_->PeerLost(NodeId(2), true);
  core_->Tick(core_->next_deadline_ms());
  ASSERT_EQ(core_->role(), Role::kPreCandidate);
  Step(3, 2, VoteResponse{.pre_vote = true, .granted = true});
  Append(2, 1, {.prev_index = LogIndex(2), .prev_term = Term(1), .commit = LogIndex(2)});
  ASSERT_EQ(core_->commit(), LogIndex(2));
  Step(4, 2, VoteResponse{.pre_vote = true, .granted = true});
  FinishWrites();
  EXPECT_EQ(core_->role(), Role::kFollower);
  EXPECT_EQ(core_->term(), Term(1));
}

class Joiner : public ::testing::Test, protected HandFed {
 protected:
  Joiner() : HandFed(std::deque<Entry>()) {}
};

TEST_F(Joiner, KnowsNobodyAndAsksNobody) {
  EXPECT_EQ(core_->members(), Membership());
  EXPECT_EQ(core_->commit(), kNoIndex);
  core_->Tick(10'000);
  FinishWrites();
  EXPECT_EQ(core_->role(), Role::kFollower);
  EXPECT_TRUE(sent_.empty());
  EXPECT_FALSE(core_->ChangeMember({Kind::kAddLearner, AtHost(1)}).ok());
}

TEST_F(Joiner, TakesTheWholeLog) {
  Membership members = MembershipOf({Voter(2), Voter(3)});
  members.learners = {AtHost(1)};
  Append(2, 1, {.prev_index = LogIndex(2), .prev_term = Term(1), .commit = LogIndex(2)});
  FinishWrites();
  ASSERT_EQ(Sent<AppendResponse>().size(), 1U);
  EXPECT_EQ(Sent<AppendResponse>().front().hint_index, kNoIndex);
  Append(2, 1,
         {.commit = LogIndex(2), .entries = {FirstEntry(), Normal(1, 1), Setting(2, 1, members)}});
  FinishWrites();
  EXPECT_EQ(core_->commit(), LogIndex(2));
  EXPECT_EQ(core_->members(), members);
  core_->Tick(core_->now_ms() + 10'000);
  EXPECT_EQ(core_->role(), Role::kFollower) << "a learner does not campaign";
  Step(2, 1, TimeoutNow{});
  EXPECT_EQ(core_->role(), Role::kFollower);
}

TEST_F(Joiner, TakesASnapshot) {
  SnapshotChunk chunk = WholeSnapshot(40, 3);
  Step(2, 4, chunk);
  FinishWrites();
  EXPECT_TRUE(loaded_);
  EXPECT_EQ(core_->members(), chunk.meta.members);
  EXPECT_EQ(core_->commit(), LogIndex(40));
}

}  // namespace
}  // namespace sluice::raft::testing
