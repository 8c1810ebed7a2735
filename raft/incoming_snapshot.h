#pragma once
// IncomingSnapshot: what a follower knows of the snapshot that it is being sent. Its bytes are the
// store's: the core hands on one chunk at a time, and takes the next when that is durable; when all
// are, the whole is read back.
//
// Thread rule: part of the core; one owner.

#include <cstdint>

#include "raft/log_store.h"

namespace sluice::raft {

struct IncomingSnapshot {
  ReceivedSnapshot part;     // what is durable of it
  bool writing = false;      // a chunk is to be written, or on its way to the disk ...
  uint64_t persist_id = 0;   // ... with this write; 0: it was not handed over yet
  uint64_t chunk_bytes = 0;  // of that chunk
  uint64_t loading = 0;      // the whole is being read back; 0: it is not

  bool busy() const { return writing || loading != 0; }
  bool complete() const { return part.held == part.size_total; }
  bool IsOf(const SnapshotChunk& chunk) const {
    return part.meta == chunk.meta && part.whole_crc == chunk.whole_crc &&
           part.size_total == chunk.size_total;
  }
};

}  // namespace sluice::raft
