// Brokers that replicate among themselves, on simulated disks and network: the happy ways, and the
// scenarios D1 to D5 of the design.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimProduce;
using testing::SimRecord;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr PartitionIndex kZero{0};

class ReplicationTest : public ::testing::Test {
 protected:
  // One partition; node 1 leads unless `options` says otherwise.
  void Build(SimTopicOptions options, SimClusterOptions cluster = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // broken disks and lost leaders are the subject here
    cluster_ = std::make_unique<SimCluster>(cluster);
    key_ = {cluster_->CreateTopic("orders", options), kZero};
    cluster_->RunFor(200);
  }
  std::shared_ptr<SimProduce> Send(NodeId at, const std::string& value, int16_t acks = -1,
                                   int32_t timeout_ms = 30000) {
    return cluster_->Produce(at, key_, value, acks, timeout_ms);
  }
  ErrorCode SendAndWait(NodeId at, const std::string& value, int16_t acks = -1,
                        int32_t timeout_ms = 30000) {
    const auto sent = Send(at, value, acks, timeout_ms);
    EXPECT_TRUE(cluster_->RunUntil([&] { return sent->answered; }, 60000))
        << value << " was never answered";
    return sent->error;
  }
  // As a consumer; empty until it is answered.
  std::shared_ptr<std::vector<FetchEntryResult>> FetchFromOne(int64_t from,
                                                              LeaderEpoch read_last = kNoEpoch) {
    FetchRequestParams params;
    params.wait_ms_max = 2000;
    params.size_bytes_min = 1;
    params.size_bytes_max = 1 << 20;
    params.entries.push_back({.key = key_,
                              .fetch_offset = Offset(from),
                              .last_fetched_epoch = read_last,
                              .size_bytes_max = 1 << 20});
    auto answer = std::make_shared<std::vector<FetchEntryResult>>();
    cluster_->replicas(kOne)->Fetch(params, [answer](auto results) { *answer = results; });
    return answer;
  }
  bool AllHave(size_t records) {
    return cluster_->RunUntil([&] {
      for (const NodeId id : cluster_->ids()) {
        const auto status = cluster_->StatusOf(id, key_);
        if (!status || status->high_watermark != Offset(static_cast<int64_t>(records)))
          return false;
        if (status->log_end_offset != status->high_watermark) return false;
      }
      return true;
    });
  }
  std::vector<std::string> Values(NodeId id) {
    std::vector<std::string> values;
    for (const SimRecord& record : cluster_->ReadLog(id, key_)) values.push_back(record.value);
    return values;
  }
  int64_t HighWatermark(NodeId id) { return cluster_->StatusOf(id, key_)->high_watermark.value(); }
  int64_t LogEnd(NodeId id) { return cluster_->StatusOf(id, key_)->log_end_offset.value(); }
  using List = std::vector<std::string>;
  // The directories that the node has set aside.
  List Strays(NodeId id) {
    List names = cluster_->disk(id).List("/data").value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with("-stray"); });
    return names;
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
};

TEST_F(ReplicationTest, RecordsReachAllReplicasAndAllLearnTheHighWatermark) {
  Build({.min_isr = 2});
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(SendAndWait(kOne, "r" + std::to_string(i)), ErrorCode::kNone);
  ASSERT_TRUE(AllHave(20));
  EXPECT_EQ(cluster_->ReadLog(kTwo, key_), cluster_->ReadLog(kOne, key_));
  EXPECT_EQ(cluster_->ReadLog(kThree, key_), cluster_->ReadLog(kOne, key_));
  EXPECT_EQ(cluster_->Consume(kOne, key_, Offset(18)).size(), 2u);
}

