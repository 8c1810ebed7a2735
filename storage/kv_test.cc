// One suite for every Kv: RocksDB and its simulated twin must not differ. What a crash takes away
// only the twin can show.

#include "storage/kv.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

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

  Result<std::unique_ptr<Kv>> OpenAt(const std::string& name) {
    KvOptions options;
    options.directory = directory_ + "/" + name;
    options.families = {"offsets", "groups"};
    return GetParam() == Which::kRocks ? OpenRocksKv(options) : disk_.Open(options);
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

  const std::string directory_;
  testing::SimKvDisk disk_;
  std::unique_ptr<Kv> kv_;
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
