// Produce, Fetch and ListOffsets: what reaches the replica manager, and how its results look on the
// wire.

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/api_versions.h"
#include "kafka/messages/delete_records.h"
#include "kafka/messages/fetch.h"
#include "kafka/messages/list_offsets.h"
#include "kafka/messages/offset_for_leader_epoch.h"
#include "kafka/messages/produce.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::ApiTestBed;
using testing::DecodeReply;

const std::string kBatch(100, 'b');

kafka::ProduceRequest ProduceTo(const std::string& topic, const std::vector<int32_t>& partitions,
                                int16_t acks = -1) {
  kafka::ProduceRequest request;
  request.acks = acks;
  request.timeout_ms = 1500;
  auto& data = request.topic_data.emplace_back();
  data.name = topic;
  for (const int32_t partition : partitions) {
    auto& one = data.partition_data.emplace_back();
    one.index = partition;
    one.records = kafka::Records::View({nullptr, kBatch});
  }
  return request;
}

TEST(ProduceTest, AppendsAndTellsOffsets) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 2);
  bed.replicas.on_produce = [](const ProduceEntry& entry) {
    ProduceEntryResult result;
    result.base_offset = Offset(100 + entry.key.partition.value());
    result.log_start_offset = Offset(1);
    return result;
  };
  const auto response = bed.Call<kafka::ProduceResponse>(ProduceTo("orders", {0, 7, 1}), 9);
  ASSERT_EQ(bed.replicas.produced.size(), 1u);
  const ProduceRequestParams& params = bed.replicas.produced[0];
  EXPECT_EQ(params.acks, -1);
  EXPECT_EQ(params.timeout_ms, 1500);
  ASSERT_EQ(params.entries.size(), 2u);
  EXPECT_EQ(params.entries[1].key, (PartitionKey{id, PartitionIndex(1)}));
  EXPECT_EQ(params.entries[0].records.bytes(), kBatch);
  const auto& partitions = response.responses[0].partition_responses;
  ASSERT_EQ(partitions.size(), 3u);
  EXPECT_EQ(partitions[0].base_offset, 100);
  EXPECT_EQ(partitions[1].error_code, 3);
  EXPECT_EQ(partitions[1].base_offset, -1);
  EXPECT_EQ(partitions[2].base_offset, 101);
  EXPECT_EQ(bed.metrics.produced_bytes.load(), 200u);
}

TEST(ProduceTest, NamesTheLeaderThatTookOver) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  bed.replicas.on_produce = [](const ProduceEntry&) {
    ProduceEntryResult result;
    result.error = ErrorCode::kNotLeaderOrFollower;
    result.leader = {NodeId(2), LeaderEpoch(9)};
    return result;
  };
  kafka::ProduceRequest request = ProduceTo("", {0});
  request.topic_data[0].topic_id = id;
  const auto response = bed.Call<kafka::ProduceResponse>(request, 13);
  const auto& partition = response.responses[0].partition_responses[0];
  EXPECT_EQ(partition.error_code, 6);
  EXPECT_EQ(partition.current_leader.leader_id, 2);
  EXPECT_EQ(partition.current_leader.leader_epoch, 9);
  ASSERT_EQ(response.node_endpoints.size(), 1u);
  EXPECT_EQ(response.node_endpoints[0].host, "broker2");
}

