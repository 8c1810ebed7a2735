// A log whose partition.metadata a power cut has taken: whose it is, and when that cannot happen.

#include <gmock/gmock.h>

#include "storage/checkpoint_file.h"
#include "storage/file_names.h"
#include "storage/log_directory.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using testing::MakeBatch;

const TopicPartition kOrders{"orders", PartitionIndex(0)};
constexpr char kOrdersPath[] = "/data/orders-0";
constexpr char kIdPath[] = "/data/orders-0/partition.metadata";
constexpr char kSegmentPath[] = "/data/orders-0/00000000000000000000.log";

class LostTopicIdTest : public ::testing::Test {
 protected:
  LostTopicIdTest() {
    CHECK(
        LogManager::Format(fs_, "/data", {"cluster", NodeId(3), Uuid::FromBytes(kDirectory)}).ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }

  void Open() {
    LogManagerOptions options;
    options.directory = "/data";
    options.file_system = &fs_;
    options.clock = &clock_;
    options.host_restarted = host_restarted_;
    options.taken_over = taken_over_;
    options.run_later = [](const std::function<void()>& task) { task(); };
    auto manager = LogManager::Open(std::move(options));
    ASSERT_TRUE(manager.ok()) << manager.status().ToString();
    manager_ = std::move(*manager);
  }
  std::shared_ptr<Log> Get(const TopicId& id) {
    auto log = manager_->GetOrCreate(kOrders, id, LogConfig());
    CHECK(log.ok()) << log.status().ToString();
    return *log;
  }
  // A log of the first topic, with so many records.
  std::shared_ptr<Log> Make(int records) {
    auto log = Get(kFirstTopic);
    for (int i = 0; i < records; ++i) CHECK(log->AppendAsLeader(MakeBatch(), LeaderEpoch(0)).ok());
    return log;
  }
  static void Flush(Log& log) {
    const FlushTarget target = log.PrepareFlush();
    log.OnFlushed(target.upto, target.Run());
  }
  // All that was written is on the disk, but for the id's bytes.
  void LoseTheId() {
    manager_.reset();
    fs_.KillProcess();
    CHECK(fs_.Open(kIdPath, OpenMode::kCreateTruncate).ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }
  int DirectoriesLike(std::string_view suffix) {
    int count = 0;
    const std::vector<std::string> names = fs_.List("/data").value();
    for (const std::string& name : names)
      count += name.starts_with("orders-0.") && name.ends_with(suffix) ? 1 : 0;
    return count;
  }
  // Where the second topic's log ends that finds what the first has left.
  Offset EndOfTheSecondTopic() {
    Open();
    return Get(kSecondTopic)->log_end_offset();
  }

  static constexpr char kDirectory[] = "fedcba9876543210";
  const TopicId kFirstTopic = Uuid::FromBytes("0123456789abcdef");
  const TopicId kSecondTopic = Uuid::FromBytes("another topic's!");
  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  bool host_restarted_ = true;
  bool taken_over_ = false;
  std::unique_ptr<LogManager> manager_;
};

TEST_F(LostTopicIdTest, AFlushSyncsTheIdAndItsNameBeforeTheRecords) {
  for (const auto& [operation, path] :
       {std::pair(FileOperation::kSync, std::string(kIdPath)),
        std::pair(FileOperation::kSyncDirectory, std::string(kOrdersPath))}) {
    Open();
    const auto log = Make(3);
    // The names may be durable at any time.
    ASSERT_TRUE(fs_.SyncDirectory("/data").ok());
    ASSERT_TRUE(fs_.SyncDirectory(kOrdersPath).ok());
    fs_.InjectFault({.operation = operation, .path_part = path});
    EXPECT_FALSE(log->PrepareFlush().Run().ok()) << path;
    EXPECT_FALSE(fs_.faults_left());
    EXPECT_FALSE(fs_.Durable(kSegmentPath, 0, log->size_bytes())) << path;
    manager_.reset();
    fs_.KillProcess();
    ASSERT_TRUE(fs_.RemoveAll(kOrdersPath).ok());
  }
}

TEST_F(LostTopicIdTest, RecordsThatNoFlushCoveredAreNotTheNextTopics) {
  Open();
  Make(3);
  LoseTheId();
  Open();
  EXPECT_EQ(manager_->Find(kOrders), nullptr);
  EXPECT_FALSE(manager_->Holds(kOrders));
  EXPECT_EQ(DirectoriesLike(kStraySuffix), 1) << "nothing is thrown away that may be the only copy";
  EXPECT_EQ(Get(kSecondTopic)->log_end_offset(), Offset(0));
  EXPECT_EQ(manager_->TopicIdOf(kOrders), kSecondTopic);
}

TEST_F(LostTopicIdTest, AnEmptyOneIsRemoved) {
  Open();
  Make(0);
  LoseTheId();
  Open();
  EXPECT_FALSE(manager_->Holds(kOrders));
  EXPECT_EQ(DirectoriesLike(kStraySuffix), 0);
  EXPECT_EQ(DirectoriesLike(kDeleteSuffix), 0);
}

TEST_F(LostTopicIdTest, WithoutARestartOfTheHostTheLogNeverHadAnId) {
  Open();
  Make(3);
  LoseTheId();
  host_restarted_ = false;
  EXPECT_EQ(EndOfTheSecondTopic(), Offset(3));
}

TEST_F(LostTopicIdTest, LogsOfAnOlderKafkaAreTakenOver) {
  Open();
  Make(3);
  LoseTheId();
  taken_over_ = true;
  EXPECT_EQ(EndOfTheSecondTopic(), Offset(3));
}

TEST_F(LostTopicIdTest, ALogThatWasFlushedOnceKeepsItsRecords) {
  Open();
  Flush(*Make(3));
  ASSERT_TRUE(manager_->WriteCheckpoints({}).ok());
  LoseTheId();
  EXPECT_EQ(EndOfTheSecondTopic(), Offset(3));
}

TEST_F(LostTopicIdTest, SoDoesOneThatWasClosedCleanly) {
  Open();
  Make(3);
  ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
  LoseTheId();
  EXPECT_EQ(EndOfTheSecondTopic(), Offset(3));
}

}  // namespace
}  // namespace sluice::storage
