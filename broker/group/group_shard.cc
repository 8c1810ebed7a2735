#include "broker/group/group_shard.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/overload.h"
#include "broker/group/classic_group.h"
#include "broker/group/group_records.h"
#include "kafka/string_limit.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Upto = GroupView::Upto;

// Groups that LoadNext looks at in one call.
constexpr size_t kLoadAtOnce = 64;
// Absent groups that are remembered, and how long an id of one may be.
constexpr size_t kAbsentMax = 1000;
constexpr size_t kAbsentIdBytesMax = 256;
// Between two slices of a sweep, so that it takes little of anybody's time.
constexpr int64_t kSweepPauseMs = 100;
constexpr int16_t kSyncSaysProtocolSince = 5;  // KIP-559

bool IsTooLong(std::string_view text) { return text.size() > kafka::kStringBytesMax; }

// Of what a classic group keeps of a member; CheckConsumerHeartbeat sees to the other kind.
bool HasTooLongString(const kafka::JoinGroupRequest& join) {
  return IsTooLong(join.member_id) || IsTooLong(join.group_instance_id.value_or("")) ||
         IsTooLong(join.protocol_type) ||
         std::any_of(join.protocols.begin(), join.protocols.end(),
                     [](const auto& protocol) { return IsTooLong(protocol.name); });
}

// What is wrong with a request whatever the group is. Kafka's wire bounds all strings, but not all
// requests come over it: one that is too long must not get as far as a record.
ErrorCode CheckRequest(const GroupCaller& caller, const GroupRequest& request,
                       const GroupConfig& config) {
  if (IsTooLong(GroupIdOf(request))) return ErrorCode::kInvalidGroupId;
  if (IsTooLong(caller.client_id) || IsTooLong(caller.client_host))
    return ErrorCode::kInvalidRequest;
  const bool needs_id = std::holds_alternative<kafka::JoinGroupRequest>(request) ||
                        std::holds_alternative<kafka::SyncGroupRequest>(request) ||
                        std::holds_alternative<kafka::HeartbeatRequest>(request) ||
                        std::holds_alternative<kafka::LeaveGroupRequest>(request) ||
                        std::holds_alternative<DescribeConsumerGroup>(request);
  // Offsets may be kept under the empty id, as they always might.
  if (needs_id && GroupIdOf(request).empty()) return ErrorCode::kInvalidGroupId;
  if (const auto* join = std::get_if<kafka::JoinGroupRequest>(&request)) {
    if (HasTooLongString(*join)) return ErrorCode::kInvalidRequest;
    if (join->session_timeout_ms < config.session_ms_min ||
        join->session_timeout_ms > config.session_ms_max) {
      return ErrorCode::kInvalidSessionTimeout;
    }
  }
  if (const auto* sync = std::get_if<kafka::SyncGroupRequest>(&request)) {
    const bool says_protocol = sync->protocol_type.has_value() && sync->protocol_name.has_value();
    if (caller.version >= kSyncSaysProtocolSince && !says_protocol)
      return ErrorCode::kInconsistentGroupProtocol;
  }
  return ErrorCode::kNone;
}

