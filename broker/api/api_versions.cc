// ApiVersions (key 18): which APIs and versions this broker serves, and which features are
// finalised.
//   v1 throttle time.  v3 flexible body (the response header stays version 0), client software name
//   and version, features. v4 also lists supported features whose minimum is 0 (KAFKA-17011).

#include "kafka/messages/api_versions.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

#include "broker/api/api_support.h"
#include "broker/api/broker_services.h"
#include "broker/api/dispatch.h"
#include "broker/api/features.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

// What is built on it says so in its version: confluent-kafka-python, "2.0.2-librdkafka-2.0.2".
bool IsLibrdkafka(const kafka::ApiVersionsRequest& request) {
  return request.client_software_name.find("librdkafka") != std::string::npos ||
         request.client_software_version.find("librdkafka") != std::string::npos;
}

// Kafka's pattern for both texts: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
bool IsSoftwareText(std::string_view text) {
  const auto alphanumeric = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (text.empty() || !alphanumeric(text.front()) || !alphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

void AddApis(kafka::ApiVersionsResponse& response) {
  for (const ApiHandler* api : ServedApis()) {
    auto& entry = response.api_keys.emplace_back();
    entry.api_key = static_cast<int16_t>(api->key);
    // Produce is told from version 0 on though only 3 and later are served (KAFKA-18659).
    entry.min_version =
        std::min(api->version_min, kafka::FindApi(entry.api_key)->version_min_advertised);
    entry.max_version = api->version_max;
  }
}

void AddFeatures(const metadata::Image& image, int16_t version,
                 kafka::ApiVersionsResponse& response) {
  response.finalized_features_epoch = image.last_index.value();
  for (const Feature& feature : kFeatures) {
    if (version >= 4 || feature.level_min > 0) {
      auto& supported = response.supported_features.emplace_back();
      supported.name = feature.name;
      supported.min_version = feature.level_min;
      supported.max_version = feature.level_max;
    }
    const auto level = image.features.find(std::string(feature.name));
    if (level == image.features.end() || level->second <= 0) continue;
    auto& finalized = response.finalized_features.emplace_back();
    finalized.name = feature.name;
    finalized.max_version_level = static_cast<int16_t>(level->second);
    finalized.min_version_level = static_cast<int16_t>(level->second);
  }
}

void HandleApiVersions(BrokerServices& services, const RequestContext& context,
                       kafka::ApiVersionsRequest request,
                       const Responder<kafka::ApiVersionsResponse>& responder) {
  kafka::ApiVersionsResponse response;
  if (context.version >= 3) {
    if (!IsSoftwareText(request.client_software_name) ||
        !IsSoftwareText(request.client_software_version)) {
      services.metrics->CountError(kafka::ApiVersionsRequest::kApiKey);
      response.error_code = kafka::WireError(kafka::ErrorCode::kInvalidRequest);
      responder.Send(response);
      return;
    }
    context.connection->is_librdkafka = IsLibrdkafka(request);
  }
  AddApis(response);
  AddFeatures(*services.metadata->Current(), context.version, response);
  responder.Send(response);
}

}  // namespace

const ApiHandler kApiVersionsApi =
    Serve<kafka::ApiVersionsRequest, kafka::ApiVersionsResponse, &HandleApiVersions>(0, 4);

OutputChain ApiVersionsFallback(int32_t correlation_id) {
  kafka::ApiVersionsResponse response;
  response.error_code = kafka::WireError(kafka::ErrorCode::kUnsupportedVersion);
  auto& entry = response.api_keys.emplace_back();
  entry.api_key = kafka::ApiVersionsRequest::kApiKey;
  entry.min_version = kApiVersionsApi.version_min;
  entry.max_version = kApiVersionsApi.version_max;
  Result<OutputChain> frame = EncodeResponseFrame(response, correlation_id, 0);
  CHECK(frame.ok()) << frame.status().ToString();
  return *std::move(frame);
}

}  // namespace sluice::broker
