#include "base/event_loop.h"

#include <glog/logging.h>
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

#include "base/timer_queue.h"

namespace sluice {

namespace {

constexpr int64_t kAwake = std::numeric_limits<int64_t>::min();

}  // namespace

struct ThreadEventLoop::Impl {
  explicit Impl(const Clock& clock) : clock(clock) {}

  // Blocks until there is something to run or the loop stops; nullptr means stop.
  Task Next() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      const int64_t now_ms = clock.SteadyMs();
      // In turns, so that timers which set each other again at once keep no task waiting.
      if (tasks.empty() || !timer_was_last) {
        if (Task task = timers.TakeDue(now_ms)) {
          timer_was_last = true;
          return task;
        }
      }
      timer_was_last = false;
      if (!tasks.empty()) {
        Task task = std::move(tasks.front());
        tasks.pop_front();
        return task;
      }
      Wait(lock, now_ms);
    }
    return nullptr;
  }

  void Wait(std::unique_lock<std::mutex>& lock, int64_t now_ms) {
    sleeps_until_ms = timers.first_ms();
    if (sleeps_until_ms == TimerQueue::kNever) {
      wake.wait(lock);
    } else {
      wake.wait_for(lock, std::chrono::milliseconds(sleeps_until_ms - now_ms));
    }
    sleeps_until_ms = kAwake;
  }

  void Run() {
    while (Task task = Next()) task();
  }

  const Clock& clock;
  std::mutex mutex;  // guards all below but `thread`
  std::condition_variable wake;
  std::deque<Task> tasks;
  TimerQueue timers;
  // When the thread looks again by itself. Most timers are set by requests that wait for something
  // and cancelled when it happens: it need not wake for them.
  int64_t sleeps_until_ms = kAwake;
  bool timer_was_last = false;
  bool stopping = false;
  std::thread thread;
};

ThreadEventLoop::ThreadEventLoop(const std::string& name, const Clock& clock)
    : impl_(std::make_unique<Impl>(clock)) {
  CHECK_LE(name.size(), 15U) << name;
  impl_->thread = std::thread([this] { impl_->Run(); });
  pthread_setname_np(impl_->thread.native_handle(), name.c_str());
}

ThreadEventLoop::~ThreadEventLoop() { Stop(); }

void ThreadEventLoop::Stop() {
  CHECK(!InLoopThread());
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void ThreadEventLoop::Post(Task task) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return;
    impl_->tasks.push_back(std::move(task));
  }
  impl_->wake.notify_one();
}

EventLoop::TimerId ThreadEventLoop::RunAfter(int64_t delay_ms, Task task) {
  TimerId id = 0;
  bool sleeps_too_long = false;
  {
    std::lock_guard lock(impl_->mutex);
    const int64_t deadline_ms = impl_->clock.SteadyMs() + delay_ms;
    id = impl_->timers.Add(deadline_ms, std::move(task));
    sleeps_too_long = deadline_ms < impl_->sleeps_until_ms;
  }
  if (sleeps_too_long) impl_->wake.notify_one();
  return id;
}

void ThreadEventLoop::Cancel(TimerId id) {
  std::lock_guard lock(impl_->mutex);
  impl_->timers.Cancel(id);
}

bool ThreadEventLoop::InLoopThread() const {
  return std::this_thread::get_id() == impl_->thread.get_id();
}

const Clock& ThreadEventLoop::clock() const { return impl_->clock; }

}  // namespace sluice