// A version that cannot say who leads: the client asks when its connection breaks.
TEST(ProduceTest, ClosesAfterAnAnswerThatCannotNameTheLeader) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  LeaderHint leader{NodeId(2), LeaderEpoch(9)};
  bed.replicas.on_produce = [&leader](const ProduceEntry&) {
    ProduceEntryResult result;
    result.error = ErrorCode::kNotLeaderOrFollower;
    result.leader = leader;
    return result;
  };
  EXPECT_EQ((*bed.Send(ProduceTo("orders", {0}), 9))->idle_close.until_ms, 0) << "it asks at once";
  kafka::ApiVersionsRequest versions;
  versions.client_software_name = "confluent-kafka-python";
  versions.client_software_version = "2.0.2-librdkafka-2.0.2";
  bed.Call<kafka::ApiVersionsResponse>(versions, 3);
  const auto moved = bed.Send(ProduceTo("orders", {0}), 9);
  const auto response = DecodeReply<kafka::ProduceResponse>(**moved, 9);
  EXPECT_EQ(response.responses[0].partition_responses[0].error_code, 6);
  EXPECT_TRUE(response.node_endpoints.empty());
  EXPECT_GT((*moved)->idle_close.until_ms, 0);
  kafka::ProduceRequest by_id = ProduceTo("", {0});
  by_id.topic_data[0].topic_id = id;
  EXPECT_EQ((*bed.Send(by_id, 13))->idle_close.until_ms, 0) << "it was told";
  leader = {};
  EXPECT_EQ((*bed.Send(ProduceTo("orders", {0}), 9))->idle_close.until_ms, 0)
      << "nobody can tell yet";
}

// Who waited for acknowledgements while the partition left this broker is told by the image.
TEST(ProduceTest, NamesTheLeaderOfTheImageWhereThePartitionIsGone) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1, /*leader=*/2);
  bed.AddTopic("own", 1, /*leader=*/1);
  bed.replicas.on_produce = [](const ProduceEntry&) {
    ProduceEntryResult result;
    result.error = ErrorCode::kNotLeaderOrFollower;
    return result;
  };
  const auto moved = bed.Call<kafka::ProduceResponse>(ProduceTo("orders", {0}), 10);
  EXPECT_EQ(moved.responses[0].partition_responses[0].current_leader.leader_id, 2);
  EXPECT_EQ(moved.responses[0].partition_responses[0].current_leader.leader_epoch, 5);
  ASSERT_EQ(moved.node_endpoints.size(), 1u);
  // This broker has just said no: it does not name itself.
  const auto own = bed.Call<kafka::ProduceResponse>(ProduceTo("own", {0}), 10);
  EXPECT_EQ(own.responses[0].partition_responses[0].current_leader.leader_id, -1);
  EXPECT_TRUE(own.node_endpoints.empty());
}

TEST(ProduceTest, WithoutAcksSilenceIsSuccessAndErrorsClose) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  EXPECT_EQ((*bed.Send(ProduceTo("orders", {0}, 0), 9))->kind, Reply::Kind::kNothing);
  EXPECT_EQ((*bed.Send(ProduceTo("missing", {0}, 0), 9))->kind, Reply::Kind::kClose);
  bed.replicas.on_produce = [](const ProduceEntry&) {
    ProduceEntryResult result;
    result.error = ErrorCode::kCorruptMessage;
    return result;
  };
  EXPECT_EQ((*bed.Send(ProduceTo("orders", {0}, 0), 9))->kind, Reply::Kind::kClose);
}

TEST(ProduceTest, RefusesWhatCannotBeAppended) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  bed.AddTopic("__consumer_offsets", 1);
  const auto error = [&](const kafka::ProduceRequest& request, int16_t version) {
    return bed.Call<kafka::ProduceResponse>(request, version)
        .responses[0]
        .partition_responses[0]
        .error_code;
  };
  EXPECT_EQ(error(ProduceTo("orders", {0}, 2), 9), 21);
  EXPECT_EQ(error(ProduceTo("missing", {0}), 9), 3);
  EXPECT_EQ(error(ProduceTo("missing", {0}), 13), 100);
  EXPECT_EQ(error(ProduceTo("__consumer_offsets", {0}), 9), 17);
  kafka::ProduceRequest transactional = ProduceTo("orders", {0});
  transactional.transactional_id = "tx";
  EXPECT_EQ(error(transactional, 9), 48);
  kafka::ProduceRequest empty = ProduceTo("orders", {0});
  empty.topic_data[0].partition_data[0].records = {};
  EXPECT_EQ(error(empty, 9), 87);
  EXPECT_TRUE(bed.replicas.produced.empty());
}

