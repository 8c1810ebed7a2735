#include "bench/floor/api.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>

#include "kafka/api_keys.h"
#include "kafka/error_code.h"
#include "kafka/messages/api_versions.h"
#include "kafka/messages/create_topics.h"
#include "kafka/messages/delete_topics.h"
#include "kafka/messages/fetch.h"
#include "kafka/messages/init_producer_id.h"
#include "kafka/messages/list_offsets.h"
#include "kafka/messages/metadata.h"
#include "kafka/messages/produce.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_writer.h"

namespace sluice::bench {
namespace {

using kafka::ErrorCode;

constexpr int32_t kNodeId = 1;
constexpr int64_t kEarliest = -2;
constexpr std::array kServed = {kafka::ApiKey::kProduce,        kafka::ApiKey::kFetch,
                                kafka::ApiKey::kListOffsets,    kafka::ApiKey::kMetadata,
                                kafka::ApiKey::kApiVersions,    kafka::ApiKey::kCreateTopics,
                                kafka::ApiKey::kInitProducerId, kafka::ApiKey::kDeleteTopics};
// Later versions name topics by id, which nothing here has.
constexpr int16_t kProduceMax = 12;
constexpr int16_t kFetchMax = 12;

int16_t Wire(ErrorCode code) { return static_cast<int16_t>(code); }

TopicShape ShapeOf(const kafka::CreateTopicsRequest::CreatableTopic& topic) {
  TopicShape shape{.partitions = std::max(topic.num_partitions, 1)};
  for (const auto& config : topic.configs) {
    const uint64_t value = std::strtoull(config.value.value_or("").c_str(), nullptr, 10);
    if (config.name == "segment.bytes") shape.segment_bytes = value;
    if (config.name == "retention.bytes" && config.value != "-1") shape.retention_bytes = value;
  }
  return shape;
}

kafka::MetadataResponse::MetadataResponseTopic Describe(const std::string& name,
                                                        const Store::Topic* topic) {
  kafka::MetadataResponse::MetadataResponseTopic described;
  described.name = name;
  if (topic == nullptr) {
    described.error_code = Wire(ErrorCode::kUnknownTopicOrPartition);
    return described;
  }
  for (size_t i = 0; i < topic->size(); ++i) {
    auto& partition = described.partitions.emplace_back();
    partition.partition_index = static_cast<int32_t>(i);
    partition.leader_id = kNodeId;
    partition.leader_epoch = 0;
    partition.replica_nodes = {kNodeId};
    partition.isr_nodes = {kNodeId};
  }
  return described;
}

// The records of a produced batch lie in the request's frame, which its connection owns.
std::span<char> WritableBytes(const kafka::Records& records) {
  const std::string_view bytes = records.bytes();
  return {const_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace

template <typename Response>
FloorAnswer FloorApi::Reply(const Call& call, const Response& response) {
  kafka::ResponseHeader header;
  header.correlation_id = call.header.correlation_id;
  kafka::WireWriter writer;
  writer.BeginFrame();
  header.Encode(writer, kafka::ResponseHeaderVersion(call.header.request_api_key, call.version()));
  response.Encode(writer, call.version());
  FloorAnswer answer;
  if (writer.status().ok()) {
    answer.bytes = writer.Finish();
  } else {
    answer.close = true;
  }
  return answer;
}

FloorAnswer FloorApi::Handle(std::span<char> frame, bool last_try) {
  kafka::WireReader reader({frame.data(), frame.size()});
  Call call{.header = {}, .reader = reader};
  if (frame.size() < 4) return {.close = true};
  const int16_t key = LoadBigEndian<int16_t>(frame.data());
  const int16_t version = LoadBigEndian<int16_t>(frame.data() + 2);
  if (!call.header.Decode(reader, kafka::RequestHeaderVersion(key, version)).ok())
    return {.close = true};
  return Dispatch(call, last_try);
}

FloorAnswer FloorApi::Dispatch(Call& call, bool last_try) {
  switch (static_cast<kafka::ApiKey>(call.header.request_api_key)) {
    case kafka::ApiKey::kProduce: return Produce(call);
    case kafka::ApiKey::kFetch: return Fetch(call, last_try);
    case kafka::ApiKey::kListOffsets: return ListOffsets(call);
    case kafka::ApiKey::kMetadata: return Metadata(call);
    case kafka::ApiKey::kApiVersions: return ApiVersions(call);
    case kafka::ApiKey::kCreateTopics: return CreateTopics(call);
    case kafka::ApiKey::kInitProducerId: return InitProducerId(call);
    case kafka::ApiKey::kDeleteTopics: return DeleteTopics(call);
    default: return {.close = true};
  }
}

FloorAnswer FloorApi::ApiVersions(const Call& call) const {
  kafka::ApiVersionsResponse response;
  for (const kafka::ApiKey key : kServed) {
    const kafka::ApiInfo* info = kafka::FindApi(static_cast<int16_t>(key));
    auto& served = response.api_keys.emplace_back();
    served.api_key = static_cast<int16_t>(key);
    served.min_version = info->version_min_advertised;
    served.max_version = info->version_max;
    if (key == kafka::ApiKey::kProduce) served.max_version = kProduceMax;
    if (key == kafka::ApiKey::kFetch) served.max_version = kFetchMax;
  }
  return Reply(call, response);
}

FloorAnswer FloorApi::Metadata(Call& call) const {
  kafka::MetadataRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  kafka::MetadataResponse response;
  response.cluster_id = "floor";
  response.controller_id = kNodeId;
  auto& broker = response.brokers.emplace_back();
  broker.node_id = kNodeId;
  broker.host = host_;
  broker.port = port_;
  std::vector<std::string> names;
  if (request.topics) {
    for (const auto& topic : *request.topics) names.push_back(topic.name.value_or(""));
  } else {
    names = store_.names();
  }
  for (const std::string& name : names)
    response.topics.push_back(Describe(name, store_.Find(name).get()));
  return Reply(call, response);
}

FloorAnswer FloorApi::InitProducerId(Call& call) {
  static std::atomic<int64_t> next{1};
  kafka::InitProducerIdResponse response;
  response.producer_id = next++;
  response.producer_epoch = 0;
  return Reply(call, response);
}

FloorAnswer FloorApi::Produce(Call& call) {
  kafka::ProduceRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  kafka::ProduceResponse response;
  for (const auto& topic : request.topic_data) {
    auto& answered = response.responses.emplace_back();
    answered.name = topic.name;
    const std::shared_ptr<Store::Topic> found = store_.Find(topic.name);
    for (const auto& data : topic.partition_data) {
      auto& result = answered.partition_responses.emplace_back();
      result.index = data.index;
      FloorPartition* partition = store_.Find(found, data.index);
      if (partition == nullptr) {
        result.error_code = Wire(ErrorCode::kUnknownTopicOrPartition);
        continue;
      }
      const auto base = partition->Append(WritableBytes(data.records));
      result.base_offset = base.value_or(-1);
      if (!base) result.error_code = Wire(ErrorCode::kCorruptMessage);
    }
  }
  FloorAnswer answer = request.acks == 0 ? FloorAnswer{} : Reply(call, response);
  answer.appended = true;
  return answer;
}

FloorAnswer FloorApi::Fetch(Call& call, bool last_try) const {
  kafka::FetchRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  kafka::FetchResponse response;
  int64_t left = request.max_bytes;
  bool found_any = false;
  for (const auto& topic : request.topics) {
    auto& answered = response.responses.emplace_back();
    answered.topic = topic.topic;
    const std::shared_ptr<Store::Topic> found = store_.Find(topic.topic);
    for (const auto& asked : topic.partitions) {
      auto& result = answered.partitions.emplace_back();
      result.partition_index = asked.partition;
      result.records = kafka::Records::Files({});
      const FloorPartition* partition = store_.Find(found, asked.partition);
      if (partition == nullptr) {
        result.error_code = Wire(ErrorCode::kUnknownTopicOrPartition);
        found_any = true;
        continue;
      }
      const FloorPartition::Ends ends = partition->ends();
      result.high_watermark = result.last_stable_offset = ends.next;
      result.log_start_offset = ends.first;
      if (asked.fetch_offset < ends.first || asked.fetch_offset > ends.next) {
        result.error_code = Wire(ErrorCode::kOffsetOutOfRange);
        found_any = true;
      } else if (asked.fetch_offset < ends.next && left > 0) {
        result.records = partition->Read(asked.fetch_offset, asked.partition_max_bytes);
        left -= static_cast<int64_t>(result.records.size_bytes());
        found_any = true;
      }
    }
  }
  if (!found_any && !last_try) return {.wait_ms = request.max_wait_ms};
  return Reply(call, response);
}

FloorAnswer FloorApi::ListOffsets(Call& call) const {
  kafka::ListOffsetsRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  kafka::ListOffsetsResponse response;
  for (const auto& topic : request.topics) {
    auto& answered = response.topics.emplace_back();
    answered.name = topic.name;
    const std::shared_ptr<Store::Topic> found = store_.Find(topic.name);
    for (const auto& asked : topic.partitions) {
      auto& result = answered.partitions.emplace_back();
      result.partition_index = asked.partition_index;
      const FloorPartition* partition = store_.Find(found, asked.partition_index);
      if (partition == nullptr) {
        result.error_code = Wire(ErrorCode::kUnknownTopicOrPartition);
        continue;
      }
      const FloorPartition::Ends ends = partition->ends();
      result.offset = asked.timestamp == kEarliest ? ends.first : ends.next;
    }
  }
  return Reply(call, response);
}

FloorAnswer FloorApi::CreateTopics(Call& call) {
  kafka::CreateTopicsRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  kafka::CreateTopicsResponse response;
  for (const auto& topic : request.topics) {
    auto& result = response.topics.emplace_back();
    result.name = topic.name;
    if (!store_.Create(topic.name, ShapeOf(topic)))
      result.error_code = Wire(ErrorCode::kTopicAlreadyExists);
  }
  return Reply(call, response);
}

FloorAnswer FloorApi::DeleteTopics(Call& call) {
  kafka::DeleteTopicsRequest request;
  if (!request.Decode(call.reader, call.version()).ok()) return {.close = true};
  std::vector<std::string> names = request.topic_names;
  for (const auto& topic : request.topics) names.push_back(topic.name.value_or(""));
  kafka::DeleteTopicsResponse response;
  for (const std::string& name : names) {
    store_.Delete(name);
    response.responses.emplace_back().name = name;
  }
  return Reply(call, response);
}

}  // namespace sluice::bench
