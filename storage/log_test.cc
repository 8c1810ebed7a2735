// The Log's verbs one by one: append, roll, read, epochs, truncation, deletion, by time, and what a
// restart finds.

#include <gmock/gmock.h>

#include "kafka/record_batch.h"
#include "storage/file_cache.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using testing::BatchesIn;
using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MakeBatch;
using testing::SeenBatch;

class LogTest : public testing::LogFixture {};

TEST_F(LogTest, AnEmptyLogBeginsAndEndsAtZero) {
  Open();
  EXPECT_EQ(log_->log_start_offset(), Offset(0));
  EXPECT_EQ(log_->log_end_offset(), Offset(0));
  EXPECT_EQ(log_->flushed_offset(), Offset(0));
  EXPECT_THAT(ReadAll(Offset(0)), IsEmpty());
  EXPECT_EQ(FileBytes("partition.metadata"), "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg");
}

TEST_F(LogTest, TheLeaderGivesOffsetsAndItsEpoch) {
  Open();
  EXPECT_EQ(Append({.records = 3}, 7), Offset(0));
  EXPECT_EQ(Append({.records = 1}, 7), Offset(3));
  EXPECT_EQ(Append({.records = 2}, 9), Offset(4));
  EXPECT_EQ(log_->log_end_offset(), Offset(6));
  const auto batches = ReadAll(Offset(0));
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[1].base, 3);
  EXPECT_EQ(batches[2].epoch, 9);
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(9));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(8)).epoch, LeaderEpoch(7));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(8)).end_offset, Offset(4));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(9)).end_offset, Offset(6));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(2)).end_offset, Offset(0));
}

TEST_F(LogTest, ReadBeginsWithTheBatchThatHoldsTheOffset) {
  Open();
  Append({.records = 5});
  Append({.records = 5});
  auto read = log_->Read(Offset(7), 1 << 20, Offset(INT64_MAX), false);
  ASSERT_TRUE(read.ok());
  const auto batches = BatchesIn(BytesOf(*read));
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].base, 5);
  EXPECT_EQ(log_->Read(Offset(11), 10, Offset(99), true).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(log_->Read(Offset(10), 10, Offset(99), true)->size_bytes, 0u);
}

TEST_F(LogTest, TheFirstBatchComesWholeOrNotAtAll) {
  Open();
  Append({.value_bytes = 1000});
  Append({.value_bytes = 1000});
  const size_t whole = ReadAll(Offset(0))[0].bytes;
  EXPECT_EQ(log_->Read(Offset(0), whole - 1, Offset(9), false)->size_bytes, 0u);
  EXPECT_EQ(log_->Read(Offset(0), 1, Offset(9), true)->size_bytes, whole);
  EXPECT_EQ(log_->Read(Offset(0), 0, Offset(9), true)->size_bytes, whole);
  // Behind a whole batch the limit may cut.
  EXPECT_EQ(log_->Read(Offset(0), whole + 5, Offset(9), false)->size_bytes, whole + 5);
}

TEST_F(LogTest, ReadsEndBelowTheBound) {
  Open();
  for (int i = 0; i < 100; ++i) Append({.records = 2});
  EXPECT_EQ(ReadAll(Offset(0), Offset(100)).size(), 50u);
  EXPECT_EQ(ReadAll(Offset(0), Offset(101)).size(),
            50u);  // a batch that crosses the bound is left out
  EXPECT_EQ(ReadAll(Offset(0), Offset(0)).size(), 0u);
  EXPECT_EQ(ReadAll(Offset(150), Offset(200), 300).size(), 25u);
}

TEST_F(LogTest, RollsBySizeAndReadsAcrossSegments) {
  config_.segment_bytes = 1000;
  Open();
  for (int i = 0; i < 20; ++i) Append({.value_bytes = 200});
  EXPECT_EQ(ReadAll(Offset(0)).size(), 20u);
  EXPECT_EQ(ReadAll(Offset(3), Offset(17), 500).size(), 14u);
  EXPECT_TRUE(log_->has_unsynced_rolled_segment());
  const auto one_read = log_->Read(Offset(0), 1 << 20, Offset(20), true);
  EXPECT_EQ(one_read->slices.size(), 7u);
  Flush();
  EXPECT_FALSE(log_->has_unsynced_rolled_segment());
  EXPECT_THAT(Files(), ::testing::IsSupersetOf({"00000000000000000000.index",
                                                "00000000000000000003.snapshot",
                                                "00000000000000000018.log"}));
}

