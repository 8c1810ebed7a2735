#pragma once
// VerifyDirectory: a partition's directory, or a whole log directory with every partition in it,
// its checkpoints, its identity, and the topic ids of its partitions against each other.
//
// Thread rule: as FileSystem.

#include <functional>
#include <string>

#include "base/file_system.h"
#include "storage/inspect/finding.h"
#include "storage/inspect/verify_partition.h"

namespace sluice::storage {

struct VerifyOptions {
  bool records = false;    // also decode the records of every batch
  bool compacted = false;  // gaps between offsets are no fault
  // Told of each partition when it is done.
  std::function<void(const std::string& directory, const PartitionSummary&)> done;
};

struct VerifyTotals {
  int partitions = 0;
  uint64_t batches = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;
  bool live = false;  // a server had the log directory open
};

// kNotFound when there is no such directory, kInvalidArgument when it is neither of the two.
Result<VerifyTotals> VerifyDirectory(FileSystem& fs, const std::string& directory,
                                     const VerifyOptions& options, const Report& report);

}  // namespace sluice::storage
