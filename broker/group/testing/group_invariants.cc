#include "broker/group/testing/group_invariants.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "base/overload.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker::testing {

namespace {

std::string Text(const GroupInvariants::Partition& partition) {
  return partition.first.ToString() + "-" + std::to_string(partition.second);
}

template <typename Value>
Value Decoded(const std::string& bytes) {
  Result<Value> value = DecodeGroupValue<Value>(bytes);
  CHECK(value.ok()) << value.status().ToString();
  return *std::move(value);
}

}  // namespace

void GroupInvariants::Fail(const std::string& what) {
  if (breach_.empty()) breach_ = what;
}

// --- The log ---

void GroupInvariants::OnCommitted(const ModelBatch& batch, const metadata::Image& topics) {
  const auto view = kafka::RecordBatchView::Parse(batch.bytes);
  CHECK(view.ok() && view->base_offset() == batch.base);
  kafka::RecordIterator iterator(*view, view->records());
  for (kafka::Record record; iterator.Next(record);) {
    std::optional<std::string> value;
    if (record.value.has_value()) value = *record.value;
    records_.push_back({record.offset, std::string(*record.key), std::move(value)});
    OnRecord(records_.back(), topics);
  }
  for (const std::string& group_id : std::exchange(touched_, {}))
    CheckGroup(group_id, groups_[group_id]);
}

GroupInvariants::Entries GroupInvariants::Replay(Offset end) const {
  Entries entries;
  for (const Record& record : records_) {
    if (record.offset >= end) break;
    if (record.value.has_value())
      entries[record.key] = *record.value;
    else
      entries.erase(record.key);
  }
  return entries;
}

void GroupInvariants::OnRecord(const Record& record, const metadata::Image& topics) {
  const Result<GroupKey> key = DecodeGroupKey(record.key);
  CHECK(key.ok()) << key.status().ToString();
  const std::optional<std::string>& value = record.value;
  const auto group_of = [this](const std::string& group_id) -> Group& {
    touched_.insert(group_id);
    return groups_[group_id];
  };
  std::visit(
      Overload{
          [&](const kafka::OffsetCommitKey& offset) { OnOffset(offset, value, topics); },
          [&](const kafka::GroupMetadataKey& group) {
            OnClassic(group_of(group.group), group.group, value);
          },
          [&](const kafka::ConsumerGroupMetadataKey& group) {
            auto& epoch = group_of(group.group_id).epoch;
            epoch.reset();
            if (value) epoch = Decoded<kafka::ConsumerGroupMetadataValue>(*value).epoch;
          },
          [&](const kafka::ConsumerGroupTargetAssignmentMetadataKey& target) {
            group_of(target.group_id).target_epoch =
                value ? Decoded<kafka::ConsumerGroupTargetAssignmentMetadataValue>(*value)
                            .assignment_epoch
                      : 0;
          },
          [&](const kafka::ConsumerGroupMemberMetadataKey& member) {
            auto& members = group_of(member.group_id).members;
            members.erase(member.member_id);
            if (value)
              members[member.member_id] = Decoded<kafka::ConsumerGroupMemberMetadataValue>(*value);
          },
          [&](const kafka::ConsumerGroupCurrentMemberAssignmentKey& member) {
            auto& current = group_of(member.group_id).current;
            current.erase(member.member_id);
            if (value)
              current[member.member_id] =
                  AssignmentOf(Decoded<kafka::ConsumerGroupCurrentMemberAssignmentValue>(*value));
          },
          [](const auto&) {},
      },
      *key);
}

void GroupInvariants::OnOffset(const kafka::OffsetCommitKey& key,
                               const std::optional<std::string>& value,
                               const metadata::Image& topics) {
  TopicId& topic = topic_of_[{key.group, key.topic, key.partition}];
  if (!value.has_value()) {
    if (topics.FindTopic(topic) != nullptr)
      Fail("group " + key.group + ": the offset of " + key.topic + "-" +
           std::to_string(key.partition) + " was removed, and its topic is there");
    positions_[{key.group, {topic, key.partition}}].committed = -1;
    return;
  }
  const auto commit = Decoded<kafka::OffsetCommitValue>(*value);
  topic = TopicId(commit.topic_id);
  Position& position = positions_[{key.group, {topic, key.partition}}];
  if (commit.offset < position.committed)
    Fail("group " + key.group + ": " + key.topic + "-" + std::to_string(key.partition) +
         " moved back from " + std::to_string(position.committed) + " to " +
         std::to_string(commit.offset));
  position.committed = commit.offset;
  ++commits_;
}

