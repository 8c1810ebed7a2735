// OffsetDelete (key 47): removes stored positions of topics that no member of the group reads
// (KIP-496).

#include "kafka/messages/offset_delete.h"

#include <algorithm>

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::OffsetDeleteRequest;
using Response = kafka::OffsetDeleteResponse;

Response RefuseUnknown(const metadata::Image& image, Request& request) {
  Response response;
  std::erase_if(request.topics, [&](const Request::OffsetDeleteRequestTopic& topic) {
    if (image.FindTopic(topic.name) != nullptr) return false;
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      auto& refused = out.partitions.emplace_back();
      refused.partition_index = partition.partition_index;
      refused.error_code = kafka::WireError(ErrorCode::kUnknownTopicOrPartition);
    }
    return true;
  });
  return response;
}

void HandleOffsetDelete(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  Response refused = RefuseUnknown(*services.metadata->Current(), request);
  AskGroup<Response>(services, context, std::move(request),
                     [&services, responder, refused = std::move(refused)](Response response) {
                       // A group that refuses says nothing of topics.
                       if (response.error_code == 0)
                         response.topics.insert(response.topics.end(), refused.topics.begin(),
                                                refused.topics.end());
                       if (response.error_code != 0 || !refused.topics.empty())
                         services.metrics->CountError(Request::kApiKey);
                       responder.Send(response);
                     });
}

}  // namespace

const ApiHandler kOffsetDeleteApi = Serve<Request, Response, &HandleOffsetDelete>(0, 0);

}  // namespace sluice::broker
