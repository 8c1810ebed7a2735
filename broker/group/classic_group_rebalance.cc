// From one generation of a classic group to the next, and what happens when time runs out.
#include <algorithm>
#include <utility>
#include <vector>

#include "broker/group/classic_group.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

// A rebalance that nobody has joined, since only static members are left, tries again; not at once
// even if the members' rebalance timeout is 0.
constexpr int64_t kRetryMsMin = 1000;

}  // namespace

void ClassicGroup::OnTimer(const GroupTimerKey& timer, GroupContext& context) {
  switch (static_cast<Timer>(timer.kind)) {
    case Timer::kJoin:
      if (state_ != ClassicGroupState::kPreparingRebalance) return;
      if (previous_state_ == ClassicGroupState::kEmpty) return ExtendInitialOrComplete(context);
      return CompleteJoin(context);
    case Timer::kSync: return ExpireSync(context);
    case Timer::kSession: return ExpireSessions(context);
  }
}

// --- From Stable to the next generation ---

void ClassicGroup::RebalanceOrCompleteJoin(RebalanceCause cause, GroupContext& context) {
  if (MayFollow(state_, ClassicGroupState::kPreparingRebalance)) {
    return PrepareRebalance(std::move(cause), context);
  }
  MaybeCompleteJoin(context);
}

void ClassicGroup::PrepareRebalance(RebalanceCause cause, GroupContext& context) {
  if (state_ == ClassicGroupState::kCompletingRebalance) AbandonAssignment(context);
  for (const auto& [id, member] : members_.all()) member->owes_sync = false;
  syncs_owed_ = 0;
  context.timers.Cancel(TimerKey(Timer::kSync));
  last_rebalance_ = std::move(cause);
  last_rebalance_.wall_ms = context.moment.wall_ms;
  const bool is_initial = state_ == ClassicGroupState::kEmpty;
  TransitionTo(ClassicGroupState::kPreparingRebalance, context);
  if (is_initial) {
    // More will come in the next moments: one rebalance for all of them.
    member_added_ = false;
    initial_delay_ms_ = context.config.initial_rebalance_ms;
    initial_remaining_ms_ = std::max<int64_t>(members_.rebalance_ms() - initial_delay_ms_, 0);
    return context.timers.Set(TimerKey(Timer::kJoin), context.now_ms() + initial_delay_ms_);
  }
  if (members_.AllHaveJoined()) return CompleteJoin(context);
  context.timers.Set(TimerKey(Timer::kJoin), context.now_ms() + members_.rebalance_ms());
}

void ClassicGroup::ExtendInitialOrComplete(GroupContext& context) {
  if (!member_added_ || initial_remaining_ms_ == 0) return CompleteJoin(context);
  member_added_ = false;
  const int64_t delay_ms =
      std::min<int64_t>(context.config.initial_rebalance_ms, initial_remaining_ms_);
  initial_remaining_ms_ = std::max<int64_t>(initial_remaining_ms_ - initial_delay_ms_, 0);
  initial_delay_ms_ = delay_ms;
  context.timers.Set(TimerKey(Timer::kJoin), context.now_ms() + delay_ms);
}

void ClassicGroup::MaybeCompleteJoin(GroupContext& context) {
  // The first rebalance of a group waits for its delay, whoever has come.
  if (state_ == ClassicGroupState::kPreparingRebalance &&
      previous_state_ != ClassicGroupState::kEmpty && members_.AllHaveJoined()) {
    CompleteJoin(context);
  }
}

void ClassicGroup::CompleteJoin(GroupContext& context) {
  context.timers.Cancel(TimerKey(Timer::kJoin));
  DropUnjoined(context);
  if (!members_.empty() && !members_.ElectLeader()) {
    const int64_t pause_ms = std::max<int64_t>(members_.rebalance_ms(), kRetryMsMin);
    return context.timers.Set(TimerKey(Timer::kJoin), context.now_ms() + pause_ms);
  }
  ++facts_.generation;
  if (!members_.empty()) return StartGeneration(context);
  facts_.protocol = std::nullopt;
  ReadSubscriptions();
  TransitionTo(ClassicGroupState::kEmpty, context);
  WriteRecord(context);
}

void ClassicGroup::DropUnjoined(GroupContext& context) {
  std::vector<ClassicMember*> unjoined;
  for (const auto& [id, member] : members_.all()) {
    // A static member keeps its place until its session ends.
    if (!member->parked_join.has_value() && !member->instance_id.has_value()) {
      unjoined.push_back(member.get());
    }
  }
  for (ClassicMember* member : unjoined) {
    RemoveMember(*member, ErrorCode::kUnknownMemberId, context);
  }
}

void ClassicGroup::StartGeneration(GroupContext& context) {
  facts_.protocol = members_.SelectProtocol();
  ReadSubscriptions();
  TransitionTo(ClassicGroupState::kCompletingRebalance, context);
  for (const auto& [id, member] : members_.all()) {
    member->is_new = false;
    member->owes_sync = true;
    if (const std::optional<RequestToken> token = members_.TakeJoin(*member)) {
      context.effects.answers.push_back({*token, JoinResponse(*member)});
    }
    RenewSession(*member, context);
  }
  syncs_owed_ = members_.size();
  context.timers.Set(TimerKey(Timer::kSync), context.now_ms() + members_.rebalance_ms());
}

