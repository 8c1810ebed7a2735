#include "broker/leaderless_logs.h"

#include <algorithm>

namespace sluice::broker {

void LeaderlessLogs::Note(const Replica& replica, bool leaderless) {
  std::lock_guard lock(mutex_);
  if (leaderless) {
    replicas_.insert(replica);
  } else {
    replicas_.erase(replica);
  }
}

std::vector<LeaderlessLogs::Replica> LeaderlessLogs::NextToTell() {
  std::lock_guard lock(mutex_);
  std::vector<Replica> next;
  if (!offered_.empty()) return next;
  const size_t count = std::min(kToldMax, replicas_.size());
  auto it = replicas_.upper_bound(last_);
  while (next.size() < count) {
    if (it == replicas_.end()) it = replicas_.begin();
    next.push_back(*it++);
  }
  if (!next.empty()) last_ = next.back();
  return next;
}

void LeaderlessLogs::Offer(std::vector<End> ends) {
  std::lock_guard lock(mutex_);
  offered_ = std::move(ends);
}

std::vector<LeaderlessLogs::End> LeaderlessLogs::Take() {
  std::lock_guard lock(mutex_);
  return std::exchange(offered_, {});
}

}  // namespace sluice::broker
