#include "metadata/election.h"

#include <algorithm>
#include <iterator>

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

// How little a replica should lead: one of those with the least reluctance does.
enum class Reluctance { kNone, kYields, kIsFull };

Reluctance ReluctanceOf(const ElectionInput& input, NodeId node) {
  if (input.is_full && input.is_full(node)) return Reluctance::kIsFull;
  return input.yields && input.yields(node) ? Reluctance::kYields : Reluctance::kNone;
}

// Of an ISR with members: who leads, of those who should rather than the others.
NodeId LeaderOf(const ElectionInput& input, const std::vector<NodeId>& isr) {
  std::vector<NodeId> willing;
  Reluctance least = Reluctance::kIsFull;
  for (const NodeId node : isr) least = std::min(least, ReluctanceOf(input, node));
  std::copy_if(isr.begin(), isr.end(), std::back_inserter(willing),
               [&](NodeId node) { return ReluctanceOf(input, node) == least; });
  if (least == Reluctance::kNone && Contains(willing, input.preferred)) return input.preferred;
  if (Contains(willing, input.partition.leader)) return input.partition.leader;
  const auto& replicas = input.partition.replicas;
  const auto first = std::find_if(replicas.begin(), replicas.end(),
                                  [&](NodeId node) { return Contains(willing, node); });
  return first == replicas.end() ? kNoNode : *first;
}

// What replicas have told of their logs.
struct Told {
  NodeId longest = kNoNode;    // whose log has the most; the first of equals
  std::vector<NodeId> silent;  // have told nothing
  bool all_usable = true;      // none has told that its log cannot be used
};

Told Compare(const ElectionInput& input, const std::vector<NodeId>& replicas) {
  Told told;
  LogEnd most;
  for (const NodeId node : replicas) {
    const std::optional<LogEnd> end = input.log_end == nullptr ? std::nullopt : input.log_end(node);
    if (!end.has_value()) {
      told.silent.push_back(node);
    } else if (!end->usable()) {
      told.all_usable = false;
    } else if (told.longest == kNoNode || *end > most) {
      told.longest = node;
      most = *end;
    }
  }
  return told;
}

// Nobody is sure to have all records, and the one who led last has lost some. Another one that is
// away may have more than all who live, so all have to be there.
NodeId LongestOfAll(const ElectionInput& input, NodeId last_known,
                    const std::vector<NodeId>& live) {
  const size_t count = input.partition.replicas.size();
  if (count == 1 || FaultPlanted(ReplicationFault::kShorterLogLeads))
    return input.is_active(last_known) ? last_known : kNoNode;
  if (live.size() < count) return kNoNode;
  const Told told = Compare(input, live);
  return told.silent.empty() && told.all_usable ? told.longest : kNoNode;
}

// An operator decided that those who are away are not waited for. Who lives is.
void ElectUncleanly(const ElectionInput& input, const std::vector<NodeId>& live,
                    ElectionResult& result) {
  const Told told = Compare(input, live);
  if (FaultPlanted(ReplicationFault::kElectsAnyReplica) ||
      FaultPlanted(ReplicationFault::kShorterLogLeads)) {
    if (!live.empty()) result.leader = live.front();
  } else if (told.silent.empty()) {
    result.leader = told.longest;
  } else {
    result.silent = told.silent;
  }
  result.may_lose_records = result.leader != kNoNode;
}

}  // namespace

ElectionInput ElectionInputOf(const Image& image, const std::string& topic,
                              const PartitionImage& partition) {
  return {.partition = partition,
          .min_isr = EffectiveMinIsr(image, topic, partition),
          .is_active = [&image,
                        &partition](NodeId node) { return ReplicaActive(image, partition, node); },
          .yields = [&image](NodeId node) { return Yields(image, node); },
          .wished_isr = {}};
}

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

  std::vector<NodeId> live;
  std::copy_if(before.replicas.begin(), before.replicas.end(), std::back_inserter(live), usable);

  // Who has every acknowledged record, in the ISR or out of it.
  const std::vector<NodeId> lost{input.lost_data};
  const bool elr_counts = !FaultPlanted(ReplicationFault::kElrIgnored);
  std::vector<NodeId> complete =
      UnionWithout(before.isr, elr_counts ? before.elr : NodeList(), result.isr, lost);
  const bool empty = input.lost_all && before.replicas.size() > 1;
  const std::vector<NodeId> last_known =
      UnionWithout(before.last_known_elr, {}, empty ? lost : std::vector<NodeId>(), {});
  if (!result.isr.empty()) {
    result.leader = LeaderOf(input, result.isr);
  } else if (!complete.empty()) {
    // While a complete replica is only away, nobody else may lead.
    const auto found = std::find_if(live.begin(), live.end(),
                                    [&](NodeId node) { return Contains(complete, node); });
    if (found != live.end()) result.leader = *found;
  } else if (last_known.size() == 1) {
    result.leader = LongestOfAll(input, last_known[0], live);
    result.may_lose_records = result.leader != kNoNode;
  }
  const bool unclean = input.unclean || FaultPlanted(ReplicationFault::kElectsAnyReplica);
  if (result.leader == kNoNode && unclean) ElectUncleanly(input, live, result);
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