TEST_F(ReplicationTest, AcksOneIsAnsweredAtTheAppendAndAcksAllNotBefore) {
  Build({.min_isr = 2});
  cluster_->set_auto_fence(false);
  const auto one = Send(kOne, "a", 1);
  EXPECT_TRUE(one->acknowledged());
  const auto all = Send(kOne, "b", -1);
  EXPECT_FALSE(all->answered);
  EXPECT_EQ(HighWatermark(kOne), 0);
  ASSERT_TRUE(cluster_->RunUntil([&] { return all->answered; }, 100));
  EXPECT_EQ(all->offset, Offset(1));
}

TEST_F(ReplicationTest, ASingleReplicaInFsyncModeAnswersWhenItsRecordIsDurable) {
  Build({.replicas = {kOne}, .fsync = true});
  const auto sent = Send(kOne, "a");
  EXPECT_FALSE(sent->answered);
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent->answered; }, 100));
  cluster_->PowerCut(kOne);
  cluster_->Start(kOne);
  cluster_->RunFor(2000);
  EXPECT_EQ(Values(kOne), (List{"a"}));
}

TEST_F(ReplicationTest, ASingleReplicaInReplicatedModeAnswersAtOnce) {
  Build({.replicas = {kOne}, .fsync = false});
  EXPECT_TRUE(Send(kOne, "a")->acknowledged());
}

// Nobody waits for these flushes, but what they took survives a power cut.
TEST_F(ReplicationTest, FlushMessagesAndFlushMsFlushReplicatedLogs) {
  const std::vector<std::pair<std::string, std::string>> ways = {{"flush.messages", "3"},
                                                                 {"flush.ms", "500"}};
  for (const auto& [key, value] : ways) {
    SCOPED_TRACE(key);
    Build({.replicas = {kOne}, .fsync = false});
    cluster_->controller().SetTopicConfig("orders", key, value);
    cluster_->RunFor(100);
    for (const char* record : {"a", "b", "c"}) EXPECT_TRUE(Send(kOne, record)->acknowledged());
    cluster_->RunFor(1000);
    cluster_->PowerCut(kOne);
    cluster_->Start(kOne);
    cluster_->RunFor(2000);
    EXPECT_EQ(Values(kOne), (List{"a", "b", "c"}));
  }
}

TEST_F(ReplicationTest, OthersRefuseAndNameTheLeader) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kTwo, "a"), ErrorCode::kNotLeaderOrFollower);
  ErrorCode error = ErrorCode::kNone;
  cluster_->Consume(kThree, key_, Offset(0), &error);
  EXPECT_EQ(error, ErrorCode::kNotLeaderOrFollower);
}

TEST_F(ReplicationTest, ANewLeaderTakesOverWithinTheSessionAndGoesOnWithAllRecords) {
  Build({.min_isr = 2});
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(SendAndWait(kOne, "r" + std::to_string(i)), ErrorCode::kNone);
  cluster_->Kill(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) == kTwo; }, 1000));
  cluster_->RunFor(10);
  EXPECT_EQ(SendAndWait(kTwo, "next"), ErrorCode::kNone);
  EXPECT_EQ(Values(kThree), (List{"r0", "r1", "r2", "r3", "r4", "next"}));
}

TEST_F(ReplicationTest, AfterALeaderChangeAcknowledgementsDoNotWaitForAnOldLongPoll) {
  // Another topic keeps node 3's fetch parked at node 2 when the leader of the first one dies.
  Build({.min_isr = 2});
  cluster_->CreateTopic("quiet", {.replicas = {kTwo, kThree}});
  cluster_->RunFor(300);
  cluster_->Kill(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kTwo, key_);
    return status.has_value() && status->is_leader;
  }));
  const auto sent = Send(kTwo, "a");
  EXPECT_TRUE(cluster_->RunUntil([&] { return sent->acknowledged(); }, 50));
}

TEST_F(ReplicationTest, ARestartedReplicaRejoinsTheIsrByItself) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kNone);
  cluster_->Start(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }));
  EXPECT_TRUE(AllHave(2));
}

