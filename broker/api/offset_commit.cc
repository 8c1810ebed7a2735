// OffsetCommit (key 8): stores the positions of a consumer group.
//   v3 throttle time.  v5 no retention time of its own.  v6 leader epochs (KIP-320).  v7 static
//   members (KIP-345).  v8 flexible.  v9 member epochs (KIP-848).  v10 topic ids.

#include "kafka/messages/offset_commit.h"

#include <algorithm>

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::OffsetCommitRequest;
using Response = kafka::OffsetCommitResponse;

constexpr int16_t kTopicIdsSince = 10;

void AddRefused(const Request::OffsetCommitRequestTopic& topic, ErrorCode error,
                Response& response) {
  auto& out = response.topics.emplace_back();
  out.name = topic.name;
  out.topic_id = topic.topic_id;
  for (const auto& partition : topic.partitions) {
    auto& refused = out.partitions.emplace_back();
    refused.partition_index = partition.partition_index;
    refused.error_code = kafka::WireError(error);
  }
}

// Takes out of the request what cannot be resolved, with its answers.
Response RefuseUnknown(const metadata::Image& image, int16_t version, Request& request) {
  Response response;
  std::erase_if(request.topics, [&](Request::OffsetCommitRequestTopic& topic) {
    const bool by_id = version >= kTopicIdsSince;
    const auto found = by_id ? image.FindTopic(topic.topic_id) : image.FindTopic(topic.name);
    if (found != nullptr) {
      topic.name = found->name;
      topic.topic_id = found->id;
      return false;
    }
    AddRefused(topic, by_id ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition,
               response);
    return true;
  });
  return response;
}

void Send(const BrokerServices& services, const Response& response,
          const Responder<Response>& responder) {
  const bool failed =
      std::any_of(response.topics.begin(), response.topics.end(), [](const auto& topic) {
        return std::any_of(topic.partitions.begin(), topic.partitions.end(),
                           [](const auto& partition) { return partition.error_code != 0; });
      });
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(response);
}

void HandleOffsetCommit(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  Response refused = RefuseUnknown(*services.metadata->Current(), context.version, request);
  // There is nothing left to be stored.
  if (request.topics.empty() && !refused.topics.empty()) return Send(services, refused, responder);
  AskGroup<Response>(services, context, std::move(request),
                     [&services, responder, refused = std::move(refused)](Response response) {
                       response.topics.insert(response.topics.end(), refused.topics.begin(),
                                              refused.topics.end());
                       Send(services, response, responder);
                     });
}

}  // namespace

const ApiHandler kOffsetCommitApi = Serve<Request, Response, &HandleOffsetCommit>(2, 10);

}  // namespace sluice::broker
