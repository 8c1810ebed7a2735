#include "broker/group/classic_group.h"

#include <algorithm>
#include <map>
#include <utility>

#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

constexpr char kFromConsumerProtocol[] = "the last member of the consumer protocol left";

// As the request names it; it outlives the view.
std::optional<std::string_view> View(const std::optional<std::string>& text) {
  if (!text.has_value()) return std::nullopt;
  return *text;
}

void Answer(const GroupCaller& caller, ErrorCode error, GroupContext& context) {
  kafka::HeartbeatResponse response;
  response.error_code = WireError(error);
  context.effects.Answer(caller, std::move(response));
}

}  // namespace

Result<std::unique_ptr<ClassicGroup>> ClassicGroup::Load(std::string id, std::string_view value,
                                                         GroupContext& context) {
  auto group = std::make_unique<ClassicGroup>(std::move(id));
  SLUICE_RETURN_IF_ERROR(ParseClassicGroup(value, group->facts_, group->members_));
  group->ReadSubscriptions();
  if (group->members_.empty()) return group;
  group->state_ = ClassicGroupState::kStable;
  for (const auto& [member_id, member] : group->members_.all()) {
    group->RenewSession(*member, context);
  }
  if (group->members_.size() > context.config.members_max) {
    group->PrepareRebalance({"the group has more members than group.max.size", ""}, context);
  } else if (group->members_.leader().empty()) {
    group->PrepareRebalance({kFromConsumerProtocol, ""}, context);
  }
  return group;
}

std::unique_ptr<ClassicGroup> ClassicGroup::FromConsumer(std::string id, int32_t generation,
                                                         ClassicMembers members) {
  auto group = std::make_unique<ClassicGroup>(std::move(id));
  group->members_ = std::move(members);
  group->facts_.protocol_type = kafka::kConsumerProtocolType;
  group->facts_.protocol = group->members_.SelectProtocol();
  group->facts_.generation = generation;
  group->state_ = ClassicGroupState::kStable;
  group->ReadSubscriptions();
  return group;
}

void ClassicGroup::Start(GroupContext& context) {
  // The record tells by this that a rebalance is still due: the members share out what the one
  // that left has owned.
  members_.set_leader("");
  facts_.state_since_ms = context.moment.wall_ms;
  WriteRecord(context);
  for (const auto& [member_id, member] : members_.all()) RenewSession(*member, context);
  PrepareRebalance({kFromConsumerProtocol, ""}, context);
}

void ClassicGroup::Unload(ErrorCode error, GroupContext& context) {
  for (const auto& [id, member] : members_.all()) AnswerParked(*member, error, context);
  TransitionTo(ClassicGroupState::kDead, context);
  context.timers.CancelAll(id_);
}

bool ClassicGroup::CanBeForgotten() const {
  return state_ == ClassicGroupState::kEmpty && members_.pending().empty();
}

ErrorCode ClassicGroup::CheckMember(std::string_view member_id,
                                    const std::optional<std::string_view>& instance_id) const {
  if (instance_id.has_value()) {
    const ClassicMember* owner = members_.FindStatic(*instance_id);
    if (owner == nullptr) return ErrorCode::kUnknownMemberId;
    if (owner->id != member_id) return ErrorCode::kFencedInstanceId;
  }
  return members_.Find(member_id) == nullptr ? ErrorCode::kUnknownMemberId : ErrorCode::kNone;
}

// --- SyncGroup ---

ErrorCode ClassicGroup::CheckSync(const kafka::SyncGroupRequest& request) const {
  const ErrorCode error = CheckMember(request.member_id, View(request.group_instance_id));
  if (error != ErrorCode::kNone) return error;
  if (request.generation_id != facts_.generation) return ErrorCode::kIllegalGeneration;
  // Said since version 5 only.
  if ((request.protocol_type.has_value() && *request.protocol_type != facts_.protocol_type) ||
      (request.protocol_name.has_value() && request.protocol_name != facts_.protocol)) {
    return ErrorCode::kInconsistentGroupProtocol;
  }
  if (state_ == ClassicGroupState::kPreparingRebalance) return ErrorCode::kRebalanceInProgress;
  return ErrorCode::kNone;
}

