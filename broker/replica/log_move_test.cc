// Replicas that move between the log directories of their broker, while they are written and read,
// and while everything happens to them that can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using testing::CommitChecker;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimProduce;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr char kThrottle[] = "replica.alter.log.dirs.io.max.bytes.per.second";

class LogMoveTest : public ::testing::Test {
 protected:
  void Build(SimTopicOptions topic = {}, SimClusterOptions options = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // broken disks and killed nodes are the subject here
    options.directories = 2;
    cluster_ = std::make_unique<SimCluster>(options);
    key_ = {cluster_->CreateTopic("orders", topic), PartitionIndex(0)};
    cluster_->RunFor(500);
  }
  ErrorCode Send(const std::string& value) {
    const auto sent = cluster_->Produce(cluster_->LeaderOf(key_), key_, value);
    EXPECT_TRUE(cluster_->RunUntil([&] { return sent->answered; }, 60000)) << value;
    return sent->error;
  }
  void SendMany(int count) {
    for (int i = 0; i < count; ++i)
      ASSERT_EQ(Send(std::string(200, 'x') + std::to_string(next_++)), ErrorCode::kNone);
  }
  std::string PathOf(NodeId node) {
    const auto directory = cluster_->logs(node).DirectoryOf(Name());
    return directory == nullptr ? "" : directory->path();
  }
  std::string OtherPathOf(NodeId node) { return PathOf(node) == "/data" ? "/data2" : "/data"; }
  static storage::TopicPartition Name() { return {"orders", PartitionIndex(0)}; }
  ErrorCode Alter(NodeId node, const std::string& path, storage::TopicPartition name = Name()) {
    return cluster_->replicas(node)->AlterLogDirs({{std::move(name), path}}).front();
  }
  bool ArrivesAt(NodeId node, const std::string& path, int64_t limit_ms = 30000) {
    return cluster_->RunUntil(
        [&] {
          const auto status = cluster_->alive(node) ? cluster_->StatusOf(node, key_) : std::nullopt;
          return status && status->directory != nullptr && status->directory->path() == path &&
                 !status->future;
        },
        limit_ms);
  }
  bool MetadataSays(NodeId node, const std::string& path) {
    return cluster_->RunUntil([&] {
      for (size_t n = 0; n < 2; ++n) {
        const auto directory = cluster_->directory(node, n);
        if (directory->path() == path)
          return cluster_->ImageOf(key_).DirectoryOf(node) == directory->id();
      }
      return false;
    });
  }
  void Throttle(NodeId node, const std::string& rate) {
    cluster_->controller().SetBrokerConfig(node, kThrottle, rate);
    cluster_->RunFor(100);
  }
  bool InSync(size_t replicas = 3) {
    return cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == replicas; }, 60000);
  }
  // Names in the node's directories that begin with the partition's.
  std::vector<std::string> Places(NodeId node) {
    std::vector<std::string> places;
    for (const std::string directory : {"/data", "/data2"}) {
      const std::vector<std::string> names = cluster_->disk(node).List(directory).value();
      for (const std::string& name : names) {
        if (name.starts_with("orders-0")) places.push_back(directory + "/" + name);
      }
    }
    return places;
  }
  // Of the copy that moves there: the end of its newest index's path.
  std::string CopysIndex(NodeId node) {
    for (const std::string& place : Places(node)) {
      if (!place.ends_with("-future")) continue;
      std::string newest;
      const std::vector<std::string> names = cluster_->disk(node).List(place).value();
      for (const std::string& name : names) {
        if (name.ends_with(".log")) newest = name.substr(0, 20);
      }
      return "-future/" + newest + ".index";
    }
    return "no copy";
  }
  void CheckAlike() {
    EXPECT_EQ(cluster_->ReadLog(kOne, key_), cluster_->ReadLog(kTwo, key_));
    EXPECT_EQ(cluster_->ReadLog(kOne, key_), cluster_->ReadLog(kThree, key_));
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
  int next_ = 0;
};