TEST(ProduceTest, TellsErrorsOfSingleRecordsFromVersionEight) {
  ApiTestBed bed;
  bed.AddTopic("compacted", 1);
  bed.replicas.on_produce = [](const ProduceEntry&) {
    ProduceEntryResult result;
    result.error = ErrorCode::kInvalidRecord;
    result.message = "one record has no key";
    result.record_errors = {{3, "record 3 has no key"}};
    return result;
  };
  const auto v8 = bed.Call<kafka::ProduceResponse>(ProduceTo("compacted", {0}), 8)
                      .responses[0]
                      .partition_responses[0];
  ASSERT_EQ(v8.record_errors.size(), 1u);
  EXPECT_EQ(v8.record_errors[0].batch_index, 3);
  EXPECT_EQ(v8.error_message, "one record has no key");
  EXPECT_EQ(bed.Call<kafka::ProduceResponse>(ProduceTo("compacted", {0}), 7)
                .responses[0]
                .partition_responses[0]
                .error_code,
            87);
}

kafka::FetchRequest FetchFrom(const std::string& topic, TopicId id,
                              const std::vector<int32_t>& partitions) {
  kafka::FetchRequest request;
  request.max_wait_ms = 500;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  auto& asked = request.topics.emplace_back();
  asked.topic = topic;
  asked.topic_id = id;
  for (const int32_t partition : partitions) {
    auto& one = asked.partitions.emplace_back();
    one.partition = partition;
    one.fetch_offset = 40 + partition;
    one.partition_max_bytes = 1000;
  }
  return request;
}

TEST(FetchTest, TellsRecordsWatermarksAndUnknownPartitions) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 2);
  bed.replicas.on_fetch = [](const FetchEntry& entry) {
    FetchEntryResult result;
    result.high_watermark = entry.fetch_offset + 5;
    result.last_stable_offset = entry.fetch_offset + 5;
    result.log_start_offset = Offset(2);
    return result;
  };
  for (const int16_t version : {4, 11, 12, 13, 18}) {
    const auto response = bed.Call<kafka::FetchResponse>(
        FetchFrom("orders", version >= 13 ? id : TopicId(), {1, 5}), version);
    ASSERT_EQ(response.responses.size(), 1u) << version;
    const auto& partitions = response.responses[0].partitions;
    ASSERT_EQ(partitions.size(), 2u);
    EXPECT_EQ(partitions[0].high_watermark, 46);
    EXPECT_FALSE(partitions[0].records.is_null());
    EXPECT_FALSE(partitions[0].aborted_transactions.has_value());
    EXPECT_EQ(partitions[1].error_code, 3);
  }
  const FetchRequestParams& params = bed.replicas.fetched[0];
  EXPECT_EQ(params.replica_id, kNoNode);
  EXPECT_EQ(params.wait_ms_max, 0) << "the unknown partition is told at once";
  EXPECT_EQ(params.entries[0].fetch_offset, Offset(41));
  EXPECT_EQ(params.entries[0].size_bytes_max, 1000);
}

TEST(FetchTest, CapsConsumersButNotFollowers) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  ASSERT_TRUE(bed.config.values.Set("fetch.max.bytes", "2048", "test").ok());
  bed.Call<kafka::FetchResponse>(FetchFrom("", id, {0}), 17);
  EXPECT_EQ(bed.replicas.fetched.back().size_bytes_max, 2048);
  kafka::FetchRequest follower = FetchFrom("", id, {0});
  follower.replica_state.replica_id = 3;
  follower.replica_state.replica_epoch = 44;
  bed.Call<kafka::FetchResponse>(follower, 17);
  EXPECT_EQ(bed.replicas.fetched.back().size_bytes_max, 1 << 20);
  EXPECT_EQ(bed.replicas.fetched.back().replica_id, NodeId(3));
  EXPECT_EQ(bed.replicas.fetched.back().replica_epoch, BrokerEpoch(44));
}

