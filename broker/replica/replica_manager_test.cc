// What the API handlers ask of a ReplicaManager, on a real log: appends with their checks, reads
// with their limits, errors with their hints.
#include "broker/replica/replica_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2};

struct BatchSpec {
  int records = 1;
  size_t value_bytes = 10;
  std::optional<std::string_view> key = "k";
  int64_t producer_id = -1;
  int32_t sequence = -1;
  int64_t age_ms = 0;
};

class ReplicaManagerTest : public ::testing::Test {
 protected:
  void Build(const SimTopicOptions& options, int nodes = 1) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    cluster_ = std::make_unique<SimCluster>(testing::SimClusterOptions{.nodes = nodes});
    topic_ = cluster_->CreateTopic("orders", options);
    cluster_->RunFor(100);
  }
  PartitionKey Key(int index = 0) const { return {topic_, PartitionIndex(index)}; }
  int64_t NowMs() { return cluster_->scheduler().clock().WallMs(); }

  std::string Batch(const BatchSpec& spec) {
    kafka::RecordBatchOptions options;
    options.producer_id = ProducerId(spec.producer_id);
    options.producer_epoch = spec.producer_id < 0 ? -1 : 0;
    options.base_sequence = spec.sequence;
    kafka::RecordBatchBuilder builder(options);
    const std::string value(spec.value_bytes, 'v');
    for (int i = 0; i < spec.records; ++i) {
      builder.Append(
          {.timestamp_ms = NowMs() - spec.age_ms, .key = spec.key, .value = value, .headers = {}});
    }
    return *builder.Build();
  }
  std::vector<ProduceEntryResult> Produce(
      const std::vector<std::pair<PartitionKey, std::string>>& batches, int16_t acks = 1,
      NodeId at = kOne) {
    ProduceRequestParams params;
    params.acks = acks;
    params.api_version = 9;
    for (const auto& [key, bytes] : batches) {
      const auto owned = std::make_shared<std::string>(bytes);
      params.entries.push_back({key, kafka::Records::View({owned, *owned})});
    }
    bool answered = false;
    std::vector<ProduceEntryResult> results;
    cluster_->replicas(at)->Produce(std::move(params), [&](std::vector<ProduceEntryResult> given) {
      answered = true;
      results = std::move(given);
    });
    EXPECT_TRUE(cluster_->RunUntil([&] { return answered; }));
    return results;
  }
  ProduceEntryResult ProduceOne(const BatchSpec& spec, int16_t acks = 1) {
    return Produce({{Key(), Batch(spec)}}, acks)[0];
  }
  std::vector<FetchEntryResult> Fetch(FetchRequestParams params, NodeId at = kOne) {
    bool answered = false;
    std::vector<FetchEntryResult> results;
    cluster_->replicas(at)->Fetch(std::move(params), [&](std::vector<FetchEntryResult> given) {
      answered = true;
      results = std::move(given);
    });
    EXPECT_TRUE(cluster_->RunUntil([&] { return answered; }));
    return results;
  }
  DeleteRecordsResult DeleteBefore(int64_t offset, int32_t timeout_ms = 5000, NodeId at = kOne) {
    std::optional<DeleteRecordsResult> result;
    cluster_->replicas(at)->DeleteRecords(
        {.timeout_ms = timeout_ms, .entries = {{Key(), Offset(offset)}}},
        [&](std::vector<DeleteRecordsResult> results) { result = results[0]; });
    EXPECT_TRUE(cluster_->RunUntil([&] { return result.has_value(); }));
    return result.value_or(DeleteRecordsResult());
  }
  FetchEntry Entry(int64_t offset, int32_t size_bytes_max = 1 << 20, int index = 0) const {
    return {.key = Key(index), .fetch_offset = Offset(offset), .size_bytes_max = size_bytes_max};
  }

  std::unique_ptr<SimCluster> cluster_;
  TopicId topic_;
};

