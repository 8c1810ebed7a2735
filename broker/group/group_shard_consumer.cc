// The part of GroupShard that is about groups of the consumer protocol.
#include <memory>
#include <utility>
#include <vector>

#include "broker/group/consumer_group.h"
#include "broker/group/group_migration.h"
#include "broker/group/group_records.h"
#include "broker/group/group_shard.h"

namespace sluice::broker {

using kafka::ErrorCode;

void GroupShard::ConsumerHeartbeat(const GroupCaller& caller,
                                   const kafka::ConsumerGroupHeartbeatRequest& request,
                                   Group* group, GroupContext& context) {
  const auto refuse = [&](const GroupRefusal& refusal) {
    context.effects.Answer(caller, RefusedHeartbeat(refusal));
  };
  if (const auto refusal = CheckConsumerHeartbeat(request, caller.version, config_.consumer))
    return refuse(*refusal);
  if (group != nullptr && group->protocol() == Group::Protocol::kConsumer)
    return static_cast<ConsumerGroup*>(group)->ConsumerHeartbeat(caller, request, context);
  const std::string& group_id = request.group_id;
  if (request.member_epoch != 0)
    return refuse({ErrorCode::kGroupIdNotFound, "Consumer group " + group_id + " not found."});
  if (group != nullptr && !IsReplaceable(*group))
    return Upgrade(caller, request, static_cast<ClassicGroup&>(*group), context);
  auto fresh = std::make_unique<ConsumerGroup>(group_id, config_.consumer);
  fresh->ConsumerHeartbeat(caller, request, context);
  // A member that was refused leaves no group behind.
  if (!fresh->CanBeForgotten()) Replace(group_id, std::move(fresh), context);
}

void GroupShard::Upgrade(const GroupCaller& caller,
                         const kafka::ConsumerGroupHeartbeatRequest& request, ClassicGroup& group,
                         GroupContext& context) {
  const std::string& group_id = request.group_id;
  const auto refuse = [&](const GroupRefusal& refusal) {
    context.effects.Answer(caller, RefusedHeartbeat(refusal));
  };
  Result<std::vector<ConsumerMember>> members =
      ConsumerMembersOf(group, config_.consumer, *context.moment.image);
  if (!members.ok()) {
    return refuse({ErrorCode::kGroupIdNotFound,
                   "Classic group " + group_id +
                       " cannot become a consumer group: " + members.status().message() + "."});
  }
  auto fresh = ConsumerGroup::FromClassic(group_id, config_.consumer, group.generation(),
                                          *std::move(members));
  if (const auto refusal = fresh->CheckRegular(request)) return refuse(*refusal);
  // Those that wait here join again, and find the group that it is now.
  group.Unload(ErrorCode::kRebalanceInProgress, context);
  timers_.CancelAll(group_id);
  ConsumerGroup& upgraded = *fresh;
  Replace(group_id, std::move(fresh), context);
  upgraded.Start(context);
  upgraded.ConsumerHeartbeat(caller, request, context);
}

void GroupShard::MaybeDowngrade(const std::string& group_id, GroupContext& context) {
  const auto at = groups_.find(group_id);
  if (at == groups_.end() || at->second == nullptr) return;
  if (at->second->protocol() != Group::Protocol::kConsumer) return;
  const auto& group = static_cast<const ConsumerGroup&>(*at->second);
  if (!group.ShallDowngrade(context)) return;
  auto fresh = ClassicGroup::FromConsumer(group_id, group.epoch(),
                                          ClassicMembersOf(group, *context.moment.image));
  timers_.CancelAll(group_id);
  ClassicGroup& downgraded = *fresh;
  Replace(group_id, std::move(fresh), context);
  downgraded.Start(context);
}

bool GroupShard::IsReplaceable(const Group& group) {
  return !group.has_members() && group.CanBeForgotten();
}

void GroupShard::Replace(const std::string& group_id, std::unique_ptr<Group> fresh,
                         GroupContext& context) {
  std::unique_ptr<Group>& place = groups_[group_id];
  if (place != nullptr) {
    place->AddTombstones(context.effects);
    context.effects.changed_groups.push_back(group_id);
  }
  place = std::move(fresh);
}

Result<Group*> GroupShard::LoadConsumer(const std::string& group_id, GroupContext& context) {
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<ConsumerGroup> group,
                          ConsumerGroup::Load(group_id, config_.consumer, context));
  if (group == nullptr) return nullptr;
  return groups_.emplace(group_id, std::move(group)).first->second.get();
}

Status GroupShard::ListConsumerGroups(
    GroupContext& context, std::map<std::string, kafka::ListGroupsResponse::ListedGroup>& listed) {
  const std::string prefix = GroupKeyPrefix(kafka::ConsumerGroupMetadataKey::kRecordType);
  std::vector<std::string> group_ids;
  SLUICE_RETURN_IF_ERROR(context.view.ForEach(
      GroupView::Upto::kHighWatermark, {prefix, {}}, [&](std::string_view key, std::string_view) {
        const Result<GroupKey> decoded = DecodeGroupKey(key);
        const auto* named =
            decoded.ok() ? std::get_if<kafka::ConsumerGroupMetadataKey>(&*decoded) : nullptr;
        if (named != nullptr && !listed.contains(named->group_id))
          group_ids.push_back(named->group_id);
        return true;
      }));
  // Its state is not in one record. It does not stay, and its timers neither.
  GroupTimers unused;
  GroupContext reading{context.moment, context.config, context.view,
                       unused,         context.random, context.effects};
  for (const std::string& group_id : group_ids) {
    SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<ConsumerGroup> group,
                            ConsumerGroup::Load(group_id, config_.consumer, reading));
    if (group == nullptr) continue;
    kafka::ListGroupsResponse::ListedGroup& entry = listed[group_id];
    entry.group_id = group_id;
    entry.protocol_type = group->protocol_type();
    entry.group_state = group->state_name();
    entry.group_type = "consumer";
  }
  return Status::Ok();
}

}  // namespace sluice::broker
