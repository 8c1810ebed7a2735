#include "broker/stall_watch.h"

#include <algorithm>
#include <utility>

namespace sluice::broker {

void StallWatch::WatchDisk(std::string path, const storage::Flusher& flusher,
                           std::unique_ptr<DiskWrites> writes) {
  const std::optional<uint64_t> completed = writes ? writes->Completed() : std::nullopt;
  disks_.push_back({std::move(path), &flusher, std::move(writes), completed, -1});
}

void StallWatch::WatchLoop(std::string name, EventLoop& loop) {
  loops_.push_back({std::move(name), &loop, std::make_shared<std::atomic<int64_t>>(-1), 0});
}

bool StallWatch::Stuck(Disk& disk, int64_t now_ms) const {
  // Also while no sync is under way: what is seen first when one is may be long ago.
  if (disk.writes != nullptr) {
    const std::optional<uint64_t> completed = disk.writes->Completed();
    if (completed.has_value() && completed != disk.completed) disk.wrote_ms = now_ms;
    disk.completed = completed;
  }
  const int64_t began_ms = disk.flusher->OldestSyncBeganMs();
  if (began_ms < 0) return false;
  return now_ms - std::max(began_ms, disk.wrote_ms) > timeout_ms_ ||
         now_ms - began_ms > kBusyTimeouts * timeout_ms_;
}

std::string StallWatch::WhatIsStuck() {
  if (timeout_ms_ == 0) return "";
  const int64_t now_ms = clock_.SteadyMs();
  const auto for_so_long = " for more than " + std::to_string(timeout_ms_) + " ms";
  std::string stuck;
  for (Disk& disk : disks_) {
    if (!Stuck(disk, now_ms) || !stuck.empty()) continue;
    stuck = "the disk of " + disk.path + " has not ended a sync" + for_so_long;
  }
  if (!stuck.empty()) return stuck;
  for (Loop& loop : loops_) {
    if (loop.asked_ms->load() < 0) {
      if (now_ms < loop.ask_ms) continue;
      loop.ask_ms = now_ms + timeout_ms_ / kAsksPerTimeout;
      *loop.asked_ms = now_ms;
      loop.loop->Post([asked_ms = loop.asked_ms] { *asked_ms = -1; });
    } else if (now_ms - loop.asked_ms->load() > timeout_ms_) {
      return "the thread \"" + loop.name + "\" has not moved" + for_so_long;
    }
  }
  return "";
}

}  // namespace sluice::broker
