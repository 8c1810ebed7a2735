#include "metadata/partition_change.h"

#include <algorithm>
#include <span>

namespace sluice::metadata {

namespace {

void Fill(std::span<const NodeId> nodes, google::protobuf::RepeatedField<int32_t>* ids) {
  for (const NodeId node : nodes) ids->Add(node.value());
}

bool Drops(const std::vector<NodeId>& before, const std::vector<NodeId>& after) {
  return std::any_of(before.begin(), before.end(), [&](NodeId node) {
    return std::find(after.begin(), after.end(), node) == after.end();
  });
}

}  // namespace

std::optional<PartitionChangeRecord> PartitionChange(const TopicId& topic, PartitionIndex index,
                                                     const PartitionImage& before,
                                                     const PartitionDecision& decision) {
  const auto& [assignment, election] = decision;
  PartitionChangeRecord record;
  bool changed = false;
  const auto set_list = [&](const std::vector<NodeId>& from, const std::vector<NodeId>& to,
                            auto mutable_list) {
    if (from == to) return;
    Fill(to, (record.*mutable_list)()->mutable_ids());
    changed = true;
  };
  set_list(before.isr, election.isr, &PartitionChangeRecord::mutable_isr);
  set_list(before.elr, election.elr, &PartitionChangeRecord::mutable_elr);
  set_list(before.last_known_elr, election.last_known_elr,
           &PartitionChangeRecord::mutable_last_known_elr);
  set_list(before.replicas, assignment.replicas, &PartitionChangeRecord::mutable_replicas);
  set_list(before.adding, assignment.adding, &PartitionChangeRecord::mutable_adding_replicas);
  set_list(before.removing, assignment.removing, &PartitionChangeRecord::mutable_removing_replicas);
  // Where nobody is added any more replay takes the rate away.
  if (before.move_kib_per_second != assignment.kib_per_second && !assignment.adding.empty()) {
    record.set_move_kib_per_second(assignment.kib_per_second);
    changed = true;
  }
  if (before.leader != election.leader) {
    record.set_leader(election.leader.value());
    changed = true;
  }
  if (before.leader != election.leader || Drops(before.replicas, assignment.replicas))
    record.set_leader_epoch(before.leader_epoch.value() + 1);
  if (election.may_lose_records && before.leader != election.leader)
    record.set_may_lose_records(true);
  if (!changed) return std::nullopt;
  record.set_topic_id(std::string(topic.view()));
  record.set_partition(index.value());
  return record;
}

PartitionRecord NewPartition(const TopicId& topic, PartitionIndex index,
                             const std::vector<NodeId>& replicas,
                             const std::function<bool(NodeId)>& is_active) {
  PartitionRecord record;
  record.set_topic_id(std::string(topic.view()));
  record.set_partition(index.value());
  Fill(replicas, record.mutable_replicas());
  for (const NodeId node : replicas) {
    if (is_active(node)) record.add_isr(node.value());
  }
  CHECK_GT(record.isr_size(), 0) << "a new partition needs an active replica";
  record.set_leader(record.isr(0));
  return record;
}

}  // namespace sluice::metadata
