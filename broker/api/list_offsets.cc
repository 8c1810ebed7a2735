// ListOffsets (key 2): the offset that belongs to a timestamp, or a special one.
//   v2 isolation.  v4 leader epochs.  v6 flexible.  v7 -3 = the record with the largest timestamp
//   (KIP-734).  v8 -4 = earliest local. v9 -5 = last tiered.  v10 timeout.  v11 -6 (KIP-1023),
//   which is refused, as by Kafka without tiered storage.

#include "kafka/messages/list_offsets.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::ListOffsetsRequest;
using Response = kafka::ListOffsetsResponse;
using PartitionResponse = Response::ListOffsetsPartitionResponse;

constexpr int16_t kLeaderEpochSince = 4;
constexpr int8_t kReadCommitted = 1;

// Whether a special timestamp means something in this version.
bool TimestampServed(int64_t timestamp, int16_t version) {
  switch (timestamp) {
    case -1:
    case -2: return true;
    case -3: return version >= 7;
    case -4: return version >= 8;
    case -5: return version >= 9;
    default: return timestamp >= 0;
  }
}

// Partitions named more than once are refused, each time.
std::set<std::pair<std::string, int32_t>> Repeated(const Request& request) {
  std::set<std::pair<std::string, int32_t>> seen;
  std::set<std::pair<std::string, int32_t>> repeated;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      std::pair<std::string, int32_t> name(topic.name, partition.partition_index);
      if (!seen.insert(name).second) repeated.insert(std::move(name));
    }
  }
  return repeated;
}

ErrorCode Check(const metadata::TopicImage* topic, const Request::ListOffsetsPartition& asked,
                int16_t version) {
  if (!TimestampServed(asked.timestamp, version)) return ErrorCode::kUnsupportedVersion;
  if (topic == nullptr || asked.partition_index < 0) return ErrorCode::kUnknownTopicOrPartition;
  if (static_cast<size_t>(asked.partition_index) >= topic->partitions.size())
    return ErrorCode::kUnknownTopicOrPartition;
  return ErrorCode::kNone;
}

void FillResult(const ListOffsetsResult& result, int16_t version, PartitionResponse& out) {
  out.error_code = WireError(result.error);
  if (result.error != ErrorCode::kNone) return;
  out.timestamp = result.found.timestamp_ms;
  out.offset = result.found.offset.value();
  if (version >= kLeaderEpochSince) out.leader_epoch = result.found.leader_epoch.value();
}

// One request between its decoding and its answer.
struct Looking {
  Response response;
  std::vector<std::pair<size_t, size_t>> places;  // of the entries in the response
  bool failed = false;
};

void HandleListOffsets(BrokerServices& services, const RequestContext& context, Request request,
                       const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  const auto repeated = Repeated(request);
  const auto looking = std::make_shared<Looking>();
  Response& response = looking->response;
  std::vector<ListOffsetsEntry> entries;
  response.topics.resize(request.topics.size());
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const auto& asked_topic = request.topics[t];
    const auto topic = image->FindTopic(asked_topic.name);
    response.topics[t].name = asked_topic.name;
    for (const auto& asked : asked_topic.partitions) {
      PartitionResponse& out = response.topics[t].partitions.emplace_back();
      out.partition_index = asked.partition_index;
      ErrorCode error = Check(topic.get(), asked, context.version);
      if (repeated.contains({asked_topic.name, asked.partition_index}))
        error = ErrorCode::kInvalidRequest;
      if (error != ErrorCode::kNone) {
        out.error_code = WireError(error);
        looking->failed = true;
        continue;
      }
      entries.push_back({{topic->id, PartitionIndex(asked.partition_index)},
                         LeaderEpoch(asked.current_leader_epoch),
                         asked.timestamp,
                         request.isolation_level == kReadCommitted});
      looking->places.emplace_back(t, response.topics[t].partitions.size() - 1);
    }
  }
  services.replicas->ListOffsets(
      std::move(entries), &context.connection->parked,
      [&services, looking, version = context.version,
       responder](const std::vector<ListOffsetsResult>& results) {
        CHECK_EQ(results.size(), looking->places.size());
        for (size_t i = 0; i < results.size(); ++i) {
          const auto [topic, partition] = looking->places[i];
          FillResult(results[i], version, looking->response.topics[topic].partitions[partition]);
          looking->failed |= results[i].error != ErrorCode::kNone;
        }
        if (looking->failed) services.metrics->CountError(Request::kApiKey);
        responder.Send(looking->response);
      });
}

}  // namespace

const ApiHandler kListOffsetsApi = Serve<Request, Response, &HandleListOffsets>(1, 11);

}  // namespace sluice::broker
