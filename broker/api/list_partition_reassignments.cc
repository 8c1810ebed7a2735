// ListPartitionReassignments (key 46): reassignments under way; `kafka-topics --describe` asks for
// it. Answered from this broker's metadata.
//   v0 flexible from the start.

#include "kafka/messages/list_partition_reassignments.h"

#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using Request = kafka::ListPartitionReassignmentsRequest;
using Response = kafka::ListPartitionReassignmentsResponse;

std::vector<int32_t> Ids(const std::vector<NodeId>& nodes) {
  std::vector<int32_t> ids;
  for (const NodeId node : nodes) ids.push_back(node.value());
  return ids;
}

// Adds the topic with those of the partitions that move, if there are any.
void AddTopic(const metadata::TopicImage& topic, const std::vector<int32_t>& indexes,
              Response& response) {
  Response::OngoingTopicReassignment out;
  out.name = topic.name;
  for (const int32_t index : indexes) {
    if (index < 0 || static_cast<size_t>(index) >= topic.partitions.size()) continue;
    const metadata::PartitionImage& partition = topic.partitions[static_cast<size_t>(index)];
    if (!partition.moving()) continue;
    auto& moving = out.partitions.emplace_back();
    moving.partition_index = index;
    moving.replicas = Ids(partition.replicas);
    moving.adding_replicas = Ids(partition.adding);
    moving.removing_replicas = Ids(partition.removing);
  }
  if (!out.partitions.empty()) response.topics.push_back(std::move(out));
}

void HandleList(BrokerServices& services, const RequestContext&, Request request,
                const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  Response response;
  response.error_message.reset();
  if (request.topics.has_value()) {
    for (const auto& asked : *request.topics) {
      if (const auto topic = image->FindTopic(asked.name))
        AddTopic(*topic, asked.partition_indexes, response);
    }
    return responder.Send(response);
  }
  for (const auto& [name, topic] : *image->topics_by_name) {
    std::vector<int32_t> all;
    for (size_t i = 0; i < topic->partitions.size(); ++i) all.push_back(static_cast<int32_t>(i));
    AddTopic(*topic, all, response);
  }
  responder.Send(response);
}

}  // namespace

const ApiHandler kListPartitionReassignmentsApi = Serve<Request, Response, &HandleList>(0, 0);

}  // namespace sluice::broker
