#pragma once
// LeaderClient: unary calls to the active controller, whoever that is at the moment. A call goes to
// the leader last known, follows the hint of a NOT_CONTROLLER answer, goes to the next voter when
// one cannot be reached, and repeats until its deadline. A request that must not be carried out
// twice therefore needs a request id.
//
// Thread rule: Call, OnLeader and OnVoters from any thread; `done` runs on the loop and must not
// block it. Stop from the owner, not on the loop: once it has returned nothing runs any more. The
// destructor stops.
//
//   rpc::LeaderClient client({"127.0.0.1:9093"}, loop);
//   client.Call<controller::HeartbeatRequest, controller::HeartbeatResponse>(
//       &rpc::ControllerStub::Heartbeat, request, {.timeout_ms = 300}, [](auto result) { ... });

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/status.h"
#include "proto/controller.grpc.pb.h"
#include "rpc/message_text.h"

namespace sluice::rpc {

using ControllerStub = controller::Controller::StubInterface::async_interface;

struct CallOptions {
  int64_t timeout_ms = 10000;  // for the call with all its attempts
  int64_t attempt_timeout_ms =
      600;  // for one of them: a paused controller must not use up the whole time
  // The first attempt without any answer ends the call, with kUnavailable: it may be carried out
  // later, and the caller has to know.
  bool unanswered_ends = false;

  // A few attempts in `timeout_ms`, none longer than it takes to fence a silent node.
  static CallOptions Within(int64_t timeout_ms) {
    return {timeout_ms, std::clamp<int64_t>(timeout_ms / 2, 100, CallOptions().attempt_timeout_ms)};
  }
};

// The way to one controller. ConnectOverGrpc makes the real ones; the simulator gives its own.
class ControllerConnection {
 public:
  virtual ~ControllerConnection() = default;
  // The stub for one attempt, which is started next and may take `timeout_ms`. `again`: an earlier
  // one of the same call has failed, so there is reason to dial at once.
  virtual ControllerStub& ForAttempt(grpc::ClientContext& context, int64_t timeout_ms,
                                     bool again) = 0;
};
using ConnectToController =
    std::function<std::unique_ptr<ControllerConnection>(const std::string& address)>;
std::unique_ptr<ControllerConnection> ConnectOverGrpc(const std::string& address);
std::unique_ptr<ControllerConnection> ConnectOver(std::shared_ptr<grpc::Channel> channel);

class LeaderClient {
 public:
  template <typename Request, typename Response>
  using Method = void (ControllerStub::*)(grpc::ClientContext*, const Request*, Response*,
                                          std::function<void(grpc::Status)>);

  // `voters`: the controllers' gRPC addresses, at least one. `loop` is not owned and outlives the
  // client.
  LeaderClient(std::vector<std::string> voters, EventLoop& loop,
               ConnectToController connect = &ConnectOverGrpc);
  ~LeaderClient();
  LeaderClient(const LeaderClient&) = delete;
  LeaderClient& operator=(const LeaderClient&) = delete;

  // The answer's outcome is anything but NOT_CONTROLLER; kTimeout when no leader answered in time;
  // kInvalidArgument at once when the request holds text that no controller could read.
  template <typename Request, typename Response>
  void Call(Method<Request, Response> method, Request request, CallOptions options,
            std::function<void(Result<Response>)> done);
  // Who leads, learnt elsewhere: spares a round.
  void OnLeader(const std::string& address);
  // Other controllers vote from now on; an empty list says nothing.
  void OnVoters(std::vector<std::string> voters);
  void Stop();

 private:
  // One call with its attempts, without its types.
  struct AttemptOutcome {
    grpc::Status status;
    controller::Outcome outcome;
  };
  class AnyCall;
  template <typename Request, typename Response>
  class TypedCall;
  class Core;

  void Start(std::shared_ptr<AnyCall> call, CallOptions options);

  std::shared_ptr<Core> core_;
};

// --- inline ---

class LeaderClient::AnyCall {
 public:
  virtual ~AnyCall() = default;
  // Why the request could not be read anywhere.
  virtual Status CheckRequest() const = 0;
  // Starts one attempt; `finished` runs on a gRPC thread.
  virtual void Attempt(ControllerStub& stub, grpc::ClientContext* context,
                       std::function<void(AttemptOutcome)> finished) = 0;
  // The last attempt's answer goes to the caller.
  virtual void Succeed() = 0;
  virtual void Fail(Status status) = 0;
};

template <typename Request, typename Response>
class LeaderClient::TypedCall final : public LeaderClient::AnyCall {
 public:
  TypedCall(Method<Request, Response> method, Request request,
            std::function<void(Result<Response>)> done)
      : method_(method), request_(std::move(request)), done_(std::move(done)) {}

  Status CheckRequest() const override { return CheckText(request_); }
  void Attempt(ControllerStub& stub, grpc::ClientContext* context,
               std::function<void(AttemptOutcome)> finished) override {
    response_.Clear();
    (stub.*method_)(context, &request_, &response_, [this, finished](grpc::Status status) {
      finished({std::move(status), response_.outcome()});
    });
  }
  void Succeed() override { done_(std::move(response_)); }
  void Fail(Status status) override { done_(std::move(status)); }

 private:
  Method<Request, Response> method_;
  Request request_;
  Response response_;
  std::function<void(Result<Response>)> done_;
};

template <typename Request, typename Response>
void LeaderClient::Call(Method<Request, Response> method, Request request, CallOptions options,
                        std::function<void(Result<Response>)> done) {
  Start(std::make_shared<TypedCall<Request, Response>>(method, std::move(request), std::move(done)),
        options);
}

}  // namespace sluice::rpc
