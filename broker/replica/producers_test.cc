// What idempotent producers are told when leaders change, are slow or are cut off: none of it may
// make a client wait for ever, or give up.
#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;
using testing::SimProduce;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};

class ProducersTest : public ::testing::Test {
 protected:
  // One partition, led by node 1, and one producer of batches of one record each.
  ProducersTest()
      : cluster_({.replica_lag_ms_max = 60000, .marks = {.soft_bytes = 0, .hard_bytes = 0}}) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // lost leaders are the subject here
    key_ = {cluster_.CreateTopic("orders", {.min_isr = 2}), PartitionIndex(0)};
    cluster_.RunFor(200);
  }
  std::shared_ptr<SimProduce> Send(NodeId at, int32_t sequence, int32_t timeout_ms = 30000) {
    kafka::RecordBatchOptions options;
    options.producer_id = ProducerId(7);
    options.producer_epoch = 0;
    options.base_sequence = sequence;
    kafka::RecordBatchBuilder builder(options);
    const std::string value = std::to_string(sequence);
    builder.Append({.timestamp_ms = 0, .key = std::nullopt, .value = value, .headers = {}});
    return cluster_.ProduceBatch(at, key_, *builder.Build(), -1, timeout_ms);
  }
  SimProduce SendAndWait(NodeId at, int32_t sequence, int32_t timeout_ms = 30000) {
    const auto sent = Send(at, sequence, timeout_ms);
    EXPECT_TRUE(cluster_.RunUntil([&] { return sent->answered; }, 60000)) << sequence;
    return *sent;
  }
  bool RunUntilLeads(NodeId id) {
    return cluster_.RunUntil([&] { return cluster_.StatusOf(id, key_)->is_leader; });
  }
  int64_t LogEnd(NodeId id) { return cluster_.StatusOf(id, key_)->log_end_offset.value(); }

  SimCluster cluster_;
  PartitionKey key_;
};

