// What follows from a group commit happens once for the whole group.

#include <gtest/gtest.h>

#include "broker/replica/replica_manager.h"
#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;

constexpr NodeId kOne{1};
constexpr int kPartitions = 5;

std::shared_ptr<std::string> OneRecord(testing::SimCluster& cluster) {
  kafka::RecordBatchBuilder builder({});
  builder.Append({.timestamp_ms = cluster.scheduler().clock().WallMs(), .value = "v"});
  return std::make_shared<std::string>(*builder.Build());
}

TEST(FlushGroupTest, AConsumerOfAllItsPartitionsIsAnsweredOnceAndGetsAll) {
  FLAGS_minloglevel = google::GLOG_FATAL;
  testing::SimCluster cluster({.nodes = 1, .flush_ms_max = 0});
  const TopicId topic = cluster.CreateTopic("orders", {.partitions = kPartitions});
  cluster.RunFor(100);
  FetchRequestParams fetch{.wait_ms_max = 5000, .size_bytes_min = 1, .size_bytes_max = 1 << 20};
  ProduceRequestParams produce{.acks = -1, .api_version = 9, .timeout_ms = 5000};
  const auto batch = OneRecord(cluster);
  for (int i = 0; i < kPartitions; ++i) {
    const PartitionKey key{topic, PartitionIndex(i)};
    fetch.entries.push_back({.key = key, .fetch_offset = Offset(0), .size_bytes_max = 1 << 20});
    produce.entries.push_back({key, kafka::Records::View({batch, *batch})});
  }
  std::vector<FetchEntryResult> fetched;
  cluster.replicas(kOne)->Fetch(fetch, [&](auto results) { fetched = std::move(results); });
  cluster.RunFor(10);
  ASSERT_TRUE(fetched.empty());
  int acknowledged = 0;
  cluster.replicas(kOne)->Produce(std::move(produce), [&](const auto& results) {
    for (const auto& result : results) acknowledged += result.error == ErrorCode::kNone;
  });
  ASSERT_TRUE(cluster.RunUntil([&] { return !fetched.empty(); }));
  EXPECT_EQ(acknowledged, kPartitions);
  for (const FetchEntryResult& result : fetched) EXPECT_EQ(result.size_bytes, batch->size());
}

TEST(FlushGroupTest, ARequestOfManyPartitionsSubmitsTheFirstAheadAndIsAnsweredOnce) {
  FLAGS_minloglevel = google::GLOG_FATAL;
  constexpr int kMany = 2 * storage::kSubmitAheadPartitions + 7;
  testing::SimCluster cluster({.nodes = 1});
  const TopicId topic = cluster.CreateTopic("orders", {.partitions = kMany});
  cluster.RunFor(100);
  ProduceRequestParams produce{.acks = -1, .api_version = 9, .timeout_ms = 5000};
  const auto batch = OneRecord(cluster);
  for (int i = 0; i < kMany; ++i)
    produce.entries.push_back({{topic, PartitionIndex(i)}, kafka::Records::View({batch, *batch})});
  int answers = 0, acknowledged = 0;
  cluster.replicas(kOne)->Produce(std::move(produce), [&](const auto& results) {
    ++answers;
    for (const auto& result : results) acknowledged += result.error == ErrorCode::kNone;
  });
  ASSERT_TRUE(cluster.RunUntil([&] { return answers > 0; }));
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(acknowledged, kMany);
}

}  // namespace
}  // namespace sluice::broker
