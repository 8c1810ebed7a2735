// The reserve of a node: when it is made, given up by pieces, and made again.

#include "storage/space_reserve.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "base/testing/sim_file_system.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using ::sluice::testing::LogCatcher;
using ::sluice::testing::SimFileSystem;

constexpr char kDirectory[] = "/data";
constexpr char kPath[] = "/data/space.reserve";
constexpr uint64_t kSize = 16 << 20;
constexpr uint64_t kPiece = 1 << 20;

class SpaceReserveTest : public ::testing::Test {
 protected:
  SpaceReserveTest() {
    EXPECT_TRUE(fs_.CreateDirectories(kDirectory).ok());
    EXPECT_TRUE(fs_.SyncFileSystem("/").ok());
    SetCapacity(1 << 30);
  }
  void SetCapacity(uint64_t bytes) { fs_.set_capacity_bytes(bytes, kDirectory); }
  void SetFree(uint64_t bytes) {
    SetCapacity(1 << 30);
    const DiskSpace space = fs_.Space(kDirectory).value();
    SetCapacity(space.total_bytes - space.free_bytes + bytes);
  }
  uint64_t Free() { return fs_.Space(kDirectory)->free_bytes; }

  SimFileSystem fs_;
  SpaceReserve reserve_{{.directory = kDirectory,
                         .file_system = &fs_,
                         .marks = {.soft_bytes = 40 << 20, .hard_bytes = 20 << 20}}};
  const Status why_ = Status::DiskFull("cannot write /data/x: No space left on device");
};

TEST_F(SpaceReserveTest, ItIsMadeOnceAndTold) {
  const LogCatcher log;
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
  EXPECT_EQ(fs_.FileSize(kPath).value(), kSize);
  EXPECT_TRUE(fs_.Durable(kPath, 0, kSize)) << "blocks are given when it is written back";
  reserve_.Refill();
  EXPECT_EQ(log.Count("in reserve"), 1);
  EXPECT_FALSE(reserve_.given_up());
  Random random(1);
  fs_.Crash(random);
  EXPECT_TRUE(fs_.Exists(kPath));
}

TEST_F(SpaceReserveTest, ItIsGivenUpByPiecesEachOfThemTold) {
  reserve_.Refill();
  SetFree(0);
  const LogCatcher log;
  for (uint64_t piece = 1; piece <= kSize / kPiece; ++piece) {
    ASSERT_TRUE(reserve_.GiveUp(why_));
    EXPECT_EQ(Free(), piece * kPiece);
    EXPECT_EQ(reserve_.held_bytes(), kSize - piece * kPiece);
    EXPECT_TRUE(reserve_.given_up());
  }
  EXPECT_FALSE(fs_.Exists(kPath));
  EXPECT_FALSE(reserve_.GiveUp(why_)) << "nothing is left";
  EXPECT_EQ(log.Count("are given up"), 16);
  EXPECT_EQ(log.Count("No space left on device. The disk of /data is full"), 16);
  EXPECT_EQ(log.Count("no restart is needed as long as some is left"), 15);
  EXPECT_EQ(log.Count("ends this node"), 1);
}

TEST_F(SpaceReserveTest, ItIsMadeAgainWithRoomAboveTheHardMarkAndThenSome) {
  reserve_.Refill();
  ASSERT_TRUE(reserve_.GiveUp(why_));
  ASSERT_TRUE(reserve_.GiveUp(why_));
  // What is missing, the hard mark, a quarter of what is between the marks, and its size again.
  const uint64_t enough = 2 * kPiece + (20 << 20) + (5 << 20) + kSize;
  SetFree(enough - 1);
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize - 2 * kPiece);
  EXPECT_TRUE(reserve_.given_up());
  SetFree(enough);
  const LogCatcher log;
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
  EXPECT_FALSE(reserve_.given_up());
  EXPECT_EQ(log.Count("in reserve again"), 1);
}

TEST_F(SpaceReserveTest, AStartGetsWhatItLacksAndNoMore) {
  reserve_.Refill();
  SetFree(4 << 20);
  reserve_.MakeRoomToStart();
  EXPECT_EQ(reserve_.held_bytes(), kSize) << "it lacks nothing";
  SetFree((2 << 20) + 1);
  const LogCatcher log;
  reserve_.MakeRoomToStart();
  EXPECT_EQ(reserve_.held_bytes(), kSize - 2 * kPiece);
  EXPECT_GE(Free(), uint64_t{4} << 20);
  EXPECT_EQ(log.Count("given up for this start"), 1);
  // By a few starts it is used up, and the next ones get nothing.
  for (int start = 0; start < 5; ++start) {
    SetFree(0);
    reserve_.MakeRoomToStart();
  }
  EXPECT_FALSE(fs_.Exists(kPath));
  EXPECT_EQ(log.Count("given up for this start"), 5);
}

TEST_F(SpaceReserveTest, WhatCannotBeWrittenIsTakenBackAndTriedAgain) {
  fs_.InjectFault({.operation = FileOperation::kWrite,
                   .path_part = kPath,
                   .status = Status::DiskFull("no room"),
                   .skip = 5,
                   .times = 2});
  const LogCatcher log;
  reserve_.Refill();
  EXPECT_FALSE(fs_.Exists(kPath));
  reserve_.Refill();
  EXPECT_EQ(log.Count("the reserve cannot be made"), 1);
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
}

// An operator who needs room may take it.
TEST_F(SpaceReserveTest, OneThatWasRemovedIsMadeAgain) {
  reserve_.Refill();
  ASSERT_TRUE(fs_.Remove(kPath).ok());
  EXPECT_FALSE(reserve_.GiveUp(why_));
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
}

TEST_F(SpaceReserveTest, ADirectoryThatIsNotThereYetIsNoError) {
  SpaceReserve elsewhere({.directory = "/nowhere", .file_system = &fs_});
  elsewhere.MakeRoomToStart();
  elsewhere.Refill();
  EXPECT_EQ(elsewhere.held_bytes(), 0u);
}

}  // namespace
}  // namespace sluice::storage
