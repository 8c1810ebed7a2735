// Produce (key 0): appends record batches. acks=0 is never answered; an error then closes the
// connection, the only way to tell.
//   v3 record format 2 (v0-2 are told by ApiVersions and refused, KAFKA-18659).  v5 log start
//   offset.  v7 zstd. v8 errors of single records (KIP-467).  v9 flexible.  v10 leader hints
//   (KIP-951).  v12 transactions of version 2.  v13 topic ids.

#include "kafka/messages/produce.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::ProduceRequest;
using Response = kafka::ProduceResponse;
using PartitionResponse = Response::PartitionProduceResponse;

constexpr int16_t kLeaderHintsSince = 10;
constexpr int16_t kTopicIdsSince = 13;
// Told that a leader has moved, in a version that cannot say where to, librdkafka waits for 250 ms
// before it asks; when its connection breaks it asks at once, and sends again 100 ms after it was
// told. A moment is left to the other brokers to hear of the new leader as well: whoever is told of
// the old one again loses another 100 ms. Others than librdkafka ask at once anyhow.
constexpr IdleClose kLooksForLeader{.from_ms = 15, .until_ms = 65};
constexpr char kAdminClientId[] = "__admin_client";  // may write to internal topics, as in Kafka

// A partition's place in the response, for those that reach the replica manager.
struct Place {
  size_t topic;
  size_t partition;
};

// One request between its decoding and its answer.
struct Production {
  Response response;
  std::vector<Place> places;  // of the entries, in their order
  std::vector<PartitionKey> keys;
  bool failed = false;
  bool leader_untold = false;  // another leads, and this client would be long in finding out who

  PartitionResponse& At(const Place& place) {
    return response.responses[place.topic].partition_responses[place.partition];
  }
};

Refusal CheckRequest(const Request& request) {
  if (request.acks < -1 || request.acks > 1) {
    return {ErrorCode::kInvalidRequiredAcks,
            "acks is " + std::to_string(request.acks) + "; allowed are -1, 0 and 1"};
  }
  if (request.transactional_id.has_value()) {
    return {ErrorCode::kInvalidTxnState, "this version offers no transactions"};
  }
  return {};
}

Refusal CheckPartition(const metadata::TopicImage* topic, int16_t version,
                       const RequestContext& context, int32_t index) {
  if (topic == nullptr) {
    return {version >= kTopicIdsSince ? ErrorCode::kUnknownTopicId
                                      : ErrorCode::kUnknownTopicOrPartition,
            ""};
  }
  if (metadata::IsInternalTopic(topic->name) && context.client_id != kAdminClientId) {
    return {ErrorCode::kInvalidTopicException, "topic " + topic->name + " is internal"};
  }
  if (index < 0 || static_cast<size_t>(index) >= topic->partitions.size()) {
    return {ErrorCode::kUnknownTopicOrPartition, ""};
  }
  return {};
}

void FillRefusal(const Refusal& refusal, PartitionResponse& out) {
  out.error_code = WireError(refusal.error);
  out.base_offset = -1;
  if (!refusal.message.empty()) out.error_message = refusal.message;
}

