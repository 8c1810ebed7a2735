#pragma once
// BrokerState: what this broker knows about itself, shared by its parts: identity, epoch, and the
// lease by which it may lead.
//
// Thread rule: fields are atomics or constant after construction.

#include <atomic>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/uuid.h"
#include "broker/damaged_logs.h"
#include "broker/leaderless_logs.h"
#include "broker/suspects.h"
#include "metadata/server_config.h"

namespace sluice::broker {

struct BrokerState {
  NodeId node_id = kNoNode;
  std::string cluster_id;
  Uuid directory_id;
  std::string rack;
  int64_t session_timeout_ms = 600;
  int64_t lease_margin_ms = -1;           // broker.lease.margin.ms
  std::atomic<int64_t> broker_epoch{-1};  // -1 until registered
  std::atomic<int64_t> lease_start_steady_ms{
      -1};  // when the controller's last quorum-confirmed round was sent (rule 10)
  std::atomic<bool> fenced{true};
  std::atomic<bool> leaving{false};  // a clean stop is under way
  // The last index that SyncProof has proven; 0 while there was nothing to prove.
  std::atomic<int64_t> synced_index{0};

  Suspects suspects;          // its peers whose connections broke
  DamagedLogs damaged;        // its own replicas that should not lead
  LeaderlessLogs leaderless;  // and those that nobody leads

  // How long a lease lasts: less than the session, for clocks of two hosts need not run alike, and
  // what was decided with it takes its time to leave.
  int64_t lease_ms() const { return metadata::LeaseMs(session_timeout_ms, lease_margin_ms); }
  // A leader acknowledges nothing once its lease is over: the controller may have given its
  // partitions to others.
  bool LeaseValid(const Clock& clock) const {
    const int64_t start_ms = lease_start_steady_ms.load(std::memory_order_relaxed);
    return start_ms >= 0 && clock.SteadyMs() - start_ms < lease_ms();
  }
  // Whether a leader's high watermark is where the partition ends. Who stops has a lease as long as
  // it has heartbeats, so that nothing stands still meanwhile; but the controllers give its
  // partitions to others, who need not wait for it, before it hears of that.
  bool MayTellEnds(const Clock& clock) const { return LeaseValid(clock) && !leaving; }
};

}  // namespace sluice::broker
