// What a start finds after every kind of stop: torn tails are cut and told, damage is named and
// left alone.

#include "storage/recovery.h"

#include <gmock/gmock.h>

#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::kLogDirectory;
using testing::MakeBatch;
using ::testing::Not;

constexpr char kFirstLog[] = "00000000000000000000.log";

class RecoveryTest : public testing::LogFixture {
 protected:
  std::string Path(const std::string& name) { return std::string(kLogDirectory) + "/" + name; }
  void Stop() {
    log_.reset();
    fs_.KillProcess();
  }
  void Overwrite(const std::string& name, uint64_t offset, std::string_view bytes) {
    auto file = fs_.Open(Path(name), OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(offset, bytes).ok());
  }
  void Cut(const std::string& name, uint64_t size) {
    auto file = fs_.Open(Path(name), OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok() && (*file)->Truncate(size).ok());
  }
  Result<std::unique_ptr<Log>> TryOpen(int64_t recovery_point, bool cut_unsynced_damage = false) {
    LogOptions options = Options();
    options.recovery_point = Offset(recovery_point);
    options.cut_unsynced_damage = cut_unsynced_damage;
    return Log::Open(std::move(options));
  }
};

TEST_F(RecoveryTest, EveryCutOfTheTailLeavesTheWholeBatches) {
  Open();
  for (int i = 0; i < 3; ++i) Append({.records = 2, .value_bytes = 30});
  Flush();
  const std::string whole = FileBytes(kFirstLog);
  const size_t batch = whole.size() / 3;
  for (size_t size = batch; size <= whole.size(); ++size) {
    Stop();
    Cut(kFirstLog, 0);
    Overwrite(kFirstLog, 0, whole.substr(0, size));
    auto log = TryOpen(2);
    ASSERT_TRUE(log.ok()) << size << ": " << log.status().ToString();
    EXPECT_EQ((*log)->log_end_offset().value(), static_cast<int64_t>(size / batch * 2)) << size;
    EXPECT_EQ((*log)->recovery().truncated_bytes, size % batch);
    EXPECT_EQ((*log)->recovery().message.empty(), size % batch == 0);
  }
}

TEST_F(RecoveryTest, TheCutIsTold) {
  Open();
  Append();
  Append();
  Stop();
  Overwrite(kFirstLog, FileSize(kFirstLog), std::string(40, '\0'));
  auto log = TryOpen(0);
  ASSERT_TRUE(log.ok());
  EXPECT_THAT((*log)->recovery().message, HasSubstr(Path(kFirstLog) + ": cut 40 bytes"));
  EXPECT_THAT((*log)->recovery().message, HasSubstr("the log ends at offset 2"));
  EXPECT_EQ(FileSize(kFirstLog), (*log)->size_bytes());
}

TEST_F(RecoveryTest, DamageBelowTheRecoveryPointIsNeverCut) {
  Open();
  for (int i = 0; i < 4; ++i) Append({.value_bytes = 100});
  const std::string whole = FileBytes(kFirstLog);
  const size_t batch = whole.size() / 4;
  Stop();
  // In the magic, the length, the offset. Records that were synced are not read again at a start.
  for (const size_t at : {size_t{16}, batch + 8, batch + 16, 2 * batch + 3}) {
    std::string damaged = whole;
    damaged[at] ^= 0x10;
    Overwrite(kFirstLog, 0, damaged);
    for (const bool cut : {false, true}) {
      const auto log = TryOpen(4, cut);
      ASSERT_EQ(log.status().code(), StatusCode::kCorruption) << at;
      EXPECT_THAT(log.status().message(), HasSubstr(Path(kFirstLog)));
      EXPECT_THAT(log.status().message(),
                  HasSubstr("position " + std::to_string(at / batch * batch)));
    }
    EXPECT_EQ(FileBytes(kFirstLog), damaged);
  }
  Overwrite(kFirstLog, 0, whole);
  Cut(kFirstLog, 3 * batch);
  EXPECT_EQ(TryOpen(4).status().code(), StatusCode::kCorruption)
      << "a batch that had been synced is missing";
  EXPECT_TRUE(TryOpen(3).ok());
}

