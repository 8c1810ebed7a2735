#pragma once
// Small things that several API handlers share: naming topics, finding endpoints, turning a Status
// into a wire error, and waiting until this broker has applied a change.
//
// Thread rule: functions from any thread.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "broker/api/broker_services.h"
#include "broker/api/handler.h"
#include "kafka/error_code.h"
#include "metadata/image.h"

namespace sluice::broker {

// What one of our own operations reports, as a client should hear it.
kafka::ErrorCode ErrorOf(const Status& status);

// As metadata::CheckTopicName.
bool IsLegalTopicName(std::string_view name);

// Why a request, or one item of it, is not carried out; kNone = nothing stands against it.
struct Refusal {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  std::string message;
};
// Whether text may go on to the controller, whose messages take only UTF-8. Kafka's strings are to
// be that as well, but its wire format lets anything through.
Refusal CheckTopicText(std::string_view topic);
Refusal CheckConfigText(std::string_view name, const std::optional<std::string>& value);

// Kafka's codes for the kinds of resources that have configuration.
inline constexpr int8_t kTopicResource = 2;
inline constexpr int8_t kBrokerResource = 4;
inline constexpr int8_t kClientMetricsResource = 16;  // known to clients; there are none here
inline constexpr int8_t kGroupResource = 32;
// Whether that kind can be described and altered here.
bool HasConfiguration(int8_t resource_type);
// The message when it cannot.
std::string NoConfiguration(int8_t resource_type);

// The broker's address on the listener, or null when it has none there.
const metadata::EndpointImage* FindEndpoint(const metadata::Image& image, NodeId broker,
                                            const std::string& listener);

// All operations on a resource, as the bit set of Kafka's codes: without an authorizer everybody
// may do everything.
inline constexpr int32_t kAllTopicOperations = 0b110111111000;
inline constexpr int32_t kAllClusterOperations = 0b1111110100000;

// Runs `done` once this broker has applied `index`, or with false after `timeout_ms`; on any
// thread, once.
void WhenAppliedOrTimeout(BrokerServices& services, LogIndex index, int64_t timeout_ms,
                          std::function<void(bool applied)> done);

// An admin request's time, kept within what a client may ask for.
int64_t AdminTimeoutMs(const BrokerServices& services, int32_t asked_ms);

// Names that occur more than once.
std::set<std::string> Duplicates(const std::vector<std::string>& names);

// Whom a client is to turn to: `known`, or else what the image says. None when that is this broker,
// which has just refused: who will lead is not known here yet.
LeaderHint LeaderOf(const BrokerServices& services, const PartitionKey& key,
                    const LeaderHint& known);

// Adds the leaders' endpoints, each once, to a response's node_endpoints (KIP-951).
template <typename NodeEndpoint>
void AddNodeEndpoint(const metadata::Image& image, NodeId broker, const std::string& listener,
                     std::vector<NodeEndpoint>& out) {
  for (const NodeEndpoint& known : out) {
    if (known.node_id == broker.value()) return;
  }
  const metadata::EndpointImage* endpoint = FindEndpoint(image, broker, listener);
  if (endpoint == nullptr) return;
  NodeEndpoint& added = out.emplace_back();
  added.node_id = broker.value();
  added.host = endpoint->host;
  added.port = endpoint->port;
  if (const std::string& rack = image.FindBroker(broker)->rack; !rack.empty()) added.rack = rack;
}

}  // namespace sluice::broker
