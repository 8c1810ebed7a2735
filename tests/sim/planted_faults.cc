#include "tests/sim/planted_faults.h"

#include <glog/logging.h>

#include <cstdlib>

namespace sluice::raft {
namespace {

Fault planted = Fault::kNone;
uint64_t reached = 0;

bool PlantFromEnvironment() {
  const char* name = std::getenv("SLUICE_PLANTED_FAULT");
  if (name != nullptr) CHECK(testing::PlantFault(name)) << "no fault is called " << name;
  return true;
}

}  // namespace

bool FaultPlanted(Fault fault) {
  static const bool from_environment = PlantFromEnvironment();
  if (!from_environment || fault != planted) return false;
  ++reached;
  return true;
}

namespace testing {

const std::vector<NamedFault>& NamedFaults() {
  static const std::vector<NamedFault> faults = {
      {Fault::kVoteBeforeDurable, "vote-before-durable"},
      {Fault::kVoteForgotten, "vote-forgotten"},
      {Fault::kAckBeforeDurable, "ack-before-durable"},
      {Fault::kLeaderCountsUnflushed, "leader-counts-unflushed"},
      {Fault::kSingleVoterCountsUnflushed, "single-voter-counts-unflushed"},
      {Fault::kCommitsOlderTerm, "commits-older-term"},
      {Fault::kVoteIgnoresLog, "vote-ignores-log"},
      {Fault::kPreVoteIgnoresLog, "pre-vote-ignores-log"},
      {Fault::kPreVoteBumpsTerm, "pre-vote-bumps-term"},
      {Fault::kStickyAfterResigning, "sticky-after-resigning"},
      {Fault::kNoCheckQuorum, "no-check-quorum"},
      {Fault::kConflictByIndex, "conflict-by-index"},
      {Fault::kTruncatesCommitted, "truncates-committed"},
      {Fault::kTruncatesOnOlder, "truncates-on-older"},
      {Fault::kCommitsBeyondMatch, "commits-beyond-match"},
      {Fault::kMatchGoesBack, "match-goes-back"},
      {Fault::kMatchOfOtherTerm, "match-of-other-term"},
      {Fault::kSnapshotWithoutTerm, "snapshot-without-term"},
      {Fault::kSnapshotReplacesLonger, "snapshot-replaces-longer"},
      {Fault::kSnapshotLosesMembers, "snapshot-loses-members"},
      {Fault::kLearnerCounts, "learner-counts"},
      {Fault::kTwoChanges, "two-changes"},
      {Fault::kChangeBeforeOwnCommit, "change-before-own-commit"},
      {Fault::kRemovedLeaderGoesOn, "removed-leader-goes-on"},
      {Fault::kReadWithoutRound, "read-without-round"},
      {Fault::kReadBeforeOwnCommit, "read-before-own-commit"},
      {Fault::kTransferWithoutCatchUp, "transfer-without-catch-up"},
      {Fault::kWipedDiskCounts, "wiped-disk-counts"},
      {Fault::kTornSlotWins, "torn-slot-wins"},
      {Fault::kCutsSynced, "cuts-synced"},
      {Fault::kDamagedVotes, "damaged-votes"},
      {Fault::kGivenBackEarly, "given-back-early"},
      {Fault::kNoInquiry, "no-inquiry"},
      {Fault::kInquiryOfSome, "inquiry-of-some"},
  };
  return faults;
}

bool PlantFault(std::string_view name) {
  for (const NamedFault& fault : NamedFaults()) {
    if (fault.name != name) continue;
    planted = fault.fault;
    return true;
  }
  return false;
}

uint64_t FaultReached() { return reached; }

}  // namespace testing
}  // namespace sluice::raft
