// What a client meets before any handler: versions, fallbacks, malformed headers and bodies.

#include "broker/api/dispatch.h"

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/alter_partition_reassignments.h"
#include "kafka/messages/alter_replica_log_dirs.h"
#include "kafka/messages/api_versions.h"
#include "kafka/messages/create_partitions.h"
#include "kafka/messages/create_topics.h"
#include "kafka/messages/delete_topics.h"
#include "kafka/messages/describe_cluster.h"
#include "kafka/messages/describe_configs.h"
#include "kafka/messages/describe_log_dirs.h"
#include "kafka/messages/describe_topic_partitions.h"
#include "kafka/messages/fetch.h"
#include "kafka/messages/incremental_alter_configs.h"
#include "kafka/messages/init_producer_id.h"
#include "kafka/messages/list_config_resources.h"
#include "kafka/messages/list_offsets.h"
#include "kafka/messages/list_partition_reassignments.h"
#include "kafka/messages/metadata.h"
#include "kafka/messages/offset_for_leader_epoch.h"
#include "kafka/messages/produce.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;
using testing::EncodeRequest;

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[c & 15];
  }
  return text;
}

// Key, version, correlation id 1, client id "c".
std::string RawHeader(int16_t key, int16_t version) {
  ByteWriter writer;
  writer.PutInt16(key);
  writer.PutInt16(version);
  writer.PutInt32(1);
  writer.PutInt16(1);
  writer.PutBytes("c");
  return writer.Take();
}

TEST(DispatchTest, AnswersUnknownVersionsOfApiVersionsInVersionZero) {
  ApiTestBed bed;
  for (const int16_t version : {5, 99, -1}) {
    const auto reply = bed.Send(RawHeader(18, version));
    ASSERT_TRUE(reply->has_value());
    // Length 16, correlation id, error 35, one entry: key 18, versions 0 to 4.
    EXPECT_EQ(Hex(Flatten((*reply)->frame).value()),
              "00000010"
              "00000001"
              "0023"
              "00000001"
              "0012"
              "0000"
              "0004");
  }
}

TEST(DispatchTest, ClosesOnUnknownKeysAndVersions) {
  ApiTestBed bed;
  const std::vector<std::pair<int16_t, int16_t>> refused = {{0, 2},  {0, 14}, {1, 3},   {1, 19},
                                                            {3, 14}, {-1, 0}, {999, 0}, {10, 7}};
  for (const auto& [key, version] : refused) {
    const auto reply = bed.Send(RawHeader(key, version));
    ASSERT_TRUE(reply->has_value());
    EXPECT_EQ((*reply)->kind, Reply::Kind::kClose) << key << " " << version;
  }
  EXPECT_EQ(bed.metrics.unsupported_requests.load(), refused.size());
}

TEST(DispatchTest, DeniesNothingBeforeTheMetadataIsKnown) {
  ApiTestBed bed;
  bool known = false;
  bed.services().knows_cluster = [&] { return known; };
  kafka::MetadataRequest request;
  request.topics->emplace_back().name = "orders";
  const auto closed = bed.Send(EncodeRequest(request, 12));
  ASSERT_TRUE(closed->has_value());
  EXPECT_EQ((*closed)->kind, Reply::Kind::kClose);
  // Clients take a connection that ends here for that of a very old broker.
  const auto versions = bed.Send(RawHeader(18, 0));
  ASSERT_TRUE(versions->has_value());
  EXPECT_EQ((*versions)->kind, Reply::Kind::kSend);
  known = true;
  EXPECT_EQ((*bed.Send(EncodeRequest(request, 12)))->kind, Reply::Kind::kSend);
}

TEST(DispatchTest, ClosesOnTruncatedRequests) {
  ApiTestBed bed;
  kafka::MetadataRequest request;
  request.topics->emplace_back().name = "orders";
  const std::string whole = EncodeRequest(request, 12);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto reply = bed.Send(whole.substr(0, size));
    ASSERT_TRUE(reply->has_value());
    EXPECT_EQ((*reply)->kind, Reply::Kind::kClose) << size << " bytes";
  }
}

