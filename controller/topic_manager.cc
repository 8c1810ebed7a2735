#include "controller/topic_manager.h"

#include <algorithm>
#include <map>
#include <set>

#include "controller/assignment.h"
#include "metadata/partition_change.h"
#include "metadata/topic_config.h"
#include "metadata/topic_rules.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::Image;

namespace {

std::string Unified(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// How often each name comes in a request: what comes twice is refused as often.
template <typename Topics>
std::map<std::string, int> CountNames(const Topics& topics) {
  std::map<std::string, int> counts;
  for (const auto& topic : topics) ++counts[topic.name()];
  return counts;
}

Failure DuplicateInRequest(const std::string& name) {
  return {ErrorCode::kInvalidRequest, "topic '" + name + "' comes more than once in the request"};
}

// The creation of one request's topics: what was taken so far counts against the limits and names.
class Creation {
 public:
  explicit Creation(const HandleContext& context) : context_(context), image_(*context.image) {}

  // Fills `outcome`, and appends the topic's records unless it fails.
  void Create(const CreatableTopic& topic, Records& records, TopicOutcome& outcome) {
    outcome.set_name(topic.name());
    std::vector<std::vector<NodeId>> partitions;
    metadata::ConfigMap configs;
    Failure failure = CheckName(topic.name());
    if (!failure) failure = CheckConfigs(topic, configs);
    if (!failure) failure = Assign(topic, partitions);
    if (!failure &&
        partitions_ + partitions.size() > static_cast<size_t>(metadata::kPartitionsPerRequestMax)) {
      failure = {ErrorCode::kInvalidPartitions,
                 "the request creates more than " +
                     std::to_string(metadata::kPartitionsPerRequestMax) + " partitions"};
    }
    if (failure) return SetError(outcome, failure.code, failure.message);
    partitions_ += partitions.size();
    names_.insert(Unified(topic.name()));
    const TopicId id = TopicId::Generate(context_.random);
    outcome.set_topic_id(std::string(id.view()));
    outcome.set_partition_count(static_cast<int32_t>(partitions.size()));
    outcome.set_replication_factor(static_cast<int32_t>(partitions[0].size()));
    AppendRecords(topic.name(), id, partitions, configs, records);
  }

 private:
  Failure CheckName(const std::string& name) const {
    if (const Status valid = metadata::CheckTopicName(name); !valid.ok()) {
      // Kafka's code for the one name that is well formed.
      return {name == metadata::kClusterMetadataTopic ? ErrorCode::kInvalidRequest
                                                      : ErrorCode::kInvalidTopicException,
              valid.message()};
    }
    if (image_.FindTopic(name) != nullptr)
      return {ErrorCode::kTopicAlreadyExists, "topic '" + name + "' already exists"};
    if (const Status free = metadata::CheckNoCollision(image_, name); !free.ok()) {
      return {ErrorCode::kInvalidTopicException, free.message()};
    }
    if (!names_.contains(Unified(name))) return {};
    return {ErrorCode::kInvalidTopicException,
            "topic name '" + name +
                "' collides with another one of the request: '.' and '_' count as the same"};
  }

  static Failure CheckConfigs(const CreatableTopic& topic, metadata::ConfigMap& configs) {
    for (const auto& [key, value] : topic.configs()) {
      Result<std::string> checked = metadata::CheckTopicConfig(key, value);
      if (!checked.ok()) return {ErrorCode::kInvalidConfig, checked.status().message()};
      configs[key] = *std::move(checked);
    }
    if (const Status together = metadata::CheckTopicConfigs(configs); !together.ok()) {
      return {ErrorCode::kInvalidConfig, together.message()};
    }
    return {};
  }

  Failure Assign(const CreatableTopic& topic, std::vector<std::vector<NodeId>>& partitions) const {
    if (!topic.assignments().empty()) {
      if (topic.partition_count() > 0 || topic.replication_factor() > 0) {
        return {
            ErrorCode::kInvalidRequest,
            "an assignment comes instead of partition count and replication factor, not with them"};
      }
      return ReadAssignments(image_, topic.assignments(), {.first_partition = 0}, partitions);
    }
    int32_t count = topic.partition_count();
    int32_t factor = topic.replication_factor();
    if (count == -1) count = static_cast<int32_t>(context_.server.GetInt("num.partitions"));
    if (factor == -1)
      factor = static_cast<int32_t>(context_.server.GetInt("default.replication.factor"));
    if (const Status valid = metadata::CheckPartitionCount(count); !valid.ok()) {
      return {ErrorCode::kInvalidPartitions, valid.message()};
    }
    return PlaceOnBrokers(context_, count, factor, partitions);
  }

  void AppendRecords(const std::string& name, const TopicId& id,
                     const std::vector<std::vector<NodeId>>& partitions,
                     const metadata::ConfigMap& configs, Records& records) const {
    metadata::MetadataRecord topic;
    topic.mutable_topic()->set_name(name);
    topic.mutable_topic()->set_topic_id(std::string(id.view()));
    records.push_back(std::move(topic));
    AppendPartitions(image_, id, 0, partitions, records);
    for (const auto& [key, value] : configs) {
      metadata::MetadataRecord record;
      record.mutable_config()->set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
      record.mutable_config()->set_name(name);
      record.mutable_config()->set_key(key);
      record.mutable_config()->set_value(value);
      records.push_back(std::move(record));
    }
  }

  const HandleContext& context_;
  const Image& image_;
  std::set<std::string> names_;  // unified, of the topics taken so far
  size_t partitions_ = 0;
};

// The topic that a request means, by name or by id.
Failure Find(const Image& image, const DeleteTopicsRequest::Topic& asked,
             std::shared_ptr<const metadata::TopicImage>& topic) {
  if (asked.name().empty() == asked.topic_id().empty()) {
    return {ErrorCode::kInvalidRequest, "a topic is named either by name or by id"};
  }
  if (!asked.name().empty()) {
    topic = image.FindTopic(asked.name());
    if (topic == nullptr)
      return {ErrorCode::kUnknownTopicOrPartition, "topic '" + asked.name() + "' does not exist"};
    return {};
  }
  if (IsUuid(asked.topic_id())) topic = image.FindTopic(TopicId::FromBytes(asked.topic_id()));
  if (topic == nullptr) return {ErrorCode::kUnknownTopicId, "there is no topic with this id"};
  return {};
}

Failure Grow(const HandleContext& context, const CreatePartitionsRequest::Topic& asked,
             Records& records, TopicOutcome& outcome) {
  const Image& image = *context.image;
  const auto topic = image.FindTopic(asked.name());
  if (topic == nullptr)
    return {ErrorCode::kUnknownTopicOrPartition, "topic '" + asked.name() + "' does not exist"};
  const int32_t before = static_cast<int32_t>(topic->partitions.size());
  if (asked.partition_count() <= before ||
      asked.partition_count() > metadata::kPartitionsPerRequestMax) {
    return {ErrorCode::kInvalidPartitions,
            "partition count " + std::to_string(asked.partition_count()) + " is outside " +
                std::to_string(before + 1) + " to " +
                std::to_string(metadata::kPartitionsPerRequestMax) + ": topic '" + asked.name() +
                "' has " + std::to_string(before) + " and can only grow"};
  }
  const size_t factor = topic->partitions[0].replication_factor();
  const int32_t added = asked.partition_count() - before;
  std::vector<std::vector<NodeId>> partitions;
  Failure failure;
  if (asked.assignments().empty()) {
    failure = PlaceOnBrokers(context, added, static_cast<int32_t>(factor), partitions);
  } else if (asked.assignments_size() != added) {
    failure = {ErrorCode::kInvalidReplicaAssignment, std::to_string(asked.assignments_size()) +
                                                         " assignments for " +
                                                         std::to_string(added) + " new partitions"};
  } else {
    failure =
        ReadAssignments(image, asked.assignments(),
                        {.first_partition = before, .replication_factor = factor}, partitions);
  }
  if (failure) return failure;
  AppendPartitions(image, topic->id, before, partitions, records);
  outcome.set_topic_id(std::string(topic->id.view()));
  outcome.set_partition_count(asked.partition_count());
  outcome.set_replication_factor(static_cast<int32_t>(factor));
  return {};
}

}  // namespace

Decision<CreateTopicsResponse> CreateTopics(const HandleContext& context,
                                            const CreateTopicsRequest& request) {
  Decision<CreateTopicsResponse> decision;
  const std::map<std::string, int> counts = CountNames(request.topics());
  Creation creation(context);
  for (const CreatableTopic& topic : request.topics()) {
    TopicOutcome& outcome = *decision.response.add_topics();
    outcome.set_name(topic.name());
    if (counts.at(topic.name()) > 1) {
      const Failure failure = DuplicateInRequest(topic.name());
      SetError(outcome, failure.code, failure.message);
      continue;
    }
    creation.Create(topic, decision.records, outcome);
  }
  return decision;
}

Decision<DeleteTopicsResponse> DeleteTopics(const HandleContext& context,
                                            const DeleteTopicsRequest& request) {
  Decision<DeleteTopicsResponse> decision;
  std::set<TopicId> seen;
  for (const auto& asked : request.topics()) {
    TopicOutcome& outcome = *decision.response.add_topics();
    outcome.set_name(asked.name());
    outcome.set_topic_id(asked.topic_id());
    std::shared_ptr<const metadata::TopicImage> topic;
    Failure failure = Find(*context.image, asked, topic);
    if (!failure && !context.server.GetBool("delete.topic.enable")) {
      failure = {ErrorCode::kTopicDeletionDisabled,
                 "topics cannot be deleted: delete.topic.enable=false"};
    }
    if (!failure && !seen.insert(topic->id).second) failure = DuplicateInRequest(topic->name);
    if (failure) {
      SetError(outcome, failure.code, failure.message);
      continue;
    }
    outcome.set_name(topic->name);
    outcome.set_topic_id(std::string(topic->id.view()));
    outcome.set_partition_count(static_cast<int32_t>(topic->partitions.size()));
    outcome.set_replication_factor(static_cast<int32_t>(topic->partitions[0].replication_factor()));
    metadata::MetadataRecord record;
    record.mutable_remove_topic()->set_topic_id(std::string(topic->id.view()));
    decision.records.push_back(std::move(record));
  }
  return decision;
}

Decision<CreatePartitionsResponse> CreatePartitions(const HandleContext& context,
                                                    const CreatePartitionsRequest& request) {
  Decision<CreatePartitionsResponse> decision;
  const std::map<std::string, int> counts = CountNames(request.topics());
  for (const auto& asked : request.topics()) {
    TopicOutcome& outcome = *decision.response.add_topics();
    outcome.set_name(asked.name());
    const Failure failure = counts.at(asked.name()) > 1
                                ? DuplicateInRequest(asked.name())
                                : Grow(context, asked, decision.records, outcome);
    if (failure) SetError(outcome, failure.code, failure.message);
  }
  return decision;
}

}  // namespace sluice::controller
