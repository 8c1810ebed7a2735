// A log on a disk that fills up: whatever step finds no room, nothing is left half done, and it
// goes on when there is room again.

#include <gmock/gmock.h>

#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using testing::MakeBatch;

class LogSpaceTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Log>> Open() {
    LogOptions options;
    options.directory = "/data/t-0";
    options.topic_id = Uuid::FromBytes("0123456789abcdef");
    options.config.segment_bytes = 400;
    options.config.index_interval_bytes = 0;
    options.file_system = &fs_;
    options.clock = &clock_;
    options.config.retention_bytes = retention_bytes_;
    options.lower_recovery_point = [this](Offset) { return lowered_; };
    return Log::Open(std::move(options));
  }
  void FailNext(FileOperation operation, int skip, const std::string& path_part = "") {
    fs_.InjectFault({.operation = operation,
                     .path_part = path_part,
                     .status = Status::DiskFull("no room"),
                     .skip = skip});
  }

  void Fill(Log& log) {
    for (int i = 0; i < 24; ++i)
      ASSERT_TRUE(log.AppendAsLeader(MakeBatch(), LeaderEpoch(i / 5)).ok());
    const FlushTarget target = log.PrepareFlush();
    log.OnFlushed(target.upto, target.Run());
  }
  // The log of Fill, or the first seven batches of it, and nothing between the two.
  static void ExpectWholeOrCut(const Log& log) {
    ASSERT_TRUE(log.failure().ok()) << log.failure().ToString();
    const bool whole = log.log_end_offset() == Offset(24);
    EXPECT_EQ(log.log_end_offset(), Offset(whole ? 24 : 7));
    EXPECT_EQ(log.latest_epoch(), LeaderEpoch(whole ? 4 : 1));
    EXPECT_EQ(log.EndOffsetFor(LeaderEpoch(1)).end_offset, Offset(whole ? 10 : 7));
  }

  int64_t retention_bytes_ = -1;
  Status lowered_;
  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
};

// Appends 24 batches over several rolls and epochs; the n-th write or creation of a file finds no
// room.
TEST_F(LogSpaceTest, EveryStepMayFindNoRoom) {
  int refused_in_all = 0;
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kOpen}) {
    for (int skip = 0; skip < 80; ++skip) {
      ASSERT_TRUE(fs_.RemoveAll("/data").ok());
      auto log = Open();
      ASSERT_TRUE(log.ok()) << log.status().ToString();
      FailNext(operation, skip);
      int refused = 0;
      for (int i = 0; i < 24; ++i) {
        const LeaderEpoch epoch(i / 5);
        auto done = (*log)->AppendAsLeader(MakeBatch(), epoch);
        if (!done.ok()) {
          ++refused;
          ASSERT_EQ(done.status().code(), StatusCode::kDiskFull) << done.status().ToString();
          const auto names = fs_.List("/data/t-0").value();
          for (const std::string& name : names)
            EXPECT_FALSE(name.ends_with(".tmp")) << skip << ": " << name;
          done = (*log)->AppendAsLeader(MakeBatch(), epoch);
        }
        ASSERT_TRUE(done.ok()) << skip << ": " << done.status().ToString();
        ASSERT_EQ(done->info.first_offset, Offset(i));
      }
      EXPECT_LE(refused, 1);
      refused_in_all += refused;
      fs_.ClearFaults();
      // A kill now: what a start finds is what was appended.
      log->reset();
      fs_.KillProcess();
      log = Open();
      ASSERT_TRUE(log.ok()) << skip << ": " << log.status().ToString();
      EXPECT_EQ((*log)->log_end_offset(), Offset(24)) << skip;
      EXPECT_EQ((*log)->recovery().message, "") << skip;
      EXPECT_EQ((*log)->latest_epoch(), LeaderEpoch(4)) << skip;
      EXPECT_EQ((*log)->EndOffsetFor(LeaderEpoch(2)).end_offset, Offset(15)) << skip;
    }
  }
  EXPECT_GT(refused_in_all, 20);
}

// The disk may have told of the room only when it was to write; what it wrote nobody knows.
TEST_F(LogSpaceTest, ACutThatCouldNotBeSyncedIsTheEnd) {
  auto log = Open();
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 8; ++i) ASSERT_TRUE((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).ok());
  FailNext(FileOperation::kSync, 0, ".log");
  EXPECT_EQ((*log)->TruncateTo(Offset(7)).code(), StatusCode::kIoError);
  EXPECT_EQ((*log)->failure().code(), StatusCode::kIoError);
}

