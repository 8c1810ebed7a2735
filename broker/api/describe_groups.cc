// DescribeGroups (key 15): state and members of classic groups.
//   v1 throttle time.  v3 authorized operations.  v4 static members (KIP-345).  v5 flexible.  v6
//   error message, and GROUP_ID_NOT_FOUND where there is no group (KIP-1043).

#include "kafka/messages/describe_groups.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::DescribeGroupsRequest;
using Response = kafka::DescribeGroupsResponse;

void HandleDescribeGroups(BrokerServices& services, const RequestContext& context, Request request,
                          const Responder<Response>& responder) {
  std::vector<GroupRequest> groups;
  for (std::string& group : request.groups) groups.push_back(DescribeGroup{std::move(group)});
  DescribeGroups(services, context, std::move(groups), request.include_authorized_operations,
                 responder);
}

}  // namespace

const ApiHandler kDescribeGroupsApi = Serve<Request, Response, &HandleDescribeGroups>(0, 6);

}  // namespace sluice::broker