bool SameInAnyCase(const std::string& one, const std::string& other) {
  return std::equal(
      one.begin(), one.end(), other.begin(), other.end(),
      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

bool Passes(const std::vector<std::string>& filter, const std::string& word) {
  return filter.empty() ||
         std::any_of(filter.begin(), filter.end(),
                     [&word](const std::string& each) { return SameInAnyCase(each, word); });
}

std::string NotFound(const std::string& group_id) { return "Group " + group_id + " not found."; }

using ListedGroup = kafka::ListGroupsResponse::ListedGroup;
using Listed = std::map<std::string, ListedGroup>;

ListedGroup ListedAs(const std::string& group_id, std::string protocol_type, std::string state,
                     std::string_view type) {
  ListedGroup listed;
  listed.group_id = group_id;
  listed.protocol_type = std::move(protocol_type);
  listed.group_state = std::move(state);
  listed.group_type = type;
  return listed;
}

// Adds the classic groups that the view has and `listed` has not.
Status ListClassicRecords(const GroupView& view, Listed& listed) {
  const std::string prefix = GroupKeyPrefix(kafka::GroupMetadataKey::kRecordType);
  return view.ForEach(
      Upto::kHighWatermark, {prefix, {}}, [&](std::string_view key, std::string_view value) {
        const Result<GroupKey> decoded = DecodeGroupKey(key);
        const auto* named =
            decoded.ok() ? std::get_if<kafka::GroupMetadataKey>(&*decoded) : nullptr;
        if (named == nullptr || listed.count(named->group) != 0) return true;
        const auto kept = DecodeGroupValue<kafka::GroupMetadataValue>(value);
        if (!kept.ok()) return true;
        const std::string_view state = kept->members.empty()
                                           ? ClassicGroupStateName(ClassicGroupState::kEmpty)
                                           : ClassicGroupStateName(ClassicGroupState::kStable);
        listed.emplace(named->group,
                       ListedAs(named->group, kept->protocol_type, std::string(state), "classic"));
        return true;
      });
}

// Adds the groups that have offsets and nothing else.
Status ListOffsetOwners(const GroupView& view, Listed& listed) {
  const std::string prefix = GroupKeyPrefix(kafka::OffsetCommitKey::kRecordType);
  std::string from = prefix;
  while (!from.empty()) {
    std::string next;
    // From one group to the next: some have offsets of many thousands of partitions.
    const auto visit = [&](std::string_view key, std::string_view) {
      const Result<GroupKey> decoded = DecodeGroupKey(key);
      const auto* named = decoded.ok() ? std::get_if<kafka::OffsetCommitKey>(&*decoded) : nullptr;
      if (named == nullptr) return true;
      listed.emplace(named->group, ListedAs(named->group, "", "Empty", "classic"));
      // Behind all its topics, since the size of a topic's name does not begin with these bytes.
      next = std::string(key.substr(0, prefix.size() + sizeof(int16_t) + named->group.size())) +
             "\xFF\xFF";
      return false;
    };
    SLUICE_RETURN_IF_ERROR(view.ForEach(Upto::kHighWatermark, {prefix, from}, visit));
    from = std::move(next);
  }
  return Status::Ok();
}

}  // namespace

GroupShard::GroupShard(GroupShardOptions options)
    : config_(*options.config), view_(*options.view), random_(options.random) {}

GroupContext GroupShard::ContextOf(const GroupMoment& moment, GroupEffects& effects) {
  return {moment, config_, view_, timers_, random_, effects};
}

// --- Requests ---

void GroupShard::Handle(const GroupCaller& caller, GroupRequest request, const GroupMoment& moment,
                        GroupEffects& effects) {
  GroupContext context = ContextOf(moment, effects);
  const ErrorCode error = CheckRequest(caller, request, config_);
  if (error != ErrorCode::kNone) {
    return effects.Answer(caller, ErrorResponse(request, error));
  }
  if (const auto* list = std::get_if<ListGroups>(&request)) return List(caller, *list, context);
  const std::string& group_id = GroupIdOf(request);
  const Result<Group*> group = Find(group_id, context);
  if (!group.ok()) {
    LOG_EVERY_N(ERROR, 100) << "group " << group_id
                            << " could not be read: " << group.status().ToString();
    return effects.Answer(caller, ErrorResponse(request, ErrorCode::kCoordinatorNotAvailable));
  }
  Dispatch(caller, request, *group, context);
  MaybeDowngrade(group_id, context);
  NoteIdle(group_id);
  Finish(effects);
}

void GroupShard::Dispatch(const GroupCaller& caller, const GroupRequest& request, Group* group,
                          GroupContext& context) {
  const auto unknown = [&](ErrorCode error) {
    context.effects.Answer(caller, ErrorResponse(request, error));
  };
  std::visit(
      Overload{
          [&](const kafka::JoinGroupRequest& join) { Join(caller, join, group, context); },
          [&](const kafka::SyncGroupRequest& sync) {
            if (group == nullptr) return unknown(ErrorCode::kUnknownMemberId);
            group->Sync(caller, sync, context);
          },
          [&](const kafka::HeartbeatRequest& heartbeat) {
            if (group == nullptr) return unknown(ErrorCode::kUnknownMemberId);
            group->Heartbeat(caller, heartbeat, context);
          },
          [&](const kafka::LeaveGroupRequest& leave) { Leave(caller, leave, group, context); },
          [&](const kafka::ConsumerGroupHeartbeatRequest& heartbeat) {
            ConsumerHeartbeat(caller, heartbeat, group, context);
          },
          [&](const kafka::OffsetCommitRequest& commit) {
            offsets_.Commit(caller, commit, group, context);
          },
          [&](const FetchOffsets& fetch) { offsets_.Fetch(caller, fetch, group, context); },
          [&](const kafka::OffsetDeleteRequest& removal) {
            offsets_.Delete(caller, removal, group, context);
          },
          [&](const DescribeGroup& describe) {
            Describe(caller, describe.group_id, group, context);
          },
          [&](const DescribeConsumerGroup& describe) {
            if (group == nullptr) return DescribeNoConsumer(caller, describe.group_id, context);
            context.effects.Answer(caller, group->DescribeConsumer(context.moment));
          },
          [&](const ExplainGroup& explain) { Explain(caller, explain.group_id, group, context); },
          [&](const DeleteGroup& removal) { Delete(caller, removal.group_id, group, context); },
          [](const ListGroups&) {},  // is of no group
      },
      request);
}

void GroupShard::Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
                      Group* group, GroupContext& context) {
  const bool replaces =
      group != nullptr && group->protocol() == Group::Protocol::kConsumer && IsReplaceable(*group);
  if (group != nullptr && !replaces) return group->Join(caller, request, context);
  if (!request.member_id.empty()) {
    return context.effects.Answer(caller, ErrorResponse(request, ErrorCode::kUnknownMemberId));
  }
  auto fresh = std::make_unique<ClassicGroup>(request.group_id);
  fresh->Join(caller, request, context);
  // A member that was refused leaves no group behind.
  if (!fresh->CanBeForgotten()) Replace(request.group_id, std::move(fresh), context);
}

