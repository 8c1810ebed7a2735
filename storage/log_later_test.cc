// A clean start reads next to nothing; what it put off is found at first use, and what was tampered
// with meanwhile is refused by name, or built again.

#include <gmock/gmock.h>

#include <algorithm>

#include "storage/file_cache.h"
#include "storage/no_waiting.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::kLogDirectory;
using testing::MakeBatch;

constexpr char kFirstLog[] = "00000000000000000000.log";
constexpr char kSecondLog[] = "00000000000000000004.log";
constexpr char kLastLog[] = "00000000000000000008.log";

class LogLaterTest : public testing::LogFixture {
 protected:
  // Three segments of four batches of one record each.
  void WriteThreeSegments() {
    config_.segment_bytes = 800;
    config_.index_interval_bytes = 150;
    Open();
    for (int i = 0; i < 12; ++i) Append(Spec(i), i / 5);
    ASSERT_THAT(Files(), Contains(kLastLog));
    ASSERT_EQ(FileSize(kFirstLog), FileSize(kLastLog));
  }
  testing::BatchSpec Spec(int i) {
    return {.timestamp_ms = clock_.WallMs() + i,
            .value_bytes = 100,
            .producer_id = 7,
            .producer_epoch = 0,
            .base_sequence = i};
  }
  // Stops cleanly, lets `tamper` change files, opens again without reading anything.
  void Restart(const std::function<void()>& tamper = [] {}) {
    ASSERT_TRUE(log_->Close().ok());
    LogOptions options = Options();
    options.recovery_point = log_->flushed_offset();
    options.log_start_offset = log_->log_start_offset();
    options.clean = true;
    files_ = options.files = std::make_shared<FileCache>(fs_, 10);
    log_.reset();
    tamper();
    Open(std::move(options));
    ASSERT_EQ(log_->log_end_offset(), Offset(12));
  }
  std::string Path(const std::string& name) { return std::string(kLogDirectory) + "/" + name; }
  void Replace(const std::string& name, std::string_view bytes) {
    auto file = fs_.Open(Path(name), OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }
  Status ReadAt(int64_t offset) {
    return log_->Read(Offset(offset), 1, Offset(INT64_MAX), true).status();
  }
  uint64_t batch_bytes() { return FileSize(kFirstLog) / 4; }

  std::shared_ptr<FileCache> files_;
};

TEST_F(LogLaterTest, NothingIsOpenedUntilItIsUsed) {
  WriteThreeSegments();
  const uint64_t size = log_->size_bytes();
  Restart();
  EXPECT_EQ(files_->open_files(), 0u);
  EXPECT_EQ(log_->size_bytes(), size);
  EXPECT_EQ(log_->log_start_offset(), Offset(0));
  EXPECT_EQ(log_->flushed_offset(), Offset(12));
  EXPECT_TRUE(log_->PrepareFlush().files.empty());
  EXPECT_EQ(files_->open_files(), 0u);
  ASSERT_TRUE(ReadAt(5).ok());
  EXPECT_LE(files_->open_files(), 3u) << "one segment's files";
  EXPECT_EQ(ReadAll(Offset(0)).size(), 12u);
}

TEST_F(LogLaterTest, AStopThatChangedNothingWritesNothing) {
  WriteThreeSegments();
  Restart();
  const auto before = Files();
  const uint64_t writes = fs_.counts().writes;
  ASSERT_TRUE(log_->Close().ok());
  EXPECT_EQ(fs_.counts().writes, writes);
  EXPECT_EQ(Files(), before);
}

TEST_F(LogLaterTest, EpochsAndProducersComeBackWhenAsked) {
  WriteThreeSegments();
  Restart();
  EXPECT_EQ(log_->latest_epoch(), LeaderEpoch(2));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(0)).end_offset, Offset(5));
  Restart();
  const auto resent = log_->AppendAsLeader(MakeBatch(Spec(11)), LeaderEpoch(2));
  ASSERT_TRUE(resent.ok());
  EXPECT_TRUE(resent->info.duplicate);
  EXPECT_EQ(Append(Spec(12), 3), Offset(12));
  EXPECT_EQ(log_->EndOffsetFor(LeaderEpoch(2)).end_offset, Offset(12));
}

