#pragma once
// EventLoop: runs tasks one after another, now or after a delay, on behalf of one owner.
// ThreadEventLoop has a thread of its own; base/testing/sim_event_loop.h runs many loops on one
// virtual clock.
//
// Thread rule: Post, RunAfter and Cancel from any thread; tasks run on the loop's thread only.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"

namespace sluice {

class EventLoop {
 public:
  using Task = std::function<void()>;
  using TimerId = uint64_t;  // 0 is never given out

  virtual ~EventLoop() = default;
  // Runs `task` soon, after those posted before it.
  virtual void Post(Task task) = 0;
  // Runs `task` once, `delay_ms` from now or a little later.
  virtual TimerId RunAfter(int64_t delay_ms, Task task) = 0;
  // Forgets a timer that has not fired. Called on the loop's thread it guarantees that the task
  // will not run.
  virtual void Cancel(TimerId id) = 0;
  virtual bool InLoopThread() const = 0;
  virtual const Clock& clock() const = 0;
};

// An EventLoop on a thread of its own, started by the constructor. The destructor (or Stop) drops
// what has not run and joins; neither may be called from a task.
class ThreadEventLoop final : public EventLoop {
 public:
  // `name`: at most 15 characters, shown by top and gdb. `clock` must outlive the loop.
  ThreadEventLoop(const std::string& name, const Clock& clock);
  ~ThreadEventLoop() override;

  void Post(Task task) override;
  TimerId RunAfter(int64_t delay_ms, Task task) override;
  void Cancel(TimerId id) override;
  bool InLoopThread() const override;
  const Clock& clock() const override;
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
