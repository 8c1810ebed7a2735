// UpdateFeatures (key 57): other levels of the cluster's features. This version works at one level
// of each, that which a new cluster gets: asking for it changes nothing, and any other is refused.
//   v0 flexible from the start; downgrades are allowed by a flag.  v1 upgrade types, validation
//   only.  v2 one error for all instead of results.

#include "kafka/messages/update_features.h"

#include <algorithm>
#include <set>
#include <string>

#include "broker/api/admin_call.h"
#include "broker/api/features.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::UpdateFeaturesRequest;
using Response = kafka::UpdateFeaturesResponse;

constexpr int16_t kOneErrorSince = 2;
constexpr int16_t kUpgradeTypesSince = 1;
constexpr int8_t kUpgrade = 1, kSafeDowngrade = 2, kUnsafeDowngrade = 3;

Refusal Check(const metadata::Image& image, int16_t version,
              const Request::FeatureUpdateKey& update) {
  const auto refuse = [](const std::string& why) {
    return Refusal{ErrorCode::kInvalidUpdateVersion, why};
  };
  const bool typed = version >= kUpgradeTypesSince;
  if (typed && (update.upgrade_type < kUpgrade || update.upgrade_type > kUnsafeDowngrade)) {
    return {ErrorCode::kInvalidRequest, "upgrade type " + std::to_string(update.upgrade_type) +
                                            " is unknown; allowed are 1 (upgrade), 2 (safe "
                                            "downgrade) and 3 (unsafe downgrade)"};
  }
  const auto known = std::ranges::find(kFeatures, std::string_view(update.feature), &Feature::name);
  if (known == kFeatures.end()) return refuse("feature '" + update.feature + "' is not supported");
  const int16_t wanted = update.max_version_level;
  const std::string name = update.feature + " level " + std::to_string(wanted);
  if (wanted < 0) return refuse(name + " is below 0");
  const auto finalized = image.features.find(update.feature);
  const int32_t now = finalized == image.features.end() ? 0 : finalized->second;
  if (wanted == now) return {};
  const bool downgrade = typed ? update.upgrade_type != kUpgrade : update.allow_downgrade;
  if (wanted < now && !downgrade) {
    return refuse(name + " is below the present one, " + std::to_string(now) +
                  ", and the request does not ask for a downgrade");
  }
  if (wanted > now && downgrade && typed) {
    return refuse(name + " is above the present one, " + std::to_string(now) +
                  ", and the request asks for a downgrade");
  }
  return refuse(name + " cannot be had: this version of Sluice works at level " +
                std::to_string(now) + " only");
}

void HandleUpdate(BrokerServices& services, const RequestContext& context, Request request,
                  const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  Response response;
  response.error_message.reset();
  std::set<std::string> seen;
  Refusal first;
  for (const auto& update : request.feature_updates) {
    Refusal refusal = Check(*image, context.version, update);
    if (!seen.insert(update.feature).second)
      refusal = {ErrorCode::kInvalidRequest, update.feature + " comes more than once"};
    auto& result = response.results.emplace_back();
    result.feature = update.feature;
    result.error_message.reset();
    if (refusal.error == ErrorCode::kNone) continue;
    FailItem(refusal.error, refusal.message, result);
    if (first.error == ErrorCode::kNone) first = refusal;
  }
  if (first.error != ErrorCode::kNone) services.metrics->CountError(Request::kApiKey);
  if (context.version >= kOneErrorSince) {
    response.results.clear();
    if (first.error != ErrorCode::kNone) FailItem(first.error, first.message, response);
  }
  responder.Send(response);
}

}  // namespace

const ApiHandler kUpdateFeaturesApi =
    Serve<Request, Response, &HandleUpdate>(0, 2, /*exclusive=*/true);

}  // namespace sluice::broker
