// JoinGroup of a classic group: who may come in, under which id, and what its coming changes.
//
// Versions that matter here: 1 has a rebalance timeout of its own, 4 makes a member come back with
// the id that it was given before it counts (KIP-394), 5 has static members (KIP-345), 8 has a
// reason (KIP-800), 9 lets a leader that comes back skip the assignment (KIP-814).
#include <algorithm>
#include <utility>

#include "base/uuid.h"
#include "broker/group/classic_group.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;

constexpr size_t kReasonBytesMax = 255;
// With the rest of a member id it must fit into a string of the wire's old form.
constexpr size_t kIdPrefixBytesMax = 32000;

// As java.util.UUID prints one.
std::string UuidText(Random& random) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  const Uuid uuid = Uuid::Generate(random);
  for (size_t i = 0; i < uuid.bytes().size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[uuid.bytes()[i] >> 4];
    text += kDigits[uuid.bytes()[i] & 15];
  }
  return text;
}

std::string NewMemberId(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
                        Random& random) {
  const std::string& owner = request.group_instance_id.value_or(caller.client_id);
  return owner.substr(0, kIdPrefixBytesMax) + "-" + UuidText(random);
}

ClassicTerms TermsOf(const GroupCaller& caller, const kafka::JoinGroupRequest& request) {
  ClassicTerms terms;
  terms.session_ms = request.session_timeout_ms;
  terms.rebalance_ms =
      caller.version == 0 ? request.session_timeout_ms : std::max(request.rebalance_timeout_ms, 0);
  terms.protocols = ProtocolsOf(request);
  return terms;
}

std::string ReasonOf(const kafka::JoinGroupRequest& request) {
  const std::string reason = request.reason.value_or("");
  return reason.empty() ? "not provided" : reason.substr(0, kReasonBytesMax);
}

void Refuse(const GroupCaller& caller, ErrorCode error, std::string member_id,
            GroupContext& context) {
  context.effects.Answer(caller, RefusedJoin(error, std::move(member_id)));
}

}  // namespace

void ClassicGroup::Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
                        GroupContext& context) {
  Joining joining{caller, request, TermsOf(caller, request), ReasonOf(request)};
  if (!HasRoomFor(request, context)) {
    // It may be one that the group waits for: since the limit has become smaller, or since it was
    // told its id while there was room.
    members_.pending().Erase(request.member_id);
    if (ClassicMember* member = members_.Find(request.member_id)) {
      RemoveMember(*member, ErrorCode::kGroupMaxSizeReached, context);
    }
    Refuse(caller, ErrorCode::kGroupMaxSizeReached, "", context);
    return MaybeCompleteJoin(context);
  }
  if (!Accepts(joining)) {
    return Refuse(caller, ErrorCode::kInconsistentGroupProtocol, request.member_id, context);
  }
  if (request.member_id.empty()) return JoinNew(joining, context);
  JoinKnown(joining, context);
}

bool ClassicGroup::HasRoomFor(const kafka::JoinGroupRequest& request,
                              const GroupContext& context) const {
  const ClassicMember* member = members_.Find(request.member_id);
  // A static member that starts again takes the place that it has.
  if (member == nullptr && request.member_id.empty() && request.group_instance_id.has_value()) {
    member = members_.FindStatic(*request.group_instance_id);
  }
  switch (state_) {
    case ClassicGroupState::kEmpty:
    case ClassicGroupState::kDead: return true;
    case ClassicGroupState::kPreparingRebalance:
      return (member != nullptr && member->parked_join.has_value()) ||
             members_.joins_parked() < context.config.members_max;
    case ClassicGroupState::kCompletingRebalance:
    case ClassicGroupState::kStable:
      return member != nullptr || members_.size() < context.config.members_max;
  }
  return false;
}

bool ClassicGroup::Accepts(const Joining& joining) const {
  const std::string& type = joining.request.protocol_type;
  if (state_ == ClassicGroupState::kEmpty) return !type.empty() && !joining.terms.protocols.empty();
  return type == facts_.protocol_type && members_.OfferOneOf(joining.terms.protocols);
}

void ClassicGroup::JoinNew(Joining& joining, GroupContext& context) {
  const kafka::JoinGroupRequest& request = joining.request;
  std::string member_id = NewMemberId(joining.caller, request, context.random);
  if (request.group_instance_id.has_value()) {
    if (ClassicMember* member = members_.FindStatic(*request.group_instance_id)) {
      return ReplaceStatic(*member, std::move(member_id), joining, context);
    }
    return AddMember(std::move(member_id), joining, context);
  }
  if (joining.caller.version >= 4) return AddPending(std::move(member_id), joining, context);
  AddMember(std::move(member_id), joining, context);
}

void ClassicGroup::AddPending(std::string member_id, const Joining& joining,
                              GroupContext& context) {
  const int64_t deadline_ms = context.now_ms() + joining.terms.session_ms;
  members_.pending().Add(member_id, deadline_ms);
  WatchSessions(deadline_ms, context);
  Refuse(joining.caller, ErrorCode::kMemberIdRequired, std::move(member_id), context);
}