TEST_F(ReplicationTest, ASilentFollowerLeavesTheIsrAfterTheLagTimeAndAcknowledgementsGoOn) {
  Build({.min_isr = 2}, {.replica_lag_ms_max = 1000});
  cluster_->Cut(kOne, kThree);
  const auto sent = Send(kOne, "a");
  cluster_->RunFor(500);
  EXPECT_FALSE(sent->answered) << "node 3 is in the ISR and has it not";
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent->acknowledged(); }, 2500));
  EXPECT_EQ(cluster_->IsrSize(key_), 2u);
  cluster_->Heal();
  EXPECT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }));
}

TEST_F(ReplicationTest, TheIsrHealsThoughAnswersOfTheControllerGetLost) {
  Build({.min_isr = 2}, {.replica_lag_ms_max = 1000, .alter_loss_percent = 60});
  for (int round = 0; round < 3; ++round) {
    cluster_->Cut(kOne, kThree);
    Send(kOne, "a");
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }, 60000));
    cluster_->Heal();
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }, 60000));
  }
}

TEST_F(ReplicationTest, BelowMinIsrNothingIsTakenAndNothingBecomesVisible) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  cluster_->Kill(kTwo);
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  cluster_->RunFor(50);
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kNotEnoughReplicas);
  EXPECT_EQ(SendAndWait(kOne, "c", 1), ErrorCode::kNone) << "acks=1 asks for no replicas";
  cluster_->RunFor(1000);
  EXPECT_EQ(HighWatermark(kOne), 1);
  cluster_->Start(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return HighWatermark(kOne) == 2; }));
}

TEST_F(ReplicationTest, AnIsrThatShrinksBelowTheMinimumWhileARecordWaitsIsTold) {
  Build({.min_isr = 3});
  cluster_->Cut(kOne, kThree);
  cluster_->Cut(kTwo, kThree);
  const auto sent = Send(kOne, "a");
  cluster_->RunFor(20);
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return sent->answered; }));
  EXPECT_EQ(sent->error, ErrorCode::kNotEnoughReplicasAfterAppend);
}

TEST_F(ReplicationTest, ARecordThatIsNotReplicatedInTimeTimesOut) {
  Build({.min_isr = 2});
  cluster_->Cut(kOne, kThree);
  EXPECT_EQ(SendAndWait(kOne, "a", -1, 300), ErrorCode::kRequestTimedOut);
}

TEST_F(ReplicationTest, WithoutItsLeaseALeaderTakesAndAcknowledgesNothing) {
  Build({.min_isr = 1});
  cluster_->Cut(kOne, SimCluster::kController);
  cluster_->set_auto_fence(false);
  cluster_->RunFor(700);
  EXPECT_EQ(SendAndWait(kOne, "a", 1), ErrorCode::kNotLeaderOrFollower);
  cluster_->Heal();
  cluster_->RunFor(200);
  EXPECT_EQ(SendAndWait(kOne, "a", 1), ErrorCode::kNone);
}

// D4 for readers: whoever can still reach a leader that was cut off is sent to look for the new
// one.
TEST_F(ReplicationTest, WithoutItsLeaseALeaderTellsNobodyThatThereIsNoMore) {
  Build({.min_isr = 1});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  const auto parked = FetchFromOne(1);
  cluster_->Isolate(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kTwo, key_)->is_leader; }));
  EXPECT_EQ(SendAndWait(kTwo, "b"), ErrorCode::kNone);
  ASSERT_TRUE(cluster_->RunUntil([&] { return !parked->empty(); }, 2500));
  EXPECT_EQ(parked->at(0).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -1}})[0].error,
            ErrorCode::kNotLeaderOrFollower);
  // One that has read on from the new leader: neither its offset nor its history is wrong.
  EXPECT_EQ(SendAndWait(kTwo, "c"), ErrorCode::kNone);
  for (const LeaderEpoch read_last : {kNoEpoch, cluster_->StatusOf(kTwo, key_)->leader_epoch}) {
    const auto ahead = FetchFromOne(3, read_last);
    ASSERT_TRUE(cluster_->RunUntil([&] { return !ahead->empty(); }, 100));
    EXPECT_EQ(ahead->at(0).error, ErrorCode::kNotLeaderOrFollower);
    EXPECT_FALSE(ahead->at(0).diverging.has_value());
  }
  // What it has is committed for ever.
  const auto known = FetchFromOne(0);
  ASSERT_TRUE(cluster_->RunUntil([&] { return !known->empty(); }, 100));
  EXPECT_EQ(known->at(0).error, ErrorCode::kNone);
  EXPECT_GT(known->at(0).size_bytes, 0u);
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -2}})[0].found.offset, Offset(0));
}

