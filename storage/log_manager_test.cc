// A log directory from format to clean shutdown: identity, lock, checkpoints, marker, deletion,
// damage.

#include <gmock/gmock.h>

#include <thread>

#include "storage/checkpoint_file.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeBatch;
using ::testing::Not;

const TopicPartition kOrders{"orders", PartitionIndex(0)};
const TopicPartition kDashed{"a-b.c_d", PartitionIndex(12)};

class LogManagerTest : public ::testing::Test {
 protected:
  LogManagerTest() {
    identity_.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    identity_.node_id = NodeId(3);
    identity_.directory_id = Uuid::FromBytes("fedcba9876543210");
    CHECK(LogManager::Format(fs_, "/data", identity_).ok());
    CHECK(fs_.SyncFileSystem("/").ok());
  }

  void Open() {
    manager_.reset();
    auto manager = TryOpen();
    ASSERT_TRUE(manager.ok()) << manager.status().ToString();
    manager_ = std::move(*manager);
  }
  Result<std::unique_ptr<LogManager>> TryOpen() {
    LogManagerOptions options;
    options.directory = "/data";
    options.file_system = &fs_;
    options.clock = &clock_;
    options.run_later = [](const std::function<void()>& task) { task(); };
    return LogManager::Open(std::move(options));
  }
  std::shared_ptr<Log> Create(const TopicPartition& partition) {
    auto log = manager_->GetOrCreate(partition, topic_id_, LogConfig());
    CHECK(log.ok()) << log.status().ToString();
    return *log;
  }
  static void Append(Log& log, int batches) {
    for (int i = 0; i < batches; ++i) CHECK(log.AppendAsLeader(MakeBatch(), LeaderEpoch(0)).ok());
  }
  static void Flush(Log& log) {
    const FlushTarget target = log.PrepareFlush();
    log.OnFlushed(target.upto, target.Run());
  }
  void Kill() {
    manager_.reset();
    fs_.KillProcess();
  }
  std::string Text(const std::string& name) { return ReadFile(fs_, "/data/" + name).value(); }

  ::sluice::testing::SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  DirectoryIdentity identity_;
  TopicId topic_id_ = Uuid::FromBytes("0123456789abcdef");
  std::unique_ptr<LogManager> manager_;
};

TEST_F(LogManagerTest, AFormattedDirectoryOutlivesAPowerCut) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    ::sluice::testing::SimFileSystem fs;
    ASSERT_TRUE(LogManager::Format(fs, "/made/for/it", identity_).ok());
    Random random(seed);
    fs.Crash(random);
    EXPECT_TRUE(LogManager::ReadIdentity(fs, "/made/for/it").value());
  }
}

TEST_F(LogManagerTest, TheIdentityIsKafkasMetaProperties) {
  EXPECT_EQ(Text("meta.properties"),
            "#\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\ndirectory.id=ZmVkY2JhOTg3NjU0MzIxMA\nnode.id="
            "3\nversion=1\n");
  const auto read = LogManager::ReadIdentity(fs_, "/data").value();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node_id, NodeId(3));
  EXPECT_EQ(LogManager::Format(fs_, "/data", identity_).code(), StatusCode::kAlreadyExists);
  EXPECT_FALSE(LogManager::ReadIdentity(fs_, "/elsewhere").value());
}

TEST_F(LogManagerTest, PartitionsThatAreNobodysAreNotFormattedOver) {
  Open();
  Append(*Create(kOrders), 1);
  ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
  manager_.reset();
  ASSERT_TRUE(fs_.Remove("/data/meta.properties").ok());
  const Status refused = LogManager::Format(fs_, "/data", identity_);
  EXPECT_EQ(refused.code(), StatusCode::kCorruption);
  EXPECT_THAT(refused.message(), HasSubstr("/data holds the partition orders-0"));
  EXPECT_FALSE(fs_.Exists("/data/meta.properties"));
  ASSERT_TRUE(fs_.CreateDirectories("/other/__cluster_metadata-0").ok());
  EXPECT_TRUE(LogManager::Format(fs_, "/other", identity_).ok()) << "that is the quorum's";
}

TEST_F(LogManagerTest, OneProcessADirectory) {
  Open();
  const auto second = TryOpen();
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr("/data"));
}