TEST_F(RecoveryTest, DamageWithAValidBatchBehindItIsNoTornTail) {
  Open();
  for (int i = 0; i < 4; ++i) Append({.value_bytes = 100});
  const std::string whole = FileBytes(kFirstLog);
  const size_t batch = whole.size() / 4;
  Stop();
  for (const size_t at :
       {batch + 70, batch + 8, batch + 16}) {  // in the records, the length, the magic
    std::string damaged = whole;
    damaged[at] ^= 0x10;
    Overwrite(kFirstLog, 0, damaged);
    const auto log = TryOpen(1);
    ASSERT_EQ(log.status().code(), StatusCode::kCorruption) << at;
    EXPECT_THAT(log.status().message(),
                HasSubstr("a valid batch follows at position " + std::to_string(2 * batch)));
    EXPECT_EQ(FileBytes(kFirstLog), damaged);
  }
  auto log = TryOpen(1, true);
  ASSERT_TRUE(log.ok()) << "the owner said that nothing above the recovery point counts";
  EXPECT_EQ((*log)->log_end_offset(), Offset(1));
}

TEST_F(RecoveryTest, DamageBeforeALaterSegmentIsNoTornTail) {
  config_.segment_bytes = 200;
  Open();
  for (int i = 0; i < 4; ++i) Append({.value_bytes = 100});
  Stop();
  Overwrite(kFirstLog, 70, "damage");
  EXPECT_EQ(TryOpen(0).status().code(), StatusCode::kCorruption);
  auto log = TryOpen(0, true);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ((*log)->log_end_offset(), Offset(0));
  EXPECT_THAT(Files(), Not(Contains("00000000000000000001.log")));
}

TEST_F(RecoveryTest, AnEmptySegmentBehindATornTailGoes) {
  Open();
  Append();
  Append();
  Stop();
  Cut(kFirstLog, FileSize(kFirstLog) - 1);
  ASSERT_TRUE(fs_.Open(Path("00000000000000000002.log"), OpenMode::kCreate).ok());
  auto log = TryOpen(0);
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  EXPECT_EQ((*log)->log_end_offset(), Offset(1));
  EXPECT_THAT(Files(), Not(Contains("00000000000000000002.log")));
}

TEST_F(RecoveryTest, LostIndexesAreBuiltAgain) {
  config_.segment_bytes = 3000;
  config_.index_interval_bytes = 100;
  Open();
  for (int i = 0; i < 40; ++i) Append({.timestamp_ms = 1000 + i, .value_bytes = 150});
  ASSERT_TRUE(log_->Close().ok());
  log_.reset();
  std::map<std::string, std::string> indexes;
  for (const std::string& name : Files()) {
    if (!name.ends_with("index")) continue;
    indexes[name] = FileBytes(name);
    if (indexes.size() % 3 == 0)
      ASSERT_TRUE(fs_.Remove(Path(name)).ok());
    else
      Cut(name, 5);
  }
  LogOptions options = Options();
  options.clean = true;
  options.recovery_point = Offset(40);
  Open(std::move(options));
  EXPECT_EQ(ReadAll(Offset(0)).size(), 40u);
  EXPECT_EQ(log_->FindTimestamp(1017, Offset(40)).value()->offset, Offset(17));
  ASSERT_TRUE(log_->Close().ok());
  for (const auto& [name, bytes] : indexes) EXPECT_EQ(FileBytes(name), bytes) << name;
}

