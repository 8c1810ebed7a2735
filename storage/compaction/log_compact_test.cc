// Compaction at the log: what stays and where, beside truncation, retention and readers.

#include <gtest/gtest.h>

#include <map>

#include "storage/testing/log_compact_fixture.h"

namespace sluice::storage {
namespace {

using testing::kLogDirectory;
using testing::Stored;

using LogCompactTest = testing::LogCompactFixture;

TEST_F(LogCompactTest, KeepsTheLastRecordOfEachKeyAtItsOffset) {
  Open();
  for (int i = 0; i < 60; ++i) Put({{"k" + std::to_string(i % 7), std::to_string(i)}});
  Flush();
  const auto before = Contents();
  const size_t segments = SegmentCount();
  ASSERT_GT(segments, 3u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
  EXPECT_EQ(SegmentCount(), segments);
  // What became small is merged by the next run.
  cleaned_upto_.reset();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
  EXPECT_LT(SegmentCount(), segments);
  EXPECT_EQ(log_->log_end_offset(), Offset(60));
  EXPECT_EQ(log_->log_start_offset(), Offset(0));
  const auto after = Contents();
  // Every offset can be asked for, also one in a gap.
  for (int64_t from = 0; from < 60; ++from) {
    const auto batches = ReadAll(Offset(from));
    ASSERT_FALSE(batches.empty());
    ASSERT_GE(batches.front().last, from);
  }
  CloseAndReopen();
  EXPECT_EQ(Contents(), after);
  EXPECT_EQ(log_->log_end_offset(), Offset(60));
  Kill();
  EXPECT_EQ(Contents(), after);
}

TEST_F(LogCompactTest, LeavesTheActiveSegmentAndWhatIsNotDurableOrStable) {
  Open();
  for (int i = 0; i < 30; ++i) Put({{"k", std::to_string(i)}});
  const auto unflushed = log_->SurveyCompaction(std::nullopt, log_->log_end_offset());
  EXPECT_EQ(unflushed.cleanable_bytes, 0u);
  Flush();
  EXPECT_EQ(log_->SurveyCompaction(std::nullopt, Offset(3)).cleanable_bytes, 0u);
  const auto before = Contents();
  ASSERT_TRUE(Compact().ok());
  ASSERT_LT(*cleaned_upto_, Offset(30));
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
}

TEST_F(LogCompactTest, ASecondRunKnowsWhatTheFirstKept) {
  Open();
  for (int i = 0; i < 40; ++i) Put({{"k" + std::to_string(i % 20), std::to_string(i)}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  const Offset first = *cleaned_upto_;
  for (int i = 40; i < 80; ++i) Put({{"k" + std::to_string(i % 10), std::to_string(i)}});
  Flush();
  const auto before = Contents();
  ASSERT_TRUE(Compact().ok());
  EXPECT_GT(*cleaned_upto_, first);
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
}

TEST_F(LogCompactTest, WhatNobodyReadsLeavesTheMemoryAgainAndTheRestStays) {
  config_.segment_bytes = 200'000;
  read_bytes_ = 16'384;  // many batches, as in service
  Open();
  const auto fill_and_compact = [&](bool in_memory) {
    for (int i = 0; i < 600; ++i) Put({{"k" + std::to_string(i % 500), std::string(2000, 'v')}});
    Flush();
    if (!in_memory) fs_.DropCaches(".log");
    ASSERT_TRUE(Compact().ok());
  };
  // Of all but the active segment.
  const auto log_bytes = [&](const std::function<uint64_t(const std::string&)>& of) {
    uint64_t bytes = 0;
    std::vector<std::string> names = Files();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".log"); });
    for (size_t i = 0; i + 1 < names.size(); ++i) bytes += of(names[i]);
    return bytes;
  };
  const auto size = [&] {
    return log_bytes([&](const std::string& name) { return FileSize(name); });
  };
  const auto in_memory = [&] {
    return log_bytes([&](const std::string& name) {
      return fs_.BytesInMemory(std::string(kLogDirectory) + "/" + name);
    });
  };
  fill_and_compact(/*in_memory=*/true);
  EXPECT_GE(in_memory(), size());
  fill_and_compact(/*in_memory=*/false);
  // Taking the new segments over looks at their ends.
  EXPECT_LT(in_memory(), 100'000u);
  EXPECT_GT(size(), 800'000u);
}

TEST_F(LogCompactTest, AMapThatIsTooSmallCleansWhatFits) {
  map_bytes_ = 16 * 16;  // 14 keys
  Open();
  for (int i = 0; i < 100; ++i) Put({{"k" + std::to_string(i % 40), std::to_string(i)}});
  Flush();
  const auto before = Contents();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*cleaned_upto_, Offset(14));
  Offset last(0);
  while (*cleaned_upto_ > last) {
    last = *cleaned_upto_;
    ASSERT_TRUE(Compact().ok());
  }
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
}

TEST_F(LogCompactTest, ABatchWithMoreKeysThanTheMapHoldsIsToldByItsPlace) {
  map_bytes_ = 16 * 16;
  config_.segment_bytes = 4000;
  Open();
  std::vector<NewRecord> many;
  for (int i = 0; i < 60; ++i) many.push_back({"k" + std::to_string(i), "v"});
  for (int i = 0; i < 10; ++i) Put(many);
  Flush();
  const Status refused = Compact();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("00000000000000000000.log"), std::string::npos);
}

TEST_F(LogCompactTest, TombstonesGoWhenTheirHorizonHasPassed) {
  config_.delete_retention_ms = 1000;
  Open();
  Put({{"a", "1"}, {"b", "2"}});
  Put({{"a", std::nullopt}});
  for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
  Flush();
  const auto before = Contents();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
  EXPECT_EQ(Contents()[1], (Stored{2, "a", std::nullopt}));
  clock_.AdvanceMs(999);
  for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(Contents()[1], (Stored{2, "a", std::nullopt}));
  clock_.AdvanceMs(1);
  for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(Contents()[0], (Stored{1, "b", "2"}));
  EXPECT_EQ(Contents()[1].key, "filler");
}

TEST_F(LogCompactTest, TombstonesThatAViewMayReadAgainStay) {
  config_.delete_retention_ms = 0;
  Open();
  Put({{"a", "1"}, {"b", "2"}});
  Put({{"a", std::nullopt}});  // 2
  Put({{"b", std::nullopt}});  // 3
  const auto tombstones = [this](std::optional<Offset> stay_from) {
    tombstones_stay_from_ = stay_from;
    for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
    Flush();
    clock_.AdvanceMs(1);
    CHECK(Compact().ok());
    std::vector<int64_t> offsets;
    for (const Stored& record : Contents()) {
      if (!record.value) offsets.push_back(record.offset);
    }
    return offsets;
  };
  const std::vector<int64_t> both{2, 3}, second{3}, none;
  EXPECT_EQ(tombstones(Offset(0)), both) << "now they have their horizons";
  EXPECT_EQ(tombstones(Offset(0)), both) << "nothing of the view is durable";
  EXPECT_EQ(tombstones(Offset(2)), both);
  EXPECT_EQ(tombstones(Offset(3)), second);
  EXPECT_EQ(tombstones(std::nullopt), none);
}

TEST_F(LogCompactTest, MarkersThatAViewMayReadAgainStay) {
  config_.delete_retention_ms = 0;
  Open();
  PutTransactional(7, 0, "a", "aborted");
  const Offset abort = Mark(7, false);
  Put({{"a", "1"}}, 7, 1);
  const auto clean = [this](std::optional<Offset> stay_from) {
    tombstones_stay_from_ = stay_from;
    for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
    Flush();
    clock_.AdvanceMs(1);
    CHECK(Compact().ok());
    return Markers();
  };
  const std::vector<Offset> there{abort}, gone;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(clean(abort), there);
  EXPECT_EQ(clean(abort + 1), gone);
}

TEST_F(LogCompactTest, AProducersSequenceSurvivesItsRecords) {
  Open();
  Put({{"a", "1"}, {"b", "1"}}, 7, 0);
  Put({{"a", "2"}, {"b", "2"}}, 7, 2);
  for (int i = 0; i < 40; ++i) Put({{i % 2 ? "a" : "b", std::to_string(i)}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  for (const std::string& name : Files()) {
    if (!ParseOffsetFileName(name, kSnapshotSuffix)) continue;
    ASSERT_TRUE(fs_.Remove(std::string(kLogDirectory) + "/" + name).ok());
  }
  Kill();  // the producers are read from the batches
  kafka::RecordBatchBuilder gap(
      {.producer_id = ProducerId(7), .producer_epoch = 0, .base_sequence = 5});
  gap.Append({.timestamp_ms = clock_.WallMs(), .key = "a", .value = "3"});
  EXPECT_EQ(log_->AppendAsLeader(*gap.Build(), LeaderEpoch(0))->error,
            kafka::ErrorCode::kOutOfOrderSequenceNumber);
  Put({{"a", "3"}}, 7, 4);
}

TEST_F(LogCompactTest, StopsBelowAnOpenTransaction) {
  Open();
  for (int i = 0; i < 30; ++i) Put({{"k", std::to_string(i)}});
  PutTransactional(7, 0, "k", "open");
  for (int i = 0; i < 40; ++i) Put({{"k", std::to_string(i)}});
  Flush();
  const auto before = Contents();
  ASSERT_TRUE(Compact().ok());
  EXPECT_LE(*cleaned_upto_, Offset(30));
  EXPECT_GT(*cleaned_upto_, Offset(0));
  EXPECT_EQ(Contents(), Naive(before, cleaned_upto_->value()));
}

TEST_F(LogCompactTest, AbortedRecordsGoAndCommittedOnesCount) {
  config_.delete_retention_ms = 1000;
  Open();
  Put({{"a", "kept"}});
  Put({{"b", "superseded by the commit"}});
  PutTransactional(7, 0, "a", "aborted");
  PutTransactional(8, 0, "b", "committed");
  const Offset abort = Mark(7, false);
  const Offset commit = Mark(8, true);
  for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
  Flush();
  EXPECT_EQ(Aborted(), 1u);
  ASSERT_TRUE(Compact().ok());
  const std::vector<Stored> kept = {{0, "a", "kept"}, {3, "b", "committed"}};
  auto records = Contents();
  records.resize(2);
  EXPECT_EQ(records, kept);
  EXPECT_EQ(Markers(), (std::vector<Offset>{abort, commit}));
  EXPECT_EQ(Aborted(), 1u);  // its marker went by with data that was there
  CloseAndReopen();
  EXPECT_EQ(Aborted(), 1u);
  Put({{"a", "1"}}, 7, 1);  // the sequence survived the records

  const auto clean_more = [&] {
    for (int i = 0; i < 30; ++i) Put({{"filler", std::to_string(i)}});
    Flush();
    ASSERT_TRUE(Compact().ok());
  };
  // The producer has gone on: what was left of the aborted batch goes.
  clean_more();
  EXPECT_EQ(Markers(), (std::vector<Offset>{abort, commit}));
  // No batch of it is met: the marker gets its horizon. Then it goes, where it is not the
  // producer's last word.
  clean_more();
  EXPECT_EQ(Markers(), (std::vector<Offset>{abort, commit}));
  EXPECT_EQ(Aborted(), 0u);
  clock_.AdvanceMs(1001);
  clean_more();
  EXPECT_EQ(Markers(), std::vector<Offset>{commit});
  records = Contents();
  EXPECT_EQ(records[0], (Stored{3, "b", "committed"}));
  Kill();
  EXPECT_EQ(Contents(), records);
}

TEST_F(LogCompactTest, ATruncationVoidsAPlan) {
  Open();
  for (int i = 0; i < 60; ++i) Put({{"k", std::to_string(i)}});
  Flush();
  auto plan = log_->PlanCompaction(std::nullopt, log_->log_end_offset());
  ASSERT_TRUE(plan.ok());
  auto owned = std::make_unique<CompactionRun>(*std::move(plan), RunOptions());
  CompactionRun& run = *owned;
  while (true) {
    const auto progress = run.Step(1000);
    ASSERT_TRUE(progress.ok());
    if (*progress == CompactionRun::Progress::kSegmentReady) break;
  }
  EXPECT_FALSE(run.stale());
  ASSERT_TRUE(log_->TruncateTo(Offset(50)).ok());
  EXPECT_TRUE(run.stale());
  const auto before = Contents();
  EXPECT_EQ(log_->CommitCompaction(run.ready()).code(), StatusCode::kUnavailable);
  EXPECT_EQ(Contents(), before);
  owned.reset();
  for (const std::string& name : Files()) EXPECT_EQ(name.find(".cleaned"), std::string::npos);
  Kill();
  EXPECT_EQ(Contents(), before);
}

TEST_F(LogCompactTest, ARunThatIsDroppedLeavesNothing) {
  Open();
  for (int i = 0; i < 60; ++i) Put({{"k", std::to_string(i)}});
  Flush();
  const auto files = Files();
  {
    auto plan = log_->PlanCompaction(std::nullopt, log_->log_end_offset());
    ASSERT_TRUE(plan.ok());
    CompactionRun run(*std::move(plan), RunOptions());
    bool writing = false;
    while (!writing) {
      ASSERT_TRUE(run.Step(100).ok());
      for (const std::string& name : Files()) writing |= name.find(".cleaned") != std::string::npos;
    }
  }
  EXPECT_EQ(Files(), files);
}

TEST_F(LogCompactTest, ACommitWithoutRoomForANameLeavesNothingAndIsTriedAgain) {
  for (int skip = 0; skip < 3; ++skip) {
    ASSERT_TRUE(fs_.RemoveAll(kLogDirectory).ok());
    Open();
    for (int i = 0; i < 60; ++i) Put({{"k", std::to_string(i)}});
    Flush();
    const auto files = Files();
    fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kRename,
                     .path_part = ".cleaned",
                     .status = Status::DiskFull("no room"),
                     .skip = skip});
    cleaned_upto_.reset();
    EXPECT_EQ(Compact().code(), StatusCode::kDiskFull) << skip;
    EXPECT_TRUE(log_->failure().ok()) << skip;
    EXPECT_EQ(Files(), files) << skip;
    ASSERT_TRUE(Compact().ok()) << skip;
    EXPECT_LT(SegmentCount(), files.size() / 3);
    EXPECT_EQ(Contents().back().offset, 59);
  }
}

TEST_F(LogCompactTest, RetentionGoesOnBesideIt) {
  config_.cleanup_delete = true;
  config_.retention_ms = 1000;
  Open();
  for (int i = 0; i < 30; ++i) Put({{"k" + std::to_string(i), "v"}});
  Flush();
  auto plan = log_->PlanCompaction(std::nullopt, log_->log_end_offset());
  ASSERT_TRUE(plan.ok());
  CompactionRun run(*std::move(plan), RunOptions());
  clock_.AdvanceMs(2000);
  for (int i = 0; i < 30; ++i) Put({{"k" + std::to_string(i % 2), "v"}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  const auto deleted = log_->ApplyRetention(log_->log_end_offset());
  ASSERT_TRUE(deleted.ok());
  EXPECT_GT(*deleted, 0);
  // The first run's sources are gone.
  Status outcome;
  while (outcome.ok()) {
    const auto progress = run.Step(1000);
    if (!progress.ok())
      outcome = progress.status();
    else if (*progress == CompactionRun::Progress::kSegmentReady)
      outcome = log_->CommitCompaction(run.ready());
    else if (*progress == CompactionRun::Progress::kDone)
      break;
  }
  EXPECT_EQ(outcome.code(), StatusCode::kUnavailable) << outcome.ToString();
}

TEST_F(LogCompactTest, AReaderKeepsTheFilesItHas) {
  Open();
  for (int i = 0; i < 60; ++i) Put({{"k", std::to_string(i)}});
  Flush();
  const auto read = log_->Read(Offset(0), 1 << 20, Offset(INT64_MAX), true);
  ASSERT_TRUE(read.ok());
  const std::string before = testing::BytesOf(*read);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(testing::BytesOf(*read), before);
}

TEST_F(LogCompactTest, TheLargestTimestampIsThatOfARecordThatIsThere) {
  Open();
  Put({{"k", "1"}});
  const int64_t first_ms = clock_.WallMs();
  clock_.AdvanceMs(100);
  for (int i = 0; i < 3; ++i) Put({{"a", "youngest, and superseded"}}, 7, i);
  clock_.AdvanceMs(-50);
  for (int i = 0; i < 20; ++i) Put({{"a", "older"}});
  Flush();
  ASSERT_TRUE(Compact().ok());
  const auto largest = log_->MaxTimestamp(Offset(INT64_MAX));
  ASSERT_TRUE(largest.ok() && *largest);
  EXPECT_EQ((*largest)->timestamp_ms, first_ms + 50);
  const auto later = log_->FindTimestamp(first_ms + 60, Offset(INT64_MAX));
  EXPECT_TRUE(later.ok() && !*later);
}

TEST_F(LogCompactTest, ADamagedBatchIsToldByFileAndPosition) {
  Open();
  for (int i = 0; i < 60; ++i) Put({{"k", std::to_string(i)}});
  Flush();
  const auto names = Files();
  const std::string second = *std::find_if(names.begin(), names.end(), [](const auto& name) {
    const auto base = ParseOffsetFileName(name, kLogSuffix);
    return base && *base > Offset(0);
  });
  const auto place = BatchHeader::Parse(FileBytes(second))->size_bytes;
  fs_.FlipBit(std::string(kLogDirectory) + "/" + second, place + 65, 3);
  const Status damaged = Compact();
  EXPECT_EQ(damaged.code(), StatusCode::kCorruption);
  EXPECT_NE(damaged.message().find(second), std::string::npos) << damaged.message();
  EXPECT_NE(damaged.message().find("position " + std::to_string(place)), std::string::npos)
      << damaged.message();
}

TEST_F(LogCompactTest, IndexesAreWhatAScanWouldBuild) {
  Open();
  for (int i = 0; i < 200; ++i) {
    clock_.AdvanceMs(i % 3);
    Put({{"k" + std::to_string(i % 40), std::string(static_cast<size_t>(i % 20), 'x')}});
  }
  Flush();
  ASSERT_TRUE(Compact().ok());
  ASSERT_TRUE(log_->Close().ok());
  std::map<std::string, std::string> written;
  for (const std::string& name : Files()) {
    if (ParseOffsetFileName(name, kIndexSuffix) || ParseOffsetFileName(name, kTimeIndexSuffix)) {
      written[name] = FileBytes(name);
      ASSERT_TRUE(fs_.Remove(std::string(kLogDirectory) + "/" + name).ok());
    }
  }
  log_.reset();
  Open();  // after a power cut, as it were: builds all again
  ASSERT_TRUE(log_->Close().ok());
  for (const auto& [name, bytes] : written) EXPECT_EQ(FileBytes(name), bytes) << name;
}

}  // namespace
}  // namespace sluice::storage
