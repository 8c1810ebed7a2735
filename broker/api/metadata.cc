// Metadata (key 3): brokers, topics, partitions and their leaders; may create topics that do not
// exist.
//   v1 null topics = all (in v0 the empty array), racks, controller.  v2 cluster id.  v4 the
//   client's auto-creation flag. v5 offline replicas.  v7 leader epochs.  v8 authorized operations.
//   v9 flexible.  v10 topic ids in the answer. v11 cluster operations gone.  v12 topics by id.  v13
//   top-level error.

#include "kafka/messages/metadata.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/api/topic_creator.h"
#include "metadata/topic_rules.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using ResponseTopic = kafka::MetadataResponse::MetadataResponseTopic;
using ResponsePartition = kafka::MetadataResponse::MetadataResponsePartition;

constexpr int16_t kListenerNotFoundSince = 6;
constexpr int16_t kTopicsByIdSince = 12;

// Builds the answer to one request from one image.
class Answer {
 public:
  Answer(const BrokerServices& services, const metadata::Image& image,
         const RequestContext& context, bool topic_operations)
      : state_(*services.state),
        now_ms_(services.clock->SteadyMs()),
        image_(image),
        listener_(context.connection->listener),
        version_(context.version),
        topic_operations_(topic_operations) {}

  void AddBrokers(NodeId self);
  void AddTopic(const metadata::TopicImage& topic);
  void AddError(std::optional<std::string> name, TopicId id, ErrorCode error);
  kafka::MetadataResponse& response() { return response_; }
  bool has_errors() const { return has_errors_; }

 private:
  void FillPartition(const metadata::PartitionImage& partition, ResponsePartition& out) const;
  bool Offline(NodeId replica) const;

  const BrokerState& state_;
  const int64_t now_ms_;
  const metadata::Image& image_;
  const std::string& listener_;
  const int16_t version_;
  const bool topic_operations_;
  bool has_errors_ = false;
  kafka::MetadataResponse response_;
};

// Any live broker serves as "controller": it passes admin requests on. We name ourselves while we
// are alive.
void Answer::AddBrokers(NodeId self) {
  for (const auto& [id, broker] : image_.brokers) {
    const metadata::EndpointImage* endpoint = FindEndpoint(image_, id, listener_);
    if (broker->fenced || endpoint == nullptr) continue;
    auto& out = response_.brokers.emplace_back();
    out.node_id = id.value();
    out.host = endpoint->host;
    out.port = endpoint->port;
    if (!broker->rack.empty()) out.rack = broker->rack;
    if (id == self || response_.controller_id < 0) response_.controller_id = id.value();
  }
}

void Answer::AddTopic(const metadata::TopicImage& topic) {
  ResponseTopic& out = response_.topics.emplace_back();
  out.name = topic.name;
  out.topic_id = topic.id;
  out.is_internal = metadata::IsInternalTopic(topic.name);
  if (topic_operations_) out.topic_authorized_operations = kAllTopicOperations;
  out.partitions.resize(topic.partitions.size());
  for (size_t i = 0; i < topic.partitions.size(); ++i) {
    out.partitions[i].partition_index = static_cast<int32_t>(i);
    FillPartition(topic.partitions[i], out.partitions[i]);
  }
}

void Answer::AddError(std::optional<std::string> name, TopicId id, ErrorCode error) {
  ResponseTopic& out = response_.topics.emplace_back();
  out.error_code = WireError(error);
  out.name = std::move(name);
  if (!out.name.has_value() && version_ < kTopicsByIdSince) out.name = "";
  out.topic_id = id;
  out.is_internal = out.name.has_value() && metadata::IsInternalTopic(*out.name);
  has_errors_ = true;
}

