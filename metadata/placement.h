#pragma once
// Placement: which brokers get the replicas of new partitions.
//
// Goals, in this order:
//   1. Never two replicas of a partition on one broker; the first replica, which will lead, on an
//   unfenced one.
//   2. Unfenced brokers before fenced ones.      3. Replicas of a partition on different racks as
//   far as there are racks.
//   4. The same number of leaders and of replicas on each broker.
//   5. Brokers that lead together differ in their followers, so that the leaders of a dead broker
//   spread over the others.
// What is left undecided is decided by a rotation with a random start, so that many small topics do
// not all begin at the same broker.
//
// Example, brokers 1..3 on racks a, b, c, four partitions, replication 3, start at broker 1: 1 2 3
// | 2 3 1 | 3 1 2 | 1 3 2.
//
// Thread rule: pure but for the Random.

#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/status.h"

namespace sluice::metadata {

struct PlacementBroker {
  NodeId id = kNoNode;
  std::string rack;
  bool fenced = false;  // or leaving
};

// Replicas by partition, the preferred leader first. kInvalidArgument when there are fewer brokers
// than replicas, or none unfenced.
Result<std::vector<std::vector<NodeId>>> PlaceReplicas(const std::vector<PlacementBroker>& brokers,
                                                       int32_t partition_count,
                                                       int32_t replication_factor, Random& random);

// Who takes the place of `leaving` among `replicas`: a broker that has none of them and is not
// fenced, on a rack where as few of the others are as can be, with the fewest of the `counts`
// replicas; kNoNode when there is none. Of equals the first in the order of `brokers`.
NodeId ChooseReplacement(const std::vector<PlacementBroker>& brokers,
                         const std::map<NodeId, int64_t>& counts,
                         const std::vector<NodeId>& replicas, NodeId leaving);

}  // namespace sluice::metadata