void GroupInvariants::OnClassic(Group& group, const std::string& group_id,
                                const std::optional<std::string>& value) {
  group.generation.reset();
  group.classic_members.clear();
  if (!value.has_value()) return;
  const auto metadata = Decoded<kafka::GroupMetadataValue>(*value);
  group.generation = metadata.generation;
  std::set<std::pair<std::string, int32_t>> assigned;
  for (const auto& member : metadata.members) {
    group.classic_members.insert(member.member_id);
    if (member.assignment.empty()) continue;
    const auto assignment = kafka::DecodeConsumerAssignment(member.assignment);
    CHECK(assignment.ok());
    for (const auto& topic : assignment->assigned_partitions) {
      for (const int32_t partition : topic.partitions) {
        if (!assigned.emplace(topic.topic, partition).second)
          Fail("group " + group_id + ": generation " + std::to_string(metadata.generation) +
               " assigns " + topic.topic + "-" + std::to_string(partition) + " twice");
      }
    }
  }
}

void GroupInvariants::CheckGroup(const std::string& group_id, Group& group) {
  const auto fail = [&](const std::string& what) { Fail("group " + group_id + ": " + what); };
  if (group.generation.has_value() && group.epoch.has_value())
    fail("it is of both protocols at once");
  const int32_t epoch = group.epoch.value_or(group.generation.value_or(-1));
  std::set<std::string> members = group.classic_members;
  for (const auto& [member_id, metadata] : group.members) members.insert(member_id);
  const bool any_stayed = std::any_of(
      members.begin(), members.end(),
      [&](const std::string& member_id) { return group.last_members.contains(member_id); });
  if (any_stayed && epoch < group.last_epoch)
    fail("its epoch went back from " + std::to_string(group.last_epoch) + " to " +
         std::to_string(epoch));
  group.last_epoch = epoch;
  group.last_members = std::move(members);
  std::map<Partition, std::string> owners;
  for (const auto& [member_id, current] : group.current) {
    if (current.epoch > group.target_epoch)
      fail(member_id + " is in epoch " + std::to_string(current.epoch) + ", the target of " +
           std::to_string(group.target_epoch));
    for (const OwnedPartitions* part : {&current.assigned, &current.revoking}) {
      for (const Partition& partition : SetOf(*part)) {
        const auto [owner, is_new] = owners.emplace(partition, member_id);
        if (!is_new) fail(Text(partition) + " is of " + owner->second + " and of " + member_id);
      }
    }
  }
}

// --- Clients ---

bool GroupInvariants::IsMember(const Claim& claim) const {
  const auto found = groups_.find(claim.group_id);
  if (found == groups_.end()) return false;
  const Group& group = found->second;
  if (group.generation.has_value())
    return claim.generation == *group.generation && group.classic_members.contains(claim.member_id);
  if (!group.members.contains(claim.member_id)) return false;
  const auto current = group.current.find(claim.member_id);
  return !claim.is_classic ||
         (current != group.current.end() && current->second.epoch == claim.generation);
}

void GroupInvariants::CheckTaken(const Claim& taker, const Claim& holder,
                                 const Partition& partition) {
  // An assignment may also come late: then whoever gets it has to join again.
  if (!IsMember(holder) || !IsMember(taker)) return;
  Fail("group " + taker.group_id + ": " + taker.client + " (" + taker.member_id + ", epoch " +
       std::to_string(taker.generation) + ") got " + Text(partition) + ", which " + holder.client +
       " (" + holder.member_id + ", epoch " + std::to_string(holder.generation) + ") still has");
}

void GroupInvariants::OnAcknowledged(const std::string& group_id, const Partition& partition,
                                     int64_t offset) {
  Position& position = positions_[{group_id, partition}];
  if (position.committed < offset)
    Fail("group " + group_id + ": " + Text(partition) + " at " + std::to_string(offset) +
         " was acknowledged, and what is committed is " + std::to_string(position.committed));
  position.told = std::max(position.told, offset);
}

int64_t GroupInvariants::Told(const std::string& group_id, const Partition& partition) const {
  const auto found = positions_.find({group_id, partition});
  return found == positions_.end() ? -1 : found->second.told;
}

void GroupInvariants::CheckFetched(const std::string& group_id, const Partition& partition,
                                   int64_t offset, int64_t least) {
  const auto fail = [&](const std::string& what) {
    Fail("group " + group_id + ": " + Text(partition) + " was read at " + std::to_string(offset) +
         what);
  };
  Position& position = positions_[{group_id, partition}];
  if (offset < least) fail(", and " + std::to_string(least) + " had been told");
  if (offset > position.committed) fail(", which is not committed");
  position.told = std::max(position.told, offset);
}

void GroupInvariants::CheckNothingLost(const metadata::Image& topics) {
  for (const auto& [key, position] : positions_) {
    if (topics.FindTopic(key.second.first) == nullptr || position.committed >= position.told)
      continue;
    Fail("group " + key.first + ": " + Text(key.second) + " is at " +
         std::to_string(position.committed) + ", and " + std::to_string(position.told) +
         " had been told");
  }
}

}  // namespace sluice::broker::testing
