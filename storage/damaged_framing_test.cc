// Batches whose headers were overwritten in the middle of a segment that is otherwise sound, which
// its indexes do not show: readers get what is whole before them, then an error, and never bytes
// that are no batch. What was looked at once is not looked at again.

#include <gmock/gmock.h>

#include "storage/file_names.h"
#include "storage/no_waiting.h"
#include "storage/testing/log_fixture.h"
#include "storage/walked_ranges.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;

TEST(WalkedRangesTest, RangesThatTouchBecomeOne) {
  WalkedRanges ranges;
  EXPECT_EQ(ranges.EndFrom(0), 0u);
  ranges.Add(10, 20);
  ranges.Add(30, 40);
  EXPECT_EQ(ranges.EndFrom(9), 9u);
  EXPECT_EQ(ranges.EndFrom(10), 20u);
  EXPECT_EQ(ranges.EndFrom(20), 20u);
  ranges.Add(20, 30);
  EXPECT_EQ(ranges.EndFrom(10), 40u);
  EXPECT_EQ(ranges.count(), 1u);
  ranges.Add(5, 50);
  ranges.Add(50, 50);
  EXPECT_EQ(ranges.EndFrom(5), 50u);
  EXPECT_EQ(ranges.count(), 1u);
}

TEST(WalkedRangesTest, OfVeryManyNoneIsKept) {
  WalkedRanges ranges;
  for (uint32_t i = 0; i <= WalkedRanges::kRangesMax; ++i) ranges.Add(10 * i, 10 * i + 5);
  EXPECT_EQ(ranges.count(), 1u);
  EXPECT_EQ(ranges.EndFrom(0), 0u);
}

class DamagedFramingTest : public testing::LogFixture {
 protected:
  static constexpr int kBatches = 200;

  // A sealed segment of most of the batches, of about 1,100 bytes each, indexed at every fourth,
  // and one of the last ones; opened again after a clean stop.
  void SetUp() override {
    config_.segment_bytes = 200'000;
    Open();
    for (int i = 0; i < kBatches; ++i)
      Append({.timestamp_ms = clock_.WallMs() + i, .value_bytes = 1000});
    batch_bytes_ = FileSize(kFirst) / static_cast<uint64_t>(LastBase());
    Flush();
    clock_.AdvanceMs(60'000);
  }
  // The newest segment's base.
  int64_t LastBase() {
    int64_t base = 0;
    for (const std::string& name : Files()) {
      if (name.ends_with(kLogSuffix)) base = std::max<int64_t>(base, std::stoll(name));
    }
    return base;
  }
  // Of the sealed segment's batch with that offset, its first bytes.
  void Zero(int64_t offset, size_t size) {
    auto file = fs_.Open(kFirstPath, OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok());
    const uint64_t position = static_cast<uint64_t>(offset) * batch_bytes_;
    ASSERT_TRUE((*file)->WriteAt(position, std::string(size, '\0')).ok());
  }
  void FlipLength(int64_t offset) {
    const uint64_t position = static_cast<uint64_t>(offset) * batch_bytes_;
    fs_.FlipBit(kFirstPath, position + 9, 3);
  }
  std::vector<int64_t> Fetch(int64_t from, size_t size_bytes_max = 1 << 20) {
    std::vector<int64_t> seen;
    const auto read = log_->Read(Offset(from), size_bytes_max, Offset(kBatches), true);
    status_ = read.status();
    if (!read.ok()) return seen;
    size_t whole = 0;
    for (const auto& batch : testing::BatchesIn(testing::BytesOf(*read))) {
      seen.push_back(batch.base);
      whole += batch.bytes;
    }
    if (size_bytes_max == 1 << 20) {
      EXPECT_EQ(whole, read->size_bytes) << "no other bytes";
    }
    return seen;
  }

  // How often a read looks into files that are in memory.
  uint64_t Looks(int64_t from, size_t size_bytes_max) {
    const uint64_t before = fs_.counts().memory_asked;
    Lacking lacking;
    const NoWaiting scope(*log_, &lacking);
    EXPECT_TRUE(log_->Read(Offset(from), size_bytes_max, Offset(kBatches), true).ok());
    return fs_.counts().memory_asked - before;
  }

  static constexpr char kFirst[] = "00000000000000000000.log";
  static constexpr char kFirstPath[] = "/data/orders-0/00000000000000000000.log";
  uint64_t batch_bytes_ = 0;
  Status status_;
};

TEST_F(DamagedFramingTest, AZeroedHeaderIsNotServed) {
  CloseAndReopen();
  Zero(50, 500);
  EXPECT_EQ(Fetch(0).size(), 50u);
  EXPECT_EQ(Fetch(47).size(), 3u);
  EXPECT_TRUE(Fetch(50).empty());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
  EXPECT_THAT(status_.message(), HasSubstr(kFirstPath));
  EXPECT_THAT(status_.message(), HasSubstr("position " + std::to_string(50 * batch_bytes_)));
  EXPECT_THAT(status_.message(), HasSubstr("Put the file back"));
  EXPECT_EQ(Fetch(60).size(), kBatches - 60u) << "what comes behind";
  EXPECT_EQ(Fetch(0).size(), 50u) << "and what was before";
}

TEST_F(DamagedFramingTest, NorIsALengthThatLeadsElsewhere) {
  CloseAndReopen();
  FlipLength(50);
  EXPECT_EQ(Fetch(0).size(), 50u) << "its length reaches past the end";
}

TEST_F(DamagedFramingTest, AKilledProcessesFilesAreLookedAtToo) {
  Kill(Offset(kBatches));
  Zero(50, 500);
  EXPECT_EQ(Fetch(0).size(), 50u);
  EXPECT_TRUE(Fetch(50).empty());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
}

TEST_F(DamagedFramingTest, ALookUpByTimeDoesNotPassOverIt) {
  const int64_t began_ms = clock_.WallMs() - 60'000;
  CloseAndReopen();
  Zero(50, 500);
  EXPECT_EQ(log_->FindTimestamp(began_ms + 51, Offset(kBatches)).status().code(),
            StatusCode::kCorruption);
  EXPECT_EQ((*log_->FindTimestamp(began_ms + 100, Offset(kBatches)))->offset, Offset(100));
}

TEST_F(DamagedFramingTest, WhereItLiesIsRememberedOnceAndFoundAgainByTheNextStart) {
  const int64_t began_ms = clock_.WallMs() - 60'000;
  CloseAndReopen();
  Zero(50, 500);
  EXPECT_FALSE(log_->FindTimestamp(began_ms + 51, Offset(kBatches)).ok());
  EXPECT_EQ(log_->damaged_at(), Offset(50));
  EXPECT_TRUE(Fetch(50).empty());
  EXPECT_TRUE(Fetch(51).empty()) << "no entry leads behind it";
  EXPECT_EQ(log_->damaged_at(), Offset(50));
  ASSERT_TRUE(log_->Close().ok());
  LogOptions options = Options();
  options.recovery_point = log_->log_end_offset();
  options.clean = true;
  options.damaged_at = log_->damaged_at();
  log_.reset();
  Open(std::move(options));
  EXPECT_EQ(log_->damaged_at(), Offset(50));
  EXPECT_THAT(log_->known_damage().message(), HasSubstr("position"));
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(LastBase())).ok());
  EXPECT_TRUE(log_->known_damage().ok());
  EXPECT_EQ(log_->damaged_at(), std::nullopt);
}

