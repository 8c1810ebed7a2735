#include "broker/net/network_loop.h"

#include <glog/logging.h>
#include <pthread.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "base/timer_queue.h"

namespace sluice::broker {

namespace asio = boost::asio;

struct NetworkLoop::Impl {
  explicit Impl(const Clock& clock) : clock(clock), work(io.get_executor()), alarm(io) {}

  // On the loop. Runs one timer, and others that are due behind the tasks that wait: timers that
  // set each other again at once keep nobody waiting.
  void RunDue() {
    Task due;
    {
      std::lock_guard lock(mutex);
      due = timers.TakeDue(clock.SteadyMs());
      if (due == nullptr) return SetAlarm();
    }
    due();
    asio::post(io, [this] { RunDue(); });
  }

  // On the loop, under the mutex.
  void SetAlarm() {
    alarm_ms = timers.first_ms();
    if (alarm_ms == TimerQueue::kNever) return;
    alarm.expires_after(std::chrono::milliseconds(alarm_ms - clock.SteadyMs()));
    alarm.async_wait([this](const boost::system::error_code& error) {
      if (!error) RunDue();
    });
  }

  const Clock& clock;
  // Without the hint of one thread, which would let tasks overtake those that other threads posted.
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer alarm;  // the loop's, as `due` tasks are
  std::atomic<bool> stopping = false;
  std::mutex mutex;  // guards all below but `thread`
  TimerQueue timers;
  // When the loop looks by itself. Most timers are cancelled before they are due: it need not wake
  // for those that are set later than that.
  int64_t alarm_ms = TimerQueue::kNever;
  std::thread thread;
};

NetworkLoop::NetworkLoop(const std::string& name, const Clock& clock)
    : impl_(std::make_unique<Impl>(clock)) {
  CHECK_LE(name.size(), 15U) << name;
  impl_->thread = std::thread([this] { impl_->io.run(); });
  pthread_setname_np(impl_->thread.native_handle(), name.c_str());
}

NetworkLoop::~NetworkLoop() { Stop(); }

void NetworkLoop::Stop() {
  CHECK(!InLoopThread());
  impl_->stopping = true;
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void NetworkLoop::Post(Task task) {
  if (impl_->stopping) return;
  asio::post(impl_->io, std::move(task));
}

EventLoop::TimerId NetworkLoop::RunAfter(int64_t delay_ms, Task task) {
  std::unique_lock lock(impl_->mutex);
  const int64_t deadline_ms = impl_->clock.SteadyMs() + delay_ms;
  const TimerId id = impl_->timers.Add(deadline_ms, std::move(task));
  if (deadline_ms >= impl_->alarm_ms) return id;
  impl_->alarm_ms = deadline_ms;
  lock.unlock();
  asio::post(impl_->io, [impl = impl_.get()] { impl->RunDue(); });
  return id;
}

void NetworkLoop::Cancel(TimerId id) {
  std::lock_guard lock(impl_->mutex);
  impl_->timers.Cancel(id);
}

bool NetworkLoop::InLoopThread() const {
  return std::this_thread::get_id() == impl_->thread.get_id();
}

const Clock& NetworkLoop::clock() const { return impl_->clock; }

boost::asio::io_context& NetworkLoop::io() { return impl_->io; }

}  // namespace sluice::broker
