#pragma once
// SnapshotReceiver: the snapshot that a voter is being sent, in `<name>.part` in the log's
// directory until it is whole (docs/formats/raft_log.md). It is written and synced as it comes, a
// block with its checksum after the other, so that a restart finds how far it goes; it is read back
// and checked before it gets its name. There is one at a time.
//
// Thread rule: the IO thread, or before that runs.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "controller/snapshot_format.h"
#include "raft/log_store.h"

namespace sluice::controller {

class SnapshotReceiver {
 public:
  SnapshotReceiver(FileSystem& fs, std::string directory, uint32_t block_bytes)
      : fs_(fs), directory_(std::move(directory)), block_bytes_(block_bytes) {}

  // What the last process has left, as far as it is whole. Removes what nobody needs: what is of no
  // later index than `newest`, and what cannot be read.
  Result<std::optional<raft::ReceivedSnapshot>> Reopen(LogIndex newest);
  // The next part, or at offset 0 the first of another one. Durable, but for a last block that is
  // not full.
  Status Receive(const raft::SnapshotChunk& chunk);
  // Of what was received to its end. kCorruption: a checksum does not hold; kNotFound: it was
  // dropped.
  Result<raft::Snapshot> Load();
  // Whether what was received is the snapshot `meta` and Load found it whole.
  bool HasChecked(const raft::SnapshotMeta& meta) const;
  // Makes what HasChecked a snapshot.
  Status GiveName();
  // Removes it if it is of no later index.
  Status DropUpTo(LogIndex index);

 private:
  struct Incoming {
    std::string path;
    std::shared_ptr<File> file;
    SnapshotLayout layout;
    uint64_t held = 0;       // bytes of the state
    std::string last_block;  // the part of it that is not written yet
    bool checked = false;    // read back, and its checksums hold
  };
  Status Begin(const raft::SnapshotChunk& chunk);
  Status RemoveAllParts();
  Result<std::optional<Incoming>> ReopenFile(const std::string& path);
  static Status WriteBlocks(Incoming& incoming, std::string_view data);

  FileSystem& fs_;
  const std::string directory_;
  const uint32_t block_bytes_;
  std::optional<Incoming> incoming_;
};

}  // namespace sluice::controller
