// DeleteGroups (key 42): deletes groups without members, and their offsets.
//   v2 flexible.

#include "kafka/messages/delete_groups.h"

#include <algorithm>
#include <set>

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::DeleteGroupsRequest;
using Response = kafka::DeleteGroupsResponse;
using Deleted = Response::DeletableGroupResult;

void HandleDeleteGroups(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  std::vector<GroupRequest> groups;
  // A name given twice is one group.
  for (const std::string& group :
       std::set<std::string>(request.groups_names.begin(), request.groups_names.end()))
    groups.push_back(DeleteGroup{group});
  AskGroups<Deleted>(
      services, context, std::move(groups), [&services, responder](std::vector<Deleted> deleted) {
        Response response;
        response.results = std::move(deleted);
        const bool failed = std::any_of(response.results.begin(), response.results.end(),
                                        [](const Deleted& group) { return group.error_code != 0; });
        if (failed) services.metrics->CountError(Request::kApiKey);
        responder.Send(response);
      });
}

}  // namespace

const ApiHandler kDeleteGroupsApi = Serve<Request, Response, &HandleDeleteGroups>(0, 2);

}  // namespace sluice::broker
