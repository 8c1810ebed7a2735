// What only the simulated disk can do: crashes, faults, a disk that fills. What it shares with the
// real one is in base/file_system_test.cc.

#include "base/testing/sim_file_system.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::testing {
namespace {

class SimFileSystemTest : public ::testing::Test {
 protected:
  SimFileSystemTest() {
    CHECK(fs_.CreateDirectories("/d").ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }

  std::shared_ptr<File> Open(const std::string& path, OpenMode mode = OpenMode::kCreate) {
    auto file = fs_.Open(path, mode);
    CHECK(file.ok()) << file.status().ToString();
    return *file;
  }
  std::string Read(const std::string& path) {
    auto content = ReadFile(fs_, path);
    return content.ok() ? *content : content.status().ToString();
  }
  // What a run leaves after a crash, over many seeds.
  template <typename Run>
  static std::set<std::string> Outcomes(Run run) {
    std::set<std::string> outcomes;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      SimFileSystem fs;
      CHECK(fs.CreateDirectories("/d").ok());
      CHECK(fs.SyncFileSystem("/").ok());
      run(fs);
      Random random(seed);
      fs.Crash(random);
      std::string outcome;
      const std::vector<std::string> names = *fs.List("/d");
      for (const std::string& name : names) {
        outcome += name + "=" + *ReadFile(fs, "/d/" + name) + " ";
      }
      outcomes.insert(outcome);
    }
    return outcomes;
  }

  SimFileSystem fs_;
};

void Write(SimFileSystem& fs, const std::string& path, std::string_view data, bool sync) {
  auto file = fs.Open(path, OpenMode::kCreate);
  CHECK(file.ok());
  CHECK((*file)->WriteAt(0, data).ok());
  if (sync) CHECK((*file)->Sync().ok());
}

TEST_F(SimFileSystemTest, SyncedBytesAndEntriesSurviveEveryCrash) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "one", true);
    CHECK(fs.SyncDirectory("/d").ok());
  });
  EXPECT_EQ(outcomes, std::set<std::string>{"a=one "});
}

TEST_F(SimFileSystemTest, UnsyncedBytesMayStayGoOrBecomeZeros) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "one", true);
    CHECK(fs.SyncDirectory("/d").ok());
    Write(fs, "/d/a", "two4", false);
  });
  EXPECT_TRUE(outcomes.count("a=one "));
  EXPECT_TRUE(outcomes.count("a=two4 "));
  EXPECT_TRUE(outcomes.count(std::string("a=one\0 ", 7)));
  EXPECT_TRUE(outcomes.count("a=two "));
  EXPECT_EQ(outcomes.size(), 4u);
}

TEST_F(SimFileSystemTest, LargeWritesTearBySector) {
  bool torn = false;
  for (uint64_t seed = 1; seed <= 50 && !torn; ++seed) {
    SimFileSystem fs;
    Write(fs, "/a", std::string(4096, 'o'), true);
    CHECK(fs.SyncDirectory("/").ok());
    Write(fs, "/a", std::string(4096, 'n'), false);
    Random random(seed);
    fs.Crash(random);
    const std::string content = *ReadFile(fs, "/a");
    ASSERT_EQ(content.size(), 4096u);
    for (size_t sector = 0; sector < 8; ++sector) {
      const std::string bytes = content.substr(sector * 512, 512);
      ASSERT_TRUE(bytes == std::string(512, 'o') || bytes == std::string(512, 'n'));
    }
    torn = content.find('o') != std::string::npos && content.find('n') != std::string::npos;
  }
  EXPECT_TRUE(torn);
}

TEST_F(SimFileSystemTest, EntriesOfADirectoryAreLostFromTheEnd) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "1", true);
    Write(fs, "/d/b", "2", true);
  });
  EXPECT_EQ(outcomes, (std::set<std::string>{"", "a=1 ", "a=1 b=2 "}));
}

TEST_F(SimFileSystemTest, ARenameIsWholeOrNotAtAll) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "old", true);
    CHECK(fs.SyncDirectory("/d").ok());
    Write(fs, "/d/b", "new", true);
    CHECK(fs.Rename("/d/b", "/d/a").ok());
  });
  EXPECT_EQ(outcomes, (std::set<std::string>{"a=old ", "a=old b=new ", "a=new "}));
}

TEST_F(SimFileSystemTest, AtomicFilesSurviveWhole) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    CHECK(WriteFileAtomically(fs, "/d/state", "one").ok());
    fs.InjectFault({.operation = FileOperation::kSyncDirectory});
    CHECK(!WriteFileAtomically(fs, "/d/state", "two").ok());
  });
  EXPECT_EQ(outcomes,
            (std::set<std::string>{"state=one ", "state=one state.tmp=two ", "state=two "}));
}

