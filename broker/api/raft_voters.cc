// AddRaftVoter (key 80) and RemoveRaftVoter (key 81): other members of the controllers' quorum, by
// node id and directory (disk) id. Passed on to the controller. A new member first learns, and
// votes when it has caught up: as `sluice quorum add` and `promote` in one. When the time is up
// before that, it goes on to learn, and the same request goes on from there.
//   v0 flexible from the start.  AddRaftVoter v1: whether to wait for the commit (KIP-1186); the
//   answer always comes after it.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "broker/api/admin_call.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"
#include "kafka/messages/add_raft_voter.h"
#include "kafka/messages/remove_raft_voter.h"

namespace sluice::broker {

namespace {

using Change = controller::ChangeQuorumRequest;
using Changed = controller::ChangeQuorumResponse;
using kafka::ErrorCode;

constexpr int64_t kAskAgainMs = 100;

template <typename Request>
Refusal CheckVoter(const BrokerServices& services, const Request& request) {
  const std::string& own = services.metadata->Current()->cluster_id;
  if (request.cluster_id.has_value() && *request.cluster_id != own) {
    return {ErrorCode::kInconsistentClusterId,
            "this is cluster " + own + ", the request is for " + *request.cluster_id};
  }
  if (request.voter_id < 0) {
    return {ErrorCode::kInvalidRequest,
            "node id " + std::to_string(request.voter_id) + " is below 0"};
  }
  return {};
}

template <typename Request>
Change ChangeOf(const BrokerServices& services, const Request& request,
                Change::Operation operation) {
  Change change;
  *change.mutable_sender() = MakeSender(*services.state);
  change.set_operation(operation);
  change.set_node_id(request.voter_id);
  change.set_directory_id(std::string(request.voter_directory_id.view()));
  return change;
}

// One request from its decoding to its answer.
template <typename Request, typename Response>
class VoterCall : public std::enable_shared_from_this<VoterCall<Request, Response>> {
 public:
  VoterCall(BrokerServices& services, Request request, const Responder<Response>& responder,
            int64_t timeout_ms)
      : services_(services),
        request_(std::move(request)),
        responder_(responder),
        deadline_ms_(services.clock->SteadyMs() + timeout_ms) {}

 protected:
  int64_t LeftMs() const {
    return std::max<int64_t>(deadline_ms_ - services_.clock->SteadyMs(), 1);
  }
  bool time_is_up() const { return services_.clock->SteadyMs() >= deadline_ms_; }
  void Answer(ErrorCode error, const std::string& message) {
    Response response;
    response.error_message.reset();
    if (error != ErrorCode::kNone) {
      FailItem(error, message, response);
      services_.metrics->CountError(Request::kApiKey);
    }
    responder_.Send(response);
  }
  void AnswerWhenApplied(const Changed& changed) {
    WhenAppliedOrTimeout(services_, LogIndex(changed.applied_index()), LeftMs(),
                         [self = this->shared_from_this(), this](bool applied) {
                           if (applied) return Answer(ErrorCode::kNone, "");
                           Answer(
                               ErrorCode::kRequestTimedOut,
                               "the change is made, but this broker has not learnt of it in time");
                         });
  }
  // `then` gets the answer to a change that was carried out, or had been; all else is told.
  template <typename Then, typename Refused>
  void Ask(Change change, Then then, Refused refused) {
    services_.controller->ChangeQuorum(
        std::move(change), LeftMs(),
        [self = this->shared_from_this(), this, then, refused](const Result<Changed>& answer) {
          if (!answer.ok()) return refused(ErrorOf(answer.status()), answer.status().message());
          const controller::Outcome& outcome = answer->outcome();
          if (outcome.error_code() == 0) return then(*answer);
          refused(static_cast<ErrorCode>(outcome.error_code()), outcome.message());
        });
  }

  BrokerServices& services_;
  const Request request_;
  const Responder<Response> responder_;
  const int64_t deadline_ms_;
};

class Addition final : public VoterCall<kafka::AddRaftVoterRequest, kafka::AddRaftVoterResponse> {
 public:
  using VoterCall::VoterCall;

