// CreateTopics (key 19): passed on to the controller; answered when this broker has applied the
// change, so that its next answers know the topics.
//   v4 -1 = the cluster's defaults (KIP-464).  v5 flexible, effective configs in the answer.  v6
//   throttling.  v7 topic ids in the answer.

#include "kafka/messages/create_topics.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/api/admin_call.h"
#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"
#include "metadata/topic_config.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::CreateTopicsRequest;
using Response = kafka::CreateTopicsResponse;
using TopicResult = Response::CreatableTopicResult;

// What the controller cannot see any more once the request is translated.
Refusal Check(const Request::CreatableTopic& topic) {
  if (Refusal text = CheckTopicText(topic.name); text.error != ErrorCode::kNone) return text;
  if (!topic.assignments.empty() && topic.num_partitions != -1) {
    return {ErrorCode::kInvalidRequest,
            "topic " + topic.name + " has assignments, so its partition count must be -1, not " +
                std::to_string(topic.num_partitions)};
  }
  if (!topic.assignments.empty() && topic.replication_factor != -1) {
    return {ErrorCode::kInvalidRequest,
            "topic " + topic.name + " has assignments, so its replication factor must be -1, not " +
                std::to_string(topic.replication_factor)};
  }
  std::set<std::string> keys;
  for (const auto& config : topic.configs) {
    if (Refusal text = CheckConfigText(config.name, config.value); text.error != ErrorCode::kNone)
      return text;
    if (!config.value.has_value()) {
      return {ErrorCode::kInvalidConfig,
              "config " + config.name + " of topic " + topic.name + " has no value"};
    }
    if (!keys.insert(config.name).second) {
      return {ErrorCode::kInvalidConfig,
              "config " + config.name + " of topic " + topic.name + " is given twice"};
    }
  }
  return {};
}

void Translate(const Request::CreatableTopic& topic, controller::CreatableTopic& out) {
  out.set_name(topic.name);
  out.set_partition_count(topic.num_partitions);
  out.set_replication_factor(topic.replication_factor);
  for (const auto& assignment : topic.assignments) {
    auto* to = out.add_assignments();
    to->set_partition(assignment.partition_index);
    for (const int32_t id : assignment.broker_ids) to->add_replicas(id);
  }
  for (const auto& config : topic.configs) (*out.mutable_configs())[config.name] = *config.value;
}

// A request between its decoding and its answer.
struct Creation : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  std::map<std::string, size_t> places;  // of those that the controller was asked for
  std::map<std::string, metadata::ConfigMap> asked_configs;

  const auto& Items() const { return response.topics; }
  void FailAll(ErrorCode error, const std::string& message);
  void Fill(const BrokerServices& services, const controller::CreateTopicsResponse& outcomes);
};

void Fail(ErrorCode error, const std::string& message, TopicResult& out) {
  FailItem(error, message, out);
  out.topic_id = {};
  out.num_partitions = -1;
  out.replication_factor = -1;
  out.configs = std::vector<Response::CreatableTopicConfigs>();
}

controller::CreateTopicsRequest Translate(const BrokerServices& services, const Request& request,
                                          Creation& creation) {
  controller::CreateTopicsRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  out.set_validate_only(request.validate_only);
  std::vector<std::string> names;
  for (const auto& topic : request.topics) names.push_back(topic.name);
  const std::set<std::string> twice = Duplicates(names);
  std::set<std::string> refused;
  for (const auto& topic : request.topics) {
    if (twice.contains(topic.name) && !refused.insert(topic.name).second) continue;
    TopicResult& result = creation.response.topics.emplace_back();
    result.name = topic.name;
    result.error_message.reset();
    Refusal refusal = Check(topic);
    if (twice.contains(topic.name))
      refusal = {ErrorCode::kInvalidRequest, "topic " + topic.name + " is named twice"};
    if (refusal.error != ErrorCode::kNone) {
      Fail(refusal.error, refusal.message, result);
      continue;
    }
    creation.places[topic.name] = creation.response.topics.size() - 1;
    for (const auto& config : topic.configs)
      creation.asked_configs[topic.name][config.name] = *config.value;
    Translate(topic, *out.add_topics());
  }
  return out;
}

// What the topic obeys, key by key, as CreateTopics tells from version 5 on.
void FillConfigs(const BrokerServices& services, const metadata::ConfigMap& explicit_values,
                 TopicResult& out) {
  const metadata::ImagePtr image = services.metadata->Current();
  const metadata::TopicConfigScope scope{*image, services.config->values, services.state->node_id};
  out.configs.emplace();
  for (const ConfigKey& key : metadata::TopicConfigKeys()) {
    const metadata::EffectiveConfig effective =
        metadata::EffectiveTopicConfig(scope, explicit_values, key.name);
    auto& config = out.configs->emplace_back();
    config.name = key.name;
    config.value = effective.value;
    config.config_source = static_cast<int8_t>(effective.source);
  }
}

void Creation::Fill(const BrokerServices& services,
                    const controller::CreateTopicsResponse& outcomes) {
  for (const controller::TopicOutcome& outcome : outcomes.topics()) {
    const auto place = places.find(outcome.name());
    if (place == places.end()) continue;
    TopicResult& out = response.topics[place->second];
    if (outcome.error_code() != 0) {
      Fail(static_cast<ErrorCode>(outcome.error_code()), outcome.message(), out);
      continue;
    }
    if (outcome.topic_id().size() == 16) out.topic_id = Uuid::FromBytes(outcome.topic_id());
    out.num_partitions = outcome.partition_count();
    out.replication_factor = static_cast<int16_t>(outcome.replication_factor());
    FillConfigs(services, asked_configs[outcome.name()], out);
  }
}

void Creation::FailAll(ErrorCode error, const std::string& message) {
  for (const auto& [name, place] : places) Fail(error, message, response.topics[place]);
}

void HandleCreateTopics(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  const auto creation =
      std::make_shared<Creation>(responder, AdminTimeoutMs(services, request.timeout_ms));
  creation->validate_only = request.validate_only;
  PassOn(services, context, creation, Translate(services, request, *creation),
         &ControllerClient::CreateTopics);
}

}  // namespace

const ApiHandler kCreateTopicsApi =
    Serve<Request, Response, &HandleCreateTopics>(2, 7, /*exclusive=*/true);

}  // namespace sluice::broker
