// The metadata log on a disk without a byte left: as long as the reserve lasts every call that
// found no room is made again, and the files are those that a disk with room has, byte by byte.
#include <gtest/gtest.h>

#include <map>

#include "controller/quorum_log.h"
#include "controller/testing/log_on_sim_disk.h"
#include "storage/reserve_file_system.h"

namespace sluice::controller {
namespace {

using raft::HardState;
using raft::PersistRequest;
using sluice::testing::FileOperation;
using testing::LogOnSimDisk;

constexpr uint64_t kReserveBytes = 64 << 10;

struct LogWithReserve : LogOnSimDisk {
  LogWithReserve() {
    segment_bytes_ = 3000;
    files_ = &reserve_files_;
    reserve_.Refill();
    EXPECT_EQ(reserve_.held_bytes(), kReserveBytes);
  }
  void FillDisk(uint64_t spare_bytes) {
    fs_.set_capacity_bytes(1 << 20, "/data");
    const DiskSpace space = fs_.Space("/data").value();
    fs_.set_capacity_bytes(space.total_bytes - space.free_bytes + spare_bytes, "/data");
  }
  void MakeRoom() { fs_.set_capacity_bytes(uint64_t{1} << 40, "/data"); }
  std::map<std::string, std::string> Files() {
    std::map<std::string, std::string> files;
    const std::vector<std::string> names = fs_.List(kDirectory).value();
    for (const std::string& name : names)
      files[name] = ReadFile(fs_, std::string(kDirectory) + "/" + name).value();
    return files;
  }
  // A vote, entries over several segments, a conflict, a snapshot and what it drops.
  Status RunGroups() {
    PersistRequest first{.hard_state = HardState{Term(1), NodeId(1)}, .entries = {}};
    for (int i = 1; i <= 40; ++i) first.entries.push_back(At(i, 1, std::string(200, 'x')));
    SLUICE_RETURN_IF_ERROR(Persist(first));
    PersistRequest second{
        .hard_state = HardState{Term(2), NodeId(2)}, .truncate_from = LogIndex(35), .entries = {}};
    for (int i = 35; i <= 60; ++i) second.entries.push_back(At(i, 2, std::string(200, 'y')));
    SLUICE_RETURN_IF_ERROR(Persist(second));
    SLUICE_RETURN_IF_ERROR(Persist({.snapshot = SnapshotAt(30, 1), .drop_before = LogIndex(31)}));
    return Persist({.entries = {At(61, 2), At(62, 2)}});
  }