TEST_F(LogMoveTest, ALeaderMovesWhileItIsWrittenAndFollowed) {
  Build({.min_isr = 2});
  CommitChecker checker(*cluster_, key_);
  const NodeId leader = cluster_->LeaderOf(key_);
  SendMany(50);
  const std::string from = PathOf(leader), to = OtherPathOf(leader);
  ASSERT_EQ(Alter(leader, to), ErrorCode::kNone);
  EXPECT_EQ(cluster_->StatusOf(leader, key_)->future->directory->path(), to) << "at once";
  EXPECT_EQ(Alter(leader, to), ErrorCode::kNone) << "again: it goes on";
  std::vector<std::shared_ptr<SimProduce>> sent;
  ASSERT_TRUE(cluster_->RunUntil([&] {
    sent.push_back(cluster_->Produce(leader, key_, "during" + std::to_string(sent.size())));
    EXPECT_EQ(cluster_->IsrSize(key_), 3U);
    return PathOf(leader) == to;
  }));
  SendMany(5);
  for (const auto& each : sent) EXPECT_TRUE(each->acknowledged());
  EXPECT_EQ(cluster_->LeaderOf(key_), leader) << "nobody noticed";
  EXPECT_TRUE(MetadataSays(leader, to));
  EXPECT_FALSE(cluster_->StatusOf(leader, key_)->future);
  cluster_->RunFor(1000);
  EXPECT_THAT(Places(leader), ElementsAre(to + "/orders-0"));
  CheckAlike();
  // Back again, and it is there after a kill.
  ASSERT_EQ(Alter(leader, from), ErrorCode::kNone);
  ASSERT_TRUE(ArrivesAt(leader, from));
  cluster_->Kill(leader);
  cluster_->Start(leader);
  EXPECT_TRUE(InSync());
  EXPECT_EQ(PathOf(leader), from);
  CheckAlike();
  EXPECT_TRUE(checker.Check()) << checker.error();
}

TEST_F(LogMoveTest, WhatCannotMoveIsRefusedAsKafkaDoes) {
  Build();
  EXPECT_EQ(Alter(kOne, "/nowhere"), ErrorCode::kLogDirNotFound);
  EXPECT_EQ(Alter(kOne, PathOf(kOne)), ErrorCode::kNone) << "there already";
  EXPECT_FALSE(cluster_->StatusOf(kOne, key_)->future);
  EXPECT_EQ(Alter(kOne, "/data", {std::string(230, 't'), PartitionIndex(0)}),
            ErrorCode::kInvalidTopicException);
  EXPECT_EQ(Alter(kOne, "/data", {"orders", PartitionIndex(9)}),
            ErrorCode::kUnknownTopicOrPartition);
  // One that comes later is made where it was wished, twice against the order of placement.
  for (const std::string path : {"/data2", "/data2", "/data2"}) {
    const std::string topic = "later" + std::to_string(next_++);
    EXPECT_EQ(Alter(kOne, path, {topic, PartitionIndex(0)}), ErrorCode::kUnknownTopicOrPartition);
    cluster_->CreateTopic(topic, {});
    cluster_->RunFor(500);
    EXPECT_EQ(cluster_->logs(kOne).DirectoryOf({topic, PartitionIndex(0)})->path(), path);
  }
  cluster_->CreateTopic("elsewhere", {.replicas = {kTwo, kThree}});
  cluster_->RunFor(500);
  EXPECT_EQ(Alter(kOne, "/data", {"elsewhere", PartitionIndex(0)}),
            ErrorCode::kReplicaNotAvailable);
  const auto offline = cluster_->directory(kOne, 1);
  cluster_->disk(kOne).InjectFault({.operation = FileOperation::kSync,
                                    .path_part = "/data2/",
                                    .status = Status::IoError("EIO"),
                                    .times = -1});
  cluster_->RunUntil([&] { return !offline->online() || Send("x") != ErrorCode::kNone; });
  ASSERT_TRUE(cluster_->RunUntil([&] { return !offline->online(); }));
  EXPECT_EQ(Alter(kOne, "/data2"), ErrorCode::kKafkaStorageError);
}

TEST_F(LogMoveTest, AThrottledMoveIsToldAndCanBeTakenBack) {
  Build();
  Throttle(kOne, "2000");
  SendMany(100);
  const std::string from = PathOf(kOne), to = OtherPathOf(kOne);
  ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
  cluster_->RunFor(3000);
  const auto status = cluster_->StatusOf(kOne, key_);
  ASSERT_TRUE(status->future);
  EXPECT_GT(status->future->log_end_offset, Offset(5));
  EXPECT_LT(status->future->log_end_offset, Offset(60));
  EXPECT_GT(status->future->size_bytes, 2000U);
  EXPECT_EQ(status->directory->path(), from);
  ASSERT_EQ(Alter(kOne, from), ErrorCode::kNone);
  EXPECT_FALSE(cluster_->StatusOf(kOne, key_)->future);
  cluster_->RunFor(2000);
  EXPECT_THAT(Places(kOne), ElementsAre(from + "/orders-0"));
  EXPECT_TRUE(MetadataSays(kOne, from));
  // Begun anew it takes as long as the rate wants.
  ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
  EXPECT_FALSE(ArrivesAt(kOne, to, 5000));
  Throttle(kOne, "100000000");
  EXPECT_TRUE(ArrivesAt(kOne, to));
  CheckAlike();
}

