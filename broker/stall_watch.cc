#include "broker/stall_watch.h"

#include <utility>

namespace sluice::broker {

void StallWatch::WatchDisk(std::string path, const storage::Flusher& flusher) {
  disks_.push_back({std::move(path), &flusher});
}

void StallWatch::WatchLoop(std::string name, EventLoop& loop) {
  loops_.push_back({std::move(name), &loop, std::make_shared<std::atomic<int64_t>>(-1)});
}

std::string StallWatch::WhatIsStuck() {
  if (timeout_ms_ == 0) return "";
  const int64_t now_ms = clock_.SteadyMs();
  const auto for_so_long = " for more than " + std::to_string(timeout_ms_) + " ms";
  for (const Disk& disk : disks_) {
    const int64_t began_ms = disk.flusher->OldestSyncBeganMs();
    if (began_ms >= 0 && now_ms - began_ms > timeout_ms_)
      return "the disk of " + disk.path + " has not ended a sync" + for_so_long;
  }
  for (const Loop& loop : loops_) {
    if (loop.asked_ms->load() < 0) {
      *loop.asked_ms = now_ms;
      loop.loop->Post([asked_ms = loop.asked_ms] { *asked_ms = -1; });
    } else if (now_ms - loop.asked_ms->load() > timeout_ms_) {
      return "the thread \"" + loop.name + "\" has not moved" + for_so_long;
    }
  }
  return "";
}

}  // namespace sluice::broker