// Its partitions may be others' already, who do not wait for it; records it takes as before.
TEST_F(ReplicationTest, WhoStopsTellsNoEndsAnyMore) {
  Build({.min_isr = 1});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -1}})[0].found.offset, Offset(1));
  cluster_->state(kOne).leaving = true;
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -1}})[0].error,
            ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, kNoEpoch, -2}})[0].found.offset, Offset(0));
  const auto ahead = FetchFromOne(3);
  ASSERT_TRUE(cluster_->RunUntil([&] { return !ahead->empty(); }, 100));
  EXPECT_EQ(ahead->at(0).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kNone);
}

TEST_F(ReplicationTest, AnAcknowledgementThatIsDueWithoutALeaseWaitsForTheNextOne) {
  Build({.min_isr = 2}, {.replica_lag_ms_max = 60000});
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kThree);  // holds the record back while the lease runs out
  const auto sent = Send(kOne, "a");
  cluster_->Cut(kOne, SimCluster::kController);
  cluster_->RunFor(700);
  cluster_->Heal();
  cluster_->Cut(kOne, SimCluster::kController);
  ASSERT_TRUE(cluster_->RunUntil([&] { return HighWatermark(kOne) == 1; }));
  cluster_->RunFor(1000);
  EXPECT_FALSE(sent->answered);
  cluster_->Heal();
  EXPECT_TRUE(cluster_->RunUntil([&] { return sent->acknowledged(); }, 400));
}

TEST_F(ReplicationTest, InFsyncModeWhatWasAcknowledgedSurvivesAPowerCutOfAllNodes) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Build({.min_isr = 2, .fsync = true}, {.seed = seed, .flush_ms_max = 20});
    std::vector<std::shared_ptr<SimProduce>> sent;
    for (int i = 0; i < 40; ++i) {
      sent.push_back(Send(kOne, "r" + std::to_string(i)));
      cluster_->RunFor(static_cast<int64_t>(cluster_->random().Below(8)));
    }
    for (const NodeId id : cluster_->ids()) cluster_->PowerCut(id);
    for (const NodeId id : cluster_->ids()) cluster_->Start(id);
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }))
        << "seed " << seed << cluster_->Describe(key_);
    const std::vector<SimRecord> log = cluster_->ReadLog(cluster_->LeaderOf(key_), key_);
    size_t acknowledged = 0;
    for (size_t i = 0; i < sent.size(); ++i) {
      if (!sent[i]->acknowledged()) continue;
      ++acknowledged;
      ASSERT_LT(static_cast<size_t>(sent[i]->offset.value()), log.size()) << "seed " << seed;
      EXPECT_EQ(log[static_cast<size_t>(sent[i]->offset.value())].value, "r" + std::to_string(i));
    }
    EXPECT_GT(acknowledged, 0u);
  }
}

TEST_F(ReplicationTest, InFsyncModeTheHighWatermarkStaysBelowWhatIsDurableEverywhere) {
  Build({.min_isr = 2, .fsync = true}, {.flush_ms_max = 50});
  for (int i = 0; i < 30; ++i) {
    Send(kOne, "r" + std::to_string(i));
    cluster_->RunFor(7);
    const int64_t high_watermark = HighWatermark(kOne);
    // What a power cut at this very moment would leave on a follower that is in the ISR.
    EXPECT_LE(high_watermark, LogEnd(kTwo));
    EXPECT_LE(high_watermark, LogEnd(kThree));
  }
  EXPECT_TRUE(AllHave(30));
}

