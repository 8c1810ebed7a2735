#include "admin/handlers.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "admin/errors.h"
#include "admin/health.h"
#include "metadata/topic_rules.h"

namespace sluice::admin {
namespace {

// Describing the cluster must work while no controller is active, so the question to it does not
// use up the caller's time.
constexpr int64_t kQuorumTimeoutMs = 1500;

Status NoSuchTopic(const std::string& name) {
  return Status::NotFound("topic '" + name + "' does not exist");
}

Status OnlyCompacted(const std::string& topic) {
  return Status::InvalidArgument(
      "topic '" + topic +
      "' has cleanup.policy=compact, without delete: its records go when newer ones of the same "
      "key come, not by their offset. To delete by offset add delete to the policy: sluice topic "
      "alter " +
      topic + " --config cleanup.policy=compact,delete");
}

// The outcome of the one topic that a request was about.
template <typename Response>
Result<controller::TopicOutcome> OnlyTopic(const Result<Response>& response) {
  if (!response.ok()) return response.status();
  SLUICE_RETURN_IF_ERROR(
      StatusFromKafka(response->outcome().error_code(), response->outcome().message()));
  if (response->topics_size() != 1) return Status::Internal("the controller's answer has no topic");
  const controller::TopicOutcome& topic = response->topics(0);
  SLUICE_RETURN_IF_ERROR(StatusFromKafka(topic.error_code(), topic.message()));
  return topic;
}

// Response with the field `topic` for the topic of that name.
template <typename Response>
Result<Response> WithTopic(const metadata::Image& image, const std::string& name) {
  const auto topic = image.FindTopic(name);
  // Somebody deleted it between the change and now.
  if (topic == nullptr) return NoSuchTopic(name);
  Response response;
  DescribeTopic(image, *topic, response.mutable_topic());
  return response;
}

controller::AlterConfigsRequest ToController(const AlterTopicConfigRequest& request) {
  controller::AlterConfigsRequest out;
  auto* resource = out.add_resources();
  resource->set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  resource->set_name(request.name());
  for (const auto& [key, value] : request.set()) {
    auto* entry = resource->add_entries();
    entry->set_key(key);
    entry->set_operation(controller::AlterConfigsRequest::SET);
    entry->set_value(value);
  }
  for (const std::string& key : request.unset()) {
    auto* entry = resource->add_entries();
    entry->set_key(key);
    entry->set_operation(controller::AlterConfigsRequest::DELETE);
  }
  out.set_validate_only(request.validate_only());
  return out;
}

Status OnlyResource(const Result<controller::AlterConfigsResponse>& response) {
  if (!response.ok()) return response.status();
  SLUICE_RETURN_IF_ERROR(
      StatusFromKafka(response->outcome().error_code(), response->outcome().message()));
  if (response->resources_size() != 1)
    return Status::Internal("the controller's answer has no resource");
  return StatusFromKafka(response->resources(0).error_code(), response->resources(0).message());
}

}  // namespace

void Handlers::CreateTopic(CreateTopicRequest request, int64_t timeout_ms,
                           Done<CreateTopicResponse> done) {
  controller::CreateTopicsRequest forward;
  controller::CreatableTopic* topic = forward.add_topics();
  topic->set_name(request.name());
  // Absent (0) means the default, which the controller knows as Kafka's -1.
  topic->set_partition_count(request.partitions() == 0 ? -1 : request.partitions());
  topic->set_replication_factor(request.replication_factor() == 0 ? -1
                                                                  : request.replication_factor());
  *topic->mutable_configs() = request.configs();
  forward.set_validate_only(request.validate_only());
  backend_.CreateTopics(
      std::move(forward), timeout_ms,
      [this, request, timeout_ms, done](Result<controller::CreateTopicsResponse> response) {
        const Result<controller::TopicOutcome> outcome = OnlyTopic(response);
        if (!outcome.ok()) return done(outcome.status());
        if (request.validate_only()) {
          CreateTopicResponse valid;
          valid.mutable_topic()->set_name(request.name());
          return done(valid);
        }
        AnswerWhenApplied<CreateTopicResponse>(
            response->applied_index(), timeout_ms, done, [request](const metadata::Image& image) {
              return WithTopic<CreateTopicResponse>(image, request.name());
            });
      });
}

void Handlers::DeleteTopic(DeleteTopicRequest request, int64_t timeout_ms,
                           Done<DeleteTopicResponse> done) {
  controller::DeleteTopicsRequest forward;
  forward.add_topics()->set_name(request.name());
  forward.set_validate_only(request.validate_only());
  backend_.DeleteTopics(
      std::move(forward), timeout_ms,
      [this, request, timeout_ms, done](Result<controller::DeleteTopicsResponse> response) {
        const Result<controller::TopicOutcome> outcome = OnlyTopic(response);
        if (!outcome.ok()) return done(outcome.status());
        DeleteTopicResponse deleted;
        if (outcome->topic_id().size() == 16) {
          deleted.set_topic_id(Uuid::FromBytes(outcome->topic_id()).ToString());
        }
        deleted.set_partitions(outcome->partition_count());
        AnswerWhenApplied<DeleteTopicResponse>(
            request.validate_only() ? -1 : response->applied_index(), timeout_ms, done,
            [deleted](const metadata::Image&) -> Result<DeleteTopicResponse> { return deleted; });
      });
}

Result<metadata::ImagePtr> Handlers::KnownImage() const {
  if (backend_.KnowsCluster()) return backend_.Image();
  return Status::Unavailable("node " + std::to_string(backend_.node_id().value()) +
                             " does not know the cluster's metadata yet: it is starting, or no "
                             "majority of the controllers runs");
}

Remembered Handlers::WhatIsRemembered(const metadata::Image& image) const {
  Remembered remembered;
  remembered.set_node(backend_.node_id().value());
  remembered.set_metadata_index(image.last_index.value());
  const std::optional<int64_t> heard_ms_ago = backend_.ControllerHeardMsAgo();
  if (heard_ms_ago) remembered.set_heard_ms_ago(*heard_ms_ago);
  return remembered;
}

void Handlers::ListTopics(ListTopicsRequest request, int64_t timeout_ms,
                          Done<ListTopicsResponse> done) {
  AnswerFromImage<ListTopicsResponse>(timeout_ms, std::move(done),
                                      [request](const metadata::Image& image) {
                                        return DescribeTopics(image, request.name_prefix());
                                      });
}

void Handlers::DescribeTopic(DescribeTopicRequest request, int64_t timeout_ms,
                             Done<DescribeTopicResponse> done) {
  AnswerFromImage<DescribeTopicResponse>(
      timeout_ms, std::move(done), [request](const metadata::Image& image) {
        return WithTopic<DescribeTopicResponse>(image, request.name());
      });
}

void Handlers::AddPartitions(AddPartitionsRequest request, int64_t timeout_ms,
                             Done<AddPartitionsResponse> done) {
  controller::CreatePartitionsRequest forward;
  auto* topic = forward.add_topics();
  topic->set_name(request.name());
  topic->set_partition_count(request.partitions());
  forward.set_validate_only(request.validate_only());
  backend_.CreatePartitions(
      std::move(forward), timeout_ms,
      [this, request, timeout_ms, done](Result<controller::CreatePartitionsResponse> response) {
        const Result<controller::TopicOutcome> outcome = OnlyTopic(response);
        if (!outcome.ok()) return done(outcome.status());
        const int64_t index = request.validate_only() ? -1 : response->applied_index();
        AnswerWhenApplied<AddPartitionsResponse>(
            index, timeout_ms, done, [request](const metadata::Image& image) {
              return WithTopic<AddPartitionsResponse>(image, request.name());
            });
      });
}

void Handlers::AlterTopicConfig(AlterTopicConfigRequest request, int64_t timeout_ms,
                                Done<AlterTopicConfigResponse> done) {
  backend_.AlterConfigs(
      ToController(request), timeout_ms,
      [this, request, timeout_ms, done](Result<controller::AlterConfigsResponse> response) {
        if (const Status status = OnlyResource(response); !status.ok()) return done(status);
        const int64_t index = request.validate_only() ? -1 : response->applied_index();
        AnswerWhenApplied<AlterTopicConfigResponse>(
            index, timeout_ms, done,
            [request](const metadata::Image& image) -> Result<AlterTopicConfigResponse> {
              AlterTopicConfigResponse altered;
              for (const auto& [key, value] : image.TopicConfigs(request.name())) {
                (*altered.mutable_configs())[key] = value;
              }
              return altered;
            });
      });
}

void Handlers::DescribeTopicConfig(DescribeTopicConfigRequest request, int64_t,
                                   Done<DescribeTopicConfigResponse> done) {
  const Result<metadata::ImagePtr> known = KnownImage();
  if (!known.ok()) return done(known.status());
  const metadata::ImagePtr& image = *known;
  if (image->FindTopic(request.name()) == nullptr) return done(NoSuchTopic(request.name()));
  done(DescribeConfigs({.image = *image, .server = backend_.config(), .self = backend_.node_id()},
                       request.name()));
}

void Handlers::WithQuorum(int64_t timeout_ms, std::function<void(const QuorumAnswer*)> use) {
  backend_.DescribeQuorum(
      {}, std::min(timeout_ms, kQuorumTimeoutMs),
      [use = std::move(use)](Result<controller::DescribeQuorumResponse> response) {
        const bool answered = response.ok() && response->outcome().error_code() == 0;
        use(answered ? &*response : nullptr);
      });
}

void Handlers::DeleteRecords(DeleteRecordsRequest request, int64_t timeout_ms,
                             Done<DeleteRecordsResponse> done) {
  const Result<metadata::ImagePtr> current = KnownImage();
  if (!current.ok()) return done(current.status());
  const metadata::ImagePtr& image = *current;
  const auto topic = image->FindTopic(request.topic());
  if (topic == nullptr) return done(NoSuchTopic(request.topic()));
  if (metadata::IsInternalTopic(request.topic())) {
    return done(Status::InvalidArgument("topic '" + request.topic() +
                                        "' is the brokers' own: its records are not deleted"));
  }
  const std::string name = request.topic() + "-" + std::to_string(request.partition());
  const bool known = request.partition() >= 0 &&
                     static_cast<size_t>(request.partition()) < topic->partitions.size();
  if (!known) {
    return done(Status::NotFound("partition " + name + " does not exist; the topic has " +
                                 std::to_string(topic->partitions.size())));
  }
  const NodeId leader = topic->partitions[static_cast<size_t>(request.partition())].leader;
  if (leader == kNoNode) return done(Status::Unavailable("partition " + name + " has no leader"));
  if (request.at_leader() && leader != backend_.node_id()) {
    return done(Status::Unavailable("the leader of partition " + name + " has just moved to node " +
                                    std::to_string(leader.value())));
  }
  // Only there: the policy may come from the leader's own file.
  if (leader == backend_.node_id()) {
    const metadata::EffectiveConfig policy = metadata::EffectiveTopicConfig(
        {.image = *image, .server = backend_.config(), .self = leader}, request.topic(),
        "cleanup.policy");
    if (policy.value == "compact") return done(OnlyCompacted(request.topic()));
  }
  request.set_at_leader(true);
  backend_.DeleteRecords(leader, std::move(request), timeout_ms, std::move(done));
}

void Handlers::DescribeCluster(DescribeClusterRequest, int64_t timeout_ms,
                               Done<DescribeClusterResponse> done) {
  WithQuorum(timeout_ms, [this, done](const QuorumAnswer* quorum) {
    const Result<metadata::ImagePtr> image = KnownImage();
    if (!image.ok()) return done(image.status());
    DescribeClusterResponse response = admin::DescribeCluster(**image, quorum);
    if (quorum == nullptr) *response.mutable_remembered() = WhatIsRemembered(**image);
    done(std::move(response));
  });
}

void Handlers::ListPartitions(ListPartitionsRequest request, int64_t timeout_ms,
                              Done<ListPartitionsResponse> done) {
  AnswerFromImage<ListPartitionsResponse>(
      timeout_ms, std::move(done),
      [request](const metadata::Image& image) -> Result<ListPartitionsResponse> {
        if (!request.topic().empty() && image.FindTopic(request.topic()) == nullptr)
          return NoSuchTopic(request.topic());
        return DescribePartitions(image, request);
      });
}

void Handlers::ClusterHealth(ClusterHealthRequest, int64_t timeout_ms,
                             Done<ClusterHealthResponse> done) {
  WithQuorum(timeout_ms, [this, done](const QuorumAnswer* quorum) {
    const std::optional<LocalController> controller = backend_.Controller();
    const metadata::ImagePtr image = backend_.Image();
    ClusterHealthResponse response =
        EvaluateHealth(*image, quorum,
                       {.node_id = backend_.node_id(),
                        .knows_cluster = backend_.KnowsCluster(),
                        .vote_waits_for = controller.has_value() ? controller->waits_for : "",
                        .partitions = backend_.Partitions(),
                        .directories = backend_.Directories()});
    if (quorum == nullptr) *response.mutable_remembered() = WhatIsRemembered(*image);
    done(std::move(response));
  });
}

}  // namespace sluice::admin
