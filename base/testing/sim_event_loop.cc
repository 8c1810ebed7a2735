#include "base/testing/sim_event_loop.h"

namespace sluice::testing {

bool SimScheduler::Step() {
  if (queue_.empty()) return false;
  auto node = queue_.extract(queue_.begin());
  const int64_t wait_micros = node.key().first - clock_.SteadyMicros();
  if (wait_micros > 0) clock_.AdvanceMicros(wait_micros);
  node.mapped().task();
  return true;
}

void SimScheduler::RunForMs(int64_t ms) {
  const int64_t end_micros = clock_.SteadyMicros() + ms * 1000;
  while (!queue_.empty() && queue_.begin()->first.first <= end_micros) Step();
  clock_.AdvanceMicros(end_micros - clock_.SteadyMicros());
}

bool SimScheduler::RunUntil(const std::function<bool()>& done, int64_t limit_ms) {
  const int64_t end_micros = clock_.SteadyMicros() + limit_ms * 1000;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > end_micros) return false;
    Step();
  }
  return true;
}

SimEventLoop::~SimEventLoop() {
  std::erase_if(scheduler_.queue_, [this](const auto& item) { return item.second.loop == this; });
}

EventLoop::TimerId SimEventLoop::RunAfter(int64_t delay_ms, Task task) {
  const TimerId id = scheduler_.next_sequence_++;
  const SimScheduler::Key key{scheduler_.clock_.SteadyMicros() + delay_ms * 1000, id};
  timers_.emplace(id, key);
  scheduler_.queue_.emplace(key, SimScheduler::Entry{this, [this, id, task = std::move(task)] {
                                                       timers_.erase(id);
                                                       task();
                                                     }});
  return id;
}

void SimEventLoop::Cancel(TimerId id) {
  const auto timer = timers_.find(id);
  if (timer == timers_.end()) return;
  scheduler_.queue_.erase(timer->second);
  timers_.erase(timer);
}

}  // namespace sluice::testing
