#pragma once
// Recovery: from a directory's files to a LogState. What was synced is trusted (its indexes are
// looked at, its batches are not read). In the segment that holds the recovery point the indexes
// are completed from the headers below it; everything above it is read whole: checksums, indexes,
// epochs, producers. Where the host stayed up that goes for the last bytes alone: all that a killed
// process wrote is there, only its last write may be torn (docs/decisions/0004).
//
// A bad batch is a torn tail, and cut, only when nothing valid follows it, in its segment or a
// later one, and it lies at or above the recovery point. Anything else is damage: kCorruption names
// the file and the position, and the log's bytes are left as they are.
//
// A segment that ends, whole, before the next begins lacks records, or never had them: compaction
// takes batches away, and a follower copies the gaps. The files look alike in both cases: the
// batches behind are whole, offsets and epochs ascend, a file has the name that it had. Who wrote
// tells them apart. Our roll names a segment after the end of the one before, and our cleaner keeps
// each segment's last batch: above the recovery point a gap of ours is a tail that a power cut tore
// off between two batches, nothing behind it was acknowledged as durable, and a log that kept it
// would claim records that it lacks. Kafka's roll names it after the first batch that comes into
// it, so in a directory that was taken over a gap lies wherever a batch was compacted away before a
// roll, and what is behind it may be acknowledged. There it cuts nothing: the segments stay, are
// synced at once so that they lie below the recovery point of the next start, and the reader who
// comes to the gap, who knows the topic's policy, judges it (LogImpl::CheckSeam).
//
// After a clean stop nothing is read: names and sizes must fit the checkpoints, and what the files
// hold is looked at when it is first used.
//
// Thread rule: pure but for the file system; several logs may be recovered at once.

#include <memory>
#include <vector>

#include "storage/log_impl.h"

namespace sluice::storage {

// Opens or creates `options.directory`.
Result<LogState> RecoverLog(const LogOptions& options);

// The epoch history: the file, completed from the batches at or above `read_from` (all, when there
// is no such file or it cannot be read), without what lies outside the log.
struct EpochRange {
  Offset read_from;
  Offset log_start;
};
struct LoadedEpochs {
  EpochCache epochs;
  bool changed = false;  // the file says something else
};
Result<LoadedEpochs> LoadEpochs(const LogOptions& options,
                                const std::vector<std::unique_ptr<Segment>>& segments,
                                const EpochRange& range);

// Which abort markers LoadProducers enters into the transaction indexes as it walks: those in
// [from, upto), which the indexes lack. An index that is found damaged is built again from its
// segment's base.
struct TxnRebuild {
  TxnIndexes* indexes = nullptr;
  Offset from;
  Offset upto{INT64_MAX};  // the walk ends there
};

// The producer state at the end of `segments`: the newest usable snapshot (that lies at or below
// rebuild->from, if there is one) and the batches after it. Snapshots that cannot be read are
// removed.
Result<ProducerState> LoadProducers(const LogOptions& options,
                                    const std::vector<std::unique_ptr<Segment>>& segments,
                                    const TxnRebuild* rebuild = nullptr);

}  // namespace sluice::storage
