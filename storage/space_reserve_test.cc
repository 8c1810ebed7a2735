// The reserve of a node: when it is made, given up by pieces, and made again.

#include "storage/space_reserve.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using ::sluice::testing::LogCatcher;
using ::sluice::testing::SimClock;
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
  bool GiveUp() { return reserve_.GiveUp(why_, reserve_.cuts()); }
  // As a quota: what is written there finds no room, whatever the disk shows.
  void Refuse(int times) {
    fs_.InjectFault({.operation = FileOperation::kWrite,
                     .path_part = kPath,
                     .status = Status::DiskFull("Disk quota exceeded"),
                     .times = times});
  }

  SimFileSystem fs_;
  SimClock clock_;
  SpaceReserve reserve_{{.directory = kDirectory,
                         .file_system = &fs_,
                         .clock = &clock_,
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
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kWhole);
  Random random(1);
  fs_.Crash(random);
  EXPECT_TRUE(fs_.Exists(kPath));
}

TEST_F(SpaceReserveTest, ItIsGivenUpByPiecesEachOfThemTold) {
  reserve_.Refill();
  SetFree(0);
  const LogCatcher log;
  for (uint64_t piece = 1; piece <= kSize / kPiece; ++piece) {
    ASSERT_TRUE(GiveUp());
    EXPECT_EQ(Free(), piece * kPiece);
    EXPECT_EQ(reserve_.held_bytes(), kSize - piece * kPiece);
    EXPECT_EQ(reserve_.standing(), ReserveStanding::kNoRoom);
  }
  EXPECT_FALSE(fs_.Exists(kPath));
  EXPECT_FALSE(GiveUp()) << "nothing is left";
  EXPECT_EQ(log.Count("are given up"), 16);
  EXPECT_EQ(log.Count("No space left on device. The disk of /data is full"), 16);
  EXPECT_EQ(log.Count("no restart is needed as long as some is left"), 15);
  EXPECT_EQ(log.Count("ends this node"), 1);
}

TEST_F(SpaceReserveTest, ItIsMadeAgainWithRoomAboveTheHardMarkAndThenSome) {
  reserve_.Refill();
  SetFree(0);
  ASSERT_TRUE(GiveUp());
  ASSERT_TRUE(GiveUp());
  // What is missing, the hard mark, a quarter of what is between the marks, and its size again.
  const uint64_t enough = 2 * kPiece + (20 << 20) + (5 << 20) + kSize;
  SetFree(enough - 1);
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize - 2 * kPiece);
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kNoRoom);
  EXPECT_EQ(reserve_.wanted_bytes(), enough);
  SetFree(enough);
  const LogCatcher log;
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize) << "at once: no time has passed";
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kWhole);
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
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kRefused);
  clock_.AdvanceMs(SpaceReserve::kWaitMsMin);
  reserve_.Refill();
  EXPECT_FALSE(fs_.faults_left());
  EXPECT_EQ(log.Count("the reserve cannot be made"), 1);
  clock_.AdvanceMs(2 * SpaceReserve::kWaitMsMin);
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kWhole);
}

// A Refill has taken the last room when a write fails, and gives it back when it fails itself.
TEST_F(SpaceReserveTest, AWriteThatMetARefillThatFailedIsMadeAgain) {
  int calls = 0;
  const Status written = WithReserve(reserve_, [&] {
    if (++calls > 1) return Status::Ok();
    Refuse(1);
    reserve_.Refill();
    EXPECT_FALSE(fs_.faults_left());
    return why_;
  });
  EXPECT_TRUE(written.ok()) << written.message();
  EXPECT_EQ(calls, 2);
}

TEST_F(SpaceReserveTest, APieceThatAnotherWriterHasGivenUpMeanwhileIsTriedFirst) {
  reserve_.Refill();
  SetFree(0);
  int calls = 0;
  const Result<int> made = WithReserve(reserve_, [&]() -> Result<int> {
    if (++calls > 1) return 7;
    EXPECT_TRUE(GiveUp());
    return why_;
  });
  EXPECT_EQ(made.value(), 7);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(reserve_.held_bytes(), kSize - kPiece);
}

TEST_F(SpaceReserveTest, AWriteThatNothingHelpsIsMadeOnceForEachPieceAndOnceMore) {
  reserve_.Refill();
  SetFree(0);
  int calls = 0;
  const auto write = [&] {
    ++calls;
    return why_;
  };
  const Status written = WithReserve(reserve_, write);
  EXPECT_EQ(written.code(), StatusCode::kDiskFull);
  EXPECT_NE(written.message().find("nothing can be given up of the reserve"), std::string::npos);
  EXPECT_EQ(calls, 17);
  EXPECT_FALSE(WithReserve(reserve_, write).ok());
  EXPECT_EQ(calls, 18);
}

