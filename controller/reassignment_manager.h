#pragma once
// ReassignmentManager: partitions that are to have other replicas (metadata/reassignment.h), and
// those that are to have another leader. What operators ask for is checked here, whole; how it
// comes to be is the business of AlterPartition and of the elections (partition_manager.h).
//
// Thread rule: pure functions of their arguments.

#include "controller/decision.h"

namespace sluice::controller {

// Each partition of the request by itself: what is refused changes nothing.
Decision<AlterPartitionReassignmentsResponse> AlterPartitionReassignments(
    const HandleContext& context, const AlterPartitionReassignmentsRequest& request);

Decision<ElectLeadersResponse> ElectLeaders(const HandleContext& context,
                                            const ElectLeadersRequest& request);

}  // namespace sluice::controller
