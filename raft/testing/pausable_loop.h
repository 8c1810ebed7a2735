#pragma once
// PausableLoop: a simulated event loop that can stand still, as a process does under SIGSTOP: time
// goes on, its tasks do not.
//
// Thread rule: one thread, as all of the simulator.

#include <deque>
#include <utility>

#include "base/testing/sim_event_loop.h"

namespace sluice::raft::testing {

class PausableLoop final : public EventLoop {
 public:
  explicit PausableLoop(sluice::testing::SimScheduler& scheduler) : inner_(scheduler) {}

  void Post(Task task) override { inner_.Post(Wrap(std::move(task))); }
  TimerId RunAfter(int64_t delay_ms, Task task) override {
    return inner_.RunAfter(delay_ms, Wrap(std::move(task)));
  }
  void Cancel(TimerId id) override { inner_.Cancel(id); }
  bool InLoopThread() const override { return true; }
  const Clock& clock() const override { return inner_.clock(); }

  bool paused() const { return paused_; }
  void Pause() { paused_ = true; }
  // What came due meanwhile runs now, in its order.
  void Resume() {
    paused_ = false;
    for (Task& task : std::exchange(backlog_, {})) inner_.Post(Wrap(std::move(task)));
  }

 private:
  Task Wrap(Task task) {
    return [this, task = std::move(task)]() mutable {
      if (paused_) {
        backlog_.push_back(std::move(task));
      } else {
        task();
      }
    };
  }

  sluice::testing::SimEventLoop inner_;
  bool paused_ = false;
  std::deque<Task> backlog_;
};

}  // namespace sluice::raft::testing
