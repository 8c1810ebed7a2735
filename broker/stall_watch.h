#pragma once
// StallWatch: whether what a broker cannot do without still moves: the syncs of its log
// directories, and the loops that apply metadata and replicate. A heartbeat comes from a loop of
// its own and says nothing about those: without the watch a broker whose disk hangs leads for ever,
// and acknowledges nothing (reliability.md 6.5, a stuck disk counts as dead).
//
// Thread rule: one thread, or the loop that beats. Flushers and loops outlive the watch, except
// that a loop may have stopped: then it counts as stuck.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "storage/flusher.h"

namespace sluice::broker {

class StallWatch {
 public:
  // What lasts longer than `timeout_ms` is stuck; 0: nothing ever is.
  StallWatch(const Clock& clock, int64_t timeout_ms) : clock_(clock), timeout_ms_(timeout_ms) {}

  void WatchDisk(std::string path, const storage::Flusher& flusher);
  void WatchLoop(std::string name, EventLoop& loop);

  // What is stuck, for a person; empty when all moves. Asked regularly: a loop is looked at from
  // one call to the next.
  std::string WhatIsStuck();

 private:
  struct Disk {
    std::string path;
    const storage::Flusher* flusher;
  };
  struct Loop {
    std::string name;
    EventLoop* loop;
    // When the task was posted that has not run yet; -1: none is out. Shared with the task, which
    // may run after the watch is gone.
    std::shared_ptr<std::atomic<int64_t>> asked_ms;
  };

  const Clock& clock_;
  const int64_t timeout_ms_;
  std::vector<Disk> disks_;
  std::vector<Loop> loops_;
};

}  // namespace sluice::broker
