// UnregisterBroker (key 64): forgets a broker that does not come back. Passed on to the controller;
// answered when this broker has applied the change.
//   v0 flexible from the start.

#include "kafka/messages/unregister_broker.h"

#include <array>
#include <memory>
#include <span>
#include <string>

#include "broker/api/admin_call.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"

namespace sluice::broker {

namespace {

using Request = kafka::UnregisterBrokerRequest;
using Response = kafka::UnregisterBrokerResponse;

struct Unregistration : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  std::array<int32_t, 1> places{};  // the answer itself is the only item
  std::span<const Response> Items() const { return {&response, 1}; }
  void FailAll(kafka::ErrorCode error, const std::string& message) {
    FailItem(error, message, response);
  }
  void Fill(const BrokerServices&, const controller::UnregisterBrokerResponse&) {}
};

void HandleUnregister(BrokerServices& services, const RequestContext& context, Request request,
                      const Responder<Response>& responder) {
  const auto call = std::make_shared<Unregistration>(
      responder, services.config->values.GetInt("request.timeout.ms"));
  call->response.error_message.reset();
  controller::UnregisterBrokerRequest ask;
  *ask.mutable_sender() = MakeSender(*services.state);
  ask.set_broker_id(request.broker_id);
  PassOn(services, context, call, std::move(ask), &ControllerClient::UnregisterBroker);
}

}  // namespace

const ApiHandler kUnregisterBrokerApi =
    Serve<Request, Response, &HandleUnregister>(0, 0, /*exclusive=*/true);

}  // namespace sluice::broker