TEST_F(ReplicaManagerTest, OneBadBatchLeavesTheOthersAlone) {
  Build({.partitions = 3, .replicas = {kOne}});
  std::string damaged = Batch({});
  damaged.back() ^= 1;
  const auto results =
      Produce({{Key(0), Batch({})}, {Key(1), damaged}, {Key(2), Batch({.records = 3})}}, -1);
  EXPECT_EQ(results[0].error, ErrorCode::kNone);
  EXPECT_EQ(results[1].error, ErrorCode::kCorruptMessage);
  EXPECT_EQ(results[2].error, ErrorCode::kNone);
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(1))->log_end_offset, Offset(0));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(2))->log_end_offset, Offset(3));
}

TEST_F(ReplicaManagerTest, LimitsOfTheTopicAreEnforced) {
  Build({.replicas = {kOne},
         .configs = {{"max.message.bytes", "1000"}, {"cleanup.policy", "compact"}}});
  EXPECT_EQ(ProduceOne({.value_bytes = 2000}).error, ErrorCode::kMessageTooLarge);
  const ProduceEntryResult keyless = ProduceOne({.records = 2, .key = std::nullopt});
  EXPECT_EQ(keyless.error, ErrorCode::kInvalidRecord);
  EXPECT_EQ(keyless.record_errors.size(), 2u);
  EXPECT_EQ(ProduceOne({.age_ms = -7200000}).error, ErrorCode::kInvalidTimestamp)
      << "two hours ahead";
  EXPECT_EQ(ProduceOne({}).error, ErrorCode::kNone);
}

TEST_F(ReplicaManagerTest, AChangeOfTheTopicsLimitsHoldsFromThenOn) {
  Build({.replicas = {kOne}});
  EXPECT_EQ(ProduceOne({.value_bytes = 2000}).error, ErrorCode::kNone);
  cluster_->controller().SetTopicConfig("orders", "max.message.bytes", "1000");
  cluster_->RunFor(10);
  EXPECT_EQ(ProduceOne({.value_bytes = 2000}).error, ErrorCode::kMessageTooLarge);
}

TEST_F(ReplicaManagerTest, LogAppendTimeIsTheBrokersAndIsToldToTheProducer) {
  Build({.replicas = {kOne}, .configs = {{"message.timestamp.type", "LogAppendTime"}}});
  const ProduceEntryResult result = ProduceOne({.age_ms = 3600000}, -1);
  EXPECT_EQ(result.error, ErrorCode::kNone);
  EXPECT_NEAR(static_cast<double>(result.log_append_time_ms), static_cast<double>(NowMs()), 100);
  const auto found = cluster_->ListOffsets(kOne, {{Key(), kNoEpoch, NowMs() - 1000}})[0];
  EXPECT_EQ(found.found.offset, Offset(0));
}

TEST_F(ReplicaManagerTest, AResendGetsTheFirstOffsetsAndWaitsLikeTheFirst) {
  Build({.replicas = {kOne}});
  const std::string batch = Batch({.records = 3, .producer_id = 7, .sequence = 0});
  EXPECT_EQ(Produce({{Key(), batch}}, -1)[0].base_offset, Offset(0));
  EXPECT_EQ(ProduceOne({.producer_id = 7, .sequence = 3}, -1).base_offset, Offset(3));
  const auto again = Produce({{Key(), batch}}, -1)[0];
  EXPECT_EQ(again.error, ErrorCode::kNone);
  EXPECT_EQ(again.base_offset, Offset(0));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->log_end_offset, Offset(4));
  EXPECT_EQ(ProduceOne({.producer_id = 7, .sequence = 9}).error,
            ErrorCode::kOutOfOrderSequenceNumber);
}

