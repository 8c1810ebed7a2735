// The two indexes against a naive map: every lookup, across the border between file and memory,
// after truncation and reopening.

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "base/testing/sim_file_system.h"
#include "storage/offset_index.h"
#include "storage/time_index.h"

namespace sluice::storage {
namespace {

constexpr Offset kBase{1000};

class IndexTest : public ::testing::Test {
 protected:
  IndexTest() { CHECK(fs_.CreateDirectories("/log").ok()); }
  ::sluice::testing::SimFileSystem fs_;
  const SegmentHome home_{"/log", std::make_shared<FileCache>(fs_)};
  const std::string offset_path_ = home_.PathOf(kBase, kIndexSuffix);
  const std::string time_path_ = home_.PathOf(kBase, kTimeIndexSuffix);
};

TEST_F(IndexTest, ManyThatGrowHoldLittleInMemory) {
  constexpr int kIndexes = 6000;
  constexpr int kEntries = 600;
  std::vector<std::unique_ptr<OffsetIndex>> indexes;
  for (int i = 0; i < kIndexes; ++i)
    indexes.push_back(std::make_unique<OffsetIndex>(home_, Offset(i * 1000)));
  for (int n = 1; n <= kEntries; ++n) {
    for (int i = 0; i < kIndexes; ++i) {
      const OffsetIndex::Entry entry{Offset(i * 1000 + n), static_cast<uint32_t>(n * 4096)};
      ASSERT_TRUE(indexes[static_cast<size_t>(i)]->Append(entry).ok());
    }
    ASSERT_LE(home_.cache->held_back_bytes(),
              FileCache::kHeldBackBytesMax + int64_t{kIndexes} * 520);
  }
  EXPECT_EQ(indexes[7]->count(), static_cast<size_t>(kEntries));
  EXPECT_EQ(indexes[7]->Floor(Offset(7300)).value().position, 300u * 4096);
  indexes.clear();
  EXPECT_EQ(home_.cache->held_back_bytes(), 0);
}

TEST_F(IndexTest, OffsetLookupsAreThoseOfAMap) {
  OffsetIndex index(home_, kBase);
  std::map<int64_t, uint32_t> twin;
  Random random(1);
  int64_t offset = kBase.value();
  uint32_t position = 0;
  const auto check = [&] {
    for (int64_t target = kBase.value() - 1; target <= offset + 1; target += 7) {
      const auto entry = index.Floor(Offset(target)).value();
      auto after = twin.upper_bound(target);
      if (after == twin.begin()) {
        EXPECT_EQ(entry.position, 0u);
      } else {
        EXPECT_EQ(entry.offset.value(), std::prev(after)->first);
        EXPECT_EQ(entry.position, std::prev(after)->second);
      }
    }
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 900; ++i) {
      offset += random.Between(1, 9);
      position += static_cast<uint32_t>(random.Between(60, 5000));
      ASSERT_TRUE(index.Append({Offset(offset), position}).ok());
      twin[offset] = position;
    }
    check();
    const int64_t cut = offset - random.Between(1, 3000);
    ASSERT_TRUE(index.TruncateTo(Offset(cut)).ok());
    twin.erase(twin.lower_bound(cut), twin.end());
    offset = twin.rbegin()->first;
    position = twin.rbegin()->second;
    EXPECT_EQ(index.count(), twin.size());
    check();
  }
  ASSERT_TRUE(index.file().Spill().ok());
  OffsetIndex reopened(home_, kBase);
  EXPECT_TRUE(reopened.Load(position + 1).value());
  EXPECT_EQ(reopened.count(), twin.size());
  EXPECT_EQ(reopened.last().position, position);
  EXPECT_FALSE(reopened.Load(position).value()) << "the last entry points behind the log's end";
}

TEST_F(IndexTest, TimeLookupsAreThoseOfAMap) {
  TimeIndex index(home_, kBase);
  std::map<int64_t, int64_t> twin;
  Random random(2);
  int64_t time = 5000, offset = kBase.value();
  for (int i = 0; i < 1500; ++i) {
    offset += random.Between(1, 5);
    const int64_t candidate = time + random.Between(-3, 6);
    ASSERT_TRUE(index.MaybeAppend({candidate, Offset(offset)}).ok());
    if (candidate > time || twin.empty()) {
      time = candidate;
      twin[time] = offset;
    }
  }
  EXPECT_EQ(index.count(), twin.size());
  for (int64_t target = 4990; target <= time + 2; ++target) {
    const auto entry = index.Floor(target).value();
    auto after = twin.upper_bound(target);
    EXPECT_EQ(entry.timestamp_ms,
              after == twin.begin() ? TimeIndex::kNoTimestamp : std::prev(after)->first);
    EXPECT_EQ(entry.offset.value(),
              after == twin.begin() ? kBase.value() : std::prev(after)->second);
  }
}

TEST_F(IndexTest, TheBytesAreKafkas) {
  OffsetIndex offsets(home_, kBase);
  TimeIndex times(home_, kBase);
  ASSERT_TRUE(offsets.Append({Offset(1258), 0x01020304}).ok() && offsets.file().Spill().ok());
  ASSERT_TRUE(times.MaybeAppend({0x0a0b0c0d0e, Offset(1258)}).ok() && times.file().Spill().ok());
  EXPECT_EQ(ReadFile(fs_, offset_path_).value(), std::string("\0\0\x01\x02\x01\x02\x03\x04", 8));
  EXPECT_EQ(ReadFile(fs_, time_path_).value(),
            std::string("\0\0\0\x0a\x0b\x0c\x0d\x0e\0\0\x01\x02", 12));
}

TEST_F(IndexTest, ATornFileIsNotTrusted) {
  ASSERT_TRUE(WriteFileAtomically(fs_, offset_path_, std::string(12, '\1')).ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, time_path_, std::string(13, '\1')).ok());
  EXPECT_FALSE(OffsetIndex(home_, kBase).Load(1 << 30).value());
  EXPECT_FALSE(TimeIndex(home_, kBase).Load().value());
  EXPECT_FALSE(OffsetIndex(home_, kBase + 1).Load(1 << 30).value());
}

