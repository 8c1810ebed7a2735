// The part of ConsumerGroup that writes its records, and reads them back from the view.
#include <algorithm>

#include "broker/group/consumer_group.h"
#include "broker/group/group_records.h"
#include "kafka/versioned.h"

namespace sluice::broker {
namespace {

using kafka::ConsumerGroupCurrentMemberAssignmentKey;
using kafka::ConsumerGroupCurrentMemberAssignmentValue;
using kafka::ConsumerGroupMemberMetadataKey;
using kafka::ConsumerGroupMemberMetadataValue;
using kafka::ConsumerGroupMetadataKey;
using kafka::ConsumerGroupMetadataValue;
using kafka::ConsumerGroupRegularExpressionKey;
using kafka::ConsumerGroupRegularExpressionValue;
using kafka::ConsumerGroupTargetAssignmentMemberKey;
using kafka::ConsumerGroupTargetAssignmentMemberValue;
using kafka::ConsumerGroupTargetAssignmentMetadataKey;
using kafka::ConsumerGroupTargetAssignmentMetadataValue;

template <typename Key>
Key KeyOf(const std::string& group_id) {
  Key key;
  key.group_id = group_id;
  return key;
}

template <typename Key>
Key KeyOf(const std::string& group_id, const std::string& member_id) {
  Key key;
  key.group_id = group_id;
  key.member_id = member_id;
  return key;
}

// GroupShard and CheckConsumerHeartbeat let nothing in that is too long for a record.
void Add(Result<GroupRecord> record, GroupEffects& effects) {
  CHECK(record.ok()) << record.status().message();
  effects.records.push_back(std::move(*record));
}

template <typename Key>
void AddTombstone(const Key& key, GroupEffects& effects) {
  Add(EncodeGroupTombstone(key), effects);
}

// Calls visit(key, value) for each record of the group with this type of key, whose second field is
// `*field`.
template <typename Key, typename Value, typename Visit>
Status ForEachOf(const GroupView& view, const std::string& group_id, Visit visit) {
  // A key without its second field: that is a length of two bytes, here 0.
  SLUICE_ASSIGN_OR_RETURN(std::string prefix, kafka::EncodeRecordKey(KeyOf<Key>(group_id)));
  prefix.resize(prefix.size() - sizeof(int16_t));
  Status status;
  const Status read = view.ForEach(GroupView::Upto::kLogEnd, {prefix, {}},
                                   [&](std::string_view key, std::string_view value) {
                                     const Result<GroupKey> decoded = DecodeGroupKey(key);
                                     Result<Value> body = DecodeGroupValue<Value>(value);
                                     if (!decoded.ok()) {
                                       status = decoded.status();
                                     } else if (!body.ok()) {
                                       status = body.status();
                                     } else {
                                       visit(std::get<Key>(*decoded), std::move(*body));
                                     }
                                     return status.ok();
                                   });
  return read.ok() ? status : read;
}

template <typename Value, typename Key>
Result<std::optional<Value>> GetOf(const GroupView& view, const Key& key) {
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, kafka::EncodeRecordKey(key));
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> value,
                          view.Get(GroupView::Upto::kLogEnd, bytes));
  if (!value.has_value()) return std::optional<Value>();
  SLUICE_ASSIGN_OR_RETURN(Value decoded, DecodeGroupValue<Value>(*value));
  return std::optional<Value>(std::move(decoded));
}

}  // namespace

void ConsumerGroup::NoteChanged(GroupContext& context) const {
  std::vector<std::string>& changed = context.effects.changed_groups;
  if (std::find(changed.begin(), changed.end(), id_) == changed.end()) changed.push_back(id_);
}

void ConsumerGroup::WriteMember(const ConsumerMember& member, GroupContext& context) const {
  NoteChanged(context);
  Add(EncodeGroupRecord(KeyOf<ConsumerGroupMemberMetadataKey>(id_, member.id),
                        MetadataValueOf(member)),
      context.effects);
}

void ConsumerGroup::WriteCurrent(const ConsumerMember& member, GroupContext& context) const {
  NoteChanged(context);
  Add(EncodeGroupRecord(KeyOf<ConsumerGroupCurrentMemberAssignmentKey>(id_, member.id),
                        AssignmentValueOf(member.current)),
      context.effects);
}

