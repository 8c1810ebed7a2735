#pragma once
// PartitionChange: from a decision (metadata/election.h) to the record that says it, with only what
// differs.
//
// Thread rule: pure.

#include <optional>

#include "metadata/reassignment.h"
#include "proto/metadata.pb.h"

namespace sluice::metadata {

// The record that turns `before` into `decision`; nullopt when nothing differs. The leader epoch
// rises by one exactly when the leader changes or a replica is dropped: a shrinking ISR alone keeps
// it, for bumping it would interrupt every client of the partition.
std::optional<PartitionChangeRecord> PartitionChange(const TopicId& topic, PartitionIndex index,
                                                     const PartitionImage& before,
                                                     const PartitionDecision& decision);

// The record of a new partition: the active ones of `replicas` are in sync, the first of them
// leads. REQUIRES: one is active.
PartitionRecord NewPartition(const TopicId& topic, PartitionIndex index,
                             const std::vector<NodeId>& replicas,
                             const std::function<bool(NodeId)>& is_active);

}  // namespace sluice::metadata
