#pragma once
// LogDirectoriesFixture: two log directories on a simulated disk, and the few verbs that their
// tests are written in.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log_directories.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage::testing {

inline constexpr char kFirst[] = "/disk1/data";
inline constexpr char kSecond[] = "/disk2/data";

class LogDirectoriesFixture : public ::testing::Test {
 protected:
  LogDirectoriesFixture() {
    CHECK(LogManager::Format(fs_, kFirst, {"cluster", NodeId(3), Uuid::Generate(random_)}).ok());
    CHECK(fs_.CreateDirectories("/disk2").ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }

  Result<std::unique_ptr<LogDirectories>> TryOpen() {
    LogDirectoriesOptions options;
    options.directories = paths_;
    options.file_system = &fs_;
    options.clock = &clock_;
    options.random = &random_;
    options.marks = {.soft_bytes = 400, .hard_bytes = 200};
    options.run_later = [](const std::function<void()>& task) { task(); };
    options.boot_id = boot_id_;
    return LogDirectories::Open(std::move(options));
  }
  void Open() {
    logs_.reset();
    auto logs = TryOpen();
    ASSERT_TRUE(logs.ok()) << logs.status().ToString();
    logs_ = std::move(*logs);
  }
  void Restart() {
    logs_.reset();
    fs_.KillProcess();
    Open();
  }
  static TopicPartition Name(int partition) { return {"t", PartitionIndex(partition)}; }
  ReplicaSpec Spec(int partition) const {
    return {.partition = Name(partition),
            .topic_id = topic_id_,
            .may_remove = [](const TopicId&) { return true; },
            .config = {},
            .directory = {}};
  }
  // The path that the log was put into, or the refusal.
  std::string Place(const ReplicaSpec& spec) {
    const PlacedLog placed = logs_->GetOrCreate(spec);
    return placed.log.ok() ? placed.directory->path() : placed.log.status().message();
  }
  DirectoryPtr State(const std::string& path) {
    for (const DirectoryPtr& state : logs_->directories()) {
      if (state->path() == path) return state;
    }
    return nullptr;
  }

  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  Random random_{7};
  std::vector<std::string> paths_ = {kFirst, kSecond};
  std::string boot_id_ = "boot 1";
  TopicId topic_id_ = Uuid::FromBytes("0123456789abcdef");
  std::unique_ptr<LogDirectories> logs_;
};

}  // namespace sluice::storage::testing