void GroupShard::Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
                       Group* group, GroupContext& context) {
  if (group != nullptr) return group->Leave(caller, request, context);
  context.effects.Answer(caller, LeaveResponse(caller, request, [](const auto&) {
                           return ErrorCode::kUnknownMemberId;
                         }));
}

void GroupShard::Describe(const GroupCaller& caller, const std::string& group_id,
                          const Group* group, GroupContext& context) {
  kafka::DescribeGroupsResponse::DescribedGroup described;
  described.group_id = group_id;
  described.group_state = "Empty";
  if (group != nullptr) {
    described = group->Describe();
  } else if (!offsets_.HasOffsets(group_id, view_)) {
    described.group_state = "Dead";
    described.error_code = WireError(ErrorCode::kGroupIdNotFound);
    described.error_message = NotFound(group_id);
  }
  // Older versions have no error for it (KIP-1043).
  if (caller.version < 6) {
    described.error_code = WireError(ErrorCode::kNone);
    described.error_message.reset();
  }
  context.effects.Answer(caller, std::move(described));
}

void GroupShard::DescribeNoConsumer(const GroupCaller& caller, const std::string& group_id,
                                    GroupContext& context) {
  kafka::ConsumerGroupDescribeResponse::DescribedGroup described;
  described.error_code = WireError(ErrorCode::kGroupIdNotFound);
  described.error_message = NotFound(group_id);
  described.group_id = group_id;
  context.effects.Answer(caller, std::move(described));
}

