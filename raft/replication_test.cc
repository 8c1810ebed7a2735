// One leader alone, fed with the answers of its followers: how much it sends before it hears from
// them, and what it sends again.
#include <gtest/gtest.h>

#include <algorithm>

#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

class ReplicationTest : public ::testing::Test, protected HandFed {
 protected:
  // Node 2 has all there is, and gets appends without being asked for each.
  void LeadWithOneFollower() {
    Lead();
    Acknowledge(core_->log().last_index());
    ASSERT_EQ(core_->progress().at(NodeId(2)).state, ProgressState::kReplicate);
    sent_.clear();
  }
  void Acknowledge(LogIndex match) {
    Step(2, core_->term().value(), AppendResponse{.success = true, .match = match});
    FinishWrites();
  }
  void HeartbeatAnswered() {
    Step(2, core_->term().value(), HeartbeatResponse{});
    FinishWrites();
  }
  void Propose(size_t bytes) {
    ASSERT_TRUE(core_->Propose(std::string(bytes, 'x')).ok());
    FinishWrites();
  }
  template <typename Body>
  size_t SentTo(int node) const {
    return static_cast<size_t>(std::ranges::count_if(sent_, [node](const Message& message) {
      return message.to == NodeId(node) && std::holds_alternative<Body>(message.body);
    }));
  }
};

TEST_F(ReplicationTest, SixtyFourAppendsAreOnTheirWayToAFollowerAtOnce) {
  LeadWithOneFollower();
  const LogIndex before = core_->log().last_index();
  for (int i = 0; i < 100; ++i) Propose(10);
  EXPECT_EQ(SentTo<AppendRequest>(2), 64U);
  // One answer for three of them makes room for three, and what waited goes in the first of these.
  sent_.clear();
  Acknowledge(before + 3);
  const std::vector<AppendRequest> more = Sent<AppendRequest>();
  ASSERT_EQ(SentTo<AppendRequest>(2), 1U);
  EXPECT_EQ(more[0].prev_index, before + 64);
  EXPECT_EQ(more[0].entries.size(), 36U);
}

// However long the disk takes, and whatever comes meanwhile, it is asked for one chunk at a time.
TEST_F(ReplicationTest, AChunkThatIsBeingReadIsNotAskedForAgain) {
  LeadWithOneFollower();
  for (int i = 0; i < 2; ++i) {
    Propose(10);
    Acknowledge(core_->log().last_index());
    core_->SnapshotTaken(core_->commit(), std::make_shared<const std::string>("state"));
    FinishWrites();
  }
  sent_.clear();
  Step(2, core_->term().value(),
       AppendResponse{
           .prev_index = core_->log().last_index(), .hint_index = LogIndex(0), .lost = true});
  for (int beats = 0; beats < 20; ++beats) {
    core_->Tick(core_->now_ms() + 50);
    HeartbeatAnswered();
  }
  ASSERT_EQ(reads_.size(), 1U);
  EXPECT_EQ(SentTo<SnapshotChunk>(2), 0U);
  EXPECT_NE(core_->progress().at(NodeId(2)).reading, 0U);
  FinishOneRead();
  EXPECT_EQ(SentTo<SnapshotChunk>(2), 1U);
  EXPECT_EQ(core_->progress().at(NodeId(2)).reading, 0U);
  EXPECT_TRUE(reads_.empty());
  // What was read for an earlier leadership is nobody's any more.
  core_->SnapshotWasRead({.id = 7, .to = NodeId(2)}, Status::NotFound(""));
  EXPECT_TRUE(reads_.empty());
}

TEST_F(ReplicationTest, EightMebibytesAreOnTheirWayToAFollowerAtOnce) {
  LeadWithOneFollower();
  for (int i = 0; i < 20; ++i) Propose(1 << 20);
  EXPECT_EQ(SentTo<AppendRequest>(2), 8U);
  EXPECT_EQ(core_->progress().at(NodeId(2)).inflight.size(), 8U);
}

TEST_F(ReplicationTest, ALostTimeoutNowIsSentAgainWithTheNextHeartbeat) {
  LeadWithOneFollower();
  ASSERT_TRUE(core_->Transfer(NodeId(2)).ok());
  Work();
  EXPECT_EQ(SentTo<TimeoutNow>(2), 1U);
  sent_.clear();
  HeartbeatAnswered();
  EXPECT_EQ(SentTo<TimeoutNow>(2), 1U) << "it lives and does not campaign";
}

TEST_F(ReplicationTest, WhoLacksAnEntryIsNotToldToCampaign) {
  LeadWithOneFollower();
  Propose(10);
  ASSERT_TRUE(core_->Transfer(NodeId(2)).ok());
  HeartbeatAnswered();
  EXPECT_EQ(SentTo<TimeoutNow>(2), 0U);
  Acknowledge(core_->log().last_index());
  EXPECT_EQ(SentTo<TimeoutNow>(2), 1U);
}

TEST_F(ReplicationTest, AProposalIsRefusedForAReason) {
  EXPECT_FALSE(core_->Propose("x").ok());
  LeadWithOneFollower();
  EXPECT_FALSE(core_->Propose(std::string((16 << 20) + 1, 'x')).ok());
  for (int i = 0; i < 63; ++i) Propose(1 << 20);
  EXPECT_EQ(core_->Propose(std::string(1 << 20, 'x')).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_FALSE(core_->ChangeMember({MemberChange::Kind::kRemove, {Voter(9), {}}}).ok());
  const Metrics& counts = core_->metrics();
  EXPECT_EQ(counts.proposals_refused_not_leading, 1U);
  EXPECT_EQ(counts.proposals_refused_too_large, 1U);
  EXPECT_EQ(counts.proposals_refused_backlog, 1U);
  EXPECT_EQ(counts.changes_refused, 1U);
}

// Stickiness is towards a leader that leads. The one that has resigned would else keep the others
// from electing another for as long as it thinks that it was heard.
TEST_F(ReplicationTest, ALeaderThatResignedGrantsAtOnce) {
  LeadWithOneFollower();
  const Term next = core_->term() + 1;
  const VoteRequest request{.pre_vote = true, .last_index = LogIndex(99), .last_term = next - 1};
  core_->Tick(core_->now_ms() + 299);
  Step(2, next.value(), request);
  Work();
  ASSERT_EQ(Sent<VoteResponse>().size(), 1U);
  EXPECT_FALSE(Sent<VoteResponse>()[0].granted) << "it leads";
  core_->Tick(core_->now_ms() + 1);
  ASSERT_EQ(core_->role(), Role::kFollower);
  Step(2, next.value(), request);
  Step(2, next.value(), VoteRequest{.last_index = LogIndex(99), .last_term = next - 1});
  FinishWrites();
  ASSERT_EQ(Sent<VoteResponse>().size(), 3U);
  EXPECT_TRUE(Sent<VoteResponse>()[1].granted);
  EXPECT_TRUE(Sent<VoteResponse>()[2].granted);
}

}  // namespace
}  // namespace sluice::raft::testing
