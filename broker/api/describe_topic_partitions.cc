// DescribeTopicPartitions (key 75): topics and partitions page by page, with eligible leader
// replicas (KIP-966).
//   v0 flexible from the start.
// Topics come in the order of their names. A page holds at most response_partition_limit
// partitions; next_cursor says where the next one starts.

#include "kafka/messages/describe_topic_partitions.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::DescribeTopicPartitionsRequest;
using Response = kafka::DescribeTopicPartitionsResponse;
using ResponsePartition = Response::DescribeTopicPartitionsResponsePartition;

constexpr int32_t kPartitionsPerPageMax = 2000;  // max.request.partition.size.limit

std::vector<int32_t> Values(const std::vector<NodeId>& ids) {
  std::vector<int32_t> values;
  for (const NodeId id : ids) values.push_back(id.value());
  return values;
}

// The cluster as clients of one listener see it.
struct View {
  const metadata::Image& image;
  const std::string& listener;
};

void FillPartition(const View& view, const metadata::PartitionImage& partition,
                   ResponsePartition& out) {
  const metadata::Image& image = view.image;
  const bool reachable = partition.leader != kNoNode &&
                         FindEndpoint(image, partition.leader, view.listener) != nullptr;
  out.error_code =
      WireError(reachable                                       ? ErrorCode::kNone
                : image.FindBroker(partition.leader) != nullptr ? ErrorCode::kListenerNotFound
                                                                : ErrorCode::kLeaderNotAvailable);
  out.leader_id = reachable ? partition.leader.value() : -1;
  out.leader_epoch = partition.leader_epoch.value();
  out.replica_nodes = Values(partition.replicas);
  out.isr_nodes = Values(partition.isr);
  out.eligible_leader_replicas = Values(partition.elr);
  out.last_known_elr = Values(partition.last_known_elr);
  for (const NodeId replica : partition.replicas) {
    const metadata::BrokerImage* broker = image.FindBroker(replica);
    if (broker == nullptr || broker->fenced) out.offline_replicas.push_back(replica.value());
  }
}

std::string Mistake(const Request& request, const std::set<std::string>& names) {
  if (!request.cursor.has_value()) return "";
  if (request.cursor->partition_index < 0) {
    return "the cursor's partition " + std::to_string(request.cursor->partition_index) +
           " is negative";
  }
  if (!request.topics.empty() && !names.contains(request.cursor->topic_name)) {
    return "the cursor's topic " + request.cursor->topic_name +
           " is not among the topics asked for";
  }
  return "";
}

// The names to describe, from the cursor's topic on.
std::set<std::string> NamesFrom(const metadata::Image& image, const Request& request) {
  const std::string first = request.cursor.has_value() ? request.cursor->topic_name : "";
  std::set<std::string> names;
  if (request.topics.empty()) {
    for (auto it = image.topics_by_name->lower_bound(first); it != image.topics_by_name->end();
         ++it)
      names.insert(it->first);
  } else {
    for (const auto& topic : request.topics) {
      if (topic.name >= first) names.insert(topic.name);
    }
  }
  return names;
}

void AddUnknown(const std::string& name, Response& response) {
  auto& out = response.topics.emplace_back();
  out.name = name;
  out.error_code = WireError(IsLegalTopicName(name) ? ErrorCode::kUnknownTopicOrPartition
                                                    : ErrorCode::kInvalidTopicException);
}

// Adds the topic with up to `room` partitions from `start` on; gives how many were added.
size_t AddTopic(const View& view, const metadata::TopicImage& topic, size_t start, size_t room,
                Response& response) {
  auto& out = response.topics.emplace_back();
  out.name = topic.name;
  out.topic_id = topic.id;
  out.is_internal = metadata::IsInternalTopic(topic.name);
  out.topic_authorized_operations = kAllTopicOperations;
  const size_t end = std::min(topic.partitions.size(), start + room);
  for (size_t i = start; i < end; ++i) {
    auto& partition = out.partitions.emplace_back();
    partition.partition_index = static_cast<int32_t>(i);
    FillPartition(view, topic.partitions[i], partition);
  }
  return out.partitions.size();
}

void SetCursor(const std::string& topic, size_t partition, Response& response) {
  Response::Cursor cursor;
  cursor.topic_name = topic;
  cursor.partition_index = static_cast<int32_t>(partition);
  response.next_cursor = std::move(cursor);
}

void HandleDescribe(BrokerServices& services, const RequestContext& context, Request request,
                    const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  const std::set<std::string> names = NamesFrom(*image, request);
  Response response;
  if (const std::string mistake = Mistake(request, names); !mistake.empty()) {
    VLOG(1) << "DescribeTopicPartitions from " << context.connection->peer_address << ": "
            << mistake;
    services.metrics->CountError(Request::kApiKey);
    for (const auto& topic : request.topics) {
      auto& out = response.topics.emplace_back();
      out.name = topic.name;
      out.error_code = WireError(ErrorCode::kInvalidRequest);
    }
    responder.Send(response);
    return;
  }
  const View view{*image, context.connection->listener};
  auto room =
      static_cast<size_t>(std::clamp(request.response_partition_limit, 1, kPartitionsPerPageMax));
  for (const std::string& name : names) {
    if (room == 0) {
      SetCursor(name, 0, response);
      break;
    }
    const auto topic = image->FindTopic(name);
    if (topic == nullptr) {
      AddUnknown(name, response);
      continue;
    }
    const bool at_cursor = request.cursor.has_value() && request.cursor->topic_name == name;
    const size_t start = at_cursor ? static_cast<size_t>(request.cursor->partition_index) : 0;
    const size_t added = AddTopic(view, *topic, start, room, response);
    room -= added;
    if (start + added < topic->partitions.size()) {
      SetCursor(name, start + added, response);
      break;
    }
  }
  responder.Send(response);
}

}  // namespace

const ApiHandler kDescribeTopicPartitionsApi = Serve<Request, Response, &HandleDescribe>(0, 0);

}  // namespace sluice::broker
