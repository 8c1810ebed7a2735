#pragma once
// MoveRates: the rates of the moves that this broker takes part in (PartitionImage's
// move_kib_per_second), and what follows from them for all it sends, and all it fetches, for moves:
// they share one budget for each direction, so that the broker copies no more for twenty of them
// than for one. Where they differ the lowest rate holds: nobody who asked for moves at some rate
// finds a broker copying faster than that. Their sum would grow with the number of moves.
//
// Only what comes with a move counts, as do leaders that send to it. A replica that was one before
// and has fallen out of sync is brought back as fast as can be: till then a copy is missing.
//
// Thread rule: owned by ReplicaManager, used where it applies images.

#include <cstdint>
#include <map>

#include "base/ids.h"
#include "broker/replica/replica_manager.h"
#include "metadata/image.h"

namespace sluice::broker {

class MoveRates {
 public:
  // Of a replica that `self` holds, as the image has it now.
  void Note(NodeId self, const PartitionKey& key, const metadata::PartitionImage& partition);
  void Forget(const PartitionKey& key);
  // In bytes a second, for ReplicationQuota::SetRate: INT64_MAX = no limit.
  int64_t leader() const { return Lowest(leading_); }
  int64_t follower() const { return Lowest(joining_); }

 private:
  using Rates = std::map<PartitionKey, int64_t>;  // of moves that have one: mostly none
  static int64_t Lowest(const Rates& rates);

  Rates leading_;
  Rates joining_;
};

}  // namespace sluice::broker
