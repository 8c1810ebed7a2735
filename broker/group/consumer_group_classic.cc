// The part of ConsumerGroup that serves its members of the classic protocol.
#include <algorithm>
#include <utility>

#include "base/uuid.h"
#include "broker/group/consumer_group.h"
#include "broker/group/group_migration.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

// The first version whose members come back with the id that they were given (KIP-394).
constexpr int16_t kJoinVersionOfKnownIds = 4;
constexpr size_t kGivenIdsMax = 1000;

bool Contains(const std::deque<std::string>& ids, const std::string& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

ReportedPartitions OwnedOf(const kafka::ConsumerProtocolSubscription& subscription,
                           const metadata::Image& image) {
  ReportedPartitions owned;
  for (const auto& named : subscription.owned_partitions) {
    const auto topic = image.FindTopic(named.topic);
    if (topic == nullptr) continue;
    auto& reported = owned.emplace_back();
    reported.topic_id = topic->id;
    reported.partitions = named.partitions;
  }
  return owned;
}

}  // namespace

// --- JoinGroup ---

ErrorCode ConsumerGroup::CheckJoin(
    const kafka::JoinGroupRequest& request,
    std::optional<kafka::ConsumerProtocolSubscription>& subscription) const {
  const bool has_instance = request.group_instance_id.has_value();
  const ConsumerMember* const holder =
      has_instance ? FindStatic(*request.group_instance_id) : nullptr;
  const ConsumerMember* const member = has_instance ? holder : Find(request.member_id);
  if (members_.size() >= config_.members_max && member == nullptr)
    return ErrorCode::kGroupMaxSizeReached;
  std::set<std::string_view> names;
  for (const auto& protocol : request.protocols) names.insert(protocol.name);
  if (request.protocol_type != kafka::kConsumerProtocolType || !HasCommonProtocol(names, member))
    return ErrorCode::kInconsistentGroupProtocol;
  auto decoded = kafka::DecodeConsumerSubscription(request.protocols.front().metadata);
  if (!decoded.ok()) return ErrorCode::kInconsistentGroupProtocol;
  subscription = *std::move(decoded);
  // One that owns partitions under an id of its own was put out: it has to hear that they are lost,
  // or it commits what it read of them as soon as it is a member again, though their new owners
  // have gone on. With the new id that it is given it is let in, whatever it says: not every client
  // forgets what it owned. Others may come with an id that an earlier coordinator has given out.
  if (!has_instance && !request.member_id.empty() && member == nullptr &&
      !subscription->owned_partitions.empty() && !Contains(given_ids_, request.member_id)) {
    return ErrorCode::kUnknownMemberId;
  }
  if (!has_instance || request.member_id.empty()) return ErrorCode::kNone;
  if (holder == nullptr) return ErrorCode::kUnknownMemberId;
  return holder->id == request.member_id ? ErrorCode::kNone : ErrorCode::kFencedInstanceId;
}

bool ConsumerGroup::HasCommonProtocol(const std::set<std::string_view>& protocols,
                                      const ConsumerMember* except) const {
  std::set<std::string_view> common = protocols;
  for (const auto& [member_id, member] : members_) {
    if (&member == except || !member.classic.has_value()) continue;
    std::erase_if(common, [&offered = member.classic->protocols](std::string_view name) {
      return std::none_of(offered.begin(), offered.end(), [name](const ClassicProtocol& protocol) {
        return protocol.name == name;
      });
    });
  }
  return !common.empty();
}

