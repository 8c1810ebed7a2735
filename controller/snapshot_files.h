#pragma once
// SnapshotFiles: the metadata snapshots of one voter, `<index>-<term>.checkpoint` in the log's
// directory (snapshot_format.h). Each is written beside, synced, renamed and its directory synced.
// The newest two are kept; one that is found damaged goes by `<name>.damaged` from then on and does
// not count.
//
// One that is being sent stays open, so that a slow follower gets all of it though newer ones take
// its place meanwhile. It is closed when nothing of it was read from one snapshot to the next.
//
// Thread rule: Load and List from any, all else on the IO thread, or before it runs; files are
// never changed once they have their name.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "controller/snapshot_format.h"
#include "raft/log_store.h"
#include "raft/types.h"

namespace sluice::controller {

struct SnapshotName {
  LogIndex index;
  Term term;
  friend auto operator<=>(const SnapshotName&, const SnapshotName&) = default;
};

std::string SnapshotFileName(const SnapshotName& name);
std::optional<SnapshotName> ParseSnapshotFileName(std::string_view file);

class SnapshotFiles {
 public:
  SnapshotFiles(FileSystem& fs, std::string directory, uint32_t block_bytes = kSnapshotBlockBytes)
      : fs_(fs), directory_(std::move(directory)), block_bytes_(block_bytes) {}

  // By index, ascending.
  Result<std::vector<SnapshotName>> List() const;
  Status Write(const raft::Snapshot& snapshot);
  // kCorruption when a checksum does not hold.
  Result<raft::Snapshot> Load(const SnapshotName& name) const;
  // A part to be sent. kNotFound when that snapshot is not kept any more, kCorruption when a
  // checksum does not hold.
  Result<raft::SnapshotChunk> ReadChunk(const raft::SnapshotRead& read);
  // Removes all but the newest two.
  Status RemoveOld();
  // For one that cannot be loaded: out of the way, but there to be looked into.
  Status PutAside(const SnapshotName& name);
  // What a stop in the middle of Write has left.
  Status RemoveTemporaries();

 private:
  struct Sent {
    StoredSnapshot stored;
    bool used = false;  // since the last snapshot
  };
  Result<StoredSnapshot> Open(const SnapshotName& name) const;
  Result<const StoredSnapshot*> OpenToSend(LogIndex index);
  std::string PathOf(const SnapshotName& name) const {
    return directory_ + "/" + SnapshotFileName(name);
  }

  FileSystem& fs_;
  const std::string directory_;
  const uint32_t block_bytes_;
  std::map<LogIndex, Sent> sent_;  // what is being sent
};

}  // namespace sluice::controller
