// The epoch that a log directory holds.

#include "storage/broker_epoch_file.h"

#include <gtest/gtest.h>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log_directories.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::SimFileSystem;

TEST(BrokerEpochFileTest, HoldsTheLastOne) {
  SimFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectories("/d").ok());
  EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), -1);
  for (const int64_t epoch : {int64_t{7}, int64_t{123456}, INT64_MAX, int64_t{0}}) {
    ASSERT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(epoch)).ok());
    EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), epoch);
  }
}

TEST(BrokerEpochFileTest, WhatIsNoEpochIsReplacedWhateverItsLength) {
  for (const std::string text : {"", "7\n", "no epoch, and longer than one\n"}) {
    SimFileSystem fs;
    ASSERT_TRUE(fs.CreateDirectories("/d").ok());
    ASSERT_TRUE(WriteFileAtomically(fs, std::string("/d/") + kBrokerEpochName, text).ok());
    EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), -1) << text;
    ASSERT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(8)).ok());
    EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), 8) << text;
  }
}

TEST(BrokerEpochFileTest, APowerCutLeavesTheOldOrTheNew) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    for (int64_t changes = 0; changes <= 6; ++changes) {
      SimFileSystem fs;
      Random random(seed);
      ASSERT_TRUE(fs.CreateDirectories("/d").ok());
      ASSERT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(99)).ok());
      ASSERT_TRUE(fs.SyncFileSystem("/").ok());
      fs.StopAfter(changes);
      const bool kept = KeepBrokerEpoch(fs, "/d", BrokerEpoch(100)).ok();
      fs.Crash(random);
      const int64_t found = ReadBrokerEpoch(fs, "/d").value();
      EXPECT_TRUE(found == 100 || (!kept && found == 99))
          << found << " after " << changes << " changes";
    }
  }
}

TEST(BrokerEpochFileTest, AFullDiskHasRoomForTheNextOne) {
  SimFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectories("/full").ok());
  ASSERT_TRUE(fs.CreateDirectories("/d").ok());
  ASSERT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(5)).ok());
  fs.set_capacity_bytes(0, "/full");
  fs.set_capacity_bytes(21, "/d");
  EXPECT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(1'000'000)).ok());
  EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), 1'000'000);
  EXPECT_TRUE(KeepBrokerEpoch(fs, "/full", BrokerEpoch(5)).ok()) << "the node goes into service";
  EXPECT_EQ(ReadBrokerEpoch(fs, "/full").value(), -1);
}

// File systems that write elsewhere than in place, and those that find room at the sync.
TEST(BrokerEpochFileTest, WhereThereIsNoRoomToWriteOverTheOldOneGoes) {
  using ::sluice::testing::FileOperation;
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kSync}) {
    SimFileSystem fs;
    Random random(1);
    ASSERT_TRUE(fs.CreateDirectories("/d").ok());
    ASSERT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(5)).ok());
    ASSERT_TRUE(fs.SyncFileSystem("/").ok());
    fs.InjectFault({.operation = operation, .status = Status::DiskFull("no room")});
    EXPECT_TRUE(KeepBrokerEpoch(fs, "/d", BrokerEpoch(6)).ok()) << "the node goes into service";
    fs.Crash(random);
    EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), -1) << "5 would pass for an older copy";
  }
}

TEST(BrokerEpochFileTest, WhatIsNoEpochIsNone) {
  for (const char* text : {"", "7", "00000000000000000007", "0000000000000000000x\n",
                           "000000000000000000007\n", "99999999999999999999\n"}) {
    SimFileSystem fs;
    ASSERT_TRUE(fs.CreateDirectories("/d").ok());
    ASSERT_TRUE(WriteFileAtomically(fs, "/d/broker-epoch", text).ok());
    EXPECT_EQ(ReadBrokerEpoch(fs, "/d").value(), -1) << text;
  }
}

TEST(BrokerEpochFileTest, EveryDirectoryTellsAtTheNextStart) {
  SimFileSystem fs;
  ::sluice::testing::SimClock clock;
  Random random(3);
  ASSERT_TRUE(
      LogManager::Format(fs, "/disk1", {"cluster", NodeId(3), Uuid::Generate(random)}).ok());
  const auto open = [&] {
    LogDirectoriesOptions options;
    options.directories = {"/disk1", "/disk2"};
    options.file_system = &fs;
    options.clock = &clock;
    options.random = &random;
    options.recovery_threads = 1;
    return LogDirectories::Open(std::move(options));
  };
  auto logs = open();
  ASSERT_TRUE(logs.ok()) << logs.status().ToString();
  EXPECT_EQ((*logs)->directories()[0]->last_shutdown().kept_epoch, -1);
  ASSERT_TRUE((*logs)->KeepBrokerEpoch(BrokerEpoch(42)).empty());
  logs->reset();
  fs.KillProcess();
  logs = open();
  ASSERT_TRUE(logs.ok()) << logs.status().ToString();
  for (const DirectoryPtr& directory : (*logs)->directories())
    EXPECT_EQ(directory->last_shutdown().kept_epoch, 42) << directory->path();
  fs.InjectFault({.operation = ::sluice::testing::FileOperation::kSync, .path_part = "/disk2"});
  const auto failures = (*logs)->KeepBrokerEpoch(BrokerEpoch(43));
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].directory->path(), "/disk2");
}

}  // namespace
}  // namespace sluice::storage
