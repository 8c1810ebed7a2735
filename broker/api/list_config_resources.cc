// ListConfigResources (key 74): the names of what has configuration: all topics and brokers, and
// the groups with values of their own.
//   v0 client metrics only; this broker has none.  v1 asks for types (KIP-1142).

#include "kafka/messages/list_config_resources.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::ListConfigResourcesRequest;
using Response = kafka::ListConfigResourcesResponse;

void AddAll(const metadata::Image& image, int8_t type, Response& response) {
  const auto add = [&](std::string name) {
    auto& resource = response.config_resources.emplace_back();
    resource.resource_name = std::move(name);
    resource.resource_type = type;
  };
  if (type == kTopicResource) {
    for (const auto& [name, topic] : *image.topics_by_name) add(name);
  } else if (type == kBrokerResource) {
    for (const auto& [id, broker] : image.brokers) add(std::to_string(id.value()));
  } else if (type == kGroupResource) {
    for (const auto& [id, values] : *image.group_configs) add(id);
  }
}

void HandleList(BrokerServices& services, const RequestContext& context, Request request,
                const Responder<Response>& responder) {
  std::set<int8_t> types(request.resource_types.begin(), request.resource_types.end());
  if (types.empty() && context.version > 0)
    types = {kTopicResource, kBrokerResource, kGroupResource, kClientMetricsResource};
  Response response;
  const bool all_known = std::all_of(types.begin(), types.end(), [](int8_t type) {
    return HasConfiguration(type) || type == kClientMetricsResource;
  });
  if (!all_known) {
    response.error_code = kafka::WireError(ErrorCode::kUnsupportedVersion);
    services.metrics->CountError(Request::kApiKey);
    return responder.Send(response);
  }
  const metadata::ImagePtr image = services.metadata->Current();
  for (const int8_t type : types) AddAll(*image, type, response);
  responder.Send(response);
}

}  // namespace

const ApiHandler kListConfigResourcesApi = Serve<Request, Response, &HandleList>(0, 1);

}  // namespace sluice::broker
