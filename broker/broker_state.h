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
#include "broker/suspects.h"

namespace sluice::broker {

struct BrokerState {
  NodeId node_id = kNoNode;
  std::string cluster_id;
  Uuid directory_id;
  std::string rack;
  int64_t session_timeout_ms = 600;
  std::atomic<int64_t> broker_epoch{-1};  // -1 until registered
  std::atomic<int64_t> lease_start_steady_ms{
      -1};  // when the controller's last quorum-confirmed round was sent (rule 10)
  std::atomic<bool> fenced{true};

  Suspects suspects;    // its peers whose connections broke
  DamagedLogs damaged;  // its own replicas that should not lead

  // A leader acknowledges nothing once its lease is older than the session: the controller may have
  // given its partitions to others.
  bool LeaseValid(const Clock& clock) const {
    const int64_t start_ms = lease_start_steady_ms.load(std::memory_order_relaxed);
    return start_ms >= 0 && clock.SteadyMs() - start_ms < session_timeout_ms;
  }
};

}  // namespace sluice::broker