void ConsumerGroup::Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
                         GroupContext& context) {
  std::optional<kafka::ConsumerProtocolSubscription> subscription;
  const ErrorCode error = CheckJoin(request, subscription);
  if (error != ErrorCode::kNone)
    return context.effects.Answer(caller, RefusedJoin(error, request.member_id));
  const bool is_nameless = request.member_id.empty();
  const std::string member_id =
      is_nameless ? Uuid::Generate(context.random).ToString() : request.member_id;
  if (is_nameless && !request.group_instance_id.has_value() &&
      caller.version >= kJoinVersionOfKnownIds) {
    given_ids_.push_back(member_id);
    if (given_ids_.size() > kGivenIdsMax) given_ids_.pop_front();
    return context.effects.Answer(caller, RefusedJoin(ErrorCode::kMemberIdRequired, member_id));
  }
  std::erase(given_ids_, member_id);
  ConsumerMember& member = Admit(member_id, request.group_instance_id, context);
  const ReportedPartitions owned = OwnedOf(*subscription, *context.moment.image);
  const std::string_view why =
      UpdateClassicMember(member, caller, request, *std::move(subscription), context);
  Advance({std::string(why), member.id}, context);
  ReconcileMember(member, &owned, context);
  RenewSession(member, context);
  member.join_deadline_ms = 0;
  context.timers.Cancel(TimerKey(Timer::kJoin, member.id));
  context.timers.Set(TimerKey(Timer::kSync, member.id),
                     context.now_ms() + member.rebalance_timeout_ms);
  // Nobody leads: each asks for what the coordinator has assigned to it.
  kafka::JoinGroupResponse response;
  response.member_id = member.id;
  response.generation_id = member.current.epoch;
  response.protocol_type = kafka::kConsumerProtocolType;
  response.protocol_name = member.classic->protocols.front().name;
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

std::string_view ConsumerGroup::UpdateClassicMember(
    ConsumerMember& member, const GroupCaller& caller, const kafka::JoinGroupRequest& request,
    kafka::ConsumerProtocolSubscription subscription, GroupContext& context) {
  ConsumerMember next = member;
  if (request.group_instance_id.has_value()) next.instance_id = *request.group_instance_id;
  if (subscription.rack_id.has_value()) next.rack = *subscription.rack_id;
  next.client_id = caller.client_id;
  next.client_host = caller.client_host;
  next.topic_names = std::move(subscription.topics);
  std::sort(next.topic_names.begin(), next.topic_names.end());
  next.topic_names.erase(std::unique(next.topic_names.begin(), next.topic_names.end()),
                         next.topic_names.end());
  next.regex.clear();
  next.rebalance_timeout_ms =
      caller.version == 0 ? request.session_timeout_ms : std::max(request.rebalance_timeout_ms, 0);
  next.classic = {request.session_timeout_ms, ProtocolsOf(request)};

  const bool is_new = member.session_deadline_ms == 0;
  if (next == member && !is_new) return "";
  const bool subscribes_anew = next.topic_names != member.topic_names || next.regex != member.regex;
  if (next.instance_id != member.instance_id) static_members_.erase(member.instance_id);
  if (!next.instance_id.empty()) static_members_[next.instance_id] = next.id;
  const std::string regex_before = member.regex;
  member = std::move(next);
  WriteMember(member, context);
  ForgetRegex(regex_before, context);
  if (is_new) return kJoined;
  return subscribes_anew ? kSubscribedAnew : "";
}

// --- Heartbeat and SyncGroup ---

ConsumerMember* ConsumerGroup::FindClassic(const std::string& member_id,
                                           const std::optional<std::string>& instance_id,
                                           int32_t generation, ErrorCode& error) {
  error = ErrorCode::kUnknownMemberId;
  if (instance_id.has_value()) {
    const ConsumerMember* const holder = FindStatic(*instance_id);
    if (holder == nullptr) return nullptr;
    if (holder->id != member_id) error = ErrorCode::kFencedInstanceId;
    if (holder->id != member_id) return nullptr;
  }
  const auto found = members_.find(member_id);
  if (found == members_.end() || !found->second.classic.has_value()) return nullptr;
  error = ErrorCode::kIllegalGeneration;
  if (found->second.current.epoch != generation) return nullptr;
  error = ErrorCode::kNone;
  return &found->second;
}

bool ConsumerGroup::HasToJoinAgain(const ConsumerMember& member) const {
  if (member.current.epoch < epoch_) return true;
  switch (member.current.state) {
    case ConsumerMemberState::kStable: return false;
    case ConsumerMemberState::kUnrevoked:
    case ConsumerMemberState::kUnknown: return true;
    case ConsumerMemberState::kUnreleased: break;
  }
  // Once for all that it waits for: each time costs it a rebalance.
  for (const auto& [topic, partitions] : TargetOf(member.id)) {
    const auto owned = member.current.assigned.find(topic);
    for (const int32_t partition : partitions) {
      const bool has = owned != member.current.assigned.end() && owned->second.contains(partition);
      if (!has && IsOwned(topic, partition)) return false;
    }
  }
  return true;
}

void ConsumerGroup::ExpectJoin(ConsumerMember& member, GroupContext& context) {
  if (member.join_deadline_ms != 0) return;
  member.join_deadline_ms = context.now_ms() + member.rebalance_timeout_ms;
  context.timers.Set(TimerKey(Timer::kJoin, member.id), member.join_deadline_ms);
}

void ConsumerGroup::Heartbeat(const GroupCaller& caller, const kafka::HeartbeatRequest& request,
                              GroupContext& context) {
  kafka::HeartbeatResponse response;
  ErrorCode error = ErrorCode::kNone;
  ConsumerMember* const member =
      FindClassic(request.member_id, request.group_instance_id, request.generation_id, error);
  if (member != nullptr) {
    RenewSession(*member, context);
    Advance({}, context);
    if (HasToJoinAgain(*member)) {
      ExpectJoin(*member, context);
      error = ErrorCode::kRebalanceInProgress;
    }
  }
  response.error_code = WireError(error);
  context.effects.Answer(caller, std::move(response));
}

ErrorCode ConsumerGroup::CheckSync(const ConsumerMember& member,
                                   const kafka::SyncGroupRequest& request) const {
  // One that has to give something up hears of it with its assignment, and joins again after that.
  // Looked at first: the protocol that it knows may still be that of the former classic group.
  const bool revokes = member.current.state == ConsumerMemberState::kUnrevoked;
  if (member.current.epoch < epoch_ && !revokes) return ErrorCode::kRebalanceInProgress;
  const bool other_type =
      request.protocol_type.has_value() && *request.protocol_type != kafka::kConsumerProtocolType;
  const bool other_name = request.protocol_name.has_value() &&
                          *request.protocol_name != member.classic->protocols.front().name;
  return other_type || other_name ? ErrorCode::kInconsistentGroupProtocol : ErrorCode::kNone;
}

void ConsumerGroup::Sync(const GroupCaller& caller, const kafka::SyncGroupRequest& request,
                         GroupContext& context) {
  kafka::SyncGroupResponse response;
  ErrorCode error = ErrorCode::kNone;
  ConsumerMember* const member =
      FindClassic(request.member_id, request.group_instance_id, request.generation_id, error);
  if (member != nullptr) error = CheckSync(*member, request);
  if (error == ErrorCode::kRebalanceInProgress) ExpectJoin(*member, context);
  response.error_code = WireError(error);
  if (error != ErrorCode::kNone) return context.effects.Answer(caller, std::move(response));
  context.timers.Cancel(TimerKey(Timer::kSync, member->id));
  RenewSession(*member, context);
  response.protocol_type = kafka::kConsumerProtocolType;
  response.protocol_name = member->classic->protocols.front().name;
  response.assignment = ClassicAssignmentOf(*member, member->classic->protocols.front().metadata,
                                            *context.moment.image);
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

// --- LeaveGroup ---

ErrorCode ConsumerGroup::LeaveOne(const kafka::LeaveGroupRequest::MemberIdentity& who,
                                  RebalanceCause& cause, GroupContext& context) {
  const ConsumerMember* member = Find(who.member_id);
  if (who.group_instance_id.has_value()) {
    member = FindStatic(*who.group_instance_id);
    // An administrator removes a static member by its instance id alone.
    if (member != nullptr && !who.member_id.empty() && member->id != who.member_id)
      return ErrorCode::kFencedInstanceId;
  }
  if (member == nullptr || !member->classic.has_value()) return ErrorCode::kUnknownMemberId;
  cause = {std::string(kLeft), member->id};
  if (who.reason.has_value()) cause.reason += "; client reason: " + *who.reason;
  Remove(cause.member_id, context);
  return ErrorCode::kNone;
}

void ConsumerGroup::Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
                          GroupContext& context) {
  const size_t members_before = members_.size();
  RebalanceCause cause;
  auto response = LeaveResponse(
      caller, request, [&](const auto& leaver) { return LeaveOne(leaver, cause, context); });
  if (members_.size() == members_before) return context.effects.Answer(caller, std::move(response));
  NoteRemoved(std::move(cause), context);
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

bool ConsumerGroup::ShallDowngrade(const GroupContext& context) const {
  if (!config_.may_downgrade || members_.empty()) return false;
  const bool all_classic = std::all_of(members_.begin(), members_.end(), [](const auto& entry) {
    return entry.second.classic.has_value();
  });
  if (!all_classic || members_.size() > context.config.members_max) return false;
  std::set<std::string_view> names;
  for (const ClassicProtocol& protocol : members_.begin()->second.classic->protocols)
    names.insert(protocol.name);
  return HasCommonProtocol(names, nullptr);
}

}  // namespace sluice::broker
