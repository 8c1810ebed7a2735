#include "tests/sim/cluster/checks/all_checks.h"

namespace sluice::sim {

std::vector<std::unique_ptr<Check>> AllChecks() {
  std::vector<std::unique_ptr<Check>> checks;
  checks.push_back(NewRaftSafetyCheck());
  checks.push_back(NewMetadataAgreementCheck());
  checks.push_back(NewCleanElectionCheck());
  checks.push_back(NewOneLeaderCheck());
  checks.push_back(NewUnfencingCheck());
  checks.push_back(NewLeaseCheck());
  checks.push_back(NewHighWatermarkCheck());
  checks.push_back(NewCommittedRecordsCheck());
  checks.push_back(NewLogMatchingCheck());
  checks.push_back(NewAcknowledgementCheck());
  return checks;
}

}  // namespace sluice::sim
