#pragma once
// What the node's voter tells of itself on the metrics page, under sluice_raft_*. Kafka's own names
// for term, leader and the log's ends are the admin service's (admin/metrics_collector.h).
//
// Thread rule: any thread.

#include <cstdint>
#include <map>

#include "admin/metrics_text.h"
#include "raft/driver.h"

namespace sluice::cli {

// Of controller::ControllerNode: messages_dropped() and streams_paused().
struct RaftTraffic {
  std::map<NodeId, uint64_t> dropped;
  uint64_t streams_paused = 0;
};

void WriteRaftMetrics(const raft::DriverStatus& status, const RaftTraffic& traffic,
                      admin::MetricsText& text);

}  // namespace sluice::cli
