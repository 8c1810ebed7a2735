#include "rpc/leader_client.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "rpc/channel.h"
#include "rpc/leader_finder.h"

namespace sluice::rpc {
namespace {

// kafka::ErrorCode::kNotController; rpc knows nothing else of Kafka's table.
constexpr int kNotController = 41;

class GrpcConnection final : public ControllerConnection {
 public:
  explicit GrpcConnection(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)), stub_(controller::Controller::NewStub(channel_)) {}
  ControllerStub& ForAttempt(grpc::ClientContext& context, int64_t timeout_ms,
                             bool again) override {
    if (again) HurryUp(*channel_);
    SetTimeout(context, timeout_ms);
    return *stub_->async();
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<controller::Controller::Stub> stub_;
};

}  // namespace

std::unique_ptr<ControllerConnection> ConnectOverGrpc(const std::string& address) {
  return ConnectOver(MakeChannel(address));
}

std::unique_ptr<ControllerConnection> ConnectOver(std::shared_ptr<grpc::Channel> channel) {
  return std::make_unique<GrpcConnection>(std::move(channel));
}

// The state behind a client. gRPC's callbacks and the loop's tasks hold it, so that it outlives a
// client that goes with calls under way. Everything but the guarded part belongs to the loop.
class LeaderClient::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(std::vector<std::string> voters, EventLoop& loop, ConnectToController connect)
      : loop_(loop), connect_(std::move(connect)), finder_(std::move(voters)) {}

  struct Pending {
    std::shared_ptr<AnyCall> call;
    int64_t deadline_ms = 0;
    int64_t attempt_timeout_ms = 0;
    bool unanswered_ends = false;
    int attempts = 0;
    std::string last_error;
  };

  void Post(std::function<void(Core&)> task) {
    loop_.Post([self = shared_from_this(), task = std::move(task)] { self->Run(task); });
  }

  void Begin(Pending pending) {
    // A peer that cannot read a request answers UNIMPLEMENTED, as one does that is no controller:
    // asking further would last until the deadline.
    if (Status readable = pending.call->CheckRequest(); !readable.ok())
      return pending.call->Fail(std::move(readable));
    Attempt(std::make_shared<Pending>(std::move(pending)));
  }
  void OnLeader(const std::string& address) { finder_.OnLeader(address); }
  void OnVoters(const std::vector<std::string>& voters) { finder_.OnVoters(voters); }
  EventLoop& loop() { return loop_; }

  // Cancels what is under way and waits until no callback of ours runs or can run.
  void Stop() {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    idle_.wait(lock, [this] { return contexts_.empty() && running_ == 0; });
  }

 private:
  // Runs a task on the loop unless Stop was faster; Stop waits for the one that runs.
  void Run(const std::function<void(Core&)>& task) {
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      ++running_;
    }
    task(*this);
    std::lock_guard lock(mutex_);
    --running_;
    idle_.notify_all();
  }

  ControllerConnection& ConnectionTo(const std::string& address) {
    std::unique_ptr<ControllerConnection>& connection = connections_[address];
    if (connection == nullptr) connection = connect_(address);
    return *connection;
  }

  void Attempt(std::shared_ptr<Pending> pending) {
    const int64_t left_ms = pending->deadline_ms - loop_.clock().SteadyMs();
    if (left_ms <= 0) {
      pending->call->Fail(
          Status::Timeout("no active controller answered in time" +
                          (pending->last_error.empty() ? "" : ": " + pending->last_error)));
      return;
    }
    const std::string address = finder_.current();
    auto context = std::make_shared<grpc::ClientContext>();
    ControllerStub& stub =
        ConnectionTo(address).ForAttempt(*context, std::min(left_ms, pending->attempt_timeout_ms),
                                         pending->attempts > 0 || pending->unanswered_ends);
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      contexts_.insert(context.get());
    }
    pending->call->Attempt(
        stub, context.get(),
        [self = shared_from_this(), pending, context, address](AttemptOutcome outcome) {
          self->Post([pending, address, outcome = std::move(outcome)](Core& core) {
            core.OnAttempt(pending, address, outcome);
          });
          self->Forget(context.get());
        });
  }

  void Forget(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    contexts_.erase(context);
    idle_.notify_all();
  }

  void OnAttempt(const std::shared_ptr<Pending>& pending, const std::string& address,
                 const AttemptOutcome& outcome) {
    if (outcome.status.ok() && outcome.outcome.error_code() != kNotController) {
      finder_.OnLeader(address);
      pending->call->Succeed();
      return;
    }
    ++pending->attempts;
    if (outcome.status.ok()) {
      pending->last_error = address + " is not the leader";
      finder_.OnNotLeader(address, outcome.outcome.leader_address());
    } else if (IsTransient(outcome.status.error_code())) {
      pending->last_error = address + ": " + outcome.status.error_message();
      finder_.OnUnreachable(address);
      if (pending->unanswered_ends) {
        pending->call->Fail(
            Status::Unavailable("no answer from controller " + pending->last_error));
        return;
      }
    } else {
      pending->call->Fail(
          Status::Internal("controller " + address + ": " + outcome.status.error_message()));
      return;
    }
    // A hint that leads somewhere new is followed at once, but only the first: two that point at
    // each other must not spin.
    const bool hinted = outcome.status.ok() && !outcome.outcome.leader_address().empty() &&
                        outcome.outcome.leader_address() != address && pending->attempts == 1;
    const int64_t delay_ms = hinted ? 0 : RetryDelayMs(pending->attempts);
    loop_.RunAfter(delay_ms, [self = shared_from_this(), pending] {
      self->Run([pending](Core& core) { core.Attempt(pending); });
    });
  }

  static bool IsTransient(grpc::StatusCode code) {
    switch (code) {
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
      case grpc::StatusCode::CANCELLED:
      case grpc::StatusCode::ABORTED:
      case grpc::StatusCode::UNIMPLEMENTED:  // a node that is no controller (any more), or not yet
        return true;
      default: return false;
    }
  }

  EventLoop& loop_;
  const ConnectToController connect_;
  LeaderFinder finder_;
  std::map<std::string, std::unique_ptr<ControllerConnection>> connections_;

  std::mutex mutex_;  // guards all below
  std::condition_variable idle_;
  std::set<grpc::ClientContext*> contexts_;  // of the attempts under way
  int running_ = 0;
  bool stopped_ = false;
};

LeaderClient::LeaderClient(std::vector<std::string> voters, EventLoop& loop,
                           ConnectToController connect)
    : core_(std::make_shared<Core>(std::move(voters), loop, std::move(connect))) {}

LeaderClient::~LeaderClient() { Stop(); }

void LeaderClient::Start(std::shared_ptr<AnyCall> call, CallOptions options) {
  Core::Pending pending{.call = std::move(call),
                        .deadline_ms = core_->loop().clock().SteadyMs() + options.timeout_ms,
                        .attempt_timeout_ms = options.attempt_timeout_ms,
                        .unanswered_ends = options.unanswered_ends};
  core_->Post([pending = std::move(pending)](Core& core) { core.Begin(pending); });
}

void LeaderClient::OnLeader(const std::string& address) {
  core_->Post([address](Core& core) { core.OnLeader(address); });
}

void LeaderClient::OnVoters(std::vector<std::string> voters) {
  core_->Post([voters = std::move(voters)](Core& core) { core.OnVoters(voters); });
}

void LeaderClient::Stop() { core_->Stop(); }

}  // namespace sluice::rpc