void ClassicGroup::Sync(const GroupCaller& caller, const kafka::SyncGroupRequest& request,
                        GroupContext& context) {
  const ErrorCode error = CheckSync(request);
  if (error != ErrorCode::kNone) {
    kafka::SyncGroupResponse response;
    response.error_code = WireError(error);
    return context.effects.Answer(caller, std::move(response));
  }
  ClassicMember& member = *members_.Find(request.member_id);
  if (std::exchange(member.owes_sync, false) && --syncs_owed_ == 0) {
    context.timers.Cancel(TimerKey(Timer::kSync));
  }
  RenewSession(member, context);
  if (state_ == ClassicGroupState::kStable) {
    return context.effects.AnswerWhenDurable(caller, SyncResponse(member));
  }
  AnswerParked(member, ErrorCode::kRebalanceInProgress, context);
  member.parked_sync = caller.token;
  if (member.id == members_.leader()) TakeAssignment(request, context);
}

void ClassicGroup::TakeAssignment(const kafka::SyncGroupRequest& request, GroupContext& context) {
  std::map<std::string_view, const std::string*> assignments;
  for (const auto& each : request.assignments) assignments[each.member_id] = &each.assignment;
  for (const auto& [id, member] : members_.all()) {
    const auto at = assignments.find(id);
    member->assignment = at == assignments.end() ? std::string() : *at->second;
  }
  TransitionTo(ClassicGroupState::kStable, context);
  WriteRecord(context);
  for (const auto& [id, member] : members_.all()) {
    if (!member->parked_sync.has_value()) continue;
    context.effects.durable_answers.push_back({*member->parked_sync, SyncResponse(*member)});
    member->parked_sync = std::nullopt;
    RenewSession(*member, context);
  }
}

kafka::SyncGroupResponse ClassicGroup::SyncResponse(const ClassicMember& member) const {
  kafka::SyncGroupResponse response;
  response.protocol_type = facts_.protocol_type;
  response.protocol_name = facts_.protocol;
  response.assignment = member.assignment;
  return response;
}

// --- Heartbeat and LeaveGroup ---

void ClassicGroup::Heartbeat(const GroupCaller& caller, const kafka::HeartbeatRequest& request,
                             GroupContext& context) {
  const ErrorCode error = CheckMember(request.member_id, View(request.group_instance_id));
  if (error != ErrorCode::kNone) return Answer(caller, error, context);
  if (request.generation_id != facts_.generation) {
    return Answer(caller, ErrorCode::kIllegalGeneration, context);
  }
  RenewSession(*members_.Find(request.member_id), context);
  // While the leader works out the assignment, members are in their generation already.
  Answer(caller,
         state_ == ClassicGroupState::kPreparingRebalance ? ErrorCode::kRebalanceInProgress
                                                          : ErrorCode::kNone,
         context);
}

void ClassicGroup::Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
                         GroupContext& context) {
  const size_t records_before = context.effects.records.size();
  const size_t members_before = members_.size();
  RebalanceCause cause;
  auto response = LeaveResponse(
      caller, request, [&](const auto& leaver) { return LeaveOne(leaver, cause, context); });
  if (members_.size() != members_before) {
    RebalanceOrCompleteJoin(std::move(cause), context);
  } else {
    MaybeCompleteJoin(context);
  }
  // The last one's leaving is in the log.
  if (context.effects.records.size() != records_before) {
    return context.effects.AnswerWhenDurable(caller, std::move(response));
  }
  context.effects.Answer(caller, std::move(response));
}

ErrorCode ClassicGroup::LeaveOne(const kafka::LeaveGroupRequest::MemberIdentity& who,
                                 RebalanceCause& cause, GroupContext& context) {
  ClassicMember* member = nullptr;
  if (who.member_id.empty()) {
    // An administrator removes a static member by its instance id alone.
    if (who.group_instance_id.has_value()) member = members_.FindStatic(*who.group_instance_id);
    if (member == nullptr) return ErrorCode::kUnknownMemberId;
  } else {
    if (members_.pending().Erase(who.member_id)) return ErrorCode::kNone;
    const ErrorCode error = CheckMember(who.member_id, View(who.group_instance_id));
    if (error != ErrorCode::kNone) return error;
    member = members_.Find(who.member_id);
  }
  cause = {"a member left; client reason: " + who.reason.value_or("not provided"), member->id};
  RemoveMember(*member, ErrorCode::kUnknownMemberId, context);
  return ErrorCode::kNone;
}

// --- Offsets ---

