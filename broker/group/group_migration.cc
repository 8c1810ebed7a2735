#include "broker/group/group_migration.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using NamedPartitions = std::vector<kafka::ConsumerProtocolAssignment::TopicPartition>;

// Of topics and partitions that exist; false when somebody owns one of them already.
bool Take(const NamedPartitions& named, const metadata::Image& image, ConsumerMember& member,
          OwnedPartitions& taken) {
  for (const auto& each : named) {
    const auto topic = image.FindTopic(each.topic);
    if (topic == nullptr) continue;
    for (const int32_t partition : each.partitions) {
      if (partition < 0 || static_cast<size_t>(partition) >= topic->partitions.size()) continue;
      if (!taken[topic->id].emplace(partition, member.current.epoch).second) return false;
      member.current.assigned[topic->id].emplace(partition, member.current.epoch);
    }
  }
  return true;
}

// What it was assigned until now, if it was.
Result<NamedPartitions> AssignedTo(const ClassicMember& member) {
  if (member.assignment.empty()) return NamedPartitions();
  SLUICE_ASSIGN_OR_RETURN(auto assignment, kafka::DecodeConsumerAssignment(member.assignment));
  if (!assignment.user_data.value_or("").empty())
    return Status::InvalidArgument("its assignor keeps data of its own, which would be lost");
  return std::move(assignment.assigned_partitions);
}

Result<ConsumerMember> ConsumerMemberOf(const ClassicMember& member, const ClassicGroup& group) {
  if (member.terms.protocols.empty()) return Status::InvalidArgument("a member offers no protocol");
  std::string_view metadata = member.MetadataOf(group.agreed_protocol().value_or(""));
  if (metadata.empty()) metadata = member.terms.protocols.front().metadata;
  SLUICE_ASSIGN_OR_RETURN(auto subscription, kafka::DecodeConsumerSubscription(metadata));
  ConsumerMember converted;
  converted.id = member.id;
  converted.instance_id = member.instance_id.value_or("");
  converted.rack = subscription.rack_id.value_or("");
  converted.client_id = member.client_id;
  converted.client_host = member.client_host;
  converted.topic_names = std::move(subscription.topics);
  std::sort(converted.topic_names.begin(), converted.topic_names.end());
  converted.topic_names.erase(
      std::unique(converted.topic_names.begin(), converted.topic_names.end()),
      converted.topic_names.end());
  converted.rebalance_timeout_ms = member.terms.rebalance_ms;
  converted.classic = {member.terms.session_ms, member.terms.protocols};
  converted.current.epoch = group.generation();
  converted.current.previous_epoch = group.generation();
  return converted;
}

}  // namespace

Result<std::vector<ConsumerMember>> ConsumerMembersOf(const ClassicGroup& group,
                                                      const ConsumerGroupConfig& config,
                                                      const metadata::Image& image) {
  if (!config.may_upgrade)
    return Status::InvalidArgument("group.consumer.migration.policy does not allow it");
  if (group.protocol_type() != kafka::kConsumerProtocolType)
    return Status::InvalidArgument("its members are no consumers");
  if (group.members().size() > config.members_max)
    return Status::InvalidArgument("it has too many members");
  std::vector<ConsumerMember> members;
  OwnedPartitions taken;
  for (const auto& [member_id, member] : group.members().all()) {
    SLUICE_ASSIGN_OR_RETURN(ConsumerMember converted, ConsumerMemberOf(*member, group));
    SLUICE_ASSIGN_OR_RETURN(const NamedPartitions assigned, AssignedTo(*member));
    if (!Take(assigned, image, converted, taken))
      return Status::InvalidArgument("its members' assignments overlap");
    members.push_back(std::move(converted));
  }
  return members;
}

ClassicMembers ClassicMembersOf(const ConsumerGroup& group, const metadata::Image& image) {
  ClassicMembers members;
  for (const auto& [member_id, member] : group.members()) {
    ClassicMember converted;
    converted.id = member_id;
    if (!member.instance_id.empty()) converted.instance_id = member.instance_id;
    converted.client_id = member.client_id;
    converted.client_host = member.client_host;
    converted.terms = {member.classic->session_ms, member.rebalance_timeout_ms,
                       member.classic->protocols};
    members.Add(std::move(converted));
  }
  const std::string protocol = members.SelectProtocol();
  for (const auto& [member_id, member] : group.members()) {
    ClassicMember& converted = *members.Find(member_id);
    converted.assignment = ClassicAssignmentOf(member, converted.MetadataOf(protocol), image);
  }
  return members;
}

std::string ClassicAssignmentOf(const ConsumerMember& member, std::string_view metadata,
                                const metadata::Image& image) {
  kafka::ConsumerProtocolAssignment assignment;
  for (const auto& [id, owned] : member.current.assigned) {
    const auto topic = image.FindTopic(id);
    if (topic == nullptr) continue;
    auto& told = assignment.assigned_partitions.emplace_back();
    told.topic = topic->name;
    for (const auto& [partition, epoch] : owned) told.partitions.push_back(partition);
  }
  // Nobody reads the metadata of a protocol that is not the first one before it is chosen.
  const Result<int16_t> version = kafka::ConsumerProtocolVersion(metadata);
  Result<std::string> bytes = kafka::EncodeConsumerAssignment(
      assignment, version.ok() ? std::max<int16_t>(*version, 0) : 0);
  CHECK(bytes.ok()) << bytes.status().ToString();
  return *std::move(bytes);
}

}  // namespace sluice::broker