// Which moments these are the seed says: in the copy, before and after the controller was told, in
// the last step, after it.
TEST_F(LogMoveTest, ANodeThatIsKilledInAMoveComesBackWithOneLogAndEndsIt) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Build({.min_isr = 2}, {.seed = seed});
    CommitChecker checker(*cluster_, key_);
    Random random(seed);
    SendMany(20);
    const std::string to = OtherPathOf(kOne);
    ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
    std::vector<std::shared_ptr<SimProduce>> sent;
    const int64_t until_ms = random.Between(0, 60);
    for (int64_t ms = 0; ms < until_ms; ++ms) {
      sent.push_back(cluster_->Produce(cluster_->LeaderOf(key_), key_, std::to_string(ms)));
      cluster_->RunFor(1);
    }
    random.Chance(1, 2) ? cluster_->PowerCut(kOne) : cluster_->Kill(kOne);
    EXPECT_TRUE(checker.Check()) << checker.error();
    cluster_->RunFor(random.Between(0, 2000));
    cluster_->Start(kOne);
    ASSERT_TRUE(InSync()) << cluster_->Describe(key_);
    // Where a copy was found it goes on, else the log is there or was never told to go.
    cluster_->RunFor(3000);
    EXPECT_THAT(Places(kOne), ElementsAre(PathOf(kOne) + "/orders-0"));
    EXPECT_TRUE(MetadataSays(kOne, PathOf(kOne)));
    EXPECT_TRUE(PathOf(kOne) == to || until_ms < 40) << until_ms;
    SendMany(3);
    cluster_->RunFor(1000);
    CheckAlike();
    EXPECT_TRUE(checker.Check()) << checker.error();
    if (HasFailure()) return;
  }
}

TEST_F(LogMoveTest, ADiskThatFailsUnderTheCopyEndsTheMoveAndNotTheReplica) {
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kSync,
                                        FileOperation::kRename, FileOperation::kSyncDirectory}) {
    for (int skip = 0; skip < 6; ++skip) {
      SCOPED_TRACE(std::to_string(static_cast<int>(operation)) + " " + std::to_string(skip));
      Build({.replicas = {kOne}});
      SendMany(20);
      const std::string from = PathOf(kOne);
      if (from != "/data") {
        ASSERT_EQ(Alter(kOne, "/data"), ErrorCode::kNone);
        ASSERT_TRUE(ArrivesAt(kOne, "/data"));
      }
      cluster_->RunFor(6000);
      cluster_->disk(kOne).InjectFault({.operation = operation,
                                        .path_part = "/data2",
                                        .status = Status::IoError("EIO"),
                                        .skip = skip,
                                        .times = -1});
      ASSERT_EQ(Alter(kOne, "/data2"), ErrorCode::kNone);
      ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->StatusOf(kOne, key_)->future; }));
      cluster_->disk(kOne).ClearFaults();
      if (PathOf(kOne) == "/data2") continue;  // so much was not done there
      EXPECT_EQ(cluster_->StatusOf(kOne, key_)->error, "");
      EXPECT_FALSE(cluster_->directory(kOne, 1)->online());
      ASSERT_TRUE(MetadataSays(kOne, "/data"));
      ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kOne; }));
      cluster_->RunFor(500);
      SendMany(5);
      // The disk is mended: what it may still hold of the copy is not believed.
      cluster_->Kill(kOne);
      cluster_->Start(kOne);
      ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kOne; }));
      cluster_->RunFor(3000);
      EXPECT_THAT(Places(kOne), ElementsAre(PathOf(kOne) + "/orders-0"));
      EXPECT_EQ(cluster_->ReadLog(kOne, key_).size(), 25U);
      if (HasFailure()) return;
    }
  }
}

