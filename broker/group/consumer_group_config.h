#pragma once
// ConsumerGroupConfig: what groups of the consumer protocol obey; names and defaults are Kafka's.
//
// Thread rule: a value.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace sluice::broker {

struct ConsumerGroupConfig {
  int32_t session_ms = 45000;                                // group.consumer.session.timeout.ms
  int32_t heartbeat_ms = 5000;                               // group.consumer.heartbeat.interval.ms
  size_t members_max = std::numeric_limits<int32_t>::max();  // group.consumer.max.size
  // group.consumer.assignors; the first is that of members that name none.
  std::vector<std::string> assignors = {"uniform", "range"};
  // group.consumer.migration.policy: whether a classic group may become one of the consumer
  // protocol when a member of that comes, and the other way round when the last of these leaves.
  bool may_upgrade = true;
  bool may_downgrade = true;
  int64_t regex_refresh_ms = 600000;  // group.consumer.regex.refresh.interval.ms
  // What members are told while their group has not settled, if that is less: a member learns of
  // a rebalance, and that others have given up what it waits for, with its next heartbeat only.
  int32_t reconcile_heartbeat_ms = 500;
};

}  // namespace sluice::broker
