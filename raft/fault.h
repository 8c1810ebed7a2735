#pragma once
// Planted faults: what the simulation must find. One extra build (`make mutants`) defines
// SLUICE_PLANTED_FAULTS and plants one of them at a time, by name, at run time. Everywhere else
// FaultPlanted is a constant, and nothing of this is in the objects.
//
// Thread rule: a constant; in the extra build one thread.

#include <cstdint>

namespace sluice::raft {

enum class Fault : uint8_t {
  kNone = 0,
  kVoteBeforeDurable = 1,           // the vote leaves before its write is done
  kVoteForgotten = 2,               // a second vote in a term after a restart
  kAckBeforeDurable = 3,            // entries are acknowledged before their write is done
  kLeaderCountsUnflushed = 4,       // the leader counts itself before its own disk is done
  kSingleVoterCountsUnflushed = 5,  // the same, of one voter alone
  kCommitsOlderTerm = 6,            // an entry of an older term is committed by counting copies
  kVoteIgnoresLog = 7,              // a vote for a candidate whose log is behind
  kPreVoteIgnoresLog = 8,           // the same of a pre-vote
  kPreVoteBumpsTerm = 9,            // asking already makes a new term
  kStickyAfterResigning = 10,       // a leader that resigned keeps refusing others
  kNoCheckQuorum = 11,              // a leader that hears nobody goes on
  kConflictByIndex = 12,            // an entry of another term at the index passes for the same
  kTruncatesCommitted = 13,         // entries below the commit are replaced
  kTruncatesOnOlder = 14,           // what an older message does not hold is cut off
  kCommitsBeyondMatch = 15,         // the leader's commit counts for entries it did not send
  kMatchGoesBack = 16,              // a stale answer moves the match back
  kMatchOfOtherTerm = 17,           // an answer to an earlier leader counts for this one
  kSnapshotWithoutTerm = 18,        // the term of a snapshot's last entry is lost
  kSnapshotReplacesLonger = 19,     // a snapshot takes the place of a log that holds it and more
  kSnapshotLosesMembers = 20,       // a snapshot has the newest members, not those of its index
  kLearnerCounts = 21,              // a learner counts like a voter
  kTwoChanges = 22,                 // a change of members while another is on its way
  kChangeBeforeOwnCommit = 23,      // a change before a commit in the leader's own term
  kRemovedLeaderGoesOn = 24,        // a leader leads on when its removal is committed
  kReadWithoutRound = 25,           // a read is served without hearing a majority
  kReadBeforeOwnCommit = 26,        // a read is served before a commit in the leader's own term
  kTransferWithoutCatchUp = 27,     // the lead goes to a voter that lacks entries
  kWipedDiskCounts = 28,            // a wiped disk is taken for its former self
  kTornSlotWins = 29,               // a torn vote slot wins over the older whole one
  kCutsSynced = 30,                 // the log is cut below what was synced
  kDamagedVotes = 31,               // a voter votes before it was given back what it lost
  kGivenBackEarly = 32,             // any entry passes for all that was lost
  kNoInquiry = 33,                  // a disk that was formatted again takes part at once
  kInquiryOfSome = 34,              // one answer of a leader is enough for it, at once
};

#ifdef SLUICE_PLANTED_FAULTS
// Counts, too, how often it was asked for the one that is planted.
bool FaultPlanted(Fault fault);
#else
constexpr bool FaultPlanted(Fault) { return false; }
#endif

}  // namespace sluice::raft
