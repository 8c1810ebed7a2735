#pragma once
// VerifyPartition: reads every file of a partition's directory and reports what is wrong:
// checksums, offsets and epochs of the batches, the three indexes against them, producer snapshots,
// the epoch history. It writes nothing, and needs little memory however large the segments are.
//
// Not for a log that the server has open in this process: it looks only at files.
//
// Thread rule: as FileSystem.

#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/ids.h"
#include "base/uuid.h"
#include "storage/inspect/finding.h"

namespace sluice::storage {

// What the log directory around it says of a partition.
struct PartitionContext {
  std::optional<Offset> recovery_point;
  std::optional<Offset> high_watermark;
  std::optional<Offset> log_start;
  bool clean = false;      // the clean-shutdown marker is there
  bool live = false;       // a server has the log directory open: files change while they are read
  bool compacted = false;  // gaps between offsets are no fault
  bool records = false;    // also decode the records of every batch
};

struct PartitionSummary {
  int segments = 0;
  uint64_t batches = 0;
  uint64_t records = 0;  // as the headers count them
  uint64_t bytes = 0;    // of the .log files
  Offset start;
  Offset end;
  TopicId topic_id;  // zero when partition.metadata does not tell
};

// kNotFound when `directory` is not there or is no partition's.
Result<PartitionSummary> VerifyPartition(FileSystem& fs, const std::string& directory,
                                         const PartitionContext& context, const Report& report);

}  // namespace sluice::storage
