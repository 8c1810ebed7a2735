// What PosixFileSystem and SimFileSystem must do alike: one suite, run on both.

#include "base/file_system.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/testing/sim_file_system.h"

namespace sluice {
namespace {

// Gives each test a file system and an empty directory on it.
struct Disk {
  std::unique_ptr<FileSystem> fs;
  std::string root;
};

Disk RealDisk() {
  std::string pattern = ::testing::TempDir() + "sluice_fs_XXXXXX";
  CHECK(mkdtemp(pattern.data()) != nullptr);
  return {NewPosixFileSystem(), pattern};
}

Disk SimDisk() {
  auto fs = std::make_unique<testing::SimFileSystem>();
  CHECK(fs->CreateDirectories("/disk").ok());
  return {std::move(fs), "/disk"};
}

struct DiskKind {
  const char* name;
  Disk (*make)();
};

class FileSystemTest : public ::testing::TestWithParam<DiskKind> {
 protected:
  FileSystemTest() : disk_(GetParam().make()) {}
  ~FileSystemTest() override { EXPECT_TRUE(fs().RemoveAll(disk_.root).ok()); }

  FileSystem& fs() { return *disk_.fs; }
  std::string Path(const std::string& name) const { return disk_.root + "/" + name; }

  void Write(const std::string& name, std::string_view data) {
    auto file = fs().Open(Path(name), OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE((*file)->WriteAt(0, data).ok());
  }
  std::string Read(const std::string& name) {
    auto content = ReadFile(fs(), Path(name));
    return content.ok() ? *content : content.status().ToString();
  }

 private:
  Disk disk_;
};

INSTANTIATE_TEST_SUITE_P(Disks, FileSystemTest,
                         ::testing::Values(DiskKind{"Posix", RealDisk}, DiskKind{"Sim", SimDisk}),
                         [](const auto& info) { return info.param.name; });

TEST_P(FileSystemTest, WritesAndReadsAtOffsets) {
  auto file = fs().Open(Path("a"), OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(3, "defg").ok());
  ASSERT_TRUE((*file)->WriteAt(0, "abc").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  char out[10] = {};
  EXPECT_EQ(*(*file)->ReadAt(2, out, 3), 3u);
  EXPECT_EQ(std::string_view(out, 3), "cde");
  EXPECT_EQ(*(*file)->ReadAt(5, out, 10), 2u);
  EXPECT_EQ(*(*file)->ReadAt(7, out, 10), 0u);
  EXPECT_EQ(*(*file)->ReadAt(100, out, 10), 0u);
  EXPECT_EQ(*(*file)->Size(), 7u);
}

TEST_P(FileSystemTest, WritesManyPartsInOneGo) {
  auto file = fs().Open(Path("a"), OpenMode::kCreate);
  std::vector<std::string> pieces;
  std::string whole = "xx";
  for (int i = 0; i < 200; ++i) {
    pieces.push_back(i % 7 == 0 ? "" : std::string(i, static_cast<char>('a' + i % 26)));
    whole += pieces.back();
  }
  const std::vector<std::string_view> parts(pieces.begin(), pieces.end());
  ASSERT_TRUE((*file)->WriteAt(0, "xx").ok());
  ASSERT_TRUE((*file)->WriteParts(2, parts).ok());
  EXPECT_EQ(Read("a"), whole);
  ASSERT_TRUE((*file)->WriteParts(0, {}).ok());
  EXPECT_EQ(Read("a"), whole);
}

TEST_P(FileSystemTest, AWriteBeyondTheEndLeavesZeros) {
  auto file = fs().Open(Path("a"), OpenMode::kCreate);
  ASSERT_TRUE((*file)->WriteAt(4, "x").ok());
  EXPECT_EQ(Read("a"), std::string("\0\0\0\0x", 5));
}

TEST_P(FileSystemTest, TruncateShortensAndLengthens) {
  auto file = fs().Open(Path("a"), OpenMode::kCreate);
  ASSERT_TRUE((*file)->WriteAt(0, "abcdef").ok());
  ASSERT_TRUE((*file)->Truncate(2).ok());
  EXPECT_EQ(Read("a"), "ab");
  ASSERT_TRUE((*file)->Truncate(4).ok());
  EXPECT_EQ(Read("a"), std::string("ab\0\0", 4));
}

TEST_P(FileSystemTest, OpenModes) {
  EXPECT_EQ(fs().Open(Path("a"), OpenMode::kRead).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(fs().Open(Path("a"), OpenMode::kReadWrite).status().code(), StatusCode::kNotFound);
  Write("a", "old");
  EXPECT_TRUE(fs().Open(Path("a"), OpenMode::kCreate).ok());
  EXPECT_EQ(Read("a"), "old");
  auto reader = fs().Open(Path("a"), OpenMode::kRead);
  EXPECT_EQ((*reader)->WriteAt(0, "x").code(), StatusCode::kIoError);
  EXPECT_TRUE(fs().Open(Path("a"), OpenMode::kCreateTruncate).ok());
  EXPECT_EQ(Read("a"), "");
  EXPECT_EQ(fs().Open(Path("none/a"), OpenMode::kCreate).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(fs().CreateDirectories(Path("directory")).ok());
  EXPECT_EQ(fs().Open(Path("directory"), OpenMode::kRead).status().code(), StatusCode::kIoError);
}

TEST_P(FileSystemTest, ErrorsNameThePath) {
  const Status status = fs().Open(Path("missing"), OpenMode::kRead).status();
  EXPECT_NE(status.message().find(Path("missing") + ": No such file"), std::string::npos)
      << status.ToString();
}

TEST_P(FileSystemTest, Directories) {
  ASSERT_TRUE(fs().CreateDirectories(Path("x/y/z")).ok());
  ASSERT_TRUE(fs().CreateDirectories(Path("x/y/z")).ok());
  Write("x/b", "1");
  Write("x/a", "2");
  EXPECT_EQ(*fs().List(Path("x")), (std::vector<std::string>{"a", "b", "y"}));
  EXPECT_TRUE(fs().IsDirectory(Path("x/y")));
  EXPECT_FALSE(fs().IsDirectory(Path("x/a")));
  EXPECT_TRUE(fs().Exists(Path("x/a")));
  EXPECT_FALSE(fs().Exists(Path("x/c")));
  EXPECT_EQ(fs().List(Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(fs().CreateDirectories(Path("x/a/b")).code(), StatusCode::kIoError);
  EXPECT_TRUE(fs().SyncDirectory(Path("x")).ok());
  EXPECT_EQ(fs().SyncDirectory(Path("none")).code(), StatusCode::kNotFound);
}

TEST_P(FileSystemTest, RenameReplacesFilesAndMovesDirectories) {
  Write("a", "1");
  Write("b", "2");
  auto open = fs().Open(Path("b"), OpenMode::kRead);
  ASSERT_TRUE(fs().Rename(Path("a"), Path("b")).ok());
  EXPECT_EQ(Read("b"), "1");
  EXPECT_FALSE(fs().Exists(Path("a")));
  char out[1];
  ASSERT_TRUE((*open)->ReadAt(0, out, 1).ok());
  EXPECT_EQ(out[0], '2') << "an open file outlives its name";

  ASSERT_TRUE(fs().CreateDirectories(Path("d/e")).ok());
  Write("d/e/f", "3");
  ASSERT_TRUE(fs().Rename(Path("d"), Path("g")).ok());
  EXPECT_EQ(Read("g/e/f"), "3");
  EXPECT_EQ(fs().Rename(Path("none"), Path("x")).code(), StatusCode::kNotFound);
}

TEST_P(FileSystemTest, RemoveAndRemoveAll) {
  Write("a", "1");
  ASSERT_TRUE(fs().Remove(Path("a")).ok());
  EXPECT_EQ(fs().Remove(Path("a")).code(), StatusCode::kNotFound);
  ASSERT_TRUE(fs().CreateDirectories(Path("d/e")).ok());
  Write("d/e/f", "1");
  EXPECT_EQ(fs().Remove(Path("d")).code(), StatusCode::kIoError);
  ASSERT_TRUE(fs().RemoveAll(Path("d")).ok());
  EXPECT_FALSE(fs().Exists(Path("d")));
  EXPECT_TRUE(fs().RemoveAll(Path("d")).ok());
}

TEST_P(FileSystemTest, ALockHasOneHolder) {
  auto first = fs().Lock(Path(".lock"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(fs().Lock(Path(".lock")).status().code(), StatusCode::kUnavailable);
  *first = nullptr;
  EXPECT_TRUE(fs().Lock(Path(".lock")).ok());
}

TEST_P(FileSystemTest, SpaceAndFileSystemSync) {
  const Result<DiskSpace> space = fs().Space(Path(""));
  ASSERT_TRUE(space.ok());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->free_bytes, space->total_bytes);
  EXPECT_TRUE(fs().SyncFileSystem(Path("")).ok());
  EXPECT_EQ(fs().SyncFileSystem(Path("none")).code(), StatusCode::kNotFound);
  const auto whole = fs().OpenWhole(Path(""));
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE((*whole)->Sync().ok());
  EXPECT_TRUE((*whole)->Sync().ok());
  EXPECT_EQ(fs().OpenWhole(Path("none")).status().code(), StatusCode::kNotFound);
}

TEST_P(FileSystemTest, WritesFilesAtomically) {
  ASSERT_TRUE(WriteFileAtomically(fs(), Path("state"), "one").ok());
  ASSERT_TRUE(WriteFileAtomically(fs(), Path("state"), "two").ok());
  EXPECT_EQ(Read("state"), "two");
  EXPECT_EQ(fs().List(Path(""))->size(), 1u);
  EXPECT_EQ(WriteFileAtomically(fs(), Path("none/state"), "x").code(), StatusCode::kNotFound);
}

TEST_P(FileSystemTest, SaysWhetherBytesAreInMemory) {
  auto file = fs().Open(Path("a"), OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  const std::string data(100'000, 'd');
  ASSERT_TRUE((*file)->WriteAt(0, data).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_TRUE((*file)->InMemory(0, data.size()));
  EXPECT_TRUE((*file)->InMemory(50'000, 0));
  std::string out(data.size(), '\0');
  EXPECT_EQ(*(*file)->ReadInMemory(0, out.data(), out.size()), data.size());
  EXPECT_EQ(out, data);
  // File systems that live in memory keep them there; what is said must fit what a read does.
  (*file)->WontRead(0, data.size());
  const bool there = (*file)->InMemory(40'000, 1000);
  const Result<size_t> read = (*file)->ReadInMemory(40'000, out.data(), 1000);
  EXPECT_EQ(read.ok(), there) << read.status().ToString();
  if (!there) {
    EXPECT_EQ(read.status().code(), StatusCode::kWouldWait);
  }
  (*file)->WillRead(40'000, 1000);
  EXPECT_EQ(*(*file)->ReadAt(40'000, out.data(), 1000), 1000u);
  EXPECT_TRUE((*file)->InMemory(40'000, 1000));
  EXPECT_EQ(*(*file)->ReadInMemory(40'000, out.data(), 1000), 1000u);
  EXPECT_EQ(*(*file)->ReadAt(99'000, out.data(), 5000), 1000u);
  EXPECT_EQ(*(*file)->ReadInMemory(99'000, out.data(), 5000), 1000u);
  EXPECT_EQ(*(*file)->ReadInMemory(data.size(), out.data(), 10), 0u);
}

// The size of a file under /proc is 0, yet process identities and the host's boot id come from
// there.
TEST(PosixFileSystemTest, FilesThatDoNotTellTheirSizeAreReadWhole) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  const Result<std::string> stat = ReadFile(*fs, "/proc/self/stat");
  ASSERT_TRUE(stat.ok()) << stat.status().ToString();
  EXPECT_NE(stat->find("base_test"), std::string::npos) << *stat;
}

TEST(PosixFileSystemTest, AFullDiskIsToldApart) {
  const auto fs = NewPosixFileSystem();
  auto full = fs->Open("/dev/full", OpenMode::kReadWrite);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ((*full)->WriteAt(0, "x").code(), StatusCode::kDiskFull);
}

}  // namespace
}  // namespace sluice
