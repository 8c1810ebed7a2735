// AlterReplicaLogDirs (key 34): moves replicas of this broker between its log directories.
// `kafka-reassign-partitions` sends it to each broker for which a plan names directories.
// DescribeLogDirs tells how far the moves are.
//   v2 flexible.

#include "kafka/messages/alter_replica_log_dirs.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/broker_services.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::AlterReplicaLogDirsRequest;
using Response = kafka::AlterReplicaLogDirsResponse;

void HandleAlter(BrokerServices& services, const RequestContext&, Request request,
                 const Responder<Response>& responder) {
  // As Kafka: of several directories for one replica the last counts.
  std::map<storage::TopicPartition, std::string> wanted;
  for (const auto& dir : request.dirs) {
    for (const auto& topic : dir.topics) {
      for (const int32_t partition : topic.partitions)
        wanted[{topic.name, PartitionIndex(partition)}] = dir.path;
    }
  }
  std::vector<AlterLogDirEntry> entries;
  entries.reserve(wanted.size());
  for (const auto& [name, path] : wanted) entries.push_back({name, path});
  const std::vector<ErrorCode> errors = services.replicas->AlterLogDirs(entries);
  Response response;
  for (size_t i = 0; i < entries.size(); ++i) {
    const storage::TopicPartition& name = entries[i].name;
    if (response.results.empty() || response.results.back().topic_name != name.topic)
      response.results.emplace_back().topic_name = name.topic;
    auto& result = response.results.back().partitions.emplace_back();
    result.partition_index = name.partition.value();
    result.error_code = kafka::WireError(errors[i]);
  }
  responder.Send(response);
}

}  // namespace

const ApiHandler kAlterReplicaLogDirsApi = Serve<Request, Response, &HandleAlter>(1, 2);

}  // namespace sluice::broker