TEST(DispatchTest, TellsTheVersionsOfKafka431AndNothingElse) {
  ApiTestBed bed;
  kafka::ApiVersionsRequest request;
  request.client_software_name = "test-client";
  request.client_software_version = "1.0";
  const auto response = bed.Call<kafka::ApiVersionsResponse>(request, 4);
  std::string told;
  for (const auto& api : response.api_keys) {
    told += std::to_string(api.api_key) + ":" + std::to_string(api.min_version) + "-" +
            std::to_string(api.max_version) + " ";
  }
  EXPECT_EQ(
      told,
      "0:0-13 1:4-18 2:1-11 3:0-13 8:2-10 9:1-10 10:0-6 11:0-9 12:0-4 13:0-5 14:0-5 15:0-6 16:0-5 "
      "18:0-4 19:2-7 20:1-6 21:0-2 22:0-5 23:2-4 32:1-4 34:1-2 35:1-5 37:0-3 42:0-2 43:0-2 44:0-1 "
      "45:0-1 46:0-0 "
      "47:0-0 55:0-2 57:0-2 60:0-2 "
      "64:0-0 68:0-1 69:0-1 74:0-1 "
      "75:0-0 80:0-1 81:0-0 ");
}

TEST(DispatchTest, TellsOnlyCompleteFeatures) {
  ApiTestBed bed;
  bed.Edit([](metadata::Image& image) {
    image.features = {
        {"metadata.version", 30}, {"eligible.leader.replicas.version", 1}, {"group.version", 1}};
  });
  kafka::ApiVersionsRequest request;
  request.client_software_name = "a.b-c";
  request.client_software_version = "4.3.1";
  const auto v3 = bed.Call<kafka::ApiVersionsResponse>(request, 3);
  ASSERT_EQ(v3.supported_features.size(),
            1u);  // those with minimum 0 are left out before version 4
  EXPECT_EQ(v3.supported_features[0].name, "metadata.version");
  const auto v4 = bed.Call<kafka::ApiVersionsResponse>(request, 4);
  EXPECT_EQ(v4.supported_features.size(), 3u);
  ASSERT_EQ(v4.finalized_features.size(), 3u);
  EXPECT_EQ(v4.finalized_features_epoch, bed.metadata.Current()->last_index.value());
}

TEST(DispatchTest, RefusesSoftwareNamesThatCouldBreakALog) {
  ApiTestBed bed;
  for (const std::string name : {"", "-x", "x-", "a b", "x\n"}) {
    kafka::ApiVersionsRequest request;
    request.client_software_name = name;
    request.client_software_version = "1";
    const auto response = bed.Call<kafka::ApiVersionsResponse>(request, 3);
    EXPECT_EQ(response.error_code, 42) << name;
    EXPECT_TRUE(response.api_keys.empty());
  }
}

// An empty request of each version gets an answer in that version: no response field contradicts
// its version.
template <typename Request, typename Response>
void AnswersEveryVersion(ApiTestBed& bed) {
  const ApiHandler* api = FindServedApi(Request::kApiKey);
  ASSERT_NE(api, nullptr);
  for (int16_t version = api->version_min; version <= api->version_max; ++version) {
    SCOPED_TRACE(std::string(Request::kName) + " version " + std::to_string(version));
    bed.Call<Response>(Request(), version);
  }
}

