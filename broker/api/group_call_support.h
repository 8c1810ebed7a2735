#pragma once
// What the handlers of the group APIs share: who asks, and passing a request on to the coordinator.
//
// Thread rule: functions on the connection's reactor; answers come on any thread.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/group/group_coordinator.h"

namespace sluice::broker {

// All operations on a group, as the bit set of Kafka's codes: without an authorizer everybody may
// do everything.
inline constexpr int32_t kAllGroupOperations = 0b110101001000;

// "/127.0.0.1", as Kafka shows a client's address.
inline std::string HostOf(const ConnectionInfo& connection) {
  return "/" + connection.peer_address.substr(0, connection.peer_address.rfind(':'));
}

inline GroupCaller CallerOf(const RequestContext& context) {
  context.connection->is_member = true;
  return {.version = context.version,
          .client_id = context.client_id,
          .client_host = HostOf(*context.connection)};
}

// The answer of type `Response`, from the coordinator of the request's group.
template <typename Response, typename Then>
void AskGroup(BrokerServices& services, const RequestContext& context, GroupRequest request,
              Then then) {
  services.groups->Handle(CallerOf(context), std::move(request), &context.connection->parked,
                          [then = std::move(then)](GroupResponse response) mutable {
                            then(std::get<Response>(std::move(response)));
                          });
}

// A request whose answer is the response as it goes to the client.
template <typename Request, typename Response>
void PassToGroup(BrokerServices& services, const RequestContext& context, Request request,
                 const Responder<Response>& responder) {
  AskGroup<Response>(services, context, std::move(request),
                     [&services, responder](const Response& response) {
                       if (response.error_code != 0)
                         services.metrics->CountError(Response::kApiKey);
                       responder.Send(response);
                     });
}

// The answers for several groups of one request, in its order; the last one ends it.
template <typename Answer>
class GroupAnswers {
 public:
  using Done = std::function<void(std::vector<Answer>)>;

  GroupAnswers(size_t count, Done done)
      : answers_(count), waiting_(count), done_(std::move(done)) {}
  // From any thread, once for each place.
  void Set(size_t place, Answer answer) {
    answers_[place] = std::move(answer);
    if (waiting_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_(std::move(answers_));
  }

 private:
  std::vector<Answer> answers_;
  std::atomic<size_t> waiting_;
  Done done_;
};

// Asks for each of `requests`.
template <typename Answer>
void AskGroups(BrokerServices& services, const RequestContext& context,
               std::vector<GroupRequest> requests, typename GroupAnswers<Answer>::Done done) {
  if (requests.empty()) return done({});
  const auto answers = std::make_shared<GroupAnswers<Answer>>(requests.size(), std::move(done));
  for (size_t i = 0; i < requests.size(); ++i)
    AskGroup<Answer>(services, context, std::move(requests[i]),
                     [answers, i](Answer answer) { answers->Set(i, std::move(answer)); });
}

// Describes each of `groups`, as `Response` tells it.
template <typename Response>
void DescribeGroups(BrokerServices& services, const RequestContext& context,
                    std::vector<GroupRequest> groups, bool includes_operations,
                    const Responder<Response>& responder) {
  using Described = typename Response::DescribedGroup;
  AskGroups<Described>(services, context, std::move(groups),
                       [&services, responder, includes_operations](std::vector<Described> groups) {
                         Response response;
                         response.groups = std::move(groups);
                         bool failed = false;
                         for (Described& group : response.groups) {
                           failed = failed || group.error_code != 0;
                           if (includes_operations && group.error_code == 0)
                             group.authorized_operations = kAllGroupOperations;
                         }
                         if (failed) services.metrics->CountError(Response::kApiKey);
                         responder.Send(response);
                       });
}

}  // namespace sluice::broker
