#include "broker/group/consumer_group.h"

#include <algorithm>

#include "broker/group/topic_regex.h"
#include "metadata/group_config.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using Request = kafka::ConsumerGroupHeartbeatRequest;
using Response = kafka::ConsumerGroupHeartbeatResponse;

// In order, each once.
std::vector<std::string> Sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Response::Assignment ToResponse(const OwnedPartitions& partitions) {
  Response::Assignment assignment;
  for (const auto& [id, owned] : partitions) {
    Response::TopicPartitions topic;
    topic.topic_id = id;
    for (const auto& [partition, epoch] : owned) topic.partitions.push_back(partition);
    assignment.topic_partitions.push_back(std::move(topic));
  }
  return assignment;
}

bool SamePartitions(const OwnedPartitions& a, const OwnedPartitions& b) {
  const auto same_keys = [](const auto& x, const auto& y) { return x.first == y.first; };
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [&same_keys](const auto& x, const auto& y) {
        return x.first == y.first && std::equal(x.second.begin(), x.second.end(), y.second.begin(),
                                                y.second.end(), same_keys);
      });
}

// A member learns of a rebalance, and that others have given up what it waits for, with its next
// heartbeat only. So it is told to send them more often than configured, as long as all members of
// its coordinator's partition together then send no more than that in a second.
constexpr int32_t kUnsettledPerSecondMax = 1000;
constexpr int32_t kSettledPerSecondMax = 200;
constexpr int32_t kSettledMsMin = 1000;

// A client sends all of it when it joins, and after an answer that it did not get.
bool IsFull(const Request& request) {
  return request.member_epoch == 0 ||
         (request.rebalance_timeout_ms != -1 && request.topic_partitions.has_value() &&
          (request.subscribed_topic_names.has_value() ||
           request.subscribed_topic_regex.has_value()));
}

}  // namespace