void ConsumerGroup::WriteTarget(const std::string& member_id, GroupContext& context) const {
  NoteChanged(context);
  ConsumerGroupTargetAssignmentMemberValue value;
  for (const auto& [topic, partitions] : TargetOf(member_id)) {
    auto& entry = value.topic_partitions.emplace_back();
    entry.topic_id = topic;
    entry.partitions = partitions;
  }
  Add(EncodeGroupRecord(KeyOf<ConsumerGroupTargetAssignmentMemberKey>(id_, member_id), value),
      context.effects);
}

void ConsumerGroup::WriteEpoch(GroupContext& context) const {
  NoteChanged(context);
  ConsumerGroupMetadataValue value;
  value.epoch = epoch_;
  value.metadata_hash = topics_hash_;
  Add(EncodeGroupRecord(KeyOf<ConsumerGroupMetadataKey>(id_), value), context.effects);
}

void ConsumerGroup::WriteTargetEpoch(GroupContext& context) const {
  NoteChanged(context);
  ConsumerGroupTargetAssignmentMetadataValue value;
  value.assignment_epoch = target_epoch_;
  value.assignment_timestamp = context.moment.wall_ms;
  Add(EncodeGroupRecord(KeyOf<ConsumerGroupTargetAssignmentMetadataKey>(id_), value),
      context.effects);
}

void ConsumerGroup::WriteRegex(const std::string& regex, GroupContext& context) const {
  NoteChanged(context);
  const MatchedTopics& matched = regexes_.at(regex);
  ConsumerGroupRegularExpressionKey key = KeyOf<ConsumerGroupRegularExpressionKey>(id_);
  key.regular_expression = regex;
  ConsumerGroupRegularExpressionValue value;
  value.topics = matched.topics;
  value.metadata_version = matched.version;
  value.timestamp = matched.wall_ms;
  Add(EncodeGroupRecord(key, value), context.effects);
}

void ConsumerGroup::WriteRegexGone(const std::string& regex, GroupContext& context) const {
  NoteChanged(context);
  ConsumerGroupRegularExpressionKey key = KeyOf<ConsumerGroupRegularExpressionKey>(id_);
  key.regular_expression = regex;
  AddTombstone(key, context.effects);
}

void ConsumerGroup::WriteMemberGone(const std::string& member_id, GroupContext& context) const {
  NoteChanged(context);
  AddTombstone(KeyOf<ConsumerGroupCurrentMemberAssignmentKey>(id_, member_id), context.effects);
  AddTombstone(KeyOf<ConsumerGroupTargetAssignmentMemberKey>(id_, member_id), context.effects);
  AddTombstone(KeyOf<ConsumerGroupMemberMetadataKey>(id_, member_id), context.effects);
}

void ConsumerGroup::AddTombstones(GroupEffects& effects) const {
  for (const auto& [member_id, member] : members_)
    AddTombstone(KeyOf<ConsumerGroupCurrentMemberAssignmentKey>(id_, member_id), effects);
  for (const auto& [member_id, target] : targets_)
    AddTombstone(KeyOf<ConsumerGroupTargetAssignmentMemberKey>(id_, member_id), effects);
  AddTombstone(KeyOf<ConsumerGroupTargetAssignmentMetadataKey>(id_), effects);
  for (const auto& [member_id, member] : members_)
    AddTombstone(KeyOf<ConsumerGroupMemberMetadataKey>(id_, member_id), effects);
  for (const auto& [regex, matched] : regexes_) {
    ConsumerGroupRegularExpressionKey key = KeyOf<ConsumerGroupRegularExpressionKey>(id_);
    key.regular_expression = regex;
    AddTombstone(key, effects);
  }
  AddTombstone(KeyOf<ConsumerGroupMetadataKey>(id_), effects);
}