TEST_F(ReplicationTest, ATopicMayChangeItsDurabilityWhileItIsWrittenTo) {
  Build({.min_isr = 2, .fsync = false});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  cluster_->controller().SetTopicConfig("orders", "durability", "fsync");
  cluster_->RunFor(100);
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kNone);
  cluster_->controller().SetTopicConfig("orders", "durability", "replicated");
  cluster_->RunFor(100);
  EXPECT_EQ(SendAndWait(kOne, "c"), ErrorCode::kNone);
  EXPECT_TRUE(AllHave(3));
}

TEST_F(ReplicationTest, MinIsrMayChangeWhileReplicasAreAway) {
  Build({.min_isr = 3});
  cluster_->Kill(kThree);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }));
  cluster_->RunFor(10);
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNotEnoughReplicas);
  cluster_->controller().SetTopicConfig("orders", "min.insync.replicas", "2");
  cluster_->RunFor(10);
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kNone);
}

TEST_F(ReplicationTest, ADeletedTopicIsGoneAndOneMadeAnewUnderItsNameStartsEmpty) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kOne, "old"), ErrorCode::kNone);
  cluster_->Kill(kThree);
  cluster_->controller().DeleteTopic("orders");
  cluster_->RunFor(50);
  EXPECT_EQ(SendAndWait(kOne, "x"), ErrorCode::kUnknownTopicId);
  ASSERT_TRUE(cluster_->RunUntil(
      [&] { return !cluster_->controller().image()->FindBroker(kThree)->active(); }));
  key_ = {cluster_->CreateTopic("orders", {.replicas = {kOne, kTwo}, .min_isr = 2}), kZero};
  EXPECT_EQ(SendAndWait(kOne, "new"), ErrorCode::kNone);
  EXPECT_EQ(Values(kOne), (List{"new"}));
  cluster_->Start(kThree);
  cluster_->RunFor(1000);
  EXPECT_FALSE(cluster_->disk(kThree).Exists("/data/orders-0")) << "deleted while node 3 was away";
  EXPECT_EQ(Strays(kThree).size(), 1u) << "which node 3 has not seen: the operator is asked";
  EXPECT_TRUE(Strays(kOne).empty() && Strays(kTwo).empty());
}