TEST_F(LogManagerTest, LogsComeBackAfterACleanStop) {
  Open();
  Append(*Create(kOrders), 5);
  Append(*Create(kDashed), 2);
  ASSERT_TRUE(manager_->CloseCleanly({{kOrders, Offset(4)}}, BrokerEpoch(13)).ok());
  EXPECT_EQ(Text(".kafka_cleanshutdown"), "{\"version\":0,\"brokerEpoch\":13}");
  EXPECT_EQ(Text("recovery-point-offset-checkpoint"), "0\n2\na-b.c_d 12 2\norders 0 5\n");
  EXPECT_EQ(Text("replication-offset-checkpoint"), "0\n1\norders 0 4\n");
  EXPECT_FALSE(fs_.Exists("/data/log-start-offset-checkpoint"));
  Open();
  EXPECT_TRUE(manager_->last_shutdown().clean);
  EXPECT_EQ(manager_->last_shutdown().broker_epoch, 13);
  EXPECT_FALSE(fs_.Exists("/data/.kafka_cleanshutdown"));
  EXPECT_THAT(manager_->Partitions(), ElementsAre(kDashed, kOrders));
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(5));
  EXPECT_EQ(manager_->Find(kOrders)->flushed_offset(), Offset(5));
  EXPECT_EQ(manager_->TopicIdOf(kDashed), topic_id_);
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kOrders), Offset(4));
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kDashed), std::nullopt);
}

TEST_F(LogManagerTest, AKilledProcessLosesNothing) {
  Open();
  auto log = Create(kOrders);
  Append(*log, 5);
  Flush(*log);
  ASSERT_TRUE(manager_->WriteCheckpoints({{kOrders, Offset(3)}}).ok());
  Append(*log, 5);
  log.reset();
  Kill();
  Open();
  EXPECT_FALSE(manager_->last_shutdown().clean);
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(10));
  EXPECT_EQ(manager_->Find(kOrders)->flushed_offset(), Offset(5));
}

TEST_F(LogManagerTest, ANewTopicOfTheSameNameStartsAfresh) {
  Open();
  auto old = Create(kOrders);
  Append(*old, 5);
  Flush(*old);
  ASSERT_TRUE(manager_->WriteCheckpoints({{kOrders, Offset(5)}}).ok());
  const TopicId other = Uuid::FromBytes("another topic id");
  EXPECT_EQ(manager_->GetOrCreate(kOrders, other, LogConfig()).status().code(),
            StatusCode::kFenced);
  old.reset();
  ASSERT_TRUE(manager_->Delete(kOrders).ok());
  EXPECT_EQ(manager_->Delete(kOrders).code(), StatusCode::kNotFound);
  auto log = manager_->GetOrCreate(kOrders, other, LogConfig());
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  EXPECT_EQ((*log)->log_end_offset(), Offset(0));
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kOrders), std::nullopt);
  Append(**log, 1);
  log->reset();
  Kill();
  Open();
  EXPECT_THAT(manager_->DamagedLogs(), IsEmpty())
      << "the old checkpoint must not count against the new log";
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(1));
}

// The new log would look as if it had lost what the old one held.
TEST_F(LogManagerTest, CheckpointsWrittenBesideADeletionTellNothingOfIt) {
  Open();
  for (int i = 0; i < 100; ++i) Create({"other", PartitionIndex(i)});
  for (int round = 0; round < 50; ++round) {
    auto old = Create(kOrders);
    Append(*old, 3);
    Flush(*old);
    old.reset();
    std::thread writer([this] { CHECK(manager_->WriteCheckpoints({}).ok()); });
    ASSERT_TRUE(manager_->Delete(kOrders).ok());
    Create(kOrders);
    writer.join();
    ASSERT_THAT(Text("recovery-point-offset-checkpoint"), Not(HasSubstr("orders 0 3"))) << round;
    ASSERT_TRUE(manager_->Delete(kOrders).ok());
  }
}

TEST_F(LogManagerTest, AHighWatermarkGivenForADeletedLogIsNotTheNewOnes) {
  Open();
  Append(*Create(kOrders), 5);
  const std::map<TopicPartition, Offset> given = {{kOrders, Offset(5)}};
  ASSERT_TRUE(manager_->Delete(kOrders).ok());
  Append(*Create(kOrders), 5);
  ASSERT_TRUE(manager_->WriteCheckpoints(given).ok());
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kOrders), std::nullopt);
  ASSERT_TRUE(manager_->WriteCheckpoints({{kOrders, Offset(2)}}).ok());
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kOrders), Offset(2));
}

TEST_F(LogManagerTest, ALogThatIsSetAsideIsNoLogUntilItHasItsNameBack) {
  Open();
  Append(*Create(kOrders), 5);
  Append(*Create(kDashed), 2);
  const auto renamed = manager_->SetAside(kOrders);
  ASSERT_TRUE(renamed.ok()) << renamed.status().ToString();
  EXPECT_TRUE(renamed->starts_with("/data/orders-0.") && renamed->ends_with("-stray")) << *renamed;
  EXPECT_FALSE(manager_->Holds(kOrders));
  EXPECT_EQ(manager_->SetAside(kOrders).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(manager_->CloseCleanly({{kDashed, Offset(2)}}, BrokerEpoch(1)).ok());
  EXPECT_EQ(Text("recovery-point-offset-checkpoint"), "0\n1\na-b.c_d 12 2\n");
  Open();
  EXPECT_THAT(manager_->Partitions(), ElementsAre(kDashed));
  EXPECT_THAT(manager_->MissingLogs(), IsEmpty());
  EXPECT_TRUE(fs_.Exists(*renamed));
  manager_.reset();
  ASSERT_TRUE(fs_.Rename(*renamed, "/data/orders-0").ok());
  Open();
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(5));
}

