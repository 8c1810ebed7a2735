#pragma once
// GroupConfig: what a coordinator obeys; names and defaults are Kafka's (kafka-features.md 3.14).
//
// Thread rule: a value.

#include <cstddef>
#include <cstdint>

#include "broker/group/consumer_group_config.h"

namespace sluice::broker {

struct GroupConfig {
  // Classic groups.
  int32_t session_ms_min = 6000;        // group.min.session.timeout.ms
  int32_t session_ms_max = 1800000;     // group.max.session.timeout.ms
  int32_t initial_rebalance_ms = 3000;  // group.initial.rebalance.delay.ms
  size_t members_max = 2147483647;      // group.max.size
  int64_t new_member_join_ms = 300000;  // a new member whose JoinGroup waits longer is dropped
  // Offsets.
  size_t metadata_bytes_max = 4096;            // offset.metadata.max.bytes
  int64_t offsets_retention_ms = 604800000;    // offsets.retention.minutes
  int64_t offsets_check_interval_ms = 600000;  // offsets.retention.check.interval.ms

  ConsumerGroupConfig consumer;
};

}  // namespace sluice::broker
