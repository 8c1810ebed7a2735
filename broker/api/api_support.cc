#include "broker/api/api_support.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "base/utf8.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

kafka::ErrorCode ErrorOf(const Status& status) {
  using kafka::ErrorCode;
  switch (status.code()) {
    case StatusCode::kOk: return ErrorCode::kNone;
    case StatusCode::kInvalidArgument: return ErrorCode::kInvalidRequest;
    case StatusCode::kNotFound: return ErrorCode::kUnknownTopicOrPartition;
    case StatusCode::kAlreadyExists: return ErrorCode::kTopicAlreadyExists;
    case StatusCode::kOutOfRange: return ErrorCode::kOffsetOutOfRange;
    case StatusCode::kCorruption:
    case StatusCode::kIoError:
    case StatusCode::kDiskFull: return ErrorCode::kKafkaStorageError;
    // Retriable: another controller or a later moment may do.
    case StatusCode::kUnavailable:
    case StatusCode::kTimeout:
    case StatusCode::kNotLeader:
    case StatusCode::kResourceExhausted: return ErrorCode::kRequestTimedOut;
    case StatusCode::kFenced: return ErrorCode::kStaleBrokerEpoch;
    case StatusCode::kUnsupported: return ErrorCode::kUnsupportedVersion;
    case StatusCode::kWouldWait:
    case StatusCode::kInternal: return ErrorCode::kUnknownServerError;
  }
  return ErrorCode::kUnknownServerError;
}

bool IsLegalTopicName(std::string_view name) { return metadata::CheckTopicName(name).ok(); }

Refusal CheckTopicText(std::string_view topic) {
  if (IsUtf8(topic)) return {};
  return {kafka::ErrorCode::kInvalidTopicException, "the topic's name is not UTF-8 text"};
}

Refusal CheckConfigText(std::string_view name, const std::optional<std::string>& value) {
  if (!IsUtf8(name)) return {kafka::ErrorCode::kInvalidConfig, "a config's name is not UTF-8 text"};
  if (!value.has_value() || IsUtf8(*value)) return {};
  return {kafka::ErrorCode::kInvalidConfig,
          "the value of config " + std::string(name) + " is not UTF-8 text"};
}

bool HasConfiguration(int8_t resource_type) {
  return resource_type == kTopicResource || resource_type == kBrokerResource ||
         resource_type == kGroupResource;
}

std::string NoConfiguration(int8_t resource_type) {
  return "resource type " + std::to_string(resource_type) +
         " has no configuration here; allowed are 2 (topic), 4 (broker) and 32 (group)";
}

const metadata::EndpointImage* FindEndpoint(const metadata::Image& image, NodeId broker,
                                            const std::string& listener) {
  const metadata::BrokerImage* found = image.FindBroker(broker);
  if (found == nullptr) return nullptr;
  for (const metadata::EndpointImage& endpoint : found->endpoints) {
    if (endpoint.listener == listener) return &endpoint;
  }
  return nullptr;
}

void WhenAppliedOrTimeout(BrokerServices& services, LogIndex index, int64_t timeout_ms,
                          std::function<void(bool applied)> done) {
  struct Waiting {
    std::atomic<bool> answered{false};
    std::function<void(bool)> done;
  };
  const auto waiting = std::make_shared<Waiting>();
  waiting->done = std::move(done);
  const auto answer = [waiting](bool applied) {
    if (!waiting->answered.exchange(true)) std::exchange(waiting->done, nullptr)(applied);
  };
  services.metadata->WhenApplied(index, [answer] { answer(true); });
  if (waiting->answered.load()) return;
  services.loop->RunAfter(timeout_ms, [answer] { answer(false); });
}

int64_t AdminTimeoutMs(const BrokerServices& services, int32_t asked_ms) {
  const int64_t most_ms = services.config->values.GetInt("request.timeout.ms");
  return std::clamp<int64_t>(asked_ms, 1, std::max<int64_t>(most_ms, 1));
}

std::set<std::string> Duplicates(const std::vector<std::string>& names) {
  std::set<std::string> seen;
  std::set<std::string> twice;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) twice.insert(name);
  }
  return twice;
}

LeaderHint LeaderOf(const BrokerServices& services, const PartitionKey& key,
                    const LeaderHint& known) {
  LeaderHint leader = known;
  const metadata::ImagePtr image = services.metadata->Current();
  const metadata::PartitionImage* partition = image->FindPartition(key.topic_id, key.partition);
  // Whoever waited here while the partition left this broker was told of nobody.
  if (leader.leader == kNoNode && partition != nullptr)
    leader = {partition->leader, partition->leader_epoch};
  return leader.leader == services.state->node_id ? LeaderHint() : leader;
}

}  // namespace sluice::broker