TEST_F(ReplicaManagerTest, WhatIsNotHereIsAnsweredWithTheReason) {
  Build({.replicas = {kTwo}}, 2);
  const auto elsewhere = Produce({{Key(), Batch({})}})[0];
  EXPECT_EQ(elsewhere.error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(elsewhere.leader.leader, kTwo);
  EXPECT_EQ(Produce({{Key(5), Batch({})}})[0].error, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(
      Produce({{{Uuid::FromBytes("0123456789abcdef"), PartitionIndex(0)}, Batch({})}})[0].error,
      ErrorCode::kUnknownTopicId);
  EXPECT_EQ(Produce({{Key(), Batch({})}}, 2)[0].error, ErrorCode::kInvalidRequiredAcks);
  FetchRequestParams params{.size_bytes_max = 1000, .entries = {Entry(0)}};
  const auto fetched = Fetch(params)[0];
  EXPECT_EQ(fetched.error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(fetched.leader.leader, kTwo);
}

TEST_F(ReplicaManagerTest, TheFirstPartitionWithDataGivesAWholeBatchAndFromThenOnTheLimitsAreHard) {
  Build({.partitions = 3, .replicas = {kOne}});
  for (int i = 1; i < 3; ++i) Produce({{Key(i), Batch({.value_bytes = 1000})}}, -1);
  FetchRequestParams params{.size_bytes_max = 100,
                            .entries = {Entry(0, 50, 0), Entry(0, 50, 1), Entry(0, 50, 2)}};
  const auto results = Fetch(params);
  EXPECT_EQ(results[0].size_bytes, 0u);
  EXPECT_GT(results[1].size_bytes, 1000u) << "larger than both limits, yet whole";
  EXPECT_EQ(results[2].size_bytes, 0u);
}

TEST_F(ReplicaManagerTest, AFetchWaitsForItsLeastBytesOrItsTime) {
  Build({.replicas = {kOne}});
  FetchRequestParams params{.wait_ms_max = 1000,
                            .size_bytes_min = 2500,
                            .size_bytes_max = 1 << 20,
                            .entries = {Entry(0)}};
  std::optional<size_t> answer;
  cluster_->replicas(kOne)->Fetch(params, [&](auto results) { answer = results[0].size_bytes; });
  for (int i = 0; i < 2; ++i) {
    ProduceOne({.value_bytes = 1000}, -1);
    EXPECT_FALSE(answer.has_value());
  }
  ProduceOne({.value_bytes = 1000}, -1);
  ASSERT_TRUE(answer.has_value());
  EXPECT_GT(*answer, 3000u);
}

TEST_F(ReplicaManagerTest, AnErrorIsToldAtOnceThoughOthersCouldWait) {
  Build({.partitions = 2, .replicas = {kOne}});
  FetchRequestParams params{.wait_ms_max = 5000,
                            .size_bytes_min = 1,
                            .size_bytes_max = 1 << 20,
                            .entries = {Entry(0, 1000, 0), Entry(99, 1000, 1)}};
  bool answered = false;
  cluster_->replicas(kOne)->Fetch(params, [&](auto results) {
    answered = true;
    EXPECT_EQ(results[0].error, ErrorCode::kNone);
    EXPECT_EQ(results[1].error, ErrorCode::kOffsetOutOfRange);
  });
  EXPECT_TRUE(answered);
}

TEST_F(ReplicaManagerTest, WrongEpochsAreFencedBothWaysAndDivergenceIsTold) {
  Build({.min_isr = 1}, 2);
  Produce({{Key(), Batch({})}}, -1);
  cluster_->controller().MoveLeader("orders", PartitionIndex(0), kTwo);
  cluster_->RunFor(50);
  const auto fetch = [&](int32_t current, int32_t last_fetched, int64_t offset) {
    FetchEntry entry = Entry(offset);
    entry.current_leader_epoch = LeaderEpoch(current);
    entry.last_fetched_epoch = LeaderEpoch(last_fetched);
    return Fetch({.size_bytes_max = 1000, .entries = {entry}}, kTwo)[0];
  };
  EXPECT_EQ(fetch(0, -1, 0).error, ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(fetch(2, -1, 0).error, ErrorCode::kUnknownLeaderEpoch);
  EXPECT_EQ(fetch(1, 0, 1).error, ErrorCode::kNone);
  // A reader with more records of epoch 0 than there ever were.
  const FetchEntryResult diverging = fetch(1, 0, 4);
  ASSERT_TRUE(diverging.diverging.has_value());
  EXPECT_EQ(diverging.diverging->epoch, LeaderEpoch(0));
  EXPECT_EQ(diverging.diverging->end_offset, Offset(1));
}

TEST_F(ReplicaManagerTest, AFollowersProgressCountsOnlyFromItsPresentLifeAndFromReplicas) {
  Build({.min_isr = 2}, 2);
  cluster_->set_auto_fence(false);
  const int64_t epoch = cluster_->controller().image()->FindBroker(kTwo)->epoch.value();
  cluster_->Cut(kOne, kTwo);
  ProduceOne({}, 1);
  cluster_->RunFor(20);
  ASSERT_EQ(cluster_->StatusOf(kOne, Key())->high_watermark, Offset(0));
  const auto fetch = [&](NodeId replica, int64_t replica_epoch) {
    FetchRequestParams params{.replica_id = replica,
                              .replica_epoch = BrokerEpoch(replica_epoch),
                              .flushed = true,
                              .size_bytes_max = 1000,
                              .entries = {Entry(1)}};
    return Fetch(params)[0].error;
  };
  EXPECT_EQ(fetch(NodeId(9), epoch), ErrorCode::kReplicaNotAvailable);
  EXPECT_EQ(fetch(kTwo, epoch - 1), ErrorCode::kNotLeaderOrFollower)
      << "sent before it was restarted";
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->high_watermark, Offset(0));
  EXPECT_EQ(fetch(kTwo, epoch), ErrorCode::kNone);
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->high_watermark, Offset(1));
}

// A follower hears later than the leader that a topic with records is now in fsync mode; what it
// tells until then is not on its disk.
TEST_F(ReplicaManagerTest, InFsyncModeOnlyWhatAFollowerHasFlushedCounts) {
  Build({.min_isr = 2, .fsync = false}, 2);
  cluster_->set_auto_fence(false);
  const int64_t epoch = cluster_->controller().image()->FindBroker(kTwo)->epoch.value();
  cluster_->Cut(kOne, kTwo);
  const auto fetch = [&](int64_t offset, bool flushed) {
    FetchRequestParams params{.replica_id = kTwo,
                              .replica_epoch = BrokerEpoch(epoch),
                              .flushed = flushed,
                              .size_bytes_max = 1000,
                              .entries = {Entry(offset)}};
    EXPECT_EQ(Fetch(params)[0].error, ErrorCode::kNone);
    cluster_->RunFor(20);
    return cluster_->StatusOf(kOne, Key())->high_watermark;
  };
  ProduceOne({}, 1);
  EXPECT_EQ(fetch(1, false), Offset(1)) << "in replicated mode";
  ProduceOne({}, 1);
  cluster_->controller().SetTopicConfig("orders", "durability", "fsync");
  cluster_->RunFor(20);
  EXPECT_EQ(fetch(2, false), Offset(1));
  EXPECT_EQ(fetch(2, true), Offset(2));
}

TEST_F(ReplicaManagerTest, FollowersLearnTheHighWatermarkSoonThoughNoDataFollows) {
  Build({.min_isr = 2}, 2);
  Produce({{Key(), Batch({})}}, -1);
  EXPECT_TRUE(cluster_->RunUntil(
      [&] { return cluster_->StatusOf(kTwo, Key())->high_watermark == Offset(1); }, 60));
}

TEST_F(ReplicaManagerTest, HighWatermarksSurviveARestartByTheirCheckpoint) {
  Build({.replicas = {kOne}, .fsync = false});
  for (int i = 0; i < 3; ++i) ProduceOne({}, -1);
  cluster_->RunFor(6000);
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, Key());
    return status.has_value() && status->is_leader;
  }));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->high_watermark, Offset(3));
}