TEST_F(ReplicationTest, ALogThatTheMetadataDoesNotKnowIsKeptAsideAndCanComeBack) {
  Build({.replicas = {kOne}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  auto& disk = cluster_->disk(kOne);
  // As if it were restored from a backup before its topic: under another name.
  cluster_->Kill(kOne);
  ASSERT_TRUE(disk.Rename("/data/orders-0", "/data/restored-0").ok());
  cluster_->Start(kOne);
  cluster_->RunFor(8000);  // checkpoints, retention and all
  EXPECT_TRUE(Strays(kOne).empty()) << "another topic's: told, and left alone";
  cluster_->Kill(kOne);
  ASSERT_TRUE(disk.Remove("/data/restored-0/partition.metadata").ok());
  for (int start = 0; start < 2; ++start) {
    cluster_->Start(kOne);
    cluster_->RunFor(8000);
    cluster_->Kill(kOne);
  }
  ASSERT_EQ(Strays(kOne).size(), 1u);
  EXPECT_FALSE(disk.Exists("/data/restored-0"));
  ASSERT_TRUE(disk.RemoveAll("/data/orders-0").ok());
  ASSERT_TRUE(disk.Rename("/data/" + Strays(kOne)[0], "/data/orders-0").ok());
  cluster_->Start(kOne);
  cluster_->RunFor(2000);
  EXPECT_EQ(Values(kOne), (List{"a", "a", "a"}));
}

class DeletedWhileAwayTest : public ReplicationTest {
 protected:
  // Node 3 goes, its log rots, and the topic is deleted.
  void LoseOnNodeThree() {
    Build({.min_isr = 2});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(SendAndWait(kOne, "old"), ErrorCode::kNone);
    ASSERT_TRUE(AllHave(5));
    cluster_->RunFor(6000);  // the recovery point is past them
    cluster_->Kill(kThree);
    cluster_->disk(kThree).FlipBit("/data/orders-0/00000000000000000000.log", 100, 3);
    cluster_->controller().DeleteTopic("orders");
    ASSERT_TRUE(cluster_->RunUntil(
        [&] { return !cluster_->controller().image()->FindBroker(kThree)->active(); }));
  }
};

TEST_F(DeletedWhileAwayTest, ADamagedLogIsSetAside) {
  LoseOnNodeThree();
  ASSERT_TRUE(cluster_->disk(kThree).Exists("/data/orders-0"));
  cluster_->Start(kThree);
  cluster_->RunFor(1000);
  EXPECT_FALSE(cluster_->disk(kThree).Exists("/data/orders-0"));
  EXPECT_EQ(Strays(kThree).size(), 1u);
}

TEST_F(DeletedWhileAwayTest, ADamagedLogIsNotTakenForTheNewTopicOfItsName) {
  LoseOnNodeThree();
  key_ = {cluster_->CreateTopic("orders", {.min_isr = 2}), kZero};
  EXPECT_EQ(SendAndWait(cluster_->LeaderOf(key_), "new"), ErrorCode::kNone);
  cluster_->Start(kThree);
  ASSERT_TRUE(AllHave(1));
  EXPECT_EQ(Values(kThree), (List{"new"}));
}

TEST_F(ReplicationTest, CuttingAnEmptyEpochOffTheHistoryIsNoTruncation) {
  Build({.min_isr = 1});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  ASSERT_TRUE(AllHave(1));
  FLAGS_minloglevel = google::GLOG_INFO;
  sluice::testing::LogCatcher catcher;
  // Node 2 leads an epoch in which nobody writes: node 3 has never heard of it.
  for (const NodeId leader : {kTwo, kThree}) {
    cluster_->controller().MoveLeader("orders", kZero, leader);
    cluster_->RunFor(200);
  }
  EXPECT_EQ(SendAndWait(kThree, "b"), ErrorCode::kNone);
  ASSERT_TRUE(AllHave(2));
  EXPECT_FALSE(catcher.Saw("truncating from"));
}

TEST_F(ReplicationTest, WithoutAControllerThereIsALineAMinute) {
  Build({.min_isr = 2});
  cluster_->RunFor(1000);
  sluice::testing::LogCatcher log;
  cluster_->set_alters_late(true);
  cluster_->set_auto_fence(false);
  cluster_->Kill(kThree);
  // Now it lags, and is to leave the ISR.
  cluster_->Produce(kOne, key_, "a");
  cluster_->RunFor(150'000);
  EXPECT_EQ(log.Count("AlterPartition for 1 partitions: "), 3);
  EXPECT_EQ(log.Count(" times since the last line)"), 2);
  cluster_->set_alters_late(false);
  cluster_->RunFor(6000);
  EXPECT_EQ(log.Count("AlterPartition is answered again"), 1);
}

TEST_F(ReplicationTest, ABrokenDiskTakesTheReplicaOfflineAndAnswersSo) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  // D30: the append succeeds, its fsync does not.
  cluster_->disk(kOne).InjectFault({.operation = ::sluice::testing::FileOperation::kSync,
                                    .path_part = "orders-0",
                                    .status = Status::IoError("EIO"),
                                    .times = -1});
  EXPECT_EQ(SendAndWait(kOne, "b"), ErrorCode::kKafkaStorageError);
  EXPECT_FALSE(cluster_->StatusOf(kOne, key_)->error.empty());
  EXPECT_EQ(SendAndWait(kOne, "c"), ErrorCode::kKafkaStorageError);
  EXPECT_EQ(cluster_->storage_failures(kOne), 1);
}

TEST_F(ReplicationTest, ListOffsetsAnswersEarliestLatestAndByTime) {
  Build({.min_isr = 2});
  const int64_t start_ms = cluster_->scheduler().clock().WallMs();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(SendAndWait(kOne, "r"), ErrorCode::kNone);
  const auto find = [&](int64_t timestamp_ms) {
    return cluster_->ListOffsets(kOne, {{key_, kNoEpoch, timestamp_ms}})[0];
  };
  EXPECT_EQ(find(-1).found.offset, Offset(3));
  EXPECT_EQ(find(-2).found.offset, Offset(0));
  EXPECT_EQ(find(-2).found.leader_epoch, LeaderEpoch(0));
  EXPECT_EQ(find(-3).found.offset, Offset(2));
  EXPECT_EQ(find(-5).found.offset, Offset(-1));
  EXPECT_EQ(find(start_ms).found.offset, Offset(0));
  EXPECT_EQ(find(start_ms + 1000000).found.offset, Offset(-1));
  EXPECT_EQ(find(-6).error, ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(cluster_->ListOffsets(kTwo, {{key_, kNoEpoch, -1}})[0].error,
            ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(cluster_->ListOffsets(kOne, {{key_, LeaderEpoch(7), -1}})[0].error,
            ErrorCode::kUnknownLeaderEpoch);
}

TEST_F(ReplicationTest, EpochEndsAreToldToReaders) {
  Build({.min_isr = 2});
  EXPECT_EQ(SendAndWait(kOne, "a"), ErrorCode::kNone);
  cluster_->controller().MoveLeader("orders", kZero, kTwo);
  cluster_->RunFor(100);
  EXPECT_EQ(SendAndWait(kTwo, "b"), ErrorCode::kNone);
  EXPECT_EQ(SendAndWait(kTwo, "c"), ErrorCode::kNone);
  const auto find = [&](int32_t asked) {
    return cluster_->replicas(kTwo)
        ->OffsetsForLeaderEpoch({{key_, LeaderEpoch(1), LeaderEpoch(asked)}})[0]
        .end;
  };
  EXPECT_EQ(find(0).end_offset, Offset(1));
  EXPECT_EQ(find(1).end_offset, Offset(3));
  EXPECT_EQ(find(5).end_offset, Offset(-1));
}

TEST_F(ReplicationTest, AConsumerIsWokenWhenRecordsAreCommittedAndNotBefore) {
  Build({.min_isr = 2});
  bool answered = false;
  size_t bytes = 0;
  FetchRequestParams params;
  params.wait_ms_max = 5000;
  params.size_bytes_min = 1;
  params.size_bytes_max = 1 << 20;
  params.entries.push_back({.key = key_, .fetch_offset = Offset(0), .size_bytes_max = 1 << 20});
  cluster_->replicas(kOne)->Fetch(params, [&](std::vector<FetchEntryResult> results) {
    answered = true;
    bytes = results[0].size_bytes;
  });
  Send(kOne, "a");
  EXPECT_FALSE(answered) << "appended, but not committed";
  ASSERT_TRUE(cluster_->RunUntil([&] { return answered; }, 100));
  EXPECT_GT(bytes, 0u);
}

TEST_F(ReplicationTest, AConsumersLongPollEndsAfterItsTime) {
  Build({.min_isr = 2});
  bool answered = false;
  FetchRequestParams params;
  params.wait_ms_max = 500;
  params.size_bytes_min = 1;
  params.size_bytes_max = 1 << 20;
  params.entries.push_back({.key = key_, .fetch_offset = Offset(0), .size_bytes_max = 1 << 20});
  cluster_->replicas(kOne)->Fetch(params, [&](std::vector<FetchEntryResult>) { answered = true; });
  cluster_->RunFor(499);
  EXPECT_FALSE(answered);
  cluster_->RunFor(2);
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace sluice::broker
