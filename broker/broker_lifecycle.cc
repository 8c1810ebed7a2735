#include "broker/broker_lifecycle.h"

#include <algorithm>
#include <utility>

#include "broker/sender.h"
#include "kafka/error_code.h"

namespace sluice::broker {
namespace {

constexpr int64_t kRegisterTimeoutMs = 2000;
constexpr int64_t kRegisterRetryMs = 100;
constexpr int kDamagedMax = 1000;  // in one heartbeat

}  // namespace

BrokerLifecycle::BrokerLifecycle(BrokerLifecycleOptions options) : options_(std::move(options)) {
  options_.metadata->AddListener([gate = gate_, this](const sluice::metadata::ImagePtr&,
                                                      const sluice::metadata::ImagePtr& after) {
    if (!gate->Enter()) return;
    OnImage(*after);
    gate->Leave();
  });
}

// On the metadata loop. What the controllers or this broker wait for is told at once, not with the
// next heartbeat that is due: that the registration is applied, and that the broker is fenced or no
// more.
void BrokerLifecycle::OnImage(const sluice::metadata::Image& image) {
  const BrokerState& state = *options_.state;
  const int64_t before = applied_index_.exchange(image.last_index.value());
  const int64_t epoch = state.broker_epoch;
  const bool caught_up = before < epoch && image.last_index.value() >= epoch;
  const sluice::metadata::BrokerImage* self = image.FindBroker(state.node_id);
  const bool turned =
      self != nullptr && self->epoch.value() == epoch && self->fenced != state.fenced;
  if (caught_up || turned) {
    options_.loop->Post(rpc::Guarded(gate_, [this] {
      if (stage_ == Stage::kStarting || stage_ == Stage::kRunning) SchedulePulse(0);
    }));
  }
}

BrokerLifecycle::~BrokerLifecycle() { Stop(); }

void BrokerLifecycle::Start() {
  options_.loop->Post(rpc::Guarded(gate_, [this] { Pulse(); }));
}

void BrokerLifecycle::Stop() { gate_->Close(); }

std::string BrokerLifecycle::last_error() const {
  std::lock_guard lock(mutex_);
  return last_error_;
}

void BrokerLifecycle::SetError(std::string error) {
  std::lock_guard lock(mutex_);
  if (!error.empty() && error != last_error_) LOG(WARNING) << error;
  last_error_ = std::move(error);
}

void BrokerLifecycle::SchedulePulse(int64_t delay_ms) {
  if (pulse_timer_ != 0) options_.loop->Cancel(pulse_timer_);
  pulse_timer_ =
      options_.loop->RunAfter(std::max<int64_t>(0, delay_ms), rpc::Guarded(gate_, [this] {
                                pulse_timer_ = 0;
                                Pulse();
                              }));
}

// The next thing to say to the controller.
void BrokerLifecycle::Pulse() {
  if (stage_ == Stage::kEnded) return;
  // The question that is on its way does not tell what there is to say by now.
  if (under_way_) {
    pulse_again_ = true;
    return;
  }
  if (stage_ == Stage::kRegistering) {
    Register();
  } else if (Stuck()) {
    SchedulePulse(options_.heartbeat_interval_ms);
  } else {
    Heartbeat();
  }
}

// One that stops asks for other leaders all the same.
bool BrokerLifecycle::Stuck() {
  if (options_.what_is_stuck == nullptr || stage_ == Stage::kShuttingDown) return false;
  const std::string what = options_.what_is_stuck();
  if (what.empty()) return false;
  SetError(what + ": no heartbeat is sent until that changes, so that other brokers lead");
  return true;
}

// What is online; once registered, another registration of this process loses nothing of it.
void BrokerLifecycle::AddDirectories(controller::RegisterBrokerRequest& request) const {
  const bool first = options_.state->broker_epoch < 0;
  for (const storage::DirectoryPtr& directory : options_.directories) {
    if (!directory->online()) continue;
    request.mutable_broker()->add_log_dirs(std::string(directory->id().view()));
    auto& told = *request.add_directories();
    told.set_id(std::string(directory->id().view()));
    const storage::ShutdownState& last = directory->last_shutdown();
    const int64_t found = last.clean ? last.broker_epoch : -1;
    told.set_previous_broker_epoch(first ? found : options_.previous_broker_epoch);
    if (first && last.kept_epoch >= 0) told.set_kept_broker_epoch(last.kept_epoch);
  }
}

void BrokerLifecycle::Register() {
  controller::RegisterBrokerRequest request;
  const BrokerState& state = *options_.state;
  *request.mutable_sender() = MakeSender(state);
  request.mutable_sender()->set_broker_epoch(-1);
  *request.mutable_broker() = options_.registration;
  for (const storage::TopicPartition& log : options_.damaged) {
    auto* damaged = request.add_damaged();
    damaged->set_topic(log.topic);
    damaged->set_partition(log.partition.value());
  }
  AddDirectories(request);
  request.set_previous_broker_epoch(options_.previous_broker_epoch);
  if (state.broker_epoch < 0 && options_.kept_broker_epoch >= 0)
    request.set_kept_broker_epoch(options_.kept_broker_epoch);
  request.set_session_timeout_ms(state.session_timeout_ms);
  under_way_ = true;
  registration_open_ = true;
  options_.controller->RegisterBroker(
      std::move(request), kRegisterTimeoutMs,
      [gate = gate_, this](Result<controller::RegisterBrokerResponse> response) {
        if (!gate->Enter()) return;
        options_.loop->Post(rpc::Guarded(
            gate_, [this, response = std::move(response)] { OnRegistered(response); }));
        gate->Leave();
      });
}

void BrokerLifecycle::OnRegistered(Result<controller::RegisterBrokerResponse> response) {
  under_way_ = false;
  if (stage_ != Stage::kRegistering) return;  // the shutdown was faster
  if (!response.ok()) {
    SetError("cannot register with the controllers: " + response.status().message());
    return SchedulePulse(kRegisterRetryMs);
  }
  if (const controller::Outcome& outcome = response->outcome(); outcome.error_code() != 0) {
    SetError("the controller refuses the registration: " + outcome.message() + " (error " +
             std::to_string(outcome.error_code()) + ")");
    if (RefusedForEver(outcome))
      return options_.on_refused(Status::InvalidArgument(outcome.message()));
    return SchedulePulse(kRegisterRetryMs);
  }
  SetError("");
  options_.state->broker_epoch = response->broker_epoch();
  registration_open_ = false;
  // Another registration of this same process loses nothing.
  options_.damaged.clear();
  options_.previous_broker_epoch = response->broker_epoch();
  stage_ = Stage::kStarting;
  LOG(INFO) << "registered as broker " << options_.state->node_id << " with epoch "
            << response->broker_epoch();
  KeepEpoch(response->broker_epoch());
  Heartbeat();
}

void BrokerLifecycle::KeepEpoch(int64_t epoch) {
  options_.keep_epoch(BrokerEpoch(epoch), [gate = gate_, this, epoch] {
    if (!gate->Enter()) return;
    options_.loop->Post(rpc::Guarded(gate_, [this, epoch] {
      kept_epoch_ = epoch;
      if (stage_ == Stage::kStarting) SchedulePulse(0);
    }));
    gate->Leave();
  });
}

// A broker that was in service goes on trying: its own directory was right then.
bool BrokerLifecycle::RefusedForEver(const controller::Outcome& outcome) const {
  return outcome.error_code() == static_cast<int>(kafka::ErrorCode::kInconsistentClusterId) &&
         options_.state->broker_epoch < 0 && options_.on_refused != nullptr;
}

void BrokerLifecycle::RegisterAgain(const std::string& why) {
  LOG(WARNING) << "registering again: " << why;
  options_.state->fenced = true;
  options_.state->lease_start_steady_ms = -1;
  if (stage_ == Stage::kShuttingDown) return EndShutdown(false);
  stage_ = Stage::kRegistering;
  Register();
}

// Those that are still in an ISR, with others who can stand in.
void BrokerLifecycle::AddDamaged(controller::HeartbeatRequest& request) const {
  const BrokerState& state = *options_.state;
  const std::set<DamagedLogs::Replica> damaged = state.damaged.List();
  if (damaged.empty()) return;
  const sluice::metadata::ImagePtr image = options_.metadata->Current();
  for (const auto& [topic_id, partition] : damaged) {
    const auto* now = image->FindPartition(topic_id, partition);
    if (now == nullptr || !OthersInSync(*now, state.node_id)) continue;
    if (request.damaged_size() >= kDamagedMax) break;  // the next heartbeat tells of the rest
    auto& told = *request.add_damaged();
    told.set_topic_id(std::string(topic_id.view()));
    told.set_partition(partition.value());
  }
}

// Of whom nobody leads: an operator, or the controller, may have to choose among them.
void BrokerLifecycle::AddLogEnds(controller::HeartbeatRequest& request) const {
  for (const LeaderlessLogs::End& end : options_.state->leaderless.Take()) {
    auto& told = *request.add_log_ends();
    told.set_topic_id(std::string(end.replica.first.view()));
    told.set_partition(end.replica.second.value());
    told.set_leader_epoch(end.leader_epoch.value());
    told.set_last_epoch(end.last_epoch.value());
    told.set_end_offset(end.end_offset.value());
  }
}

void BrokerLifecycle::Heartbeat() {
  const BrokerState& state = *options_.state;
  controller::HeartbeatRequest request;
  *request.mutable_sender() = MakeSender(state);
  request.set_applied_index(applied_index_);
  request.set_ready(applied_index_ >= state.broker_epoch && kept_epoch_ == state.broker_epoch);
  request.set_want_shutdown(stage_ == Stage::kShuttingDown);
  for (const storage::DirectoryPtr& directory : options_.directories) {
    if (!directory->online() && !directory->id().IsZero())
      request.add_offline_log_dirs(std::string(directory->id().view()));
  }
  for (const storage::DirectoryPtr& directory : options_.disks) {
    if (directory->online() && directory->counts_as_full())
      request.add_full_log_dirs(std::string(directory->id().view()));
  }
  AddDamaged(request);
  AddLogEnds(request);
  request.set_synced_index(state.synced_index);
  request.set_session_timeout_ms(state.session_timeout_ms);
  under_way_ = true;
  const int64_t sent_ms = now_ms();
  options_.controller->Heartbeat(
      std::move(request),
      std::max<int64_t>(options_.heartbeat_interval_ms, state.session_timeout_ms / 2),
      [gate = gate_, this, sent_ms](Result<controller::HeartbeatResponse> response) {
        if (!gate->Enter()) return;
        options_.loop->Post(rpc::Guarded(gate_, [this, sent_ms, response = std::move(response)] {
          OnHeartbeat(sent_ms, response);
        }));
        gate->Leave();
      });
}

void BrokerLifecycle::OnHeartbeat(int64_t sent_ms, Result<controller::HeartbeatResponse> response) {
  under_way_ = false;
  if (stage_ == Stage::kEnded) return;
  if (!response.ok()) {
    SetError("no heartbeat reaches the active controller: " + response.status().message());
  } else if (const int code = response->outcome().error_code();
             code == static_cast<int>(kafka::ErrorCode::kStaleBrokerEpoch) ||
             code == static_cast<int>(kafka::ErrorCode::kBrokerIdNotRegistered)) {
    return RegisterAgain(response->outcome().message());
  } else if (code != 0) {
    SetError("the controller refuses the heartbeat: " + response->outcome().message() + " (error " +
             std::to_string(code) + ")");
  } else {
    Accept(sent_ms, *response);
  }
  if (stage_ == Stage::kShuttingDown) {
    const int64_t since_ms = std::max(last_answer_ms_, shutdown_began_ms_);
    const bool alone =
        now_ms() - since_ms >
        2 * options_.state->session_timeout_ms;  // nobody left who could move anything
    if (alone || now_ms() - shutdown_began_ms_ >= options_.shutdown_timeout_ms) EndShutdown(false);
  }
  const bool again = std::exchange(pulse_again_, false);
  if (stage_ != Stage::kEnded)
    SchedulePulse(again ? 0 : sent_ms + options_.heartbeat_interval_ms - now_ms());
}

void BrokerLifecycle::Accept(int64_t sent_ms, const controller::HeartbeatResponse& response) {
  SetError("");
  last_answer_ms_ = now_ms();
  BrokerState& state = *options_.state;
  // One that is fenced leads nothing, though its image may not say so yet.
  const int64_t lease_start_ms = response.fenced() ? -1 : sent_ms - response.lease_age_ms();
  if (response.fenced() || lease_start_ms > state.lease_start_steady_ms)
    state.lease_start_steady_ms = lease_start_ms;
  if (state.fenced.exchange(response.fenced()) != response.fenced()) {
    LOG(INFO) << "broker " << state.node_id
              << (response.fenced() ? " is fenced" : " is in service");
  }
  if (options_.on_leader && response.outcome().leader_id() >= 0) {
    options_.on_leader(NodeId(response.outcome().leader_id()));
  }
  if (stage_ == Stage::kShuttingDown) {
    if (response.may_shut_down()) EndShutdown(true);
  } else {
    stage_ = response.fenced() ? Stage::kStarting : Stage::kRunning;
  }
}

void BrokerLifecycle::BeginShutdown(std::function<void(bool)> done) {
  options_.loop->Post(rpc::Guarded(gate_, [this, done = std::move(done)] {
    const bool registered = stage_ == Stage::kStarting || stage_ == Stage::kRunning;
    shutdown_done_ = done;
    shutdown_began_ms_ = now_ms();
    options_.state->leaving = true;
    if (!registered) return EndShutdown(false);
    stage_ = Stage::kShuttingDown;
    options_.loop->RunAfter(options_.shutdown_timeout_ms,
                            rpc::Guarded(gate_, [this] { EndShutdown(false); }));
    SchedulePulse(0);
  }));
}

void BrokerLifecycle::EndShutdown(bool moved) {
  stage_ = Stage::kEnded;
  if (pulse_timer_ != 0) options_.loop->Cancel(std::exchange(pulse_timer_, 0));
  if (auto done = std::exchange(shutdown_done_, nullptr); done) done(moved);
}

}  // namespace sluice::broker