TEST_F(RecoveryTest, ACrashedLogsIndexesEqualThoseOfAClosedOne) {
  config_.index_interval_bytes = 100;
  Open();
  for (int i = 0; i < 40; ++i) Append({.timestamp_ms = 1000 + i % 7, .value_bytes = 150});
  Kill();
  ASSERT_TRUE(log_->Close().ok());
  const std::string recovered =
      FileBytes("00000000000000000000.index") + FileBytes("00000000000000000000.timeindex");
  log_.reset();
  ASSERT_TRUE(fs_.RemoveAll(kLogDirectory).ok());
  Open();
  for (int i = 0; i < 40; ++i) Append({.timestamp_ms = 1000 + i % 7, .value_bytes = 150});
  ASSERT_TRUE(log_->Close().ok());
  EXPECT_EQ(FileBytes("00000000000000000000.index") + FileBytes("00000000000000000000.timeindex"),
            recovered);
}

TEST_F(RecoveryTest, LeftoversGo) {
  Open();
  Append();
  Stop();
  for (const char* name : {"00000000000000000000.log.deleted", "leader-epoch-checkpoint.tmp",
                           "00000000000000000007.index", "00000000000000000007.timeindex",
                           "00000000000000000099.snapshot"}) {
    ASSERT_TRUE(fs_.Open(Path(name), OpenMode::kCreate).ok());
  }
  ASSERT_TRUE(TryOpen(0).ok());
  EXPECT_THAT(Files(), ::testing::UnorderedElementsAre(kFirstLog, "leader-epoch-checkpoint",
                                                       "partition.metadata"));
}

TEST_F(RecoveryTest, IndexesOfAKilledProcessAreTakenOverAndCompleted) {
  config_.index_interval_bytes = 100;
  Open();
  // The two indexes are written out at different times: 1024 entries of one, 341 of the other.
  for (int i = 0; i < 1400; ++i) Append({.timestamp_ms = 1000 + i - i % 3, .value_bytes = 150});
  ASSERT_EQ(FileSize("00000000000000000000.index"), 8192u);
  const std::string offsets = FileBytes("00000000000000000000.index");
  const std::string times = FileBytes("00000000000000000000.timeindex");
  ASSERT_TRUE(log_->Close().ok());
  const std::string closed_offsets = FileBytes("00000000000000000000.index");
  const std::string closed_times = FileBytes("00000000000000000000.timeindex");
  const uint64_t batch = FileSize(kFirstLog) / 1400;
  constexpr uint64_t kCheckedBatches = 10;
  for (const int64_t recovery_point : {0, 3, 100, 700, 1020, 1100, 1399, 1400}) {
    for (const bool zeroed : {false, true}) {
      SCOPED_TRACE(recovery_point);
      log_.reset();
      for (const char* name : {"00000000000000000000.index", "00000000000000000000.timeindex"})
        Cut(name, 0);
      Overwrite("00000000000000000000.index", 0, offsets);
      Overwrite("00000000000000000000.timeindex", 0, times);
      if (zeroed) Overwrite("00000000000000000000.index", 1000, std::string(800, '\0'));
      LogOptions options = Options();
      options.recovery_point = Offset(recovery_point);
      options.host_stayed_up = true;
      options.checked_tail_bytes = (kCheckedBatches - 1) * batch;
      Open(std::move(options));
      EXPECT_EQ(log_->log_end_offset(), Offset(1400));
      EXPECT_EQ(log_->recovery().checked_bytes,
                std::min(1400 - static_cast<uint64_t>(recovery_point), kCheckedBatches) * batch);
      ASSERT_TRUE(log_->Close().ok());
      EXPECT_EQ(FileBytes("00000000000000000000.index"), closed_offsets);
      EXPECT_EQ(FileBytes("00000000000000000000.timeindex"), closed_times);
    }
  }
}