TEST_F(LogTest, RollsByTimeWithinTheRecords) {
  config_.segment_ms = 1000;
  Open();
  Append({.timestamp_ms = 10'000});
  Append({.timestamp_ms = 11'000});
  EXPECT_EQ(log_->Read(Offset(0), 1 << 20, Offset(9), true)->slices.size(), 1u);
  Append({.timestamp_ms = 11'001});
  EXPECT_EQ(log_->Read(Offset(0), 1 << 20, Offset(9), true)->slices.size(), 2u);
}

TEST_F(LogTest, RollsWhenAnIndexIsFull) {
  config_.index_interval_bytes = 0;
  config_.index_size_bytes_max = 60;
  Open();
  for (int i = 0; i < 12; ++i) Append({.timestamp_ms = 1000 + i});
  EXPECT_GT(log_->Read(Offset(0), 1 << 20, Offset(99), true)->slices.size(), 1u);
  EXPECT_EQ(ReadAll(Offset(0)).size(), 12u);
}

TEST_F(LogTest, AFollowerTakesOnlyWhatFits) {
  Open();
  const std::string good = MakeBatch({.records = 2, .base_offset = 0, .leader_epoch = 3}) +
                           MakeBatch({.records = 1, .base_offset = 2, .leader_epoch = 4});
  const std::string next = MakeBatch({.base_offset = 3, .leader_epoch = 4});
  EXPECT_EQ(log_->AppendAsFollower(good + good, LeaderEpoch(4)).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(log_->AppendAsFollower(good, LeaderEpoch(3)).code(), StatusCode::kFenced);
  EXPECT_EQ(log_->log_end_offset(), Offset(0));
  std::string damaged = good;
  damaged.back() ^= 1;
  EXPECT_EQ(log_->AppendAsFollower(damaged, LeaderEpoch(4)).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(log_->AppendAsFollower(good + next.substr(0, next.size() - 1), LeaderEpoch(4)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(3));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(3)).end_offset, Offset(2));
  EXPECT_EQ(log_->AppendAsFollower(good, LeaderEpoch(4)).code(), StatusCode::kInvalidArgument);
}

TEST_F(LogTest, AFollowerTakesTheGapsThatCompactionLeft) {
  Open();
  const std::string before = MakeBatch({.base_offset = 5, .leader_epoch = 1});
  const std::string after = MakeBatch({.records = 2, .base_offset = 9, .leader_epoch = 1});
  ASSERT_TRUE(log_->AppendAsFollower(before + after, LeaderEpoch(1)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(11));
  ASSERT_TRUE(
      log_->AppendAsFollower(MakeBatch({.base_offset = 20, .leader_epoch = 1}), LeaderEpoch(1))
          .ok());
  const std::vector<int64_t> found = {5, 5, 9, 9, 9, 20};
  const std::vector<int64_t> asked = {0, 5, 6, 9, 10, 11};
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_EQ(ReadAll(Offset(asked[i])).front().base, found[i]) << asked[i];
  }
  // Into a gap: the log ends where its last batch does, also for the next start.
  ASSERT_TRUE(log_->TruncateTo(Offset(15)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(11));
  const Offset flushed = log_->flushed_offset();
  Kill(flushed);
  EXPECT_EQ(log_->log_end_offset(), Offset(11));
  ASSERT_TRUE(log_->TruncateTo(Offset(8)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(6));
}

TEST_F(LogTest, ATruncationToTheBatchBehindAGapEndsTheLogBeforeIt) {
  for (const bool clean : {true, false}) {
    Open();
    for (const int64_t offset : {0, 1, 20}) {
      ASSERT_TRUE(log_->AppendAsFollower(MakeBatch({.base_offset = offset, .leader_epoch = 1}),
                                         LeaderEpoch(1))
                      .ok());
    }
    ASSERT_TRUE(log_->TruncateTo(Offset(20)).ok());
    EXPECT_EQ(log_->log_end_offset(), Offset(2)) << "nothing tells the next start of more";
    if (clean)
      CloseAndReopen();
    else
      Kill(log_->flushed_offset());
    EXPECT_EQ(log_->log_end_offset(), Offset(2));
    EXPECT_EQ(ReadAll(Offset(0)).size(), 2u);
    ASSERT_TRUE(
        log_->AppendAsFollower(MakeBatch({.base_offset = 20, .leader_epoch = 2}), LeaderEpoch(2))
            .ok());
    EXPECT_EQ(ReadAll(Offset(2)).front().base, 20);
    log_.reset();
    for (const std::string& name : Files())
      ASSERT_TRUE(fs_.Remove(std::string(testing::kLogDirectory) + "/" + name).ok());
  }
}

TEST_F(LogTest, ResendsAreStoredOnce) {
  Open();
  const testing::BatchSpec first{
      .records = 2, .producer_id = 5, .producer_epoch = 0, .base_sequence = 0};
  const testing::BatchSpec second{
      .records = 1, .producer_id = 5, .producer_epoch = 0, .base_sequence = 2};
  Append(first);
  Append(second);
  auto again = log_->AppendAsLeader(MakeBatch(first), LeaderEpoch(0));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->info.duplicate);
  EXPECT_EQ(again->info.first_offset, Offset(0));
  EXPECT_EQ(again->info.last_offset, Offset(1));
  EXPECT_EQ(log_->log_end_offset(), Offset(3));
  auto gap = log_->AppendAsLeader(
      MakeBatch({.producer_id = 5, .producer_epoch = 0, .base_sequence = 9}), LeaderEpoch(0));
  EXPECT_EQ(gap->error, kafka::ErrorCode::kOutOfOrderSequenceNumber);
  Kill();
  EXPECT_TRUE(log_->AppendAsLeader(MakeBatch(second), LeaderEpoch(0))->info.duplicate);
  CloseAndReopen();
  EXPECT_TRUE(log_->AppendAsLeader(MakeBatch(second), LeaderEpoch(0))->info.duplicate);
}

TEST_F(LogTest, FindsTheFirstRecordByTime) {
  config_.segment_bytes = 2000;
  config_.index_interval_bytes = 100;
  Open();
  for (int i = 0; i < 50; ++i) {
    Append({.records = 3,
            .timestamp_ms = 1000 + i * 30,
            .timestamp_step_ms = 10,
            .codec = i % 2 ? kafka::Codec::kZstd : kafka::Codec::kNone});
  }
  const auto find = [&](int64_t ms, Offset upto = Offset(150)) {
    return log_->FindTimestamp(ms, upto).value();
  };
  EXPECT_EQ(find(0)->offset, Offset(0));
  EXPECT_EQ(find(1000)->offset, Offset(0));
  EXPECT_EQ(find(1001)->offset, Offset(1));
  EXPECT_EQ(find(1755)->offset, Offset(76));
  EXPECT_EQ(find(1755)->timestamp_ms, 1760);
  EXPECT_EQ(find(2490)->offset, Offset(149));
  EXPECT_FALSE(find(2491));
  EXPECT_FALSE(find(2490, Offset(149)));
  EXPECT_EQ(log_->MaxTimestamp(Offset(150)).value()->offset, Offset(149));
  EXPECT_EQ(log_->MaxTimestamp(Offset(30)).value()->timestamp_ms, 1290);
}

// Compressed batches are stored unopened, so a client can send one that nobody can open.
TEST_F(LogTest, ABatchThatItsProducerSentUnreadableIsFoundByItsHeaderAndIsNoDamage) {
  Open();
  Append({.records = 2, .timestamp_ms = 1000});
  std::string unreadable = testing::MakeBatch({.records = 3, .timestamp_ms = 2000});
  unreadable[kafka::batch_layout::kAttributes + 1] = static_cast<char>(kafka::Codec::kZstd);
  kafka::SetMaxTimestampAndType(unreadable.data(), unreadable.size(), 2000,
                                kafka::TimestampType::kCreateTime);
  ASSERT_TRUE(log_->AppendAsLeader(unreadable, LeaderEpoch(0)).ok());
  Append({.timestamp_ms = 3000});
  const auto found = log_->FindTimestamp(1500, Offset(6));
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)->offset, Offset(2));
  EXPECT_EQ((*found)->timestamp_ms, 2000);
  EXPECT_EQ(log_->FindTimestamp(2001, Offset(6)).value()->offset, Offset(5));
  EXPECT_EQ(log_->MaxTimestamp(Offset(5)).value()->offset, Offset(2));
  // Bytes that have rotted since are damage.
  const std::string path = std::string(testing::kLogDirectory) + "/00000000000000000000.log";
  const auto file = fs_.Open(path, OpenMode::kReadWrite);
  const auto place = static_cast<uint64_t>(FileBytes("00000000000000000000.log").find("vvv", 150));
  ASSERT_TRUE(file.ok() && (*file)->WriteAt(place, "w").ok());
  EXPECT_EQ(log_->FindTimestamp(1500, Offset(6)).status().code(), StatusCode::kCorruption);
}

TEST_F(LogTest, TruncationTakesIndexesEpochsAndProducersWithIt) {
  config_.segment_bytes = 1000;
  config_.index_interval_bytes = 50;
  Open();
  for (int i = 0; i < 20; ++i) {
    Append({.value_bytes = 200, .producer_id = 1, .producer_epoch = 0, .base_sequence = i}, i / 5);
  }
  ASSERT_TRUE(log_->TruncateTo(Offset(8)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(8));
  EXPECT_EQ(log_->flushed_offset(), Offset(8));
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(1));
  EXPECT_EQ(ReadAll(Offset(0)).size(), 8u);
  EXPECT_EQ(Append({.producer_id = 1, .producer_epoch = 0, .base_sequence = 8}, 9), Offset(8));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(5)).end_offset, Offset(8));
  Kill(Offset(8));
  EXPECT_EQ(ReadAll(Offset(0)).size(), 9u);
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(9));
}

TEST_F(LogTest, TruncationInsideABatchTakesItWhole) {
  Open();
  Append({.records = 10});
  Append({.records = 10});
  ASSERT_TRUE(log_->TruncateTo(Offset(15)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(10));
}

TEST_F(LogTest, TruncationToASegmentsBaseLeavesItEmpty) {
  config_.segment_bytes = 500;
  Open();
  for (int i = 0; i < 4; ++i) Append({.timestamp_ms = 9000, .value_bytes = 200});
  ASSERT_TRUE(log_->TruncateTo(Offset(2)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(2));
  EXPECT_EQ(Append({.timestamp_ms = 1000, .value_bytes = 200}), Offset(2));
  EXPECT_EQ(ReadAll(Offset(0)).size(), 3u);
  ASSERT_TRUE(log_->TruncateTo(Offset(0)).ok());
  EXPECT_EQ(log_->size_bytes(), 0u);
  EXPECT_EQ(Append({.timestamp_ms = 1000}), Offset(0));
  EXPECT_EQ(log_->MaxTimestamp(Offset(1)).value()->timestamp_ms, 1000);
  EXPECT_FALSE(log_->FindTimestamp(5000, Offset(1)).value());
}

TEST_F(LogTest, TruncationForgetsAnEpochWithoutRecords) {
  Open();
  Append({.records = 2}, 1);
  ASSERT_TRUE(log_->AssignEpochStart(LeaderEpoch(4), Offset(2)).ok());
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(4));
  Kill();
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(4));
  ASSERT_TRUE(log_->TruncateTo(Offset(2)).ok());
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(1));
}

TEST_F(LogTest, StartsAgainElsewhere) {
  Open();
  Append({.records = 5}, 2);
  ASSERT_TRUE(log_->TruncateFullyAndStartAt(Offset(100)).ok());
  EXPECT_EQ(log_->log_start_offset(), Offset(100));
  EXPECT_EQ(log_->latest_epoch(), kNoEpoch);
  EXPECT_EQ(Append({}, 3), Offset(100));
  Kill();
  EXPECT_EQ(log_->log_start_offset(), Offset(100));
  EXPECT_EQ(log_->log_end_offset(), Offset(101));
}

// The leader's log was trimmed there: it sends the batch whole.
TEST_F(LogTest, AFollowerThatHoldsNothingMayStartInTheMidstOfABatch) {
  Open();
  Append({.records = 5}, 1);
  ASSERT_TRUE(log_->TruncateFullyAndStartAt(Offset(100)).ok());
  const std::string holder = MakeBatch({.records = 8, .base_offset = 96, .leader_epoch = 2});
  const std::string next = MakeBatch({.base_offset = 104, .leader_epoch = 2});
  const std::string below = MakeBatch({.records = 4, .base_offset = 96, .leader_epoch = 2});
  EXPECT_EQ(log_->AppendAsFollower(below, LeaderEpoch(2)).code(), StatusCode::kInvalidArgument);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kWrite,
                   .path_part = ".log",
                   .status = Status::DiskFull("no room")});
  EXPECT_EQ(log_->AppendAsFollower(holder, LeaderEpoch(2)).code(), StatusCode::kDiskFull);
  EXPECT_EQ(log_->log_start_offset(), Offset(100));
  EXPECT_EQ(log_->log_end_offset(), Offset(100));
  ASSERT_TRUE(log_->AppendAsFollower(holder + next, LeaderEpoch(2)).ok());
  EXPECT_EQ(log_->log_start_offset(), Offset(100));
  EXPECT_EQ(log_->log_end_offset(), Offset(105));
  EXPECT_EQ(ReadAll(Offset(100)).front().base, 96);
  EXPECT_EQ(log_->Read(Offset(99), 10, Offset(105), true).status().code(), StatusCode::kOutOfRange);
  CloseAndReopen();
  EXPECT_EQ(log_->log_start_offset(), Offset(100));
  EXPECT_EQ(log_->log_end_offset(), Offset(105));
}

