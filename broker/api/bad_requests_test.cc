// Requests that decode well and ask for what they must not get: text that is none, waits without
// end, names that are reserved.

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/create_partitions.h"
#include "kafka/messages/create_topics.h"
#include "kafka/messages/delete_topics.h"
#include "kafka/messages/fetch.h"
#include "kafka/messages/incremental_alter_configs.h"
#include "kafka/messages/metadata.h"
#include "kafka/messages/produce.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;

constexpr char kNoText[] = "\xFF\xFE";
constexpr int16_t kInvalidTopic = 17;
constexpr int16_t kInvalidConfig = 40;
constexpr int16_t kInvalidRequest = 42;

TEST(BadRequestsTest, TopicsAreNotCreatedOfWhatIsNoText) {
  ApiTestBed bed;
  kafka::CreateTopicsRequest request;
  for (const char* name : {kNoText, "bad-key", "bad-value"}) {
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = topic.replication_factor = 1;
  }
  request.topics[1].configs.emplace_back().name = kNoText;
  request.topics[1].configs[0].value = "1";
  request.topics[2].configs.emplace_back().name = "retention.ms";
  request.topics[2].configs[0].value = kNoText;
  const auto response = bed.Call<kafka::CreateTopicsResponse>(request, 7);
  EXPECT_TRUE(bed.controller.create_topics.empty());
  ASSERT_EQ(response.topics.size(), 3u);
  EXPECT_EQ(response.topics[0].error_code, kInvalidTopic);
  EXPECT_EQ(response.topics[0].error_message, "the topic's name is not UTF-8 text");
  EXPECT_EQ(response.topics[1].error_code, kInvalidConfig);
  EXPECT_EQ(response.topics[2].error_code, kInvalidConfig);
  EXPECT_EQ(response.topics[2].error_message, "the value of config retention.ms is not UTF-8 text");
}

TEST(BadRequestsTest, TopicsAreNotDeletedNorGrownByWhatIsNoText) {
  ApiTestBed bed;
  kafka::DeleteTopicsRequest deletion;
  deletion.topics.emplace_back().name = kNoText;
  const auto deleted = bed.Call<kafka::DeleteTopicsResponse>(deletion, 6);
  EXPECT_EQ(deleted.responses[0].error_code, kInvalidTopic);
  deletion = {};
  deletion.topic_names = {kNoText};
  EXPECT_EQ(bed.Call<kafka::DeleteTopicsResponse>(deletion, 1).responses[0].error_code,
            kInvalidTopic);
  EXPECT_TRUE(bed.controller.delete_topics.empty());

  kafka::CreatePartitionsRequest growth;
  growth.topics.emplace_back().name = kNoText;
  const auto grown = bed.Call<kafka::CreatePartitionsResponse>(growth, 3);
  EXPECT_EQ(grown.results[0].error_code, kInvalidTopic);
  EXPECT_TRUE(bed.controller.create_partitions.empty());
}

TEST(BadRequestsTest, ConfigsAreNotAlteredByWhatIsNoText) {
  ApiTestBed bed;
  kafka::IncrementalAlterConfigsRequest request;
  const auto add = [&](int8_t type, const std::string& name, const std::string& key,
                       const std::string& value) {
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
    auto& config = resource.configs.emplace_back();
    config.name = key;
    config.value = value;
  };
  add(2, kNoText, "retention.ms", "1");
  add(4, kNoText, "log.retention.ms", "1");
  add(2, "a", kNoText, "1");
  add(2, "b", "retention.ms", kNoText);
  const auto response = bed.Call<kafka::IncrementalAlterConfigsResponse>(request, 1);
  EXPECT_TRUE(bed.controller.alter_configs.empty());
  std::vector<int16_t> codes;
  for (const auto& result : response.responses) codes.push_back(result.error_code);
  EXPECT_EQ(codes,
            (std::vector<int16_t>{kInvalidTopic, kInvalidRequest, kInvalidConfig, kInvalidConfig}));
}

TEST(BadRequestsTest, NoTopicIsAutoCreatedOfAReservedName) {
  ApiTestBed bed;
  bed.config.auto_create_topics = true;
  for (const char* name : {kNoText, "__cluster_metadata"}) {
    kafka::MetadataRequest request;
    request.topics.emplace().emplace_back().name = name;
    request.allow_auto_topic_creation = true;
    const auto response = bed.Call<kafka::MetadataResponse>(request, 9);
    EXPECT_EQ(response.topics[0].error_code, kInvalidTopic) << name;
  }
  EXPECT_TRUE(bed.controller.create_topics.empty());
}

TEST(BadRequestsTest, AFetchWaitsOnceForAPartitionAndNotForEver) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  kafka::FetchRequest request;
  request.max_wait_ms = INT32_MAX;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  request.session_epoch = -1;
  auto& topic = request.topics.emplace_back();
  topic.topic_id = id;
  topic.partitions.resize(200);
  const auto response = bed.Call<kafka::FetchResponse>(request, 17);
  ASSERT_EQ(response.responses.size(), 1u);
  EXPECT_EQ(response.responses[0].partitions.size(), 1u);
  ASSERT_EQ(bed.replicas.fetched.size(), 1u);
  EXPECT_EQ(bed.replicas.fetched[0].entries.size(), 1u);
  EXPECT_EQ(bed.replicas.fetched[0].wait_ms_max, 60'000);
}

TEST(BadRequestsTest, WhatMayWaitKnowsTheConnectionItWaitsFor) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  kafka::FetchRequest fetch;
  auto& topic = fetch.topics.emplace_back();
  topic.topic_id = id;
  topic.partitions.emplace_back();
  bed.Call<kafka::FetchResponse>(fetch, 17);
  EXPECT_EQ(bed.replicas.fetched.back().client, &bed.connection()->parked);

  kafka::ProduceRequest produce;
  produce.acks = -1;
  auto& data = produce.topic_data.emplace_back();
  data.name = "orders";
  data.partition_data.emplace_back().records = kafka::Records::View({});
  bed.Call<kafka::ProduceResponse>(produce, 9);
  EXPECT_EQ(bed.replicas.produced.back().client, &bed.connection()->parked);
}

}  // namespace
}  // namespace sluice::broker