TEST(FetchTest, UnknownTopicIdsAndNewLeaders) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  bed.replicas.on_fetch = [](const FetchEntry&) {
    FetchEntryResult result;
    result.error = ErrorCode::kFencedLeaderEpoch;
    result.leader = {NodeId(3), LeaderEpoch(6)};
    return result;
  };
  kafka::FetchRequest request = FetchFrom("", id, {0});
  auto& unknown = request.topics.emplace_back();
  unknown.topic_id = Uuid::FromBytes(std::string(16, 'u'));
  unknown.partitions.emplace_back();
  const auto response = bed.Call<kafka::FetchResponse>(request, 16);
  ASSERT_EQ(response.responses.size(), 2u);
  EXPECT_EQ(response.responses[0].partitions[0].error_code, 74);
  EXPECT_EQ(response.responses[0].partitions[0].current_leader.leader_id, 3);
  EXPECT_EQ(response.responses[1].partitions[0].error_code, 100);
  ASSERT_EQ(response.node_endpoints.size(), 1u);
  EXPECT_EQ(response.node_endpoints[0].node_id, 3);
}

TEST(FetchTest, WhereTheEndIsNotKnownItIsNotTold) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  bed.replicas.on_fetch = [](const FetchEntry&) {
    FetchEntryResult result;
    result.high_watermark = Offset(7);
    result.end_unknown = true;
    return result;
  };
  const auto fetch = [&](int16_t version) {
    const TopicId asked = version >= 13 ? id : TopicId();
    return bed.Call<kafka::FetchResponse>(FetchFrom("orders", asked, {0}), version)
        .responses[0]
        .partitions[0];
  };
  EXPECT_EQ(fetch(10).error_code, 0) << "a client that knows no such answer";
  EXPECT_EQ(fetch(10).high_watermark, 7);
  for (const int16_t version : {11, 12, 18}) {
    EXPECT_EQ(fetch(version).error_code, 78) << version;
    EXPECT_EQ(fetch(version).high_watermark, -1) << version;
  }
}

TEST(FetchTest, RacksOfConsumersArePassedOnAndTheNearestReplicaIsTold) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  bed.replicas.on_fetch = [](const FetchEntry&) {
    FetchEntryResult result;
    result.high_watermark = Offset(7);
    result.preferred = NodeId(3);
    return result;
  };
  const auto fetch = [&](int32_t replica, int16_t version) {
    kafka::FetchRequest request = FetchFrom("orders", version >= 13 ? id : TopicId(), {0});
    request.rack_id = "b";
    (version < 15 ? request.replica_id : request.replica_state.replica_id) = replica;
    return bed.Call<kafka::FetchResponse>(request, version).responses[0].partitions[0];
  };
  for (const int16_t version : {11, 12, 18}) {
    EXPECT_EQ(fetch(-1, version).preferred_read_replica, 3) << version;
    EXPECT_EQ(bed.replicas.fetched.back().rack, "b") << version;
    EXPECT_EQ(bed.replicas.fetched.back().listener, "PLAINTEXT") << version;
  }
  // Neither brokers nor debugging consumers are sent elsewhere.
  for (const int32_t replica : {2, -2}) {
    fetch(replica, 18);
    EXPECT_EQ(bed.replicas.fetched.back().rack, "") << replica;
  }
  ASSERT_TRUE(
      bed.config.values
          .Set("replica.selector.class", "org.apache.kafka.common.replica.LeaderSelector", "test")
          .ok());
  fetch(-1, 18);
  EXPECT_EQ(bed.replicas.fetched.back().rack, "");
}