TEST_F(LogTest, TheStartAdvancesAndSegmentsGo) {
  config_.segment_bytes = 1000;
  Open();
  for (int i = 0; i < 20; ++i) Append({.value_bytes = 200}, i / 10);
  const uint64_t before = log_->size_bytes();
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(7)).ok());
  EXPECT_EQ(log_->log_start_offset(), Offset(7));
  EXPECT_LT(log_->size_bytes(), before);
  EXPECT_EQ(log_->Read(Offset(6), 10, Offset(20), true).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(ReadAll(Offset(7)).size(), 13u);
  EXPECT_EQ(log_->AdvanceLogStart(Offset(21)).code(), StatusCode::kOutOfRange);
  EXPECT_THAT(Files(), ::testing::Not(::testing::Contains("00000000000000000003.log")));
  CloseAndReopen();
  EXPECT_EQ(log_->log_start_offset(), Offset(7));
}

TEST_F(LogTest, RetentionByTimeSizeAndStart) {
  config_.segment_bytes = 1000;
  config_.retention_ms = 1000;
  Open();
  for (int i = 0; i < 9; ++i) Append({.timestamp_ms = clock_.WallMs(), .value_bytes = 200});
  EXPECT_EQ(log_->ApplyRetention(Offset(9)).value(), 0);
  clock_.AdvanceMs(1001);
  Append({.timestamp_ms = clock_.WallMs(), .value_bytes = 200});
  EXPECT_EQ(log_->ApplyRetention(Offset(5)).value(), 1) << "nothing above the high watermark goes";
  EXPECT_EQ(log_->ApplyRetention(Offset(10)).value(), 2);
  clock_.AdvanceMs(1001);
  EXPECT_EQ(log_->ApplyRetention(Offset(10)).value(), 1) << "the active one goes after a roll";
  EXPECT_EQ(log_->log_start_offset(), Offset(10));
  EXPECT_EQ(Append(), Offset(10));

  config_.retention_ms = -1;
  config_.retention_bytes = 1500;
  log_->set_config(config_);
  for (int i = 0; i < 9; ++i) Append({.value_bytes = 200});
  EXPECT_GT(log_->ApplyRetention(log_->log_end_offset()).value(), 0);
  EXPECT_GE(log_->size_bytes(), 1500u);
}

