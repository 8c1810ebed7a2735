// Configurations: what is kept of them in entries and snapshots, and which one holds when.
#include "raft/membership.h"

#include <gtest/gtest.h>

#include "raft/membership_history.h"
#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

Membership Voters(const std::vector<int>& ids) {
  Membership members;
  for (const int id : ids) members.voters.push_back({Voter(id), {}});
  return members;
}

Entry Setting(int64_t index, int64_t term, const Membership& members) {
  return {LogIndex(index), Term(term), EntryType::kMembership, EncodeMembership(members)};
}

TEST(Membership, SurvivesItsEntry) {
  Membership members = Voters({1, 2, 3});
  members.voters[1].address = "host-2.example:9095";
  members.learners = {{Voter(4), "host-4.example:9095"}, {Voter(5), ""}};
  EXPECT_EQ(*DecodeMembership(EncodeMembership(members)), members);
  EXPECT_EQ(*MembersIn(Setting(1, 1, members)), members);
}

TEST(Membership, TwoAreTheSameOnlyInEverything) {
  Membership members = Voters({1, 2});
  members.learners = {{Voter(3), "host-3:9095"}};
  const auto differs = [&members](auto change) {
    Membership other = members;
    change(other);
    EXPECT_NE(other, members);
  };
  differs([](Membership& other) { other.voters.pop_back(); });
  differs([](Membership& other) { other.voters[1].id.id = NodeId(4); });
  differs([](Membership& other) { other.voters[1].id.disk_id = Voter(4).disk_id; });
  differs([](Membership& other) { other.voters[1].address = "host-2:9095"; });
  differs([](Membership& other) { other.learners.clear(); });
  differs([](Membership& other) { other.learners[0].address.clear(); });
}

TEST(Membership, NoPrefixOfOneIsAnother) {
  Membership members = Voters({1, 2});
  members.learners = {{Voter(3), "host:1"}};
  const std::string whole = EncodeMembership(members);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(DecodeMembership(whole.substr(0, size)).ok()) << size;
  std::string later = whole;
  later[0] = 2;
  EXPECT_EQ(DecodeMembership(later).status().code(), StatusCode::kCorruption);
}

// Whatever arrives, what is taken can be used.
TEST(Membership, BytesThatRottedAreRefusedOrSound) {
  Membership members = Voters({1, 2, 3});
  members.learners = {{Voter(4), "host:1"}};
  const std::string whole = EncodeMembership(members);
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string rotten = whole.substr(0, whole.size() - random.Below(2) * random.Below(40));
    for (uint64_t flips = 1 + random.Below(4); flips > 0; --flips)
      rotten[random.Below(rotten.size())] ^= static_cast<char>(1U << random.Below(8));
    const Result<Membership> decoded = DecodeMembership(rotten);
    if (!decoded.ok()) continue;
    EXPECT_TRUE(decoded->IsSound());
    EXPECT_EQ(EncodeMembership(*decoded), rotten);
  }
}

TEST(Membership, ANodeIsInItOnce) {
  Membership members = Voters({1, 2});
  EXPECT_TRUE(members.IsSound());
  members.learners = {{{NodeId(2), Voter(9).disk_id}, {}}};
  EXPECT_FALSE(members.IsSound());
  EXPECT_FALSE(Membership{}.IsSound());
  EXPECT_TRUE(Voters({1}).HasVoter(Voter(1)));
  EXPECT_FALSE(Voters({1}).HasVoter({NodeId(1), Voter(2).disk_id})) << "another disk";
}

TEST(MembershipHistory, TellsWhoTookPartWhen) {
  MembershipHistory history;
  EXPECT_EQ(history.newest(), Membership());
  history.Append(LogIndex(0), Voters({1}));
  history.Append(LogIndex(4), Voters({1, 2}));
  history.Append(LogIndex(9), Voters({1, 2, 3}));
  EXPECT_EQ(history.At(LogIndex(-1)), Membership());
  EXPECT_EQ(history.At(LogIndex(3)), Voters({1}));
  EXPECT_EQ(history.At(LogIndex(4)), Voters({1, 2}));
  EXPECT_EQ(history.At(LogIndex(70)), Voters({1, 2, 3}));
  EXPECT_EQ(*history.previous(), Voters({1, 2}));
  EXPECT_EQ(history.CountAfter(LogIndex(4)), 1U);

  history.TruncateFrom(LogIndex(9));
  EXPECT_EQ(history.newest(), Voters({1, 2}));
  EXPECT_EQ(history.newest_index(), LogIndex(4));
  history.ForgetBefore(LogIndex(3));
  EXPECT_EQ(history.At(LogIndex(3)), Voters({1}));
  history.ForgetBefore(LogIndex(4));
  EXPECT_EQ(history.previous(), nullptr);
  EXPECT_EQ(history.newest(), Voters({1, 2}));
  history.Reset(LogIndex(20), Voters({5}));
  EXPECT_EQ(history.newest(), Voters({5}));
  EXPECT_EQ(history.newest_index(), LogIndex(20));
}