// The copy may then be the last of the log that can be read: it stays.
TEST_F(LogMoveTest, TheOldDiskThatFailsTakesTheReplicaAndTheMove) {
  Build({.min_isr = 2});
  // The node's own directory is not to fail.
  ASSERT_EQ(Alter(kOne, "/data2"), ErrorCode::kNone);
  ASSERT_TRUE(ArrivesAt(kOne, "/data2"));
  Throttle(kOne, "1000");
  SendMany(40);
  ASSERT_EQ(Alter(kOne, "/data"), ErrorCode::kNone);
  cluster_->RunFor(1000);
  cluster_->disk(kOne).InjectFault({.operation = FileOperation::kWrite,
                                    .path_part = "/data2/orders-0",
                                    .status = Status::IoError("EIO"),
                                    .times = -1});
  cluster_->RunUntil([&] { return Send("x") != ErrorCode::kNone || cluster_->IsrSize(key_) == 2; });
  ASSERT_TRUE(InSync(2)) << cluster_->Describe(key_);
  cluster_->RunFor(1000);
  EXPECT_FALSE(cluster_->StatusOf(kOne, key_)->future);
  EXPECT_EQ(Send("y"), ErrorCode::kNone);
  EXPECT_THAT(Places(kOne), Contains(MatchesRegex("/data/orders-0[.][0-9a-f]+-future")));
  // With the disk back the move goes on.
  cluster_->disk(kOne).ClearFaults();
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  Throttle(kOne, "100000000");
  ASSERT_TRUE(ArrivesAt(kOne, "/data"));
  ASSERT_TRUE(InSync());
  cluster_->RunFor(1000);
  EXPECT_THAT(Places(kOne), ElementsAre("/data/orders-0"));
  CheckAlike();
}

// Its indexes cannot be cut at first, for want of room.
TEST_F(LogMoveTest, ACopyFollowsTruncationsAndDeletionsOfItsLog) {
  Build({.min_isr = 1, .configs = {{"index.interval.bytes", "500"}}});
  cluster_->set_auto_fence(false);
  Throttle(kOne, "4000");
  SendMany(30);
  cluster_->controller().MoveLeader("orders", PartitionIndex(0), kOne);
  cluster_->RunFor(500);
  const std::string to = OtherPathOf(kOne);
  ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
  DeleteRecordsResult deleted;
  cluster_->replicas(kOne)->DeleteRecords(
      {.timeout_ms = 5000, .entries = {{key_, Offset(7)}}},
      [&](std::vector<DeleteRecordsResult> results) { deleted = results[0]; });
  ASSERT_TRUE(cluster_->RunUntil([&] { return deleted.low_watermark == Offset(7); }));
  // A tail that only node 1 has, and of which the copy gets some.
  for (const NodeId node : {kTwo, kThree}) cluster_->Cut(kOne, node);
  for (int i = 0; i < 200; ++i) cluster_->Produce(kOne, key_, std::string(200, 'a'), 1);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, key_);
    return status->future && status->future->log_end_offset > Offset(40);
  }));
  ASSERT_EQ(cluster_->StatusOf(kOne, key_)->log_end_offset, Offset(230));
  cluster_->disk(kOne).InjectFault({.operation = FileOperation::kWrite,
                                    .path_part = CopysIndex(kOne),
                                    .status = Status::DiskFull("no room"),
                                    .times = 2});
  cluster_->controller().ForceLeader("orders", PartitionIndex(0), kTwo);
  cluster_->RunFor(500);
  for (int i = 0; i < 40; ++i) cluster_->Produce(kTwo, key_, std::string(200, 'b'), 1);
  cluster_->RunFor(100);
  ASSERT_TRUE(cluster_->StatusOf(kOne, key_)->future);
  cluster_->Heal();
  EXPECT_TRUE(cluster_->RunUntil([&] {
    return cluster_->StatusOf(kOne, key_)->log_end_offset == Offset(70);
  })) << cluster_->Describe(key_);
  ASSERT_TRUE(cluster_->StatusOf(kOne, key_)->future);
  Throttle(kOne, "100000000");
  ASSERT_TRUE(ArrivesAt(kOne, to)) << cluster_->Describe(key_);
  cluster_->set_auto_fence(true);
  ASSERT_TRUE(InSync());
  SendMany(2);
  cluster_->RunFor(1000);
  EXPECT_EQ(cluster_->ReadLog(kOne, key_), cluster_->ReadLog(kTwo, key_));
  EXPECT_EQ(cluster_->StatusOf(kOne, key_)->log_start_offset, Offset(7));
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  ASSERT_TRUE(InSync());
  EXPECT_EQ(cluster_->StatusOf(kOne, key_)->log_start_offset, Offset(7));
  EXPECT_EQ(cluster_->ReadLog(kOne, key_), cluster_->ReadLog(kTwo, key_));
}