TEST_F(LogTest, AnIoErrorTakesTheLogOffline) {
  Open();
  Append();
  const FlushTarget target = log_->PrepareFlush();
  log_->OnFlushed(target.upto, Status::IoError("EIO"));
  EXPECT_EQ(log_->flushed_offset(), Offset(0));
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).status().code(),
            StatusCode::kIoError);
  EXPECT_EQ(log_->Read(Offset(0), 1, Offset(1), true).status().code(), StatusCode::kIoError);
  EXPECT_EQ(log_->failure().code(), StatusCode::kIoError);
}

TEST_F(LogTest, AnOfflineLogsNextFlushIsAFailure) {
  Open();
  Append();
  ASSERT_TRUE(log_->failure().ok());
  // A roll without a descriptor for its file.
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .status = Status(StatusCode::kResourceExhausted, "EMFILE"),
                   .times = -1});
  config_.segment_bytes = 1;
  log_->set_config(config_);
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(log_->failure().code(), StatusCode::kResourceExhausted);
  const FlushTarget target = log_->PrepareFlush();
  EXPECT_EQ(target.status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(target.file_count(), 0u);
  EXPECT_FALSE(target.Run().ok());
  EXPECT_EQ(log_->flushed_offset(), Offset(0));
  EXPECT_FALSE(log_->Close().ok());
}

