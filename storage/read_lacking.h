#pragma once
// ReadWhatLacks: for who may wait for the disk, but not under the guard of a log, where others
// would wait with it.
//
//   const Status read = ReadWhatLacks([&](bool may_wait) -> Result<Lacking> {
//     std::lock_guard lock(mutex_);
//     Lacking lacking;
//     const NoWaiting no_waiting(log, may_wait ? nullptr : &lacking);
//     found = log.Read(...);
//     return lacking;
//   });
//
// Not for a loop that serves others: see broker/cold_reads.h.
//
// Thread rule: runs all of it on the calling thread, which holds no guard.

#include <functional>

#include "base/status.h"
#include "storage/lacking.h"

namespace sluice::storage {

// As often is something found that is not in memory.
inline constexpr int kLackingMax = 64;

// Calls `look` and reads what it lacks until it lacks nothing. A cache so short of room that it
// keeps nothing ends that: the last time `look` may wait. Fails when `look` does, or the disk.
Status ReadWhatLacks(const std::function<Result<Lacking>(bool may_wait)>& look);

}  // namespace sluice::storage
