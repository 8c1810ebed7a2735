#include "base/disk_writes.h"

#include <gtest/gtest.h>

#include "base/testing/sim_file_system.h"

namespace sluice {
namespace {

constexpr char kStat[] = "/sys/dev/block/259:3/stat";

class DiskWritesTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    ASSERT_TRUE(fs_.CreateDirectories("/sys/dev/block/259:3").ok());
    auto file = fs_.Open(kStat, OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, text).ok());
  }
  std::unique_ptr<DiskWrites> Open() { return OpenWritesOfDevice(fs_, 259, 3); }

  testing::SimFileSystem fs_;
};

TEST_F(DiskWritesTest, GoByTheTimeThatCompletedWritesTook) {
  Write(
      "   52768     7812  2500858    10417    30731    24476  5934272    19325        0     "
      "8576\n");
  const auto writes = Open();
  ASSERT_NE(writes, nullptr);
  EXPECT_EQ(writes->Completed(), 19325u);
  // Reads are done, and writes begin.
  Write(
      "   52800     7812  2501858    10433    30740    24476  5934300    19325        9     "
      "8576\n");
  EXPECT_EQ(writes->Completed(), 19325u);
  Write(
      "   52800     7812  2501858    10433    30740    24476  5934300    19390        0     "
      "8576\n");
  EXPECT_EQ(writes->Completed(), 19390u);
}

TEST_F(DiskWritesTest, NoDeviceOrNoCountersTellNothing) {
  EXPECT_EQ(Open(), nullptr);
  for (const char* text : {"", "\n", "1 2 3 4 5 6 7", "1 2 3 4 5 6 7 x"}) {
    Write(text);
    EXPECT_EQ(Open(), nullptr) << text;
  }
  EXPECT_EQ(OpenWritesOfDevice(fs_, 0, 45), nullptr);
}

TEST_F(DiskWritesTest, ADeviceThatGoesAwayTellsNothingAnyMore) {
  Write("1 2 3 4 5 6 7 8\n");
  const auto writes = Open();
  ASSERT_NE(writes, nullptr);
  fs_.InjectFault({.operation = testing::FileOperation::kRead,
                   .path_part = kStat,
                   .status = Status::IoError("No such device"),
                   .times = -1});
  EXPECT_EQ(writes->Completed(), std::nullopt);
}

TEST_F(DiskWritesTest, OfADirectoryThatIsNotThere) {
  const auto real = NewPosixFileSystem();
  EXPECT_EQ(OpenDiskWrites(*real, "/no/such/directory"), nullptr);
}

// Which disk holds a directory is the machine's affair: where it has one of its own, the same file
// has to tell each time anew.
TEST_F(DiskWritesTest, OfThisMachineUnlessNoBlockDeviceHoldsItsFiles) {
  const auto real = NewPosixFileSystem();
  const auto writes = OpenDiskWrites(*real, ::testing::TempDir());
  if (writes == nullptr) GTEST_SKIP() << "no block device holds " << ::testing::TempDir();
  const std::string path = ::testing::TempDir() + "disk_writes";
  const auto before = writes->Completed();
  ASSERT_TRUE(before.has_value());
  for (int i = 0; i < 1000 && writes->Completed() == before; ++i) {
    auto file = real->Open(path, OpenMode::kCreate);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->WriteAt(0, std::string(1 << 20, static_cast<char>(i))).ok());
    ASSERT_TRUE((*file)->Sync().ok());
  }
  ASSERT_TRUE(real->Remove(path).ok());
  EXPECT_NE(writes->Completed(), before);
}

}  // namespace
}  // namespace sluice
