#pragma once
// ReplicationQuota: how many bytes a second may go to, or come for, replicas that are not in sync
// (KIP-73). A bucket of tokens that holds what a second gives: whoever takes more than there is
// leaves a debt, and nothing is given before that is paid, so that the rate holds over any time
// longer than a second, but for the last take. Full when a rate is set for the first time; one that
// is set after a while without goes on with what the last one left, and what the time gave since.
//
//   if (const int64_t bytes = quota.Available(); bytes > 0) quota.Take(Send(bytes));
//
// When not to use: for clients. They are told how long to wait; replicas are not asked for more.
//
// Thread rule: thread-safe; calls nothing but the clock.

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace sluice::broker {

class ReplicationQuota {
 public:
  explicit ReplicationQuota(const Clock& clock) : clock_(clock) {}

  // INT64_MAX: no limit; 0: nothing at all.
  void SetRate(int64_t bytes_per_second);
  // Without a lock, for those who would have to find out what else to ask it for.
  bool limited() const { return limited_.load(std::memory_order_relaxed); }
  // What may go now; INT64_MAX without a limit.
  int64_t Available();
  void Take(int64_t bytes);
  // Until something is available, at most kWaitMsMax.
  int64_t WaitMs();

  // A new rate is heeded within this time.
  static constexpr int64_t kWaitMsMax = 500;

 private:
  void Refill();  // mutex_ is held

  const Clock& clock_;
  std::atomic<bool> limited_{false};  // changed under mutex_
  std::mutex mutex_;                  // guards all below
  bool filled_ = false;               // once
  int64_t rate_ = 0;                  // bytes a second
  int64_t tokens_ = 0;                // thousandths of bytes; negative = debt
  int64_t filled_ms_ = 0;
};

// Of one broker; made by ReplicaManager. A replica for which two hold waits for both.
struct ReplicationThrottles {
  explicit ReplicationThrottles(const Clock& clock)
      : leader(clock),
        follower(clock),
        leader_moves(clock),
        follower_moves(clock),
        disk_moves(clock) {}
  // Of the replicas that topics list.
  ReplicationQuota leader;    // what it sends
  ReplicationQuota follower;  // what it fetches
  // Of the replicas that come with moves which have a rate (broker/replica/move_rates.h).
  ReplicationQuota leader_moves;
  ReplicationQuota follower_moves;
  // What it copies between its log directories.
  ReplicationQuota disk_moves;
};

}  // namespace sluice::broker
