#pragma once
// The bytes of one metadata snapshot file (docs/formats/raft_log.md): a header that has a checksum
// of its own, then the state in blocks, each followed by its checksum. So any part can be read and
// checked without the rest, and of a file that is not whole one can tell how far it goes.
//
// Thread rule: a StoredSnapshot may be used from any thread; files with a name never change.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "raft/types.h"

namespace sluice::controller {

inline constexpr uint32_t kSnapshotBlockBytes = 64 << 10;

struct SnapshotLayout {
  raft::SnapshotMeta meta;
  uint64_t state_bytes = 0;
  uint32_t state_crc = 0;    // of all of the state
  uint32_t block_bytes = 0;  // of state in each block but the last; 0: no blocks, a file of old
  uint64_t state_at = 0;     // in the file
};

// Of a file that is being written. `state_at` is set.
std::string EncodeSnapshotHeader(SnapshotLayout& layout);
// The block that begins at `offset` of the state.
Status WriteSnapshotBlock(File& file, const SnapshotLayout& layout, uint64_t offset,
                          std::string_view block);
Status WriteSnapshot(File& file, const raft::Snapshot& snapshot, uint32_t block_bytes);

class StoredSnapshot {
 public:
  // kCorruption when the header does not hold; of a file of old, which has one checksum for all,
  // when that does not. Such a one is read whole for it.
  static Result<StoredSnapshot> Open(FileSystem& fs, const std::string& path);

  const SnapshotLayout& layout() const { return layout_; }
  // Fewer only at the end of the state. kCorruption when a block's checksum does not hold.
  Result<std::string> ReadState(uint64_t offset, uint64_t size) const;
  Result<raft::Snapshot> ReadWhole() const;

 private:
  StoredSnapshot(std::string path, std::shared_ptr<File> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Status ReadHeader();
  Status ReadOfOld(int16_t format);
  Status AppendBlock(uint64_t block, std::string& to) const;
  Result<std::string> ReadExactly(uint64_t at, uint64_t size) const;
  Status Damaged(const std::string& what) const;

  std::string path_;
  std::shared_ptr<File> file_;
  SnapshotLayout layout_;
};

}  // namespace sluice::controller