TEST_F(LogTest, AFileThatCannotBeOpenedForAFlushFailsIt) {
  Open();
  Append();
  log_.reset();
  fs_.KillProcess();
  const auto files = std::make_shared<FileCache>(fs_, 1);
  LogOptions options = Options();
  options.host_stayed_up = true;
  options.files = files;
  Open(std::move(options));
  FileCache::Ref other;
  ASSERT_TRUE(files->Open(other, "/data/other", OpenMode::kCreate).ok());
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .path_part = ".log",
                   .status = Status::NotFound("gone")});
  const FlushTarget target = log_->PrepareFlush();
  EXPECT_EQ(target.Run().code(), StatusCode::kNotFound);
  EXPECT_EQ(log_->failure().code(), StatusCode::kNotFound);
  // Once failed is failed, though the file is there again.
  EXPECT_FALSE(log_->PrepareFlush().Run().ok());
}

// With thousands of logs the file system would take long over that.
TEST_F(LogTest, AStartAfterAKillCutsNoIndex) {
  Open();
  for (int i = 0; i < 3; ++i) Append({.timestamp_ms = 1000 + i});
  ASSERT_TRUE(log_->Close().ok());
  const std::string times = FileBytes("00000000000000000000.timeindex");
  ASSERT_EQ(times.size(), 12u);  // what a clean stop writes of the newest record
  log_.reset();
  fs_.KillProcess();
  LogOptions options = Options();
  options.host_stayed_up = true;
  options.recovery_point = Offset(3);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kTruncate, .times = -1});
  Open(std::move(options));
  EXPECT_EQ(log_->FindTimestamp(1001, Offset(3)).value()->offset, Offset(1));
  Append({.timestamp_ms = 2000});
  ASSERT_TRUE(log_->Close().ok());
  EXPECT_EQ(FileBytes("00000000000000000000.timeindex").size(), 12u);
  EXPECT_NE(FileBytes("00000000000000000000.timeindex"), times);
}