class MembershipInTheLog : public ::testing::Test, protected HandFed {};

TEST_F(MembershipInTheLog, HoldsFromItsEntryOnAndGoesWithIt) {
  Append(2, 1,
         {.prev_index = LogIndex(0),
          .entries = {Normal(1, 1), Setting(2, 1, Voters({1, 2, 3, 4})), Normal(3, 1)}});
  EXPECT_EQ(core_->members(), Voters({1, 2, 3, 4})) << "committed or not";
  FinishWrites();
  // The leader of the next term does not know of it.
  Append(3, 2, {.prev_index = LogIndex(1), .prev_term = Term(1), .entries = {Normal(2, 2)}});
  FinishWrites();
  EXPECT_EQ(core_->members(), Voters({1, 2, 3}));
}

TEST_F(MembershipInTheLog, ASnapshotTakesThatOfItsIndexNotTheNewest) {
  Append(2, 1,
         {.prev_index = LogIndex(0),
          .commit = LogIndex(2),
          .entries = {Normal(1, 1), Normal(2, 1), Setting(3, 1, Voters({1, 2, 3, 4}))}});
  FinishWrites();
  core_->SnapshotTaken(LogIndex(2), std::make_shared<const std::string>("state"));
  Work();
  ASSERT_EQ(writes_.size(), 1U);
  EXPECT_EQ(writes_.front().second.snapshot->meta.members, Voters({1, 2, 3}));
  EXPECT_EQ(core_->members(), Voters({1, 2, 3, 4}));
  FinishWrites();
  Append(2, 1,
         {.prev_index = LogIndex(3),
          .prev_term = Term(1),
          .commit = LogIndex(4),
          .entries = {Normal(4, 1)}});
  FinishWrites();
  core_->SnapshotTaken(LogIndex(4), std::make_shared<const std::string>("state"));
  Work();
  EXPECT_EQ(writes_.front().second.snapshot->meta.members, Voters({1, 2, 3, 4}));
}

TEST_F(MembershipInTheLog, AnInstalledSnapshotBringsItsOwn) {
  Append(2, 1, {.prev_index = LogIndex(0), .entries = {Setting(1, 1, Voters({1, 2, 3, 4}))}});
  FinishWrites();
  SnapshotChunk chunk = WholeSnapshot(7, 2);
  chunk.meta.members = Voters({1, 2});
  chunk.meta.members.learners = {{Voter(5), "host-5:1"}};
  const Membership sent = chunk.meta.members;
  Step(3, 2, chunk);
  FinishWrites();
  EXPECT_EQ(core_->members(), sent);
  EXPECT_EQ(disk_.snapshot->meta.members, sent);
}

// A log that was written by somebody else and opened again.
TEST_F(MembershipInTheLog, IsFoundAgainAfterARestart) {
  Append(2, 1,
         {.prev_index = LogIndex(0),
          .commit = LogIndex(1),
          .entries = {Normal(1, 1), Setting(2, 1, Voters({1, 2, 3, 4}))}});
  FinishWrites();
  const auto reopened = [this] {
    store_ = std::make_unique<SimLogStore>(disk_, loop_, Random(1), SimDiskLatency{});
    return std::make_unique<RaftLog>(*store_, 1);
  };
  EXPECT_EQ(reopened()->members(), Voters({1, 2, 3, 4}));
  EXPECT_EQ(reopened()->history().At(LogIndex(1)), Voters({1, 2, 3}));
  disk_.snapshot = Snapshot{{LogIndex(1), Term(1), Voters({1, 2, 3})}, nullptr};
  EXPECT_EQ(reopened()->members(), Voters({1, 2, 3, 4}));
  disk_.snapshot = Snapshot{{LogIndex(2), Term(1), Voters({1, 2, 3, 4})}, nullptr};
  EXPECT_EQ(reopened()->members(), Voters({1, 2, 3, 4}));
  EXPECT_EQ(reopened()->history().newest_index(), LogIndex(2));
}

}  // namespace
}  // namespace sluice::raft::testing