TEST_F(ReplicaManagerTest, AfterACrashOfAllAConsumerIsNotToldThatTheLogIsEmpty) {
  Build({.min_isr = 2, .fsync = false}, 2);
  EXPECT_EQ(ProduceOne({}, -1).error, ErrorCode::kNone);
  // Before the first checkpoint of high watermarks.
  cluster_->Kill(kOne);
  cluster_->Kill(kTwo);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, Key());
    return status.has_value() && status->is_leader;
  }));
  const auto look = Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(0)}})[0];
  EXPECT_EQ(look.size_bytes, 0u);
  EXPECT_TRUE(look.end_unknown);
  // A long poll waits for the end to be known, and then brings the record.
  std::optional<FetchEntryResult> polled;
  cluster_->replicas(kOne)->Fetch(
      {.wait_ms_max = 30000, .size_bytes_min = 1, .size_bytes_max = 1 << 20, .entries = {Entry(0)}},
      [&](std::vector<FetchEntryResult> results) { polled = std::move(results[0]); });
  EXPECT_FALSE(polled.has_value());
  cluster_->Start(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return polled.has_value(); }));
  EXPECT_GT(polled->size_bytes, 0u);
  EXPECT_FALSE(polled->end_unknown);
  EXPECT_FALSE(Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(1)}})[0].end_unknown);
}

