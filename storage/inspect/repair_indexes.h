#pragma once
// RepairIndexes: builds .index, .timeindex and .txnindex of every segment of a partition, or of all
// partitions of a log directory, again from the .log files, and puts those that differ in place of
// the old ones: a temporary file, synced, renamed, the directory synced. It never touches a .log
// and removes nothing.
//
// Memory: the indexes of one segment, a few MiB for each GiB.
//
// Thread rule: as FileSystem; holds the log directory's lock while it works.

#include <functional>
#include <string>

#include "base/file_system.h"

namespace sluice::storage {

struct RepairOptions {
  bool dry_run = false;
  int32_t index_interval_bytes = 4096;
};

// What became of one index file.
struct RepairedIndex {
  enum class Outcome { kUnchanged, kMade, kReplaced };
  std::string file;
  Outcome outcome = Outcome::kUnchanged;
  uint64_t entries = 0;
};

// A .log whose bytes are damaged: its indexes end before the damage. Or one that seems to be
// another partition's: its indexes stay as they are, for they may be what tells.
struct UnreadableLog {
  std::string file;
  uint64_t position = 0;
  std::string problem;  // in the words of VerifyDirectory
  bool foreign = false;
};

struct RepairReport {
  std::function<void(const RepairedIndex&)> index;
  std::function<void(const UnreadableLog&)> damage;
};

struct RepairTotals {
  int partitions = 0;
  int segments = 0;
  int unchanged = 0;
  int made = 0;      // there was none
  int replaced = 0;  // there was another
  int damaged_logs = 0;
};

// kUnavailable when a server has the log directory open; kNotFound and kInvalidArgument as
// VerifyDirectory.
Result<RepairTotals> RepairIndexes(FileSystem& fs, const std::string& directory,
                                   const RepairOptions& options, const RepairReport& report);

}  // namespace sluice::storage
