#include "broker/api/dispatch.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "broker/api/handlers.h"
#include "kafka/messages/request_header.h"

namespace sluice::broker {

namespace {

constexpr std::array<const ApiHandler*, 39> kServed{
    &kProduceApi,
    &kFetchApi,
    &kListOffsetsApi,
    &kMetadataApi,
    &kOffsetCommitApi,
    &kOffsetFetchApi,
    &kFindCoordinatorApi,
    &kJoinGroupApi,
    &kHeartbeatApi,
    &kLeaveGroupApi,
    &kSyncGroupApi,
    &kDescribeGroupsApi,
    &kListGroupsApi,
    &kApiVersionsApi,
    &kCreateTopicsApi,
    &kDeleteTopicsApi,
    &kDeleteRecordsApi,
    &kInitProducerIdApi,
    &kOffsetForLeaderEpochApi,
    &kDescribeConfigsApi,
    &kAlterReplicaLogDirsApi,
    &kDescribeLogDirsApi,
    &kCreatePartitionsApi,
    &kDeleteGroupsApi,
    &kElectLeadersApi,
    &kIncrementalAlterConfigsApi,
    &kAlterPartitionReassignmentsApi,
    &kListPartitionReassignmentsApi,
    &kOffsetDeleteApi,
    &kDescribeQuorumApi,
    &kUpdateFeaturesApi,
    &kDescribeClusterApi,
    &kUnregisterBrokerApi,
    &kConsumerGroupHeartbeatApi,
    &kConsumerGroupDescribeApi,
    &kListConfigResourcesApi,
    &kDescribeTopicPartitionsApi,
    &kAddRaftVoterApi,
    &kRemoveRaftVoterApi,
};

}  // namespace

std::span<const ApiHandler* const> ServedApis() { return kServed; }

const ApiHandler* FindServedApi(int16_t key) {
  for (const ApiHandler* api : kServed) {
    if (static_cast<int16_t>(api->key) == key) return api;
  }
  return nullptr;
}

bool AsksForTheMoment(std::string_view request) {
  ByteReader reader(request);
  const auto key = static_cast<kafka::ApiKey>(reader.ReadInt16());
  return reader.ok() &&
         (key == kafka::ApiKey::kMetadata || key == kafka::ApiKey::kFindCoordinator ||
          key == kafka::ApiKey::kDescribeCluster || key == kafka::ApiKey::kDescribeTopicPartitions);
}

Dispatcher::Dispatcher(BrokerServices& services) : services_(services) {
  for (const ApiHandler* api : kServed) {
    const kafka::ApiInfo* known = kafka::FindApi(static_cast<int16_t>(api->key));
    CHECK(known != nullptr && known->version_min <= api->version_min &&
          api->version_max <= known->version_max)
        << "an API is served in versions that its schema lacks: " << static_cast<int16_t>(api->key);
  }
}

bool Dispatcher::Dispatch(SharedBytes frame, const std::shared_ptr<ConnectionInfo>& connection,
                          ReplyCallback reply) const {
  ByteReader start(frame.bytes);
  const int16_t key = start.ReadInt16();
  const int16_t version = start.ReadInt16();
  const int32_t correlation_id = start.ReadInt32();
  const ApiHandler* api = start.ok() ? FindServedApi(key) : nullptr;
  const bool version_served =
      api != nullptr && api->version_min <= version && version <= api->version_max;
  if (api == &kApiVersionsApi && !version_served) {
    reply(Reply::Send(ApiVersionsFallback(correlation_id)));
    return false;
  }
  if (!version_served) {
    services_.metrics->unsupported_requests.fetch_add(1, std::memory_order_relaxed);
    reply(Reply::Close("version " + std::to_string(version) + " of API key " + std::to_string(key) +
                       " is not served"));
    return false;
  }

  // Answers from an image that is not there yet would deny topics that exist: clients ask another
  // broker.
  if (api != &kApiVersionsApi && services_.knows_cluster && !services_.knows_cluster()) {
    reply(Reply::Close("the broker is starting and does not know the cluster's metadata yet"));
    return false;
  }

  kafka::WireReader reader(frame.bytes, std::move(frame.owner));
  kafka::RequestHeader header;
  if (const Status read = header.Decode(reader, kafka::RequestHeaderVersion(key, version));
      !read.ok()) {
    reply(Reply::Close(read.message()));
    return false;
  }
  services_.metrics->CountRequest(key);
  RequestContext context;
  context.api_key = api->key;
  context.version = version;
  context.correlation_id = correlation_id;
  context.client_id = std::move(header.client_id).value_or("");
  context.connection = connection;
  api->handle(services_, std::move(context), reader, std::move(reply));
  return api->exclusive;
}

}  // namespace sluice::broker
