// Messages that no voter of this cluster sends: each is dropped whole, counted under its reason and
// told once; nothing of it is stored, no term is adopted, and the voter goes on.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

class BadInputTest : public ::testing::Test, protected HandFed {
 protected:
  uint64_t Count(Refusal why) const { return core_->metrics().refused[static_cast<size_t>(why)]; }

  // Feeds what `step` says: it is refused for this one reason and changes nothing.
  void ExpectRefused(Refusal why, const std::function<void()>& step) {
    FinishWrites();
    sent_.clear();
    refused_.clear();
    const uint64_t before = Count(why);
    const uint64_t all = core_->metrics().messages_refused();
    const HardState hard_state = core_->hard_state();
    const LogIndex last = core_->log().last_index();
    const LogIndex commit = core_->commit();
    const Role role = core_->role();
    step();
    EXPECT_EQ(Count(why), before + 1) << RefusalText(why);
    EXPECT_EQ(core_->metrics().messages_refused(), all + 1) << RefusalText(why);
    Work();
    EXPECT_TRUE(writes_.empty()) << RefusalText(why);
    ASSERT_EQ(refused_.size(), 1U);
    EXPECT_EQ(refused_.front().why, why);
    EXPECT_EQ(core_->hard_state(), hard_state) << RefusalText(why);
    EXPECT_EQ(core_->log().last_index(), last) << RefusalText(why);
    EXPECT_EQ(core_->commit(), commit) << RefusalText(why);
    EXPECT_EQ(core_->role(), role) << RefusalText(why);
  }
  void ExpectRefused(Refusal why, int64_t term, const MessageBody& body) {
    ExpectRefused(why, [&] { Step(2, term, body); });
    ASSERT_FALSE(refused_.empty());
    EXPECT_EQ(refused_.front().from, NodeId(2));
    EXPECT_TRUE(sent_.empty()) << RefusalText(why);
  }
};

TEST_F(BadInputTest, WhoeverIsNoMemberOfThisClusterIsNotHeard) {
  const HeartbeatResponse body;
  ExpectRefused(Refusal::kCluster, [&] {
    core_->Step({"other", Voter(2), NodeId(1), Term(9), body});
  });
  EXPECT_EQ(refused_.front().from, kNoNode) << "it may be anybody";
  ExpectRefused(Refusal::kStranger, [&] {
    core_->Step({kClusterId, Voter(7), NodeId(1), Term(9), body});
  });
  EXPECT_EQ(refused_.front().from, kNoNode);
  ExpectRefused(Refusal::kStranger, [&] {
    core_->Step({kClusterId, Voter(2), NodeId(3), Term(9), body});
  });
  ExpectRefused(Refusal::kStranger, [&] {
    core_->Step({kClusterId, Voter(1), NodeId(1), Term(9), body});
  });
  const VoterId wiped{NodeId(2), Voter(9).disk_id};
  ExpectRefused(Refusal::kOtherDisk, [&] {
    core_->Step({kClusterId, wiped, NodeId(1), Term(9), body});
  });
  EXPECT_EQ(refused_.front().from, NodeId(2));
  ExpectRefused(Refusal::kFormerDisk, [&] {
    core_->Step({kClusterId, Voter(2), NodeId(1), Term(9), HeartbeatRequest{}, Voter(9).disk_id});
  });
}

TEST_F(BadInputTest, ATermThatCannotBeIsNotAdopted) {
  const std::vector<MessageBody> bodies{VoteRequest{},           VoteRequest{.pre_vote = true},
                                        VoteResponse{},          AppendRequest{},
                                        AppendResponse{},        HeartbeatRequest{},
                                        HeartbeatResponse{},     WholeSnapshot(3, 1),
                                        SnapshotChunkResponse{}, TimeoutNow{}};
  for (const MessageBody& body : bodies) {
    ExpectRefused(Refusal::kTerm, -1, body);
    ExpectRefused(Refusal::kTerm, kTermMax.value() + 1, body);
    ExpectRefused(Refusal::kTerm, INT64_MAX, body);
  }
}

TEST_F(BadInputTest, InTheLastTermNobodyCampaigns) {
  Step(2, kTermMax.value(), HeartbeatRequest{});
  FinishWrites();
  ASSERT_EQ(core_->term(), kTermMax);
  sent_.clear();
  Step(2, kTermMax.value(), TimeoutNow{});
  const int64_t deadline_ms = core_->next_deadline_ms();
  core_->Tick(deadline_ms);
  FinishWrites();
  EXPECT_EQ(core_->term(), kTermMax);
  EXPECT_TRUE(sent_.empty());
  EXPECT_GT(core_->next_deadline_ms(), deadline_ms) << "or its driver would never rest";
}