void Answer::FillPartition(const metadata::PartitionImage& partition,
                           ResponsePartition& out) const {
  out.leader_id = partition.leader.value();
  out.leader_epoch = partition.leader_epoch.value();
  if (partition.leader == kNoNode) {
    out.error_code = WireError(ErrorCode::kLeaderNotAvailable);
  } else if (FindEndpoint(image_, partition.leader, listener_) == nullptr) {
    const bool no_listener =
        image_.FindBroker(partition.leader) != nullptr && version_ >= kListenerNotFoundSince;
    out.error_code =
        WireError(no_listener ? ErrorCode::kListenerNotFound : ErrorCode::kLeaderNotAvailable);
    out.leader_id = -1;
  } else if (state_.suspects.Suspected(partition.leader, now_ms_, state_.session_timeout_ms)) {
    out.error_code = WireError(ErrorCode::kLeaderNotAvailable);
    out.leader_id = -1;
  }
  for (const NodeId replica : partition.replicas) {
    out.replica_nodes.push_back(replica.value());
    if (Offline(replica)) out.offline_replicas.push_back(replica.value());
  }
  for (const NodeId replica : partition.isr) out.isr_nodes.push_back(replica.value());
}

bool Answer::Offline(NodeId replica) const {
  const metadata::BrokerImage* broker = image_.FindBroker(replica);
  return broker == nullptr || broker->fenced || FindEndpoint(image_, replica, listener_) == nullptr;
}

// Answers for topics that were asked for by name or id; gives the names that do not exist and may
// be created.
std::vector<std::string> AddNamedTopics(const metadata::Image& image,
                                        const kafka::MetadataRequest& request, int16_t version,
                                        bool may_create, Answer& answer) {
  std::vector<std::string> missing;
  std::set<std::string> seen;
  for (const auto& asked : *request.topics) {
    if (!asked.topic_id.IsZero() || !asked.name.has_value()) {
      const auto topic = image.FindTopic(asked.topic_id);
      if (version < kTopicsByIdSince) {
        answer.AddError(asked.name, asked.topic_id, ErrorCode::kInvalidRequest);
      } else if (topic == nullptr) {
        answer.AddError(std::nullopt, asked.topic_id, ErrorCode::kUnknownTopicId);
      } else {
        answer.AddTopic(*topic);
      }
      continue;
    }
    const std::string& name = *asked.name;
    if (!seen.insert(name).second) continue;
    if (const auto topic = image.FindTopic(name)) {
      answer.AddTopic(*topic);
    } else if (!IsLegalTopicName(name)) {
      answer.AddError(name, {}, ErrorCode::kInvalidTopicException);
    } else {
      // Kafka's answer also while the topic is being created; clients ask again.
      answer.AddError(name, {}, ErrorCode::kUnknownTopicOrPartition);
      if (may_create && !metadata::IsInternalTopic(name)) missing.push_back(name);
    }
  }
  return missing;
}

bool AsksForAll(const kafka::MetadataRequest& request, int16_t version) {
  return !request.topics.has_value() || (version == 0 && request.topics->empty());
}

void AnswerNow(BrokerServices& services, const RequestContext& context,
               const kafka::MetadataRequest& request,
               const Responder<kafka::MetadataResponse>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  Answer answer(services, *image, context, request.include_topic_authorized_operations);
  answer.AddBrokers(services.state->node_id);
  kafka::MetadataResponse& response = answer.response();
  if (!image->cluster_id.empty()) response.cluster_id = image->cluster_id;
  if (request.include_cluster_authorized_operations)
    response.cluster_authorized_operations = kAllClusterOperations;

  if (AsksForAll(request, context.version)) {
    for (const auto& [name, topic] : *image->topics_by_name) answer.AddTopic(*topic);
  } else {
    const bool may_create =
        request.allow_auto_topic_creation && services.config->auto_create_topics;
    const std::vector<std::string> missing =
        AddNamedTopics(*image, request, context.version, may_create, answer);
    if (!missing.empty()) services.topic_creator->Create(missing);
  }
  if (answer.has_errors()) services.metrics->CountError(kafka::MetadataRequest::kApiKey);
  responder.Send(response);
}

