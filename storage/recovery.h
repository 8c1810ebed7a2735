#pragma once
// Recovery: from a directory's files to a LogState. What was synced is trusted (its indexes are
// looked at, its batches are not read); everything from the segment that holds the recovery point
// on is read whole: checksums, indexes, epochs, producers.
//
// A bad batch is a torn tail, and cut, only when nothing valid follows it, in its segment or a
// later one, and it lies at or above the recovery point. Anything else is damage: kCorruption names
// the file and the position, and the log's bytes are left as they are.
//
// Thread rule: pure but for the file system; several logs may be recovered at once.

#include <memory>
#include <vector>

#include "storage/log_impl.h"

namespace sluice::storage {

// Opens or creates `options.directory`.
Result<LogState> RecoverLog(const LogOptions& options);

// The producer state at the end of `segments`: the newest usable snapshot and the batches after it.
// Snapshots that cannot be read are removed.
Result<ProducerState> LoadProducers(const LogOptions& options,
                                    const std::vector<std::unique_ptr<Segment>>& segments);

}  // namespace sluice::storage
