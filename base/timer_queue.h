#pragma once
// TimerQueue: tasks by the time at which they are due, for event loops.
//
// Thread rule: one owner, who locks if it must.

#include <cstdint>
#include <limits>
#include <map>
#include <utility>

#include "base/event_loop.h"

namespace sluice {

class TimerQueue {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  EventLoop::TimerId Add(int64_t deadline_ms, EventLoop::Task task) {
    const EventLoop::TimerId id = next_id_++;
    timers_.emplace(std::pair(deadline_ms, id), std::move(task));
    deadlines_.emplace(id, deadline_ms);
    return id;
  }
  void Cancel(EventLoop::TimerId id) {
    const auto deadline = deadlines_.find(id);
    if (deadline == deadlines_.end()) return;
    timers_.erase({deadline->second, id});
    deadlines_.erase(deadline);
  }
  // The first that is due; null when none is. Of one time, those come first that were added first.
  EventLoop::Task TakeDue(int64_t now_ms) {
    if (first_ms() > now_ms) return nullptr;
    const auto first = timers_.begin();
    EventLoop::Task task = std::move(first->second);
    deadlines_.erase(first->first.second);
    timers_.erase(first);
    return task;
  }
  // When the first is due; kNever when there is none.
  int64_t first_ms() const { return timers_.empty() ? kNever : timers_.begin()->first.first; }

 private:
  std::map<std::pair<int64_t, EventLoop::TimerId>, EventLoop::Task> timers_;  // by (deadline, id)
  std::map<EventLoop::TimerId, int64_t> deadlines_;
  EventLoop::TimerId next_id_ = 1;
};

}  // namespace sluice
