// Logs that move between the directories of a node: every crash point of the last step, and disks
// that fail in it.

#include <gmock/gmock.h>

#include "storage/compaction/plan.h"
#include "storage/testing/log_directories_fixture.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kFirst;
using testing::kSecond;
using testing::MakeBatch;
using ::testing::SizeIs;

class LogMovesTest : public testing::LogDirectoriesFixture {
 protected:
  static constexpr int64_t kStart = 2;
  static constexpr int64_t kEnd = 5;

  // t-0 in the first directory: batches 0 to 4 of epoch 3, of which 2 to 4 count; epoch 7 began
  // with none.
  void Build() {
    Open();
    ReplicaSpec spec = Spec(0);
    spec.directory = State(kFirst)->id();
    ASSERT_EQ(Place(spec), kFirst);
    Log& log = *logs_->Find(Name(0));
    for (int64_t i = 0; i < kEnd; ++i)
      ASSERT_TRUE(log.AppendAsLeader(MakeBatch({.value_bytes = 1000}), LeaderEpoch(3)).ok());
    ASSERT_TRUE(log.AdvanceLogStart(Offset(kStart)).ok());
    ASSERT_TRUE(log.AssignEpochStart(LeaderEpoch(7), Offset(kEnd)).ok());
    Flush(log);
    ASSERT_TRUE(logs_->WriteCheckpoints({{Name(0), Offset(kEnd)}}).empty());
  }
  static void Flush(Log& log) {
    const FlushTarget target = log.PrepareFlush();
    log.OnFlushed(target.upto, target.Run());
  }
  LogMoveSpec To(const char* path) { return {Name(0), topic_id_, State(path)}; }
  LogMoveSpec ToSecond() { return To(kSecond); }
  // All but the last step.
  std::shared_ptr<Log> Copy(const char* to = kSecond) {
    const auto copy = logs_->StartMove(To(to), {});
    if (!copy.ok()) return nullptr;
    const Log& log = *logs_->Find(Name(0));
    EXPECT_TRUE((*copy)->TruncateFullyAndStartAt(log.log_start_offset()).ok());
    const auto read = log.Read(log.log_start_offset(), 1 << 20, Offset(INT64_MAX), true);
    EXPECT_TRUE((*copy)->AppendAsFollower(testing::BytesOf(*read), LeaderEpoch(INT32_MAX)).ok());
    EXPECT_TRUE((*copy)->TakeHistoryOf(log).ok());
    Flush(**copy);
    return *copy;
  }
  Status Finish(const Log* copy, bool& source_lost) {
    return logs_->FinishMove(ToSecond(), {State(kFirst), copy, Offset(kEnd)}, source_lost);
  }
  // The directories that a log of the partition's name is in.
  std::vector<std::string> Places() {
    std::vector<std::string> places;
    for (const char* path : {kFirst, kSecond}) {
      if (fs_.Exists(std::string(path) + "/t-0")) places.emplace_back(path);
    }
    return places;
  }
  // What has the partition's name, or one made of it.
  std::vector<std::string> Left(const char* path) {
    std::vector<std::string> left = fs_.List(path).value();
    std::erase_if(left, [](const std::string& name) { return !name.starts_with("t-0"); });
    return left;
  }
  // What the copy tells of its moves.
  std::string CopysMoves() {
    for (const std::string& name : Left(kSecond)) {
      if (name.ends_with("-future"))
        return ReadFile(fs_, std::string(kSecond) + "/" + name + "/move-count").value();
    }
    return "no copy";
  }
  void CheckLog() {
    const auto log = logs_->Find(Name(0));
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->log_start_offset(), Offset(kStart));
    EXPECT_EQ(log->log_end_offset(), Offset(kEnd));
    EXPECT_EQ(log->latest_epoch(), LeaderEpoch(7));
    const auto read = log->Read(Offset(kStart), 1 << 20, Offset(INT64_MAX), true);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_THAT(testing::BatchesIn(testing::BytesOf(*read)), SizeIs(kEnd - kStart));
  }
};