TEST_F(LogTest, AFullDiskRefusesTheAppendAndNothingElse) {
  Open();
  Append();
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kWrite,
                   .path_part = ".log",
                   .status = Status::DiskFull("ENOSPC")});
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).status().code(),
            StatusCode::kDiskFull);
  EXPECT_EQ(Append(), Offset(1));
  EXPECT_EQ(ReadAll(Offset(0)).size(), 2u);
}

TEST_F(LogTest, AFlushProvesNothingAboveATruncation) {
  Open();
  for (int i = 0; i < 10; ++i) Append();
  const FlushTarget target = log_->PrepareFlush();
  ASSERT_TRUE(log_->TruncateTo(Offset(5)).ok());
  for (int i = 0; i < 10; ++i) Append();
  log_->OnFlushed(target.upto, target.Run());
  EXPECT_EQ(log_->flushed_offset(), Offset(5));
  Flush();
}

TEST_F(LogTest, ATruncationBelowTheCheckpointLowersItFirst) {
  LogOptions options = Options();
  std::vector<Offset> lowered;
  options.lower_recovery_point = [&](Offset offset) {
    lowered.push_back(offset);
    return Status::Ok();
  };
  Open(std::move(options));
  for (int i = 0; i < 10; ++i) Append();
  ASSERT_TRUE(log_->TruncateTo(Offset(9)).ok());
  EXPECT_THAT(lowered, IsEmpty());
  Flush();
  ASSERT_TRUE(log_->TruncateTo(Offset(4)).ok());
  EXPECT_THAT(lowered, ElementsAre(Offset(4)));
}

TEST_F(LogTest, AnotherTopicsDirectoryIsFenced) {
  Open();
  log_.reset();
  LogOptions options = Options();
  options.topic_id = Uuid::FromBytes("another topic id");
  EXPECT_EQ(Log::Open(options).status().code(), StatusCode::kFenced);
}

}  // namespace
}  // namespace sluice::storage
