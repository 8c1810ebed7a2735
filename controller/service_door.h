#pragma once
// ServiceDoor: the way from gRPC's threads to the controller's loop. After Close nothing new comes
// through, and whatever came before has run once a task posted afterwards runs; so every call that
// was let in is answered before the loop stops.
//
// Thread rule: thread-safe.

#include <mutex>
#include <utility>

#include "base/event_loop.h"

namespace sluice::controller {

class ServiceDoor {
 public:
  explicit ServiceDoor(EventLoop& loop) : loop_(loop) {}

  // False, and nothing done, when the door is closed.
  bool Post(EventLoop::Task task) {
    std::lock_guard lock(mutex_);
    if (!closed_) loop_.Post(std::move(task));
    return !closed_;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  EventLoop& loop_;
  std::mutex mutex_;  // guards closed_
  bool closed_ = false;
};

}  // namespace sluice::controller
