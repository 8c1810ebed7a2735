#pragma once
// DiskLoop: the loop of a thread that waits for the disk: each task that is posted takes a while.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <utility>

#include "base/testing/pausable_loop.h"

namespace sluice::sim {

class DiskLoop final : public EventLoop {
 public:
  DiskLoop(testing::PausableLoop& inner, std::function<int64_t()> latency_ms)
      : inner_(inner), latency_ms_(std::move(latency_ms)) {}
  void Post(Task task) override { inner_.RunAfter(latency_ms_(), std::move(task)); }
  TimerId RunAfter(int64_t delay_ms, Task task) override {
    return inner_.RunAfter(delay_ms, std::move(task));
  }
  void Cancel(TimerId id) override { inner_.Cancel(id); }
  bool InLoopThread() const override { return true; }
  const Clock& clock() const override { return inner_.clock(); }

 private:
  testing::PausableLoop& inner_;
  const std::function<int64_t()> latency_ms_;
};

}  // namespace sluice::sim
