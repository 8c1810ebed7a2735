// One voter alone, fed with messages made by hand: what it must hold against peers that send what a
// leader of today never would, or in an order that whole clusters reach too rarely to rely on.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

class FollowerTest : public ::testing::Test, protected HandFed {};

TEST_F(FollowerTest, AnAppendSaysNothingOfEntriesBehindItsOwn) {
  Append(2, 1, {.prev_index = LogIndex(0), .commit = LogIndex(0), .entries = EntriesOf(1, 3, 1)});
  FinishWrites();
  sent_.clear();
  // Entries 2 and 3 may not be what the new leader has there, committed or not.
  Append(3, 2,
         {.prev_index = LogIndex(1), .prev_term = Term(1), .commit = LogIndex(3), .entries = {}});
  FinishWrites();
  EXPECT_EQ(core_->commit(), LogIndex(1));
  const std::vector<AppendResponse> answers = Sent<AppendResponse>();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_TRUE(answers[0].success);
  EXPECT_EQ(answers[0].match, LogIndex(1));
}

TEST_F(FollowerTest, AnAppendAfterAnotherTermsEntryIsRefused) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 1)});
  FinishWrites();
  sent_.clear();
  Append(3, 3, {.prev_index = LogIndex(2), .prev_term = Term(2), .entries = EntriesOf(3, 3, 3)});
  FinishWrites();
  EXPECT_EQ(core_->log().last_index(), LogIndex(2));
  const std::vector<AppendResponse> answers = Sent<AppendResponse>();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_FALSE(answers[0].success);
}

TEST_F(FollowerTest, AnOldWriteDoesNotMakeWhatReplacedItDurable) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 4, 1)});
  Work();
  Append(3, 2, {.prev_index = LogIndex(1), .prev_term = Term(1), .entries = EntriesOf(2, 4, 2)});
  Work();
  ASSERT_EQ(writes_.size(), 2U);
  FinishOneWrite();
  EXPECT_EQ(core_->log().durable_index(), LogIndex(1));
  EXPECT_EQ(core_->log().Entries(LogIndex(2), LogIndex(5), 1000), EntriesOf(2, 4, 2));
  FinishWrites();
  EXPECT_EQ(core_->log().durable_index(), LogIndex(4));
}

TEST_F(FollowerTest, AnOldWriteDoesNotMakeWhatFollowsASnapshotDurable) {
  Step(2, 1, WholeSnapshot(3, 1));
  Work();
  FinishOneWrite();
  // Written while the snapshot is read back, and not of its history.
  Append(3, 2, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 6, 2)});
  Work();
  LoadReceived();
  ASSERT_TRUE(loaded_);
  Append(3, 2, {.prev_index = LogIndex(3), .prev_term = Term(1), .entries = EntriesOf(4, 6, 2)});
  Work();
  FinishOneWrite();
  EXPECT_EQ(core_->log().durable_index(), LogIndex(3));
  EXPECT_EQ(core_->log().Entries(LogIndex(4), LogIndex(7), 1000), EntriesOf(4, 6, 2));
  FinishWrites();
  EXPECT_EQ(core_->log().durable_index(), LogIndex(6));
}

// All inputs of one turn share a Ready: its writes are of the newest term.
TEST_F(FollowerTest, AnAcknowledgementDoesNotOutliveItsTerm) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 1)});
  Append(3, 2, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 2)});
  FinishWrites();
  ASSERT_EQ(sent_.size(), 1U);
  EXPECT_EQ(sent_[0].to, NodeId(3));
  EXPECT_EQ(sent_[0].term, Term(2));
}

TEST_F(FollowerTest, ALeaderOfThePastChangesNothing) {
  Append(3, 2, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 2)});
  FinishWrites();
  sent_.clear();
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 4, 1)});
  Step(2, 1, WholeSnapshot(4, 1));
  Step(2, 1, HeartbeatRequest{.commit = LogIndex(2)});
  Step(2, 1, TimeoutNow{});
  FinishWrites();
  EXPECT_EQ(core_->log().last_index(), LogIndex(2));
  EXPECT_EQ(core_->log().last_term(), Term(2));
  EXPECT_EQ(core_->commit(), LogIndex(0));
  EXPECT_EQ(core_->leader(), NodeId(3));
  EXPECT_FALSE(loaded_);
  // It learns the term that it has missed, and nothing that it could count.
  EXPECT_EQ(sent_.size(), 3U);
  for (const Message& message : sent_) {
    EXPECT_EQ(message.term, Term(2));
    EXPECT_FALSE(std::get<AppendResponse>(message.body).success);
  }
}