TEST_F(LogMovesTest, TheCopyTakesTheLogsPlace) {
  Build();
  const auto plan = logs_->Find(Name(0))->PlanCompaction(std::nullopt, Offset(kEnd));
  ASSERT_TRUE(plan.ok());
  const auto copy = Copy();
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(logs_->DirectoryOf(Name(0))->path(), kFirst) << "until the last step";
  bool source_lost = false;
  ASSERT_TRUE(Finish(copy.get(), source_lost).ok());
  EXPECT_EQ(logs_->Find(Name(0)), copy);
  EXPECT_TRUE(plan->stale());
  EXPECT_EQ(logs_->CheckpointedHighWatermark(Name(0)), Offset(kEnd));
  CheckLog();
  EXPECT_THAT(Places(), ::testing::ElementsAre(kSecond));
  // It goes on there, and so does a truncation below what the checkpoint vouches for.
  ASSERT_TRUE(copy->TruncateTo(Offset(kEnd - 1)).ok());
  ASSERT_TRUE(copy->AppendAsLeader(MakeBatch(), LeaderEpoch(8)).ok());
  Restart();
  EXPECT_EQ(logs_->DirectoryOf(Name(0))->path(), kSecond);
  EXPECT_EQ(logs_->Find(Name(0))->log_end_offset(), Offset(kEnd));
  EXPECT_THAT(logs_->DamagedLogs(), IsEmpty());
  EXPECT_THAT(logs_->MissingLogs(), IsEmpty());
}

TEST_F(LogMovesTest, AnyCrashOfTheLastStepLeavesOneLogWithAllItsRecords) {
  int moved = 0, stayed = 0;
  for (const bool power_cut : {false, true}) {
    bool reached = true;
    for (int64_t change = 0; reached; ++change) {
      SCOPED_TRACE(std::to_string(change) + (power_cut ? " power cut" : " kill"));
      Build();
      auto copy = Copy();
      ASSERT_NE(copy, nullptr);
      fs_.StopAfter(change);
      bool source_lost = false;
      const bool done = Finish(copy.get(), source_lost).ok();
      reached = fs_.stopped();
      copy.reset();
      logs_.reset();
      Random random(static_cast<uint64_t>(change));
      power_cut ? fs_.Crash(random) : fs_.KillProcess();
      if (power_cut) boot_id_ += "'";
      Open();
      ASSERT_THAT(Places(), SizeIs(1));
      EXPECT_EQ(logs_->DirectoryOf(Name(0))->path(), Places()[0]);
      CheckLog();
      const bool there = Places()[0] == kSecond;
      EXPECT_TRUE(there || !done);
      there ? ++moved : ++stayed;
      // What is left of a copy is known, and can be begun anew.
      EXPECT_LE(logs_->BrokenOffMoves().size(), there ? 0U : 1U);
      if (::testing::Test::HasFailure()) return;
      for (const char* path : {kFirst, kSecond})
        ASSERT_TRUE(fs_.RemoveAll(path + std::string("/t-0")).ok());
      logs_.reset();
      fs_.KillProcess();
      Open();
      for (const LogMoveSpec& move : logs_->BrokenOffMoves()) logs_->GiveUpMove(move, nullptr);
      ASSERT_TRUE(logs_->WriteCheckpoints({}).empty());
    }
  }
  EXPECT_GT(moved, 2);
  EXPECT_GT(stayed, 10);
}

// The disk may have given the copy its name all the same.
TEST_F(LogMovesTest, ACopyWhoseRenameFailedIsNotBelievedLater) {
  Build();
  const auto copy = Copy();
  fs_.InjectFault({.operation = FileOperation::kRename,
                   .path_part = "-future",
                   .status = Status::IoError("EIO"),
                   .skip = 1,  // the move count's
                   .times = -1});
  bool source_lost = false;
  EXPECT_FALSE(Finish(copy.get(), source_lost).ok());
  EXPECT_FALSE(source_lost);
  fs_.ClearFaults();
  const std::string given = CopysMoves();
  EXPECT_TRUE(given.starts_with("1 ")) << given;
  ASSERT_TRUE(fs_.CreateDirectories(std::string(kSecond) + "/t-0").ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, std::string(kSecond) + "/t-0/move-count", given).ok());
  ASSERT_TRUE(logs_->Find(Name(0))->AppendAsLeader(MakeBatch(), LeaderEpoch(8)).ok());
  Restart();
  EXPECT_THAT(Places(), ::testing::ElementsAre(kFirst));
  EXPECT_EQ(logs_->Find(Name(0))->log_end_offset(), Offset(kEnd + 1));
}

