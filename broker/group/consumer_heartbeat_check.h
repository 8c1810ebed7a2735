#pragma once
// What can be said of a ConsumerGroupHeartbeat without knowing its group.
//
// Thread rule: pure.

#include <optional>
#include <string>

#include "broker/group/consumer_group_config.h"
#include "kafka/error_code.h"
#include "kafka/messages/consumer_group_heartbeat.h"

namespace sluice::broker {

// Why a request is refused, for the wire and for a person.
struct GroupRefusal {
  kafka::ErrorCode code = kafka::ErrorCode::kNone;
  std::string message;
};

// nullopt for a sound request. `version` is the API's.
std::optional<GroupRefusal> CheckConsumerHeartbeat(
    const kafka::ConsumerGroupHeartbeatRequest& request, int16_t version,
    const ConsumerGroupConfig& config);

kafka::ConsumerGroupHeartbeatResponse RefusedHeartbeat(const GroupRefusal& refusal);

}  // namespace sluice::broker
