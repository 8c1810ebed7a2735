#pragma once
// Group configuration: the keys that can be set for one consumer group (KIP-848: GROUP resources;
// Kafka's names and types), their checks, and the effective values: group > the server's value of
// the same thing (group.consumer...). A group need not exist to have some.
//
// Thread rule: pure functions over immutable values.

#include <optional>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/status.h"
#include "metadata/topic_config.h"

namespace sluice::metadata {

inline constexpr std::string_view kGroupSessionTimeoutKey = "consumer.session.timeout.ms";
inline constexpr std::string_view kGroupHeartbeatIntervalKey = "consumer.heartbeat.interval.ms";

ConfigTable GroupConfigKeys();
// The server key whose value is the default of a group's. REQUIRES: `key` is in GroupConfigKeys().
std::string_view ServerKeyOfGroupKey(std::string_view key);

// The values that are set for one group, with the server's for what is not, against the limits that
// the server's keys set (group.consumer.min.session.timeout.ms and its like), and with each other.
// Each value has been checked against its own row. kInvalidArgument names key, value and limit.
// Without `values` these are the server's own, which are the defaults of all groups.
Status CheckGroupConfigs(const ConfigMap& values, const ConfigValues& server);

// REQUIRES: `key` is in GroupConfigKeys().
EffectiveConfig EffectiveGroupConfig(const TopicConfigScope& scope, const std::string& group,
                                     std::string_view key);
// What is set for the group itself, as a number.
std::optional<int32_t> GroupConfigNumber(const Image& image, const std::string& group,
                                         std::string_view key);

}  // namespace sluice::metadata
