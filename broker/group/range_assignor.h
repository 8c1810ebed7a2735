#pragma once
// RangeAssignor: each topic's partitions in ranges, in the order of the members, so that members
// with the same subscriptions get the same partition numbers of topics with equally many
// partitions, and can join these. Static members come first, by instance id: a restart does not
// move their ranges. Neither racks nor former targets have a say, as in Kafka 4.
//
// Example: topics A and B of 3 partitions, members m0 and m1: m0 gets A0 A1 B0 B1, m1 A2 B2.
//
// Thread rule: a constant.

#include "broker/group/assignor.h"

namespace sluice::broker {

class RangeAssignor : public Assignor {
 public:
  std::string_view name() const override { return "range"; }
  std::vector<PartitionsByTopic> Assign(const AssignorInput& input) const override;
};

}  // namespace sluice::broker