// The disk that comes back with an old log, of more moves, has not that of which the new one is.
TEST_F(LogMovesTest, ALogThatMovedAndWasLeftBehindDoesNotBeatTheNewOne) {
  Build();
  bool source_lost = false;
  ASSERT_TRUE(Finish(Copy().get(), source_lost).ok());
  ASSERT_TRUE(logs_->PutOffline(State(kSecond), Status::IoError("EIO")));
  // The replica went to another node and came back.
  ReplicaSpec anew = Spec(0);
  anew.is_new = true;
  ASSERT_EQ(Place(anew), kFirst);
  ASSERT_TRUE(logs_->Find(Name(0))->AppendAsLeader(MakeBatch(), LeaderEpoch(8)).ok());
  logs_.reset();
  fs_.KillProcess();
  EXPECT_THAT(TryOpen().status().message(), HasSubstr("two log directories hold t-0"));
  EXPECT_THAT(Places(), SizeIs(2));
}

TEST_F(LogMovesTest, TheOlderLogIsKeptAsideWhereTheNewerCannotBeRead) {
  Build();
  const auto copy = Copy();
  fs_.InjectFault({.operation = FileOperation::kRename,
                   .path_part = std::string(kFirst) + "/t-0",
                   .status = Status::IoError("EIO"),
                   .skip = 1,  // what tells of its moves
                   .times = -1});
  bool source_lost = false;
  ASSERT_TRUE(Finish(copy.get(), source_lost).ok());
  ASSERT_THAT(Places(), SizeIs(2)) << "the old one could not be removed";
  fs_.ClearFaults();
  ASSERT_TRUE(
      WriteFileAtomically(fs_, std::string(kSecond) + "/t-0/partition.metadata", "nonsense").ok());
  Restart();
  EXPECT_EQ(logs_->DamagedLogs().count(Name(0)), 1U);
  EXPECT_THAT(Places(), ::testing::ElementsAre(kSecond));
  EXPECT_THAT(Left(kFirst),
              ::testing::ElementsAre(::testing::MatchesRegex("t-0[.][0-9a-f]+-stray")));
}

TEST_F(LogMovesTest, ADiskThatCannotLetGoOfTheOlderLogIsOfflineAndTheNewerServes) {
  Build();
  // From the first to the second and back: the node's own directory has the newer one.
  bool source_lost = false;
  ASSERT_TRUE(Finish(Copy().get(), source_lost).ok());
  const auto back = Copy(kFirst);
  ASSERT_NE(back, nullptr);
  fs_.InjectFault({.operation = FileOperation::kRename,
                   .path_part = std::string(kSecond) + "/t-0",
                   .status = Status::IoError("EIO"),
                   .times = -1});
  ASSERT_TRUE(
      logs_->FinishMove(To(kFirst), {State(kSecond), back.get(), Offset(kEnd)}, source_lost).ok());
  ASSERT_THAT(Places(), SizeIs(2));
  Restart();
  EXPECT_FALSE(State(kSecond)->online());
  CheckLog();
  fs_.ClearFaults();
  Restart();
  EXPECT_THAT(Places(), ::testing::ElementsAre(kFirst));
  CheckLog();
}

TEST_F(LogMovesTest, ALogLeavesAFullDisk) {
  Build();
  const auto copy = Copy();
  fs_.InjectFault({.operation = FileOperation::kWrite,
                   .path_part = kFirst,
                   .status = Status::DiskFull("no room"),
                   .times = -1});
  bool source_lost = false;
  EXPECT_TRUE(Finish(copy.get(), source_lost).ok());
  fs_.ClearFaults();
  Restart();
  EXPECT_THAT(Places(), ::testing::ElementsAre(kSecond));
  CheckLog();
}

