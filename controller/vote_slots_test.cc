#include "controller/vote_slots.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "base/testing/sim_file_system.h"

namespace sluice::controller {
namespace {

using sluice::testing::SimFileSystem;
using State = VoteSlots::State;

constexpr char kPath[] = "/data/quorum-state";

State At(int64_t term, int32_t voted_for, int64_t synced_end = 1) {
  return {{Term(term), NodeId(voted_for)}, LogIndex(synced_end)};
}

class VoteSlotsTest : public ::testing::Test {
 protected:
  VoteSlotsTest() {
    EXPECT_TRUE(fs_.CreateDirectories("/data").ok());
    EXPECT_TRUE(VoteSlots::Create(fs_, kPath, At(0, -1)).ok());
    EXPECT_TRUE(fs_.SyncFileSystem("/").ok());
  }
  std::unique_ptr<VoteSlots> Open() {
    auto slots = VoteSlots::Open(fs_, kPath);
    EXPECT_TRUE(slots.ok()) << slots.status().ToString();
    return *std::move(slots);
  }
  SimFileSystem fs_;
};

TEST_F(VoteSlotsTest, RemembersTheLastVote) {
  Open();
  auto slots = Open();
  EXPECT_EQ(slots->state(), At(0, -1));
  for (int term = 1; term <= 5; ++term) {
    ASSERT_TRUE(slots->WriteSynced(At(term, term % 3)).ok());
    EXPECT_EQ(Open()->state(), At(term, term % 3));
  }
}

TEST_F(VoteSlotsTest, IsNotCreatedTwice) {
  EXPECT_EQ(VoteSlots::Create(fs_, kPath, At(0, -1)).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(VoteSlots::Open(fs_, "/data/other").status().code(), StatusCode::kNotFound);
}

// Any mixture of votes, hints and power cuts: the last synced vote is there, or a later one.
TEST_F(VoteSlotsTest, ASyncedVoteSurvivesEveryPowerCut) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    auto slots = Open();
    State promised = slots->state();
    for (int64_t steps = random.Between(1, 12); steps > 0; --steps) {
      if (random.Chance(1, 2)) {
        promised = At(promised.hard_state.term.value() + 1, static_cast<int32_t>(random.Below(3)),
                      slots->state().synced_end.value());
        ASSERT_TRUE(slots->WriteSynced(promised).ok());
      } else {
        ASSERT_TRUE(slots->WriteHint(slots->state().synced_end + random.Between(1, 9)).ok());
      }
    }
    fs_.Crash(random);
    EXPECT_EQ(Open()->state().hard_state, promised.hard_state) << "seed " << seed;
  }
}

TEST_F(VoteSlotsTest, OneDamagedSlotIsSurvived) {
  ASSERT_TRUE(Open()->WriteSynced(At(7, 2)).ok());
  fs_.FlipBit(kPath, VoteSlots::kSlotBytes + 9,
              3);  // the older of the two: the newest went over slot 0
  const sluice::testing::LogCatcher log;
  EXPECT_EQ(Open()->state(), At(7, 2));
  EXPECT_EQ(log.Count("one of its two slots has no valid checksum"), 1);
  Open();
  EXPECT_EQ(log.Count("one of its two slots"), 1) << "both are whole again";
}

// The copy that the vote was not written to first is brought up to it at once.
TEST_F(VoteSlotsTest, AVoteOutlivesTheRotOfEitherSlot) {
  for (const uint64_t slot : {0, 1}) {
    for (const int hints : {0, 1, 2}) {
      SimFileSystem fs;
      ASSERT_TRUE(fs.CreateDirectories("/data").ok());
      ASSERT_TRUE(VoteSlots::Create(fs, kPath, At(0, -1)).ok());
      {
        auto slots = VoteSlots::Open(fs, kPath).value();
        ASSERT_TRUE(slots->WriteSynced(At(7, 2)).ok());
        for (int i = 1; i <= hints; ++i) ASSERT_TRUE(slots->WriteHint(LogIndex(1 + i)).ok());
      }
      fs.FlipBit(kPath, slot * VoteSlots::kSlotBytes + 9, 3);
      const auto slots = VoteSlots::Open(fs, kPath);
      ASSERT_TRUE(slots.ok());
      EXPECT_EQ((*slots)->state().hard_state, At(7, 2).hard_state)
          << "slot " << slot << ", " << hints << " hints";
      // And opening has made the other good again.
      fs.FlipBit(kPath, (1 - slot) * VoteSlots::kSlotBytes + 9, 3);
      EXPECT_TRUE(VoteSlots::Open(fs, kPath).ok());
    }
  }
}

// Wherever the creation breaks off, the file is not there, or it is whole.
TEST_F(VoteSlotsTest, ACreationThatBreaksOffLeavesNothingOrAll) {
  constexpr char kNew[] = "/data/new-state";
  bool finished = false;
  for (int64_t changes = 0; !finished; ++changes) {
    ASSERT_LT(changes, 20);
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      Random random(seed);
      SimFileSystem fs;
      ASSERT_TRUE(fs.CreateDirectories("/data").ok());
      ASSERT_TRUE(fs.SyncFileSystem("/").ok());
      fs.StopAfter(changes);
      finished = VoteSlots::Create(fs, kNew, At(0, -1)).ok();
      seed % 2 == 0 ? fs.Crash(random) : fs.KillProcess();
      if (!fs.Exists(kNew)) {
        ASSERT_FALSE(finished);
        ASSERT_TRUE(VoteSlots::Create(fs, kNew, At(0, -1)).ok());
      }
      const auto slots = VoteSlots::Open(fs, kNew);
      ASSERT_TRUE(slots.ok()) << "stopped after " << changes << ", seed " << seed << ": "
                              << slots.status().ToString();
    }
  }
}

