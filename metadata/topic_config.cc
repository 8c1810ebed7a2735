#include "metadata/topic_config.h"

#include <algorithm>
#include <array>
#include <functional>

#include "metadata/server_config.h"

namespace sluice::metadata {

namespace {

// Keys that clients and tools know, whose feature this version lacks: their default is the only
// value.
constexpr std::array<std::string_view, 8> kDefaultOnly{"local.retention.bytes",
                                                       "local.retention.ms",
                                                       "preallocate",
                                                       "remote.log.copy.disable",
                                                       "remote.log.delete.on.disable",
                                                       "remote.storage.enable",
                                                       "segment.jitter.ms",
                                                       "unclean.leader.election.enable"};

constexpr char kLeaderThrottled[] = "leader.replication.throttled.replicas";
constexpr char kFollowerThrottled[] = "follower.replication.throttled.replicas";

// The values of compression.type other than producer, by the number that a batch's header has for
// each.
constexpr std::array<std::string_view, 5> kStoredCodecs{"uncompressed", "gzip", "snappy", "lz4",
                                                        "zstd"};

bool Contains(const ConfigMap& map, std::string_view key) { return map.contains(std::string(key)); }

const ConfigMap* Dynamic(const Image& image, const std::string& name) {
  const auto found = image.broker_configs->find(name);
  return found == image.broker_configs->end() ? nullptr : &found->second;
}

std::string Scaled(std::string value, int64_t factor) {
  if (factor == 1) return value;
  const int64_t number = std::stoll(value);  // checked when it was set
  return std::to_string(number < 0 ? number : number * factor);
}

}  // namespace

Result<std::string> CheckTopicConfig(std::string_view key, std::string_view value) {
  const ConfigKey* row = FindConfigKey(TopicConfigKeys(), key);
  if (row == nullptr) {
    return Status::InvalidArgument("unknown topic config '" + std::string(key) +
                                   "'; the nearest known one is '" +
                                   std::string(NearestConfigName(TopicConfigKeys(), key)) + "'");
  }
  SLUICE_ASSIGN_OR_RETURN(std::string text, CheckConfigValue(*row, value));
  const bool fixed = std::find(kDefaultOnly.begin(), kDefaultOnly.end(), key) != kDefaultOnly.end();
  if (fixed && text != row->default_value) {
    return Status::InvalidArgument("invalid value '" + text + "' for " + std::string(key) +
                                   ": this version offers only '" +
                                   std::string(row->default_value) + "'");
  }
  if (key == kLeaderThrottled || key == kFollowerThrottled) {
    const Result<ThrottledReplicas> parsed = ThrottledReplicas::Parse(text);
    if (!parsed.ok()) {
      return Status::InvalidArgument("invalid value for " + std::string(key) + ": " +
                                     parsed.status().message());
    }
  }
  if (key == "cleanup.policy" && text.empty()) {
    return Status::InvalidArgument("invalid value '' for cleanup.policy: expected one or both of " +
                                   std::string(row->allowed));
  }
  return text;
}

Status CheckTopicConfigs(const ConfigMap& values) {
  const auto low = values.find("min.compaction.lag.ms");
  const auto high = values.find("max.compaction.lag.ms");
  if (low != values.end() && high != values.end() &&
      std::stoll(low->second) > std::stoll(high->second)) {
    return Status::InvalidArgument("min.compaction.lag.ms=" + low->second +
                                   " is above max.compaction.lag.ms=" + high->second);
  }
  return Status::Ok();
}

EffectiveConfig EffectiveTopicConfig(const TopicConfigScope& scope,
                                     const ConfigMap& explicit_values, std::string_view key) {
  if (Contains(explicit_values, key))
    return {explicit_values.at(std::string(key)), ConfigSource::kTopic};
  const auto find_in = [&](const ConfigMap* map) -> std::optional<std::string> {
    if (map == nullptr) return std::nullopt;
    for (const TopicKeySynonym& synonym : TopicKeySynonyms()) {
      if (synonym.topic_key != key || !Contains(*map, synonym.server_key)) continue;
      return Scaled(map->at(std::string(synonym.server_key)), synonym.factor);
    }
    return std::nullopt;
  };
  if (auto value = find_in(Dynamic(scope.image, std::to_string(scope.self.value())))) {
    return {*std::move(value), ConfigSource::kDynamicBroker};
  }
  if (auto value = find_in(Dynamic(scope.image, "")))
    return {*std::move(value), ConfigSource::kDynamicDefaultBroker};
  if (auto value = find_in(&scope.server.explicit_values()))
    return {*std::move(value), ConfigSource::kStaticBroker};
  const ConfigKey* row = FindConfigKey(TopicConfigKeys(), key);
  CHECK(row != nullptr) << "no topic config " << key;
  return {std::string(row->default_value), ConfigSource::kDefault};
}

EffectiveConfig EffectiveTopicConfig(const TopicConfigScope& scope, const std::string& topic,
                                     std::string_view key) {
  return EffectiveTopicConfig(scope, scope.image.TopicConfigs(topic), key);
}

EffectiveConfig EffectiveServerConfig(const TopicConfigScope& scope, std::string_view key) {
  const ConfigMap* own = Dynamic(scope.image, std::to_string(scope.self.value()));
  if (own != nullptr && Contains(*own, key))
    return {own->at(std::string(key)), ConfigSource::kDynamicBroker};
  const ConfigMap* all = Dynamic(scope.image, "");
  if (all != nullptr && Contains(*all, key))
    return {all->at(std::string(key)), ConfigSource::kDynamicDefaultBroker};
  const ConfigSource source =
      scope.server.IsSet(key) ? ConfigSource::kStaticBroker : ConfigSource::kDefault;
  return {scope.server.Find(key).value_or(""), source};
}

namespace {

using TextOf = std::function<std::string(std::string_view)>;

void ReadCompression(const TextOf& text, TopicConfig& config) {
  const std::string type = text("compression.type");
  const auto codec = std::find(kStoredCodecs.begin(), kStoredCodecs.end(), type);
  if (codec == kStoredCodecs.end()) return;  // producer
  config.stored_codec = static_cast<int8_t>(codec - kStoredCodecs.begin());
  if (type != "gzip" && type != "lz4" && type != "zstd") return;
  const std::string level = text("compression." + type + ".level");
  // Of gzip -1 is the default; of zstd it is a level.
  if (type != "gzip" || level != "-1") config.compression_level = std::stoi(level);
}

}  // namespace

TopicConfig EffectiveTopicConfig(const TopicConfigScope& scope, const std::string& topic) {
  const ConfigMap& explicit_values = scope.image.TopicConfigs(topic);
  const auto text = [&](std::string_view key) {
    return EffectiveTopicConfig(scope, explicit_values, key).value;
  };
  const auto number = [&](std::string_view key) {
    return static_cast<int64_t>(std::stoll(text(key)));
  };
  const auto number32 = [&](std::string_view key) { return static_cast<int32_t>(number(key)); };
  TopicConfig config;
  const std::string policy = text("cleanup.policy");
  config.cleanup_delete = policy.find("delete") != std::string::npos;
  config.cleanup_compact = policy.find("compact") != std::string::npos;
  config.min_cleanable_dirty_ratio = std::stod(text("min.cleanable.dirty.ratio"));
  config.min_compaction_lag_ms = number("min.compaction.lag.ms");
  config.max_compaction_lag_ms = number("max.compaction.lag.ms");
  config.delete_retention_ms = number("delete.retention.ms");
  config.fsync = text("durability") == "fsync";
  config.flush_messages = number("flush.messages");
  config.flush_ms = number("flush.ms");
  config.full_record_validation = text("record.validation") == "full";
  config.log_append_time = text("message.timestamp.type") == "LogAppendTime";
  ReadCompression(text, config);
  config.timestamp_before_ms_max = number("message.timestamp.before.max.ms");
  config.timestamp_after_ms_max = number("message.timestamp.after.max.ms");
  config.message_bytes_max = number32("max.message.bytes");
  config.min_insync_replicas = number32("min.insync.replicas");
  config.segment_bytes = number("segment.bytes");
  config.segment_ms = number("segment.ms");
  config.segment_index_bytes = number32("segment.index.bytes");
  config.index_interval_bytes = number32("index.interval.bytes");
  config.retention_ms = number("retention.ms");
  config.retention_bytes = number("retention.bytes");
  // Checked when they were set.
  config.leader_throttled = ThrottledReplicas::Parse(text(kLeaderThrottled)).value();
  config.follower_throttled = ThrottledReplicas::Parse(text(kFollowerThrottled)).value();
  config.producer_id_expiration_ms = scope.server.GetInt("producer.id.expiration.ms");
  return config;
}

}  // namespace sluice::metadata
