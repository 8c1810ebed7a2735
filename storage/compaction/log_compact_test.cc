// Compaction at the log: against a naive twin, through power cuts at every step of a commit, and
// beside truncation and retention.

#include <gtest/gtest.h>

#include <map>

#include "storage/compaction/compaction_run.h"
#include "storage/compaction/plan.h"
#include "storage/file_names.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using testing::kLogDirectory;

struct Stored {
  int64_t offset;
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const Stored&, const Stored&) = default;
};

std::ostream& operator<<(std::ostream& out, const Stored& record) {
  return out << record.offset << " " << record.key << "=" << record.value.value_or("null");
}

class LogCompactTest : public testing::LogFixture {
 protected:
  LogCompactTest() {
    config_.segment_bytes = 600;
    config_.index_interval_bytes = 100;
    config_.cleanup_compact = true;
    config_.cleanup_delete = false;
  }

  struct NewRecord {
    std::string key;
    std::optional<std::string> value;
  };
  Offset Put(const std::vector<NewRecord>& records, int64_t producer = -1, int32_t sequence = -1,
             kafka::Codec codec = kafka::Codec::kNone) {
    kafka::RecordBatchBuilder builder({.codec = codec,
                                       .producer_id = ProducerId(producer),
                                       .producer_epoch = int16_t(producer < 0 ? -1 : 0),
                                       .base_sequence = sequence});
    for (const NewRecord& record : records) {
      builder.Append({.timestamp_ms = clock_.WallMs(), .key = record.key, .value = record.value});
    }
    auto outcome = log_->AppendAsLeader(*builder.Build(), LeaderEpoch(0));
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
    return outcome->info.first_offset;
  }

  Offset Append(kafka::RecordBatchBuilder& builder) {
    auto outcome = log_->AppendAsLeader(*builder.Build(), LeaderEpoch(0));
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
    return outcome->info.first_offset;
  }
  void PutTransactional(int64_t producer, int32_t sequence, const std::string& key,
                        const std::string& value) {
    kafka::RecordBatchBuilder builder({.producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .base_sequence = sequence,
                                       .is_transactional = true});
    builder.Append({.timestamp_ms = clock_.WallMs(), .key = key, .value = value});
    Append(builder);
  }
  Offset Mark(int64_t producer, bool commit) {
    kafka::RecordBatchBuilder builder({.producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .is_transactional = true,
                                       .is_control = true});
    const char key[] = {0, 0, 0, commit ? char{1} : char{0}};
    builder.Append({.timestamp_ms = clock_.WallMs(),
                    .key = std::string_view(key, 4),
                    .value = std::string_view("\0\0\0\0\0\0", 6)});
    return Append(builder);
  }
  // Offsets of the control batches that still have their record.
  std::vector<Offset> Markers() {
    std::vector<Offset> markers;
    auto read = log_->Read(log_->log_start_offset(), 1 << 30, Offset(INT64_MAX), true);
    CHECK(read.ok());
    const std::string bytes = testing::BytesOf(*read);
    for (std::string_view rest = bytes; !rest.empty();) {
      const auto batch = BatchHeader::Parse(rest);
      if (batch->is_control() && batch->record_count > 0) markers.push_back(batch->base_offset);
      rest.remove_prefix(batch->size_bytes);
    }
    return markers;
  }
  size_t Aborted() {
    auto aborted = log_->AbortedTransactions({log_->log_start_offset(), log_->log_end_offset()});
    CHECK(aborted.ok());
    return aborted->size();
  }

  std::vector<Stored> Contents() {
    auto read = log_->Read(log_->log_start_offset(), 1 << 30, Offset(INT64_MAX), true);
    CHECK(read.ok()) << read.status().ToString();
    const std::string bytes = testing::BytesOf(*read);
    std::vector<Stored> stored;
    kafka::BatchIterator batches(bytes);
    while (true) {
      auto batch = batches.Next();
      CHECK(batch.ok());
      if (!*batch) return stored;
      if ((*batch)->is_control()) continue;
      CHECK((*batch)->CheckCrc().ok());
      std::string storage;
      auto plain = kafka::PlainRecords(**batch, 1 << 20, storage);
      if ((*batch)->record_count() == 0) continue;
      CHECK(plain.ok());
      kafka::RecordIterator records(**batch, *plain);
      kafka::Record record;
      while (records.Next(record)) {
        stored.push_back({record.offset.value(), std::string(*record.key),
                          record.value ? std::optional<std::string>(*record.value) : std::nullopt});
      }
      CHECK(records.status().ok());
    }
  }

  CompactionRun::Options RunOptions() {
    return {.file_system = &fs_,
            .map_bytes_max = map_bytes_,
            .map_load_factor = 0.9,
            .read_bytes = 256,
            .hasher = KeyHasher(3, 4)};
  }

  // One run to its end, or to the first failure.
  Status Compact() {
    SLUICE_ASSIGN_OR_RETURN(CompactionPlan plan,
                            log_->PlanCompaction(cleaned_upto_, log_->log_end_offset()));
    CompactionRun run(std::move(plan), RunOptions());
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const auto progress, run.Step(300));
      if (progress == CompactionRun::Progress::kDone) break;
      if (progress != CompactionRun::Progress::kSegmentReady) continue;
      SLUICE_RETURN_IF_ERROR(log_->CommitCompaction(run.ready()));
      run.OnCommitted();
      SLUICE_RETURN_IF_ERROR(fs_.SyncDirectory(kLogDirectory));
    }
    cleaned_upto_ = run.cleaned_upto();
    return Status::Ok();
  }

  // What a compaction of all below `upto` leaves: of each key the last record, tombstones too.
  static std::vector<Stored> Naive(std::vector<Stored> all, int64_t upto) {
    std::map<std::string, int64_t> last;
    for (const Stored& record : all) {
      if (record.offset < upto) last[record.key] = record.offset;
    }
    std::erase_if(all, [&](const Stored& record) {
      return record.offset < upto && last[record.key] != record.offset;
    });
    return all;
  }

  size_t SegmentCount() {
    size_t count = 0;
    for (const std::string& name : Files()) count += ParseOffsetFileName(name, kLogSuffix) ? 1 : 0;
    return count;
  }

  std::optional<Offset> cleaned_upto_;
  uint64_t map_bytes_ = 1 << 20;
};

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
  Kill();  // builds all again
  ASSERT_TRUE(log_->Close().ok());
  for (const auto& [name, bytes] : written) EXPECT_EQ(FileBytes(name), bytes) << name;
}

