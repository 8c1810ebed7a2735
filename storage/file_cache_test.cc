// The cache of open files: its bound, who stays, who goes, and what holders may
// rely on.

#include "storage/file_cache.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "base/testing/sim_file_system.h"

namespace sluice::storage {
namespace {

class FileCacheTest : public ::testing::Test {
 protected:
  FileCacheTest() { CHECK(fs_.CreateDirectories("/d").ok()); }
  static std::string Path(size_t i) { return "/d/" + std::to_string(i); }
  std::shared_ptr<File> Use(FileCache& cache, FileCache::Ref& ref, size_t i) {
    if (auto open = ref.Get()) return open;
    auto opened = cache.Open(ref, Path(i), OpenMode::kCreate);
    CHECK(opened.ok()) << opened.status().ToString();
    return *opened;
  }
  ::sluice::testing::SimFileSystem fs_;
};

TEST_F(FileCacheTest, HoldsNoMoreThanItsBound) {
  FileCache cache(fs_, 3);
  std::vector<FileCache::Ref> refs(10);
  for (size_t round = 0; round < 3; ++round) {
    for (size_t i = 0; i < refs.size(); ++i) {
      ASSERT_TRUE(Use(cache, refs[i], i)->WriteAt(0, std::to_string(i)).ok());
      EXPECT_LE(cache.open_files(), 3u);
    }
  }
  for (size_t i = 0; i < refs.size(); ++i)
    EXPECT_EQ(ReadFile(fs_, Path(i)).value(), std::to_string(i));
}

TEST_F(FileCacheTest, WhatIsUsedStays) {
  FileCache cache(fs_, 4);
  std::vector<FileCache::Ref> refs(100);
  Use(cache, refs[0], 0);
  for (size_t i = 1; i < refs.size(); ++i) {
    Use(cache, refs[i], i);
    EXPECT_NE(refs[0].Get(), nullptr) << i;
  }
}

TEST_F(FileCacheTest, AHeldHandleStaysOpenAndIsFoundAgain) {
  FileCache cache(fs_, 2);
  std::vector<FileCache::Ref> refs(50);
  const std::shared_ptr<File> held = Use(cache, refs[0], 0);
  for (size_t i = 1; i < refs.size(); ++i) Use(cache, refs[i], i);
  EXPECT_EQ(refs[0].Get(), held);
  EXPECT_LE(cache.open_files(), 3u);
}

TEST_F(FileCacheTest, HandlesThatAreAllHeldGoBeyondTheBoundAndComeBack) {
  FileCache cache(fs_, 2);
  std::vector<FileCache::Ref> refs(20);
  std::vector<std::shared_ptr<File>> held;
  for (size_t i = 0; i < refs.size(); ++i) held.push_back(Use(cache, refs[i], i));
  EXPECT_EQ(cache.open_files(), 20u);
  held.clear();
  EXPECT_LE(cache.open_files(), 2u);
}

TEST_F(FileCacheTest, WhatIsForgottenIsClosed) {
  FileCache cache(fs_, 8);
  FileCache::Ref ref;
  Use(cache, ref, 0);
  EXPECT_EQ(cache.open_files(), 1u);
  cache.Forget(ref);
  EXPECT_EQ(cache.open_files(), 0u);
  EXPECT_EQ(ref.Get(), nullptr);
  cache.Forget(ref);
}

TEST_F(FileCacheTest, WithoutDescriptorsItMakesRoom) {
  FileCache cache(fs_, 10);
  std::vector<FileCache::Ref> refs(6);
  for (size_t i = 0; i < 5; ++i) Use(cache, refs[i], i);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .path_part = "/d/5",
                   .status = Status::ResourceExhausted("EMFILE")});
  Use(cache, refs[5], 5);
  EXPECT_EQ(cache.open_files(), 3u);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kOpen,
                   .path_part = "/d/9",
                   .status = Status::ResourceExhausted("EMFILE"),
                   .times = -1});
  FileCache::Ref none;
  EXPECT_EQ(cache.Open(none, "/d/9", OpenMode::kCreate).status().code(),
            StatusCode::kResourceExhausted);
}

TEST_F(FileCacheTest, OpenFilesMayOutliveTheCache) {
  std::shared_ptr<File> file;
  FileCache::Ref ref;
  {
    FileCache cache(fs_, 2);
    file = Use(cache, ref, 0);
  }
  EXPECT_TRUE(file->WriteAt(0, "x").ok());
  EXPECT_EQ(ref.Get(), file);
  file.reset();
  EXPECT_EQ(ref.Get(), nullptr);
}

TEST_F(FileCacheTest, RandomUseNeverLosesAByte) {
  Random random(7);
  FileCache cache(fs_, 5);
  std::vector<FileCache::Ref> refs(40);
  std::vector<uint64_t> sizes(refs.size());
  std::vector<std::pair<size_t, std::shared_ptr<File>>> held;
  for (int step = 0; step < 5000; ++step) {
    const size_t i = random.Below(refs.size());
    const auto file = Use(cache, refs[i], i);
    ASSERT_EQ(file->Size().value(), sizes[i]);
    ASSERT_TRUE(file->WriteAt(sizes[i]++, "b").ok());
    if (random.Chance(1, 10)) held.emplace_back(i, file);
    if (held.size() > 8)
      held.erase(held.begin() + static_cast<ptrdiff_t>(random.Below(held.size())));
    if (random.Chance(1, 50)) cache.Forget(refs[random.Below(refs.size())]);
    ASSERT_LE(cache.open_files(), 5u + held.size());
  }
}

}  // namespace
}  // namespace sluice::storage
