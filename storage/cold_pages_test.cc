// What was cold before it was read leaves again, what was in memory stays.

#include "storage/cold_pages.h"

#include <gtest/gtest.h>

#include "base/testing/sim_file_system.h"

namespace sluice::storage {
namespace {

constexpr uint64_t kMiB = 1u << 20;

class ColdPagesTest : public ::testing::Test {
 protected:
  ColdPagesTest() : file_(*fs_.Open("/log", OpenMode::kCreate)) {
    CHECK(file_->WriteAt(0, std::string(8 * kMiB, 'r')).ok());
    CHECK(file_->Sync().ok());
    fs_.DropCaches();
  }
  ColdPages::Pin Read(ColdPages& pages, uint64_t offset, uint64_t size) {
    ColdPages::Pin pin = pages.Note(file_, offset, size);
    Touch(offset, size);
    return pin;
  }
  void Touch(uint64_t offset, uint64_t size) {
    std::string bytes(size, '\0');
    CHECK_EQ(*file_->ReadAt(offset, bytes.data(), size), size);
  }

  ::sluice::testing::SimFileSystem fs_;
  std::shared_ptr<File> file_;
};

TEST_F(ColdPagesTest, TheNewestStay) {
  ColdPages pages(2 * kMiB);
  for (uint64_t at = 0; at < 8 * kMiB; at += kMiB / 2) Read(pages, at, kMiB / 2);
  EXPECT_EQ(fs_.BytesInMemory("/log"), 2 * kMiB);
  EXPECT_TRUE(file_->InMemory(6 * kMiB, 2 * kMiB));
  EXPECT_EQ(pages.noted_bytes(), 2 * kMiB);
  pages.DropAll();
  EXPECT_EQ(fs_.BytesInMemory("/log"), 0u);
}

TEST_F(ColdPagesTest, WhatWasInMemoryBeforeStays) {
  Touch(3 * kMiB, kMiB);
  ColdPages pages(kMiB);
  for (uint64_t at = 0; at < 8 * kMiB; at += kMiB / 2) Read(pages, at, kMiB / 2);
  EXPECT_TRUE(file_->InMemory(3 * kMiB, kMiB));
  EXPECT_EQ(fs_.BytesInMemory("/log"), 2 * kMiB);
}

// The system took a page here and there of what everybody reads: reading that again and again takes
// out nothing more.
TEST_F(ColdPagesTest, GapsInWhatIsInMemoryDoNotGrow) {
  Touch(0, 8 * kMiB);
  ColdPages pages(0);
  for (uint64_t at = 0; at < 8 * kMiB; at += 64 * 1024) file_->WontRead(at, 4096);
  for (int reader = 0; reader < 3; ++reader) {
    for (uint64_t at = 0; at < 8 * kMiB; at += kMiB / 2) Read(pages, at, kMiB / 2);
  }
  EXPECT_EQ(fs_.BytesInMemory("/log"), 8 * kMiB);
  EXPECT_EQ(pages.noted_bytes(), 0u);
}

TEST_F(ColdPagesTest, ASecondReaderCloseBehindFindsItInMemory) {
  ColdPages pages(2 * kMiB);
  const uint64_t before = fs_.counts().bytes_from_disk;
  for (uint64_t at = 0; at < 8 * kMiB; at += kMiB / 2) {
    Read(pages, at, kMiB / 2);
    if (at >= kMiB) Read(pages, at - kMiB, kMiB / 2);
  }
  EXPECT_EQ(fs_.counts().bytes_from_disk - before, 8 * kMiB);
  EXPECT_EQ(fs_.BytesInMemory("/log"), 2 * kMiB);
}

TEST_F(ColdPagesTest, WhatIsPinnedStays) {
  ColdPages pages(kMiB);
  const ColdPages::Pin slow = Read(pages, 0, kMiB / 2);
  ASSERT_NE(slow, nullptr);
  for (uint64_t at = kMiB / 2; at < 8 * kMiB; at += kMiB / 2) Read(pages, at, kMiB / 2);
  EXPECT_TRUE(file_->InMemory(0, kMiB / 2));
  EXPECT_EQ(fs_.BytesInMemory("/log"), kMiB);
  EXPECT_EQ(pages.Note(file_, 0, kMiB / 2), nullptr) << "there is nothing to note";
}

TEST_F(ColdPagesTest, OddRangesLeaveNothingBehind) {
  ColdPages pages(0);
  uint64_t at = 12'345;
  for (const uint64_t size : {100'001u, 262'143u, 5u, 4096u, 700'000u}) {
    Read(pages, at, size);
    at += size;
  }
  pages.DropAll();
  EXPECT_EQ(fs_.BytesInMemory("/log"), 0u);
}

TEST_F(ColdPagesTest, AFileThatWasClosedIsForgotten) {
  ColdPages pages(kMiB);
  Read(pages, 0, kMiB);
  file_.reset();
  pages.DropAll();
  EXPECT_EQ(pages.noted_bytes(), 0u);
  EXPECT_EQ(fs_.BytesInMemory("/log"), kMiB);
}

TEST_F(ColdPagesTest, AFileThatIsHeldIsNotForgotten) {
  ColdPages pages(kMiB, /*holds_files=*/true);
  Read(pages, 0, kMiB);
  file_.reset();
  pages.DropAll();
  EXPECT_EQ(fs_.BytesInMemory("/log"), 0u);
}

}  // namespace
}  // namespace sluice::storage
