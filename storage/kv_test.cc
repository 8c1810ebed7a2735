// One suite for every Kv: RocksDB and its simulated twin must not differ. What a crash takes away
// only the twin can show.

#include "storage/kv.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "storage/testing/copy_as_killed.h"
#include "storage/testing/sim_kv.h"

namespace sluice::storage {
namespace {

constexpr KvFamily kOffsets = 0;
constexpr KvFamily kGroups = 1;
constexpr char kStream[] = "__consumer_offsets-7";

enum class Which { kRocks, kSim };

class KvTest : public ::testing::TestWithParam<Which> {
 protected:
  KvTest() : directory_(::testing::TempDir() + "kv_test." + std::to_string(::getpid())) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Reopen();
  }
  ~KvTest() override {
    kv_.reset();
    std::filesystem::remove_all(directory_);
  }

  KvOptions Options(const std::string& name) const {
    KvOptions options;
    options.directory = directory_ + "/" + name;
    options.families = {"offsets", "groups"};
    return options;
  }
  Result<std::unique_ptr<Kv>> OpenAt(const std::string& name) {
    return GetParam() == Which::kRocks ? OpenRocksKv(Options(name)) : disk_.Open(Options(name));
  }
  void Reopen() {
    kv_.reset();
    auto kv = OpenAt("store");
    CHECK(kv.ok()) << kv.status().ToString();
    kv_ = std::move(*kv);
  }
  void Put(KvFamily family, std::string_view key, std::string_view value, int64_t applied) {
    KvBatch batch;
    batch.Put(family, key, value);
    batch.SetApplied(kStream, Offset(applied));
    ASSERT_TRUE(kv_->Write(batch).ok());
  }
  std::optional<std::string> Get(KvFamily family, std::string_view key) {
    return kv_->Get(family, key).value();
  }
  std::string All(KvFamily family, const KvSnapshot* snapshot = nullptr, std::string_view from = "",
                  std::string_view to = "") {
    std::string all;
    CHECK(kv_->Iterate(snapshot, {family, from, to},
                       [&](std::string_view key, std::string_view value) {
                         all.append(key).append("=").append(value).append(" ");
                         return true;
                       })
              .ok());
    return all;
  }

  // With buffers so small that it flushes by itself after a while.
  void ReopenSmall() {
    kv_.reset();
    KvOptions options = Options("small");
    options.write_buffer_bytes = 64 << 10;
    auto kv = GetParam() == Which::kRocks
                  ? OpenRocksKv(options)
                  : disk_.Open(options, [this] { return ++writes_ % 50 == 0; });
    CHECK(kv.ok()) << kv.status().ToString();
    kv_ = std::move(*kv);
  }
  // The n-th entry of both families at once; the view then holds all up to it.
  Status PutBoth(int64_t n) {
    KvBatch batch;
    for (const KvFamily family : {kOffsets, kGroups})
      batch.Put(family, std::to_string(n), std::string(100, 'x'));
    batch.SetApplied(kStream, Offset(n + 1));
    return kv_->Write(batch);
  }
  // What a start would find if the process were killed now.
  void Kill(const std::string& name) {
    if (GetParam() == Which::kSim) return ReopenSmall();
    const std::string from = directory_ + "/" + name;
    testing::CopyAsKilled(from, from + "-killed");
    auto kv = OpenRocksKv(Options(name + "-killed"));
    CHECK(kv.ok()) << kv.status().ToString();
    kv_ = std::move(*kv);
  }
  // Moves the store's files away from under it, or makes its twin's disk fail.
  void BreakDisk(const std::string& name) {
    disk_.FailFlushes(Status::IoError("the disk is broken"));
    if (GetParam() == Which::kRocks)
      std::filesystem::rename(directory_ + "/" + name, directory_ + "/moved");
  }