// As long as the metadata may have it where it was about to move to, a start has to find why: else
// a replica that is alone in the ISR would be taken to have lost everything.
TEST_F(LogMoveTest, ASoleReplicaWhoseMoveIsTakenBackLeadsAfterAKill) {
  for (const bool power_cut : {false, true}) {
    Build({.replicas = {kOne, kTwo}, .min_isr = 1});
    SendMany(5);
    cluster_->Kill(kTwo);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
    cluster_->RunFor(500);
    SendMany(5);
    const std::string from = PathOf(kOne), to = OtherPathOf(kOne);
    ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
    ASSERT_TRUE(MetadataSays(kOne, to));
    ASSERT_EQ(PathOf(kOne), from) << "not moved yet";
    // The controller does not hear of it.
    cluster_->Cut(kOne, SimCluster::kController);
    ASSERT_EQ(Alter(kOne, from), ErrorCode::kNone);
    cluster_->RunFor(100);
    EXPECT_FALSE(cluster_->StatusOf(kOne, key_)->future);
    power_cut ? cluster_->PowerCut(kOne) : cluster_->Kill(kOne);
    cluster_->Heal();
    cluster_->RunFor(1000);
    cluster_->Start(kOne);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kOne; }));
    EXPECT_EQ(cluster_->ReadLog(kOne, key_).size(), 10U);
    cluster_->RunFor(3000);
    SendMany(1);
    EXPECT_THAT(Places(kOne), ElementsAre(PathOf(kOne) + "/orders-0"));
    EXPECT_TRUE(MetadataSays(kOne, PathOf(kOne)));
    if (HasFailure()) return;
  }
}

// As Kafka's cleaner leaves a log whose newest segment is still empty.
TEST_F(LogMoveTest, ALogThatEndsInAGapMovesWithItsNextRecord) {
  Build({.replicas = {kOne}, .configs = {{"cleanup.policy", "compact"}}});
  SendMany(5);
  const std::string from = PathOf(kOne), to = OtherPathOf(kOne);
  cluster_->RunFor(70000);  // its checkpoints
  cluster_->Kill(kOne);
  FileSystem& disk = cluster_->disk(kOne);
  ASSERT_TRUE(
      disk.Open(from + "/orders-0/00000000000000000009.log", OpenMode::kCreateTruncate).ok());
  ASSERT_TRUE(
      WriteFileAtomically(disk, from + "/cleaner-offset-checkpoint", "0\n1\norders 0 9\n").ok());
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kOne; }));
  ASSERT_EQ(cluster_->StatusOf(kOne, key_)->log_end_offset, Offset(9));
  ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
  EXPECT_FALSE(ArrivesAt(kOne, to, 3000));
  EXPECT_EQ(cluster_->StatusOf(kOne, key_)->future->log_end_offset, Offset(5));
  ASSERT_EQ(Send("next"), ErrorCode::kNone);
  ASSERT_TRUE(ArrivesAt(kOne, to));
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kOne; }));
  const auto records = cluster_->ReadLog(kOne, key_);
  ASSERT_EQ(records.size(), 6U);
  EXPECT_EQ(records.back().offset, 9);
}

TEST_F(LogMoveTest, ATopicThatIsDeletedTakesTheCopyAlong) {
  Build();
  Throttle(kOne, "1000");
  SendMany(40);
  ASSERT_EQ(Alter(kOne, OtherPathOf(kOne)), ErrorCode::kNone);
  cluster_->RunFor(1000);
  ASSERT_EQ(Places(kOne).size(), 2U);
  cluster_->controller().DeleteTopic("orders");
  EXPECT_TRUE(cluster_->RunUntil([&] { return Places(kOne).empty(); }));
}

TEST_F(LogMoveTest, ACompactedLogRestsWhileItMovesAndIsCleanedThere) {
  Build({.configs = {{"cleanup.policy", "compact"},
                     {"segment.bytes", "2000"},
                     {"min.cleanable.dirty.ratio", "0.01"}}});
  Throttle(kOne, "500");
  SendMany(6);  // all of one key
  const std::string to = OtherPathOf(kOne);
  ASSERT_EQ(Alter(kOne, to), ErrorCode::kNone);
  SendMany(54);
  cluster_->RunFor(5000);
  ASSERT_TRUE(cluster_->StatusOf(kOne, key_)->future);
  EXPECT_EQ(cluster_->ReadLog(kOne, key_).size(), 60U) << "not while it moves";
  EXPECT_LT(cluster_->ReadLog(kTwo, key_).size(), 60U);
  Throttle(kOne, "100000000");
  ASSERT_TRUE(ArrivesAt(kOne, to));
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->ReadLog(kOne, key_).size() < 20; }));
  // What was cleaned moves on as it is, holes and all.
  const std::string there = OtherPathOf(kTwo);
  ASSERT_EQ(Alter(kTwo, there), ErrorCode::kNone);
  EXPECT_TRUE(ArrivesAt(kTwo, there));
  SendMany(3);
  cluster_->RunFor(500);
  EXPECT_EQ(cluster_->ReadLog(kOne, key_).back(), cluster_->ReadLog(kTwo, key_).back());
}

}  // namespace
}  // namespace sluice::broker
