// The part of ConsumerGroup that admits commits and describes the group.
#include <algorithm>

#include "broker/group/consumer_group.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Described = kafka::ConsumerGroupDescribeResponse;

// As ConsumerGroupDescribe tells which protocol a member speaks.
constexpr int8_t kClassicProtocolMember = 0, kConsumerProtocolMember = 1;
constexpr int16_t kCommitVersionMin = 9;  // the first whose clients know STALE_MEMBER_EPOCH

// With the topics that still exist.
void Describe(const TopicId& id, std::vector<int32_t> partitions, const metadata::Image& image,
              Described::Assignment& assignment) {
  const auto topic = image.FindTopic(id);
  if (topic == nullptr) return;
  for (auto& entry : assignment.topic_partitions) {
    if (entry.topic_id != id) continue;
    entry.partitions.insert(entry.partitions.end(), partitions.begin(), partitions.end());
    std::sort(entry.partitions.begin(), entry.partitions.end());
    return;
  }
  auto& entry = assignment.topic_partitions.emplace_back();
  entry.topic_id = id;
  entry.topic_name = topic->name;
  entry.partitions = std::move(partitions);
}

void Describe(const OwnedPartitions& partitions, const metadata::Image& image,
              Described::Assignment& assignment) {
  for (const auto& [id, owned] : partitions) {
    std::vector<int32_t> indexes;
    for (const auto& [partition, epoch] : owned) indexes.push_back(partition);
    Describe(id, std::move(indexes), image, assignment);
  }
}

}  // namespace

ErrorCode ConsumerGroup::CheckCommit(const OffsetClaim& claim, GroupContext&) {
  // Somebody who assigns partitions to himself, or an administrator: only while nobody is in.
  if (claim.generation_or_epoch < 0 && members_.empty()) return ErrorCode::kNone;
  const ConsumerMember* const member = Find(claim.member_id);
  if (member == nullptr) return ErrorCode::kUnknownMemberId;
  if (member->classic.has_value()) {
    return claim.generation_or_epoch == member->current.epoch ? ErrorCode::kNone
                                                              : ErrorCode::kIllegalGeneration;
  }
  if (claim.version < kCommitVersionMin) return ErrorCode::kUnsupportedVersion;
  if (claim.generation_or_epoch > member->current.epoch) return ErrorCode::kStaleMemberEpoch;
  return ErrorCode::kNone;
}

ErrorCode ConsumerGroup::CheckCommitOf(const OffsetClaim& claim, const std::string& topic,
                                       int32_t partition, const GroupContext& context) const {
  const ConsumerMember* const member = Find(claim.member_id);
  if (member == nullptr || claim.generation_or_epoch == member->current.epoch)
    return ErrorCode::kNone;
  const auto info = context.moment.image->FindTopic(topic);
  if (info == nullptr) return ErrorCode::kStaleMemberEpoch;
  for (const OwnedPartitions* part : {&member->current.assigned, &member->current.revoking}) {
    const auto owned = part->find(info->id);
    if (owned == part->end()) continue;
    const auto since = owned->second.find(partition);
    if (since == owned->second.end()) continue;
    return claim.generation_or_epoch < since->second ? ErrorCode::kStaleMemberEpoch
                                                     : ErrorCode::kNone;
  }
  return ErrorCode::kStaleMemberEpoch;
}

ErrorCode ConsumerGroup::CheckFetch(const OffsetClaim& claim) const {
  if (claim.member_id.empty() && claim.generation_or_epoch < 0) return ErrorCode::kNone;
  const ConsumerMember* const member = Find(claim.member_id);
  if (member == nullptr) return ErrorCode::kUnknownMemberId;
  if (claim.generation_or_epoch == member->current.epoch) return ErrorCode::kNone;
  return member->classic.has_value() ? ErrorCode::kIllegalGeneration : ErrorCode::kStaleMemberEpoch;
}

bool ConsumerGroup::IsSubscribedTo(std::string_view topic) const {
  const std::string name(topic);
  const auto has = [&name](const std::vector<std::string>& names) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  return std::any_of(members_.begin(), members_.end(),
                     [&has](const auto& entry) { return has(entry.second.topic_names); }) ||
         std::any_of(regexes_.begin(), regexes_.end(),
                     [&has](const auto& entry) { return has(entry.second.topics); });
}

std::string ConsumerGroup::state_name() const {
  if (members_.empty()) return "Empty";
  if (epoch_ > target_epoch_) return "Assigning";
  const bool stable = std::all_of(members_.begin(), members_.end(), [this](const auto& entry) {
    return entry.second.current.HasReached(target_epoch_);
  });
  return stable ? "Stable" : "Reconciling";
}

// What Kafka says of a group that is not a classic one.
kafka::DescribeGroupsResponse::DescribedGroup ConsumerGroup::Describe() const {
  kafka::DescribeGroupsResponse::DescribedGroup described;
  described.group_id = id_;
  described.group_state = "Dead";
  described.error_code = WireError(ErrorCode::kGroupIdNotFound);
  described.error_message = "Group " + id_ + " is not a classic group.";
  return described;
}

Described::DescribedGroup ConsumerGroup::DescribeConsumer(const GroupMoment& moment) const {
  Described::DescribedGroup described;
  described.group_id = id_;
  described.group_state = state_name();
  described.group_epoch = epoch_;
  described.assignment_epoch = target_epoch_;
  described.assignor_name = PreferredAssignor();
  for (const auto& [member_id, member] : members_)
    described.members.push_back(DescribeMember(member, *moment.image));
  return described;
}

GroupStanding ConsumerGroup::Explain(const GroupMoment& moment) const {
  using enum GroupStanding::Awaited;
  GroupStanding standing;
  standing.group_id = id_;
  standing.generation = epoch_;
  standing.last_rebalance = last_rebalance_;
  for (const auto& [member_id, member] : members_) {
    const int64_t heard_ms_ago =
        member.session_ms - (member.session_deadline_ms - moment.steady_ms);
    const bool revokes = member.current.state == ConsumerMemberState::kUnrevoked;
    standing.members.push_back({member_id, member.session_ms, std::max<int64_t>(heard_ms_ago, 0),
                                member.join_deadline_ms != 0 ? kJoin
                                : revokes                    ? kRevocation
                                                             : kNothing});
  }
  return standing;
}

Described::Member ConsumerGroup::DescribeMember(const ConsumerMember& member,
                                                const metadata::Image& image) const {
  Described::Member described;
  described.member_id = member.id;
  if (!member.instance_id.empty()) described.instance_id = member.instance_id;
  if (!member.rack.empty()) described.rack_id = member.rack;
  described.member_epoch = member.current.epoch;
  described.client_id = member.client_id;
  described.client_host = member.client_host;
  described.subscribed_topic_names = member.topic_names;
  described.subscribed_topic_regex = member.regex;
  described.member_type =
      member.classic.has_value() ? kClassicProtocolMember : kConsumerProtocolMember;
  broker::Describe(member.current.assigned, image, described.assignment);
  broker::Describe(member.current.revoking, image, described.assignment);
  for (const auto& [topic, partitions] : TargetOf(member.id))
    broker::Describe(topic, partitions, image, described.target_assignment);
  return described;
}

}  // namespace sluice::broker
