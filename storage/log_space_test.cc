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
    return Log::Open(std::move(options));
  }
  void FailNext(FileOperation operation, int skip, const std::string& path_part = "") {
    fs_.InjectFault({.operation = operation,
                     .path_part = path_part,
                     .status = Status::DiskFull("no room"),
                     .skip = skip});
  }

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