TEST(FetchTest, ASessionGoesOnAcrossRequests) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 3);
  kafka::FetchRequest request = FetchFrom("", id, {0, 1, 2});
  request.session_epoch = 0;
  const int32_t session = bed.Call<kafka::FetchResponse>(request, 17).session_id;
  ASSERT_NE(session, 0);
  kafka::FetchRequest next;
  next.session_id = session;
  next.session_epoch = 1;
  const auto response = bed.Call<kafka::FetchResponse>(next, 17);
  EXPECT_EQ(response.session_id, session);
  EXPECT_TRUE(response.responses.empty());
  EXPECT_EQ(bed.replicas.fetched.back().entries.size(), 3u);
  next.session_epoch = 9;
  EXPECT_EQ(bed.Call<kafka::FetchResponse>(next, 17).error_code, 71);
}

TEST(FetchTest, ParkedRequestsAreAnsweredLater) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  bed.replicas.hold_fetches = true;
  const auto reply = bed.Send(FetchFrom("", id, {0}), 17);
  EXPECT_FALSE(reply->has_value());
  bed.replicas.ReleaseFetches();
  ASSERT_TRUE(reply->has_value());
  DecodeReply<kafka::FetchResponse>(**reply, 17);
}

TEST(ListOffsetsTest, ServesSpecialTimestampsByVersion) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  bed.replicas.on_list = [](const ListOffsetsEntry& entry) {
    ListOffsetsResult result;
    result.found = {entry.timestamp_ms, Offset(9), LeaderEpoch(4)};
    return result;
  };
  const auto error = [&](int64_t timestamp, int16_t version) {
    kafka::ListOffsetsRequest request;
    request.replica_id = -1;
    auto& topic = request.topics.emplace_back();
    topic.name = "orders";
    topic.partitions.emplace_back().timestamp = timestamp;
    return bed.Call<kafka::ListOffsetsResponse>(request, version)
        .topics[0]
        .partitions[0]
        .error_code;
  };
  struct Case {
    int64_t timestamp;
    int16_t since;  // 99 = never
  };
  for (const Case& c : {Case{0, 1}, Case{123, 1}, Case{-1, 1}, Case{-2, 1}, Case{-3, 7},
                        Case{-4, 8}, Case{-5, 9}, Case{-6, 99}, Case{-7, 99}}) {
    for (int16_t version = 1; version <= 11; ++version) {
      EXPECT_EQ(error(c.timestamp, version), version >= c.since ? 0 : 35)
          << c.timestamp << " version " << version;
    }
  }
}

TEST(ListOffsetsTest, RefusesRepeatedAndUnknownPartitions) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  kafka::ListOffsetsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = "orders";
  for (const int32_t partition : {0, 0, 4, -1}) {
    auto& asked = topic.partitions.emplace_back();
    asked.partition_index = partition;
    asked.timestamp = -1;
  }
  const auto response = bed.Call<kafka::ListOffsetsResponse>(request, 5);
  std::vector<int16_t> codes;
  for (const auto& partition : response.topics[0].partitions) codes.push_back(partition.error_code);
  EXPECT_EQ(codes, (std::vector<int16_t>{42, 42, 3, 3}));
  EXPECT_TRUE(bed.replicas.listed.empty());
}

TEST(OffsetForLeaderEpochTest, AsksTheReplicaManager) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  kafka::OffsetForLeaderEpochRequest request;
  auto& topic = request.topics.emplace_back();
  topic.topic = "orders";
  topic.partitions.emplace_back().leader_epoch = 3;
  topic.partitions.emplace_back().partition = 8;
  const auto response = bed.Call<kafka::OffsetForLeaderEpochResponse>(request, 4);
  ASSERT_EQ(bed.replicas.epochs_asked.size(), 1u);
  EXPECT_EQ(bed.replicas.epochs_asked[0].asked, LeaderEpoch(3));
  EXPECT_EQ(response.topics[0].partitions[0].error_code, 0);
  EXPECT_EQ(response.topics[0].partitions[1].error_code, 3);
}

