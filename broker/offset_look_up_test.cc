#include "broker/offset_look_up.h"

#include <gtest/gtest.h>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using testing::SimCluster;

constexpr NodeId kOne{1}, kTwo{2};

class OffsetLookUpTest : public ::testing::Test {
 protected:
  OffsetLookUpTest()
      : cluster_({.nodes = 2}),
        background_(cluster_.scheduler()),
        key_{cluster_.CreateTopic("orders", {.replicas = {kOne, kTwo}}), PartitionIndex(0)} {
    cluster_.RunFor(200);
  }

  // One batch with a record for each time.
  void Put(const std::vector<int64_t>& times_ms, kafka::Codec codec) {
    kafka::RecordBatchBuilder builder({.codec = codec});
    for (const int64_t time_ms : times_ms)
      builder.Append({.timestamp_ms = time_ms, .key = {}, .value = "v", .headers = {}});
    const auto sent = cluster_.ProduceBatch(kOne, key_, *builder.Build());
    ASSERT_TRUE(cluster_.RunUntil([&] { return sent->acknowledged(); }));
  }

  OffsetAnswer Ask(NodeId at, OffsetQuestion question) {
    std::optional<std::vector<OffsetAnswer>> answers;
    question.key = key_;
    LookUpOffsets(*cluster_.replicas(at), background_, {question},
                  [&](std::vector<OffsetAnswer> told) { answers = std::move(told); });
    EXPECT_TRUE(cluster_.RunUntil([&] { return answers.has_value(); }));
    return answers->at(0);
  }
  std::optional<int64_t> TimeAt(int64_t offset) {
    return Ask(kOne, {.key = {}, .time_ms = {}, .offset = Offset(offset)}).record_time_ms;
  }

  SimCluster cluster_;
  ::sluice::testing::SimEventLoop background_;
  PartitionKey key_;
};

TEST_F(OffsetLookUpTest, TheTimeOfARecordWithinItsBatch) {
  Put({1000, 1010, 1020}, kafka::Codec::kNone);
  Put({2000, 2010}, kafka::Codec::kZstd);
  EXPECT_EQ(TimeAt(0), 1000);
  EXPECT_EQ(TimeAt(2), 1020);
  EXPECT_EQ(TimeAt(4), 2010) << "compressed";
  EXPECT_EQ(TimeAt(5), std::nullopt) << "nothing is there yet";
  EXPECT_EQ(TimeAt(99), std::nullopt);
}

TEST_F(OffsetLookUpTest, StartEndAndTime) {
  Put({1000, 1010, 1020}, kafka::Codec::kNone);
  const OffsetAnswer found = Ask(kOne, {.key = {}, .time_ms = 1005, .offset = {}});
  EXPECT_EQ(found.error, kafka::ErrorCode::kNone);
  EXPECT_EQ(found.log_start, Offset(0));
  EXPECT_EQ(found.log_end, Offset(3));
  EXPECT_EQ(found.time_offset, Offset(1));
  EXPECT_EQ(found.record_time_ms, std::nullopt) << "was not asked for";
  EXPECT_EQ(Ask(kOne, {.key = {}, .time_ms = 5000, .offset = {}}).time_offset, std::nullopt);
}

TEST_F(OffsetLookUpTest, OnlyTheLeaderKnows) {
  Put({1000}, kafka::Codec::kNone);
  const OffsetAnswer found = Ask(kTwo, {.key = {}, .time_ms = {}, .offset = Offset(0)});
  EXPECT_EQ(found.error, kafka::ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(found.record_time_ms, std::nullopt);
}

// A committed offset below what retention has left: the first record that is there counts.
TEST_F(OffsetLookUpTest, DeletedRecordsHaveNoTime) {
  Put({1000}, kafka::Codec::kNone);
  Put({2000}, kafka::Codec::kNone);
  bool deleted = false;
  DeleteRecordsParams params;
  params.timeout_ms = 1000;
  params.entries.push_back({key_, Offset(1)});
  cluster_.replicas(kOne)->DeleteRecords(
      std::move(params), [&](const std::vector<DeleteRecordsResult>&) { deleted = true; });
  ASSERT_TRUE(cluster_.RunUntil([&] { return deleted; }));
  EXPECT_EQ(TimeAt(0), 2000);
}

}  // namespace
}  // namespace sluice::broker
