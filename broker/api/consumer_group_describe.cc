// ConsumerGroupDescribe (key 69): state, members and assignments of groups of the consumer
// protocol.
//   v1 tells which protocol a member speaks.

#include "kafka/messages/consumer_group_describe.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::ConsumerGroupDescribeRequest;
using Response = kafka::ConsumerGroupDescribeResponse;

void HandleConsumerGroupDescribe(BrokerServices& services, const RequestContext& context,
                                 Request request, const Responder<Response>& responder) {
  std::vector<GroupRequest> groups;
  for (std::string& group : request.group_ids)
    groups.push_back(DescribeConsumerGroup{std::move(group)});
  DescribeGroups(services, context, std::move(groups), request.include_authorized_operations,
                 responder);
}

}  // namespace

const ApiHandler kConsumerGroupDescribeApi =
    Serve<Request, Response, &HandleConsumerGroupDescribe>(0, 1);

}  // namespace sluice::broker