TEST_F(ReplicaManagerTest, DamageInASealedSegmentRefusesOnlyTheReadsThatHitIt) {
  Build({.partitions = 2, .replicas = {kOne}, .configs = {{"segment.bytes", "1048576"}}});
  for (int i = 0; i < 25; ++i)
    EXPECT_EQ(ProduceOne({.value_bytes = 100000}, -1).error, ErrorCode::kNone);
  Produce({{Key(1), Batch({})}}, -1);
  cluster_->RunFor(6000);
  // Anew, so that reads look into the file and not into memory.
  cluster_->Kill(kOne);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, Key());
    return status.has_value() && status->is_leader;
  }));
  constexpr uint64_t kMagicPosition = 16;
  cluster_->disk(kOne).FlipBit("/data/orders-0/00000000000000000000.log", kMagicPosition, 5);
  for (int i = 0; i < 2; ++i) {
    const auto results =
        Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(0), Entry(0, 1000, 1)}});
    EXPECT_EQ(results[0].error, ErrorCode::kCorruptMessage) << "which clients show";
    EXPECT_EQ(results[1].error, ErrorCode::kNone);
    EXPECT_GT(results[1].size_bytes, 0u);
  }
  const auto status = cluster_->StatusOf(kOne, Key());
  EXPECT_TRUE(status->is_leader);
  EXPECT_THAT(status->error, ::testing::StartsWith("/data/orders-0/00000000000000000000.log: "));
  EXPECT_THAT(status->error, ::testing::HasSubstr("position 0"));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key(1))->error, "");
  EXPECT_EQ(cluster_->storage_failures(kOne), 0) << "one bad batch is no failed disk";
  for (const int64_t sound : {1, 12, 24}) {
    const auto result = Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(sound)}})[0];
    EXPECT_EQ(result.error, ErrorCode::kNone) << sound;
    EXPECT_GT(result.size_bytes, 100000u) << sound;
  }
  EXPECT_EQ(ProduceOne({}, -1).base_offset, Offset(25));
}

TEST_F(ReplicaManagerTest, CompressionTypeSaysHowBatchesAreStored) {
  Build({.replicas = {kOne}, .configs = {{"compression.type", "zstd"}}});
  const auto stored = [&](int64_t offset) {
    const auto read = Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(offset)}})[0];
    return read.size_bytes;
  };
  const std::string plain =
      Batch({.records = 5, .value_bytes = 1000, .producer_id = 7, .sequence = 0});
  EXPECT_EQ(Produce({{Key(), plain}}, -1)[0].base_offset, Offset(0));
  EXPECT_LT(stored(0), 500u);
  EXPECT_EQ(Produce({{Key(), plain}}, -1)[0].base_offset, Offset(0)) << "a resend stays one";
  EXPECT_EQ(ProduceOne({.producer_id = 7, .sequence = 5}, -1).base_offset, Offset(5));

  // A topic that stores plain: what unfolds beyond the topic's limit is refused.
  cluster_->controller().SetTopicConfig("orders", "compression.type", "uncompressed");
  cluster_->controller().SetTopicConfig("orders", "max.message.bytes", "2000");
  cluster_->RunFor(10);
  const auto packed = [&](size_t value_bytes) {
    kafka::RecordBatchBuilder builder({.codec = kafka::Codec::kLz4});
    const std::string value(value_bytes, 'v');
    builder.Append({.timestamp_ms = NowMs(), .key = "k", .value = value, .headers = {}});
    return *builder.Build();
  };
  EXPECT_EQ(Produce({{Key(), packed(1500)}}, -1)[0].base_offset, Offset(6));
  EXPECT_GT(stored(6), 1500u);
  EXPECT_EQ(Produce({{Key(), packed(3000)}}, -1)[0].error, ErrorCode::kMessageTooLarge);
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->log_end_offset, Offset(7));
}

