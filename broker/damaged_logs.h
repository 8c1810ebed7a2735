#pragma once
// DamagedLogs: this broker's replicas whose logs were found damaged since it registered. Each
// heartbeat tells the controller of those that others can stand in for, until the metadata show
// that it has acted: then nothing is told any more, and nothing need be answered.
//
// Thread rule: thread-safe.

#include <mutex>
#include <set>
#include <utility>

#include "base/ids.h"
#include "base/uuid.h"

namespace sluice::broker {

class DamagedLogs {
 public:
  using Replica = std::pair<TopicId, PartitionIndex>;

  void Add(const Replica& replica) {
    std::lock_guard lock(mutex_);
    replicas_.insert(replica);
  }
  // The replica was removed from this broker, or what was damaged has been deleted.
  void Remove(const Replica& replica) {
    std::lock_guard lock(mutex_);
    replicas_.erase(replica);
  }
  std::set<Replica> List() const {
    std::lock_guard lock(mutex_);
    return replicas_;
  }

 private:
  mutable std::mutex mutex_;  // guards replicas_; nothing else is taken under it
  std::set<Replica> replicas_;
};

}  // namespace sluice::broker