TEST(FetchTest, ReadCommittedIsPassedOnAndTheAbortedAreTold) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  bed.replicas.on_fetch = [](const FetchEntry&) {
    FetchEntryResult result;
    result.high_watermark = Offset(9);
    result.last_stable_offset = Offset(5);
    result.aborted = {{ProducerId(7), Offset(1), Offset(3), Offset(5)}};
    return result;
  };
  kafka::FetchRequest request;
  request.max_bytes = 1000;
  request.isolation_level = 1;
  auto& topic = request.topics.emplace_back();
  topic.topic = "orders";
  topic.partitions.emplace_back().partition_max_bytes = 1000;
  const auto response = bed.Call<kafka::FetchResponse>(request, 11);
  EXPECT_TRUE(bed.replicas.fetched.back().read_committed);
  const auto& partition = response.responses[0].partitions[0];
  EXPECT_EQ(partition.last_stable_offset, 5);
  ASSERT_TRUE(partition.aborted_transactions.has_value());
  ASSERT_EQ(partition.aborted_transactions->size(), 1u);
  EXPECT_EQ((*partition.aborted_transactions)[0].producer_id, 7);
  EXPECT_EQ((*partition.aborted_transactions)[0].first_offset, 1);

  kafka::ListOffsetsRequest list;
  list.isolation_level = 1;
  auto& listed = list.topics.emplace_back();
  listed.name = "orders";
  listed.partitions.emplace_back().timestamp = -1;
  bed.Call<kafka::ListOffsetsResponse>(list, 7);
  EXPECT_TRUE(bed.replicas.listed.back().read_committed);
}

TEST(DeleteRecordsTest, AnswersInTheOrderOfTheRequest) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 2);
  bed.AddTopic("__consumer_offsets", 1);
  bed.replicas.on_delete = [](const DeleteRecordsEntry& entry) {
    DeleteRecordsResult result;
    result.low_watermark = entry.before;
    if (entry.before == Offset(99)) result = {ErrorCode::kOffsetOutOfRange, Offset(-1)};
    return result;
  };
  kafka::DeleteRecordsRequest request;
  request.timeout_ms = 1500;
  for (const char* name : {"orders", "__consumer_offsets", "missing"}) {
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    for (const int32_t partition : {0, 1, 2, -1}) {
      auto& asked = topic.partitions.emplace_back();
      asked.partition_index = partition;
      asked.offset = partition == 1 ? 99 : 40 + partition;
    }
  }
  for (const int16_t version : {0, 1, 2}) {
    const auto response = bed.Call<kafka::DeleteRecordsResponse>(request, version);
    ASSERT_EQ(response.topics.size(), 3u);
    const auto& orders = response.topics[0].partitions;
    ASSERT_EQ(orders.size(), 4u);
    EXPECT_EQ(orders[0].error_code, 0);
    EXPECT_EQ(orders[0].low_watermark, 40);
    EXPECT_EQ(orders[1].error_code, 1);
    EXPECT_EQ(orders[2].error_code, 3);
    EXPECT_EQ(orders[2].low_watermark, -1);
    EXPECT_EQ(orders[3].error_code, 3);
    EXPECT_EQ(response.topics[1].partitions[0].error_code, 17);
    EXPECT_EQ(response.topics[2].partitions[0].error_code, 3);
  }
  ASSERT_EQ(bed.replicas.deleted.size(), 3u);
  EXPECT_EQ(bed.replicas.deleted[0].timeout_ms, 1500);
  ASSERT_EQ(bed.replicas.deleted[0].entries.size(), 2u);
  EXPECT_EQ(bed.replicas.deleted[0].entries[1].key, (PartitionKey{id, PartitionIndex(1)}));
}

}  // namespace
}  // namespace sluice::broker