  const std::string directory_;
  testing::SimKvDisk disk_;
  std::unique_ptr<Kv> kv_;
  int writes_ = 0;
};

TEST_P(KvTest, FamiliesAreApart) {
  Put(kOffsets, "a", "1", 1);
  Put(kGroups, "a", "2", 2);
  EXPECT_EQ(Get(kOffsets, "a"), "1");
  EXPECT_EQ(Get(kGroups, "a"), "2");
  EXPECT_EQ(Get(kGroups, "b"), std::nullopt);
}

TEST_P(KvTest, ABatchAndItsAppliedOffsetGoTogether) {
  EXPECT_EQ(kv_->Applied(kStream).value(), std::nullopt);
  KvBatch batch;
  batch.Put(kOffsets, "a", "1");
  batch.Put(kOffsets, "b", "2");
  batch.Delete(kOffsets, "a");
  batch.SetApplied(kStream, Offset(9));
  batch.SetApplied("other", Offset(3));
  ASSERT_TRUE(kv_->Write(batch).ok());
  EXPECT_EQ(All(kOffsets), "b=2 ");
  EXPECT_EQ(kv_->Applied(kStream).value(), Offset(9));
  KvBatch forget;
  forget.ForgetApplied(kStream);
  ASSERT_TRUE(kv_->Write(forget).ok());
  EXPECT_EQ(kv_->Applied(kStream).value(), std::nullopt);
  EXPECT_EQ(kv_->Applied("other").value(), Offset(3));
}

TEST_P(KvTest, RangesAreHalfOpenAndInOrder) {
  for (const char* key : {"d", "b", "a", "c"}) Put(kOffsets, key, "x", 1);
  EXPECT_EQ(All(kOffsets), "a=x b=x c=x d=x ");
  EXPECT_EQ(All(kOffsets, nullptr, "b", "d"), "b=x c=x ");
  KvBatch batch;
  batch.DeleteRange(kOffsets, "b", "d");
  ASSERT_TRUE(kv_->Write(batch).ok());
  EXPECT_EQ(All(kOffsets), "a=x d=x ");
  int visited = 0;
  ASSERT_TRUE(kv_->Iterate(nullptr, {kOffsets},
                           [&](std::string_view, std::string_view) { return ++visited < 1; })
                  .ok());
  EXPECT_EQ(visited, 1);
}

TEST_P(KvTest, ASnapshotDoesNotMove) {
  Put(kOffsets, "a", "1", 1);
  const auto snapshot = kv_->NewSnapshot();
  Put(kOffsets, "a", "2", 2);
  Put(kOffsets, "b", "3", 3);
  EXPECT_EQ(All(kOffsets, snapshot.get()), "a=1 ");
  EXPECT_EQ(All(kOffsets), "a=2 b=3 ");
}

TEST_P(KvTest, WhatWasFlushedComesBack) {
  Put(kOffsets, "a", "1", 5);
  EXPECT_EQ(kv_->DurablyApplied(kStream), std::nullopt);
  ASSERT_TRUE(kv_->Flush().ok());
  EXPECT_EQ(kv_->DurablyApplied(kStream), Offset(5));
  Put(kOffsets, "b", "2", 6);
  EXPECT_EQ(kv_->DurablyApplied(kStream), Offset(5));
  EXPECT_EQ(kv_->Applied(kStream).value(), Offset(6));
  Reopen();
  EXPECT_EQ(Get(kOffsets, "a"), "1");
  EXPECT_GE(kv_->Applied(kStream).value(), Offset(5));
  EXPECT_EQ(kv_->DurablyApplied(kStream), kv_->Applied(kStream).value());
}

TEST_P(KvTest, ACheckpointIsAStoreOfItsOwn) {
  Put(kGroups, "g", "1", 4);
  ASSERT_TRUE(kv_->Checkpoint(directory_ + "/copy").ok());
  Put(kGroups, "g", "2", 5);
  EXPECT_FALSE(kv_->Checkpoint(directory_ + "/copy").ok());
  kv_.reset();
  auto copy = OpenAt("copy");
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  EXPECT_EQ((*copy)->Get(kGroups, "g").value(), "1");
  EXPECT_EQ((*copy)->Applied(kStream).value(), Offset(4));
}

TEST_P(KvTest, ACheckpointMakesDurable) {
  Put(kGroups, "g", "1", 4);
  ASSERT_TRUE(kv_->Checkpoint(directory_ + "/copy").ok());
  EXPECT_EQ(kv_->DurablyApplied(kStream), Offset(4));
}

TEST_P(KvTest, AFlushOfItsOwnIsDurableForAllFamiliesAtOnePoint) {
  constexpr int64_t kEnough = 100000;
  ReopenSmall();
  std::optional<Offset> durable;
  int64_t written = 0;
  for (; !durable && written < kEnough; ++written) {
    ASSERT_TRUE(PutBoth(written).ok());
    durable = kv_->DurablyApplied(kStream);
  }
  ASSERT_TRUE(durable) << "the buffers hold a hundredth of that";
  EXPECT_LE(*durable, Offset(written));
  EXPECT_GT(kv_->stats().flushes, 0u);
  EXPECT_EQ(kv_->stats().background_errors, 0u);

  Kill("small");
  const Offset found = kv_->Applied(kStream).value().value();
  EXPECT_GE(found, *durable);
  EXPECT_EQ(kv_->DurablyApplied(kStream), found);
  for (const KvFamily family : {kOffsets, kGroups}) {
    int64_t entries = 0;
    ASSERT_TRUE(kv_->Iterate(nullptr, {family},
                             [&](std::string_view key, std::string_view) {
                               EXPECT_LT(std::stoll(std::string(key)), found.value());
                               ++entries;
                               return true;
                             })
                    .ok());
    EXPECT_EQ(entries, found.value());
  }
}

TEST_P(KvTest, DurableIsWhatACrashLeavesEvenOfADeletion) {
  Put(kOffsets, "a", "1", 5);
  ASSERT_TRUE(kv_->Flush().ok());
  KvBatch forget;
  forget.ForgetApplied(kStream);
  ASSERT_TRUE(kv_->Write(forget).ok());
  EXPECT_EQ(kv_->Applied(kStream).value(), std::nullopt);
  EXPECT_EQ(kv_->DurablyApplied(kStream), Offset(5));
  ASSERT_TRUE(kv_->Flush().ok());
  EXPECT_EQ(kv_->DurablyApplied(kStream), std::nullopt);
}

TEST_P(KvTest, AFailedFlushIsSeen) {
  Put(kOffsets, "a", "1", 5);
  ASSERT_TRUE(kv_->Flush().ok());
  Put(kOffsets, "a", "2", 6);
  EXPECT_FALSE(kv_->stats().failed);
  BreakDisk("store");
  EXPECT_EQ(kv_->Flush().code(), StatusCode::kIoError);
  EXPECT_TRUE(kv_->stats().failed);
  EXPECT_GT(kv_->stats().background_errors, 0u);
  EXPECT_EQ(kv_->DurablyApplied(kStream), Offset(5));
  EXPECT_EQ(kv_->Applied(kStream).value(), Offset(6));
}

TEST_P(KvTest, AFailedFlushOfItsOwnIsSeenAndRefusesWrites) {
  ReopenSmall();
  BreakDisk("small");
  int64_t written = 0;
  while (written < 100000 && PutBoth(written).ok()) ++written;
  EXPECT_EQ(PutBoth(written).code(), StatusCode::kIoError);
  EXPECT_TRUE(kv_->stats().failed);
  EXPECT_GT(kv_->stats().background_errors, 0u);
  EXPECT_EQ(kv_->DurablyApplied(kStream), std::nullopt);
}

TEST_P(KvTest, TombstonesStayFromWhereTheViewIsDurable) {
  EXPECT_EQ(TombstonesStayFrom(*kv_, kStream), std::nullopt) << "there is no view";
  Put(kOffsets, "a", "1", 0);
  EXPECT_EQ(TombstonesStayFrom(*kv_, kStream), Offset(0));
  Put(kOffsets, "a", "1", 7);
  EXPECT_EQ(TombstonesStayFrom(*kv_, kStream), Offset(0)) << "a crash would take all of it";
  ASSERT_TRUE(kv_->Flush().ok());
  Put(kOffsets, "a", "1", 9);
  EXPECT_EQ(TombstonesStayFrom(*kv_, kStream), Offset(7));
}

INSTANTIATE_TEST_SUITE_P(Both, KvTest, ::testing::Values(Which::kRocks, Which::kSim),
                         [](const auto& which) {
                           return which.param == Which::kRocks ? "Rocks" : "Sim";
                         });

TEST(SimKvTest, ACrashTakesWhatWasNotFlushed) {
  testing::SimKvDisk disk;
  const KvOptions options{"/kv", {"offsets"}};
  auto kv = disk.Open(options).value();
  KvBatch first, second;
  first.Put(0, "a", "1");
  first.SetApplied(kStream, Offset(1));
  second.Put(0, "b", "2");
  second.SetApplied(kStream, Offset(2));
  ASSERT_TRUE(kv->Write(first).ok() && kv->Flush().ok() && kv->Write(second).ok());
  kv = disk.Open(options).value();
  EXPECT_EQ(kv->Get(0, "a").value(), "1");
  EXPECT_EQ(kv->Get(0, "b").value(), std::nullopt);
  EXPECT_EQ(kv->Applied(kStream).value(), Offset(1));
}

TEST(KvCacheTest, TheCacheIsAShareOfTheMemory) {
  EXPECT_EQ(KvCacheBytes(100 << 20), size_t{8} << 20);
  EXPECT_EQ(KvCacheBytes(uint64_t{4} << 30), size_t{64} << 20);
  EXPECT_EQ(KvCacheBytes(uint64_t{1} << 40), size_t{512} << 20);
}

TEST(RocksKvTest, MemoryIsBounded) {
  const std::string directory =
      ::testing::TempDir() + "kv_memory_test." + std::to_string(::getpid());
  const KvOptions options{directory, {"offsets", "groups"}, 1 << 20, 1 << 20};
  {
    auto kv = OpenRocksKv(options).value();
    uint64_t memtable_bytes_max = 0, cache_bytes_max = 0;
    constexpr int kEntries = 60000;  // 12 MiB
    for (int i = 0; i < kEntries; ++i) {
      KvBatch batch;
      batch.Put(i % 2, std::to_string(i), std::string(200, 'x'));
      ASSERT_TRUE(kv->Write(batch).ok());
      if (i % 100 == 0)
        memtable_bytes_max = std::max(memtable_bytes_max, kv->stats().memtable_bytes);
    }
    ASSERT_TRUE(kv->Flush().ok());
    for (int i = 0; i < kEntries; i += 10) {
      ASSERT_TRUE(kv->Get(i % 2, std::to_string(i)).value());
      if (i % 100 == 0) cache_bytes_max = std::max(cache_bytes_max, kv->stats().cache_bytes);
    }
    EXPECT_LE(memtable_bytes_max, 2 * options.write_buffer_bytes);
    EXPECT_LE(cache_bytes_max, options.cache_bytes * 11 / 10);
    const KvStats stats = kv->stats();
    EXPECT_GT(stats.cache_hits, 0u);
    EXPECT_GT(stats.cache_misses, 0u);
    EXPECT_GT(stats.sst_bytes, 100000u);
    EXPECT_GT(stats.keys_estimated, 0u);
  }
  std::filesystem::remove_all(directory);
}

// Where it did, a full disk ended the process at the second line.
TEST(RocksKvTest, TheStoreWritesNoLogFileOfItsOwn) {
  const std::string directory = ::testing::TempDir() + "kv_log_test." + std::to_string(::getpid());
  {
    auto kv = OpenRocksKv({directory, {"offsets"}}).value();
    ASSERT_TRUE(kv->Flush().ok());
    EXPECT_TRUE(std::filesystem::exists(directory + "/CURRENT"));
    for (const auto& file : std::filesystem::directory_iterator(directory))
      EXPECT_FALSE(file.path().filename().string().starts_with("LOG")) << file.path();
  }
  std::filesystem::remove_all(directory);
}

TEST(RocksKvTest, OneProcessAStore) {
  const std::string directory = ::testing::TempDir() + "kv_lock_test." + std::to_string(::getpid());
  const KvOptions options{directory, {"offsets"}};
  {
    auto first = OpenRocksKv(options);
    ASSERT_TRUE(first.ok()) << first.status().ToString();
    EXPECT_EQ(OpenRocksKv(options).status().code(), StatusCode::kUnavailable);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::storage