TEST_F(RecoveryTest, OfAKilledProcessOnlyTheLastBytesAreChecked) {
  config_.segment_bytes = 1500;
  config_.index_interval_bytes = 100;
  Open();
  for (int i = 0; i < 20; ++i) {
    Append({.timestamp_ms = clock_.WallMs(),
            .value_bytes = 200,
            .producer_id = 7,
            .producer_epoch = 0,
            .base_sequence = i},
           i / 7);
  }
  const uint64_t batch = MakeBatch({.value_bytes = 200}).size();
  std::string last;
  size_t segments = 0;
  for (const std::string& name : Files()) {
    if (!name.ends_with(".log")) continue;
    last = name;
    ++segments;
  }
  ASSERT_GT(segments, 2u);
  Stop();
  LogOptions options = Options();
  options.host_stayed_up = true;
  options.checked_tail_bytes = 0;
  const std::string whole = FileBytes(last);
  // Whatever of the last write arrived, all before it is there.
  for (size_t torn = 0; torn <= batch; ++torn) {
    Cut(last, 0);
    Overwrite(last, 0, whole.substr(0, whole.size() - torn));
    auto log = Log::Open(options);
    ASSERT_TRUE(log.ok()) << torn << ": " << log.status().ToString();
    EXPECT_EQ((*log)->log_end_offset(), Offset(torn == 0 ? 20 : 19)) << torn;
    EXPECT_EQ((*log)->latest_epoch(), LeaderEpoch(2));
    EXPECT_LE((*log)->recovery().checked_bytes, batch);
    const auto next = (*log)->AppendAsLeader(MakeBatch({.timestamp_ms = clock_.WallMs(),
                                                        .value_bytes = 200,
                                                        .producer_id = 7,
                                                        .producer_epoch = 0,
                                                        .base_sequence = 19}),
                                             LeaderEpoch(2));
    EXPECT_EQ(next->info.duplicate, torn == 0) << torn;
  }
  // A batch of the right length that was never written whole.
  Cut(last, 0);
  Overwrite(last, 0, whole.substr(0, whole.size() - 100) + std::string(100, '\0'));
  EXPECT_EQ(Log::Open(options).value()->log_end_offset(), Offset(19));
  // A header that cannot be is damage still, and nothing is cut.
  Overwrite(last, 0, whole);
  Overwrite(last, batch + 16, "\7");
  const auto damaged = Log::Open(options);
  ASSERT_EQ(damaged.status().code(), StatusCode::kCorruption);
  EXPECT_THAT(damaged.status().message(), HasSubstr(Path(last)));
}

TEST_F(RecoveryTest, ManySegmentsThatNobodySyncedHoldNoFilesOpen) {
  config_.segment_bytes = 200;
  Open();
  for (int i = 0; i < 50; ++i) Append({.value_bytes = 100});
  Stop();
  // Nor does a start wait for the disk for each of them.
  const uint64_t syncs = fs_.counts().file_syncs;
  ASSERT_TRUE(TryOpen(0).ok());
  EXPECT_EQ(fs_.counts().file_syncs, syncs);
  Stop();
  auto files = std::make_shared<FileCache>(fs_, 4);
  LogOptions options = Options();
  options.host_stayed_up = true;
  options.files = files;
  Open(std::move(options));
  EXPECT_LE(files->open_files(), 4u);
  const FlushTarget target = log_->PrepareFlush();
  EXPECT_LE(target.files.size(), 1u);
  EXPECT_GE(target.file_count(), 49u * 3);
  const Status synced = target.Run();
  ASSERT_TRUE(synced.ok()) << synced.ToString();
  EXPECT_LE(files->open_files(), 4u);
  log_->OnFlushed(target.upto, synced);
  EXPECT_FALSE(log_->has_unsynced_rolled_segment());
  log_.reset();
  Random random(1);
  fs_.Crash(random);
  EXPECT_EQ(TryOpen(50).value()->log_end_offset(), Offset(50));
}