// The device may not have a vote that the page cache shows after a failed sync. What opening tells
// of is there after the next power cut, and whenever that comes, votes that were synced are.
TEST_F(VoteSlotsTest, AFailedSyncIsNotForgivenByARestart) {
  for (int64_t changes = -1; changes < 8; ++changes) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      Random random(seed);
      SimFileSystem fs;
      ASSERT_TRUE(fs.CreateDirectories("/data").ok());
      ASSERT_TRUE(VoteSlots::Create(fs, kPath, At(0, -1)).ok());
      ASSERT_TRUE(fs.SyncFileSystem("/").ok());
      {
        auto slots = VoteSlots::Open(fs, kPath).value();
        ASSERT_TRUE(slots->WriteSynced(At(1, 1)).ok());
        ASSERT_TRUE(slots->WriteSynced(At(2, 1)).ok());
        fs.InjectFault({.operation = sluice::testing::FileOperation::kSync, .path_part = kPath});
        ASSERT_FALSE(slots->WriteSynced(At(3, 2)).ok());
      }
      fs.KillProcess();
      fs.StopAfter(changes);
      const auto told = VoteSlots::Open(fs, kPath);
      ASSERT_TRUE(told.ok() || changes >= 0) << told.status().ToString();
      const Term least = told.ok() ? (*told)->state().hard_state.term : Term(2);
      fs.Crash(random);
      const auto slots = VoteSlots::Open(fs, kPath);
      ASSERT_TRUE(slots.ok());
      EXPECT_GE((*slots)->state().hard_state.term, least)
          << "stopped after " << changes << ", seed " << seed;
    }
  }
}

TEST_F(VoteSlotsTest, TwoDamagedSlotsAreToldNotForgotten) {
  fs_.FlipBit(kPath, 9, 3);
  fs_.FlipBit(kPath, VoteSlots::kSlotBytes + 9, 3);
  const auto slots = VoteSlots::Open(fs_, kPath);
  ASSERT_FALSE(slots.ok());
  EXPECT_EQ(slots.status().code(), StatusCode::kCorruption);
  EXPECT_NE(slots.status().message().find(kPath), std::string::npos);
}

TEST_F(VoteSlotsTest, AFailedSyncIsReported) {
  auto slots = Open();
  fs_.InjectFault(
      {.operation = sluice::testing::FileOperation::kSync, .path_part = "quorum-state"});
  EXPECT_EQ(slots->WriteSynced(At(1, 1)).code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace sluice::controller
