#pragma once
// AdminCall and PassOn: the common way of all requests that change the cluster. The controller is
// asked, its answer is judged, then this broker's own metadata is waited for, so that the client's
// next request to it meets the changed cluster.
//
// Thread rule: functions from any thread; a call belongs to the handler until PassOn, then to the
// one callback that ends it.
//
//   struct Growth : AdminCall<Request, Response> {
//     using AdminCall::AdminCall;
//     std::map<std::string, size_t> places;
//     const auto& Items() const { return response.results; }
//     void FailAll(kafka::ErrorCode error, const std::string& message);
//     void Fill(const BrokerServices& services, const controller::CreatePartitionsResponse&);
//   };
//   PassOn(services, context, growth, Translate(services, request, *growth),
//          &ControllerClient::CreatePartitions);

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/log_text.h"
#include "broker/api/api_support.h"
#include "broker/controller_client.h"

namespace sluice::broker {

// What requests about the quorum call the controllers' listener.
inline constexpr char kControllerListener[] = "CONTROLLER";

// A request between its decoding and its answer. To this, each API adds what the example shows: the
// places in the answer of the items that the controller is asked for; all the results in it; how
// those items fail together, when nothing can be said of each; and how each takes its outcome.
template <typename Request, typename Response>
struct AdminCall {
  static constexpr int16_t kApiKey = Request::kApiKey;

  AdminCall(Responder<Response> to, int64_t timeout)
      : responder(std::move(to)), timeout_ms(timeout) {}

  Responder<Response> responder;
  int64_t timeout_ms;
  bool validate_only = false;  // nothing changes, so nothing is waited for
  Response response;
};

template <typename Item>
void FailItem(kafka::ErrorCode error, const std::string& message, Item& out) {
  out.error_code = kafka::WireError(error);
  out.error_message = message.empty() ? std::string(kafka::ErrorMessage(error)) : message;
}

template <typename Call>
void Answer(const BrokerServices& services, const Call& call) {
  const auto& items = call.Items();
  const bool failed = std::any_of(items.begin(), items.end(),
                                  [](const auto& item) { return item.error_code != 0; });
  if (failed) services.metrics->CountError(Call::kApiKey);
  call.responder.Send(call.response);
}

// Who asks, for the controller's log. A client names itself as it likes.
inline std::string NameOfClient(const RequestContext& context) {
  constexpr size_t kBytesMax = 100;
  std::string name = "client '" + LogText(context.client_id, kBytesMax) + "'";
  if (context.connection != nullptr) name += " at " + context.connection->peer_address;
  return name;
}

// Asks the controller by `method`, unless every item is refused already; the call is answered once,
// whatever comes of it.
template <typename Call, typename Request, typename Outcomes>
void PassOn(BrokerServices& services, const RequestContext& context,
            const std::shared_ptr<Call>& call, Request request,
            void (ControllerClient::*method)(Request, int64_t, ControllerClient::Done<Outcomes>)) {
  if (call->places.empty()) return Answer(services, *call);
  request.mutable_sender()->set_client(NameOfClient(context));
  const int64_t deadline_ms = services.clock->SteadyMs() + call->timeout_ms;
  const auto fail = [&services, call](kafka::ErrorCode error, const std::string& message) {
    call->FailAll(error, message);
    Answer(services, *call);
  };
  const auto carried_out = [&services, call](const Outcomes& outcomes) {
    call->Fill(services, outcomes);
    Answer(services, *call);
  };
  const auto judge = [&services, call, deadline_ms, fail,
                      carried_out](const Result<Outcomes>& result) {
    if (!result.ok()) return fail(ErrorOf(result.status()), result.status().message());
    const controller::Outcome& outcome = result->outcome();
    if (outcome.error_code() != 0) {
      return fail(static_cast<kafka::ErrorCode>(outcome.error_code()), outcome.message());
    }
    if (call->validate_only) return carried_out(*result);
    const int64_t left_ms = std::max<int64_t>(deadline_ms - services.clock->SteadyMs(), 1);
    WhenAppliedOrTimeout(
        services, LogIndex(result->applied_index()), left_ms,
        [fail, carried_out, outcomes = *result](bool applied) {
          if (applied) return carried_out(outcomes);
          fail(kafka::ErrorCode::kRequestTimedOut,
               "the controller has carried it out, but this broker has not learnt of it in time");
        });
  };
  (services.controller->*method)(std::move(request), call->timeout_ms, judge);
}

}  // namespace sluice::broker
