// Several log directories as one: formatting, refusal, placement, one that fails, duplicates.

#include "storage/log_directories.h"

#include <gmock/gmock.h>

#include "base/testing/log_catcher.h"
#include "storage/boot_id.h"
#include "storage/testing/log_directories_fixture.h"

namespace sluice::storage {
namespace {

using testing::kFirst;
using testing::kSecond;
using LogDirectoriesTest = testing::LogDirectoriesFixture;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeBatch;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

TEST_F(LogDirectoriesTest, ANewDirectoryIsFormattedForTheNode) {
  Open();
  const auto second = LogManager::ReadIdentity(fs_, kSecond).value();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->cluster_id, "cluster");
  EXPECT_EQ(second->node_id, NodeId(3));
  EXPECT_NE(second->directory_id, logs_->identity().directory_id);
  EXPECT_THAT(logs_->OnlineIds(),
              ElementsAre(logs_->identity().directory_id, second->directory_id));
}

TEST_F(LogDirectoriesTest, TheFirstMustBeFormatted) {
  paths_ = {kSecond, kFirst};
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kNotFound);
}

TEST_F(LogDirectoriesTest, ADirectoryOfAnotherNodeOrClusterIsRefused) {
  for (const DirectoryIdentity& other :
       {DirectoryIdentity{"cluster", NodeId(4), Uuid::Generate(random_)},
        DirectoryIdentity{"another", NodeId(3), Uuid::Generate(random_)}}) {
    ASSERT_TRUE(fs_.RemoveAll(kSecond).ok());
    ASSERT_TRUE(LogManager::Format(fs_, kSecond, other).ok());
    const auto refused = TryOpen();
    EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(refused.status().message(), HasSubstr(kSecond));
    EXPECT_THAT(refused.status().message(), HasSubstr(kFirst));
  }
}

TEST_F(LogDirectoriesTest, ACopiedDirectoryIsRefused) {
  const auto first = LogManager::ReadIdentity(fs_, kFirst).value();
  ASSERT_TRUE(LogManager::Format(fs_, kSecond, *first).ok());
  EXPECT_THAT(TryOpen().status().message(), HasSubstr("copy"));
}

TEST_F(LogDirectoriesTest, NewLogsGoWhereTheRoomIs) {
  fs_.set_capacity_bytes(1'000'000, "/disk1");
  fs_.set_capacity_bytes(2'000'000, "/disk2");
  Open();
  EXPECT_EQ(Place(Spec(0)), kSecond);
  EXPECT_EQ(Place(Spec(1)), kSecond);
  fs_.set_capacity_bytes(500'000, "/disk2");
  logs_->RefreshSpace();
  EXPECT_EQ(Place(Spec(2)), kFirst);
  EXPECT_EQ(Place(Spec(1)), kSecond) << "a log stays where it is";
}

TEST_F(LogDirectoriesTest, WithLikeRoomTheLogsAreSpread) {
  Open();
  for (int i = 0; i < 10; ++i) Place(Spec(i));
  int in_first = 0;
  for (int i = 0; i < 10; ++i) in_first += logs_->DirectoryOf(Name(i))->path() == kFirst ? 1 : 0;
  EXPECT_EQ(in_first, 5);
  Restart();
  EXPECT_THAT(logs_->Partitions(), SizeIs(10));
}

TEST_F(LogDirectoriesTest, EachDirectoryHasItsCheckpointsAndItsMarker) {
  Open();
  for (int i = 0; i < 2; ++i) {
    const PlacedLog placed = logs_->GetOrCreate(Spec(i));
    ASSERT_TRUE((*placed.log)->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).ok());
  }
  ASSERT_TRUE(logs_
                  ->CloseCleanly({{Name(0), Offset(1)}, {Name(1), Offset(1)}},
                                 [](const DirectoryState&) { return BrokerEpoch(5); })
                  .ok());
  for (const char* path : {kFirst, kSecond}) {
    EXPECT_TRUE(fs_.Exists(std::string(path) + "/.kafka_cleanshutdown")) << path;
    EXPECT_THAT(ReadFile(fs_, std::string(path) + "/replication-offset-checkpoint").value(),
                HasSubstr("0\n1\nt "))
        << path;
  }
  Restart();
  for (const DirectoryPtr& state : logs_->directories()) {
    EXPECT_TRUE(state->last_shutdown().clean) << state->path();
    EXPECT_EQ(state->last_shutdown().broker_epoch, 5) << state->path();
  }
  EXPECT_EQ(logs_->CheckpointedHighWatermark(Name(1)), Offset(1));
}

