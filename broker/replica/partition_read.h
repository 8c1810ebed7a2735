#pragma once
// What a read of a partition is asked for, and what it leaves for the next one.
//
// Thread rule: plain data.

#include <cstddef>
#include <cstdint>

#include "broker/replica/replica_manager.h"

namespace sluice::broker {

struct PartitionReadRequest {
  const FetchEntry* entry = nullptr;
  const FetchRequestParams* fetch = nullptr;  // all but its entries and sizes
  size_t size_bytes_max = 0;
  bool one_at_least = false;
  bool may_wait = true;  // for the disk; or the result's `lacking`, if set, is all that counts
};
// What a read has seen, for Partition::Watch. One for each partition of a fetch, for all its life.
struct PartitionReadMark {
  Offset readable_end{-1};
  uint64_t role_version = 0;
  uint64_t parked_round = 0;  // FetchWaiters'
  bool recorded = false;      // a follower's progress, once for each of its requests
};
struct PartitionWatchResult {
  bool parked = false;
  bool nudge = false;  // the follower has not been told the current high watermark
};

}  // namespace sluice::broker
