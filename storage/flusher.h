#pragma once
// Flusher: group commit for one log directory (architecture.md section 4). Partitions with unsynced
// bytes are submitted; a small pool takes all that gathered, syncs them together (fdatasync each
// for few, one syncfs for many), and reports. While one group is on the disk the next gathers:
// there is no linger.
//
// Thread rule: Submit from any thread; `done` runs on a flusher thread (or the simulator's loop).

#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "storage/log.h"

namespace sluice::storage {

class Flusher {
 public:
  // Asked when the group is formed, under the partition's own guard, so that it captures all
  // appended by then.
  using Capture = std::function<FlushTarget()>;
  using Done = std::function<void(Offset upto, const Status& outcome)>;

  virtual ~Flusher() = default;
  // `key` identifies the partition: while a submission of it waits, further ones of the same key
  // join it and only the first Done is kept.
  virtual void Submit(const void* key, Capture capture, Done done) = 0;
  // Waits until all submitted before is done; used at shutdown and in tests.
  virtual void Drain() = 0;
};

// `syncfs_threshold`: groups with more dirty files than this are synced by one syncfs of the file
// system that holds `directory`.
std::unique_ptr<Flusher> NewThreadFlusher(FileSystem& fs, const std::string& directory, int threads,
                                          int syncfs_threshold);

}  // namespace sluice::storage