TEST_F(LogLaterTest, WhatWasRefusedBeforeTheProducersCameBackIsRemembered) {
  WriteThreeSegments();
  Restart();
  log_->NoteRefused(MakeBatch(Spec(12)));
  const auto overtakes = log_->AppendAsLeader(MakeBatch(Spec(13)), LeaderEpoch(2));
  ASSERT_TRUE(overtakes.ok());
  EXPECT_EQ(overtakes->error, kafka::ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(Append(Spec(12), 2), Offset(12));
  EXPECT_EQ(Append(Spec(13), 2), Offset(13));
}

TEST_F(LogLaterTest, ProducersAreCompleteWhenLoadedAfterAppendsThatDidNotNeedThem) {
  WriteThreeSegments();
  Restart();
  testing::BatchSpec fetched = Spec(12);
  fetched.base_offset = 12;
  fetched.leader_epoch = 2;
  ASSERT_TRUE(log_->AppendAsFollower(MakeBatch(fetched), LeaderEpoch(2)).ok());
  const auto resent = log_->AppendAsLeader(MakeBatch(Spec(12)), LeaderEpoch(3));
  ASSERT_TRUE(resent.ok());
  EXPECT_TRUE(resent->info.duplicate);
}

TEST_F(LogLaterTest, RetentionAndTruncationLoadWhatTheyNeed) {
  WriteThreeSegments();
  config_.retention_ms = 1000;
  Restart();
  clock_.AdvanceMs(1005);
  ASSERT_EQ(log_->ApplyRetention(Offset(12)).value(), 1);
  EXPECT_EQ(log_->log_start_offset(), Offset(4));
  ASSERT_TRUE(log_->TruncateTo(Offset(6)).ok());
  EXPECT_EQ(ReadAll(Offset(4)).size(), 2u);
}

TEST_F(LogLaterTest, AShorterNewestSegmentIsDamage) {
  WriteThreeSegments();
  Restart([&] {
    const std::string bytes = FileBytes(kLastLog);
    Replace(kLastLog, std::string_view(bytes).substr(0, 3 * bytes.size() / 4));
  });
  EXPECT_TRUE(ReadAt(2).ok()) << "the others serve";
  EXPECT_TRUE(ReadAt(10).ok()) << "and what is whole of this one";
  const Status damage = ReadAt(11);
  EXPECT_EQ(damage.code(), StatusCode::kCorruption);
  EXPECT_THAT(damage.message(), HasSubstr(Path(kLastLog) + " ends at offset 11, position "));
  EXPECT_THAT(damage.message(), HasSubstr("Put the file back"));
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch(), LeaderEpoch(2)).status().code(),
            StatusCode::kCorruption);
  EXPECT_TRUE(ReadAt(10).ok()) << "also after an append was refused";
  Restart();
  EXPECT_TRUE(ReadAt(10).ok());
  EXPECT_EQ(ReadAt(11).code(), StatusCode::kCorruption) << "no stop has vouched for it";
  EXPECT_EQ(log_->AppendAsLeader(MakeBatch(), LeaderEpoch(2)).status().code(),
            StatusCode::kCorruption);
}

TEST_F(LogLaterTest, ALongerNewestSegmentIsDamage) {
  WriteThreeSegments();
  Restart([&] {
    testing::BatchSpec spec = Spec(12);
    spec.base_offset = 12;
    Replace(kLastLog, FileBytes(kLastLog) + MakeBatch(spec));
  });
  EXPECT_THAT(ReadAt(11).message(), HasSubstr(Path(kLastLog) + " ends at offset 13"));
}

TEST_F(LogLaterTest, ASealedSegmentThatLostItsEndIsKnownByItsIndexes) {
  WriteThreeSegments();
  for (int round = 0; round < 2; ++round) {
    Restart([&] {
      const std::string bytes = FileBytes(kSecondLog);
      Replace(kSecondLog, std::string_view(bytes).substr(0, batch_bytes()));
    });
    EXPECT_THAT(ReadAt(6).message(), HasSubstr(Path(kSecondLog) + " ends at offset 5, position " +
                                               std::to_string(batch_bytes())));
    EXPECT_TRUE(ReadAt(9).ok());
  }
}

TEST_F(LogLaterTest, AnEmptiedOrZeroedSealedSegmentIsDamage) {
  WriteThreeSegments();
  const std::string bytes = FileBytes(kSecondLog);
  Restart([&] { Replace(kSecondLog, ""); });
  EXPECT_EQ(ReadAt(6).code(), StatusCode::kCorruption);
  Restart([&] { Replace(kSecondLog, std::string(bytes.size(), '\0')); });
  EXPECT_THAT(ReadAt(6).message(), HasSubstr(Path(kSecondLog)));
  EXPECT_THAT(ReadAt(6).message(), HasSubstr("position 0"));
  Restart([&] { Replace(kSecondLog, bytes); });
  EXPECT_EQ(ReadAll(Offset(0)).size(), 12u);
}