// What is free says nothing of a quota.
TEST_F(SpaceReserveTest, WhereTheDiskShowsRoomAndRefusesItTheWaitsGrow) {
  Refuse(-1);
  const auto tries_in = [&](int64_t seconds) {
    int tries = 0;
    for (int64_t i = 0; i < seconds; ++i) {
      const uint64_t before = reserve_.cuts();
      reserve_.Refill();
      tries += reserve_.cuts() != before ? 1 : 0;
      clock_.AdvanceMs(1000);
    }
    return tries;
  };
  EXPECT_EQ(tries_in(60), 4);  // after 0, 5, 15 and 35 s
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kRefused);
  tries_in(3600);
  EXPECT_EQ(tries_in(3600), 6);
  SetFree(Free() + kSize);
  EXPECT_EQ(tries_in(10), 1) << "what is gained is tried at once";
  fs_.ClearFaults();
  tries_in(600);
  EXPECT_EQ(reserve_.held_bytes(), kSize);
}

TEST_F(SpaceReserveTest, WhatIsGivenUpToAQuotaIsNotTakenBackAtOnceAgainAndAgain) {
  const auto given_up_in = [&](int64_t seconds) {
    int given_up = 0;
    for (int64_t i = 0; i < seconds; ++i) {
      reserve_.Refill();
      // Each time it is whole the next write finds no room.
      if (reserve_.standing() == ReserveStanding::kWhole && GiveUp()) ++given_up;
      clock_.AdvanceMs(1000);
    }
    return given_up;
  };
  EXPECT_EQ(given_up_in(60), 4);
  given_up_in(3600);
  EXPECT_EQ(given_up_in(3600), 6);
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kRefused);
  // That being over for long, it is as it was at first.
  for (int i = 0; i <= 1300; ++i) {
    reserve_.Refill();
    clock_.AdvanceMs(1000);
  }
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kWhole);
  EXPECT_EQ(given_up_in(60), 4);
}

TEST_F(SpaceReserveTest, OneThatWasGoneBeforeTheStartIsToldOf) {
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kUnknown) << "that of a new node: nothing amiss";
  reserve_.MakeRoomToStart();
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kUnknown);
  SetFree(10 << 20);
  reserve_.MakeRoomToStart();
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kNoRoom) << "before all is open";
  reserve_.Refill();
  EXPECT_EQ(reserve_.standing(), ReserveStanding::kNoRoom);
  EXPECT_EQ(reserve_.held_bytes(), 0u);
}

TEST_F(SpaceReserveTest, AnotherProcessLeavesItAlone) {
  reserve_.Refill();
  SetFree(0);
  {
    SpaceReserve second({.directory = kDirectory, .file_system = &fs_, .clock = &clock_});
    second.MakeRoomToStart();
    EXPECT_FALSE(second.GiveUp(why_, second.cuts()));
    second.Refill();
    EXPECT_EQ(second.standing(), ReserveStanding::kRefused);
  }
  EXPECT_EQ(fs_.FileSize(kPath).value(), kSize);
  EXPECT_TRUE(GiveUp());
  // Once the first has ended, by a kill too.
  fs_.KillProcess();
  SpaceReserve next({.directory = kDirectory, .file_system = &fs_, .clock = &clock_});
  next.MakeRoomToStart();
  EXPECT_EQ(next.held_bytes(), kSize - 4 * kPiece);
}

TEST_F(SpaceReserveTest, WithoutRoomForTheLockItIsGivenUpAllTheSame) {
  reserve_.Refill();
  fs_.KillProcess();
  fs_.InjectFault({.operation = FileOperation::kLock, .path_part = kPath, .status = why_});
  SetFree(0);
  SpaceReserve next({.directory = kDirectory, .file_system = &fs_, .clock = &clock_});
  next.MakeRoomToStart();
  EXPECT_FALSE(fs_.faults_left());
  EXPECT_EQ(next.held_bytes(), kSize - 4 * kPiece);
}

// An operator who needs room may take it.
TEST_F(SpaceReserveTest, OneThatWasRemovedIsMadeAgain) {
  reserve_.Refill();
  ASSERT_TRUE(fs_.Remove(kPath).ok());
  EXPECT_FALSE(GiveUp());
  reserve_.Refill();
  EXPECT_EQ(reserve_.held_bytes(), kSize);
}

TEST_F(SpaceReserveTest, ADirectoryThatIsNotThereYetIsNoError) {
  SpaceReserve elsewhere({.directory = "/nowhere", .file_system = &fs_, .clock = &clock_});
  elsewhere.MakeRoomToStart();
  elsewhere.Refill();
  EXPECT_EQ(elsewhere.held_bytes(), 0u);
}

}  // namespace
}  // namespace sluice::storage