  void Run() {
    if (const Refusal refusal = CheckVoter(services_, request_); refusal.error != ErrorCode::kNone)
      return Answer(refusal.error, refusal.message);
    const auto listener = std::ranges::find(request_.listeners, kControllerListener,
                                            &kafka::AddRaftVoterRequest::Listener::name);
    if (listener == request_.listeners.end() || listener->host.empty() || listener->port == 0) {
      return Answer(ErrorCode::kInvalidRequest,
                    "the request names no listener CONTROLLER with host and port: the other "
                    "controllers and the brokers reach the new one there");
    }
    Change change = ChangeOf(services_, request_, Change::ADD_LEARNER);
    change.set_address(metadata::HostPort{listener->host, listener->port}.ToString());
    Ask(
        std::move(change), [this](const Changed&) { Promote(); },
        [this](ErrorCode error, const std::string& why) { Answer(error, why); });
  }

 private:
  void Promote() {
    const bool first = !std::exchange(asked_, true);
    Ask(
        ChangeOf(services_, request_, Change::PROMOTE),
        [this, first](const Changed& changed) {
          if (!first || !changed.unchanged()) return AnswerWhenApplied(changed);
          Answer(ErrorCode::kDuplicateVoter,
                 "node " + std::to_string(request_.voter_id) + " votes already");
        },
        [this](ErrorCode error, const std::string& why) {
          if (error != ErrorCode::kIneligibleReplica) return Answer(error, why);
          if (time_is_up()) {
            return Answer(ErrorCode::kRequestTimedOut,
                          "node " + std::to_string(request_.voter_id) +
                              " is a learner and does not vote yet: " + why);
          }
          services_.loop->RunAfter(kAskAgainMs, [self = shared_from_this(), this] { Promote(); });
        });
  }

  bool asked_ = false;
};

class Removal final
    : public VoterCall<kafka::RemoveRaftVoterRequest, kafka::RemoveRaftVoterResponse> {
 public:
  using VoterCall::VoterCall;

  void Run() {
    if (const Refusal refusal = CheckVoter(services_, request_); refusal.error != ErrorCode::kNone)
      return Answer(refusal.error, refusal.message);
    Ask(
        ChangeOf(services_, request_, Change::REMOVE),
        [this](const Changed& changed) {
          if (!changed.unchanged()) return AnswerWhenApplied(changed);
          Answer(ErrorCode::kVoterNotFound,
                 "node " + std::to_string(request_.voter_id) + " is no member of the quorum");
        },
        [this](ErrorCode error, const std::string& why) { Answer(error, why); });
  }
};

void HandleAdd(BrokerServices& services, const RequestContext&, kafka::AddRaftVoterRequest request,
               const Responder<kafka::AddRaftVoterResponse>& responder) {
  const int64_t timeout_ms = AdminTimeoutMs(services, request.timeout_ms);
  std::make_shared<Addition>(services, std::move(request), responder, timeout_ms)->Run();
}

void HandleRemove(BrokerServices& services, const RequestContext&,
                  kafka::RemoveRaftVoterRequest request,
                  const Responder<kafka::RemoveRaftVoterResponse>& responder) {
  const int64_t timeout_ms = services.config->values.GetInt("request.timeout.ms");
  std::make_shared<Removal>(services, std::move(request), responder, timeout_ms)->Run();
}

}  // namespace

const ApiHandler kAddRaftVoterApi =
    Serve<kafka::AddRaftVoterRequest, kafka::AddRaftVoterResponse, &HandleAdd>(0, 1,
                                                                               /*exclusive=*/true);
const ApiHandler kRemoveRaftVoterApi =
    Serve<kafka::RemoveRaftVoterRequest, kafka::RemoveRaftVoterResponse, &HandleRemove>(
        0, 0, /*exclusive=*/true);

}  // namespace sluice::broker
