#pragma once
// What consumers of a classic group embed in JoinGroup (their subscription) and SyncGroup (their
// assignment). A coordinator reads and writes it when members of both protocols share a group, and
// to know which topics a group subscribes to. The versions are negotiated with nobody, so a version
// of the future is taken for the newest known, and what follows it is not looked at, as in Kafka.
//
// Thread rule: pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kafka/messages/consumer_protocol_assignment.h"
#include "kafka/messages/consumer_protocol_subscription.h"

namespace sluice::kafka {

// The protocol type of the groups that hold these bytes; those of any other are opaque.
inline constexpr std::string_view kConsumerProtocolType = "consumer";

// The version as it stands in front of a subscription or an assignment.
Result<int16_t> ConsumerProtocolVersion(std::string_view bytes);

Result<ConsumerProtocolSubscription> DecodeConsumerSubscription(std::string_view bytes);
Result<ConsumerProtocolAssignment> DecodeConsumerAssignment(std::string_view bytes);

// For a version above the newest known the newest is written.
Result<std::string> EncodeConsumerSubscription(const ConsumerProtocolSubscription& subscription,
                                               int16_t version);
Result<std::string> EncodeConsumerAssignment(const ConsumerProtocolAssignment& assignment,
                                             int16_t version);

}  // namespace sluice::kafka
