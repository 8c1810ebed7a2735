#include "raft/log_store.h"

#include "base/crc32c.h"

namespace sluice::raft {

SnapshotChunk ChunkOf(const Snapshot& snapshot, const SnapshotRead& read) {
  const std::string& whole = *snapshot.data;
  SnapshotChunk chunk{.meta = snapshot.meta,
                      .offset = read.offset,
                      .size_total = whole.size(),
                      .whole_crc = Crc32c(whole)};
  chunk.data = whole.substr(read.offset, read.bytes_max);
  chunk.chunk_crc = Crc32c(chunk.data);
  return chunk;
}

}  // namespace sluice::raft