// A seeded walk: appends, runs, restarts; the twin keeps of each cleaned key the last record.
class LogCompactRandomTest : public LogCompactTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  void Step(Random& random) {
    switch (random.Below(8)) {
      case 0:
        CompactToTheEnd();
        twin_ = Naive(twin_, cleaned_upto_->value());
        break;
      case 1:
        config_.segment_bytes = 400 + static_cast<int64_t>(random.Below(3000));
        log_->set_config(config_);
        if (random.Chance(1, 2)) CloseAndReopen();
        break;
      case 2:
        Flush();
        Kill(log_->flushed_offset());
        break;
      default: Append(random); break;
    }
    ASSERT_EQ(Contents(), twin_);
  }

  // With a small map one run may know of a later record only that it is there.
  void CompactToTheEnd() {
    Flush();
    std::optional<Offset> last;
    do {
      last = cleaned_upto_;
      ASSERT_TRUE(Compact().ok());
    } while (last != cleaned_upto_);
  }

  void Append(Random& random) {
    std::vector<NewRecord> records;
    for (uint64_t i = 0, count = 1 + random.Below(6); i < count; ++i) {
      const bool tombstone = random.Chance(1, 10);
      records.push_back(
          {"k" + std::to_string(random.Below(30)),
           tombstone ? std::nullopt : std::optional(std::string(random.Below(60), 'v'))});
    }
    const auto codec = static_cast<kafka::Codec>(random.Below(5));
    int64_t offset = Put(records, -1, -1, codec).value();
    for (const NewRecord& record : records) twin_.push_back({offset++, record.key, record.value});
  }

  std::vector<Stored> twin_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, LogCompactRandomTest, ::testing::Range<uint64_t>(1, 9));

TEST_P(LogCompactRandomTest, AgreesWithTheTwin) {
  Random random(GetParam());
  config_.segment_bytes = 400 + static_cast<int64_t>(random.Below(1500));
  map_bytes_ = random.Chance(1, 3) ? 16 * 24 : 1 << 20;
  Open();
  for (int i = 0; i < 400 && !HasFatalFailure(); ++i) Step(random);
}

// A power cut, or a failing disk, at the n-th rename, removal, sync and write of a run, for all n:
// what is found after the restart is the log before, or after, or with some groups done.
class LogCompactCrashTest : public LogCompactTest,
                            public ::testing::WithParamInterface<FileOperation> {};

INSTANTIATE_TEST_SUITE_P(Operations, LogCompactCrashTest,
                         ::testing::Values(FileOperation::kRename, FileOperation::kRemove,
                                           FileOperation::kSync, FileOperation::kSyncDirectory,
                                           FileOperation::kWrite, FileOperation::kOpen));

TEST_P(LogCompactCrashTest, APowerCutLosesNothing) {
  for (int nth = 0;; ++nth) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(nth) + " seed " + std::to_string(seed));
      log_.reset();
      ASSERT_TRUE(!fs_.Exists(kLogDirectory) || fs_.RemoveAll(kLogDirectory).ok());
      cleaned_upto_.reset();
      config_.segment_bytes = 600;
      Open();
      for (int i = 0; i < 70; ++i) Put({{"k" + std::to_string(i % 12), std::to_string(i)}});
      Flush();
      ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
      config_.segment_bytes = 2500;  // four become one
      log_->set_config(config_);
      const auto before = Contents();
      const int64_t sealed = log_->SurveyCompaction(std::nullopt, Offset(70)).upper.value();
      const auto after = Naive(before, sealed);
      fs_.InjectFault({.operation = GetParam(), .path_part = kLogDirectory, .skip = nth});
      const Status outcome = Compact();
      fs_.ClearFaults();
      Random random(seed);
      log_.reset();
      fs_.Crash(random);
      LogOptions options = Options();
      options.recovery_point = Offset(seed % 2 == 0 ? 70 : 0);
      Open(options);
      ASSERT_EQ(log_->log_end_offset(), Offset(70));
      const auto found = Contents();
      std::map<int64_t, Stored> original;
      for (const Stored& record : before) original.emplace(record.offset, record);
      for (const Stored& record : found) ASSERT_EQ(original.at(record.offset), record);
      for (const Stored& record : after)
        ASSERT_NE(std::find(found.begin(), found.end(), record), found.end()) << record;
      for (const std::string& name : Files()) {
        for (const std::string_view suffix : {kCleanedSuffix, kSwapSuffix, kDeletedSuffix})
          ASSERT_FALSE(name.ends_with(suffix)) << name;
      }
      // And it can be cleaned to the end now.
      Flush();
      cleaned_upto_.reset();
      ASSERT_TRUE(Compact().ok());
      ASSERT_EQ(Contents(), after);
      if (outcome.ok() && seed == 3) return;  // there is no n-th any more
    }
  }
}

}  // namespace
}  // namespace sluice::storage
