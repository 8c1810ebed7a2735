#pragma once
// Planted faults of replication: what the cluster simulation must find. One extra build
// (`make mutants`, tests/sim/cluster_mutants.cc) defines SLUICE_PLANTED_FAULTS and plants one of
// them at a time, by name, at run time. Everywhere else FaultPlanted is a constant, and nothing of
// this is in the objects. Those of the Raft core are in raft/fault.h.
//
// Thread rule: a constant; in the extra build one thread.

#include <cstdint>

namespace sluice {

enum class ReplicationFault : uint8_t {
  kAcksBeforeReplicated = 1,      // the high watermark is the leader's own end
  kCountsUnflushed = 2,           // in fsync mode, too, the leader counts what it has only written
  kTruncatesToHighWatermark = 3,  // a new follower cuts its log there, as KIP-101 found
  kPendingIsrIgnored = 4,         // the high watermark passes a replica that is about to join
  kIsrWithoutBrokerEpoch = 5,     // a replica that restarted since it fetched joins the ISR
  kIsrWithoutPartitionEpoch = 6,  // an ISR that was decided on an older one is taken
  kLeaseIgnored = 7,              // a leader acknowledges and tells ends without a lease
  kUnfencedEarly = 8,            // a fenced broker is in service before it knows that it was fenced
  kLeaseWhileFencing = 9,        // a broker that is being fenced gets a lease
  kElectsAnyReplica = 10,        // any live replica may lead, in the ISR or not
  kNoLeaseAtAcksOne = 11,        // acks=1 is taken without a lease
  kTruncatesTooFar = 12,         // a follower cuts off the whole epoch in which it differs
  kHighWatermarkBeyondEnd = 13,  // a follower takes over its leader's, wherever its own log ends
  kElrIgnored = 14,              // who left an ISR below min ISR is not waited for
  kElectsFenced = 15,            // who is fenced stays in the ISR and may lead
  kProducersNotRebuilt = 16,     // after a truncation the producers' state is that of before
  kOldLogKept = 17,            // a topic that is made anew gets the records of its name's last one
  kDropsBeforeCatchUp = 18,    // a move is done when one of its targets is in sync
  kSequenceUnchecked = 19,     // a batch that follows on nothing is taken
  kFlushedBeyondCapture = 20,  // a sync proves what was written while it ran, too
  kJoinsBehind = 21,           // a replica joins the ISR wherever it is
  kDivergingCounts = 22,       // a fetch from another history tells how far a follower is
  kMinIsrUnchecked = 23,       // acks=all is content with the leader alone
  kReadsUncommitted = 24,      // consumers read up to the log's end
  kEndBeforeSettled = 25,      // a new leader tells an end before it knows what is committed
  // 26 was: an epoch without records is not in the leader's history. No test can find it: where a
  // follower of an older epoch must cut its log, the leader's own log ends or its next epoch
  // begins, and an epoch with records is noted with the first of them.
  kUnsyncedCounts = 27,     // a host's crash takes nothing from a replicated topic's replicas
  kEmptyDiskCounts = 28,    // a broker on a new disk is thought to have what it had
  kOldEpochFetches = 29,    // a new leader goes by how far its followers had come to it before
  kEndsWhileStopping = 30,  // a leader that stops tells ends as before
  kEndsWhileRelieved = 31,  // so does one that goes with the end of a move
  kEligibleDropped = 32,    // a move is given up though who goes by that may alone have all records
  kMoveEndsUnheard = 33,    // a move ends though who goes may not know that it leads no more
  kNobodysLogKept = 34,     // a log whose id a power cut took is the one of whoever has its name
  kShorterLogLeads = 35,    // where nobody has all records, what the replicas have is not compared
  kFormerDurabilityForgotten = 36,  // a loss is judged by the durability of now, whatever it was
  kSyncedUnproven = 37,             // a broker says that it has synced what is only in memory
  kFullStays = 38,                  // who has a full disk leads on and stays in the ISR
  kDivergenceUntold = 39,  // a follower of another history is given what comes behind its end
};

#ifdef SLUICE_PLANTED_FAULTS
// Counts, too, how often it was asked for the one that is planted.
bool FaultPlanted(ReplicationFault fault);
#else
constexpr bool FaultPlanted(ReplicationFault) { return false; }
#endif

}  // namespace sluice
