#pragma once
// DirectoryFacts: what the files at the top of a log directory say: the checkpoints, the
// clean-shutdown marker, and whether a server has the directory open. Reading them changes nothing
// (LogManager takes the marker away and writes).
//
// Thread rule: values.

#include <memory>
#include <string>

#include "base/file_system.h"
#include "storage/checkpoint_file.h"
#include "storage/inspect/finding.h"
#include "storage/inspect/verify_partition.h"

namespace sluice::storage {

inline constexpr char kLockName[] = ".lock";

struct DirectoryFacts {
  OffsetCheckpoint recovery_points;
  OffsetCheckpoint high_watermarks;
  OffsetCheckpoint log_starts;
  OffsetCheckpoint cleaner_points;
  bool clean = false;
  bool live = false;

  PartitionContext For(const TopicPartition& partition) const;
};

// Whether this looks like a log directory: it was formatted, or holds a checkpoint.
bool IsLogDirectory(FileSystem& fs, const std::string& directory);
// Whether a server has the log directory open. A directory without a .lock was never opened; none
// is made.
bool IsLocked(FileSystem& fs, const std::string& directory);
// Checkpoints that cannot be read are faults.
Result<DirectoryFacts> ReadDirectoryFacts(FileSystem& fs, const std::string& directory,
                                          const Report& report);
// The log directory that a partition's directory lies in, and the partition's own name in it.
std::string ParentOf(const std::string& path);
std::string NameOf(const std::string& path);

}  // namespace sluice::storage