TEST_F(LogLaterTest, SwappedSegmentsAreDamage) {
  WriteThreeSegments();
  Restart([&] {
    const std::string first = FileBytes(kFirstLog), second = FileBytes(kSecondLog);
    Replace(kFirstLog, second);
    Replace(kSecondLog, first);
  });
  EXPECT_THAT(ReadAt(0).message(), HasSubstr(Path(kFirstLog)));
  EXPECT_THAT(ReadAt(5).message(), HasSubstr(Path(kSecondLog)));
  EXPECT_TRUE(ReadAt(8).ok());
}

TEST_F(LogLaterTest, IndexesAreBuiltAgainAndAreTheSame) {
  WriteThreeSegments();
  ASSERT_TRUE(log_->Close().ok());
  std::map<std::string, std::string> indexes;
  for (const std::string& name : Files()) {
    if (name.ends_with("index")) indexes[name] = FileBytes(name);
  }
  log_.reset();
  Open();
  int kind = 0;
  for (const auto& [broken, content] : indexes) {
    for (const std::string& instead :
         {std::string(), std::string(content.size(), '\0'), content.substr(0, content.size() - 1),
          indexes.begin()->second, std::string(24, '\x7f')}) {
      SCOPED_TRACE(broken + " " + std::to_string(kind++));
      Restart([&, name = broken] { Replace(name, instead); });
      EXPECT_EQ(ReadAll(Offset(0)).size(), 12u);
      for (int i = 0; i < 12; ++i) {
        EXPECT_EQ(log_->FindTimestamp(clock_.WallMs() + i, Offset(12)).value()->offset, Offset(i));
      }
      ASSERT_TRUE(log_->Close().ok());
      EXPECT_EQ(FileBytes(broken), content);
      log_.reset();
      Open();
    }
  }
}

// What a reader does that must not wait: it asks under the guard, where nothing may wait for the
// disk, and has what is lacking brought in outside.
class IndexGoneTest : public LogLaterTest {
 protected:
  static constexpr char kFirstIndex[] = "00000000000000000000.index";

  void SetUp() override {
    WriteThreeSegments();
    ASSERT_TRUE(log_->Close().ok());
    index_ = FileBytes(kFirstIndex);
    ASSERT_FALSE(index_.empty());
    log_.reset();
    Open();
  }
  Status AskAt(int64_t offset, Lacking& lacking) {
    const NoWaiting scope(*log_, &lacking);
    fs_.set_on_wait([](const std::string& path) { ADD_FAILURE() << "waited for " << path; });
    const Status status = ReadAt(offset);
    fs_.set_on_wait(nullptr);
    return status;
  }
  std::shared_ptr<Mending> MendingFor(int64_t offset) {
    Lacking lacking;
    while (AskAt(offset, lacking).code() == StatusCode::kWouldWait && lacking.mending == nullptr)
      BringIn(lacking);
    EXPECT_NE(lacking.mending, nullptr);
    return lacking.mending;
  }
  // Asks until there is an answer, with nothing left to mend.
  Status Ask(int64_t offset) {
    while (true) {
      Lacking lacking;
      const Status status = AskAt(offset, lacking);
      if (status.code() != StatusCode::kWouldWait) return status;
      EXPECT_EQ(lacking.mending, nullptr);
      BringIn(lacking);
    }
  }
  static void BringIn(const Lacking& lacking) {
    std::string bytes(lacking.slice.size_bytes, '\0');
    ASSERT_TRUE(lacking.slice.file->ReadAt(lacking.slice.offset, bytes.data(), bytes.size()).ok());
  }
  void RestartWithoutIndex() {
    Restart([this] { ASSERT_TRUE(fs_.Remove(Path(kFirstIndex)).ok()); });
    fs_.DropCaches();
  }
  bool AnythingLeftOver() {
    const std::vector<std::string> names = Files();
    return std::any_of(names.begin(), names.end(),
                       [](const std::string& name) { return name.ends_with(".tmp"); });
  }

  std::string index_;
};

TEST_F(IndexGoneTest, ItIsBuiltAgainAwayFromTheGuard) {
  RestartWithoutIndex();
  const auto mending = MendingFor(1);
  EXPECT_EQ(MendingFor(1), mending) << "once for all readers";
  EXPECT_TRUE(log_->AppendAsLeader(MakeBatch(Spec(12)), LeaderEpoch(2)).ok()) << "meanwhile";
  const uint64_t waits = fs_.counts().waits;
  mending->Run();
  EXPECT_GT(fs_.counts().waits, waits);
  EXPECT_TRUE(Ask(1).ok());
  EXPECT_EQ(FileBytes(kFirstIndex), index_);
  EXPECT_FALSE(AnythingLeftOver());
  EXPECT_EQ(ReadAll(Offset(0)).size(), 13u);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(log_->FindTimestamp(clock_.WallMs() + i, Offset(12)).value()->offset, Offset(i));
  }
}