TEST_F(LogManagerTest, HalfDoneDeletionsEndAtTheNextStart) {
  ASSERT_TRUE(fs_.CreateDirectories("/data/gone-0.0123456789abcdef0123456789abcdef-delete").ok());
  ASSERT_TRUE(fs_.CreateDirectories("/data/backup.old-delete").ok());
  ASSERT_TRUE(fs_.CreateDirectories("/data/not a partition").ok());
  ASSERT_TRUE(fs_.CreateDirectories("/data/__cluster_metadata-0").ok());
  Open();
  EXPECT_THAT(manager_->Partitions(), IsEmpty());
  EXPECT_THAT(fs_.List("/data").value(), Not(Contains(HasSubstr("gone"))));
  EXPECT_TRUE(fs_.Exists("/data/backup.old-delete")) << "no deletion of ours";
}

TEST_F(LogManagerTest, APowerCutLeavesADeletedLogWholeOrNotAtAll) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Open();
    LogConfig config;
    config.segment_bytes = 100;
    auto log = manager_->GetOrCreate(kOrders, topic_id_, config).value();
    if (log->log_end_offset() == Offset(0)) Append(*log, 5);
    Flush(*log);
    log.reset();
    fs_.StopAfter(static_cast<int64_t>(random.Below(12)));
    static_cast<void>(manager_->Delete(kOrders));
    manager_.reset();
    // Before the power goes, another process may have begun to tidy up.
    if (random.Chance(1, 2)) {
      fs_.KillProcess();
      fs_.StopAfter(static_cast<int64_t>(random.Below(12)));
      static_cast<void>(TryOpen());
    }
    fs_.Crash(random);
    Open();
    ASSERT_THAT(manager_->DamagedLogs(), IsEmpty());
    const auto found = manager_->Find(kOrders);
    if (found == nullptr) continue;
    ASSERT_EQ(found->log_start_offset(), Offset(0));
    ASSERT_EQ(found->log_end_offset(), Offset(5));
  }
}

TEST_F(LogManagerTest, ADamagedLogStaysAsItIsAndTheOthersServe) {
  Open();
  auto log = Create(kOrders);
  Append(*log, 5);
  Flush(*log);
  Append(*Create(kDashed), 1);
  ASSERT_TRUE(manager_->WriteCheckpoints({}).ok());
  const uint64_t size = log->size_bytes();
  log.reset();
  Kill();
  fs_.FlipBit("/data/orders-0/00000000000000000000.log", size / 5 * 2 + 16, 3);  // a magic
  for (int round = 0; round < 2; ++round) {
    Open();
    EXPECT_FALSE(manager_->last_shutdown().clean);
    EXPECT_EQ(manager_->last_shutdown().why_unclean,
              round == 0 ? "" : "orders-0 was out of service");
    ASSERT_TRUE(manager_->DamagedLogs().contains(kOrders));
    const Status damage = manager_->DamagedLogs().at(kOrders);
    EXPECT_EQ(damage.code(), StatusCode::kCorruption);
    EXPECT_THAT(damage.message(), HasSubstr("/data/orders-0/00000000000000000000.log"));
    EXPECT_THAT(damage.message(), HasSubstr("position"));
    EXPECT_EQ(manager_->GetOrCreate(kOrders, topic_id_, LogConfig()).status(), damage);
    EXPECT_EQ(manager_->TopicIdOf(kOrders), topic_id_);
    EXPECT_EQ(manager_->Find(kDashed)->log_end_offset(), Offset(1));
    ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
    EXPECT_EQ(Text("orders-0/00000000000000000000.log").size(), size);
  }
  ASSERT_TRUE(manager_->Delete(kOrders).code() == StatusCode::kOk);
  // The note is of one stop: a crash after it is a crash.
  Open();
  Kill();
  Open();
  EXPECT_FALSE(manager_->last_shutdown().clean);
  EXPECT_EQ(manager_->last_shutdown().why_unclean, "");
  ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
  Open();
  EXPECT_TRUE(manager_->last_shutdown().clean);
}