Result<std::unique_ptr<ConsumerGroup>> ConsumerGroup::Load(std::string id,
                                                           const ConsumerGroupConfig& config,
                                                           GroupContext& context) {
  auto group = std::make_unique<ConsumerGroup>(std::move(id), config);
  SLUICE_ASSIGN_OR_RETURN(
      const auto metadata,
      GetOf<ConsumerGroupMetadataValue>(context.view, KeyOf<ConsumerGroupMetadataKey>(group->id_)));
  if (!metadata.has_value()) return std::unique_ptr<ConsumerGroup>();
  group->epoch_ = metadata->epoch;
  group->topics_hash_ = metadata->metadata_hash;
  SLUICE_RETURN_IF_ERROR(group->LoadMembers(context.view));
  SLUICE_RETURN_IF_ERROR(group->LoadTargets(context.view));
  SLUICE_RETURN_IF_ERROR(group->LoadRegexes(context.view));
  group->unsettled_until_ms_ = context.now_ms() + 2 * int64_t{group->SettledHeartbeatMs(context)};
  for (auto& [member_id, member] : group->members_) {
    group->RenewSession(member, context);
    if (!member.regex.empty()) group->regexes_.try_emplace(member.regex);
    if (member.current.state != ConsumerMemberState::kUnrevoked) continue;
    if (member.current.epoch == kStaticLeaveEpoch) continue;
    context.timers.Set(group->TimerKey(Timer::kRebalance, member_id),
                       context.now_ms() + std::max(member.rebalance_timeout_ms, 0));
  }
  return group;
}

std::unique_ptr<ConsumerGroup> ConsumerGroup::FromClassic(std::string id,
                                                          const ConsumerGroupConfig& config,
                                                          int32_t generation,
                                                          std::vector<ConsumerMember> members) {
  auto group = std::make_unique<ConsumerGroup>(std::move(id), config);
  group->epoch_ = generation;
  group->target_epoch_ = generation;
  for (ConsumerMember& member : members) {
    if (!member.instance_id.empty()) group->static_members_[member.instance_id] = member.id;
    PartitionsByTopic& target = group->targets_[member.id];
    for (const auto& [topic, owned] : member.current.assigned) {
      for (const auto& [partition, epoch] : owned) target[topic].push_back(partition);
    }
    group->Own(member.current.assigned);
    group->Own(member.current.revoking);
    group->members_.emplace(member.id, std::move(member));
  }
  return group;
}

void ConsumerGroup::Start(GroupContext& context) {
  for (const auto& [member_id, member] : members_) WriteMember(member, context);
  WriteEpoch(context);
  for (const auto& [member_id, target] : targets_) WriteTarget(member_id, context);
  WriteTargetEpoch(context);
  for (auto& [member_id, member] : members_) {
    WriteCurrent(member, context);
    RenewSession(member, context);
  }
}

Status ConsumerGroup::LoadMembers(const GroupView& view) {
  SLUICE_RETURN_IF_ERROR(
      (ForEachOf<ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue>(
          view, id_, [this](const auto& key, ConsumerGroupMemberMetadataValue value) {
            ConsumerMember& member = members_[key.member_id];
            member.id = key.member_id;
            TakeMetadata(std::move(value), member);
            if (!member.instance_id.empty()) static_members_[member.instance_id] = member.id;
          })));
  return ForEachOf<ConsumerGroupCurrentMemberAssignmentKey,
                   ConsumerGroupCurrentMemberAssignmentValue>(
      view, id_, [this](const auto& key, const ConsumerGroupCurrentMemberAssignmentValue& value) {
        const auto member = members_.find(key.member_id);
        if (member == members_.end()) return;
        member->second.current = AssignmentOf(value);
        Own(member->second.current.assigned);
        Own(member->second.current.revoking);
      });
}

Status ConsumerGroup::LoadTargets(const GroupView& view) {
  SLUICE_ASSIGN_OR_RETURN(const auto metadata,
                          GetOf<ConsumerGroupTargetAssignmentMetadataValue>(
                              view, KeyOf<ConsumerGroupTargetAssignmentMetadataKey>(id_)));
  if (metadata.has_value()) target_epoch_ = metadata->assignment_epoch;
  return ForEachOf<ConsumerGroupTargetAssignmentMemberKey,
                   ConsumerGroupTargetAssignmentMemberValue>(
      view, id_, [this](const auto& key, ConsumerGroupTargetAssignmentMemberValue value) {
        if (!members_.contains(key.member_id)) return;
        PartitionsByTopic& target = targets_[key.member_id];
        for (auto& topic : value.topic_partitions) {
          std::sort(topic.partitions.begin(), topic.partitions.end());
          target[topic.topic_id] = std::move(topic.partitions);
        }
      });
}

Status ConsumerGroup::LoadRegexes(const GroupView& view) {
  return ForEachOf<ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue>(
      view, id_, [this](const auto& key, ConsumerGroupRegularExpressionValue value) {
        regexes_[key.regular_expression] = {std::move(value.topics), value.metadata_version,
                                            value.timestamp};
      });
}

}  // namespace sluice::broker