void GroupShard::Explain(const GroupCaller& caller, const std::string& group_id, const Group* group,
                         GroupContext& context) {
  if (group != nullptr) return context.effects.Answer(caller, group->Explain(context.moment));
  GroupStanding standing;
  standing.group_id = group_id;
  if (!offsets_.HasOffsets(group_id, view_))
    standing.error_code = WireError(ErrorCode::kGroupIdNotFound);
  context.effects.Answer(caller, std::move(standing));
}

void GroupShard::Delete(const GroupCaller& caller, const std::string& group_id, Group* group,
                        GroupContext& context) {
  kafka::DeleteGroupsResponse::DeletableGroupResult result;
  result.group_id = group_id;
  const auto refuse = [&](ErrorCode error) {
    result.error_code = WireError(error);
    context.effects.Answer(caller, result);
  };
  if (group == nullptr && !offsets_.HasOffsets(group_id, view_)) {
    return refuse(ErrorCode::kGroupIdNotFound);
  }
  if (group != nullptr && group->has_members()) return refuse(ErrorCode::kNonEmptyGroup);
  const Status removed = offsets_.AddTombstones(group_id, context);
  if (!removed.ok()) {
    LOG(ERROR) << "offsets of group " << group_id << " could not be read: " << removed.ToString();
    return refuse(ErrorCode::kCoordinatorNotAvailable);
  }
  Remove(group_id, group, context);
  context.effects.AnswerWhenDurable(caller, std::move(result));
}

void GroupShard::Remove(const std::string& group_id, const Group* group, GroupContext& context) {
  if (group != nullptr) group->AddTombstones(context.effects);
  context.effects.changed_groups.push_back(group_id);
  // The view still has it.
  timers_.CancelAll(group_id);
  groups_[group_id] = nullptr;
  idle_.insert(group_id);
}

void GroupShard::List(const GroupCaller& caller, const ListGroups& request, GroupContext& context) {
  Listed listed;
  for (const auto& [group_id, group] : groups_) {
    if (group == nullptr) continue;
    const bool is_classic = group->protocol() == Group::Protocol::kClassic;
    listed.emplace(group_id, ListedAs(group_id, group->protocol_type(), group->state_name(),
                                      is_classic ? "classic" : "consumer"));
  }
  kafka::ListGroupsResponse response;
  Status read = ListClassicRecords(view_, listed);
  if (read.ok()) read = ListConsumerGroups(context, listed);
  if (read.ok()) read = ListOffsetOwners(view_, listed);
  if (!read.ok()) {
    LOG(ERROR) << "groups could not be read: " << read.ToString();
    response.error_code = WireError(ErrorCode::kCoordinatorNotAvailable);
    return context.effects.Answer(caller, std::move(response));
  }
  for (auto& [group_id, group] : listed) {
    if (Passes(request.states, group.group_state) && Passes(request.types, group.group_type)) {
      response.groups.push_back(std::move(group));
    }
  }
  context.effects.Answer(caller, std::move(response));
}

// --- Time, image, leadership ---

void GroupShard::RunTimers(const GroupMoment& moment, GroupEffects& effects) {
  GroupContext context = ContextOf(moment, effects);
  while (const std::optional<GroupTimerKey> due = timers_.PopDue(moment.steady_ms)) {
    const auto at = groups_.find(due->group_id);
    if (at == groups_.end() || at->second == nullptr) continue;
    at->second->OnTimer(*due, context);
    MaybeDowngrade(due->group_id, context);
    NoteIdle(due->group_id);
  }
  if (next_sweep_ms_.has_value() && *next_sweep_ms_ <= moment.steady_ms) Sweep(context);
  Finish(effects);
}