ErrorCode ClassicGroup::CheckCommit(const OffsetClaim& claim, GroupContext& context) {
  const bool is_empty = state_ == ClassicGroupState::kEmpty;
  const bool has_instance = !claim.instance_id.empty();
  // An administrator, or a consumer that assigns itself.
  if (claim.generation_or_epoch < 0 && is_empty) return ErrorCode::kNone;
  if (claim.generation_or_epoch < 0 && claim.member_id.empty() && !has_instance) {
    return ErrorCode::kUnknownMemberId;
  }
  const ErrorCode error =
      CheckMember(claim.member_id, has_instance ? std::optional(claim.instance_id) : std::nullopt);
  if (error != ErrorCode::kNone) return error;
  if (claim.generation_or_epoch != facts_.generation) return ErrorCode::kIllegalGeneration;
  // Until the assignment is there, nobody knows whose partitions these are. While the next
  // generation gathers they are still the member's (KIP-429).
  if (state_ == ClassicGroupState::kCompletingRebalance) return ErrorCode::kRebalanceInProgress;
  RenewSession(*members_.Find(claim.member_id), context);
  return ErrorCode::kNone;
}

ErrorCode ClassicGroup::CheckFetch(const OffsetClaim&) const {
  return state_ == ClassicGroupState::kDead ? ErrorCode::kGroupIdNotFound : ErrorCode::kNone;
}

bool ClassicGroup::IsSubscribedTo(std::string_view topic) const {
  // Of consumers whose subscriptions cannot be read any topic may be in use.
  if (!subscribed_topics_.has_value()) return facts_.protocol_type == kafka::kConsumerProtocolType;
  return subscribed_topics_->count(topic) != 0;
}

int64_t ClassicGroup::empty_since_ms() const {
  return state_ == ClassicGroupState::kEmpty ? facts_.state_since_ms : -1;
}

bool ClassicGroup::tells_subscriptions() const {
  return state_ == ClassicGroupState::kStable && subscribed_topics_.has_value();
}

// --- Admin ---

kafka::DescribeGroupsResponse::DescribedGroup ClassicGroup::Describe() const {
  kafka::DescribeGroupsResponse::DescribedGroup described;
  const bool is_stable = state_ == ClassicGroupState::kStable;
  described.group_id = id_;
  described.group_state = state_name();
  described.protocol_type = facts_.protocol_type;
  if (is_stable) described.protocol_data = facts_.protocol.value_or("");
  described.members.reserve(members_.size());
  for (const auto& [id, member] : members_.all()) {
    auto& told = described.members.emplace_back();
    told.member_id = member->id;
    told.group_instance_id = member->instance_id;
    told.client_id = member->client_id;
    told.client_host = member->client_host;
    if (is_stable) told.member_metadata = member->MetadataOf(described.protocol_data);
    told.member_assignment = member->assignment;
  }
  return described;
}

kafka::ConsumerGroupDescribeResponse::DescribedGroup ClassicGroup::DescribeConsumer(
    const GroupMoment&) const {
  kafka::ConsumerGroupDescribeResponse::DescribedGroup described;
  described.error_code = WireError(ErrorCode::kGroupIdNotFound);
  described.error_message = "Group " + id_ + " is not a consumer group.";
  described.group_id = id_;
  return described;
}

GroupStanding::Awaited ClassicGroup::AwaitedOf(const ClassicMember& member) const {
  using enum GroupStanding::Awaited;
  const bool gathers = state_ == ClassicGroupState::kPreparingRebalance;
  if (gathers) return member.parked_join.has_value() ? kNothing : kJoin;
  if (state_ != ClassicGroupState::kCompletingRebalance) return kNothing;
  // The others wait for the leader, whether or not they have come for what it hands out.
  if (member.id == members_.leader()) return kAssignment;
  return member.owes_sync ? kSync : kNothing;
}

GroupStanding ClassicGroup::Explain(const GroupMoment& moment) const {
  GroupStanding standing;
  standing.group_id = id_;
  standing.generation = facts_.generation;
  standing.state_since_ms = facts_.state_since_ms;
  standing.last_rebalance = last_rebalance_;
  for (const auto& [id, member] : members_.all()) {
    const int32_t session_ms = member->terms.session_ms;
    // One whose request is parked here has nothing else to say.
    const bool waits = member->waits_for_group();
    const int64_t heard_ms_ago =
        waits ? 0 : session_ms - (member->session_deadline_ms - moment.steady_ms);
    standing.members.push_back(
        {member->id, session_ms, std::max<int64_t>(heard_ms_ago, 0), AwaitedOf(*member)});
  }
  standing.pending_members = members_.pending().ids();
  return standing;
}

void ClassicGroup::AddTombstones(GroupEffects& effects) const {
  effects.records.push_back(ClassicGroupTombstone(id_));
}

}  // namespace sluice::broker
