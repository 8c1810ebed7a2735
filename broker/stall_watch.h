#pragma once
// StallWatch: whether what a broker cannot do without still moves: the syncs of its log
// directories, and the loops that apply metadata and replicate. A heartbeat comes from a loop of
// its own and says nothing about those: without the watch a broker whose disk hangs leads for ever,
// and acknowledges nothing (reliability.md 6.5, a stuck disk counts as dead).
//
// A sync that lasts says little by itself: a slow disk with gigabytes to write takes its time, and
// if the broker gave up its leads for that, their load would do the same to the next one. So a disk
// is stuck when a sync lasts and the disk has completed no write for as long, where that can be
// told. There is an end to that, ten times as long: what the disk writes may be another file's,
// and this one's sync may never end.
//
// Thread rule: one thread, or the loop that beats. Flushers and loops outlive the watch, except
// that a loop may have stopped: then it counts as stuck.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk_writes.h"
#include "base/event_loop.h"
#include "storage/flusher.h"

namespace sluice::broker {

class StallWatch {
 public:
  // What lasts longer than `timeout_ms` is stuck; 0: nothing ever is.
  StallWatch(const Clock& clock, int64_t timeout_ms) : clock_(clock), timeout_ms_(timeout_ms) {}

  // `writes`: of the disk that holds the directory; null: a sync that lasts is all that tells.
  void WatchDisk(std::string path, const storage::Flusher& flusher,
                 std::unique_ptr<DiskWrites> writes);
  void WatchLoop(std::string name, EventLoop& loop);

  // What is stuck, for a person; empty when all moves. Asked regularly: loops and disks are looked
  // at from one call to the next.
  std::string WhatIsStuck();

 private:
  struct Disk {
    std::string path;
    const storage::Flusher* flusher;
    std::unique_ptr<DiskWrites> writes;  // null: nothing tells
    std::optional<uint64_t> completed;   // when it was last looked at
    int64_t wrote_ms;                    // when that was last seen to be another number; -1: never
  };
  struct Loop {
    std::string name;
    EventLoop* loop;
    // When the task was posted that has not run yet; -1: none is out. Shared with the task, which
    // may run after the watch is gone.
    std::shared_ptr<std::atomic<int64_t>> asked_ms;
    int64_t ask_ms;  // not before then again
  };

  static constexpr int64_t kBusyTimeouts = 10;
  // How often a loop is asked within the timeout: more would only wake it up.
  static constexpr int64_t kAsksPerTimeout = 10;

  bool Stuck(Disk& disk, int64_t now_ms) const;

  const Clock& clock_;
  const int64_t timeout_ms_;
  std::vector<Disk> disks_;
  std::vector<Loop> loops_;
};

}  // namespace sluice::broker