TEST_F(FollowerTest, ASnapshotKeepsWhatTheLogHoldsBehindIt) {
  Step(2, 1, WholeSnapshot(3, 1));
  Work();
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 5, 1)});
  Work();
  FinishOneWrite();
  LoadReceived();
  // The log stands for the snapshot, and is not durable yet. Nor when what is committed is sent
  // again.
  EXPECT_EQ(core_->commit(), LogIndex(3));
  Step(2, 1, WholeSnapshot(3, 1));
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 2, 1)});
  Work();
  EXPECT_TRUE(sent_.empty());
  FinishWrites();
  EXPECT_EQ(Sent<SnapshotChunkResponse>().size(), 1U);
  EXPECT_EQ(Sent<AppendResponse>().size(), 3U);
  EXPECT_FALSE(loaded_);
  EXPECT_EQ(core_->commit(), LogIndex(3));
  EXPECT_EQ(core_->log().last_index(), LogIndex(5));
}

TEST_F(FollowerTest, AChunkCountsOnceAndInItsPlace) {
  SnapshotChunk first = WholeSnapshot(3, 1);
  SnapshotChunk second = first;
  first.data = "sta";
  first.chunk_crc = Crc32c(first.data);
  second.data = "te";
  second.offset = 3;
  second.chunk_crc = Crc32c(second.data);
  Step(2, 1, second);  // early
  Step(2, 1, first);
  Step(2, 1, first);   // again, while it is being written: answered when that is done
  Step(2, 1, second);  // one at a time
  FinishWrites();
  Step(2, 1, first);  // again
  FinishWrites();
  std::vector<uint64_t> offsets;
  for (const SnapshotChunkResponse& answer : Sent<SnapshotChunkResponse>())
    offsets.push_back(answer.next_offset);
  EXPECT_EQ(offsets, (std::vector<uint64_t>{0, 3, 3}));
  EXPECT_FALSE(loaded_);
  Step(2, 1, second);
  FinishWrites();
  EXPECT_TRUE(loaded_);
  EXPECT_EQ(core_->commit(), LogIndex(3));
}

// What was received outlives the process.
TEST_F(FollowerTest, AfterARestartASnapshotGoesOnWhereItStood) {
  Snapshot snapshot{WholeSnapshot(3, 1).meta, std::make_shared<const std::string>("state")};
  const auto chunk = [&](uint64_t offset) {
    return ChunkOf(snapshot, {.offset = offset, .bytes_max = 2});
  };
  Step(2, 1, chunk(0));
  FinishWrites();
  Step(2, 1, chunk(2));  // is lost with the process
  Work();
  Restart();
  Step(3, 2, chunk(0));
  FinishWrites();
  EXPECT_EQ(Sent<SnapshotChunkResponse>().back().next_offset, 2U);
  Step(3, 2, chunk(2));
  FinishWrites();
  Step(3, 2, chunk(4));
  Work();
  FinishOneWrite();
  // It stops before it has read it back.
  Restart();
  EXPECT_EQ(core_->commit(), LogIndex(0));
  Step(3, 2, chunk(0));
  FinishWrites();
  EXPECT_TRUE(Sent<SnapshotChunkResponse>().back().installed);
  EXPECT_EQ(core_->commit(), LogIndex(3));
  EXPECT_EQ(*disk_.snapshot->data, "state");
  // Of another snapshot it has nothing.
  snapshot.meta.index = LogIndex(9);
  Step(3, 2, chunk(2));
  FinishWrites();
  EXPECT_EQ(Sent<SnapshotChunkResponse>().back().next_offset, 0U);
}

