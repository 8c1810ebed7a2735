#pragma once
// SnapshotFiles: the metadata snapshots of one voter, `<index>-<term>.checkpoint` in the log's
// directory (docs/formats/raft_log.md). Each is written beside, synced, renamed and its directory
// synced; a footer checksum covers the whole. The newest two are kept; one that is found damaged
// goes by `<name>.damaged` from then on and does not count.
//
// Thread rule: what changes files on the IO thread, or before it runs, Load from any; files are
// never changed once they have their name.

#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "raft/types.h"

namespace sluice::controller {

struct SnapshotName {
  LogIndex index;
  Term term;
  friend auto operator<=>(const SnapshotName&, const SnapshotName&) = default;
};

std::string SnapshotFileName(const SnapshotName& name);

class SnapshotFiles {
 public:
  SnapshotFiles(FileSystem& fs, std::string directory)
      : fs_(fs), directory_(std::move(directory)) {}

  // By index, ascending.
  Result<std::vector<SnapshotName>> List() const;
  Status Write(const raft::Snapshot& snapshot);
  // kCorruption when its checksum does not hold.
  Result<raft::Snapshot> Load(const SnapshotName& name) const;
  // Removes all but the newest two.
  Status RemoveOld();
  // For one that cannot be loaded: out of the way, but there to be looked into.
  Status PutAside(const SnapshotName& name);
  // What a stop in the middle of Write has left.
  Status RemoveTemporaries();

 private:
  std::string PathOf(const SnapshotName& name) const {
    return directory_ + "/" + SnapshotFileName(name);
  }

  FileSystem& fs_;
  const std::string directory_;
};

}  // namespace sluice::controller