TEST_F(BadInputTest, ACandidateOfATermThatItsLogHasSeenGetsNoVote) {
  ExpectRefused(Refusal::kTerm, 2, VoteRequest{.last_index = LogIndex(9), .last_term = Term(2)});
  ExpectRefused(Refusal::kTerm, 2, VoteRequest{.last_index = LogIndex(9), .last_term = Term(-1)});
  ExpectRefused(Refusal::kTerm, 2,
                VoteRequest{.pre_vote = true, .last_index = LogIndex(9), .last_term = Term(3)});
  ExpectRefused(Refusal::kChain, 2, VoteRequest{.last_index = LogIndex(-2)});
}

// A follower must not store entries of a later term than their leader's.
TEST_F(BadInputTest, Kafka18723_EntriesOfALaterTermAreNotAppended) {
  ExpectRefused(Refusal::kTerm, 2,
                AppendRequest{.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 3)});
  ExpectRefused(Refusal::kTerm, 2, AppendRequest{.prev_index = LogIndex(4), .prev_term = Term(3)});
}

TEST_F(BadInputTest, EntriesThatDoNotChainAreNotAppended) {
  const auto append = [](int64_t prev, std::vector<Entry> entries, int64_t prev_term = 0) {
    return AppendRequest{.prev_index = LogIndex(prev),
                         .prev_term = Term(prev_term),
                         .commit = LogIndex(prev),
                         .entries = std::move(entries)};
  };
  ExpectRefused(Refusal::kChain, 5, append(0, {Normal(1, 1), Normal(3, 1)}));
  ExpectRefused(Refusal::kChain, 5, append(0, {Normal(2, 1)}));
  ExpectRefused(Refusal::kChain, 5, append(0, {Normal(1, 2), Normal(2, 1)}));
  ExpectRefused(Refusal::kChain, 5, append(7, {Normal(8, 2)}, 3));
  ExpectRefused(Refusal::kChain, 5, append(0, {Normal(1, -1)}));
  ExpectRefused(Refusal::kChain, 5, append(-2, {}));
  ExpectRefused(Refusal::kChain, 5, append(-1, {}, 3));
  ExpectRefused(Refusal::kChain, 5, append(INT64_MAX, {}));
  ExpectRefused(Refusal::kChain, 5, append(INT64_MAX - 1, {Normal(INT64_MAX, 1)}));
  Entry bootstrap = Normal(1, 1);
  bootstrap.type = EntryType::kBootstrap;
  ExpectRefused(Refusal::kChain, 5, append(0, {bootstrap}));
}

TEST_F(BadInputTest, MembersThatCannotBeAreNotAppended) {
  const auto append = [](const std::string& data) {
    Entry entry = Normal(1, 1);
    entry.type = EntryType::kMembership;
    entry.data = data;
    return AppendRequest{.prev_index = LogIndex(0), .entries = {entry}};
  };
  const Membership sound = MembershipOf({Voter(1), Voter(2)});
  Membership twice = sound;
  twice.learners.push_back({Voter(2), "elsewhere:1"});
  ExpectRefused(Refusal::kMembers, 2, append(""));
  ExpectRefused(Refusal::kMembers, 2, append(EncodeMembership({})));
  ExpectRefused(Refusal::kMembers, 2, append(EncodeMembership(twice)));
  ExpectRefused(Refusal::kMembers, 2, append(EncodeMembership(sound) + "x"));
}

TEST_F(BadInputTest, ASnapshotThatCannotBeIsNotReceived) {
  const auto with = [](const std::function<void(SnapshotChunk&)>& change) {
    SnapshotChunk chunk = WholeSnapshot(3, 1);
    change(chunk);
    return chunk;
  };
  // Stored, it would keep this voter from ever starting again.
  ExpectRefused(Refusal::kTerm, 2, with([](auto& chunk) { chunk.meta.term = Term(3); }));
  ExpectRefused(Refusal::kTerm, 2, with([](auto& chunk) { chunk.meta.term = Term(-1); }));
  ExpectRefused(Refusal::kSnapshot, 2,
                with([](auto& chunk) { chunk.meta.members.voters.clear(); }));
  ExpectRefused(Refusal::kSnapshot, 2,
                with([](auto& chunk) { chunk.meta.members.voters[2].id.id = NodeId(1); }));
  ExpectRefused(Refusal::kSnapshot, 2, with([](auto& chunk) { chunk.meta.index = LogIndex(-4); }));
  ExpectRefused(Refusal::kSnapshot, 2,
                with([](auto& chunk) { chunk.meta.index = LogIndex(INT64_MAX); }));
  ExpectRefused(Refusal::kSnapshot, 2,
                with([](auto& chunk) { chunk.size_total = (uint64_t{1} << 30) + 1; }));
  ExpectRefused(Refusal::kChunkOrder, 2, with([](auto& chunk) { chunk.size_total = 4; }));
  ExpectRefused(Refusal::kChunkOrder, 2, with([](auto& chunk) { chunk.offset = UINT64_MAX; }));
}