// Meanwhile the log has come that far, or this voter stands for election itself.
TEST_F(FollowerTest, WhatIsReadBackTooLateIsNotInstalled) {
  core_->ReceivedWasLoaded(1, Status::NotFound("nothing is being received"));
  Step(2, 1, WholeSnapshot(3, 1));
  Work();
  FinishOneWrite();
  core_->ReceivedWasLoaded(load_received_ + 1, Status::NotFound("not what was asked for"));
  Append(2, 1, {.prev_index = LogIndex(0), .commit = LogIndex(4), .entries = EntriesOf(1, 4, 1)});
  Work();
  FinishOneWrite();
  EXPECT_EQ(core_->commit(), LogIndex(4));
  LoadReceived();
  EXPECT_FALSE(loaded_);
  EXPECT_EQ(core_->log().last_index(), LogIndex(4));

  Step(2, 1, WholeSnapshot(9, 1));
  Work();
  FinishOneWrite();
  core_->Tick(core_->next_deadline_ms());
  ASSERT_EQ(core_->role(), Role::kPreCandidate);
  LoadReceived();
  EXPECT_FALSE(loaded_);
  EXPECT_EQ(core_->commit(), LogIndex(4));
  // The next leader need not send it again.
  Step(3, 2, WholeSnapshot(9, 1));
  FinishWrites();
  EXPECT_TRUE(loaded_);
  EXPECT_EQ(core_->commit(), LogIndex(9));
}

// Only a leader whose process is gone is to be replaced before the timeout.
TEST_F(FollowerTest, WhoseProcessIsGoneMattersOnceItLeads) {
  Step(2, 1, HeartbeatRequest{});
  FinishWrites();
  const int64_t deadline_ms = core_->next_deadline_ms();
  core_->PeerLost(NodeId(3), true);
  core_->PeerLost(NodeId(2), false);
  EXPECT_EQ(core_->leader(), NodeId(2));
  EXPECT_EQ(core_->next_deadline_ms(), deadline_ms);
  core_->PeerLost(NodeId(2), true);
  EXPECT_EQ(core_->leader(), kNoNode);
  Lead();
  core_->PeerLost(NodeId(1), true);
  EXPECT_EQ(core_->role(), Role::kLeader);
}

TEST_F(FollowerTest, AVoterThatHearsItsLeaderElectsNobody) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 1, 1)});
  FinishWrites();
  sent_.clear();
  VoteRequest request{.last_index = LogIndex(9), .last_term = Term(1)};
  Step(3, 2, request);
  request.pre_vote = true;
  Step(3, 2, request);
  FinishWrites();
  EXPECT_EQ(core_->term(), Term(1));
  EXPECT_EQ(core_->leader(), NodeId(2));
  for (const VoteResponse& answer : Sent<VoteResponse>()) EXPECT_FALSE(answer.granted);
  EXPECT_EQ(sent_.size(), 2U);
}

TEST_F(FollowerTest, ABallotIsCastOncePerTerm) {
  const VoteRequest request{.last_index = LogIndex(9), .last_term = Term(1)};
  Step(2, 2, request);
  Step(3, 2, request);
  Step(2, 2, request);  // asks again: the answer was lost
  FinishWrites();
  std::vector<std::pair<NodeId, bool>> votes;
  for (const Message& message : sent_)
    votes.emplace_back(message.to, std::get<VoteResponse>(message.body).granted);
  std::ranges::sort(votes);
  EXPECT_EQ(votes, (std::vector<std::pair<NodeId, bool>>{
                       {NodeId(2), true}, {NodeId(2), true}, {NodeId(3), false}}));
  EXPECT_EQ(disk_.hard_state, (HardState{Term(2), NodeId(2)}));
}

TEST_F(FollowerTest, AVoteIsRefusedForAReason) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = EntriesOf(1, 1, 1)});
  FinishWrites();
  const VoteRequest current{.last_index = LogIndex(1), .last_term = Term(1)};
  Step(3, 2, current);  // a leader was heard just now
  core_->Tick(core_->next_deadline_ms());
  Step(3, 2, VoteRequest{.last_index = LogIndex(0)});  // its log is behind
  Step(2, 2, current);                                 // granted
  Step(3, 2, current);                                 // given to another
  Step(3, 1, VoteRequest{.last_index = LogIndex(0)});  // of a term that is over
  FinishWrites();
  EXPECT_EQ(core_->metrics().votes_refused_sticky, 1U);
  EXPECT_EQ(core_->metrics().votes_refused_log, 1U);
  EXPECT_EQ(core_->metrics().votes_refused_given, 1U);
  EXPECT_EQ(core_->metrics().votes_refused_term, 1U);
}

}  // namespace
}  // namespace sluice::raft::testing
