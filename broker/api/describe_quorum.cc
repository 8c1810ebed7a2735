// DescribeQuorum (key 55): the controllers' quorum in Kafka's words, as the partition
// __cluster_metadata-0. Asked of the controller; learners are told as observers. Brokers, which
// Kafka lists there, too, do not read the log here: they are told by a feed.
//   v0 flexible from the start.  v1 timestamps.  v2 messages, directory ids, the controllers'
//   listeners.

#include "kafka/messages/describe_quorum.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "broker/api/admin_call.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::DescribeQuorumRequest;
using Response = kafka::DescribeQuorumResponse;
using PartitionData = Response::PartitionData;
using Quorum = controller::DescribeQuorumResponse;

// The form that the request asks for, every partition refused as unknown.
Response Shape(const Request& request) {
  Response response;
  response.error_message.reset();
  for (const auto& asked : request.topics) {
    auto& topic = response.topics.emplace_back();
    topic.topic_name = asked.topic_name;
    for (const auto& partition : asked.partitions) {
      PartitionData& out = topic.partitions.emplace_back();
      out.partition_index = partition.partition_index;
      out.leader_id = -1;
      out.leader_epoch = -1;
      out.high_watermark = -1;
      FailItem(ErrorCode::kUnknownTopicOrPartition, "", out);
    }
  }
  return response;
}

// Kafka's log ends are the offsets after the last.
template <typename Replica>
void Describe(const Quorum& quorum, const Quorum::Voter& member, int64_t now_ms, Replica& out) {
  out.replica_id = member.id();
  out.replica_directory_id = Uuid::FromBytes(member.directory_id());
  out.log_end_offset = member.match_index() + 1;
  // An age without bound: it has not been heard in this term.
  if (member.last_contact_age_ms() < 0 || member.last_contact_age_ms() > now_ms) return;
  out.last_fetch_timestamp = now_ms - member.last_contact_age_ms();
  // When it had everything for the last time is known of those that have it now.
  if (member.match_index() >= quorum.commit_index())
    out.last_caught_up_timestamp = out.last_fetch_timestamp;
}

void AddNode(const Quorum::Voter& member, Response& response) {
  const Result<metadata::HostPort> address = metadata::ParseHostPort(member.address());
  if (!address.ok()) return;
  auto& node = response.nodes.emplace_back();
  node.node_id = member.id();
  auto& listener = node.listeners.emplace_back();
  listener.name = kControllerListener;
  listener.host = address->host;
  listener.port = address->port;
}

void Fill(const Quorum& quorum, int64_t now_ms, PartitionData& out) {
  out.error_code = 0;
  out.error_message.reset();
  out.leader_id = quorum.leader_id();
  out.leader_epoch =
      static_cast<int32_t>(std::min<int64_t>(quorum.term(), std::numeric_limits<int32_t>::max()));
  out.high_watermark = quorum.commit_index() + 1;
  for (const auto& voter : quorum.voters())
    Describe(quorum, voter, now_ms, out.current_voters.emplace_back());
  for (const auto& learner : quorum.learners())
    Describe(quorum, learner, now_ms, out.observers.emplace_back());
}

void Finish(BrokerServices& services, int16_t version, Response& response,
            const Result<Quorum>& quorum, const Responder<Response>& responder) {
  const ErrorCode error = !quorum.ok() ? ErrorOf(quorum.status())
                                       : static_cast<ErrorCode>(quorum->outcome().error_code());
  if (error != ErrorCode::kNone) {
    FailItem(error, quorum.ok() ? quorum->outcome().message() : quorum.status().message(),
             response);
    response.topics.clear();
    services.metrics->CountError(Request::kApiKey);
    return responder.Send(response);
  }
  for (auto& topic : response.topics) {
    for (PartitionData& partition : topic.partitions) {
      if (topic.topic_name == metadata::kClusterMetadataTopic && partition.partition_index == 0)
        Fill(*quorum, services.clock->WallMs(), partition);
    }
  }
  if (version >= 2) {
    for (const auto& voter : quorum->voters()) AddNode(voter, response);
    for (const auto& learner : quorum->learners()) AddNode(learner, response);
  }
  responder.Send(response);
}

void HandleDescribe(BrokerServices& services, const RequestContext& context, Request request,
                    const Responder<Response>& responder) {
  controller::DescribeQuorumRequest ask;
  *ask.mutable_sender() = MakeSender(*services.state);
  services.controller->DescribeQuorum(
      std::move(ask), services.config->values.GetInt("request.timeout.ms"),
      [&services, version = context.version, shape = std::make_shared<Response>(Shape(request)),
       responder](const Result<Quorum>& quorum) {
        Finish(services, version, *shape, quorum, responder);
      });
}

}  // namespace

const ApiHandler kDescribeQuorumApi = Serve<Request, Response, &HandleDescribe>(0, 2);

}  // namespace sluice::broker