// No client can begin a transaction here; a log that another broker of Kafka's kind wrote has them.
class TransactionalLogTest : public ReplicaManagerTest {
 protected:
  enum class Kind { kData, kCommit, kAbort };

  std::string Transactional(int64_t producer, Kind kind) {
    kafka::RecordBatchOptions options;
    options.producer_id = ProducerId(producer);
    options.producer_epoch = 0;
    options.is_transactional = true;
    options.is_control = kind != Kind::kData;
    kafka::RecordBatchBuilder builder(options);
    ByteWriter key, value;
    key.PutInt16(0);
    key.PutInt16(kind == Kind::kCommit ? 1 : 0);
    value.PutInt16(0);
    value.PutInt32(0);
    builder.Append({NowMs(), key.view(), value.view(), {}});
    return *builder.Build();
  }
  // Writes into node one's log while that is down, and starts it.
  void WriteBehindItsBack(const std::vector<std::pair<int64_t, Kind>>& batches) {
    cluster_->RunFor(6000);
    cluster_->Kill(kOne);
    storage::LogOptions options;
    options.directory = "/data/orders-0";
    options.file_system = &cluster_->disk(kOne);
    options.clock = &cluster_->scheduler().clock();
    auto log = storage::Log::Open(std::move(options));
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    for (const auto& [producer, kind] : batches) {
      ASSERT_TRUE((*log)->AppendAsLeader(Transactional(producer, kind), LeaderEpoch(0)).ok());
    }
    ASSERT_TRUE((*log)->Close().ok());
    log->reset();
    cluster_->Start(kOne);
    ASSERT_TRUE(cluster_->RunUntil([&] {
      const auto status = cluster_->StatusOf(kOne, Key());
      return status.has_value() && status->is_leader &&
             status->high_watermark == status->log_end_offset;
    }));
  }
  FetchEntryResult FetchCommitted(int64_t offset) {
    return Fetch(
        {.size_bytes_max = 1 << 20, .read_committed = true, .entries = {Entry(offset)}})[0];
  }
};

TEST_F(TransactionalLogTest, ReadCommittedEndsAtTheLastStableOffsetAndNamesTheAborted) {
  Build({.replicas = {kOne}});
  ProduceOne({}, -1);
  WriteBehindItsBack({{7, Kind::kData},
                      {8, Kind::kData},
                      {7, Kind::kAbort},  // at 3
                      {9, Kind::kData},   // at 4, open
                      {8, Kind::kCommit},
                      {8, Kind::kData}});
  const FetchEntryResult all = Fetch({.size_bytes_max = 1 << 20, .entries = {Entry(0)}})[0];
  EXPECT_EQ(all.high_watermark, Offset(7));
  EXPECT_EQ(all.last_stable_offset, Offset(4));
  EXPECT_TRUE(all.aborted.empty());
  const FetchEntryResult committed = FetchCommitted(0);
  EXPECT_EQ(committed.last_stable_offset, Offset(4));
  EXPECT_LT(committed.size_bytes, all.size_bytes);
  ASSERT_EQ(committed.aborted.size(), 1u);
  EXPECT_EQ(committed.aborted[0].producer_id, ProducerId(7));
  EXPECT_EQ(committed.aborted[0].first_offset, Offset(1));
  EXPECT_EQ(FetchCommitted(4).size_bytes, 0u);
  EXPECT_EQ(FetchCommitted(4).error, ErrorCode::kNone);

  const auto latest = [&](bool read_committed) {
    ListOffsetsEntry entry{.key = Key(), .timestamp_ms = -1, .read_committed = read_committed};
    return cluster_->ListOffsets(kOne, {entry})[0].found.offset;
  };
  EXPECT_EQ(latest(false), Offset(7));
  EXPECT_EQ(latest(true), Offset(4));
  ListOffsetsEntry by_time{.key = Key(), .timestamp_ms = 0, .read_committed = true};
  EXPECT_EQ(cluster_->ListOffsets(kOne, {by_time})[0].found.offset, Offset(0));
}

