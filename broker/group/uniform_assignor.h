#pragma once
// UniformAssignor: the default. Members get equally many partitions, and keep what they had.
//
// Goals, the earlier one first:
//   1. Balance: no member has two partitions more than another one that subscribes to a topic of
//      its partitions. With equal subscriptions all members are within one of each other.
//   2. Stickiness: a partition moves only where 1 asks for it, or its member is gone.
//   3. Nearness: of members that are equally good for a partition, one in the rack of a replica.
//
// How: members keep their former targets; what nobody has goes to the member with the fewest
// partitions, topics with the fewest subscribers first, since these have the least choice; then
// partitions move from the fullest to the emptiest members of each topic until 1 holds. Each move
// lowers the sum of the squares of the members' counts, so it ends.
//
// Example: m0 and m1 have 3 partitions each, m2 joins: m0 and m1 keep 2 each, m2 gets one of each.
//
// Thread rule: a constant.

#include "broker/group/assignor.h"

namespace sluice::broker {

class UniformAssignor : public Assignor {
 public:
  std::string_view name() const override { return "uniform"; }
  std::vector<PartitionsByTopic> Assign(const AssignorInput& input) const override;
};

}  // namespace sluice::broker
