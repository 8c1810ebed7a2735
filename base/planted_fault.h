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
  kUnfencedEarly = 8,      // a fenced broker is in service before it knows that it was fenced
  kLeaseWhileFencing = 9,  // a broker that is being fenced gets a lease
  kElectsAnyReplica = 10,  // any live replica may lead, in the ISR or not
};

#ifdef SLUICE_PLANTED_FAULTS
// Counts, too, how often it was asked for the one that is planted.
bool FaultPlanted(ReplicationFault fault);
#else
constexpr bool FaultPlanted(ReplicationFault) { return false; }
#endif

}  // namespace sluice
