// Sealed segments that lost records while the log was closed: files that are gone, cut or zeroed.
// Readers get what is whole, then an error that names the file; a gap that compaction or a deletion
// explains is none.

#include <gmock/gmock.h>

#include "storage/file_names.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;
using testing::kLogDirectory;

class LostRecordsTest : public testing::LogFixture {
 protected:
  // Four segments of four batches: 0, 4, 8 and 12 begin one.
  void SetUp() override {
    config_.segment_bytes = 800;
    config_.index_interval_bytes = 150;
    Open();
    for (int i = 0; i < 14; ++i) {
      Append({.timestamp_ms = clock_.WallMs() + i, .value_bytes = 100}, i / 5);
    }
    for (const int64_t base : {0, 4, 8, 12}) ASSERT_TRUE(fs_.Exists(PathOf(base, kLogSuffix)));
    log_->OnFlushed(log_->log_end_offset(), log_->PrepareFlush().Run());
  }
  static std::string PathOf(int64_t base, std::string_view suffix) {
    return std::string(kLogDirectory) + "/" + OffsetFileName(Offset(base), suffix);
  }
  // Stops cleanly, lets `tamper` change files, opens again.
  void Restart(const std::function<void()>& tamper) {
    ASSERT_TRUE(log_->Close().ok());
    options_ = Options();
    options_.recovery_point = log_->flushed_offset();
    if (log_->log_start_offset() > Offset(0)) options_.log_start_offset = log_->log_start_offset();
    options_.clean = true;
    options_.cleaned_upto = cleaned_upto_;
    options_.damaged_at = log_->damaged_at();
    log_.reset();
    tamper();
    Open(options_);
  }
  void Remove(int64_t base, std::initializer_list<std::string_view> suffixes) {
    for (const std::string_view suffix : suffixes)
      ASSERT_TRUE(fs_.Remove(PathOf(base, suffix)).ok());
  }
  void Replace(int64_t base, const std::function<std::string(std::string)>& change) {
    const std::string path = PathOf(base, kLogSuffix);
    const std::string bytes = change(FileBytes(OffsetFileName(Offset(base), kLogSuffix)));
    auto file = fs_.Open(path, OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }
  // The first offsets of what one large fetch at `from` brings; empty and `status_` when it fails.
  std::vector<int64_t> Fetch(int64_t from) {
    std::vector<int64_t> seen;
    const auto read = log_->Read(Offset(from), 1 << 20, Offset(14), true);
    status_ = read.status();
    if (!read.ok()) return seen;
    for (const auto& batch : testing::BatchesIn(testing::BytesOf(*read)))
      seen.push_back(batch.base);
    return seen;
  }

  LogOptions options_;
  Offset cleaned_upto_{0};
  Status status_;
};

using Offsets = std::vector<int64_t>;

TEST_F(LostRecordsTest, AFetchThatReachesACutSegmentBringsWhatIsWholeAndTheNextOneTheError) {
  Restart(
      [&] { Replace(4, [](std::string bytes) { return bytes.substr(0, bytes.size() - 10); }); });
  EXPECT_EQ(Fetch(2), (Offsets{2, 3, 4, 5, 6}));
  EXPECT_EQ(Fetch(6), (Offsets{6}));
  EXPECT_EQ(Fetch(7), Offsets());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
  EXPECT_THAT(status_.message(), HasSubstr(PathOf(4, kLogSuffix)));
  EXPECT_THAT(status_.message(), HasSubstr("position "));
  EXPECT_THAT(status_.message(), HasSubstr("Put the file back"));
  EXPECT_EQ(Fetch(8).size(), 6u) << "what comes behind";
}

TEST_F(LostRecordsTest, SoDoesOneThatReachesZeros) {
  Restart([&] {
    Replace(4, [](std::string bytes) {
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(bytes.size() / 2), bytes.end(), '\0');
      return bytes;
    });
  });
  EXPECT_EQ(Fetch(0), (Offsets{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Fetch(6), Offsets());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
}

TEST_F(LostRecordsTest, SoDoesOneThatReachesANewestSegmentThatWasCut) {
  Restart(
      [&] { Replace(12, [](std::string bytes) { return bytes.substr(0, bytes.size() / 2); }); });
  EXPECT_EQ(Fetch(10), (Offsets{10, 11, 12}));
  EXPECT_EQ(Fetch(13), Offsets());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
}

TEST_F(LostRecordsTest, OfASegmentOfOtherRecordsNothingIsServed) {
  Restart([&] {
    const std::string later = FileBytes(OffsetFileName(Offset(8), kLogSuffix));
    Replace(4, [&](std::string) { return later; });
  });
  EXPECT_EQ(Fetch(2), (Offsets{2, 3}));
  EXPECT_EQ(Fetch(4), Offsets());
}

TEST_F(LostRecordsTest, ASegmentThatIsGoneIsNoGap) {
  Restart([&] { Remove(4, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(Fetch(0), (Offsets{0, 1, 2, 3}));
  for (const int64_t lost : {4, 7}) {
    EXPECT_EQ(Fetch(lost), Offsets()) << lost;
    EXPECT_THAT(status_.message(), HasSubstr(PathOf(0, kLogSuffix) + " ends at offset 4"));
    EXPECT_THAT(status_.message(), HasSubstr(PathOf(8, kLogSuffix)));
  }
  EXPECT_EQ(Fetch(8).size(), 6u);
}

TEST_F(LostRecordsTest, ALookUpByTimeDoesNotPassOverWhatIsGone) {
  const int64_t began_ms = clock_.WallMs();
  const auto find = [&](int64_t record) {
    const auto found = log_->FindTimestamp(began_ms + record, Offset(14));
    return found.ok() ? (*found)->offset.value() : -1;
  };
  Restart([&] { Remove(4, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(find(3), 3);
  EXPECT_EQ(find(5), -1) << "its first record may be lost";
  EXPECT_EQ(find(9), 9);
  EXPECT_EQ(find(12), 12);
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(8)).ok());
  EXPECT_EQ(find(5), 8);
  Restart([&] { Remove(8, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(find(5), -1);
  EXPECT_EQ(find(13), 13);
}

TEST_F(LostRecordsTest, WhereCompactionWentByAGapIsLegal) {
  cleaned_upto_ = Offset(8);
  Restart([&] { Remove(4, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(Fetch(2), (Offsets{2, 3, 8, 9, 10, 11, 12, 13}));
  EXPECT_EQ(Fetch(5), (Offsets{8, 9, 10, 11, 12, 13}));
}

TEST_F(LostRecordsTest, ACompactedLogMayHaveCopiedAGap) {
  config_.cleanup_compact = true;
  Restart([&] { Remove(4, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(Fetch(5).size(), 6u);
}

TEST_F(LostRecordsTest, AnIndexWithoutItsLogTellsOfItAtTheStartAndStays) {
  cleaned_upto_ = Offset(14);
  config_.cleanup_compact = true;
  for (int round = 0; round < 2; ++round) {
    Restart([&] {
      if (round == 0) Remove(4, {kLogSuffix});
    });
    EXPECT_EQ(log_->known_damage().code(), StatusCode::kCorruption);
    EXPECT_THAT(log_->known_damage().message(), HasSubstr(PathOf(4, kLogSuffix) + " is missing"));
    EXPECT_EQ(Fetch(2), (Offsets{2, 3}));
    EXPECT_EQ(Fetch(4), Offsets());
    EXPECT_TRUE(fs_.Exists(PathOf(4, kIndexSuffix)));
  }
}

TEST_F(LostRecordsTest, TheFirstSegmentIsMissedToo) {
  Restart([&] { Remove(0, {kLogSuffix}); });
  EXPECT_EQ(log_->log_start_offset(), Offset(0));
  EXPECT_THAT(log_->known_damage().message(), HasSubstr(PathOf(4, kLogSuffix)));
  EXPECT_EQ(Fetch(2), Offsets());
  EXPECT_EQ(status_.code(), StatusCode::kCorruption);
  EXPECT_EQ(Fetch(4).size(), 10u);
  // One that had begun above 0 is known by its start alone.
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(4)).ok());
  EXPECT_TRUE(log_->known_damage().ok());
  Restart([&] { Remove(4, {kLogSuffix, kIndexSuffix, kTimeIndexSuffix}); });
  EXPECT_EQ(log_->log_start_offset(), Offset(4));
  EXPECT_FALSE(log_->known_damage().ok());
  EXPECT_EQ(Fetch(4), Offsets());
}

TEST_F(LostRecordsTest, WithoutAnyLogFileNothingIsMadeAnew) {
  ASSERT_TRUE(log_->Close().ok());
  LogOptions options = Options();
  options.recovery_point = Offset(14);
  log_.reset();
  for (const int64_t base : {0, 4, 8, 12}) Remove(base, {kLogSuffix});
  const auto before = Files();
  for (const bool clean : {true, false}) {
    options.clean = clean;
    const auto opened = Log::Open(options);
    EXPECT_EQ(opened.status().code(), StatusCode::kCorruption);
    EXPECT_THAT(opened.status().message(), HasSubstr("remove the partition's directory"));
    EXPECT_TRUE(!clean || Files() == before);
  }
}

// The batches end at the same offsets with the same sequence numbers of the same producer, and the
// files are as long; but the indexes tell that the batches lie otherwise.
TEST_F(LostRecordsTest, OneProducerInStepWithAnotherPartitionVouchesForNoFile) {
  config_.index_interval_bytes = 1;
  std::string other_bytes;
  for (const bool other : {true, false}) {
    LogOptions options = Options();
    options.directory = other ? "/data/steps-1" : "/data/steps-0";
    Open(options);
    for (int i = 0; i < 10; ++i) {
      Append({.timestamp_ms = clock_.WallMs() + i * 10 + (other ? 3 : 0),
              .value_bytes = (i % 2 == 0) == other ? 80u : 120u,
              .producer_id = 7,
              .producer_epoch = 0,
              .base_sequence = i});
    }
    ASSERT_TRUE(log_->Close().ok());
    const std::string path = options.directory + "/" + OffsetFileName(Offset(0), kLogSuffix);
    auto file = fs_.Open(path, OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok());
    std::string bytes((*file)->Size().value(), '\0');
    ASSERT_TRUE((*file)->ReadAt(0, bytes.data(), bytes.size()).ok());
    if (other) {
      other_bytes = bytes;
      continue;
    }
    ASSERT_EQ(bytes.size(), other_bytes.size());
    ASSERT_TRUE((*file)->WriteAt(0, other_bytes).ok());
    options.clean = true;
    options.recovery_point = log_->flushed_offset();
    Open(options);
  }
  EXPECT_EQ(Fetch(0), Offsets());
  EXPECT_THAT(status_.message(), HasSubstr("both its indexes"));
}

TEST_F(LostRecordsTest, BelowTheLogsStartNothingIsMissed) {
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(8)).ok());
  Restart([] {});
  EXPECT_TRUE(log_->known_damage().ok());
  EXPECT_EQ(log_->log_start_offset(), Offset(8));
  EXPECT_EQ(Fetch(8).size(), 6u);
}

TEST_F(LostRecordsTest, LookUpsByTimeTakeWhatIsWhole) {
  const int64_t began_ms = clock_.WallMs();
  const auto find = [&](int64_t record) {
    const auto found = log_->FindTimestamp(began_ms + record, Offset(14));
    return !found.ok() ? -1 : found->has_value() ? (*found)->offset.value() : -2;
  };
  const auto cut = [](std::string bytes) { return bytes.substr(0, bytes.size() - 10); };
  std::string whole;
  Restart([&] {
    whole = FileBytes(OffsetFileName(Offset(4), kLogSuffix));
    Replace(4, cut);
  });
  for (const int64_t record : {0, 3, 4, 6, 9, 10, 12, 13}) EXPECT_EQ(find(record), record);
  EXPECT_EQ(find(7), -1) << "it may be what is damaged";
  EXPECT_EQ(find(14), -2);
  EXPECT_EQ(log_->MaxTimestamp(Offset(14)).value()->offset, Offset(13));
  Restart([&] {
    Replace(4, [&](std::string) { return whole; });
    Replace(12, cut);
  });
  for (const int64_t record : {0, 7, 12}) EXPECT_EQ(find(record), record);
  EXPECT_EQ(find(13), -1);
  EXPECT_EQ(find(14), -1) << "nothing whole tells that it is not there";
  EXPECT_EQ(log_->MaxTimestamp(Offset(14)).value()->offset, Offset(12));
}

TEST_F(LostRecordsTest, RetentionByTimeIsNotHeldUpByADamagedSegment) {
  config_.retention_ms = 1000;
  Restart(
      [&] { Replace(0, [](std::string bytes) { return bytes.substr(0, bytes.size() - 10); }); });
  clock_.AdvanceMs(1004);
  EXPECT_EQ(log_->ApplyRetention(Offset(14)).value(), 0) << "what comes next is not too old";
  EXPECT_FALSE(log_->known_damage().ok());
  EXPECT_EQ(log_->damaged_at(), Offset(3));
  clock_.AdvanceMs(1);
  EXPECT_EQ(log_->ApplyRetention(Offset(14)).value(), 1);
  EXPECT_EQ(log_->log_start_offset(), Offset(4));
  EXPECT_TRUE(log_->known_damage().ok()) << "it went with the segment";
  EXPECT_EQ(log_->damaged_at(), std::nullopt);
  clock_.AdvanceMs(100'000);
  EXPECT_EQ(log_->ApplyRetention(Offset(14)).value(), 3);
}

TEST_F(LostRecordsTest, OfADamagedNewestSegmentTheAgeIsNotKnown) {
  config_.retention_ms = 1000;
  Restart(
      [&] { Replace(12, [](std::string bytes) { return bytes.substr(0, bytes.size() - 10); }); });
  clock_.AdvanceMs(100'000);
  EXPECT_EQ(log_->ApplyRetention(Offset(14)).value(), 3);
  EXPECT_EQ(Fetch(12), Offsets{12});
}

TEST_F(LostRecordsTest, WhatAReadFoundIsFoundAgainByTheNextStart) {
  std::string whole;
  Restart([&] {
    whole = FileBytes(OffsetFileName(Offset(4), kLogSuffix));
    Replace(4, [](std::string bytes) { return bytes.substr(0, bytes.size() - 10); });
  });
  EXPECT_TRUE(log_->known_damage().ok()) << "a clean start reads nothing";
  EXPECT_EQ(Fetch(7), Offsets());
  EXPECT_EQ(log_->damaged_at(), Offset(7));
  for (int round = 0; round < 2; ++round) {
    Restart([] {});
    EXPECT_THAT(log_->known_damage().message(), HasSubstr(PathOf(4, kLogSuffix)));
    EXPECT_EQ(log_->damaged_at(), Offset(7));
  }
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(7)).ok());
  EXPECT_FALSE(log_->known_damage().ok()) << "the last record of it is not deleted yet";
  Restart([&] { Replace(4, [&](std::string) { return whole; }); });
  EXPECT_TRUE(log_->known_damage().ok());
  EXPECT_EQ(log_->damaged_at(), std::nullopt);
  EXPECT_EQ(Fetch(7).size(), 7u);
}

}  // namespace
}  // namespace sluice::storage
