#include "base/memory_limit.h"

#include <gtest/gtest.h>

#include "base/testing/sim_file_system.h"

namespace sluice {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class MemoryLimitTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(fs_.CreateDirectories(path.substr(0, path.rfind('/'))).ok());
    auto file = fs_.Open(path, OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, text).ok());
  }
  void Machine() { Write("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 100 kB\n"); }

  testing::SimFileSystem fs_;
};

TEST_F(MemoryLimitTest, NothingTells) { EXPECT_EQ(MemoryLimitBytes(fs_), 0u); }

TEST_F(MemoryLimitTest, TheMachine) {
  Machine();
  EXPECT_EQ(MemoryLimitBytes(fs_), 8192 * kMiB);
  Write("/proc/self/cgroup", "0::/system.slice/sluice.service\n");
  Write("/sys/fs/cgroup/system.slice/sluice.service/memory.max", "max\n");
  EXPECT_EQ(MemoryLimitBytes(fs_), 8192 * kMiB);
}

TEST_F(MemoryLimitTest, TheLeastOfTheGroupsAroundIt) {
  Machine();
  Write("/proc/self/cgroup", "0::/system.slice/sluice.service\n");
  Write("/sys/fs/cgroup/system.slice/sluice.service/memory.max", "2147483648\n");
  EXPECT_EQ(MemoryLimitBytes(fs_), 2048 * kMiB);
  Write("/sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
  EXPECT_EQ(MemoryLimitBytes(fs_), 1024 * kMiB);
}

TEST_F(MemoryLimitTest, AContainerSeesItsGroupAsTheRoot) {
  Machine();
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "536870912\n");
  EXPECT_EQ(MemoryLimitBytes(fs_), 512 * kMiB);
}

TEST_F(MemoryLimitTest, VersionOne) {
  Machine();
  Write("/proc/self/cgroup", "9:name=systemd:/\n4:cpuset,memory:/a/b\n1:cpu:/x\n0::/\n");
  Write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "268435456\n");
  Write("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(MemoryLimitBytes(fs_), 256 * kMiB);
}

}  // namespace
}  // namespace sluice
