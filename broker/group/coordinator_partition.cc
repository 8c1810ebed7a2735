#include "broker/group/coordinator_partition.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace sluice::broker {

using kafka::ErrorCode;

namespace {

constexpr int64_t kRetryMs = 100;

}  // namespace

GroupCoordinator::Done GroupCall::TakeDone() {
  std::lock_guard lock(mutex_);
  finished_.store(true, std::memory_order_relaxed);
  return std::exchange(done_, nullptr);
}

void GroupCall::Answer(GroupResponse response) {
  if (const GroupCoordinator::Done done = TakeDone()) done(std::move(response));
}

// The group goes on as if it had been answered, as it does when an answer is lost.
void GroupCall::Abandon() { TakeDone(); }

CoordinatorPartition::CoordinatorPartition(std::shared_ptr<const GroupEnvironment> options,
                                           EventLoop& loop, PartitionKey key, Random random)
    : options_(std::move(options)),
      loop_(loop),
      key_(key),
      random_(random),
      view_(options_->store, key.topic_id, key.partition),
      applier_(view_, *options_->replicas, key) {}

GroupMoment CoordinatorPartition::Moment() const {
  return {options_->clock->SteadyMs(), options_->clock->WallMs(), options_->metadata->Current()};
}

// --- Following and leading ---

bool CoordinatorPartition::Advance() {
  advance_queued_ = false;
  if (!applier_.Look()) {
    Resign(ErrorCode::kNotCoordinator);
    const Status forgotten = view_.Forget();
    LOG_IF(ERROR, !forgotten.ok()) << "forgetting the view of " << kOffsetsTopic << '-'
                                   << key_.partition << ": " << forgotten.ToString();
    return false;
  }
  // First, for Apply takes what was appended here for what is in the log.
  UpdateRole();
  const OffsetsApplier::Outcome outcome = applier_.Apply(loop_.clock().SteadyMs());
  Complete();
  const bool loaded = view_.applied().has_value() && applier_.state().usable &&
                      *view_.applied() >= applier_.state().epoch_start;
  if (lead_.has_value() && lead_->shard == nullptr && loaded) Serve();
  if (outcome == OffsetsApplier::Outcome::kMore) AdvanceSoon(0);
  if (outcome == OffsetsApplier::Outcome::kLater) AdvanceSoon(kRetryMs);
  return true;
}

void CoordinatorPartition::AdvanceSoon(int64_t delay_ms) {
  if (std::exchange(advance_queued_, true)) return;
  loop_.RunAfter(delay_ms, [weak = weak_from_this()] {
    // Of a replica that is gone the observer's call is on its way as well.
    if (const auto self = weak.lock()) self->Advance();
  });
}

void CoordinatorPartition::UpdateRole() {
  const LocalState& state = applier_.state();
  const bool leads = state.usable && state.is_leader;
  const bool same = lead_.has_value() && lead_->epoch == state.leader_epoch;
  if (lead_.has_value() && !(leads && same)) Resign(ErrorCode::kNotCoordinator);
  if (!leads || lead_.has_value()) return;
  lead_ = Leadership{state.leader_epoch, nullptr};
}

void CoordinatorPartition::Serve() {
  VLOG(1) << kOffsetsTopic << '-' << key_.partition << ": coordinates in epoch " << lead_->epoch;
  lead_->shard = std::make_unique<GroupShard>(
      GroupShardOptions{.config = &options_->config, .view = &view_, .random = random_.Fork()});
  LoadSlice(lead_->epoch);
}

void CoordinatorPartition::LoadSlice(LeaderEpoch epoch) {
  if (!lead_.has_value() || lead_->epoch != epoch || lead_->shard == nullptr) return;
  GroupEffects effects;
  const GroupShard::Loading left = lead_->shard->LoadNext(Moment(), effects);
  Take(std::move(effects));
  Write();
  if (left == GroupShard::Loading::kDone) return;
  auto next = [weak = weak_from_this(), epoch] {
    if (const auto self = weak.lock()) self->LoadSlice(epoch);
  };
  // Behind the requests that have come meanwhile.
  if (left == GroupShard::Loading::kMore) return loop_.Post(std::move(next));
  loop_.RunAfter(kRetryMs, std::move(next));
}

void CoordinatorPartition::Resign(ErrorCode error) {
  if (!lead_.has_value()) return;
  Leadership ended = *std::exchange(lead_, std::nullopt);
  for (Pending& pending : pending_) SendErrors(pending.answers, error);
  SendErrors(gathering_.answers, error);
  pending_.clear();
  pending_bytes_ = 0;
  gathering_ = {};
  view_.DropAppended();
  // A start then reads little of the log again.
  const Status stored = view_.Store();
  LOG_IF(WARNING, !stored.ok()) << kOffsetsTopic << '-' << key_.partition << ": "
                                << stored.ToString();
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
  if (ended.shard == nullptr) return;
  GroupEffects effects;
  ended.shard->Unload(error, Moment(), effects);
  for (GroupAnswer& answer : effects.answers) Send(std::move(answer));
  SendErrors(effects.durable_answers, error);
  LOG_IF(ERROR, !calls_.empty()) << kOffsetsTopic << '-' << key_.partition << ": " << calls_.size()
                                 << " requests were left without an answer";
  calls_.clear();
}

// --- Requests and time ---

void CoordinatorPartition::Handle(GroupCallPtr call, GroupRequest request) {
  const GroupCoordinatorLimits& limits = options_->limits;
  const bool crowded = calls_.size() >= limits.parked_requests_max ||
                       pending_bytes_ + gathering_.size_bytes >= limits.unwritten_bytes_max;
  // Without a lease another broker may lead already, and know of later positions.
  if (!lead_.has_value() || !options_->state->LeaseValid(*options_->clock))
    return call->Answer(ErrorResponse(request, ErrorCode::kNotCoordinator));
  if (lead_->shard == nullptr || crowded)
    return call->Answer(ErrorResponse(request, ErrorCode::kCoordinatorLoadInProgress));
  // It looks for what is to be removed in the view, which has no record before the log does.
  if (std::holds_alternative<DeleteGroup>(request) ||
      std::holds_alternative<kafka::OffsetDeleteRequest>(request))
    AppendGathered();
  call->set_token(++last_token_);
  const GroupCaller& caller = call->caller();
  calls_.emplace(last_token_, call);
  GroupEffects effects;
  lead_->shard->Handle(caller, std::move(request), Moment(), effects);
  Take(std::move(effects));
}

void CoordinatorPartition::OnTopicsDeleted() {
  if (!lead_.has_value() || lead_->shard == nullptr) return;
  lead_->shard->OnTopicsDeleted(Moment());
  ArmTimer();
}

void CoordinatorPartition::RunTimers() {
  timer_ = 0;
  if (!lead_.has_value() || lead_->shard == nullptr) return;
  GroupEffects effects;
  lead_->shard->RunTimers(Moment(), effects);
  Take(std::move(effects));
  Write();
}

void CoordinatorPartition::ArmTimer() {
  if (!lead_.has_value() || lead_->shard == nullptr) return;
  const std::optional<int64_t> deadline_ms = lead_->shard->next_deadline_ms();
  if (!deadline_ms.has_value()) return;
  if (timer_ != 0 && timer_deadline_ms_ <= *deadline_ms) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_deadline_ms_ = *deadline_ms;
  timer_ = loop_.RunAfter(std::max<int64_t>(0, *deadline_ms - options_->clock->SteadyMs()),
                          [weak = weak_from_this()] {
                            if (const auto self = weak.lock()) self->RunTimers();
                          });
}

}  // namespace sluice::broker