// Of these the leader hears how much is there, for it has to go on from that.
TEST_F(BadInputTest, AChunkThatDoesNotFitIsNotStored) {
  SnapshotChunk first = WholeSnapshot(3, 1);
  first.data = "sta";
  first.chunk_crc = Crc32c(first.data);
  SnapshotChunk last = WholeSnapshot(3, 1);
  last.offset = 3;
  last.data = "te";
  last.chunk_crc = Crc32c(last.data);
  Step(2, 2, HeartbeatRequest{});
  FinishWrites();
  const auto held = [this] { return Sent<SnapshotChunkResponse>().back().next_offset; };

  ExpectRefused(Refusal::kChunkOrder, [&] { Step(2, 2, last); });
  EXPECT_EQ(held(), 0U);
  Step(2, 2, first);
  FinishWrites();
  SnapshotChunk rotten = last;
  rotten.data = "tE";
  ExpectRefused(Refusal::kChunkChecksum, [&] { Step(2, 2, rotten); });
  EXPECT_EQ(held(), 3U);
  // A rotten chunk of another snapshot takes nothing from this one.
  rotten.meta.index = LogIndex(9);
  rotten.offset = 0;
  ExpectRefused(Refusal::kChunkChecksum, [&] { Step(2, 2, rotten); });
  EXPECT_EQ(held(), 0U);
  // One with nothing in it leads nowhere. It is no offence: a leader's disk may give that little.
  SnapshotChunk nothing = last;
  nothing.data.clear();
  nothing.chunk_crc = Crc32c(nothing.data);
  Step(2, 2, nothing);
  Work();
  EXPECT_TRUE(writes_.empty());
  EXPECT_EQ(held(), 3U);
  // Nor does one that says otherwise what the whole is.
  SnapshotChunk other = last;
  other.whole_crc ^= 1;
  ExpectRefused(Refusal::kChunkOrder, [&] { Step(2, 2, other); });
  other = last;
  ++other.size_total;
  ExpectRefused(Refusal::kChunkOrder, [&] { Step(2, 2, other); });
  Step(2, 2, first);  // twice is no offence
  Step(2, 2, last);
  FinishWrites();
  EXPECT_EQ(core_->commit(), LogIndex(3));
  EXPECT_EQ(core_->metrics().messages_refused(), 5U);
}

TEST_F(BadInputTest, ASnapshotWhoseChunksAreWholeAndThatIsNotIsGivenUp) {
  SnapshotChunk chunk = WholeSnapshot(3, 1);
  ++chunk.whole_crc;
  Step(2, 2, HeartbeatRequest{});
  Step(2, 2, chunk);
  FinishWrites();
  EXPECT_EQ(Count(Refusal::kChunkChecksum), 1U);
  EXPECT_EQ(refused_.back().from, NodeId(2));
  EXPECT_FALSE(loaded_);
  EXPECT_EQ(core_->commit(), LogIndex(0));
  EXPECT_EQ(Sent<SnapshotChunkResponse>().back().next_offset, 0U);
}

TEST_F(BadInputTest, ALeaderBelievesNoAnswerToWhatItNeverSent) {
  Lead();
  ASSERT_EQ(core_->role(), Role::kLeader);
  const int64_t term = core_->term().value();
  const LogIndex last = core_->log().last_index();
  ExpectRefused(Refusal::kNeverSent, term, AppendResponse{.success = true, .match = last + 1});
  ExpectRefused(Refusal::kNeverSent, term, AppendResponse{.success = true, .match = LogIndex(-2)});
  ExpectRefused(Refusal::kNeverSent, term, AppendResponse{.prev_index = last + 1});
  ExpectRefused(Refusal::kNeverSent, term,
                AppendResponse{.prev_index = LogIndex(0), .hint_index = LogIndex(1)});
  ExpectRefused(Refusal::kNeverSent, term,
                AppendResponse{.prev_index = LogIndex(0), .hint_index = LogIndex(-5)});
  ExpectRefused(Refusal::kNeverSent, term, HeartbeatResponse{.read_sequence = 99});
}

// An answer of an earlier term is of a log that may have been longer.
TEST_F(BadInputTest, AnswersOfEarlierTermsAreOnlyLate) {
  Step(2, 4, HeartbeatRequest{});
  FinishWrites();
  Lead();
  Step(2, 3, AppendResponse{.success = true, .match = LogIndex(70)});
  Step(2, 3, HeartbeatResponse{.read_sequence = 99});
  Step(2, 3, AppendResponse{});
  FinishWrites();
  EXPECT_EQ(core_->metrics().messages_refused(), 0U);
  EXPECT_EQ(core_->role(), Role::kLeader);
}

}  // namespace
}  // namespace sluice::raft::testing
