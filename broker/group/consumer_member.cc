#include "broker/group/consumer_member.h"

#include <algorithm>
#include <utility>

namespace sluice::broker {
namespace {

using CurrentAssignment = kafka::ConsumerGroupCurrentMemberAssignmentValue;

bool Contains(const OwnedPartitions& partitions, const TopicId& topic, int32_t partition) {
  const auto found = partitions.find(topic);
  return found != partitions.end() && found->second.contains(partition);
}

// A client that does not say what it owns may own all.
bool MayOwnAny(const ReportedPartitions* owned, const OwnedPartitions& partitions) {
  if (owned == nullptr) return true;
  for (const auto& topic : *owned) {
    for (const int32_t partition : topic.partitions) {
      if (Contains(partitions, topic.topic_id, partition)) return true;
    }
  }
  return false;
}

ConsumerAssignment Next(const ConsumerAssignment& current, int32_t epoch,
                        const ReconcileInput& input) {
  ConsumerAssignment next;
  next.previous_epoch = current.epoch;
  OwnedPartitions added;
  bool waits = false;
  for (const auto& [topic, partitions] : current.assigned) {
    const auto target = input.target.find(topic);
    for (const auto& [partition, since] : partitions) {
      const bool stays =
          target != input.target.end() &&
          std::binary_search(target->second.begin(), target->second.end(), partition);
      (stays ? next.assigned : next.revoking)[topic].emplace(partition, since);
    }
  }
  for (const auto& [topic, partitions] : input.target) {
    for (const int32_t partition : partitions) {
      if (Contains(next.assigned, topic, partition)) continue;
      if (input.is_free(topic, partition)) {
        added[topic].emplace(partition, input.target_epoch);
      } else {
        waits = true;
      }
    }
  }
  if (!next.revoking.empty() && MayOwnAny(input.owned, next.revoking)) {
    next.state = ConsumerMemberState::kUnrevoked;
    next.epoch = epoch;
    return next;
  }
  next.revoking.clear();
  for (auto& [topic, partitions] : added) next.assigned[topic].merge(partitions);
  next.state = waits ? ConsumerMemberState::kUnreleased : ConsumerMemberState::kStable;
  next.epoch = input.target_epoch;
  return next;
}

std::vector<CurrentAssignment::TopicPartitions> ToRecord(const OwnedPartitions& partitions) {
  std::vector<CurrentAssignment::TopicPartitions> topics;
  for (const auto& [id, owned] : partitions) {
    CurrentAssignment::TopicPartitions topic;
    topic.topic_id = id;
    topic.assignment_epochs.emplace();
    for (const auto& [partition, epoch] : owned) {
      topic.partitions.push_back(partition);
      topic.assignment_epochs->push_back(epoch);
    }
    topics.push_back(std::move(topic));
  }
  return topics;
}

OwnedPartitions FromRecord(const std::vector<CurrentAssignment::TopicPartitions>& topics,
                           int32_t member_epoch) {
  OwnedPartitions partitions;
  for (const auto& topic : topics) {
    // Older Kafka writes no epochs: the member's is the latest that it can be.
    const bool has_epochs = topic.assignment_epochs.has_value() &&
                            topic.assignment_epochs->size() == topic.partitions.size();
    for (size_t i = 0; i < topic.partitions.size(); ++i) {
      partitions[topic.topic_id].emplace(topic.partitions[i],
                                         has_epochs ? (*topic.assignment_epochs)[i] : member_epoch);
    }
  }
  return partitions;
}

std::optional<std::string> NullIfEmpty(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

ConsumerAssignment Reconcile(const ConsumerAssignment& current, const ReconcileInput& input) {
  switch (current.state) {
    case ConsumerMemberState::kStable:
      if (current.epoch == input.target_epoch) return current;
      return Next(current, current.epoch, input);
    case ConsumerMemberState::kUnrevoked:
      if (MayOwnAny(input.owned, current.revoking)) return current;
      return Next(current, current.epoch + 1, input);
    case ConsumerMemberState::kUnreleased: return Next(current, current.epoch, input);
    case ConsumerMemberState::kUnknown: return Next(current, input.target_epoch, input);
  }
  return current;
}

bool IsWithin(const ReportedPartitions& reported, const OwnedPartitions& partitions) {
  for (const auto& topic : reported) {
    if (!partitions.contains(topic.topic_id)) return false;
    for (const int32_t partition : topic.partitions) {
      if (!Contains(partitions, topic.topic_id, partition)) return false;
    }
  }
  return true;
}

kafka::ConsumerGroupMemberMetadataValue MetadataValueOf(const ConsumerMember& member) {
  kafka::ConsumerGroupMemberMetadataValue value;
  value.instance_id = NullIfEmpty(member.instance_id);
  value.rack_id = NullIfEmpty(member.rack);
  value.client_id = member.client_id;
  value.client_host = member.client_host;
  value.subscribed_topic_names = member.topic_names;
  value.subscribed_topic_regex = member.regex;
  value.rebalance_timeout_ms = member.rebalance_timeout_ms;
  value.server_assignor = NullIfEmpty(member.server_assignor);
  value.classic_member_metadata.reset();
  if (member.classic.has_value()) {
    value.classic_member_metadata =
        kafka::ConsumerGroupMemberMetadataValue::ClassicMemberMetadata();
    auto& classic = *value.classic_member_metadata;
    classic.session_timeout_ms = member.classic->session_ms;
    for (const ClassicProtocol& protocol : member.classic->protocols) {
      auto& kept = classic.supported_protocols.emplace_back();
      kept.name = protocol.name;
      kept.metadata = protocol.metadata;
    }
  }
  return value;
}

void TakeMetadata(kafka::ConsumerGroupMemberMetadataValue value, ConsumerMember& member) {
  member.instance_id = value.instance_id.value_or("");
  member.rack = value.rack_id.value_or("");
  member.client_id = std::move(value.client_id);
  member.client_host = std::move(value.client_host);
  member.topic_names = std::move(value.subscribed_topic_names);
  std::sort(member.topic_names.begin(), member.topic_names.end());
  member.regex = value.subscribed_topic_regex.value_or("");
  member.rebalance_timeout_ms = value.rebalance_timeout_ms;
  member.server_assignor = value.server_assignor.value_or("");
  member.classic = std::nullopt;
  // One that offers no protocol cannot be: it is taken for a member that has to join anew.
  if (!value.classic_member_metadata.has_value() ||
      value.classic_member_metadata->supported_protocols.empty()) {
    return;
  }
  ClassicMembership& classic = member.classic.emplace();
  classic.session_ms = value.classic_member_metadata->session_timeout_ms;
  for (auto& protocol : value.classic_member_metadata->supported_protocols)
    classic.protocols.push_back({std::move(protocol.name), std::move(protocol.metadata)});
}

CurrentAssignment AssignmentValueOf(const ConsumerAssignment& assignment) {
  CurrentAssignment value;
  value.member_epoch = assignment.epoch;
  value.previous_member_epoch = assignment.previous_epoch;
  value.state = static_cast<int8_t>(assignment.state);
  value.assigned_partitions = ToRecord(assignment.assigned);
  value.partitions_pending_revocation = ToRecord(assignment.revoking);
  return value;
}

ConsumerAssignment AssignmentOf(const CurrentAssignment& value) {
  ConsumerAssignment assignment;
  assignment.state = value.state >= 0 && value.state <= 2
                         ? static_cast<ConsumerMemberState>(value.state)
                         : ConsumerMemberState::kUnknown;
  assignment.epoch = value.member_epoch;
  assignment.previous_epoch = value.previous_member_epoch;
  assignment.assigned = FromRecord(value.assigned_partitions, value.member_epoch);
  assignment.revoking = FromRecord(value.partitions_pending_revocation, value.member_epoch);
  return assignment;
}

}  // namespace sluice::broker
