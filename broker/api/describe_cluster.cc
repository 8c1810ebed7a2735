// DescribeCluster (key 60): cluster id, controller and brokers, for admin clients.
//   v0 flexible from the start.  v1 endpoint type (1 brokers, 2 controllers).  v2 fenced brokers on
//   request.

#include "kafka/messages/describe_cluster.h"

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

constexpr int8_t kBrokerEndpoints = 1;
constexpr int8_t kControllerEndpoints = 2;

void AddBrokers(const metadata::Image& image, const std::string& listener, bool include_fenced,
                kafka::DescribeClusterResponse& response) {
  for (const auto& [id, broker] : image.brokers) {
    const metadata::EndpointImage* endpoint = FindEndpoint(image, id, listener);
    if (endpoint == nullptr || (broker->fenced && !include_fenced)) continue;
    auto& out = response.brokers.emplace_back();
    out.broker_id = id.value();
    out.host = endpoint->host;
    out.port = endpoint->port;
    out.is_fenced = broker->fenced;
    if (!broker->rack.empty()) out.rack = broker->rack;
  }
}

void HandleDescribeCluster(BrokerServices& services, const RequestContext& context,
                           kafka::DescribeClusterRequest request,
                           const Responder<kafka::DescribeClusterResponse>& responder) {
  kafka::DescribeClusterResponse response;
  if (request.endpoint_type != kBrokerEndpoints) {
    const bool known = request.endpoint_type == kControllerEndpoints;
    response.error_code = kafka::WireError(known ? kafka::ErrorCode::kMismatchedEndpointType
                                                 : kafka::ErrorCode::kUnsupportedEndpointType);
    response.error_message =
        known ? "this is a broker's listener; controllers are described by the admin service"
              : "unknown endpoint type " + std::to_string(request.endpoint_type);
    services.metrics->CountError(kafka::DescribeClusterRequest::kApiKey);
    responder.Send(response);
    return;
  }
  const metadata::ImagePtr image = services.metadata->Current();
  response.cluster_id = image->cluster_id;
  AddBrokers(*image, context.connection->listener, request.include_fenced_brokers, response);
  // Any live broker passes admin requests on; see metadata.cc.
  for (const auto& broker : response.brokers) {
    if (!broker.is_fenced &&
        (broker.broker_id == services.state->node_id.value() || response.controller_id < 0)) {
      response.controller_id = broker.broker_id;
    }
  }
  if (request.include_cluster_authorized_operations)
    response.cluster_authorized_operations = kAllClusterOperations;
  responder.Send(response);
}

}  // namespace

const ApiHandler kDescribeClusterApi =
    Serve<kafka::DescribeClusterRequest, kafka::DescribeClusterResponse, &HandleDescribeCluster>(0,
                                                                                                 2);

}  // namespace sluice::broker