std::optional<int64_t> GroupShard::next_deadline_ms() const {
  const std::optional<int64_t> timer_ms = timers_.next_deadline_ms();
  if (!timer_ms.has_value() || !next_sweep_ms_.has_value()) {
    return timer_ms.has_value() ? timer_ms : next_sweep_ms_;
  }
  return std::min(*timer_ms, *next_sweep_ms_);
}

void GroupShard::Sweep(GroupContext& context) {
  next_sweep_ms_ = context.now_ms() + kSweepPauseMs;
  // A commit that the view does not have yet would be swept away with the one before it.
  if (unappended_ || !context.effects.records.empty()) return;
  OffsetStore::SweepHooks hooks;
  hooks.find = [&](const std::string& group_id) {
    Result<Group*> group = Find(group_id, context);
    NoteIdle(group_id);
    return group;
  };
  hooks.remove = [&](const std::string& group_id) {
    Remove(group_id, FindLoaded(group_id), context);
  };
  if (!offsets_.sweeping()) {
    offsets_.BeginSweep();
    sweep_again_ = false;
  }
  offsets_.SweepNext(hooks, context);
  if (!offsets_.sweeping() && !sweep_again_) {
    next_sweep_ms_ = context.now_ms() + config_.offsets_check_interval_ms;
  }
}

void GroupShard::OnTopicsDeleted(const GroupMoment& moment) {
  sweep_again_ = true;
  if (next_sweep_ms_.has_value() && !offsets_.sweeping()) next_sweep_ms_ = moment.steady_ms;
}

void GroupShard::Unload(ErrorCode error, const GroupMoment& moment, GroupEffects& effects) {
  GroupContext context = ContextOf(moment, effects);
  for (const auto& [group_id, group] : groups_) {
    if (group != nullptr) group->Unload(error, context);
  }
  groups_.clear();
  absent_.clear();
  idle_.clear();
  load_from_ = std::nullopt;
  next_sweep_ms_ = std::nullopt;
}

// --- Memory and view ---

Result<Group*> GroupShard::Find(const std::string& group_id, GroupContext& context) {
  const auto at = groups_.find(group_id);
  if (at != groups_.end()) return at->second.get();
  if (absent_.contains(group_id)) return nullptr;
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> value,
                          view_.Get(Upto::kLogEnd, ClassicGroupKey(group_id)));
  if (!value.has_value()) {
    SLUICE_ASSIGN_OR_RETURN(Group* const consumer, LoadConsumer(group_id, context));
    if (consumer == nullptr && group_id.size() <= kAbsentIdBytesMax) {
      if (absent_.size() >= kAbsentMax) absent_.clear();
      absent_.insert(group_id);
    }
    return consumer;
  }
  std::unique_ptr<Group> group = Load(group_id, *value, context);
  if (group == nullptr) return nullptr;
  return groups_.emplace(group_id, std::move(group)).first->second.get();
}

std::unique_ptr<Group> GroupShard::Load(const std::string& group_id, std::string_view value,
                                        GroupContext& context) {
  Result<std::unique_ptr<ClassicGroup>> group = ClassicGroup::Load(group_id, value, context);
  if (group.ok()) return *std::move(group);
  LOG(ERROR) << "the record of group " << group_id
             << " is damaged, it starts anew: " << group.status().ToString();
  return nullptr;
}

void GroupShard::LoadOne(std::string_view key, std::string_view value, GroupContext& context) {
  const Result<GroupKey> decoded = DecodeGroupKey(key);
  if (!decoded.ok()) return;
  if (const auto* named = std::get_if<kafka::GroupMetadataKey>(&*decoded)) {
    if (groups_.count(named->group) != 0) return;
    std::unique_ptr<Group> group = Load(named->group, value, context);
    if (group != nullptr && !group->CanBeForgotten())
      groups_.emplace(named->group, std::move(group));
  } else if (const auto* consumer = std::get_if<kafka::ConsumerGroupMetadataKey>(&*decoded)) {
    if (groups_.count(consumer->group_id) != 0) return;
    const Result<Group*> group = LoadConsumer(consumer->group_id, context);
    LOG_IF(ERROR, !group.ok()) << "group " << consumer->group_id
                               << " could not be read: " << group.status().ToString();
    NoteIdle(consumer->group_id);
  }
}

