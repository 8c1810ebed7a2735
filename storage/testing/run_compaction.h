#pragma once
// RunCompaction: one run of the cleaner from its first step to its end or its first failure, for
// tests that need no event loop.
//
// Thread rule: one thread.

#include <string>

#include "storage/compaction/compaction_run.h"
#include "storage/log.h"

namespace sluice::storage::testing {

// Each cleaned segment is swapped into `log`, whose files are in `directory`.
Status RunCompaction(CompactionRun& run, Log& log, FileSystem& fs, const std::string& directory);

}  // namespace sluice::storage::testing