void ClassicGroup::AbandonAssignment(GroupContext& context) {
  for (const auto& [id, member] : members_.all()) {
    member->assignment.clear();
    if (!member->parked_sync.has_value()) continue;
    AnswerParked(*member, ErrorCode::kRebalanceInProgress, context);
    RenewSession(*member, context);
  }
}

// --- What runs out ---

void ClassicGroup::ExpireSync(GroupContext& context) {
  std::vector<ClassicMember*> silent;
  for (const auto& [id, member] : members_.all()) {
    if (member->owes_sync) silent.push_back(member.get());
  }
  if (silent.empty()) return;
  RebalanceCause cause{
      "members did not ask for their assignment in time: " + std::to_string(silent.size()),
      silent.front()->id};
  for (ClassicMember* member : silent) RemoveMember(*member, ErrorCode::kUnknownMemberId, context);
  PrepareRebalance(std::move(cause), context);
}

void ClassicGroup::ExpireSessions(GroupContext& context) {
  sessions_watched_until_ms_ = std::nullopt;
  const int64_t now_ms = context.now_ms();
  const bool pending_expired = members_.pending().Expire(now_ms);
  std::vector<ClassicMember*> silent;
  for (const auto& [id, member] : members_.all()) {
    if (member->session_deadline_ms <= now_ms && !member->waits_for_group()) {
      silent.push_back(member.get());
    }
  }
  if (!silent.empty()) {
    RebalanceCause cause{"sessions have ended: " + std::to_string(silent.size()),
                         silent.front()->id};
    for (ClassicMember* member : silent) {
      RemoveMember(*member, ErrorCode::kUnknownMemberId, context);
    }
    RebalanceOrCompleteJoin(std::move(cause), context);
  } else if (pending_expired) {
    MaybeCompleteJoin(context);
  }
  if (const std::optional<int64_t> deadline_ms = members_.pending().next_deadline_ms())
    WatchSessions(*deadline_ms, context);
  for (const auto& [id, member] : members_.all()) {
    if (!member->waits_for_group()) WatchSessions(member->session_deadline_ms, context);
  }
}

void ClassicGroup::RenewSession(ClassicMember& member, GroupContext& context) {
  SetSession(member, context.now_ms() + member.terms.session_ms, context);
}

void ClassicGroup::SetSession(ClassicMember& member, int64_t deadline_ms, GroupContext& context) {
  member.session_deadline_ms = deadline_ms;
  WatchSessions(deadline_ms, context);
}

void ClassicGroup::WatchSessions(int64_t deadline_ms, GroupContext& context) {
  if (sessions_watched_until_ms_.has_value() && *sessions_watched_until_ms_ <= deadline_ms) return;
  sessions_watched_until_ms_ = deadline_ms;
  context.timers.Set(TimerKey(Timer::kSession), deadline_ms);
}

// --- Parts ---

void ClassicGroup::TransitionTo(ClassicGroupState state, const GroupContext& context) {
  CHECK(MayFollow(state_, state)) << id_ << ": " << ClassicGroupStateName(state_) << " to "
                                  << ClassicGroupStateName(state);
  previous_state_ = std::exchange(state_, state);
  facts_.state_since_ms = context.moment.wall_ms;
}

void ClassicGroup::WriteRecord(GroupContext& context) {
  context.effects.records.push_back(ClassicGroupRecord(id_, facts_, members_));
  context.effects.changed_groups.push_back(id_);
}

void ClassicGroup::RemoveMember(ClassicMember& member, ErrorCode error, GroupContext& context) {
  AnswerParked(member, error, context);
  if (member.owes_sync) --syncs_owed_;
  members_.Remove(member.id);
}

void ClassicGroup::AnswerParked(ClassicMember& member, ErrorCode error, GroupContext& context) {
  if (const std::optional<RequestToken> token = members_.TakeJoin(member)) {
    context.effects.answers.push_back({*token, RefusedJoin(error, member.id)});
  }
  if (const std::optional<RequestToken> token = std::exchange(member.parked_sync, std::nullopt)) {
    kafka::SyncGroupResponse response;
    response.error_code = WireError(error);
    context.effects.answers.push_back({*token, std::move(response)});
  }
}

void ClassicGroup::ReadSubscriptions() {
  subscribed_topics_ = std::nullopt;
  if (facts_.protocol_type != kafka::kConsumerProtocolType) return;
  std::set<std::string, std::less<>> topics;
  for (const auto& [id, member] : members_.all()) {
    auto subscription =
        kafka::DecodeConsumerSubscription(member->MetadataOf(facts_.protocol.value_or("")));
    if (!subscription.ok()) return;
    for (std::string& topic : subscription->topics) topics.insert(std::move(topic));
  }
  subscribed_topics_ = std::move(topics);
}

}  // namespace sluice::broker
