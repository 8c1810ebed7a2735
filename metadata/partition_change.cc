#include "metadata/partition_change.h"

namespace sluice::metadata {

namespace {

void Fill(const std::vector<NodeId>& nodes, google::protobuf::RepeatedField<int32_t>* ids) {
  for (const NodeId node : nodes) ids->Add(node.value());
}

}  // namespace

std::optional<PartitionChangeRecord> PartitionChange(const TopicId& topic, PartitionIndex index,
                                                     const PartitionImage& before,
                                                     const ElectionResult& decision) {
  PartitionChangeRecord record;
  bool changed = false;
  const auto set_list = [&](const std::vector<NodeId>& from, const std::vector<NodeId>& to,
                            auto mutable_list) {
    if (from == to) return;
    Fill(to, (record.*mutable_list)()->mutable_ids());
    changed = true;
  };
  set_list(before.isr, decision.isr, &PartitionChangeRecord::mutable_isr);
  set_list(before.elr, decision.elr, &PartitionChangeRecord::mutable_elr);
  set_list(before.last_known_elr, decision.last_known_elr,
           &PartitionChangeRecord::mutable_last_known_elr);
  if (before.leader != decision.leader) {
    record.set_leader(decision.leader.value());
    record.set_leader_epoch(before.leader_epoch.value() + 1);
    changed = true;
  }
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
