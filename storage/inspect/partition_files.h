#pragma once
// PartitionFiles: what lies in a partition's directory, sorted by what it is. The inspecting tools
// (dump, verify, repair) start from it; none of them opens a log as the server does, for that would
// mend while it looks.
//
// Thread rule: values; listing only reads.

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/ids.h"

namespace sluice::storage {

struct PartitionFiles {
  std::string directory;
  std::vector<Offset> segments;         // base offsets, ascending
  std::vector<Offset> snapshots;        // ascending
  std::vector<Offset> lost;             // base offsets of indexes without a .log, ascending
  std::vector<std::string> unfinished;  // .cleaned and .swap
  std::vector<std::string> discarded;   // .deleted and .tmp
  std::vector<std::string> unknown;     // no file of a partition

  // Whether the directory is a partition's at all.
  bool any() const { return !segments.empty() || !snapshots.empty() || has_metadata; }
  bool has_metadata = false;
  bool has_epochs = false;

  std::string PathOf(std::string_view name) const { return directory + "/" + std::string(name); }
  std::string PathOf(Offset base, std::string_view suffix) const;
};

Result<PartitionFiles> ListPartition(FileSystem& fs, const std::string& directory);

}  // namespace sluice::storage