TEST_F(LogMovesTest, WhatWasToldToMoveIsNotMadeAnewWhileItsDirectoryIsAway) {
  Build();
  ASSERT_NE(Copy(), nullptr);
  const ReplicaSpec spec = [&] {
    ReplicaSpec told = Spec(0);
    told.directory = State(kSecond)->id();  // in the metadata, though the log has not left yet
    return told;
  }();
  Restart();
  ASSERT_TRUE(logs_->PutOffline(State(kFirst), Status::IoError("EIO")));
  EXPECT_THAT(Place(spec), HasSubstr("about to leave"));
  const PlacedLog away = logs_->GetOrCreate(spec);
  EXPECT_EQ(away.directory, State(kFirst)) << "the controller is told, for it takes it for online";
  EXPECT_TRUE(away.move_broken_off);
  Restart();
  const PlacedLog placed = logs_->GetOrCreate(spec);
  ASSERT_TRUE(placed.log.ok()) << placed.log.status().ToString();
  EXPECT_EQ(placed.directory->path(), kFirst);
  EXPECT_TRUE(placed.move_broken_off);
  CheckLog();
  ASSERT_THAT(logs_->BrokenOffMoves(), SizeIs(1));
  logs_->GiveUpMove(logs_->BrokenOffMoves()[0], nullptr);
  Restart();
  EXPECT_THAT(logs_->BrokenOffMoves(), IsEmpty());
}

// It may be all there is of the log: whoever moves the log there, or gives the move up, leaves it.
TEST_F(LogMovesTest, ACopyWhoseLogIsNotFoundIsSetAside) {
  for (const bool begun_anew : {false, true}) {
    Build();
    ASSERT_NE(Copy(), nullptr);
    logs_.reset();
    fs_.KillProcess();
    ASSERT_TRUE(fs_.RemoveAll(std::string(kFirst) + "/t-0").ok());
    Open();
    ASSERT_THAT(logs_->BrokenOffMoves(), SizeIs(1));
    if (begun_anew) {
      const auto copy = logs_->StartMove(ToSecond(), {});
      ASSERT_TRUE(copy.ok());
      logs_->GiveUpMove(ToSecond(), copy->get());
    } else {
      logs_->GiveUpMove(ToSecond(), nullptr);
    }
    EXPECT_THAT(logs_->BrokenOffMoves(), IsEmpty());
    const std::vector<std::string> left = Left(kSecond);
    ASSERT_THAT(left, ::testing::ElementsAre(::testing::MatchesRegex("t-0[.][0-9a-f]+-stray")));
    const std::string aside = std::string(kSecond) + "/" + left[0];
    EXPECT_GT(fs_.FileSize(aside + "/00000000000000000002.log").value(), 3000U);
    ASSERT_TRUE(fs_.RemoveAll(aside).ok());
  }
}

TEST_F(LogMovesTest, ACopyThatNamesNoTopicGoesOnlyIfItIsEmpty) {
  Open();
  const std::string unique = ".0123456789abcdef0123456789abcdef";
  for (const char* name : {"t-0", "t-1"}) {
    const std::string log = kSecond + ("/" + std::string(name)) + unique + "-future";
    ASSERT_TRUE(fs_.CreateDirectories(log).ok());
    const auto file = fs_.Open(log + "/00000000000000000000.log", OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->WriteAt(0, name == std::string("t-1") ? "records" : "").ok());
  }
  Restart();
  EXPECT_THAT(logs_->BrokenOffMoves(), IsEmpty());
  std::vector<std::string> left = fs_.List(kSecond).value();
  std::erase_if(left, [](const std::string& name) { return !name.starts_with("t-"); });
  EXPECT_THAT(left, ::testing::ElementsAre(::testing::MatchesRegex("t-1[.][0-9a-f]+-stray")));
}

TEST_F(LogMovesTest, ALogThatMayBeOlderThanTheOneThatIsAwayIsNotUsed) {
  Build();
  ReplicaSpec spec = Spec(0);
  spec.directory = State(kSecond)->id();
  ASSERT_TRUE(logs_->PutOffline(State(kSecond), Status::IoError("EIO")));
  EXPECT_THAT(Place(spec), HasSubstr("may be older"));
}

TEST_F(LogMovesTest, ALogIsMadeWhereItWasWished) {
  Open();
  for (const char* path : {kSecond, kFirst, kSecond}) {
    static int next = 0;
    logs_->Prefer(Name(next), State(path));
    EXPECT_EQ(Place(Spec(next)), path);
    ++next;
  }
}

}  // namespace
}  // namespace sluice::storage