GroupShard::Loading GroupShard::LoadNext(const GroupMoment& moment, GroupEffects& effects) {
  if (!load_from_.has_value()) return Loading::kDone;
  GroupContext context = ContextOf(moment, effects);
  // The keys of classic groups, and right behind them those of consumer groups.
  const std::string first = GroupKeyPrefix(kafka::GroupMetadataKey::kRecordType);
  const std::string behind = GroupKeyPrefix(kafka::ConsumerGroupMetadataKey::kRecordType + 1);
  std::vector<std::pair<std::string, std::string>> found;
  const Status read =
      view_.ForEach(Upto::kLogEnd, {first.substr(0, 1), std::max(first, *load_from_)},
                    [&](std::string_view key, std::string_view value) {
                      if (key >= behind) return false;
                      found.emplace_back(key, value);
                      return found.size() < kLoadAtOnce;
                    });
  if (!read.ok()) {
    LOG_EVERY_N(ERROR, 100) << "groups could not be loaded: " << read.ToString();
    return Loading::kUnreadable;
  }
  for (const auto& [key, value] : found) LoadOne(key, value, context);
  // The least key behind the last one.
  load_from_ = found.size() < kLoadAtOnce ? std::nullopt
                                          : std::optional(found.back().first + std::string(1, 0));
  // At once: topics may have been deleted while nobody led, or in the middle of another's sweep.
  if (!load_from_.has_value()) next_sweep_ms_ = moment.steady_ms;
  Finish(effects);
  return load_from_.has_value() ? Loading::kMore : Loading::kDone;
}

void GroupShard::NoteIdle(const std::string& group_id) {
  const auto at = groups_.find(group_id);
  if (at == groups_.end()) return;
  if (at->second == nullptr || at->second->CanBeForgotten()) idle_.insert(group_id);
}

void GroupShard::Finish(const GroupEffects& effects) {
  if (!effects.records.empty()) unappended_ = true;
  if (!unappended_) ForgetIdle();
}

void GroupShard::OnAppended() {
  unappended_ = false;
  ForgetIdle();
}

void GroupShard::ForgetIdle() {
  for (const std::string& group_id : idle_) {
    const auto at = groups_.find(group_id);
    if (at == groups_.end()) continue;
    if (at->second != nullptr && !at->second->CanBeForgotten()) continue;
    timers_.CancelAll(group_id);
    Forget(at);
  }
  idle_.clear();
}

void GroupShard::Forget(Groups::iterator at) {
  absent_.erase(at->first);
  groups_.erase(at);
}

void GroupShard::Discard(const std::string& group_id, ErrorCode error, const GroupMoment& moment,
                         GroupEffects& effects) {
  GroupContext context = ContextOf(moment, effects);
  const auto at = groups_.find(group_id);
  if (at != groups_.end()) {
    if (at->second != nullptr) at->second->Unload(error, context);
    Forget(at);
  }
  timers_.CancelAll(group_id);
  idle_.erase(group_id);
  // At once, for its members' sessions run.
  const Result<Group*> loaded = Find(group_id, context);
  if (!loaded.ok()) {
    LOG(ERROR) << "group " << group_id << " could not be read: " << loaded.status().ToString();
  }
  NoteIdle(group_id);
  Finish(effects);
}

const Group* GroupShard::FindLoaded(const std::string& group_id) const {
  const auto at = groups_.find(group_id);
  return at == groups_.end() ? nullptr : at->second.get();
}

}  // namespace sluice::broker