  storage::SpaceReserve reserve_{{.directory = "/data",
                                  .file_system = &fs_,
                                  .clock = &scheduler_.clock(),
                                  .marks = {0, 0},
                                  .size_bytes = kReserveBytes}};
  storage::ReserveFileSystem reserve_files_{fs_, reserve_};
};

std::map<std::string, std::string> FilesWithRoom() {
  LogWithReserve disk;
  disk.Open();
  EXPECT_TRUE(disk.RunGroups().ok());
  EXPECT_EQ(disk.reserve_.held_bytes(), kReserveBytes);
  return disk.Files();
}

// As they were persisted, after a power cut.
void ExpectAllEntries(LogWithReserve& disk) {
  Random random(1);
  disk.Stop(&random);
  disk.MakeRoom();
  disk.Open();
  ASSERT_EQ(disk.log_->opened().last_index, LogIndex(62));
  EXPECT_EQ(disk.log_->opened().hard_state, (HardState{Term(2), NodeId(2)}));
  const auto entries = disk.log_->Read(LogIndex(31), LogIndex(63), 1 << 20);
  ASSERT_EQ(entries->size(), 32U);
  EXPECT_EQ(entries->at(3), LogOnSimDisk::At(34, 1, std::string(200, 'x')));
  EXPECT_EQ(entries->at(4), LogOnSimDisk::At(35, 2, std::string(200, 'y')));
}

TEST(QuorumLogReserve, WhateverCallFindsNoRoomIsMadeAgain) {
  const auto expected = FilesWithRoom();
  int failed = 0;
  for (const FileOperation operation : {FileOperation::kOpen, FileOperation::kWrite,
                                        FileOperation::kTruncate, FileOperation::kRename}) {
    for (int skip = 0;; ++skip) {
      LogWithReserve disk;
      disk.Open();
      disk.fs_.InjectFault({.operation = operation,
                            .path_part = LogOnSimDisk::kDirectory,
                            .status = Status::DiskFull("no room"),
                            .skip = skip});
      const Status done = disk.RunGroups();
      ASSERT_TRUE(done.ok()) << skip << ": " << done.ToString();
      // Before anything else opens a file.
      if (disk.fs_.faults_left()) break;
      ASSERT_EQ(disk.Files(), expected) << skip;
      ++failed;
      EXPECT_LT(disk.reserve_.held_bytes(), kReserveBytes);
      ExpectAllEntries(disk);
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(failed, 40);
}

// The disk takes the first bytes of a write and not the rest.
TEST(QuorumLogReserve, WhatDidNotFitIsWrittenOver) {
  const auto expected = FilesWithRoom();
  for (uint64_t spare = 0; spare < 20'000; spare += 97) {
    LogWithReserve disk;
    disk.Open();
    disk.FillDisk(spare);
    const Status done = disk.RunGroups();
    ASSERT_TRUE(done.ok()) << spare << ": " << done.ToString();
    ASSERT_EQ(disk.Files(), expected) << spare;
    ExpectAllEntries(disk);
    if (::testing::Test::HasFailure()) return;
  }
}

// The same without it: what the reserve is for.
TEST(QuorumLogReserve, WithoutAReserveTheLogFails) {
  LogWithReserve disk;
  disk.files_ = &disk.fs_;
  disk.Open();
  disk.FillDisk(100);
  EXPECT_EQ(disk.RunGroups().code(), StatusCode::kDiskFull);
}

TEST(QuorumLogReserve, WhenNothingIsLeftOfItTheLogFailsAndSaysSo) {
  LogWithReserve disk;
  disk.Open();
  disk.FillDisk(0);
  PersistRequest large{.hard_state = HardState{Term(1), NodeId(1)}, .entries = {}};
  for (int i = 1; i <= 40; ++i) large.entries.push_back(LogOnSimDisk::At(i, 1, "e"));
  large.entries.push_back(LogOnSimDisk::At(41, 1, std::string(2 * kReserveBytes, 'x')));
  const Status failed = disk.Persist(large);
  EXPECT_EQ(failed.code(), StatusCode::kDiskFull);
  EXPECT_NE(failed.message().find("nothing can be given up of the reserve in /data/space.reserve"),
            std::string::npos)
      << failed.message();
  EXPECT_FALSE(disk.fs_.Exists("/data/space.reserve"));
  // Nothing of it was reported, and what was written before is there.
  disk.Stop(nullptr);
  disk.MakeRoom();
  disk.Open();
  EXPECT_EQ(disk.log_->opened().hard_state, (HardState{Term(1), NodeId(1)}));
}

// A sync that failed is not made again: nobody knows what it lost.
TEST(QuorumLogReserve, AFailedSyncIsFinal) {
  LogWithReserve disk;
  disk.Open();
  disk.fs_.InjectFault({.operation = FileOperation::kSync,
                        .path_part = ".log",
                        .status = Status::DiskFull("no room")});
  EXPECT_FALSE(disk.RunGroups().ok());
  EXPECT_EQ(disk.reserve_.held_bytes(), kReserveBytes);
}

TEST(QuorumLogReserve, TheLogOpensOnAFullDisk) {
  LogWithReserve disk;
  disk.Open();
  ASSERT_TRUE(disk.RunGroups().ok());
  for (int start = 0; start < 3; ++start) {
    disk.Stop(nullptr);
    disk.FillDisk(0);
    disk.Open();
    ASSERT_NE(disk.log_, nullptr);
    EXPECT_EQ(disk.log_->opened().last_index, LogIndex(62 + start));
    ASSERT_TRUE(disk.Persist({.entries = {LogOnSimDisk::At(63 + start, 2)}}).ok());
  }
  // And when there is room the reserve is whole again.
  EXPECT_LT(disk.reserve_.held_bytes(), kReserveBytes);
  disk.MakeRoom();
  disk.reserve_.Refill();
  EXPECT_EQ(disk.reserve_.held_bytes(), kReserveBytes);
}

TEST(QuorumLogReserve, ASnapshotOfItsOwnHasToWaitForRoom) {
  LogWithReserve disk;
  disk.Open();
  disk.FillDisk(1000);
  EXPECT_TRUE(disk.log_->HasRoomForSnapshot(500));
  EXPECT_FALSE(disk.log_->HasRoomForSnapshot(501)) << "what is in reserve is not for it";
}

}  // namespace
}  // namespace sluice::controller