TEST_F(LogSpaceTest, ATruncationThatFindsNoRoomHasChangedNothingOrIsDone) {
  int refused = 0;
  const auto cut = [&](const std::function<void(Log&)>& fill_the_disk) {
    ASSERT_TRUE(fs_.RemoveAll("/data").ok());
    auto log = Open();
    ASSERT_TRUE(log.ok());
    Fill(**log);
    fill_the_disk(**log);
    const Status truncated = (*log)->TruncateTo(Offset(7));
    ExpectWholeOrCut(**log);
    refused += truncated.ok() ? 0 : 1;
    EXPECT_EQ(truncated.code(), truncated.ok() ? StatusCode::kOk : StatusCode::kDiskFull);
    fs_.ClearFaults();
    lowered_ = Status::Ok();
    // Epoch 1 goes on where the others were cut off, and a kill forgets nothing of that.
    ASSERT_TRUE(truncated.ok() || (*log)->TruncateTo(Offset(7)).ok());
    ASSERT_TRUE((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(1)).ok());
    log->reset();
    fs_.KillProcess();
    log = Open();
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    EXPECT_EQ((*log)->log_end_offset(), Offset(8));
    EXPECT_EQ((*log)->latest_epoch(), LeaderEpoch(1));
  };
  cut([this](Log&) { lowered_ = Status::DiskFull("no room for the checkpoint"); });
  EXPECT_EQ(refused, 1);
  for (int skip = 0; skip < 12; ++skip) {
    SCOPED_TRACE(skip);
    cut([&](Log&) { FailNext(FileOperation::kWrite, skip); });
    cut([&](Log&) { FailNext(FileOperation::kOpen, skip, ".tmp"); });
  }
  EXPECT_GE(refused, 3);
}

// The epochs of the cut records are in the file that could not be written anew.
TEST_F(LogSpaceTest, EpochsThatCouldNotBeSavedAreSavedBeforeTheNextRecord) {
  auto log = Open();
  ASSERT_TRUE(log.ok());
  Fill(**log);
  FailNext(FileOperation::kOpen, 0, "leader-epoch-checkpoint");
  EXPECT_EQ((*log)->TruncateTo(Offset(7)).code(), StatusCode::kDiskFull);
  EXPECT_EQ((*log)->log_end_offset(), Offset(7));
  ASSERT_TRUE((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(1)).ok());
  ASSERT_TRUE((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(7)).ok());
  log->reset();
  fs_.KillProcess();
  log = Open();
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  EXPECT_EQ((*log)->EndOffsetFor(LeaderEpoch(2)).epoch, LeaderEpoch(1));
  EXPECT_EQ((*log)->EndOffsetFor(LeaderEpoch(1)).end_offset, Offset(8));
}

TEST_F(LogSpaceTest, WithoutRoomToRollAnExpiredLogFreesAllButItsNewestSegment) {
  retention_bytes_ = 0;
  auto log = Open();
  ASSERT_TRUE(log.ok());
  Fill(**log);
  fs_.InjectFault({.operation = FileOperation::kOpen,
                   .path_part = ".snapshot",
                   .status = Status::DiskFull("no room"),
                   .times = -1});
  const Result<int> deleted = (*log)->ApplyRetention(Offset(24));
  ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
  EXPECT_GT(*deleted, 3);
  EXPECT_LE((*log)->size_bytes(), 400u);
  EXPECT_EQ((*log)->ApplyRetention(Offset(24)).status().code(), StatusCode::kDiskFull);
  EXPECT_TRUE((*log)->failure().ok());
  fs_.ClearFaults();
  EXPECT_EQ(*(*log)->ApplyRetention(Offset(24)), 1);
  EXPECT_EQ((*log)->log_start_offset(), Offset(24));
}

// The roll's file was made, and then there was no room: the old segment goes on past it.
TEST_F(LogSpaceTest, ARollThatFindsNoRoomLeavesNoSegmentBehind) {
  auto log = Open();
  ASSERT_TRUE(log.ok());
  const auto size = static_cast<int>(MakeBatch().size());
  for (int i = 0; i < 400 / size; ++i)
    ASSERT_TRUE((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).ok());
  const auto names = fs_.List("/data/t-0").value();
  FailNext(FileOperation::kWrite, 0, ".snapshot");
  EXPECT_EQ((*log)->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).status().code(),
            StatusCode::kDiskFull);
  EXPECT_EQ(fs_.List("/data/t-0").value(), names);
}

}  // namespace
}  // namespace sluice::storage
