#include "metadata/election.h"

#include <algorithm>

#include "base/planted_fault.h"

namespace sluice::metadata {

namespace {

bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// The members of `from`, then of `more`, that neither `a` nor `b` has.
std::vector<NodeId> UnionWithout(const std::vector<NodeId>& from, const std::vector<NodeId>& more,
                                 const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> result;
  for (const std::vector<NodeId>* list : {&from, &more}) {
    for (const NodeId node : *list) {
      if (!Contains(result, node) && !Contains(a, node) && !Contains(b, node))
        result.push_back(node);
    }
  }
  return result;
}

}  // namespace

ElectionResult Elect(const ElectionInput& input) {
  const PartitionImage& before = input.partition;
  const auto usable = [&](NodeId node) {
    return node != input.lost_data &&
           (input.is_active(node) || FaultPlanted(ReplicationFault::kElectsFenced));
  };
  ElectionResult result;
  for (const NodeId node : input.wished_isr.value_or(before.isr)) {
    if (usable(node)) result.isr.push_back(node);
  }

  // Who has every acknowledged record, in the ISR or out of it.
  const std::vector<NodeId> lost{input.lost_data};
  const bool elr_counts = !FaultPlanted(ReplicationFault::kElrIgnored);
  std::vector<NodeId> complete =
      UnionWithout(before.isr, elr_counts ? before.elr : NodeList(), result.isr, lost);
  const bool empty = input.lost_all && before.replicas.size() > 1;
  const std::vector<NodeId> last_known =
      UnionWithout(before.last_known_elr, {}, empty ? lost : std::vector<NodeId>(), {});
  const auto leads = [&](NodeId node) { return Contains(result.isr, node); };
  const auto find_replica = [&](auto condition) {
    const auto found = std::find_if(before.replicas.begin(), before.replicas.end(), condition);
    return found == before.replicas.end() ? kNoNode : *found;
  };
  const auto leads_gladly = [&](NodeId node) {
    return leads(node) && !(input.yields && input.yields(node));
  };
  if (leads_gladly(input.preferred)) {
    result.leader = input.preferred;
  } else if (leads_gladly(before.leader)) {
    result.leader = before.leader;
  } else if (const NodeId glad = find_replica(leads_gladly); glad != kNoNode) {
    result.leader = glad;
  } else if (leads(before.leader)) {
    result.leader = before.leader;
  } else if (!result.isr.empty()) {
    result.leader = find_replica(leads);
  } else if (!complete.empty()) {
    // While a complete replica is only away, nobody else may lead.
    result.leader =
        find_replica([&](NodeId node) { return usable(node) && Contains(complete, node); });
  } else if (last_known.size() == 1 && input.is_active(last_known[0])) {
    // Nobody has all: the last known leader is the best there is, even when it is the one that lost
    // some of its data.
    result.leader = last_known[0];
    result.may_lose_records = true;
  }
  const bool unclean = input.unclean || FaultPlanted(ReplicationFault::kElectsAnyReplica);
  if (result.leader == kNoNode && unclean) {
    result.leader = find_replica(usable);
    result.may_lose_records = result.leader != kNoNode;
  }
  // Who had all records stays in the ELR until the high watermark moves without it: it may still
  // bring back what this leader lacks.
  if (result.leader != kNoNode && result.isr.empty()) result.isr = {result.leader};

  if (static_cast<int32_t>(result.isr.size()) >= input.min_isr) return result;
  result.elr = UnionWithout(complete, {}, result.isr, {});
  if (result.isr.empty()) {
    const bool led = before.leader != kNoNode && !(empty && before.leader == input.lost_data);
    result.last_known_elr = led ? std::vector<NodeId>{before.leader} : last_known;
  } else {
    std::vector<NodeId> all = UnionWithout(before.isr, before.elr, result.isr, result.elr);
    result.last_known_elr = UnionWithout(all, before.last_known_elr, result.isr, result.elr);
  }
  return result;
}

}  // namespace sluice::metadata