void ConsumerGroup::ConsumerHeartbeat(const GroupCaller& caller, const Request& request,
                                      GroupContext& context) {
  if (request.member_epoch < 0) return Leave(caller, request, context);
  if (const auto refusal = CheckRegular(request))
    return context.effects.Answer(caller, RefusedHeartbeat(*refusal));

  const bool is_nameless = request.member_id.empty();
  ConsumerMember& member =
      Admit(is_nameless ? Uuid::Generate(context.random).ToString() : request.member_id,
            request.instance_id, context);
  const std::string_view why = UpdateMember(member, caller, request, context);
  Advance({std::string(why), member.id}, context);
  const ReportedPartitions* const owned =
      request.topic_partitions.has_value() ? &*request.topic_partitions : nullptr;
  const bool changed = ReconcileMember(member, owned, context);
  RenewSession(member, context);

  Response response;
  response.member_id = member.id;
  response.member_epoch = member.current.epoch;
  response.heartbeat_interval_ms = HeartbeatMs(member, context);
  if (changed || IsFull(request)) response.assignment = ToResponse(member.current.assigned);
  // Also when there is nothing to write: it tells what earlier records say, and those have to be
  // durable too.
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

std::optional<GroupRefusal> ConsumerGroup::CheckRegular(const Request& request) const {
  const ConsumerMember* member = Find(request.member_id);
  if (members_.size() >= config_.members_max && member == nullptr &&
      !(request.instance_id.has_value() && static_members_.contains(*request.instance_id))) {
    return GroupRefusal{ErrorCode::kGroupMaxSizeReached,
                        "The consumer group has reached its maximum capacity of " +
                            std::to_string(config_.members_max) + " members."};
  }
  if (request.instance_id.has_value()) {
    if (auto refusal = CheckStatic(request, member)) return refusal;
  } else if (member == nullptr && request.member_epoch > 0) {
    return GroupRefusal{ErrorCode::kUnknownMemberId,
                        "Member " + request.member_id + " is not a member of group " + id_ + "."};
  }
  if (member != nullptr) {
    if (auto refusal = CheckMemberEpoch(*member, request)) return refusal;
  }
  const std::string& regex = request.subscribed_topic_regex.value_or("");
  if (regex.empty() || regexes_.contains(regex)) return std::nullopt;
  if (const auto problem = TopicRegexProblem(regex)) {
    return GroupRefusal{ErrorCode::kInvalidRegularExpression,
                        "SubscribedTopicRegex `" + regex +
                            "` is not a valid regular expression: " + *problem + "."};
  }
  return std::nullopt;
}

std::optional<GroupRefusal> ConsumerGroup::CheckStatic(const Request& request,
                                                       const ConsumerMember* member) const {
  const ConsumerMember* const holder = FindStatic(*request.instance_id);
  if (request.member_epoch > 0) return CheckIdentity(request);
  // Who joins again under its own id has lost track; another one has to wait for its leave.
  // One of the classic protocol never says that it leaves: its process was started again.
  if (holder == nullptr || holder == member || holder->classic.has_value() ||
      holder->current.epoch == kStaticLeaveEpoch) {
    return std::nullopt;
  }
  return GroupRefusal{
      ErrorCode::kUnreleasedInstanceId,
      "Static member " + request.member_id + " with instance id " + *request.instance_id +
          " cannot join the group because the instance id is owned by " + holder->id + " member."};
}

std::optional<GroupRefusal> ConsumerGroup::CheckMemberEpoch(const ConsumerMember& member,
                                                            const Request& request) const {
  const auto fenced = [](const std::string& why) {
    return GroupRefusal{ErrorCode::kFencedMemberEpoch,
                        why + " The member must abandon all its partitions and rejoin."};
  };
  const int32_t epoch = member.current.epoch;
  if (member.current.state == ConsumerMemberState::kUnknown &&
      (!request.topic_partitions.has_value() || !request.topic_partitions->empty())) {
    return fenced("The consumer group member is in a unknown state.");
  }
  if (request.member_epoch == 0 || request.member_epoch == epoch) return std::nullopt;
  if (request.member_epoch > epoch) {
    return fenced("The consumer group member has a greater member epoch (" +
                  std::to_string(request.member_epoch) +
                  ") than the one known by the group coordinator (" + std::to_string(epoch) + ").");
  }
  // The answer that told the new epoch may have been lost; then the member still owns less.
  if (request.member_epoch == member.current.previous_epoch &&
      request.topic_partitions.has_value() &&
      IsWithin(*request.topic_partitions, member.current.assigned)) {
    return std::nullopt;
  }
  return fenced("The consumer group member has a smaller member epoch (" +
                std::to_string(request.member_epoch) +
                ") than the one known by the group coordinator (" + std::to_string(epoch) + ").");
}

ConsumerMember& ConsumerGroup::Admit(const std::string& member_id,
                                     const std::optional<std::string>& instance_id,
                                     GroupContext& context) {
  if (instance_id.has_value()) {
    const ConsumerMember* const holder = FindStatic(*instance_id);
    if (holder != nullptr && holder->id != member_id)
      return ReplaceStatic(std::string(holder->id), member_id, context);
  }
  const auto member = members_.try_emplace(member_id).first;
  member->second.id = member_id;
  return member->second;
}

// The new member takes over what the old one owned: its process said that it would be back.
ConsumerMember& ConsumerGroup::ReplaceStatic(const std::string& old_id, const std::string& new_id,
                                             GroupContext& context) {
  ConsumerMember member = members_.at(old_id);
  PartitionsByTopic target = TargetOf(old_id);
  for (const std::string& id : {old_id, new_id}) {
    if (!members_.contains(id)) continue;
    Erase(id, context);
    WriteMemberGone(id, context);
  }
  member.id = new_id;
  member.current.epoch = 0;
  member.current.previous_epoch = 0;
  member.join_deadline_ms = 0;
  static_members_[member.instance_id] = new_id;
  Own(member.current.assigned);
  Own(member.current.revoking);
  ConsumerMember& placed = members_.emplace(new_id, std::move(member)).first->second;
  targets_[new_id] = std::move(target);
  WriteMember(placed, context);
  WriteTarget(new_id, context);
  WriteCurrent(placed, context);
  context.timers.Set(TimerKey(Timer::kSession, new_id), placed.session_deadline_ms);
  return placed;
}

std::string_view ConsumerGroup::UpdateMember(ConsumerMember& member, const GroupCaller& caller,
                                             const Request& request, GroupContext& context) {
  bool changed = false;
  const auto set = [&changed](auto& field, auto value) {
    if (field == value) return false;
    field = std::move(value);
    changed = true;
    return true;
  };
  const bool is_new = member.session_deadline_ms == 0;
  const std::string instance_before = member.instance_id;
  if (request.instance_id.has_value() && set(member.instance_id, *request.instance_id)) {
    static_members_.erase(instance_before);
    static_members_[member.instance_id] = member.id;
  }
  if (request.rack_id.has_value()) set(member.rack, *request.rack_id);
  if (request.rebalance_timeout_ms != -1)
    set(member.rebalance_timeout_ms, request.rebalance_timeout_ms);
  if (request.server_assignor.has_value()) set(member.server_assignor, *request.server_assignor);
  set(member.client_id, caller.client_id);
  set(member.client_host, caller.client_host);
  if (set(member.classic, std::optional<ClassicMembership>())) {
    member.join_deadline_ms = 0;
    context.timers.Cancel(TimerKey(Timer::kJoin, member.id));
    context.timers.Cancel(TimerKey(Timer::kSync, member.id));
  }
  bool subscription_changed = false;
  if (request.subscribed_topic_names.has_value())
    subscription_changed |= set(member.topic_names, Sorted(*request.subscribed_topic_names));
  const std::string regex_before = member.regex;
  if (request.subscribed_topic_regex.has_value())
    subscription_changed |= set(member.regex, *request.subscribed_topic_regex);
  if (changed || is_new) WriteMember(member, context);
  if (member.regex != regex_before) {
    ForgetRegex(regex_before, context);
    if (!member.regex.empty()) regexes_.try_emplace(member.regex);
  }
  if (is_new) return kJoined;
  return subscription_changed ? kSubscribedAnew : "";
}

bool ConsumerGroup::ReconcileMember(ConsumerMember& member, const ReportedPartitions* owned,
                                    GroupContext& context) {
  if (member.current.HasReached(target_epoch_)) return false;
  const OwnedPartitions& revoking = member.current.revoking;
  const ReconcileInput input{target_epoch_, TargetOf(member.id), owned,
                             [this, &revoking](const TopicId& topic, int32_t partition) {
                               if (!IsOwned(topic, partition)) return true;
                               const auto own = revoking.find(topic);
                               return own != revoking.end() && own->second.contains(partition);
                             }};
  ConsumerAssignment next = Reconcile(member.current, input);
  if (next == member.current) return false;
  const bool changed = !SamePartitions(next.assigned, member.current.assigned);
  SetCurrent(member, std::move(next), context);
  if (member.current.state == ConsumerMemberState::kUnrevoked) {
    context.timers.Set(TimerKey(Timer::kRebalance, member.id),
                       context.now_ms() + std::max(member.rebalance_timeout_ms, 0));
  } else {
    context.timers.Cancel(TimerKey(Timer::kRebalance, member.id));
  }
  return changed;
}

void ConsumerGroup::SetCurrent(ConsumerMember& member, ConsumerAssignment next,
                               GroupContext& context) {
  Disown(member.current.assigned);
  Disown(member.current.revoking);
  member.current = std::move(next);
  Own(member.current.assigned);
  Own(member.current.revoking);
  WriteCurrent(member, context);
}

// Whether the request comes from a member, and of an instance from the one that holds its id.
std::optional<GroupRefusal> ConsumerGroup::CheckIdentity(const Request& request) const {
  if (!request.instance_id.has_value()) {
    if (Find(request.member_id) != nullptr) return std::nullopt;
    return GroupRefusal{ErrorCode::kUnknownMemberId,
                        "Member " + request.member_id + " is not a member of group " + id_ + "."};
  }
  const ConsumerMember* const holder = FindStatic(*request.instance_id);
  if (holder == nullptr) {
    return GroupRefusal{ErrorCode::kUnknownMemberId,
                        "Instance id " + *request.instance_id + " is unknown."};
  }
  if (holder->id == request.member_id) return std::nullopt;
  return GroupRefusal{ErrorCode::kFencedInstanceId,
                      "Static member " + request.member_id + " with instance id " +
                          *request.instance_id + " was fenced by member " + holder->id + "."};
}

void ConsumerGroup::Leave(const GroupCaller& caller, const Request& request,
                          GroupContext& context) {
  if (const auto refusal = CheckIdentity(request))
    return context.effects.Answer(caller, RefusedHeartbeat(*refusal));
  if (request.member_epoch == kStaticLeaveEpoch) {
    // Its partitions stay its own until its session ends: the next process gets them.
    ConsumerMember& member = members_.at(request.member_id);
    ConsumerAssignment next = member.current;
    next.epoch = kStaticLeaveEpoch;
    next.revoking.clear();
    for (auto& [topic, partitions] : next.assigned) {
      for (auto& [partition, epoch] : partitions) epoch = 0;
    }
    SetCurrent(member, std::move(next), context);
    context.timers.Cancel(TimerKey(Timer::kRebalance, member.id));
  } else {
    Fence(request.member_id, kLeft, context);
  }
  Response response;
  response.member_id = request.member_id;
  response.member_epoch = request.member_epoch;
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

void ConsumerGroup::Fence(const std::string& member_id, std::string_view why,
                          GroupContext& context) {
  const std::string id = member_id;  // which may be the member's own
  Remove(id, context);
  NoteRemoved({std::string(why), id}, context);
}

void ConsumerGroup::Remove(const std::string& member_id, GroupContext& context) {
  const std::string regex = members_.at(member_id).regex;
  Erase(member_id, context);
  WriteMemberGone(member_id, context);
  ForgetRegex(regex, context);
}

void ConsumerGroup::NoteRemoved(RebalanceCause cause, GroupContext& context) {
  // The classic group goes on from the epoch that its members know: of another generation they
  // would have to give up all that they own.
  if (ShallDowngrade(context)) return;
  // The target follows with the next heartbeat of a member: many may leave at once.
  RaiseEpoch(std::move(cause), HashTopics(*context.moment.image), context);
}

void ConsumerGroup::Erase(const std::string& member_id, GroupContext& context) {
  const auto member = members_.find(member_id);
  Disown(member->second.current.assigned);
  Disown(member->second.current.revoking);
  const auto instance = static_members_.find(member->second.instance_id);
  if (instance != static_members_.end() && instance->second == member_id)
    static_members_.erase(instance);
  for (const Timer timer : {Timer::kSession, Timer::kRebalance, Timer::kJoin, Timer::kSync})
    context.timers.Cancel(TimerKey(timer, member_id));
  targets_.erase(member_id);
  members_.erase(member);
}

std::string_view ConsumerGroup::ReasonOf(Timer timer) {
  switch (timer) {
    case Timer::kSession: return "a member was silent for its session timeout";
    case Timer::kRebalance: return "a member did not give up its partitions in time";
    case Timer::kJoin: return "a member did not join again in time";
    case Timer::kSync: return "a member did not ask for its assignment in time";
  }
  return "";
}

void ConsumerGroup::OnTimer(const GroupTimerKey& timer, GroupContext& context) {
  const auto found = members_.find(timer.member_id);
  if (found == members_.end()) return;
  const ConsumerMember& member = found->second;
  if (timer.kind == static_cast<int32_t>(Timer::kSession)) {
    if (member.session_deadline_ms > context.now_ms())
      return context.timers.Set(timer, member.session_deadline_ms);
  } else if (timer.kind == static_cast<int32_t>(Timer::kRebalance) &&
             member.current.state != ConsumerMemberState::kUnrevoked) {
    return;
  }
  Fence(timer.member_id, ReasonOf(static_cast<Timer>(timer.kind)), context);
}

int32_t ConsumerGroup::SessionMs(const ConsumerMember& member, const GroupContext& context) const {
  if (member.classic.has_value()) return member.classic->session_ms;
  return metadata::GroupConfigNumber(*context.moment.image, id_, metadata::kGroupSessionTimeoutKey)
      .value_or(config_.session_ms);
}

int32_t ConsumerGroup::SettledHeartbeatMs(const GroupContext& context) const {
  return metadata::GroupConfigNumber(*context.moment.image, id_,
                                     metadata::kGroupHeartbeatIntervalKey)
      .value_or(config_.heartbeat_ms);
}

void ConsumerGroup::RenewSession(ConsumerMember& member, GroupContext& context) {
  const int64_t before_ms = member.session_deadline_ms;
  member.session_ms = SessionMs(member, context);
  member.session_deadline_ms = context.now_ms() + member.session_ms;
  // Shorter than before when the member has changed its protocol, or somebody the group's timeout.
  const bool is_earlier = before_ms == 0 || member.session_deadline_ms < before_ms;
  if (is_earlier)
    context.timers.Set(TimerKey(Timer::kSession, member.id), member.session_deadline_ms);
}

int32_t ConsumerGroup::HeartbeatMs(const ConsumerMember& member,
                                   const GroupContext& context) const {
  const bool settled =
      member.current.HasReached(target_epoch_) && context.now_ms() >= unsettled_until_ms_;
  const auto own_ms =
      metadata::GroupConfigNumber(*context.moment.image, id_, metadata::kGroupHeartbeatIntervalKey);
  if (settled && own_ms.has_value()) return *own_ms;
  // Each member has a timer, of its session.
  const auto members = static_cast<int64_t>(context.timers.size());
  const int64_t shared_ms =
      settled ? std::max<int64_t>(kSettledMsMin, members * 1000 / kSettledPerSecondMax)
              : std::max<int64_t>(config_.reconcile_heartbeat_ms,
                                  members * 1000 / kUnsettledPerSecondMax);
  return static_cast<int32_t>(std::min<int64_t>(SettledHeartbeatMs(context), shared_ms));
}

const ConsumerMember* ConsumerGroup::Find(std::string_view member_id) const {
  const auto found = members_.find(std::string(member_id));
  return found == members_.end() ? nullptr : &found->second;
}

const ConsumerMember* ConsumerGroup::FindStatic(const std::string& instance_id) const {
  const auto found = static_members_.find(instance_id);
  return found == static_members_.end() ? nullptr : Find(found->second);
}

const PartitionsByTopic& ConsumerGroup::TargetOf(const std::string& member_id) const {
  static const PartitionsByTopic nothing;
  const auto found = targets_.find(member_id);
  return found == targets_.end() ? nothing : found->second;
}

bool ConsumerGroup::IsOwned(const TopicId& topic, int32_t partition) const {
  const auto found = owned_.find(topic);
  return found != owned_.end() && static_cast<size_t>(partition) < found->second.size() &&
         found->second[static_cast<size_t>(partition)];
}

void ConsumerGroup::Own(const OwnedPartitions& partitions) {
  for (const auto& [topic, owned] : partitions) {
    std::vector<bool>& taken = owned_[topic];
    for (const auto& [partition, epoch] : owned) {
      const size_t place = static_cast<size_t>(partition);
      if (taken.size() <= place) taken.resize(place + 1);
      taken[place] = true;
    }
  }
}

void ConsumerGroup::Disown(const OwnedPartitions& partitions) {
  for (const auto& [topic, owned] : partitions) {
    std::vector<bool>& taken = owned_[topic];
    for (const auto& [partition, epoch] : owned) taken[static_cast<size_t>(partition)] = false;
    if (std::find(taken.begin(), taken.end(), true) == taken.end()) owned_.erase(topic);
  }
}

}  // namespace sluice::broker
