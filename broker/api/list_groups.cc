// ListGroups (key 16): the groups that this broker coordinates.
//   v1 throttle time.  v3 flexible.  v4 states (KIP-518).  v5 types (KIP-848).

#include "kafka/messages/list_groups.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::ListGroupsRequest;
using Response = kafka::ListGroupsResponse;

void HandleListGroups(BrokerServices& services, const RequestContext& context, Request request,
                      const Responder<Response>& responder) {
  ListGroups list{std::move(request.states_filter), std::move(request.types_filter)};
  AskGroup<Response>(services, context, std::move(list),
                     [&services, responder](const Response& response) {
                       if (response.error_code != 0) services.metrics->CountError(Request::kApiKey);
                       responder.Send(response);
                     });
}

}  // namespace

const ApiHandler kListGroupsApi = Serve<Request, Response, &HandleListGroups>(0, 5);

}  // namespace sluice::broker
