#pragma once
// Suspects: the brokers whose connections to this one broke a moment ago. Until the controller has
// judged them (a broker's session), clients are told that their partitions have no leader: a client
// that hears of the dead leader again waits for its own next refresh, a second in librdkafka, while
// one that hears of none asks again at once.
//
// Thread rule: thread-safe.

#include <map>
#include <mutex>

#include "base/ids.h"

namespace sluice::broker {

class Suspects {
 public:
  // A fetch from `broker` failed for its connection's sake at `now_ms`.
  void Note(NodeId broker, int64_t now_ms) {
    std::lock_guard lock(mutex_);
    since_ms_.emplace(broker, now_ms);  // the first failure of a row counts
  }
  // A fetch from `broker` was answered.
  void Clear(NodeId broker) {
    std::lock_guard lock(mutex_);
    since_ms_.erase(broker);
  }
  // Whether the connection broke less than `window_ms` ago. An older suspicion proves nothing more:
  // had the broker died, the controller would have acted.
  bool Suspected(NodeId broker, int64_t now_ms, int64_t window_ms) const {
    std::lock_guard lock(mutex_);
    const auto found = since_ms_.find(broker);
    return found != since_ms_.end() && now_ms - found->second < window_ms;
  }

 private:
  mutable std::mutex mutex_;  // guards since_ms_
  std::map<NodeId, int64_t> since_ms_;
};

}  // namespace sluice::broker
