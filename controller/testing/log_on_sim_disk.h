#pragma once
// LogOnSimDisk: a formatted QuorumLog on a simulated disk of its own, and what tests do with it:
// open it, persist, stop the process or cut the power.
//
// Thread rule: that of SimScheduler.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/testing/sim_event_loop.h"
#include "base/testing/sim_file_system.h"
#include "controller/quorum_log.h"

namespace sluice::controller::testing {

class LogOnSimDisk {
 public:
  static constexpr char kDirectory[] = "/data/__cluster_metadata-0";

  static raft::Bootstrap FirstVoters() {
    raft::Bootstrap bootstrap{.cluster_id = "c", .payload = "p"};
    for (int i = 1; i <= 3; ++i) {
      bootstrap.voters.push_back(
          {NodeId(i), Uuid::FromBytes(std::string(16, static_cast<char>(i)))});
    }
    return bootstrap;
  }
  static raft::Entry At(int64_t index, int64_t term, const std::string& data = "d") {
    return {LogIndex(index), Term(term), raft::EntryType::kNormal, data + std::to_string(index)};
  }

  LogOnSimDisk() {
    EXPECT_TRUE(fs_.CreateDirectories("/data").ok());
    EXPECT_TRUE(QuorumLog::Format(fs_, scheduler_.clock(), kDirectory, FirstVoters()).ok());
    EXPECT_TRUE(fs_.SyncFileSystem("/").ok());
  }

  Result<std::unique_ptr<QuorumLog>> TryOpen() {
    return QuorumLog::Open({.directory = kDirectory,
                            .file_system = files_,
                            .clock = &scheduler_.clock(),
                            .loop = loop_.get(),
                            .io_loop = io_loop_.get(),
                            .segment_bytes = segment_bytes_,
                            .snapshot_block_bytes = 4,
                            .metrics = metrics_,
                            .self = FirstVoters().voters.front(),
                            .alone = alone_});
  }
  void Open() {
    log_.reset();
    Result<std::unique_ptr<QuorumLog>> log = TryOpen();
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    log_ = *std::move(log);
  }
  // The machine loses power, or only the process ends.
  void Stop(Random* power_cut) {
    io_loop_ = std::make_unique<sluice::testing::SimEventLoop>(scheduler_);
    loop_ = std::make_unique<sluice::testing::SimEventLoop>(scheduler_);
    log_.reset();
    power_cut != nullptr ? fs_.Crash(*power_cut) : fs_.KillProcess();
  }
  Status Persist(raft::PersistRequest request) {
    std::optional<Status> outcome;
    log_->Persist(std::move(request), [&outcome](Status status) { outcome = std::move(status); });
    EXPECT_FALSE(outcome.has_value()) << "reported from inside Persist";
    EXPECT_TRUE(scheduler_.RunUntil([&outcome] { return outcome.has_value(); }, 1000));
    return *outcome;
  }
  Result<raft::SnapshotChunk> ReadSnapshot(int64_t index, uint64_t offset, size_t bytes_max) {
    std::optional<Result<raft::SnapshotChunk>> read;
    log_->ReadSnapshot({.index = LogIndex(index), .offset = offset, .bytes_max = bytes_max},
                       [&read](Result<raft::SnapshotChunk> chunk) { read = std::move(chunk); });
    EXPECT_FALSE(read.has_value()) << "reported from inside ReadSnapshot";
    EXPECT_TRUE(scheduler_.RunUntil([&read] { return read.has_value(); }, 1000));
    return *read;
  }
  // A part of "state at <index>".
  Status Receive(int64_t index, uint64_t offset, size_t bytes) {
    const raft::SnapshotRead part{.offset = offset, .bytes_max = bytes};
    return Persist({.received = std::make_shared<const raft::SnapshotChunk>(
                        ChunkOf(SnapshotAt(index, 1), part))});
  }
  Result<raft::Snapshot> LoadReceived() {
    std::optional<Result<raft::Snapshot>> loaded;
    log_->LoadReceived([&loaded](Result<raft::Snapshot> whole) { loaded = std::move(whole); });
    EXPECT_TRUE(scheduler_.RunUntil([&loaded] { return loaded.has_value(); }, 1000));
    return *loaded;
  }
  void Append(int64_t from, int64_t to, int64_t term) {
    raft::PersistRequest request;
    for (int64_t i = from; i <= to; ++i) request.entries.push_back(At(i, term));
    ASSERT_TRUE(
        Persist({.hard_state = raft::HardState{Term(term), NodeId(1)}, .entries = request.entries})
            .ok());
  }
  raft::Snapshot SnapshotAt(int64_t index, int64_t term) {
    return {{LogIndex(index), Term(term), raft::MembershipOf(FirstVoters().voters)},
            std::make_shared<const std::string>("state at " + std::to_string(index))};
  }

  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimFileSystem fs_;
  std::unique_ptr<sluice::testing::SimEventLoop> loop_ =
      std::make_unique<sluice::testing::SimEventLoop>(scheduler_);
  std::unique_ptr<sluice::testing::SimEventLoop> io_loop_ =
      std::make_unique<sluice::testing::SimEventLoop>(scheduler_);
  int64_t segment_bytes_ = 1 << 20;
  bool alone_ = false;        // as configured
  FileSystem* files_ = &fs_;  // through which the log goes to the disk
  QuorumLogMetrics* metrics_ = nullptr;
  std::unique_ptr<QuorumLog> log_;
};

}  // namespace sluice::controller::testing