TEST_F(TransactionalLogTest, DeletingBelowAnOpenTransactionFreesTheStableEnd) {
  Build({.replicas = {kOne}});
  WriteBehindItsBack({{7, Kind::kData}, {8, Kind::kData}, {8, Kind::kCommit}});
  EXPECT_EQ(FetchCommitted(0).last_stable_offset, Offset(0));
  EXPECT_EQ(DeleteBefore(2).error, ErrorCode::kNone);
  EXPECT_EQ(FetchCommitted(2).last_stable_offset, Offset(2));
}

TEST_F(ReplicaManagerTest, DeletedRecordsAreGoneOnEveryLiveReplicaBeforeTheAnswer) {
  Build({.min_isr = 2}, 2);
  for (int i = 0; i < 10; ++i) ProduceOne({}, -1);
  const auto done = DeleteBefore(4);
  ASSERT_EQ(done.error, ErrorCode::kNone);
  EXPECT_EQ(done.low_watermark, Offset(4));
  EXPECT_EQ(cluster_->StatusOf(kTwo, Key())->log_start_offset, Offset(4));
  EXPECT_EQ(Fetch({.size_bytes_max = 1000, .entries = {Entry(3)}})[0].error,
            ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Fetch({.size_bytes_max = 1000, .entries = {Entry(4)}})[0].error, ErrorCode::kNone);
  // A start that is already there stays, and -1 is the high watermark.
  EXPECT_EQ(DeleteBefore(2).low_watermark, Offset(4));
  EXPECT_EQ(DeleteBefore(11).error, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(DeleteBefore(-2).error, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(DeleteBefore(-1).low_watermark, Offset(10));
  EXPECT_EQ(ProduceOne({}, -1).base_offset, Offset(10));
  // It outlives a kill: the next checkpoint holds it, though no high watermark moved.
  cluster_->RunFor(6000);
  EXPECT_EQ(DeleteBefore(11).low_watermark, Offset(11));
  cluster_->RunFor(6000);
  cluster_->Kill(kTwo);
  cluster_->Start(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kTwo, Key()).has_value(); }));
  EXPECT_EQ(cluster_->StatusOf(kTwo, Key())->log_start_offset, Offset(11));
}

TEST_F(ReplicaManagerTest, ADeletionWaitsForAReplicaUntilItsTimeOrUntilThatIsFenced) {
  Build({.min_isr = 1}, 2);
  for (int i = 0; i < 3; ++i) ProduceOne({}, -1);
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  const auto late = DeleteBefore(2, 300);
  EXPECT_EQ(late.error, ErrorCode::kRequestTimedOut);
  EXPECT_EQ(late.low_watermark, Offset(0));
  EXPECT_EQ(cluster_->StatusOf(kOne, Key())->log_start_offset, Offset(2));
  cluster_->set_auto_fence(true);
  cluster_->Kill(kTwo);
  const auto alone = DeleteBefore(3, 10000);
  EXPECT_EQ(alone.error, ErrorCode::kNone);
  EXPECT_EQ(alone.low_watermark, Offset(3));
}

TEST_F(ReplicaManagerTest, DeletionsAreRefusedWhereTheyMakeNoSense) {
  Build({.replicas = {kOne}, .configs = {{"cleanup.policy", "compact"}}}, 2);
  EXPECT_EQ(DeleteBefore(-1).error, ErrorCode::kPolicyViolation);
  cluster_->controller().SetTopicConfig("orders", "cleanup.policy", "compact,delete");
  cluster_->RunFor(10);
  EXPECT_EQ(DeleteBefore(-1).error, ErrorCode::kNone);
  EXPECT_EQ(DeleteBefore(0, 1000, kTwo).error, ErrorCode::kNotLeaderOrFollower);
}

TEST_F(ReplicaManagerTest, StoppedItTakesNothingAndAnswersWhoWaits) {
  Build({.min_isr = 2}, 2);
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  const auto waiting = cluster_->Produce(kOne, Key(), "a");
  const auto high_watermarks = cluster_->replicas(kOne)->Stop();
  EXPECT_EQ(waiting->error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(high_watermarks.size(), 1u);
  EXPECT_EQ(ProduceOne({}, 1).error, ErrorCode::kNotLeaderOrFollower);
}

}  // namespace
}  // namespace sluice::broker