TEST_F(IndexTest, WhatIsForgottenIsCutByWhatIsWrittenNext) {
  TimeIndex index(home_, kBase);
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(index.MaybeAppend({1000 + i, kBase + i}).ok());
  ASSERT_TRUE(index.file().Spill().ok());
  index.Forget();
  EXPECT_EQ(index.count(), 0u);
  EXPECT_EQ(index.Floor(2000, 1000).value().offset, kBase);
  EXPECT_EQ(ReadFile(fs_, time_path_).value().size(), 36u);
  EXPECT_TRUE(index.has_unwritten());
  ASSERT_TRUE(index.MaybeAppend({7, kBase + 9}).ok());
  EXPECT_EQ(index.Floor(2000, 7).value().offset, kBase + 9);
  ASSERT_TRUE(index.file().Spill().ok());
  EXPECT_EQ(ReadFile(fs_, time_path_).value(), std::string("\0\0\0\0\0\0\0\x07\0\0\0\x09", 12));
  EXPECT_FALSE(index.has_unwritten());
  // And where nothing is written any more.
  index.Forget();
  ASSERT_TRUE(index.file().Complete().ok());
  EXPECT_EQ(ReadFile(fs_, time_path_).value(), "");
}

TEST_F(IndexTest, AFullDiskLosesNoEntry) {
  OffsetIndex index(home_, kBase);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kWrite,
                   .path_part = offset_path_,
                   .status = Status::DiskFull("ENOSPC"),
                   .times = 3});
  for (int i = 1; i <= 2000; ++i)
    ASSERT_TRUE(index.Append({kBase + i, static_cast<uint32_t>(i)}).ok());
  EXPECT_EQ(index.Floor(kBase + 600).value().position, 600u);
  EXPECT_EQ(index.count(), 2000u);
}

}  // namespace
}  // namespace sluice::storage
