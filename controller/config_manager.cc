#include "controller/config_manager.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "controller/assignment.h"
#include "controller/feature_manager.h"
#include "controller/partition_manager.h"
#include "metadata/group_config.h"
#include "metadata/replay.h"
#include "metadata/server_config.h"
#include "metadata/topic_config.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::ConfigMap;
using metadata::Image;

namespace {

constexpr char kMinIsr[] = "min.insync.replicas";

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) words.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

// What there is of one kind of resource.
struct Kind {
  std::string_view name;  // in messages
  ConfigTable keys;
};

Kind KindOf(metadata::ConfigResourceType type) {
  if (type == metadata::CONFIG_RESOURCE_TYPE_TOPIC) return {"topic", metadata::TopicConfigKeys()};
  if (type == metadata::CONFIG_RESOURCE_TYPE_GROUP) return {"group", metadata::GroupConfigKeys()};
  return {"broker", metadata::ServerConfigKeys()};
}

// The changes asked of one topic, broker or group.
class Alteration {
 public:
  Alteration(const HandleContext& context, const AlterConfigsRequest::Resource& resource)
      : context_(context),
        image_(*context.image),
        resource_(resource),
        kind_(KindOf(resource.type())) {}

  Failure Run(Records& records) {
    if (Failure failure = FindResource()) return failure;
    std::set<std::string> keys;
    for (const auto& entry : resource_.entries()) {
      if (!keys.insert(entry.key()).second)
        return {ErrorCode::kInvalidRequest, entry.key() + " comes more than once"};
      if (Failure failure = AlterEntry(entry)) return failure;
    }
    if (const Status together = CheckTogether(); !together.ok()) {
      return {ErrorCode::kInvalidConfig, together.message()};
    }
    for (auto& record : records_) records.push_back(std::move(record));
    return {};
  }

 private:
  Failure FindResource() {
    switch (resource_.type()) {
      case metadata::CONFIG_RESOURCE_TYPE_TOPIC: return FindTopic();
      case metadata::CONFIG_RESOURCE_TYPE_BROKER: return FindBroker();
      case metadata::CONFIG_RESOURCE_TYPE_GROUP: return FindGroup();
      default:
        return {ErrorCode::kInvalidRequest,
                "only topics, brokers and groups have dynamic configuration here"};
    }
  }

  Failure FindTopic() {
    if (image_.FindTopic(resource_.name()) == nullptr) {
      return {ErrorCode::kUnknownTopicOrPartition,
              "topic '" + resource_.name() + "' does not exist"};
    }
    values_ = image_.TopicConfigs(resource_.name());
    return {};
  }

  Failure FindBroker() {
    if (!resource_.name().empty()) {
      int32_t id = -1;
      const std::string& name = resource_.name();
      const auto parsed = std::from_chars(name.data(), name.data() + name.size(), id);
      if (parsed.ptr != name.data() + name.size() || image_.FindBroker(NodeId(id)) == nullptr) {
        return {ErrorCode::kInvalidRequest, "broker '" + name + "' is not registered"};
      }
    }
    const auto found = image_.broker_configs->find(resource_.name());
    if (found != image_.broker_configs->end()) values_ = found->second;
    return {};
  }

  // A group may be configured before it exists.
  Failure FindGroup() {
    if (resource_.name().empty())
      return {ErrorCode::kInvalidRequest, "the group whose configuration changes is not named"};
    values_ = image_.GroupConfigs(resource_.name());
    return {};
  }

  Status CheckTogether() const {
    switch (resource_.type()) {
      case metadata::CONFIG_RESOURCE_TYPE_TOPIC: return metadata::CheckTopicConfigs(values_);
      case metadata::CONFIG_RESOURCE_TYPE_GROUP:
        return metadata::CheckGroupConfigs(values_, context_.server);
      default: return Status::Ok();
    }
  }

  Failure AlterEntry(const AlterConfigsRequest::Entry& entry) {
    if (Failure failure = CheckKey(entry.key())) return failure;
    if (entry.operation() == AlterConfigsRequest::DELETE) return Remove(entry.key());
    if (!entry.has_value()) return {ErrorCode::kInvalidConfig, entry.key() + " is given no value"};
    std::string wanted = entry.value();
    if (entry.operation() != AlterConfigsRequest::SET) {
      if (Row(entry.key()).type != ConfigType::kList) {
        return {ErrorCode::kInvalidConfig, entry.key() + " is no list: only SET and DELETE apply"};
      }
      wanted = AlterList(entry);
    }
    Result<std::string> checked = of_topic() ? metadata::CheckTopicConfig(entry.key(), wanted)
                                             : CheckConfigValue(Row(entry.key()), wanted);
    if (!checked.ok()) return {ErrorCode::kInvalidConfig, checked.status().message()};
    const auto present = values_.find(entry.key());
    if (present != values_.end() && present->second == *checked) return {};
    values_[entry.key()] = *checked;
    AddRecord(entry.key(), *checked);
    return {};
  }

