// DescribeConfigs (key 32): every configuration entry of topics, of groups and of this broker,
// with value, source and synonyms.
//   v1 source and synonyms.  v3 types and documentation.  v4 flexible.
// Tools print what differs from the default by the source's number, so the sources must be Kafka's:
// 1 topic, 2 this broker's dynamic value, 3 the cluster's dynamic default, 4 the server's file, 5
// the default, 8 group.

#include "kafka/messages/describe_configs.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "metadata/group_config.h"
#include "metadata/topic_config.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using metadata::ConfigSource;
using Request = kafka::DescribeConfigsRequest;
using Response = kafka::DescribeConfigsResponse;
using Entry = Response::DescribeConfigsResourceResult;
using ResourceResult = Response::DescribeConfigsResult;

// Kafka's codes.
int8_t TypeCode(ConfigType type) {
  switch (type) {
    case ConfigType::kBool: return 1;
    case ConfigType::kString: return 2;
    case ConfigType::kInt: return 3;
    case ConfigType::kLong: return 5;
    case ConfigType::kDouble: return 6;
    case ConfigType::kList: return 7;
  }
  return 0;
}

// Describes the resources of one request from one image.
class Description {
 public:
  Description(const BrokerServices& services, const Request& request)
      : image_(services.metadata->Current()),
        scope_{*image_, services.config->values, services.state->node_id},
        request_(request) {}

  void Describe(const Request::DescribeConfigsResource& resource, ResourceResult& out) const;

 private:
  void DescribeTopic(const Request::DescribeConfigsResource& resource, ResourceResult& out) const;
  void DescribeGroup(const Request::DescribeConfigsResource& resource, ResourceResult& out) const;
  void DescribeBroker(const Request::DescribeConfigsResource& resource, ResourceResult& out) const;
  void DescribeClusterDefaults(const Request::DescribeConfigsResource& resource,
                               ResourceResult& out) const;
  Entry& Add(const ConfigKey& key, std::optional<std::string> value, ConfigSource source,
             ResourceResult& out) const;
  void AddServerSynonyms(std::string_view server_key, Entry& out) const;
  void AddSynonym(std::string_view name, std::optional<std::string> value, ConfigSource source,
                  Entry& out) const;
  const std::string* Dynamic(const std::string& broker, std::string_view key) const;

  const metadata::ImagePtr image_;
  const metadata::TopicConfigScope scope_;
  const Request& request_;
};

void Fail(ErrorCode error, const std::string& message, ResourceResult& out) {
  out.error_code = WireError(error);
  out.error_message = message;
}

bool Wanted(const Request::DescribeConfigsResource& resource, std::string_view key) {
  const auto& keys = resource.configuration_keys;
  return !keys.has_value() || keys->empty() ||
         std::find(keys->begin(), keys->end(), key) != keys->end();
}

void Description::Describe(const Request::DescribeConfigsResource& resource,
                           ResourceResult& out) const {
  out.resource_type = resource.resource_type;
  out.resource_name = resource.resource_name;
  out.error_message.reset();
  if (resource.resource_type == kTopicResource) {
    DescribeTopic(resource, out);
  } else if (resource.resource_type == kGroupResource) {
    DescribeGroup(resource, out);
  } else if (resource.resource_type != kBrokerResource) {
    Fail(ErrorCode::kInvalidRequest, NoConfiguration(resource.resource_type), out);
  } else if (resource.resource_name.empty()) {
    DescribeClusterDefaults(resource, out);
  } else if (resource.resource_name != std::to_string(scope_.self.value())) {
    Fail(ErrorCode::kInvalidRequest,
         "this is broker " + std::to_string(scope_.self.value()) +
             "; it cannot tell the configuration of broker '" + resource.resource_name + "'",
         out);
  } else {
    DescribeBroker(resource, out);
  }
}

void Description::DescribeTopic(const Request::DescribeConfigsResource& resource,
                                ResourceResult& out) const {
  const std::string& topic = resource.resource_name;
  if (!IsLegalTopicName(topic))
    return Fail(ErrorCode::kInvalidTopicException, "the topic name '" + topic + "' is not allowed",
                out);
  if (image_->FindTopic(topic) == nullptr)
    return Fail(ErrorCode::kUnknownTopicOrPartition, "topic " + topic + " does not exist", out);
  const metadata::ConfigMap& explicit_values = image_->TopicConfigs(topic);
  for (const ConfigKey& key : metadata::TopicConfigKeys()) {
    if (!Wanted(resource, key.name)) continue;
    metadata::EffectiveConfig effective =
        metadata::EffectiveTopicConfig(scope_, explicit_values, key.name);
    Entry& entry = Add(key, std::move(effective.value), effective.source, out);
    if (!request_.include_synonyms) continue;
    if (const auto set = explicit_values.find(std::string(key.name));
        set != explicit_values.end()) {
      AddSynonym(key.name, set->second, ConfigSource::kTopic, entry);
    }
    bool has_server_key = false;
    for (const metadata::TopicKeySynonym& synonym : metadata::TopicKeySynonyms()) {
      if (synonym.topic_key != key.name) continue;
      AddServerSynonyms(synonym.server_key, entry);
      has_server_key = true;
    }
    if (!has_server_key)
      AddSynonym(key.name, std::string(key.default_value), ConfigSource::kDefault, entry);
  }
}

