// DeleteRecords (key 21): moves the start of partitions' logs; the records below it are deleted on
// every replica. Answered by the leader, when all live replicas have done so or the time is up.
//   v1 throttle time comes first.  v2 flexible.

#include "kafka/messages/delete_records.h"

#include <memory>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::DeleteRecordsRequest;
using Response = kafka::DeleteRecordsResponse;

constexpr int64_t kUnknownLowWatermark = -1;

// One request between its decoding and its answer.
struct Deleting {
  Response response;
  std::vector<std::pair<size_t, size_t>> places;  // of the entries in the response
  bool failed = false;
};

ErrorCode Check(const metadata::TopicImage* topic, int32_t partition) {
  if (topic == nullptr || partition < 0) return ErrorCode::kUnknownTopicOrPartition;
  if (static_cast<size_t>(partition) >= topic->partitions.size())
    return ErrorCode::kUnknownTopicOrPartition;
  if (metadata::IsInternalTopic(topic->name)) return ErrorCode::kInvalidTopicException;
  return ErrorCode::kNone;
}

void Finish(BrokerServices& services, Deleting& deleting,
            const std::vector<DeleteRecordsResult>& results, const Responder<Response>& responder) {
  CHECK_EQ(results.size(), deleting.places.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const auto [topic, partition] = deleting.places[i];
    auto& out = deleting.response.topics[topic].partitions[partition];
    out.low_watermark = results[i].low_watermark.value();
    out.error_code = WireError(results[i].error);
    deleting.failed |= results[i].error != ErrorCode::kNone;
  }
  if (deleting.failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(deleting.response);
}

void HandleDeleteRecords(BrokerServices& services, const RequestContext& context, Request request,
                         const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  const auto deleting = std::make_shared<Deleting>();
  DeleteRecordsParams params;
  params.timeout_ms = request.timeout_ms;
  params.client = &context.connection->parked;
  deleting->response.topics.resize(request.topics.size());
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const auto topic = image->FindTopic(request.topics[t].name);
    auto& out_topic = deleting->response.topics[t];
    out_topic.name = request.topics[t].name;
    for (const auto& asked : request.topics[t].partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition_index = asked.partition_index;
      out.low_watermark = kUnknownLowWatermark;
      const ErrorCode error = Check(topic.get(), asked.partition_index);
      out.error_code = WireError(error);
      if (error != ErrorCode::kNone) {
        deleting->failed = true;
        continue;
      }
      params.entries.push_back(
          {{topic->id, PartitionIndex(asked.partition_index)}, Offset(asked.offset)});
      deleting->places.emplace_back(t, out_topic.partitions.size() - 1);
    }
  }
  services.replicas->DeleteRecords(
      std::move(params),
      [&services, deleting, responder](const std::vector<DeleteRecordsResult>& results) {
        Finish(services, *deleting, results, responder);
      });
}

}  // namespace

const ApiHandler kDeleteRecordsApi = Serve<Request, Response, &HandleDeleteRecords>(0, 2);

}  // namespace sluice::broker