// As Kafka's own client does it: the old leader has two batches and answers nothing; ten more go to
// the new one, and are acknowledged; then the client gives the old leader up, and sends the two
// again.
TEST_F(ProducersTest, WhatASilentLeaderHadReplicatedIsStoredHoweverMuchCameSince) {
  EXPECT_TRUE(SendAndWait(kOne, 0).acknowledged());
  EXPECT_TRUE(SendAndWait(kOne, 1).acknowledged());
  cluster_.Isolate(kOne);
  ASSERT_TRUE(RunUntilLeads(kTwo));
  for (int32_t sequence = 2; sequence < 12; ++sequence)
    EXPECT_TRUE(SendAndWait(kTwo, sequence).acknowledged()) << sequence;
  for (const int32_t sequence : {0, 1, 6}) {
    const SimProduce again = SendAndWait(kTwo, sequence);
    EXPECT_EQ(again.error, ErrorCode::kDuplicateSequenceNumber) << sequence;
    EXPECT_EQ(again.offset, Offset(-1));
  }
  const SimProduce remembered = SendAndWait(kTwo, 7);
  EXPECT_TRUE(remembered.acknowledged());
  EXPECT_EQ(remembered.offset, Offset(7));
  cluster_.RunFor(5000);
  EXPECT_EQ(SendAndWait(kTwo, 13).error, ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(LogEnd(kTwo), 12);
}

TEST_F(ProducersTest, AnOldBatchIsToldToBeStoredOnceItIsCommitted) {
  EXPECT_TRUE(SendAndWait(kOne, 0).acknowledged());
  cluster_.Cut(kOne, kTwo);
  cluster_.Cut(kOne, kThree);
  std::vector<std::shared_ptr<SimProduce>> sent;
  for (int32_t sequence = 1; sequence < 8; ++sequence) sent.push_back(Send(kOne, sequence));
  const auto committed = Send(kOne, 0);
  const auto waiting = Send(kOne, 1);
  cluster_.RunFor(100);
  EXPECT_FALSE(waiting->answered);
  EXPECT_EQ(SendAndWait(kOne, 2, 50).error, ErrorCode::kRequestTimedOut);
  cluster_.Heal();
  ASSERT_TRUE(cluster_.RunUntil([&] { return committed->answered && waiting->answered; }));
  EXPECT_EQ(committed->error, ErrorCode::kDuplicateSequenceNumber);
  EXPECT_EQ(waiting->error, ErrorCode::kDuplicateSequenceNumber);
  EXPECT_TRUE(cluster_.RunUntil([&] { return sent.back()->acknowledged(); }));
}

// A producer that has just begun has several batches under way, and an unknown one may start
// anywhere: librdkafka takes the second batch's success for the first one's.
TEST_F(ProducersTest, NothingOvertakesAFirstBatchThatIsRefused) {
  cluster_.Cut(kOne, SimCluster::kController);
  cluster_.set_auto_fence(false);
  cluster_.RunFor(700);
  EXPECT_EQ(SendAndWait(kOne, 0).error, ErrorCode::kNotLeaderOrFollower);
  cluster_.Heal();
  cluster_.RunFor(200);
  EXPECT_EQ(SendAndWait(kOne, 1).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_TRUE(SendAndWait(kOne, 0).acknowledged());
  EXPECT_TRUE(SendAndWait(kOne, 1).acknowledged());
}

TEST_F(ProducersTest, NothingOvertakesAFirstBatchThatCameBeforeItsLeaderWasElected) {
  EXPECT_EQ(SendAndWait(kTwo, 0).error, ErrorCode::kNotLeaderOrFollower);
  cluster_.Kill(kOne);
  ASSERT_TRUE(RunUntilLeads(kTwo));
  EXPECT_EQ(SendAndWait(kTwo, 1).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_TRUE(SendAndWait(kTwo, 0).acknowledged());
}

// The first of two batches went to the old leader, or to one that only seemed to lead.
TEST_F(ProducersTest, NothingOvertakesABatchThatAnotherBrokerRefused) {
  EXPECT_TRUE(SendAndWait(kOne, 0).acknowledged());
  EXPECT_EQ(SendAndWait(kOne, 2).error, ErrorCode::kOutOfOrderSequenceNumber)
      << "nobody led before";
  cluster_.Kill(kOne);
  ASSERT_TRUE(RunUntilLeads(kTwo));
  EXPECT_EQ(SendAndWait(kTwo, 2).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_TRUE(SendAndWait(kTwo, 1).acknowledged());
  EXPECT_TRUE(SendAndWait(kTwo, 2).acknowledged());
  cluster_.RunFor(5000);
  EXPECT_EQ(SendAndWait(kTwo, 4).error, ErrorCode::kOutOfOrderSequenceNumber)
      << "what it sent first would have come by now";
}

// Told that it is out of order, librdkafka begins a new epoch, and sends again in it what another
// partition has stored and not acknowledged yet.
TEST_F(ProducersTest, NothingOvertakesABatchThatFoundNoRoom) {
  EXPECT_TRUE(SendAndWait(kOne, 0).acknowledged());
  auto& disk = cluster_.disk(kOne);
  disk.set_capacity_bytes(uint64_t{1} << 40, "/data");
  const DiskSpace space = disk.Space("/data").value();
  disk.set_capacity_bytes(space.total_bytes - space.free_bytes + 10, "/data");
  EXPECT_EQ(SendAndWait(kOne, 1).error, ErrorCode::kKafkaStorageError);
  disk.set_capacity_bytes(space.total_bytes, "/data");
  EXPECT_EQ(SendAndWait(kOne, 2).error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_TRUE(SendAndWait(kOne, 1).acknowledged());
  EXPECT_TRUE(SendAndWait(kOne, 2).acknowledged());
}

// Told of a timeout, librdkafka counts the batch as stored: when it then sends the next one to the
// new leader before this one, and that is refused, it gives up.
TEST_F(ProducersTest, WhoeverWaitsInVainForACutOffLeaderIsSentToLookForAnother) {
  cluster_.Cut(kOne, kTwo);
  cluster_.Cut(kOne, kThree);
  EXPECT_EQ(SendAndWait(kOne, 0, 200).error, ErrorCode::kRequestTimedOut);
  const auto sent = Send(kOne, 0, 3000);
  cluster_.Isolate(kOne);
  ASSERT_TRUE(RunUntilLeads(kTwo));
  EXPECT_FALSE(sent->answered);
  ASSERT_TRUE(cluster_.RunUntil([&] { return sent->answered; }, 4000));
  EXPECT_EQ(sent->error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_TRUE(SendAndWait(kTwo, 0).acknowledged());
}

}  // namespace
}  // namespace sluice::broker