void Description::DescribeGroup(const Request::DescribeConfigsResource& resource,
                                ResourceResult& out) const {
  const std::string& group = resource.resource_name;
  if (group.empty())
    return Fail(ErrorCode::kInvalidRequest, "the group to be described is not named", out);
  for (const ConfigKey& key : metadata::GroupConfigKeys()) {
    if (!Wanted(resource, key.name)) continue;
    metadata::EffectiveConfig effective = metadata::EffectiveGroupConfig(scope_, group, key.name);
    Entry& entry = Add(key, effective.value, effective.source, out);
    if (!request_.include_synonyms) continue;
    if (effective.source == ConfigSource::kGroup)
      AddSynonym(key.name, std::move(effective.value), ConfigSource::kGroup, entry);
    AddServerSynonyms(metadata::ServerKeyOfGroupKey(key.name), entry);
  }
}

void Description::DescribeBroker(const Request::DescribeConfigsResource& resource,
                                 ResourceResult& out) const {
  for (const ConfigKey& key : metadata::ServerConfigKeys()) {
    if (!Wanted(resource, key.name)) continue;
    metadata::EffectiveConfig effective = metadata::EffectiveServerConfig(scope_, key.name);
    const bool absent = effective.source == ConfigSource::kDefault && !key.has_default;
    Entry& entry = Add(key, absent ? std::nullopt : std::optional(std::move(effective.value)),
                       effective.source, out);
    entry.read_only = !key.dynamic;
    if (request_.include_synonyms) AddServerSynonyms(key.name, entry);
  }
}

// The empty broker name stands for all brokers: what is set dynamically for them, and nothing else.
void Description::DescribeClusterDefaults(const Request::DescribeConfigsResource& resource,
                                          ResourceResult& out) const {
  for (const ConfigKey& key : metadata::ServerConfigKeys()) {
    const std::string* value = Dynamic("", key.name);
    if (value == nullptr || !Wanted(resource, key.name)) continue;
    Entry& entry = Add(key, *value, ConfigSource::kDynamicDefaultBroker, out);
    entry.read_only = !key.dynamic;
    if (request_.include_synonyms)
      AddSynonym(key.name, *value, ConfigSource::kDynamicDefaultBroker, entry);
  }
}

Entry& Description::Add(const ConfigKey& key, std::optional<std::string> value, ConfigSource source,
                        ResourceResult& out) const {
  Entry& entry = out.configs.emplace_back();
  entry.name = key.name;
  entry.is_sensitive = key.sensitive;
  entry.value = key.sensitive ? std::nullopt : std::move(value);
  entry.config_source = static_cast<int8_t>(source);
  entry.config_type = TypeCode(key.type);
  entry.documentation.reset();
  if (request_.include_documentation) entry.documentation = std::string(key.doc);
  return entry;
}

// All values that a server key has, the strongest first.
void Description::AddServerSynonyms(std::string_view server_key, Entry& out) const {
  if (const std::string* own = Dynamic(std::to_string(scope_.self.value()), server_key)) {
    AddSynonym(server_key, *own, ConfigSource::kDynamicBroker, out);
  }
  if (const std::string* all = Dynamic("", server_key))
    AddSynonym(server_key, *all, ConfigSource::kDynamicDefaultBroker, out);
  if (scope_.server.IsSet(server_key))
    AddSynonym(server_key, scope_.server.Find(server_key), ConfigSource::kStaticBroker, out);
  const ConfigKey* key = FindConfigKey(metadata::ServerConfigKeys(), server_key);
  if (key != nullptr && key->has_default)
    AddSynonym(server_key, std::string(key->default_value), ConfigSource::kDefault, out);
}

void Description::AddSynonym(std::string_view name, std::optional<std::string> value,
                             ConfigSource source, Entry& out) const {
  auto& synonym = out.synonyms.emplace_back();
  synonym.name = name;
  synonym.value = out.is_sensitive ? std::nullopt : std::move(value);
  synonym.source = static_cast<int8_t>(source);
}

const std::string* Description::Dynamic(const std::string& broker, std::string_view key) const {
  const auto values = image_->broker_configs->find(broker);
  if (values == image_->broker_configs->end()) return nullptr;
  const auto found = values->second.find(std::string(key));
  return found == values->second.end() ? nullptr : &found->second;
}

void HandleDescribeConfigs(BrokerServices& services, const RequestContext&, Request request,
                           const Responder<Response>& responder) {
  const Description description(services, request);
  Response response;
  bool failed = false;
  for (const auto& resource : request.resources) {
    ResourceResult& out = response.results.emplace_back();
    description.Describe(resource, out);
    failed |= out.error_code != 0;
  }
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(response);
}

}  // namespace

const ApiHandler kDescribeConfigsApi = Serve<Request, Response, &HandleDescribeConfigs>(1, 4);

}  // namespace sluice::broker
