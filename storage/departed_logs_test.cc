// A log that leaves one directory of a node and is made anew in another: whatever a power cut
// takes, there is one of them.

#include <gtest/gtest.h>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log_directories.h"
#include "storage/testing/test_batches.h"

namespace sluice::storage {
namespace {

const TopicPartition kOrders{"orders", PartitionIndex(0)};
constexpr char kFirst[] = "/disk1/data";
constexpr char kSecond[] = "/disk2/data";

// One node's life, whose background work never gets its turn.
class Node {
 public:
  explicit Node(uint64_t seed) : random_(seed) {
    CHECK(LogManager::Format(fs_, kFirst, {"cluster", NodeId(3), Uuid::Generate(random_)}).ok());
    CHECK(fs_.CreateDirectories("/disk2").ok());
    CHECK(Open().ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }

  Status Open() {
    logs_.reset();
    LogDirectoriesOptions options;
    options.directories = {kFirst, kSecond};
    options.file_system = &fs_;
    options.clock = &clock_;
    options.random = &random_;
    options.recovery_threads = 1;
    options.boot_id = "boot " + std::to_string(boots_);
    options.run_later = [](const std::function<void()>&) {};
    SLUICE_ASSIGN_OR_RETURN(logs_, LogDirectories::Open(std::move(options)));
    return Status::Ok();
  }
  void Kill() {
    logs_.reset();
    fs_.KillProcess();
  }
  void LosePower() {
    logs_.reset();
    fs_.Crash(random_);
    ++boots_;
  }
  void GiveRoom(const std::string& where) {
    fs_.set_capacity_bytes(where == kFirst ? 2'000'000 : 1'000'000, "/disk1");
    fs_.set_capacity_bytes(where == kFirst ? 1'000'000 : 2'000'000, "/disk2");
    logs_->RefreshSpace();
  }
  // Makes the log there, with a record that is flushed.
  void Make(const std::string& where) {
    GiveRoom(where);
    const PlacedLog placed = TryMake();
    ASSERT_TRUE(placed.log.ok()) << placed.log.status().ToString();
    ASSERT_EQ(placed.directory->path(), where);
    Log& log = **placed.log;
    ASSERT_TRUE(log.AppendAsLeader(testing::MakeBatch(), LeaderEpoch(0)).ok());
    const FlushTarget target = log.PrepareFlush();
    log.OnFlushed(target.upto, target.Run());
    ASSERT_EQ(log.flushed_offset(), log.log_end_offset());
  }
  PlacedLog TryMake() {
    return logs_->GetOrCreate({.partition = kOrders,
                               .topic_id = Uuid::FromBytes("0123456789abcdef"),
                               .may_remove = [](const TopicId&) { return true; },
                               .config = {},
                               .directory = {}});
  }
  void Remove() {
    ASSERT_TRUE(logs_->Delete(kOrders, [](const TopicId&) { return true; }).ok());
  }
  std::string Where() {
    const DirectoryPtr directory = logs_->DirectoryOf(kOrders);
    return directory == nullptr ? "" : directory->path();
  }
  ::sluice::testing::SimFileSystem& fs() { return fs_; }

 private:
  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  Random random_;
  int boots_ = 1;
  std::unique_ptr<LogDirectories> logs_;
};

TEST(DepartedLogsTest, APowerCutDoesNotBringTheOldOneBack) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const bool killed_between : {false, true}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (killed_between ? ", killed between" : ""));
      Node node(seed);
      node.Make(kFirst);
      node.Remove();
      if (killed_between) {
        node.Kill();
        ASSERT_TRUE(node.Open().ok());
      }
      node.Make(kSecond);
      node.LosePower();
      const Status opened = node.Open();
      ASSERT_TRUE(opened.ok()) << opened.ToString();
      EXPECT_EQ(node.Where(), kSecond);
    }
  }
}

TEST(DepartedLogsTest, WhileTheOldOneMayComeBackNoneIsMade) {
  Node node(1);
  node.Make(kFirst);
  node.Remove();
  node.GiveRoom(kSecond);
  node.fs().InjectFault(
      {.operation = ::sluice::testing::FileOperation::kSyncDirectory, .path_part = kFirst});
  const PlacedLog placed = node.TryMake();
  EXPECT_FALSE(placed.log.ok());
  ASSERT_NE(placed.directory, nullptr);
  EXPECT_EQ(placed.directory->path(), kFirst) << "its disk is the one that fails";
  EXPECT_FALSE(node.fs().Exists("/disk2/data/orders-0"));
}

}  // namespace
}  // namespace sluice::storage