TEST_F(SimFileSystemTest, ARemovalMayComeBack) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "1", true);
    CHECK(fs.SyncDirectory("/d").ok());
    CHECK(fs.Remove("/d/a").ok());
  });
  EXPECT_EQ(outcomes, (std::set<std::string>{"", "a=1 "}));
}

TEST_F(SimFileSystemTest, AMoveBetweenDirectoriesKeepsTheOrderOfBoth) {
  ASSERT_TRUE(fs_.CreateDirectories("/e").ok());
  Write(fs_, "/d/a", "1", true);
  Write(fs_, "/e/b", "2", true);
  ASSERT_TRUE(fs_.Rename("/d/a", "/e/b").ok());
  ASSERT_TRUE(fs_.SyncDirectory("/d").ok());  // takes the rename and the creation of /e/b along
  ASSERT_TRUE(fs_.SyncDirectory("/").ok());
  Random random(5);
  fs_.Crash(random);
  EXPECT_EQ(*fs_.List("/d"), std::vector<std::string>{});
  EXPECT_EQ(Read("/e/b"), "1");
}

TEST_F(SimFileSystemTest, SyncFileSystemKeepsEverything) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    Write(fs_, "/d/" + std::to_string(seed), "x", false);
    ASSERT_TRUE(fs_.SyncFileSystem("/d").ok());
    Random random(seed);
    fs_.Crash(random);
    ASSERT_EQ(fs_.List("/d")->size(), seed);
  }
}

TEST_F(SimFileSystemTest, TruncationIsLostOrKeptLikeAWrite) {
  const auto outcomes = Outcomes([](SimFileSystem& fs) {
    Write(fs, "/d/a", "abcdef", true);
    CHECK(fs.SyncDirectory("/d").ok());
    auto file = fs.Open("/d/a", OpenMode::kReadWrite);
    CHECK((*file)->Truncate(2).ok());
    CHECK((*file)->Sync().ok());
    CHECK((*file)->WriteAt(2, "xy").ok());
    CHECK((*file)->Sync().ok());
  });
  EXPECT_EQ(outcomes, std::set<std::string>{"a=abxy "});
}

TEST_F(SimFileSystemTest, OpenFilesAndLocksDieWithTheProcess) {
  const auto file = Open("/d/a");
  auto lock = fs_.Lock("/d/.lock");
  ASSERT_TRUE(lock.ok());
  fs_.KillProcess();
  EXPECT_EQ(file->WriteAt(0, "x").code(), StatusCode::kIoError);
  EXPECT_EQ(file->Sync().code(), StatusCode::kIoError);
  EXPECT_TRUE(fs_.Exists("/d/a"));
  auto second = fs_.Lock("/d/.lock");
  EXPECT_TRUE(second.ok());
  *lock = nullptr;  // the dead one must not free the living one's
  EXPECT_EQ(fs_.Lock("/d/.lock").status().code(), StatusCode::kUnavailable);
}

TEST_F(SimFileSystemTest, FaultsHitTheChosenOperationPathAndTime) {
  fs_.InjectFault({.operation = FileOperation::kSync, .path_part = ".log", .skip = 1, .times = 2});
  const auto log = Open("/d/a.log");
  const auto index = Open("/d/a.index");
  EXPECT_TRUE(index->Sync().ok());
  EXPECT_TRUE(log->Sync().ok());
  EXPECT_EQ(log->Sync().code(), StatusCode::kIoError);
  EXPECT_EQ(log->Sync().code(), StatusCode::kIoError);
  EXPECT_TRUE(log->Sync().ok());
  fs_.InjectFault(
      {.operation = FileOperation::kRead, .status = Status::IoError("EIO"), .times = -1});
  char out[1];
  EXPECT_EQ(log->ReadAt(0, out, 1).status().message(), "EIO (/d/a.log)");
  fs_.ClearFaults();
  EXPECT_TRUE(log->ReadAt(0, out, 1).ok());
}

TEST_F(SimFileSystemTest, AFailedSyncForgetsTheDirtyBytes) {
  Write(fs_, "/d/a", "old", true);
  ASSERT_TRUE(fs_.SyncDirectory("/d").ok());
  fs_.InjectFault({.operation = FileOperation::kSync});
  const auto file = Open("/d/a");
  ASSERT_TRUE(file->WriteAt(0, "new").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());  // proves nothing
  bool lost = false;
  for (uint64_t seed = 1; seed < 20 && !lost; ++seed) {
    Random random(seed);
    fs_.Crash(random);
    lost = Read("/d/a") == "old";
  }
  EXPECT_TRUE(lost);
}