TEST_F(RecoveryTest, ASegmentThatIsGoneBeforeItsFirstSyncIsNoSyncedOne) {
  config_.segment_bytes = 200;
  Open();
  for (int i = 0; i < 4; ++i) Append({.value_bytes = 100});
  const auto restart = [&] {
    Stop();
    LogOptions options = Options();
    options.host_stayed_up = true;
    Open(std::move(options));
  };
  // An index can be built again.
  restart();
  ASSERT_TRUE(fs_.Remove(Path("00000000000000000001.index")).ok());
  Flush();
  // What retention removes meanwhile is nobody's loss.
  restart();
  FlushTarget target = log_->PrepareFlush();
  ASSERT_TRUE(log_->AdvanceLogStart(Offset(1)).ok());
  EXPECT_TRUE(target.Run().ok());
  log_->OnFlushed(target.upto, Status::Ok());
  EXPECT_EQ(log_->flushed_offset(), Offset(4));
  restart();
  ASSERT_TRUE(fs_.Remove(Path("00000000000000000002.log")).ok());
  target = log_->PrepareFlush();
  EXPECT_EQ(target.status.code(), StatusCode::kNotFound);
  EXPECT_THAT(target.status.message(), HasSubstr("00000000000000000002.log"));
  log_->OnFlushed(target.upto, target.Run());
  EXPECT_LT(log_->flushed_offset(), Offset(4));
}

TEST_F(RecoveryTest, FilesThatAreNotUnderstoodStay) {
  Open();
  Append();
  Stop();
  for (const char* name : {"notes.txt", "backup.tmp", "old.deleted", "0000.log.deleted"})
    ASSERT_TRUE(fs_.Open(Path(name), OpenMode::kCreate).ok());
  ASSERT_TRUE(TryOpen(0).ok());
  EXPECT_THAT(Files(), ::testing::IsSupersetOf(
                           {"notes.txt", "backup.tmp", "old.deleted", "0000.log.deleted"}));
}

TEST_F(RecoveryTest, AGapThatCompactionLeftIsNoLostTail) {
  config_.segment_bytes = 300;
  Open();
  for (int i = 0; i < 6; ++i) Append({.records = 2, .value_bytes = 30});
  Stop();
  const uint64_t batch = MakeBatch({.records = 2, .value_bytes = 30}).size();
  ASSERT_GT(FileSize(kFirstLog), batch);
  Cut(kFirstLog, FileSize(kFirstLog) - batch);
  EXPECT_EQ(TryOpen(0).status().code(), StatusCode::kCorruption);
  LogOptions options = Options();
  options.cleaned_upto = Offset(8);
  const auto log = Log::Open(std::move(options));
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  EXPECT_EQ((*log)->log_end_offset(), Offset(12));
}

TEST_F(RecoveryTest, ADamagedEpochHistoryIsReadFromTheBatches) {
  config_.segment_bytes = 200;
  Open();
  for (int i = 0; i < 6; ++i) Append({.value_bytes = 100}, i / 2);
  Flush();
  Stop();
  Overwrite("leader-epoch-checkpoint", 0, "x");
  LogOptions options = Options();
  options.recovery_point = Offset(6);
  Open(std::move(options));
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(2));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(0)).end_offset, Offset(2));
}

TEST_F(RecoveryTest, ADamagedSnapshotGivesWayToAnOlderOne) {
  config_.segment_bytes = 400;
  Open();
  for (int i = 0; i < 12; ++i) {
    Append({.timestamp_ms = clock_.WallMs(),
            .value_bytes = 100,
            .producer_id = 4,
            .producer_epoch = 1,
            .base_sequence = i});
  }
  Stop();
  std::string newest;
  for (const std::string& name : Files()) {
    if (name.ends_with(".snapshot")) newest = name;
  }
  ASSERT_FALSE(newest.empty());
  fs_.FlipBit(Path(newest), 12, 0);
  Open();
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch({.timestamp_ms = clock_.WallMs(),
                                            .value_bytes = 100,
                                            .producer_id = 4,
                                            .producer_epoch = 1,
                                            .base_sequence = 10}),
                                 LeaderEpoch(0))
                ->info.first_offset,
            Offset(10));
  EXPECT_EQ(Append({.producer_id = 4, .producer_epoch = 1, .base_sequence = 12}), Offset(12));
}