TEST_F(LogDirectoriesTest, TwoDirectoriesWithOnePartitionAreRefusedWithBothPaths) {
  Open();
  Place(Spec(0));
  ASSERT_EQ(logs_->DirectoryOf(Name(0))->path(), kFirst);
  logs_.reset();
  fs_.KillProcess();
  paths_ = {kSecond};
  Open();
  ASSERT_EQ(Place(Spec(0)), kSecond);
  logs_.reset();
  fs_.KillProcess();
  paths_ = {kFirst, kSecond};
  const auto refused = TryOpen();
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr(std::string(kFirst) + "/t-0"));
  EXPECT_THAT(refused.status().message(), HasSubstr(std::string(kSecond) + "/t-0"));
}

TEST_F(LogDirectoriesTest, TheLogOfATopicThatIsGoneIsSetAsideForTheNewOne) {
  Open();
  Place(Spec(0));
  logs_->PutOffline(State(kFirst), Status::IoError("gone"));
  ReplicaSpec again = Spec(0);
  again.topic_id = Uuid::FromBytes("fedcba9876543210");
  again.is_new = true;
  ASSERT_EQ(Place(again), kSecond);
  Restart();
  const ::sluice::testing::LogCatcher log;
  EXPECT_EQ(Place(again), kSecond);
  EXPECT_FALSE(fs_.Exists(std::string(kFirst) + "/t-0"));
  // Whoever put it there may want it.
  EXPECT_THAT(fs_.List(kFirst).value(), Contains(MatchesRegex("t-0\\.[0-9a-f]+-stray")));
  EXPECT_EQ(log.Count(std::string(kFirst) + "/t-0 of topic id " + topic_id_.ToString() +
                      " is set aside as"),
            1);
  EXPECT_TRUE(log.Saw("give it the old name back"));
}

TEST_F(LogDirectoriesTest, ADirectoryThatFailsWhileItIsAskedPlacesNothing) {
  Open();
  ASSERT_EQ(Place(Spec(0)), kFirst);
  ReplicaSpec other = Spec(0);
  other.topic_id = Uuid::FromBytes("fedcba9876543210");
  other.may_remove = [this](const TopicId&) {
    logs_->PutOffline(State(kFirst), Status::IoError("EIO"));
    return false;
  };
  const PlacedLog placed = logs_->GetOrCreate(other);
  EXPECT_EQ(placed.directory, nullptr);
  EXPECT_EQ(placed.log.status().code(), StatusCode::kCorruption);
}

TEST_F(LogDirectoriesTest, AFailedDirectoryTakesOnlyItsLogsAway) {
  Open();
  Place(Spec(0));
  Place(Spec(1));
  const DirectoryPtr second = logs_->DirectoryOf(Name(1));
  ASSERT_EQ(second->path(), kSecond);
  EXPECT_TRUE(logs_->PutOffline(second, Status::IoError("EIO")));
  EXPECT_FALSE(logs_->PutOffline(second, Status::IoError("EIO again")));
  EXPECT_EQ(second->failure(), "EIO");
  EXPECT_THAT(logs_->Partitions(), ElementsAre(Name(0)));
  EXPECT_EQ(logs_->Find(Name(1)), nullptr);
  EXPECT_THAT(logs_->WriteCheckpoints({{Name(0), Offset(0)}}), IsEmpty());
  EXPECT_TRUE(logs_->AnyOnline());
}

TEST_F(LogDirectoriesTest, ALogIsNeverMadeAnewWhileItsDirectoryIsAway) {
  Open();
  Place(Spec(0));
  ReplicaSpec spec = Spec(1);
  ASSERT_EQ(Place(spec), kSecond);
  spec.directory = State(kSecond)->id();
  logs_->PutOffline(State(kSecond), Status::IoError("EIO"));
  EXPECT_THAT(Place(spec), HasSubstr(kSecond));
  // The same where the metadata does not say yet where it is.
  EXPECT_THAT(Place(Spec(1)), HasSubstr("offline"));
  // What cannot be there yet is made.
  spec = Spec(2);
  spec.is_new = true;
  EXPECT_EQ(Place(spec), kFirst);
}

