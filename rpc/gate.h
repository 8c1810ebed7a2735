#pragma once
// Gate: lets an object go although timers, posted tasks and gRPC callbacks still refer to it. They
// enter through the gate; Close keeps new ones out and waits for those inside.
//
// Thread rule: thread-safe. Close must not be called by a task that is inside.
//
//   loop.RunAfter(100, Guarded(gate_, [this] { Tick(); }));   // gate_: std::shared_ptr<Gate>
//   ~Owner() { gate_->Close(); }

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace sluice::rpc {

class Gate {
 public:
  // False once closed; otherwise Leave must follow.
  bool Enter() {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }
  void Leave() {
    std::lock_guard lock(mutex_);
    --inside_;
    if (closed_ && inside_ == 0) empty_.notify_all();
  }
  void Close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable empty_;
  int inside_ = 0;
  bool closed_ = false;
};

// `task`, skipped when the gate is closed by the time it would run.
template <typename Task>
auto Guarded(std::shared_ptr<Gate> gate, Task task) {
  return [gate = std::move(gate),
          task = std::move(task)]<typename... Arguments>(Arguments&&... arguments) mutable {
    if (!gate->Enter()) return;
    task(std::forward<Arguments>(arguments)...);
    gate->Leave();
  };
}

}  // namespace sluice::rpc
