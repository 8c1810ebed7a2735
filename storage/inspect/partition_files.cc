#include "storage/inspect/partition_files.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "storage/file_names.h"

namespace sluice::storage {
namespace {

// Of Kafka and of our controllers, in the directory of the metadata log.
bool IsQuorumFile(std::string_view name) {
  return name == "quorum-state" || name == ".lock" || name.ends_with(".checkpoint");
}

bool IsIndexName(std::string_view name, Offset& base) {
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
    if (const auto parsed = ParseOffsetFileName(name, suffix)) {
      base = *parsed;
      return true;
    }
  }
  return false;
}

}  // namespace

std::string PartitionFiles::PathOf(Offset base, std::string_view suffix) const {
  return PathOf(OffsetFileName(base, suffix));
}

Result<PartitionFiles> ListPartition(FileSystem& fs, const std::string& directory) {
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs.List(directory));
  PartitionFiles files;
  files.directory = directory;
  std::set<Offset> indexed;
  for (const std::string& name : names) {
    Offset base;
    if (const auto log = ParseOffsetFileName(name, kLogSuffix)) {
      files.segments.push_back(*log);
    } else if (const auto snapshot = ParseOffsetFileName(name, kSnapshotSuffix)) {
      files.snapshots.push_back(*snapshot);
    } else if (IsIndexName(name, base)) {
      indexed.insert(base);
    } else if (name == kEpochCheckpointName) {
      files.has_epochs = true;
    } else if (name == kPartitionMetadataName) {
      files.has_metadata = true;
    } else if (name.ends_with(kCleanedSuffix) || name.ends_with(kSwapSuffix)) {
      files.unfinished.push_back(name);
    } else if (name.ends_with(kDeletedSuffix) || name.ends_with(kTempSuffix)) {
      files.discarded.push_back(name);
    } else if (!IsQuorumFile(name)) {
      files.unknown.push_back(name);
    }
  }
  std::sort(files.segments.begin(), files.segments.end());
  std::sort(files.snapshots.begin(), files.snapshots.end());
  std::set_difference(indexed.begin(), indexed.end(), files.segments.begin(), files.segments.end(),
                      std::back_inserter(files.lost));
  return files;
}

}  // namespace sluice::storage
