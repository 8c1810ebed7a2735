#pragma once
// SimScheduler and SimEventLoop: many event loops on one virtual clock. The scheduler owns time;
// each loop stands for one thread of one simulated node. Tasks run in the order of their due time,
// ties in the order of posting, so that a run depends on nothing but its inputs.
//
// Thread rule: one thread for all of it.

#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "base/event_loop.h"
#include "base/testing/sim_clock.h"

namespace sluice::testing {

class SimScheduler {
 public:
  SimClock& clock() { return clock_; }
  // Runs the next task, moving the clock to its time. False when there is none.
  bool Step();
  // Runs all that is due until `ms` from now, and leaves the clock there.
  void RunForMs(int64_t ms);
  // Runs until `done()` holds or `limit_ms` of virtual time has passed; says whether it held.
  bool RunUntil(const std::function<bool()>& done, int64_t limit_ms);

 private:
  friend class SimEventLoop;
  struct Entry {
    const void* loop;
    EventLoop::Task task;
  };
  using Key = std::pair<int64_t, uint64_t>;  // due time in microseconds, sequence
  SimClock clock_;
  uint64_t next_sequence_ = 1;
  std::map<Key, Entry> queue_;
};

// Destroying a loop drops its tasks, as a crash does.
class SimEventLoop final : public EventLoop {
 public:
  explicit SimEventLoop(SimScheduler& scheduler) : scheduler_(scheduler) {}
  ~SimEventLoop() override;
  void Post(Task task) override { RunAfter(0, std::move(task)); }
  TimerId RunAfter(int64_t delay_ms, Task task) override;
  void Cancel(TimerId id) override;
  bool InLoopThread() const override { return std::this_thread::get_id() == thread_; }
  const Clock& clock() const override { return scheduler_.clock_; }

 private:
  SimScheduler& scheduler_;
  const std::thread::id thread_ = std::this_thread::get_id();  // that made it runs it
  std::map<TimerId, SimScheduler::Key> timers_;                // those not yet run
};

}  // namespace sluice::testing