TEST_F(LogDirectoriesTest, ADirectoryThatCannotBeOpenedIsOffline) {
  Open();
  Place(Spec(0));
  ReplicaSpec spec = Spec(1);
  ASSERT_EQ(Place(spec), kSecond);
  spec.directory = State(kSecond)->id();
  logs_.reset();
  fs_.KillProcess();
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .path_part = "/disk2",
                   .status = Status::IoError("EIO"),
                   .times = -1});
  Open();
  EXPECT_FALSE(State(kSecond)->online());
  EXPECT_THAT(Place(spec), HasSubstr("offline"));
  EXPECT_EQ(Place(Spec(0)), kFirst);
  // It comes back, with its log.
  fs_.ClearFaults();
  Restart();
  EXPECT_EQ(Place(spec), kSecond);
}

TEST_F(LogDirectoriesTest, ADirectoryTakenOutOfTheConfigurationIsGivenUp) {
  Open();
  Place(Spec(0));
  ReplicaSpec spec = Spec(1);
  ASSERT_EQ(Place(spec), kSecond);
  spec.directory = State(kSecond)->id();
  logs_.reset();
  fs_.KillProcess();
  paths_ = {kFirst};
  Open();
  EXPECT_EQ(Place(spec), kFirst);
}

TEST_F(LogDirectoriesTest, TheRoomLeftIsKnownByLevels) {
  fs_.set_capacity_bytes(100'000, "/disk2");
  Open();
  const DirectoryPtr state = State(kSecond);
  const uint64_t used = state->total_bytes() - state->free_bytes();
  const auto level = [&](uint64_t free) {
    fs_.set_capacity_bytes(used + free, "/disk2");
    logs_->RefreshSpace();
    EXPECT_EQ(state->free_bytes(), free);
    return state->level();
  };
  EXPECT_EQ(level(400), SpaceLevel::kAmple);
  EXPECT_EQ(state->pressure(), 0);
  EXPECT_EQ(level(300), SpaceLevel::kLow);
  EXPECT_DOUBLE_EQ(state->pressure(), 0.5);
  EXPECT_EQ(level(199), SpaceLevel::kFull);
  EXPECT_EQ(state->pressure(), 1);
  EXPECT_EQ(level(5000), SpaceLevel::kAmple);
  EXPECT_EQ(State(kFirst)->level(), SpaceLevel::kAmple);
}

// Nor is the node's reserve taken for anything.
TEST_F(LogDirectoriesTest, DirectoriesWithoutAByteLeftOpen) {
  Open();
  for (int i = 0; i < 4; ++i) Place(Spec(i));
  const std::string reserve = std::string(kFirst) + "/space.reserve";
  ASSERT_TRUE(fs_.Open(reserve, OpenMode::kCreate).value()->WriteAt(0, "r").ok());
  for (const char* disk : {"/disk1", "/disk2"}) {
    fs_.set_capacity_bytes(1 << 20, disk);
    const DiskSpace space = fs_.Space(disk).value();
    fs_.set_capacity_bytes(space.total_bytes - space.free_bytes, disk);
  }
  const ::sluice::testing::LogCatcher log;
  Restart();
  EXPECT_THAT(logs_->OnlineIds(), SizeIs(2));
  EXPECT_THAT(logs_->Partitions(), SizeIs(4));
  EXPECT_THAT(logs_->DamagedLogs(), IsEmpty());
  EXPECT_FALSE(log.Saw(reserve));
  EXPECT_TRUE(fs_.Exists(reserve));
}

TEST_F(LogDirectoriesTest, EachMarkIsToldOnceThatAppendsReachOrTheDiskLeaves) {
  fs_.set_capacity_bytes(100'000, "/disk2");
  Open();
  const DirectoryPtr state = State(kSecond);
  const uint64_t used = state->total_bytes() - state->free_bytes();
  const auto told = [&](uint64_t free, const std::string& text) {
    const ::sluice::testing::LogCatcher log;
    for (int i = 0; i < 2; ++i) {
      // What is appended counts at once, so that the level is known before the next look.
      if (state->free_bytes() > free) state->NoteWritten(state->free_bytes() - free);
      fs_.set_capacity_bytes(used + free, "/disk2");
      logs_->RefreshSpace();
    }
    return log.Count(std::string(kSecond) + " has ") == 1 &&
           log.Saw(std::to_string(free) + " bytes free, " + text);
  };
  EXPECT_TRUE(told(300, "below the soft mark of 400 (disk.free.soft.bytes): producers are slowed"));
  EXPECT_TRUE(
      told(100, "below the hard mark of 200 (disk.free.hard.bytes): producers are refused"));
  // Back and forth at the mark it stays full, and there is nothing to tell.
  const ::sluice::testing::LogCatcher log;
  for (const uint64_t free : {210U, 190U, 249U}) {
    fs_.set_capacity_bytes(used + free, "/disk2");
    logs_->RefreshSpace();
    EXPECT_TRUE(state->counts_as_full()) << free;
  }
  EXPECT_EQ(state->level(), SpaceLevel::kLow) << "producers are served";
  EXPECT_EQ(log.Count(std::string(kSecond) + " has "), 0);
  EXPECT_TRUE(told(250, "again above the hard mark of 200"));
  EXPECT_FALSE(state->counts_as_full());
  EXPECT_TRUE(told(500, "again above the soft mark of 400"));
  EXPECT_TRUE(told(150, "below the hard mark"));
  EXPECT_TRUE(told(500, "again above the soft mark"));
}

TEST_F(LogDirectoriesTest, AnEmptyDirectoryOfANodeThatRanBeforeMayBeADiskThatIsNotMounted) {
  {
    const ::sluice::testing::LogCatcher log;
    Open();
    EXPECT_FALSE(log.Saw("not mounted")) << "a new node's are all empty";
  }
  Place(Spec(0));
  Place(Spec(1));
  ASSERT_TRUE(logs_->WriteCheckpoints({}).empty());
  logs_.reset();
  ASSERT_TRUE(fs_.RemoveAll(kSecond).ok());
  const ::sluice::testing::LogCatcher log;
  Open();
  EXPECT_TRUE(log.Saw("log directory " + std::string(kSecond) + " was empty"));
  EXPECT_TRUE(log.Saw("remove " + std::string(kSecond) + "/meta.properties, mount the disk"));
}

TEST_F(LogDirectoriesTest, ADirectoryThatWasMovedByHandIsNotRemoved) {
  Open();
  const std::string path = Place(Spec(0));
  ReplicaSpec other = Spec(0);
  other.topic_id = Uuid::FromBytes("fedcba9876543210");
  const auto refuse = [](const TopicId&) { return false; };
  other.may_remove = refuse;
  EXPECT_THAT(Place(other), HasSubstr(path + "/t-0 holds the log of topic id"));
  EXPECT_EQ(logs_->Delete(Name(0), refuse).code(), StatusCode::kCorruption);
  EXPECT_EQ(Place(Spec(0)), path);
  // Of a topic that is gone it may be removed.
  other.may_remove = [&](const TopicId& stored) { return stored == topic_id_; };
  EXPECT_THAT(paths_, ::testing::Contains(Place(other)));
  EXPECT_TRUE(logs_->Delete(Name(0), other.may_remove).code() == StatusCode::kCorruption);
}

// Nobody has read since the power cut what is in a log that did not open: the next start on that
// boot must do it.
TEST_F(LogDirectoriesTest, ABootIsKeptOnlyOnceEveryLogOfItIsOpen) {
  for (const Status& why : {Status::IoError("EISDIR"), Status::DiskFull("ENOSPC")}) {
    Open();
    ASSERT_EQ(Place(Spec(0)), kFirst);
    Place(Spec(1));
    const std::string name = std::string(kFirst) + "/t-0/00000000000000000000.log";
    for (int i = 0; i < 5; ++i) {
      const std::string batch = MakeBatch({.value_bytes = 100'000});
      ASSERT_TRUE(logs_->Find(Name(0))->AppendAsLeader(batch, LeaderEpoch(0)).ok());
    }
    logs_.reset();
    fs_.KillProcess();
    fs_.FlipBit(name, 250'000, 3);
    boot_id_ = "boot of " + why.message();
    fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                     .path_part = "/t-0/00000000000000000000",
                     .status = why,
                     .times = -1});
    Open();
    ASSERT_TRUE(logs_->DamagedLogs().contains(Name(0)));
    EXPECT_TRUE(HostRestarted(fs_, kFirst, boot_id_));
    EXPECT_FALSE(HostRestarted(fs_, kSecond, boot_id_)) << "its logs are all open";
    ASSERT_TRUE(logs_->CloseCleanly({}, [](const DirectoryState&) { return BrokerEpoch(1); }).ok());
    fs_.ClearFaults();
    Open();
    EXPECT_EQ(logs_->Find(Name(0))->log_end_offset(), Offset(2)) << "up to the torn batch";
    EXPECT_FALSE(HostRestarted(fs_, kFirst, boot_id_));
    ASSERT_TRUE(logs_->Delete(Name(0), [](const TopicId&) { return true; }).ok());
    ASSERT_TRUE(logs_->Delete(Name(1), [](const TopicId&) { return true; }).ok());
  }
}

TEST_F(LogDirectoriesTest, ADirectoryThatIsAwayDoesNotLearnTheBoot) {
  Open();
  boot_id_ = "boot 2";
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .path_part = "/disk2",
                   .status = Status::IoError("EIO"),
                   .times = -1});
  Open();
  fs_.ClearFaults();
  EXPECT_FALSE(HostRestarted(fs_, kFirst, boot_id_));
  EXPECT_TRUE(HostRestarted(fs_, kSecond, boot_id_));
  // A host that does not tell is never taken for one that stayed up.
  EXPECT_TRUE(HostRestarted(fs_, kFirst, ""));
}

// Kafka was killed, and told neither that it stopped nor on which boot. Its follower's segments
// have gaps between them; what it flushed must outlive this start, and a power cut after it.
TEST_F(LogDirectoriesTest, GapsOfADirectoryThatWasTakenOverOutliveAPowerCut) {
  paths_ = {kFirst};
  const std::string log = std::string(kFirst) + "/t-0";
  ASSERT_TRUE(fs_.CreateDirectories(log).ok());
  for (const int64_t base : {0, 10}) {
    auto file =
        fs_.Open(log + "/" + (base == 0 ? "00000000000000000000" : "00000000000000000010") + ".log",
                 OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok());
    const std::string bytes = MakeBatch({.base_offset = base, .leader_epoch = 1}) +
                              MakeBatch({.base_offset = base + 2, .leader_epoch = 1});
    ASSERT_TRUE((*file)->WriteAt(0, bytes).ok());
  }
  ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
  Random random(1);
  for (int start = 1; start <= 3; ++start) {
    boot_id_ = "boot " + std::to_string(start);
    Open();
    const auto found = logs_->Find(Name(0));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->log_end_offset(), Offset(13)) << start;
    EXPECT_FALSE(HostRestarted(fs_, kFirst, boot_id_));
    logs_.reset();
    fs_.Crash(random);
  }
}

TEST_F(LogDirectoriesTest, WhereGapsCannotBeSettledTheBootIdIsNotKept) {
  paths_ = {kFirst};
  const std::string log = std::string(kFirst) + "/t-0";
  ASSERT_TRUE(fs_.CreateDirectories(log).ok());
  for (const char* name : {"/00000000000000000000.log", "/00000000000000000010.log"}) {
    auto file = fs_.Open(log + name, OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok());
    const int64_t base = name[19] == '1' ? 10 : 0;
    ASSERT_TRUE((*file)->WriteAt(0, MakeBatch({.base_offset = base, .leader_epoch = 1})).ok());
  }
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kSync,
                   .path_part = "recovery-point",
                   .status = Status::DiskFull("ENOSPC")});
  Open();
  EXPECT_TRUE(TakenOver(fs_, kFirst));
  EXPECT_EQ(logs_->Find(Name(0))->log_end_offset(), Offset(11));
}

}  // namespace
}  // namespace sluice::storage
