#pragma once
// LookAtReplicas: the walk over all replicas that checks of their logs begin with.
//
// Thread rule: one thread, as all of the simulator.

#include <string>

#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {

// `look(id, status)` gives what is wrong with a replica that can be read, or "". After an unclean
// election, who does not follow yet may hold what nobody else ever will: of that one `is_void(id,
// key)` is told instead. The answer is what was found first, with the replica's name.
template <typename Look, typename IsVoid>
std::string LookAtReplicas(Cluster& cluster, const Look& look, const IsVoid& is_void) {
  for (const NodeId id : cluster.ids()) {
    for (const broker::PartitionStatus& status : cluster.StatusesOf(id)) {
      if (!status.error.empty()) continue;
      if (cluster.MayHoldVoid(id, status.key)) {
        is_void(id, status.key);
        continue;
      }
      const std::string wrong = look(id, status);
      if (!wrong.empty())
        return status.name.ToString() + " on node " + std::to_string(id.value()) + ": " + wrong;
    }
  }
  return "";
}

}  // namespace sluice::sim