TEST(DispatchTest, AnswersEmptyRequestsInEveryVersion) {
  ApiTestBed bed;
  bed.AddTopic("orders", 2);
  AnswersEveryVersion<kafka::AlterPartitionReassignmentsRequest,
                      kafka::AlterPartitionReassignmentsResponse>(bed);
  AnswersEveryVersion<kafka::AlterReplicaLogDirsRequest, kafka::AlterReplicaLogDirsResponse>(bed);
  AnswersEveryVersion<kafka::ApiVersionsRequest, kafka::ApiVersionsResponse>(bed);
  AnswersEveryVersion<kafka::CreatePartitionsRequest, kafka::CreatePartitionsResponse>(bed);
  AnswersEveryVersion<kafka::CreateTopicsRequest, kafka::CreateTopicsResponse>(bed);
  AnswersEveryVersion<kafka::DeleteTopicsRequest, kafka::DeleteTopicsResponse>(bed);
  AnswersEveryVersion<kafka::DescribeClusterRequest, kafka::DescribeClusterResponse>(bed);
  AnswersEveryVersion<kafka::DescribeConfigsRequest, kafka::DescribeConfigsResponse>(bed);
  AnswersEveryVersion<kafka::DescribeLogDirsRequest, kafka::DescribeLogDirsResponse>(bed);
  AnswersEveryVersion<kafka::DescribeTopicPartitionsRequest,
                      kafka::DescribeTopicPartitionsResponse>(bed);
  AnswersEveryVersion<kafka::FetchRequest, kafka::FetchResponse>(bed);
  AnswersEveryVersion<kafka::IncrementalAlterConfigsRequest,
                      kafka::IncrementalAlterConfigsResponse>(bed);
  AnswersEveryVersion<kafka::ListConfigResourcesRequest, kafka::ListConfigResourcesResponse>(bed);
  AnswersEveryVersion<kafka::ListOffsetsRequest, kafka::ListOffsetsResponse>(bed);
  AnswersEveryVersion<kafka::ListPartitionReassignmentsRequest,
                      kafka::ListPartitionReassignmentsResponse>(bed);
  AnswersEveryVersion<kafka::MetadataRequest, kafka::MetadataResponse>(bed);
  AnswersEveryVersion<kafka::OffsetForLeaderEpochRequest, kafka::OffsetForLeaderEpochResponse>(bed);
}

// Frames with bytes flipped, cut or grown, in every API and version: each gets an answer, is
// closed, or waits for the controller, and nothing is answered twice (the bed checks that).
TEST(DispatchTest, SurvivesDamagedRequests) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 2);
  kafka::FetchRequest fetch;
  fetch.topics.emplace_back().topic_id = id;
  fetch.topics[0].partitions.resize(2);
  kafka::CreateTopicsRequest create;
  create.topics.resize(2);
  create.topics[0].configs.emplace_back().name = "retention.ms";
  kafka::MetadataRequest metadata;
  metadata.topics->emplace_back().name = "orders";
  kafka::DescribeConfigsRequest describe;
  describe.resources.emplace_back().resource_name = "orders";
  const std::vector<std::string> seeds = {EncodeRequest(fetch, 18), EncodeRequest(create, 7),
                                          EncodeRequest(metadata, 12), EncodeRequest(describe, 4)};
  Random random(42);
  for (int round = 0; round < 20000; ++round) {
    std::string frame = seeds[random.Below(seeds.size())];
    if (random.Chance(1, 4)) {
      const ApiHandler* api = ServedApis()[random.Below(ServedApis().size())];
      StoreBigEndian(frame.data(), static_cast<int16_t>(api->key));
      StoreBigEndian(frame.data() + 2,
                     static_cast<int16_t>(random.Between(api->version_min, api->version_max)));
    }
    for (int64_t flips = random.Between(1, 4); flips > 0; --flips) {
      frame[8 + random.Below(frame.size() - 8)] = static_cast<char>(random.Next());
    }
    if (random.Chance(1, 4)) frame.resize(8 + random.Below(frame.size()));
    bed.Send(std::move(frame));
  }
}

TEST(DispatchTest, GivesProducerIdsAndRefusesTransactions) {
  ApiTestBed bed;
  kafka::InitProducerIdRequest idempotent;
  idempotent.transactional_id.reset();
  const auto reply = bed.Send(idempotent, 4);
  ASSERT_EQ(bed.controller.allocate.size(), 1u);
  EXPECT_FALSE(reply->has_value());
  controller::AllocateProducerIdsResponse block;
  block.set_first_producer_id(5000);
  block.set_count(1000);
  bed.controller.allocate[0].done(block);
  const auto response = testing::DecodeReply<kafka::InitProducerIdResponse>(**reply, 4);
  EXPECT_EQ(response.error_code, 0);
  EXPECT_EQ(response.producer_id, 5000);
  EXPECT_EQ(response.producer_epoch, 0);

  kafka::InitProducerIdRequest transactional;
  transactional.transactional_id = "tx";
  EXPECT_EQ(bed.Call<kafka::InitProducerIdResponse>(transactional, 4).error_code, 35);
}

}  // namespace
}  // namespace sluice::broker
