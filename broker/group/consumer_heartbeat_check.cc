#include "broker/group/consumer_heartbeat_check.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "broker/group/consumer_member.h"
#include "kafka/string_limit.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::kStringBytesMax;
using Request = kafka::ConsumerGroupHeartbeatRequest;

std::optional<GroupRefusal> Invalid(std::string message) {
  return GroupRefusal{ErrorCode::kInvalidRequest, std::move(message)};
}

// As in Kafka, a string of blanks is one too.
bool IsBlank(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
}

bool IsTooLong(const std::optional<std::string>& text) {
  return text.has_value() && text->size() > kStringBytesMax;
}

std::optional<GroupRefusal> CheckStrings(const Request& request, int16_t version) {
  // From version 1 on the client chooses its id; before, only its first heartbeat has none.
  const bool needs_id =
      version >= 1 || request.member_epoch > 0 || request.member_epoch == kLeaveEpoch;
  if (needs_id && IsBlank(request.member_id)) return Invalid("MemberId can't be empty.");
  if (IsBlank(request.group_id)) return Invalid("GroupId can't be empty.");
  if (request.instance_id.has_value() && IsBlank(*request.instance_id))
    return Invalid("InstanceId can't be empty.");
  if (request.rack_id.has_value() && IsBlank(*request.rack_id))
    return Invalid("RackId can't be empty.");
  if (IsTooLong(request.group_id) || IsTooLong(request.member_id) ||
      IsTooLong(request.instance_id) || IsTooLong(request.rack_id) ||
      IsTooLong(request.subscribed_topic_regex)) {
    return Invalid("A string is longer than 32767 bytes.");
  }
  if (!request.subscribed_topic_names.has_value()) return std::nullopt;
  for (const std::string& name : *request.subscribed_topic_names) {
    if (name.size() > kStringBytesMax) return Invalid("A string is longer than 32767 bytes.");
  }
  return std::nullopt;
}

std::optional<GroupRefusal> CheckEpoch(const Request& request) {
  if (request.member_epoch == 0) {
    if (request.rebalance_timeout_ms == -1)
      return Invalid("RebalanceTimeoutMs must be provided in first request.");
    if (!request.topic_partitions.has_value() || !request.topic_partitions->empty())
      return Invalid("TopicPartitions must be empty when (re-)joining.");
    if (!request.subscribed_topic_names.has_value() &&
        !request.subscribed_topic_regex.has_value()) {
      return Invalid(
          "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
          "(re-)joining.");
    }
  } else if (request.member_epoch == kStaticLeaveEpoch) {
    if (!request.instance_id.has_value()) return Invalid("InstanceId can't be null.");
  } else if (request.member_epoch < kStaticLeaveEpoch) {
    return Invalid("MemberEpoch is invalid.");
  }
  return std::nullopt;
}

std::optional<GroupRefusal> CheckAssignor(const Request& request,
                                          const std::vector<std::string>& assignors) {
  if (!request.server_assignor.has_value()) return std::nullopt;
  if (std::find(assignors.begin(), assignors.end(), *request.server_assignor) != assignors.end())
    return std::nullopt;
  std::string supported;
  for (const std::string& name : assignors) {
    if (!supported.empty()) supported += ", ";
    supported += name;
  }
  return GroupRefusal{ErrorCode::kUnsupportedAssignor,
                      "ServerAssignor " + *request.server_assignor +
                          " is not supported. Supported assignors: " + supported + "."};
}

}  // namespace

std::optional<GroupRefusal> CheckConsumerHeartbeat(const Request& request, int16_t version,
                                                   const ConsumerGroupConfig& config) {
  if (auto refusal = CheckStrings(request, version)) return refusal;
  if (auto refusal = CheckEpoch(request)) return refusal;
  return CheckAssignor(request, config.assignors);
}

kafka::ConsumerGroupHeartbeatResponse RefusedHeartbeat(const GroupRefusal& refusal) {
  kafka::ConsumerGroupHeartbeatResponse response;
  response.error_code = kafka::WireError(refusal.code);
  response.error_message = refusal.message;
  return response;
}

}  // namespace sluice::broker
