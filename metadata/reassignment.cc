#include "metadata/reassignment.h"

#include <algorithm>

#include "base/planted_fault.h"

namespace sluice::metadata {

namespace {

bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

std::vector<NodeId> Without(std::vector<NodeId> nodes, const std::vector<NodeId>& others) {
  std::erase_if(nodes, [&](NodeId node) { return Contains(others, node); });
  return nodes;
}

std::vector<NodeId> Among(std::vector<NodeId> nodes, const std::vector<NodeId>& others) {
  std::erase_if(nodes, [&](NodeId node) { return !Contains(others, node); });
  return nodes;
}

bool HasAll(const std::vector<NodeId>& nodes, const std::vector<NodeId>& wanted) {
  return Without(wanted, nodes).empty();
}

// The partition with the replicas of `assignment`: nobody else is in a list of it. The leader may
// be somebody else; an election then finds another.
PartitionImage Limit(PartitionImage partition, const Assignment& assignment) {
  partition.directories.clear();
  partition.replicas = assignment.replicas;
  for (auto* nodes : {&partition.isr, &partition.elr, &partition.last_known_elr})
    *nodes = Among(*nodes, assignment.replicas);
  return partition;
}

}  // namespace

Assignment AssignmentOf(const PartitionImage& partition) {
  return {partition.replicas, partition.adding, partition.removing, partition.move_kib_per_second};
}

std::vector<NodeId> TargetOf(const PartitionImage& partition) {
  return Without(partition.replicas, partition.removing);
}

std::vector<NodeId> OriginOf(const PartitionImage& partition) {
  return Without(partition.replicas, partition.adding);
}

Assignment MoveTo(const PartitionImage& partition, const std::vector<NodeId>& target,
                  uint32_t kib_per_second) {
  const std::vector<NodeId> origin = OriginOf(partition);
  Assignment assignment{target, Without(target, origin), Without(origin, target)};
  for (const NodeId node : assignment.removing) assignment.replicas.push_back(node);
  if (!assignment.adding.empty()) assignment.kib_per_second = kib_per_second;
  return assignment;
}

Assignment MoveBack(const PartitionImage& partition) { return {OriginOf(partition), {}, {}}; }

PartitionDecision Decide(const ElectionInput& input, const std::optional<Assignment>& assignment) {
  PartitionDecision decision{assignment.value_or(AssignmentOf(input.partition)), {}};
  const PartitionImage limited = Limit(input.partition, decision.assignment);
  ElectionInput among{.partition = limited,
                      .min_isr = input.min_isr,
                      .is_active = input.is_active,
                      .yields = input.yields,
                      .is_full = input.is_full,
                      .lost_data = input.lost_data,
                      .lost_all = input.lost_all,
                      .wished_isr = input.wished_isr,
                      .preferred = input.preferred,
                      .unclean = input.unclean,
                      .log_end = input.log_end};
  if (among.wished_isr) among.wished_isr = Among(*among.wished_isr, limited.replicas);
  decision.election = Elect(among);

  const std::vector<NodeId> target =
      Without(decision.assignment.replicas, decision.assignment.removing);
  const bool early = !Among(decision.election.isr, target).empty() &&
                     FaultPlanted(ReplicationFault::kDropsBeforeCatchUp);
  const bool done_now = early || HasAll(decision.election.isr, target);
  if (!decision.assignment.moving() || !done_now) return decision;
  const bool may_lose_records = decision.election.may_lose_records;
  decision.assignment = {target, {}, {}};
  PartitionImage done = limited;
  done.isr = decision.election.isr;
  done = Limit(std::move(done), decision.assignment);
  // All replicas are in the ISR, so that is at min ISR, whatever the number.
  decision.election = Elect({.partition = done,
                             .min_isr = 1,
                             .is_active = input.is_active,
                             .yields = input.yields,
                             .is_full = input.is_full,
                             .wished_isr = {},
                             .preferred = input.preferred});
  decision.election.may_lose_records = may_lose_records;
  return decision;
}

bool MayDropAtOnce(const PartitionImage& partition, const Assignment& assignment, int32_t min_isr) {
  const PartitionImage limited = Limit(partition, assignment);
  if (partition.isr.empty()) {
    return limited.elr == partition.elr && limited.last_known_elr == partition.last_known_elr;
  }
  const auto needed = static_cast<size_t>(std::max(min_isr, 1));
  const auto complete = [](const PartitionImage& p) {
    return p.isr.size() + (FaultPlanted(ReplicationFault::kEligibleDropped) ? 0 : p.elr.size());
  };
  return limited.isr.size() >= std::min(partition.isr.size(), needed) &&
         complete(limited) >= std::min(complete(partition), needed);
}

}  // namespace sluice::metadata