void ClassicGroup::AddMember(std::string member_id, Joining& joining, GroupContext& context) {
  ClassicMember added;
  added.id = std::move(member_id);
  added.instance_id = joining.request.group_instance_id;
  added.client_id = joining.caller.client_id;
  added.client_host = joining.caller.client_host;
  added.terms = std::move(joining.terms);
  added.is_new = true;
  added.parked_join = joining.caller.token;
  if (members_.empty()) facts_.protocol_type = joining.request.protocol_type;
  if (state_ == ClassicGroupState::kPreparingRebalance) member_added_ = true;
  ClassicMember& member = members_.Add(std::move(added));
  // It may wait for its first generation longer than its session, but not for ever.
  SetSession(member, context.now_ms() + context.config.new_member_join_ms, context);
  RebalanceOrCompleteJoin({"a new member joined; client reason: " + joining.reason, member.id},
                          context);
}

void ClassicGroup::JoinKnown(Joining& joining, GroupContext& context) {
  const kafka::JoinGroupRequest& request = joining.request;
  if (members_.pending().Contains(request.member_id)) {
    // Ids are handed out in this way to members without an instance id only.
    if (request.group_instance_id.has_value()) {
      return Refuse(joining.caller, ErrorCode::kUnknownServerError, request.member_id, context);
    }
    return AddMember(request.member_id, joining, context);
  }
  const ErrorCode error = CheckMember(request.member_id, request.group_instance_id);
  if (error != ErrorCode::kNone) {
    return Refuse(joining.caller, error, request.member_id, context);
  }
  JoinAgain(*members_.Find(request.member_id), joining, context);
}

void ClassicGroup::JoinAgain(ClassicMember& member, Joining& joining, GroupContext& context) {
  const bool rebalances = state_ == ClassicGroupState::kPreparingRebalance;
  const bool leads_stable = state_ == ClassicGroupState::kStable && member.id == members_.leader();
  const bool says_the_same = member.terms.protocols == joining.terms.protocols;
  if (!rebalances && !leads_stable && says_the_same) {
    // It has missed the answer to its JoinGroup, or asks for nothing new.
    return context.effects.Answer(joining.caller, JoinResponse(member));
  }
  const std::string what = !says_the_same ? "a member joined again with other metadata"
                           : leads_stable ? "the leader joined again"
                                          : "a member joined again";
  ParkJoin(member, joining, context);
  RebalanceOrCompleteJoin({what + "; client reason: " + joining.reason, member.id}, context);
}

void ClassicGroup::ReplaceStatic(ClassicMember& fenced, std::string member_id, Joining& joining,
                                 GroupContext& context) {
  // Whoever had the instance id until now is fenced, with all that it waits for.
  AnswerParked(fenced, ErrorCode::kFencedInstanceId, context);
  const std::string leader_before = members_.leader();
  ClassicMember& member = members_.Rename(fenced.id, std::move(member_id));
  member.client_id = joining.caller.client_id;
  member.client_host = joining.caller.client_host;
  member.is_new = false;
  members_.SetTerms(member, std::move(joining.terms));
  RenewSession(member, context);
  if (state_ == ClassicGroupState::kStable && members_.SelectProtocol() == facts_.protocol) {
    // It gets back the assignment that it had: nobody else needs to know.
    WriteRecord(context);
    return AnswerReplaced(member, leader_before, joining.caller, context);
  }
  members_.ParkJoin(member, joining.caller.token);
  RebalanceOrCompleteJoin(
      {"a static member joined again; client reason: " + joining.reason, member.id}, context);
}

void ClassicGroup::AnswerReplaced(const ClassicMember& member, const std::string& leader_before,
                                  const GroupCaller& caller, GroupContext& context) {
  kafka::JoinGroupResponse response = JoinResponse(member);
  if (caller.version >= 9) {
    // A leader sees the members, so that it can tell whether a rebalance is needed after all.
    response.skip_assignment = member.id == members_.leader();
  } else {
    // It must not take itself for the leader, or it would hand out an assignment.
    response.members.clear();
    response.leader = leader_before;
  }
  context.effects.AnswerWhenDurable(caller, std::move(response));
}

void ClassicGroup::ParkJoin(ClassicMember& member, Joining& joining, GroupContext& context) {
  if (const std::optional<RequestToken> earlier = members_.TakeJoin(member)) {
    context.effects.answers.push_back(
        {*earlier, RefusedJoin(ErrorCode::kRebalanceInProgress, member.id)});
  }
  members_.SetTerms(member, std::move(joining.terms));
  members_.ParkJoin(member, joining.caller.token);
}

kafka::JoinGroupResponse ClassicGroup::JoinResponse(const ClassicMember& member) const {
  kafka::JoinGroupResponse response;
  response.generation_id = facts_.generation;
  response.protocol_type = facts_.protocol_type;
  response.protocol_name = facts_.protocol.value_or("");
  response.leader = members_.leader();
  response.member_id = member.id;
  if (member.id != members_.leader()) return response;
  response.members.reserve(members_.size());
  for (const auto& [id, other] : members_.all()) {
    auto& told = response.members.emplace_back();
    told.member_id = other->id;
    told.group_instance_id = other->instance_id;
    told.metadata = other->MetadataOf(*response.protocol_name);
  }
  return response;
}

}  // namespace sluice::broker
