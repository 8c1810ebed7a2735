#pragma once
// RetryPause: the wait between failed requests of one sender to the controller; it doubles with
// each failure.
//
// Thread rule: everything on the loop.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/event_loop.h"

namespace sluice::broker {

class RetryPause {
 public:
  // `loop` outlives it.
  RetryPause(EventLoop& loop, int64_t longest_ms) : loop_(loop), longest_ms_(longest_ms) {}

  bool active() const { return active_; }
  // Calls `then` after the pause. `owner` holds this object: if it is gone by then, nothing
  // happens.
  template <typename Owner>
  void Start(std::weak_ptr<Owner> owner, void (Owner::*then)()) {
    length_ms_ = std::clamp(length_ms_ * 2, kShortestMs, longest_ms_);
    active_ = true;
    loop_.RunAfter(length_ms_, [this, owner = std::move(owner), then] {
      const auto self = owner.lock();
      if (self == nullptr) return;
      active_ = false;
      (self.get()->*then)();
    });
  }
  // A request succeeded: the next pause is the shortest again.
  void Reset() { length_ms_ = 0; }

 private:
  static constexpr int64_t kShortestMs = 20;

  EventLoop& loop_;
  const int64_t longest_ms_;
  bool active_ = false;
  int64_t length_ms_ = 0;
};

}  // namespace sluice::broker
