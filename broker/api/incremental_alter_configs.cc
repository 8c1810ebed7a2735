// IncrementalAlterConfigs (key 44): sets, removes, appends to or subtracts from configuration
// values of topics, brokers and groups. Passed on to the controller; answered when this broker has
// applied the change.
//   v1 flexible.

#include "kafka/messages/incremental_alter_configs.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/admin_call.h"
#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::IncrementalAlterConfigsRequest;
using Response = kafka::IncrementalAlterConfigsResponse;
using ResourceResult = Response::AlterConfigsResourceResponse;
using ResourceName = std::pair<int, std::string>;  // type, name

constexpr int8_t kDeleteOperation = 1;
constexpr int8_t kOperationMax = 3;

// A request between its decoding and its answer.
struct Alteration : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  std::map<ResourceName, size_t> places;  // of those that the controller was asked for

  const auto& Items() const { return response.responses; }
  void FailAll(ErrorCode error, const std::string& message);
  void Fill(const BrokerServices& services, const controller::AlterConfigsResponse& outcomes);
};

Refusal Check(const Request::AlterConfigsResource& resource, const std::set<ResourceName>& twice) {
  if (Refusal text = CheckTopicText(resource.resource_name); text.error != ErrorCode::kNone) {
    if (resource.resource_type == kTopicResource) return text;
    return {ErrorCode::kInvalidRequest, "the resource's name is not UTF-8 text"};
  }
  if (twice.contains({resource.resource_type, resource.resource_name})) {
    return {ErrorCode::kInvalidRequest, "resource " + resource.resource_name + " is named twice"};
  }
  if (!HasConfiguration(resource.resource_type))
    return {ErrorCode::kInvalidRequest, NoConfiguration(resource.resource_type)};
  std::set<std::string> keys;
  for (const auto& config : resource.configs) {
    if (Refusal text = CheckConfigText(config.name, config.value); text.error != ErrorCode::kNone)
      return text;
    if (config.config_operation < 0 || config.config_operation > kOperationMax) {
      return {ErrorCode::kInvalidRequest,
              "operation " + std::to_string(config.config_operation) + " for " + config.name +
                  " is unknown; allowed are 0 (set), 1 (delete), 2 (append) and 3 (subtract)"};
    }
    if (config.config_operation != kDeleteOperation && !config.value.has_value()) {
      return {ErrorCode::kInvalidRequest, "config " + config.name + " has no value"};
    }
    if (!keys.insert(config.name).second) {
      return {ErrorCode::kInvalidRequest, "config " + config.name + " is altered twice"};
    }
  }
  return {};
}

std::set<ResourceName> Repeated(const Request& request) {
  std::set<ResourceName> seen;
  std::set<ResourceName> twice;
  for (const auto& resource : request.resources) {
    ResourceName name(resource.resource_type, resource.resource_name);
    if (!seen.insert(name).second) twice.insert(std::move(name));
  }
  return twice;
}

void Translate(const Request::AlterConfigsResource& resource,
               controller::AlterConfigsRequest::Resource& out) {
  out.set_type(static_cast<metadata::ConfigResourceType>(resource.resource_type));
  out.set_name(resource.resource_name);
  for (const auto& config : resource.configs) {
    auto* entry = out.add_entries();
    entry->set_key(config.name);
    entry->set_operation(
        static_cast<controller::AlterConfigsRequest::Operation>(config.config_operation));
    if (config.value.has_value()) entry->set_value(*config.value);
  }
}

controller::AlterConfigsRequest Translate(const BrokerServices& services, const Request& request,
                                          Alteration& alteration) {
  controller::AlterConfigsRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  out.set_validate_only(request.validate_only);
  const std::set<ResourceName> twice = Repeated(request);
  for (const auto& resource : request.resources) {
    ResourceResult& result = alteration.response.responses.emplace_back();
    result.resource_type = resource.resource_type;
    result.resource_name = resource.resource_name;
    result.error_message.reset();
    if (const Refusal refusal = Check(resource, twice); refusal.error != ErrorCode::kNone) {
      FailItem(refusal.error, refusal.message, result);
      continue;
    }
    alteration.places[{resource.resource_type, resource.resource_name}] =
        alteration.response.responses.size() - 1;
    Translate(resource, *out.add_resources());
  }
  return out;
}

void Alteration::FailAll(ErrorCode error, const std::string& message) {
  for (const auto& [name, place] : places) FailItem(error, message, response.responses[place]);
}

void Alteration::Fill(const BrokerServices&, const controller::AlterConfigsResponse& outcomes) {
  for (const auto& outcome : outcomes.resources()) {
    const auto place = places.find({static_cast<int>(outcome.type()), outcome.name()});
    if (place == places.end() || outcome.error_code() == 0) continue;
    FailItem(static_cast<ErrorCode>(outcome.error_code()), outcome.message(),
             response.responses[place->second]);
  }
}

void HandleAlter(BrokerServices& services, const RequestContext& context, Request request,
                 const Responder<Response>& responder) {
  // The request carries no time of its own.
  const auto alteration =
      std::make_shared<Alteration>(responder, AdminTimeoutMs(services, INT32_MAX));
  alteration->validate_only = request.validate_only;
  PassOn(services, context, alteration, Translate(services, request, *alteration),
         &ControllerClient::AlterConfigs);
}

}  // namespace

const ApiHandler kIncrementalAlterConfigsApi =
    Serve<Request, Response, &HandleAlter>(0, 1, /*exclusive=*/true);

}  // namespace sluice::broker
