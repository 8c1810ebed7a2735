#pragma once
// Reassignment: how a partition moves to other brokers (KIP-455), as pure functions.
//
// While it is under way a partition has the replicas of both assignments: first those wanted, in
// the order wanted, then those to be dropped. The wanted ones that are new fetch. Once all wanted
// ones are in the ISR the others are dropped, by the same record that changes the ISR; if one of
// them leads, another takes over in it.
//
//   [1,2,3] to [1,2,4]   replicas 1,2,4,3   adding 4   removing 3
//   4 joins the ISR      replicas 1,2,4
//   or it is cancelled   replicas 1,2,3
//
// Rules:
//   1. The replicas without the adding ones, whom the partition had, stay the same until it is done
//   or cancelled, however often another target takes the place of the first. min.insync.replicas is
//   counted by them.
//   2. What is done has an ISR of all its replicas, so it is never below min ISR.
//   3. A move that is cancelled, or gets another target, drops at once those who were new, or is
//   refused: MayDropAtOnce. Nobody waits for their end; to go on is no danger.
//   4. When a replica is dropped the leader epoch rises, even if the leader stays: the leader then
//   forgets how far that one had come, should it be added again before it learns of either.
//   5. The rate at which brokers copy is a part of the reassignment: it is gone with its end, its
//   cancellation, or another target, whoever asked for it or dies meanwhile.
//
// Thread rule: pure.

#include <optional>
#include <vector>

#include "metadata/election.h"

namespace sluice::metadata {

struct Assignment {
  std::vector<NodeId> replicas;
  std::vector<NodeId> adding;
  std::vector<NodeId> removing;
  uint32_t kib_per_second = 0;  // as PartitionImage's; 0 where nobody is added
  bool moving() const { return !adding.empty() || !removing.empty(); }
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

Assignment AssignmentOf(const PartitionImage& partition);
// Where it is going, or is: the replicas without those that go.
std::vector<NodeId> TargetOf(const PartitionImage& partition);
// Where it was before the reassignment under way, or is. Not in the order of then.
std::vector<NodeId> OriginOf(const PartitionImage& partition);
// Of a partition that is to move to `target`, wherever it is going now.
Assignment MoveTo(const PartitionImage& partition, const std::vector<NodeId>& target,
                  uint32_t kib_per_second = 0);
// Of a partition whose reassignment is given up.
Assignment MoveBack(const PartitionImage& partition);

// What becomes of a partition: its replicas, and the election among them.
struct PartitionDecision {
  Assignment assignment;
  ElectionResult election;
};

// The election of a partition that is to have `assignment`, or the one it has; ends a reassignment
// that has all it waited for.
PartitionDecision Decide(const ElectionInput& input,
                         const std::optional<Assignment>& assignment = std::nullopt);

// Whether the partition can drop at once whom `assignment` lacks: the ISR stays at min ISR, or as
// it is, and so do ISR and ELR together, who have all records: the last member of the ISR may have
// lost its disk, and only be away for all that is known here (docs/decisions/0016).
bool MayDropAtOnce(const PartitionImage& partition, const Assignment& assignment, int32_t min_isr);

}  // namespace sluice::metadata
