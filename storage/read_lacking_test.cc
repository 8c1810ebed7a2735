#include "storage/read_lacking.h"

#include <gtest/gtest.h>

#include "base/testing/sim_file_system.h"

namespace sluice::storage {
namespace {

class CountingMending final : public Mending {
 public:
  void Run() override { ++runs; }
  int runs = 0;
};

class ReadLackingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = fs_.Open("/log", OpenMode::kCreateTruncate);
    ASSERT_TRUE(file.ok());
    file_ = *file;
    ASSERT_TRUE(file_->WriteAt(0, std::string(3 * 4096, 'x')).ok());
    ASSERT_TRUE(file_->Sync().ok());
    fs_.DropCaches();
  }
  Lacking Page(uint64_t page) const {
    Lacking lacking;
    lacking.slice.file = file_;
    lacking.slice.offset = page * 4096;
    lacking.slice.size_bytes = 4096;
    return lacking;
  }

  testing::SimFileSystem fs_;
  std::shared_ptr<File> file_;
};

TEST_F(ReadLackingTest, ReadsUntilNothingLacks) {
  const auto mending = std::make_shared<CountingMending>();
  std::vector<Lacking> lacking = {Page(2), {}, Page(0), {}};
  lacking[1].mending = mending;
  size_t looks = 0;
  EXPECT_TRUE(ReadWhatLacks([&](bool may_wait) -> Result<Lacking> {
                EXPECT_FALSE(may_wait);
                return lacking.at(looks++);
              }).ok());
  EXPECT_EQ(looks, 4U);
  EXPECT_EQ(mending->runs, 1);
  EXPECT_EQ(fs_.BytesInMemory("/log"), 2U * 4096);
}

TEST_F(ReadLackingTest, WaitsInTheEndWhereTheCacheKeepsNothing) {
  int looks = 0;
  EXPECT_TRUE(ReadWhatLacks([&](bool may_wait) -> Result<Lacking> {
                ++looks;
                return may_wait ? Lacking() : Page(1);
              }).ok());
  EXPECT_EQ(looks, kLackingMax + 1);
}

TEST_F(ReadLackingTest, FailuresEndIt) {
  EXPECT_EQ(
      ReadWhatLacks([](bool) -> Result<Lacking> { return Status::Unavailable("gone"); }).message(),
      "gone");
  fs_.InjectFault({.operation = testing::FileOperation::kRead, .status = Status::IoError("EIO")});
  int looks = 0;
  EXPECT_EQ(ReadWhatLacks([&](bool) -> Result<Lacking> {
              ++looks;
              return Page(1);
            }).code(),
            StatusCode::kIoError);
  EXPECT_EQ(looks, 1);
}

}  // namespace
}  // namespace sluice::storage
