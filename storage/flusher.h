#pragma once
// Flusher: group commit for one log directory (docs/decisions/0006-group-commit.md). Partitions
// with unsynced bytes are submitted; a small pool takes all that gathered, syncs them together
// (fdatasync each for few, one syncfs for many), and reports the whole group at once. While one
// group is on the disk the next gathers: there is no linger.
//
// Thread rule: Submit from any thread, under any guard: it waits for no capture and no report.
// Those run on a flusher thread (or the simulator's loop).

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "storage/log.h"

namespace sluice::storage {

// A partition, as its flusher sees it.
class Flushable {
 public:
  virtual ~Flushable() = default;
  // Asked when the group is formed, under the partition's own guard, so that it captures all
  // appended by then.
  virtual FlushTarget CaptureFlush() = 0;
};
using FlushablePtr = std::shared_ptr<Flushable>;

struct Flushed {
  FlushablePtr partition;
  Offset upto;     // as captured
  Status outcome;  // of the sync, or why there was none
};
// Told of each group when it is on the disk, or has failed.
using FlushReport = std::function<void(std::span<const Flushed> group)>;

// Who dirties very many partitions submits so many of them ahead: they are synced while the others
// are still being appended to.
inline constexpr size_t kSubmitAheadPartitions = 128;

class Flusher {
 public:
  virtual ~Flusher() = default;
  // What is submitted together is one group, if it can be. A partition that waits already is not
  // added again: its capture comes later and covers this submission too.
  virtual void Submit(std::span<const FlushablePtr> dirty) = 0;
  // Waits until all submitted before is done; used at shutdown and in tests.
  virtual void Drain() = 0;
  // When the oldest sync that has not ended began, by Clock::SteadyMs; -1: none is under way. From
  // any thread.
  virtual int64_t OldestSyncBeganMs() const = 0;
};

struct ThreadFlusherOptions {
  std::string directory;
  FlushReport report;
  // More partitions than this that wait at the same time are synced by one syncfs of the file
  // system that holds `directory`.
  int syncfs_threshold = 4;
  int threads = 2;
  // Where flushes are counted and timed; null: nowhere. Outlives the flusher.
  MetricsRegistry* metrics = nullptr;
  const Clock* clock = nullptr;  // never null; outlives the flusher
};
std::unique_ptr<Flusher> NewThreadFlusher(FileSystem& fs, ThreadFlusherOptions options);

}  // namespace sluice::storage
