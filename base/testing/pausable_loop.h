#pragma once
// PausableLoop: a simulated event loop that can stand still, as a process does under SIGSTOP: time
// goes on, its tasks do not.
//
// Thread rule: one thread, as all of the simulator.

#include <deque>
#include <memory>
#include <utility>

#include "base/testing/sim_event_loop.h"

namespace sluice::testing {

class PausableLoop final : public EventLoop {
 public:
  // `clock`: of the host, where its wall time is another than the simulation's; not owned.
  explicit PausableLoop(SimScheduler& scheduler, const Clock* clock = nullptr)
      : inner_(scheduler), clock_(clock) {}

  void Post(Task task) override { RunAfter(0, std::move(task)); }
  TimerId RunAfter(int64_t delay_ms, Task task) override {
    const auto id = std::make_shared<TimerId>(0);
    *id = inner_.RunAfter(delay_ms, [this, id, task = std::move(task)]() mutable {
      if (paused_ || !backlog_.empty()) {
        backlog_.emplace_back(*id, std::move(task));
      } else {
        task();
      }
    });
    return *id;
  }
  void Cancel(TimerId id) override {
    inner_.Cancel(id);
    std::erase_if(backlog_, [id](const auto& entry) { return entry.first == id; });
  }
  bool InLoopThread() const override { return true; }
  const Clock& clock() const override { return clock_ != nullptr ? *clock_ : inner_.clock(); }

  bool paused() const { return paused_; }
  void Pause() { paused_ = true; }
  // What came due meanwhile runs now, in its order.
  void Resume() {
    if (!std::exchange(paused_, false)) return;
    inner_.Post([this] { RunBacklog(); });
  }

 private:
  void RunBacklog() {
    if (paused_ || backlog_.empty()) return;
    Task task = std::move(backlog_.front().second);
    backlog_.pop_front();
    inner_.Post([this] { RunBacklog(); });
    task();
  }

  SimEventLoop inner_;
  const Clock* const clock_;
  bool paused_ = false;
  std::deque<std::pair<TimerId, Task>> backlog_;
};

}  // namespace sluice::testing