  Failure Remove(const std::string& key) {
    // Then each node would go by its own file again.
    if (of_broker() && IsClusterWide(key) && values_.contains(key)) {
      return {ErrorCode::kInvalidConfig, key + " of the cluster can be changed, not removed: all " +
                                             "its nodes must know the same value; set it"};
    }
    if (values_.erase(key) > 0) AddRecord(key, std::nullopt);
    return {};
  }

  Failure CheckKey(const std::string& key) const {
    const ConfigKey* row = FindConfigKey(kind_.keys, key);
    if (row == nullptr) {
      return {ErrorCode::kInvalidConfig, "unknown " + std::string(kind_.name) + " config '" + key +
                                             "'; the nearest known one is '" +
                                             std::string(NearestConfigName(kind_.keys, key)) + "'"};
    }
    if (!row->dynamic) {
      return {ErrorCode::kInvalidConfig, "the broker config '" + key +
                                             "' cannot change while the server runs: set it in "
                                             "the server's file and restart"};
    }
    if (of_broker() && !resource_.name().empty() && IsClusterWide(key)) {
      return {ErrorCode::kInvalidConfig,
              key + " can be set for a topic or for all brokers, not for one"};
    }
    return {};
  }

  std::string AlterList(const AlterConfigsRequest::Entry& entry) const {
    const metadata::TopicConfigScope scope{image_, context_.server, kNoNode};
    const auto present = values_.find(entry.key());
    std::vector<std::string> words =
        Split(present != values_.end() ? present->second
              : of_topic() ? metadata::EffectiveTopicConfig(scope, values_, entry.key()).value
                           : metadata::EffectiveServerConfig(scope, entry.key()).value);
    for (const std::string& word : Split(entry.value())) {
      const auto found = std::find(words.begin(), words.end(), word);
      if (entry.operation() == AlterConfigsRequest::APPEND && found == words.end())
        words.push_back(word);
      if (entry.operation() == AlterConfigsRequest::SUBTRACT && found != words.end())
        words.erase(found);
    }
    return Join(words);
  }

  void AddRecord(const std::string& key, const std::optional<std::string>& value) {
    metadata::MetadataRecord record;
    record.mutable_config()->set_type(resource_.type());
    record.mutable_config()->set_name(resource_.name());
    record.mutable_config()->set_key(key);
    if (value) record.mutable_config()->set_value(*value);
    records_.push_back(std::move(record));
  }

  bool of_broker() const { return resource_.type() == metadata::CONFIG_RESOURCE_TYPE_BROKER; }
  bool of_topic() const { return resource_.type() == metadata::CONFIG_RESOURCE_TYPE_TOPIC; }
  const ConfigKey& Row(const std::string& key) const { return *FindConfigKey(kind_.keys, key); }

  const HandleContext& context_;
  const Image& image_;
  const AlterConfigsRequest::Resource& resource_;
  const Kind kind_;
  ConfigMap values_;  // explicit ones, with the changes so far
  Records records_;
};

// The elections that changed min.insync.replicas ask for, judged on the image with the changes.
Records Elections(const HandleContext& context, const Records& changes, bool dry_run) {
  std::set<std::string> topics;
  bool all = false;
  for (const auto& record : changes) {
    if (record.config().key() != kMinIsr) continue;
    if (record.config().type() == metadata::CONFIG_RESOURCE_TYPE_TOPIC)
      topics.insert(record.config().name());
    all = all || record.config().type() == metadata::CONFIG_RESOURCE_TYPE_BROKER;
  }
  if (topics.empty() && !all) return {};
  metadata::ImageBuilder builder(context.image);
  for (const auto& record : changes) CHECK(builder.Apply(record, context.index).ok());
  return ElectionsForMinIsr(*builder.Build(context.index, context.image->last_term),
                            all ? nullptr : &topics, dry_run);
}

}  // namespace

Decision<AlterConfigsResponse> AlterConfigs(const HandleContext& context,
                                            const AlterConfigsRequest& request) {
  Decision<AlterConfigsResponse> decision;
  std::set<std::pair<int, std::string>> seen;
  for (const auto& resource : request.resources()) {
    auto& answer = *decision.response.add_resources();
    answer.set_type(resource.type());
    answer.set_name(resource.name());
    const bool repeated = !seen.emplace(resource.type(), resource.name()).second;
    const Failure failure =
        repeated ? Failure{ErrorCode::kInvalidRequest,
                           "'" + resource.name() + "' comes more than once in the request"}
                 : Alteration(context, resource).Run(decision.records);
    if (failure) SetError(answer, failure.code, failure.message);
  }
  Append(decision.records, Elections(context, decision.records, request.validate_only()));
  return decision;
}

}  // namespace sluice::controller