// Shapes the response as the request is, refuses what cannot go further, and moves the rest into
// entries.
std::vector<ProduceEntry> Sort(BrokerServices& services, const RequestContext& context,
                               Request& request, Production& production) {
  const metadata::ImagePtr image = services.metadata->Current();
  const Refusal whole = CheckRequest(request);
  uint64_t accepted_bytes = 0;
  std::vector<ProduceEntry> entries;
  production.response.responses.resize(request.topic_data.size());
  for (size_t t = 0; t < request.topic_data.size(); ++t) {
    auto& asked = request.topic_data[t];
    auto& out = production.response.responses[t];
    const auto topic = context.version >= kTopicIdsSince ? image->FindTopic(asked.topic_id)
                                                         : image->FindTopic(asked.name);
    out.name = std::move(asked.name);
    out.topic_id = asked.topic_id;
    out.partition_responses.resize(asked.partition_data.size());
    for (size_t p = 0; p < asked.partition_data.size(); ++p) {
      auto& data = asked.partition_data[p];
      PartitionResponse& partition = out.partition_responses[p];
      partition.index = data.index;
      Refusal refusal = whole;
      if (refusal.error == ErrorCode::kNone)
        refusal = CheckPartition(topic.get(), context.version, context, data.index);
      if (refusal.error == ErrorCode::kNone && data.records.is_null()) {
        refusal = {ErrorCode::kInvalidRecord, "the partition comes without records"};
      }
      if (refusal.error != ErrorCode::kNone) {
        FillRefusal(refusal, partition);
        production.failed = true;
        continue;
      }
      accepted_bytes += data.records.size_bytes();
      entries.push_back({{topic->id, PartitionIndex(data.index)}, std::move(data.records)});
      production.places.push_back({t, p});
      production.keys.push_back(entries.back().key);
    }
  }
  services.metrics->produced_bytes.fetch_add(accepted_bytes, std::memory_order_relaxed);
  return entries;
}

void FillResult(ProduceEntryResult& result, PartitionResponse& out) {
  out.error_code = WireError(result.error);
  out.base_offset = result.base_offset.value();
  out.log_append_time_ms = result.log_append_time_ms;
  out.log_start_offset = result.log_start_offset.value();
  if (!result.message.empty()) out.error_message = std::move(result.message);
  for (RecordErrorDetail& detail : result.record_errors) {
    auto& error = out.record_errors.emplace_back();
    error.batch_index = detail.batch_index;
    error.batch_index_error_message = std::move(detail.message);
  }
}

// Says who leads now, so that the producer need not ask for metadata first.
void AddLeaderHint(BrokerServices& services, const RequestContext& context,
                   const LeaderHint& leader, PartitionResponse& out, Production& production) {
  if (leader.leader == kNoNode) return;
  if (context.version < kLeaderHintsSince) {
    production.leader_untold = context.connection->is_librdkafka;
    return;
  }
  out.current_leader.leader_id = leader.leader.value();
  out.current_leader.leader_epoch = leader.epoch.value();
  AddNodeEndpoint(*services.metadata->Current(), leader.leader, context.connection->listener,
                  production.response.node_endpoints);
}

void Finish(BrokerServices& services, int16_t acks, const Production& production,
            const Responder<Response>& responder) {
  if (production.failed) services.metrics->CountError(Request::kApiKey);
  if (acks != 0) {
    responder.Send(production.response, production.leader_untold ? kLooksForLeader : IdleClose());
  } else if (production.failed) {
    responder.Close("a Produce request with acks=0 failed");
  } else {
    responder.SendNothing();
  }
}

void HandleProduce(BrokerServices& services, const RequestContext& context, Request request,
                   const Responder<Response>& responder) {
  context.connection->is_client = true;
  const auto production = std::make_shared<Production>();
  ProduceRequestParams params;
  params.acks = request.acks;
  params.api_version = context.version;
  params.timeout_ms = request.timeout_ms;
  params.client = &context.connection->parked;
  params.entries = Sort(services, context, request, *production);
  if (params.entries.empty()) {
    Finish(services, request.acks, *production, responder);
    return;
  }
  services.replicas->Produce(std::move(params), [&services, context, acks = request.acks,
                                                 production, responder](
                                                    std::vector<ProduceEntryResult> results) {
    CHECK_EQ(results.size(), production->places.size());
    for (size_t i = 0; i < results.size(); ++i) {
      PartitionResponse& out = production->At(production->places[i]);
      FillResult(results[i], out);
      if (results[i].error == ErrorCode::kNotLeaderOrFollower) {
        AddLeaderHint(services, context, LeaderOf(services, production->keys[i], results[i].leader),
                      out, *production);
      }
      if (results[i].error != ErrorCode::kNone) production->failed = true;
    }
    Finish(services, acks, *production, responder);
  });
}

}  // namespace

const ApiHandler kProduceApi = Serve<Request, Response, &HandleProduce>(3, 13);

}  // namespace sluice::broker
