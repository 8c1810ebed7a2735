#include "controller/registration_check.h"

#include <set>
#include <string_view>

#include "kafka/string_limit.h"
#include "metadata/server_config.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::RegisterBrokerRecord;

namespace {

constexpr int32_t kPortMax = 65535;

Status CheckDirectoryId(const std::string& id) {
  if (!IsUuid(id)) {
    return Status::InvalidArgument("a log directory id of " + std::to_string(id.size()) +
                                   " bytes, where 16 are needed");
  }
  if (Uuid::FromBytes(id).IsZero())
    return Status::InvalidArgument("a log directory id that is all zero");
  return Status::Ok();
}

// One id of several; `seen` has those before it.
Status CheckListedId(const std::string& id, std::set<std::string_view>& seen) {
  SLUICE_RETURN_IF_ERROR(CheckDirectoryId(id));
  if (seen.insert(id).second) return Status::Ok();
  return Status::InvalidArgument("log directory " + Uuid::FromBytes(id).ToString() +
                                 " comes twice");
}

Status CheckPreviousEpoch(int64_t epoch) {
  if (epoch >= -1) return Status::Ok();
  return Status::InvalidArgument("a previous broker epoch " + std::to_string(epoch) +
                                 ", where -1 is none");
}

Status CheckDirectories(const RegisterBrokerRequest& request) {
  SLUICE_RETURN_IF_ERROR(CheckDirectoryId(request.broker().directory_id()));
  SLUICE_RETURN_IF_ERROR(CheckPreviousEpoch(request.previous_broker_epoch()));
  SLUICE_RETURN_IF_ERROR(CheckPreviousEpoch(request.kept_broker_epoch()));
  std::set<std::string_view> listed;
  for (const std::string& id : request.broker().log_dirs())
    SLUICE_RETURN_IF_ERROR(CheckListedId(id, listed));
  std::set<std::string_view> told;
  for (const auto& directory : request.directories()) {
    SLUICE_RETURN_IF_ERROR(CheckListedId(directory.id(), told));
    SLUICE_RETURN_IF_ERROR(CheckPreviousEpoch(directory.previous_broker_epoch()));
    SLUICE_RETURN_IF_ERROR(CheckPreviousEpoch(directory.kept_broker_epoch()));
  }
  return Status::Ok();
}

Status CheckEndpoints(const RegisterBrokerRecord& broker) {
  if (broker.endpoints().empty()) return Status::InvalidArgument("no listener");
  std::set<std::string_view> names;
  for (const metadata::Endpoint& endpoint : broker.endpoints()) {
    if (endpoint.listener().empty()) return Status::InvalidArgument("a listener without a name");
    SLUICE_RETURN_IF_ERROR(CheckText("listener name", endpoint.listener()));
    SLUICE_RETURN_IF_ERROR(CheckText("host", endpoint.host()));
    SLUICE_RETURN_IF_ERROR(CheckText("security protocol", endpoint.security_protocol()));
    if (!names.insert(endpoint.listener()).second)
      return Status::InvalidArgument("listener " + endpoint.listener() + " twice");
    if (endpoint.port() < 1 || endpoint.port() > kPortMax) {
      return Status::InvalidArgument("listener " + endpoint.listener() + " with port " +
                                     std::to_string(endpoint.port()) + ", outside 1 to " +
                                     std::to_string(kPortMax));
    }
  }
  return Status::Ok();
}

Status CheckFields(const RegisterBrokerRequest& request) {
  const RegisterBrokerRecord& broker = request.broker();
  if (broker.broker_id() < 0) return Status::InvalidArgument("no id of 0 or more");
  if (!IsUuid(broker.incarnation_id())) {
    return Status::InvalidArgument("an incarnation id of " +
                                   std::to_string(broker.incarnation_id().size()) +
                                   " bytes, where 16 are needed");
  }
  SLUICE_RETURN_IF_ERROR(CheckDirectories(request));
  SLUICE_RETURN_IF_ERROR(CheckEndpoints(broker));
  SLUICE_RETURN_IF_ERROR(CheckText("rack", broker.rack()));
  SLUICE_RETURN_IF_ERROR(CheckText("gRPC address", broker.grpc_address()));
  SLUICE_RETURN_IF_ERROR(CheckText("HTTP address", broker.http_address()));
  SLUICE_RETURN_IF_ERROR(CheckText("boot id", broker.boot_id()));
  SLUICE_RETURN_IF_ERROR(CheckText("version", broker.version()));
  return CheckSessionTimeout(request.session_timeout_ms());
}

}  // namespace

Status CheckText(std::string_view what, const std::string& text) {
  if (text.size() <= kafka::kStringBytesMax) return Status::Ok();
  return Status::InvalidArgument("a " + std::string(what) + " of " + std::to_string(text.size()) +
                                 " bytes, where " + std::to_string(kafka::kStringBytesMax) +
                                 " are the most");
}

Status CheckSessionTimeout(int64_t ms) {
  static const ConfigKey& key =
      *FindConfigKey(metadata::ServerConfigKeys(), "broker.session.timeout.ms");
  if (ms >= 0 && ms <= key.max) return Status::Ok();
  return Status::InvalidArgument("a session of " + std::to_string(ms) + " ms, outside 0 to " +
                                 std::to_string(key.max));
}

SenderCheck CheckRegistration(const metadata::Image& image, const RegisterBrokerRequest& request) {
  const std::string name = "broker " + std::to_string(request.broker().broker_id());
  const std::string& cluster = request.sender().cluster_id();
  if (!cluster.empty() && cluster != image.cluster_id) {
    return {ErrorCode::kInconsistentClusterId,
            name + " belongs to cluster " + cluster + ", this is cluster " + image.cluster_id};
  }
  if (const Status fields = CheckFields(request); !fields.ok())
    return {ErrorCode::kInvalidRegistration, name + " registers with " + fields.message()};
  return {};
}

}  // namespace sluice::controller
