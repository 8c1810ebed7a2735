// FindCoordinator (key 10): which broker answers for a consumer group: the leader of the group's
// partition of __consumer_offsets, which is made when somebody first asks.
//   v1 key types, throttle time and error message.  v3 flexible.  v4 several keys at once
//   (KIP-699).  v6 share groups (KIP-932).
// Transactions and share groups are not offered: their coordinator is not available.

#include "kafka/messages/find_coordinator.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/api/topic_creator.h"
#include "broker/group/group_records.h"
#include "broker/group/offsets_view.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::FindCoordinatorRequest;
using Response = kafka::FindCoordinatorResponse;

constexpr int16_t kManyKeysSince = 4;
constexpr int16_t kShareSince = 6;
enum KeyType : int8_t { kGroup = 0, kTransaction = 1, kShare = 2 };

// Where a coordinator is, or why nobody knows.
struct Found {
  ErrorCode error = ErrorCode::kNone;
  NodeId node = kNoNode;
  std::string host;
  int32_t port = -1;
};

void CreateOffsetsTopic(BrokerServices& services, const metadata::Image& image) {
  const ConfigValues& values = services.config->values;
  const auto live = std::count_if(image.brokers.begin(), image.brokers.end(),
                                  [](const auto& entry) { return entry.second->active(); });
  const int64_t wanted = values.GetInt("offsets.topic.replication.factor");
  TopicCreator::Topic topic{.name = kOffsetsTopic, .configs = {}};
  topic.partitions = static_cast<int32_t>(values.GetInt("offsets.topic.num.partitions"));
  topic.replicas = static_cast<int32_t>(std::min<int64_t>(wanted, live));
  topic.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "producer"},
                   {"segment.bytes", values.GetString("offsets.topic.segment.bytes")}};
  if (live > 0) services.topic_creator->Create({std::move(topic)});
}

Found FindGroup(BrokerServices& services, const RequestContext& context, const std::string& group) {
  const metadata::ImagePtr image = services.metadata->Current();
  const auto topic = image->FindTopic(kOffsetsTopic);
  if (topic == nullptr || topic->partitions.empty()) {
    // Clients ask again, as with any coordinator that is not there yet.
    CreateOffsetsTopic(services, *image);
    return {ErrorCode::kCoordinatorNotAvailable};
  }
  const auto count = static_cast<int32_t>(topic->partitions.size());
  const NodeId leader =
      topic->partitions[static_cast<size_t>(PartitionForGroup(group, count))].leader;
  const BrokerState& state = *services.state;
  const bool suspected =
      state.suspects.Suspected(leader, services.clock->SteadyMs(), state.session_timeout_ms);
  const metadata::EndpointImage* endpoint =
      leader == kNoNode || suspected ? nullptr
                                     : FindEndpoint(*image, leader, context.connection->listener);
  if (endpoint == nullptr) return {ErrorCode::kCoordinatorNotAvailable};
  return {ErrorCode::kNone, leader, endpoint->host, endpoint->port};
}

Found Find(BrokerServices& services, const RequestContext& context, int8_t type,
           const std::string& key) {
  if (type == kGroup) return FindGroup(services, context, key);
  const bool known = type == kTransaction || (type == kShare && context.version >= kShareSince);
  return {known ? ErrorCode::kCoordinatorNotAvailable : ErrorCode::kInvalidRequest};
}

// Of a response before version 4, and of one key's answer since.
template <typename Out>
void Fill(const Found& found, Out& out) {
  out.error_code = WireError(found.error);
  if (found.error != ErrorCode::kNone)
    out.error_message = std::string(kafka::ErrorMessage(found.error));
  out.node_id = found.node.value();
  out.host = found.host;
  out.port = found.port;
}

void HandleFindCoordinator(BrokerServices& services, const RequestContext& context, Request request,
                           const Responder<Response>& responder) {
  Response response;
  bool failed = false;
  if (context.version < kManyKeysSince) {
    const Found found = Find(services, context, request.key_type, request.key);
    Fill(found, response);
    failed = found.error != ErrorCode::kNone;
  } else {
    for (std::string& key : request.coordinator_keys) {
      const Found found = Find(services, context, request.key_type, key);
      auto& out = response.coordinators.emplace_back();
      Fill(found, out);
      out.key = std::move(key);
      failed = failed || found.error != ErrorCode::kNone;
    }
  }
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(response);
}

}  // namespace

const ApiHandler kFindCoordinatorApi = Serve<Request, Response, &HandleFindCoordinator>(0, 6);

}  // namespace sluice::broker