TEST_F(LogManagerTest, WithoutAnEpochAStopLeavesNoMarkerAndLosesNothing) {
  Open();
  Append(*Create(kOrders), 5);
  ASSERT_TRUE(manager_->CloseCleanly({{kOrders, Offset(4)}}, std::nullopt).ok());
  manager_.reset();
  Open();
  EXPECT_FALSE(manager_->last_shutdown().clean);
  EXPECT_THAT(manager_->last_shutdown().why_unclean, HasSubstr("registration"));
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(5));
  EXPECT_EQ(manager_->CheckpointedHighWatermark(kOrders), Offset(4));
}

TEST_F(LogManagerTest, TruncationsLowerTheCheckpointBeforeTheyCut) {
  Open();
  auto log = Create(kOrders);
  Append(*log, 8);
  Flush(*log);
  ASSERT_TRUE(manager_->WriteCheckpoints({}).ok());
  ASSERT_TRUE(log->TruncateTo(Offset(3)).ok());
  EXPECT_EQ(Text("recovery-point-offset-checkpoint"), "0\n1\norders 0 3\n");
}

TEST_F(LogManagerTest, LogStartsAreCheckpointed) {
  Open();
  auto log = Create(kOrders);
  Append(*log, 8);
  ASSERT_TRUE(log->AdvanceLogStart(Offset(6)).ok());
  ASSERT_TRUE(manager_->WriteCheckpoints({}).ok());
  EXPECT_EQ(Text("log-start-offset-checkpoint"), "0\n1\norders 0 6\n");
  log.reset();
  Kill();
  Open();
  EXPECT_EQ(manager_->Find(kOrders)->log_start_offset(), Offset(6));
}

TEST_F(LogManagerTest, AWrongLogStartIsRefusedUntilItIsMended) {
  Open();
  Append(*Create(kOrders), 5);
  ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
  const std::string path = "/data/log-start-offset-checkpoint";
  const std::string wrong = "0\n1\norders 0 99999999\n";
  ASSERT_TRUE(WriteFileAtomically(fs_, path, wrong).ok());
  // The first stop without the marker must not be what lets it pass.
  for (int round = 0; round < 3; ++round) {
    Open();
    ASSERT_TRUE(manager_->DamagedLogs().contains(kOrders)) << round;
    EXPECT_THAT(manager_->DamagedLogs().at(kOrders).message(), HasSubstr(path));
    ASSERT_TRUE(manager_->CloseCleanly({}, BrokerEpoch(1)).ok());
    EXPECT_EQ(Text("log-start-offset-checkpoint"), wrong);
  }
  manager_.reset();
  ASSERT_TRUE(WriteFileAtomically(fs_, path, "0\n1\norders 0 2\n").ok());
  Open();
  EXPECT_EQ(manager_->Find(kOrders)->log_start_offset(), Offset(2));
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(5));
}

TEST_F(LogManagerTest, ALogWhoseDirectoryWasRemovedIsMissed) {
  Open();
  Append(*Create(kOrders), 2);
  Append(*Create(kDashed), 2);
  const TopicPartition empty{"empty", PartitionIndex(0)};
  Create(empty);
  ASSERT_TRUE(manager_
                  ->CloseCleanly({{kOrders, Offset(4)}, {kDashed, Offset(4)}, {empty, Offset(0)}},
                                 BrokerEpoch(1))
                  .ok());
  ASSERT_TRUE(fs_.RemoveAll("/data/orders-0").ok());
  ASSERT_TRUE(fs_.RemoveAll("/data/empty-0").ok());
  Open();
  EXPECT_THAT(manager_->MissingLogs(), ElementsAre(kOrders));
  // Made anew it is like any other; one that is deleted is soon forgotten.
  Create(kOrders);
  ASSERT_TRUE(manager_->Delete(kDashed).ok());
  ASSERT_TRUE(manager_->WriteCheckpoints({{kOrders, Offset(0)}}).ok());
  Kill();
  Open();
  EXPECT_THAT(manager_->MissingLogs(), IsEmpty());
}

TEST_F(LogManagerTest, AnUnreadableCheckpointCountsAsAbsent) {
  Open();
  Append(*Create(kOrders), 3);
  Kill();
  ASSERT_TRUE(
      WriteFileAtomically(fs_, "/data/recovery-point-offset-checkpoint", "0\n7\nrubbish").ok());
  Open();
  EXPECT_EQ(manager_->Find(kOrders)->log_end_offset(), Offset(3));
}

// The directory was renamed while its flush was on its way.
TEST_F(LogManagerTest, AFlushOfADeletedPartitionHasNothingToDo) {
  Open();
  const auto log = Create(kOrders);
  Append(*log, 2);
  const FlushTarget target = log->PrepareFlush();
  ASSERT_TRUE(manager_->Delete(kOrders).ok());
  const Status synced = target.Run();
  EXPECT_TRUE(synced.ok()) << synced.ToString();
}

}  // namespace
}  // namespace sluice::storage
