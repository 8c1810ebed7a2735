#pragma once
// The checks, each of which says in its file what it is about.
//
// Thread rule: one thread, as all of the simulator.

#include <memory>

#include "tests/sim/cluster/checks/check.h"

namespace sluice::sim {

std::unique_ptr<Check> NewAcknowledgementCheck();
std::unique_ptr<Check> NewCleanElectionCheck();
std::unique_ptr<Check> NewCommittedRecordsCheck();
std::unique_ptr<Check> NewHighWatermarkCheck();
std::unique_ptr<Check> NewLeaseCheck();
std::unique_ptr<Check> NewLogMatchingCheck();
std::unique_ptr<Check> NewMetadataAgreementCheck();
std::unique_ptr<Check> NewOneLeaderCheck();
std::unique_ptr<Check> NewRaftSafetyCheck();
std::unique_ptr<Check> NewUnfencingCheck();

}  // namespace sluice::sim