TEST_F(DamagedFramingTest, WhatThisProcessWroteOrReadBeforeIsNotWalked) {
  const uint64_t hot = Looks(0, 150'000);
  CloseAndReopen();
  Fetch(0, 1);  // loads the segment
  EXPECT_GT(Looks(0, 150'000), hot + 6) << "small batches are looked at by 16 KiB";
  EXPECT_LE(Looks(0, 150'000), hot + 2);
  for (int64_t from = 0; from < kBatches;) from = Fetch(from, 5000).back() + 1;
  EXPECT_LE(Looks(0, 150'000), hot + 2);
}

TEST_F(DamagedFramingTest, WhatIsNotInMemoryIsBroughtInByPieces) {
  CloseAndReopen();
  ASSERT_FALSE(Fetch(0, 1).empty());  // loads the segment
  fs_.DropCaches();
  bool waiting_allowed = false;
  fs_.set_on_wait([&](const std::string& path) { EXPECT_TRUE(waiting_allowed) << path; });
  int rounds = 0, passing = 0;
  for (;; ++rounds) {
    Lacking lacking;
    {
      const NoWaiting scope(*log_, &lacking);
      const auto read = log_->Read(Offset(20), 150'000, Offset(kBatches), true);
      if (read.ok()) break;
      ASSERT_EQ(read.status().code(), StatusCode::kWouldWait);
    }
    ASSERT_LT(rounds, 10);
    passing += lacking.passing;
    std::string bytes(lacking.slice.size_bytes, '\0');
    waiting_allowed = true;
    ASSERT_TRUE(lacking.slice.file->ReadAt(lacking.slice.offset, bytes.data(), bytes.size()).ok());
    waiting_allowed = false;
  }
  EXPECT_EQ(passing, 1) << "all that is sent next at once";
  waiting_allowed = true;
}

}  // namespace
}  // namespace sluice::storage