TEST_F(RecoveryTest, AFlushHoldsTheEndOfALogWhoseRecordsWereAllDeletedUnsynced) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Open();
    for (int i = 0; i < 3; ++i) Append({.value_bytes = 1000});
    const Offset end = log_->log_end_offset();
    ASSERT_TRUE(log_->AdvanceLogStart(end).ok());
    Flush();
    log_.reset();
    Random random(seed);
    fs_.Crash(random);
    LogOptions options = Options();
    options.cut_unsynced_damage = true;
    Open(std::move(options));  // no checkpoint has the new start
    EXPECT_EQ(log_->log_end_offset(), end) << seed;
  }
}

// A follower of Kafka's had such files: its roll names a segment after the first batch in it.
class TakenOverTest : public RecoveryTest {
 protected:
  static constexpr char kSecondLog[] = "00000000000000000010.log";
  static constexpr char kThirdLog[] = "00000000000000000020.log";

  void Put(const std::string& name, const std::vector<int64_t>& offsets) {
    ASSERT_TRUE(fs_.CreateDirectories(kLogDirectory).ok());
    std::string bytes;
    for (const int64_t offset : offsets)
      bytes += MakeBatch({.base_offset = offset, .leader_epoch = 1});
    auto file = fs_.Open(Path(name), OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }
  LogOptions After(Offset recovery_point) {
    LogOptions options = Options();
    options.recovery_point = recovery_point;
    options.cut_unsynced_damage = true;
    options.taken_over = true;
    return options;
  }
  std::vector<int64_t> Offsets() {
    std::vector<int64_t> offsets;
    for (const auto& batch : ReadAll(Offset(0))) offsets.push_back(batch.base);
    return offsets;
  }
};

TEST_F(TakenOverTest, AGapOfACompactedLogCutsNothing) {
  for (const bool compacts : {true, false}) {
    config_.cleanup_compact = compacts;
    config_.cleanup_delete = !compacts;
    for (const int64_t recovery_point : {0, 2, 7, 10, 15}) {
      SCOPED_TRACE(std::to_string(compacts) + ", " + std::to_string(recovery_point));
      Put(kFirstLog, {0, 1, 4, 5});
      Put(kSecondLog, {10, 11, 13});
      Put(kThirdLog, {20, 21});
      Open(After(Offset(recovery_point)));
      EXPECT_EQ(log_->log_end_offset(), Offset(22));
      EXPECT_EQ(log_->recovery().truncated_bytes, 0u);
      EXPECT_TRUE(log_->recovery().gaps_left);
      // With the policy delete, too: within the files there are gaps that nothing else explains.
      EXPECT_EQ(Offsets(), (std::vector<int64_t>{0, 1, 4, 5, 10, 11, 13, 20, 21}));
      Stop();
    }
  }
}

TEST_F(TakenOverTest, AGapThatNoCompactionExplainsIsToldWhoReadsThere) {
  Put(kFirstLog, {0, 1, 2, 3});
  Put(kSecondLog, {10, 11, 12});
  Open(After(Offset(0)));
  EXPECT_EQ(log_->log_end_offset(), Offset(13));
  EXPECT_EQ(ReadAll(Offset(0), Offset(3)).size(), 3u);
  const auto read = log_->Read(Offset(4), 1, Offset(13), true);
  EXPECT_EQ(read.status().code(), StatusCode::kCorruption);
  EXPECT_THAT(read.status().message(), HasSubstr("what was between them is missing"));
  EXPECT_EQ(ReadAll(Offset(10)).size(), 3u);
}

TEST_F(TakenOverTest, ATruncationToASegmentBehindAGapEndsTheLogBeforeIt) {
  Put(kFirstLog, {0, 1, 4, 5});
  Put(kSecondLog, {10, 11, 13});
  Put(kThirdLog, {20, 21});
  Open(After(Offset(0)));
  Flush();
  ASSERT_TRUE(log_->TruncateTo(Offset(20)).ok());
  EXPECT_EQ(log_->log_end_offset(), Offset(14));
  Kill(log_->flushed_offset());
  EXPECT_EQ(log_->log_end_offset(), Offset(14)) << "what the next start finds";
  ASSERT_TRUE(
      log_->AppendAsFollower(MakeBatch({.base_offset = 20, .leader_epoch = 1}), LeaderEpoch(1))
          .ok());
  EXPECT_EQ(Offsets(), (std::vector<int64_t>{0, 1, 4, 5, 10, 11, 13, 20}));
}

TEST_F(TakenOverTest, ATornTailBeforeNothingIsCutAsEver) {
  Put(kFirstLog, {0, 1, 4, 5});
  Put(kSecondLog, {10, 11});
  const uint64_t batch = FileSize(kSecondLog) / 2;
  Cut(kSecondLog, batch + 20);
  Open(After(Offset(0)));
  EXPECT_EQ(log_->log_end_offset(), Offset(11));
  EXPECT_EQ(log_->recovery().truncated_bytes, 20u);
}

TEST_F(TakenOverTest, WhatThisSoftwareRolledHasNoGaps) {
  Put(kFirstLog, {0, 1, 4, 5});
  Put(kSecondLog, {10, 11});
  LogOptions options = After(Offset(2));
  options.taken_over = false;
  Open(std::move(options));
  EXPECT_EQ(log_->log_end_offset(), Offset(6)) << "a tail that a power cut tore off";
}

TEST_F(RecoveryTest, AStartAboveTheEndOfALogThatLostNothingIsRefused) {
  Open();
  for (int i = 0; i < 5; ++i) Append();
  ASSERT_TRUE(log_->Close().ok());
  log_.reset();
  const std::string whole = FileBytes(kFirstLog);
  LogOptions options = Options();
  options.recovery_point = Offset(5);
  options.log_start_offset = Offset(99999999);
  for (const bool clean : {true, false}) {
    options.clean = clean;
    options.host_stayed_up = !clean;
    const auto refused = Log::Open(options);
    ASSERT_EQ(refused.status().code(), StatusCode::kCorruption) << clean;
    for (const char* part : {"/log-start-offset-checkpoint: ", "99999999", "ends at 5", "(0 to 5;"})
      EXPECT_THAT(refused.status().message(), HasSubstr(part));
    EXPECT_EQ(FileBytes(kFirstLog), whole);
  }
  options.log_start_offset = Offset(5);
  Open(options);
  EXPECT_EQ(log_->log_end_offset(), Offset(5));
}

// The power cut may have taken the records up to the start; or the number is wrong.
TEST_F(RecoveryTest, BelowAStartThatOneFileTellsNothingIsRemoved) {
  LogOptions options = Options();
  options.recovery_point = Offset(3);
  options.log_start_offset = Offset(9);
  for (const size_t round : {1, 2}) {
    const std::string aside = round == 1 ? ".aside" : ".aside-2";
    Open();
    ASSERT_TRUE(log_->TruncateFullyAndStartAt(Offset(0)).ok());
    for (int i = 0; i < 5; ++i) Append({.value_bytes = 10 * round});
    Stop();
    const std::string whole = FileBytes(kFirstLog);
    Open(options);
    EXPECT_EQ(log_->log_start_offset(), Offset(9));
    EXPECT_EQ(Append(), Offset(9));
    EXPECT_EQ(FileBytes(kFirstLog + aside), whole);
    EXPECT_THAT(Files(), Not(Contains(kFirstLog)));
  }
  // A start that was moved past unsynced records took the recovery point along.
  options.log_start_offset = options.recovery_point = Offset(20);
  Stop();
  Open(options);
  EXPECT_EQ(Append(), Offset(20));
  EXPECT_THAT(Files(), Not(Contains(HasSubstr("00000000000000000009"))));
}

TEST_F(RecoveryTest, MetadataLostInAPowerCutIsWrittenAgain) {
  Open();
  Append();
  Stop();
  Overwrite("partition.metadata", 0, std::string(43, '\0'));
  Open();
  EXPECT_THAT(FileBytes("partition.metadata"), HasSubstr("topic_id: MDEyMzQ1Njc4OWFiY2RlZg"));
}

}  // namespace
}  // namespace sluice::storage