TEST_F(SimFileSystemTest, ADiskFillsAndGetsRoomAgain) {
  fs_.set_capacity_bytes(10);
  const auto file = Open("/d/a");
  ASSERT_TRUE(file->WriteAt(0, "12345678").ok());
  EXPECT_EQ(file->WriteAt(8, "90ab").code(), StatusCode::kDiskFull);
  EXPECT_EQ(Read("/d/a"), "1234567890");
  EXPECT_TRUE(file->WriteAt(0, "overwrites").ok());
  EXPECT_EQ(fs_.Space("/d")->free_bytes, 0u);
  ASSERT_TRUE(file->Truncate(0).ok());
  EXPECT_TRUE(file->WriteAt(0, "x").ok());
  EXPECT_EQ(fs_.Space("/d")->free_bytes, 9u);
}

TEST_F(SimFileSystemTest, FlipsBitsOfStoredFiles) {
  Write(fs_, "/d/a", "a", true);
  fs_.FlipBit("/d/a", 0, 1);
  EXPECT_EQ(Read("/d/a"), "c");
}

TEST_F(SimFileSystemTest, TellsWhatAPowerCutWouldLeave) {
  Write(fs_, "/d/log", "abcdef", /*sync=*/true);
  EXPECT_FALSE(fs_.Durable("/d/log", 0, 6)) << "its name is not synced";
  CHECK(fs_.SyncDirectory("/d").ok());
  EXPECT_TRUE(fs_.Durable("/d/log", 0, 6));
  EXPECT_FALSE(fs_.Durable("/d/log", 0, 7));
  CHECK(Open("/d/log")->WriteAt(4, "EFGH").ok());
  EXPECT_TRUE(fs_.Durable("/d/log", 0, 4));
  EXPECT_FALSE(fs_.Durable("/d/log", 4, 1));
  EXPECT_FALSE(fs_.Durable("/d/log", 6, 2));
}

TEST_F(SimFileSystemTest, ReadsOfWhatLeftTheMemoryWait) {
  const auto file = Open("/d/a");
  ASSERT_TRUE(file->WriteAt(0, std::string(20'000, 's')).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->WriteAt(20'000, std::string(9000, 'u')).ok());
  std::string waited;
  fs_.set_on_wait([&](const std::string& path) { waited += path + ";"; });
  char out[8192];
  EXPECT_TRUE(file->ReadInMemory(0, out, 100).ok());
  fs_.DropCaches("/d/b");
  EXPECT_EQ(fs_.BytesInMemory("/d/a"), 32'768u);
  fs_.DropCaches("/d/a");
  // What is not synced is nowhere else: pages 4 to 7 stay.
  EXPECT_EQ(fs_.BytesInMemory("/d/a"), 16'384u);
  EXPECT_TRUE(file->InMemory(16'384, 100));
  EXPECT_FALSE(file->InMemory(16'383, 2));
  EXPECT_EQ(file->ReadInMemory(0, out, 100).status().code(), StatusCode::kWouldWait);
  EXPECT_EQ(waited, "");
  EXPECT_EQ(*file->ReadAt(4000, out, 200), 200u);
  EXPECT_EQ(*file->ReadAt(0, out, 8192), 8192u);
  EXPECT_EQ(waited, "/d/a;");
  EXPECT_EQ(fs_.counts().waits, 1u);
  EXPECT_EQ(fs_.counts().bytes_from_disk, 8192u);
  EXPECT_TRUE(file->ReadInMemory(0, out, 8192).ok());
  file->WontRead(100, 8092);  // of the first page a part stays wanted
  EXPECT_TRUE(file->InMemory(0, 4096));
  EXPECT_FALSE(file->InMemory(4096, 1));
  ASSERT_TRUE(file->WriteAt(4096, std::string(4096, 'w')).ok());
  EXPECT_TRUE(file->InMemory(0, 8192));
}

TEST_F(SimFileSystemTest, CountsWhatWasDone) {
  Write(fs_, "/d/a", "x", true);
  ASSERT_TRUE(fs_.SyncDirectory("/d").ok());
  const FileSystemCounts counts = fs_.counts();
  EXPECT_EQ(counts.writes, 1u);
  EXPECT_EQ(counts.file_syncs, 1u);
  EXPECT_EQ(counts.directory_syncs, 1u);
  EXPECT_EQ(counts.file_system_syncs, 1u);
}

// A sync that fails forgets what was dirty; one that is never made does not.
TEST_F(SimFileSystemTest, AStoppedProcessForgetsNothingOfWhatIsToBeSynced) {
  const std::string data(2000, 'a');
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimFileSystem fs;
    Random random(seed);
    auto file = *fs.Open("/log", OpenMode::kCreate);
    ASSERT_TRUE(fs.SyncDirectory("/").ok());
    ASSERT_TRUE(file->WriteAt(0, data).ok());
    fs.StopAfter(0);
    EXPECT_FALSE(file->Sync().ok());
    fs.KillProcess();
    ASSERT_TRUE((*fs.Open("/log", OpenMode::kReadWrite))->Sync().ok());
    fs.Crash(random);
    EXPECT_EQ(*ReadFile(fs, "/log"), data);
  }
}

}  // namespace
}  // namespace sluice::testing