// Brokers that lead partitions of the topics that were asked for.
std::set<NodeId> AskedLeaders(const metadata::Image& image, const kafka::MetadataRequest& request,
                              int16_t version) {
  std::set<NodeId> leaders;
  const auto add = [&leaders](const metadata::TopicImage& topic) {
    for (const metadata::PartitionImage& partition : topic.partitions)
      leaders.insert(partition.leader);
  };
  if (AsksForAll(request, version)) {
    for (const auto& [name, topic] : *image.topics_by_name) add(*topic);
  } else {
    for (const auto& asked : *request.topics) {
      const auto topic =
          asked.name.has_value() ? image.FindTopic(*asked.name) : image.FindTopic(asked.topic_id);
      if (topic != nullptr) add(*topic);
    }
  }
  leaders.erase(kNoNode);
  return leaders;
}

// An answer that waits for whom the controllers let lead in the place of a broker whose connections
// broke. A client asks at once when its leader dies, and then not soon again: librdkafka after 250
// ms if it is told that there is no leader, after a second if it is told of the dead one.
struct Waiting {
  BrokerServices& services;
  RequestContext context;
  kafka::MetadataRequest request;
  Responder<kafka::MetadataResponse> responder;
  int64_t until_ms;
  // Looked up again when there is another image: many clients may wait, and ask for all topics.
  metadata::ImagePtr image;
  std::set<NodeId> leaders;
};

constexpr int64_t kLookAgainMs = 10;

void LookAgain(const std::shared_ptr<Waiting>& waiting) {
  BrokerServices& services = waiting->services;
  const BrokerState& state = *services.state;
  services.loop->RunAfter(kLookAgainMs, [waiting, &services, &state] {
    const int64_t now_ms = services.clock->SteadyMs();
    if (metadata::ImagePtr image = services.metadata->Current(); image != waiting->image) {
      waiting->image = std::move(image);
      waiting->leaders = AskedLeaders(*waiting->image, waiting->request, waiting->context.version);
    }
    const bool wait =
        now_ms < waiting->until_ms && std::ranges::any_of(waiting->leaders, [&](NodeId leader) {
          return state.suspects.Suspected(leader, now_ms, state.session_timeout_ms);
        });
    if (wait) return LookAgain(waiting);
    AnswerNow(services, waiting->context, waiting->request, waiting->responder);
  });
}

// Who asks anew for what it was told on this connection may have seen its leader die, before this
// broker's own connections to that one broke: its answer waits for them a moment, too.
void HandleMetadata(BrokerServices& services, const RequestContext& context,
                    kafka::MetadataRequest request,
                    const Responder<kafka::MetadataResponse>& responder) {
  metadata::ImagePtr image = services.metadata->Current();
  std::set<NodeId> leaders = AskedLeaders(*image, request, context.version);
  const int64_t now_ms = services.clock->SteadyMs();
  const int64_t session_ms = services.state->session_timeout_ms;
  ConnectionInfo& connection = *context.connection;
  const bool may_be_dead = std::ranges::any_of(leaders, [&](NodeId leader) {
    return (leader != services.state->node_id && connection.told_leaders.contains(leader)) ||
           services.state->suspects.Suspected(leader, now_ms, session_ms);
  });
  connection.is_client = true;
  connection.asked_metadata_ms = now_ms;
  connection.told_leaders.insert(leaders.begin(), leaders.end());
  if (!may_be_dead) return AnswerNow(services, context, request, responder);
  connection.waited_for_leader_ms = now_ms;
  LookAgain(std::make_shared<Waiting>(Waiting{services, context, std::move(request), responder,
                                              now_ms + session_ms, std::move(image),
                                              std::move(leaders)}));
}

}  // namespace

const ApiHandler kMetadataApi =
    Serve<kafka::MetadataRequest, kafka::MetadataResponse, &HandleMetadata>(0, 13);

}  // namespace sluice::broker