TEST_F(IndexGoneTest, WhoMayWaitDoesItAtOnceAndItIsNotInstalledTwice) {
  RestartWithoutIndex();
  auto mending = MendingFor(1);
  ASSERT_TRUE(log_->TruncateTo(Offset(2)).ok());
  Append({}, 3);
  mending->Run();
  mending.reset();
  EXPECT_FALSE(AnythingLeftOver());
  EXPECT_TRUE(Ask(1).ok());
  EXPECT_EQ(ReadAll(Offset(0)).size(), 3u);
}

TEST_F(IndexGoneTest, ASegmentThatWentMeanwhileLeavesNothing) {
  for (const bool built_before : {false, true}) {
    RestartWithoutIndex();
    auto mending = MendingFor(1);
    if (built_before) mending->Run();
    ASSERT_TRUE(log_->AdvanceLogStart(Offset(5)).ok());
    mending->Run();
    mending.reset();
    EXPECT_FALSE(AnythingLeftOver());
    EXPECT_EQ(ReadAll(Offset(5)).size(), 7u);
    log_.reset();
    for (const std::string& name : Files()) ASSERT_TRUE(fs_.Remove(Path(name)).ok());
    WriteThreeSegments();
  }
}

TEST_F(IndexGoneTest, DamageThatItMeetsIsTold) {
  const std::string bytes = FileBytes(kFirstLog);
  std::string damaged = bytes;
  damaged[batch_bytes() + 80] ^= 1;
  Restart([&] {
    ASSERT_TRUE(fs_.Remove(Path(kFirstIndex)).ok());
    Replace(kFirstLog, damaged);
  });
  MendingFor(1)->Run();
  for (int round = 0; round < 2; ++round) {
    const Status damage = Ask(1);
    EXPECT_EQ(damage.code(), StatusCode::kCorruption);
    EXPECT_THAT(damage.message(), HasSubstr(Path(kFirstLog) + ": a batch fails its checksum"));
  }
  EXPECT_FALSE(AnythingLeftOver());
  EXPECT_EQ(FileBytes(kFirstLog), damaged);
  EXPECT_TRUE(Ask(5).ok());
}

TEST_F(IndexGoneTest, ADiskThatFailsOnceIsAskedAgain) {
  RestartWithoutIndex();
  const auto mending = MendingFor(1);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kRead, .path_part = kFirstLog});
  mending->Run();
  EXPECT_EQ(Ask(1).code(), StatusCode::kIoError);
  MendingFor(1)->Run();
  EXPECT_TRUE(Ask(1).ok());
}

TEST_F(IndexGoneTest, WhatACrashLeavesOfItIsRemoved) {
  RestartWithoutIndex();
  const auto mending = MendingFor(1);
  mending->Run();
  EXPECT_TRUE(AnythingLeftOver());
  Restart();
  EXPECT_FALSE(AnythingLeftOver());
  EXPECT_EQ(ReadAll(Offset(0)).size(), 12u);
}

TEST_F(IndexGoneTest, AnIndexThatLostNearlyAllIsAsGoodAsNone) {
  config_.segment_bytes = 100 << 20;
  log_->set_config(config_);
  for (int i = 12; i < 12 + 170; ++i)
    Append({.timestamp_ms = clock_.WallMs() + i, .value_bytes = 100'000}, 2);
  config_.segment_bytes = 800;
  log_->set_config(config_);
  Append({.timestamp_ms = clock_.WallMs() + 182}, 2);
  ASSERT_TRUE(log_->Close().ok());
  const std::string index = FileBytes("00000000000000000008.index");
  LogOptions options = Options();
  options.recovery_point = log_->flushed_offset();
  options.clean = true;
  log_.reset();
  Replace("00000000000000000008.index", "");
  Open(std::move(options));
  fs_.DropCaches();
  MendingFor(100)->Run();
  EXPECT_TRUE(Ask(100).ok());
  EXPECT_EQ(FileBytes("00000000000000000008.index"), index);
}

TEST_F(LogLaterTest, CheckpointsThatCannotBeTrueAreNotBelieved) {
  WriteThreeSegments();
  ASSERT_TRUE(log_->Close().ok());
  LogOptions options = Options();
  options.clean = true;
  options.recovery_point = Offset(7);  // below the newest segment
  Open(options);
  EXPECT_EQ(log_->log_end_offset(), Offset(12));
  log_.reset();
  Replace(kLastLog, "");
  options.recovery_point = Offset(12);
  const auto damaged = Log::Open(options);
  EXPECT_EQ(damaged.status().code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace sluice::storage
