#pragma once
// Reading whole segments: recovery's scan that checks every batch and builds the indexes again, and
// the walk over all headers of a log.
//
// Thread rule: as the segments.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/segment.h"

namespace sluice::storage {

struct ScanOutcome {
  bool damaged = false;
  std::string reason;                         // "a batch fails its checksum"
  std::optional<uint64_t> valid_batch_after;  // position of a whole batch behind the damage
  uint64_t file_size_bytes = 0;
  Offset end;                 // one above the last good batch
  uint64_t end_position = 0;  // where it ends
  uint64_t checked_bytes = 0;
};

// Reads the file from its beginning, `bytes_max` at most, and checks every batch; changes nothing.
// `visit` is told of each good one, and where it begins.
Result<ScanOutcome> CheckBatches(const Segment& segment,
                                 const std::function<void(const BatchHeader&, uint64_t)>& visit,
                                 uint64_t bytes_max = UINT64_MAX);

struct ScanStart {
  Offset synced_upto;
  // Whatever was written is there: indexes are taken over as far as they go, and only the last
  // `checked_tail_bytes`, the last batch at least, are read whole.
  bool host_stayed_up = false;
  uint64_t checked_tail_bytes = 0;
};

// Builds both indexes again and checks every batch that ends above `synced_upto`; of those below,
// and of what a host that stayed up has kept, only the headers are looked at. On damage the segment
// ends before it (size_bytes() is its position); the file is left as it is.
Result<ScanOutcome> ScanAndIndex(Segment& segment, const ScanStart& start,
                                 int32_t index_interval_bytes);

// The position of the first whole batch with a good checksum that begins in (damage, size) and
// could follow `expected`; nullopt when the rest of the file holds none.
Result<std::optional<uint64_t>> FindValidBatch(const File& file, uint64_t damage, uint64_t size,
                                               Offset expected);

// Calls `visit` for each batch of `segments` that ends at or above `from`, in order. The scanner
// stands on the batch.
Status ForEachBatch(const std::vector<std::unique_ptr<Segment>>& segments, Offset from,
                    const std::function<Status(const BatchHeader&, BatchScanner&)>& visit);

}  // namespace sluice::storage
