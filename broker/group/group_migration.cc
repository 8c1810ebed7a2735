#include "broker/group/group_migration.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using NamedPartitions = std::vector<kafka::ConsumerProtocolAssignment::TopicPartition>;

using Partitions = std::vector<std::pair<TopicId, int32_t>>;

// Of topics and partitions that exist. Subscriptions and assignments name them alike.
template <typename Named>
Partitions Existing(const Named& named, const metadata::Image& image) {
  Partitions existing;
  for (const auto& each : named) {
    const auto topic = image.FindTopic(each.topic);
    if (topic == nullptr) continue;
    for (const int32_t partition : each.partitions) {
      if (partition >= 0 && static_cast<size_t>(partition) < topic->partitions.size())
        existing.emplace_back(topic->id, partition);
    }
  }
  return existing;
}

// Those that nobody has taken become part of what the member has; false when there are others.
bool Take(const Partitions& wanted, int32_t epoch, OwnedPartitions& taken, OwnedPartitions& part) {
  bool all = true;
  for (const auto& [topic, partition] : wanted) {
    const bool is_free = taken[topic].emplace(partition, epoch).second;
    if (is_free) part[topic].emplace(partition, epoch);
    all &= is_free;
  }
  return all;
}

// What a cooperative member said that it owned when it joined, and has not been assigned again: it
// may be giving it up just now, and will join again when it has. Where there is no assignment,
// because the generation ended before it, the member still has all of it.
struct Claim {
  int32_t generation;
  size_t member;  // its place among all
  Partitions owned;
};

void TakeClaims(std::vector<Claim> claims, bool all_are_assigned, OwnedPartitions& taken,
                std::vector<ConsumerMember>& members) {
  // Two may say that they own the same: the later generation knows better.
  std::stable_sort(claims.begin(), claims.end(),
                   [](const Claim& a, const Claim& b) { return a.generation > b.generation; });
  for (const Claim& claim : claims) {
    ConsumerAssignment& current = members[claim.member].current;
    const bool gives_up = all_are_assigned || !current.assigned.empty();
    Take(claim.owned, current.epoch, taken, gives_up ? current.revoking : current.assigned);
  }
  for (ConsumerMember& member : members) {
    if (!member.current.revoking.empty()) member.current.state = ConsumerMemberState::kUnrevoked;
  }
}

// What it was assigned until now, if it was.
Result<NamedPartitions> AssignedTo(const ClassicMember& member) {
  if (member.assignment.empty()) return NamedPartitions();
  SLUICE_ASSIGN_OR_RETURN(auto assignment, kafka::DecodeConsumerAssignment(member.assignment));
  if (!assignment.user_data.value_or("").empty())
    return Status::InvalidArgument("its assignor keeps data of its own, which would be lost");
  return std::move(assignment.assigned_partitions);
}

Result<kafka::ConsumerProtocolSubscription> SubscriptionOf(const ClassicMember& member,
                                                           const ClassicGroup& group) {
  if (member.terms.protocols.empty()) return Status::InvalidArgument("a member offers no protocol");
  std::string_view metadata = member.MetadataOf(group.agreed_protocol().value_or(""));
  if (metadata.empty()) metadata = member.terms.protocols.front().metadata;
  return kafka::DecodeConsumerSubscription(metadata);
}

ConsumerMember ConsumerMemberOf(const ClassicMember& member, const ClassicGroup& group,
                                kafka::ConsumerProtocolSubscription subscription) {
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
  std::vector<Claim> claims;
  for (const auto& [member_id, member] : group.members().all()) {
    SLUICE_ASSIGN_OR_RETURN(auto subscription, SubscriptionOf(*member, group));
    SLUICE_ASSIGN_OR_RETURN(const NamedPartitions assigned, AssignedTo(*member));
    claims.push_back({subscription.generation_id, members.size(),
                      Existing(subscription.owned_partitions, image)});
    ConsumerMember& converted =
        members.emplace_back(ConsumerMemberOf(*member, group, std::move(subscription)));
    if (!Take(Existing(assigned, image), group.generation(), taken, converted.current.assigned))
      return Status::InvalidArgument("its members' assignments overlap");
  }
  TakeClaims(std::move(claims), group.state() == ClassicGroupState::kStable, taken, members);
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
