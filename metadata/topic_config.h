#pragma once
// Topic configuration: the table of topic-level keys (Kafka's names, types and defaults, and two of
// our own), their checks, and the effective values with their source: topic > this broker's dynamic
// value > the cluster's dynamic default > the server's file > the default.
//
// A key whose feature is not built yet accepts its default only, so that nobody believes to have
// set something.
//
// Thread rule: pure functions over immutable values.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/status.h"
#include "metadata/image.h"
#include "metadata/throttled_replicas.h"

namespace sluice::metadata {

ConfigTable TopicConfigKeys();

// Kafka's codes (DescribeConfigs).
enum class ConfigSource : int8_t {
  kTopic = 1,
  kDynamicBroker = 2,
  kDynamicDefaultBroker = 3,
  kStaticBroker = 4,
  kDefault = 5,
  kGroup = 8,
};

struct EffectiveConfig {
  std::string value;
  ConfigSource source = ConfigSource::kDefault;
};

// The server key whose value is the default of a topic key ("segment.bytes" ->
// "log.segment.bytes"). The first is the one that wins; `factor` converts its unit
// (log.retention.hours to ms).
struct TopicKeySynonym {
  std::string_view topic_key;
  std::string_view server_key;
  int64_t factor = 1;
};
std::span<const TopicKeySynonym> TopicKeySynonyms();

// The canonical text of `value`; kInvalidArgument names the key, the value and what is allowed, or
// the nearest key.
Result<std::string> CheckTopicConfig(std::string_view key, std::string_view value);
// Checks that no key sees alone.
Status CheckTopicConfigs(const ConfigMap& values);

// Where effective values come from. `server` holds values of ServerConfigKeys().
struct TopicConfigScope {
  const Image& image;
  const ConfigValues& server;
  NodeId self = kNoNode;
};
// REQUIRES: `key` is in TopicConfigKeys().
EffectiveConfig EffectiveTopicConfig(const TopicConfigScope& scope, const std::string& topic,
                                     std::string_view key);
// The same for given explicit values, of a topic that may not exist yet.
EffectiveConfig EffectiveTopicConfig(const TopicConfigScope& scope,
                                     const ConfigMap& explicit_values, std::string_view key);
// The effective value of a server key: dynamic values above the file's. REQUIRES: `key` is in
// ServerConfigKeys().
EffectiveConfig EffectiveServerConfig(const TopicConfigScope& scope, std::string_view key);

// All that a broker obeys, typed.
struct TopicConfig {
  bool cleanup_delete = true;
  bool cleanup_compact = false;
  double min_cleanable_dirty_ratio = 0.5;
  int64_t min_compaction_lag_ms = 0;
  int64_t max_compaction_lag_ms = 0;
  int64_t delete_retention_ms = 0;
  bool fsync = true;                   // durability=fsync
  int64_t flush_messages = INT64_MAX;  // in the replicated durability, as flush_ms
  int64_t flush_ms = INT64_MAX;
  bool full_record_validation = false;  // record.validation=full
  bool log_append_time = false;
  // compression.type: the number that a batch's header has for the codec (0 = uncompressed);
  // nullopt = producer, as it comes.
  std::optional<int8_t> stored_codec;
  std::optional<int32_t> compression_level;  // of that codec; nullopt = the codec's own default
  int64_t timestamp_before_ms_max = 0;
  int64_t timestamp_after_ms_max = 0;
  int32_t message_bytes_max = 0;
  int32_t min_insync_replicas = 1;
  int64_t segment_bytes = 0;
  int64_t segment_ms = 0;
  int32_t segment_index_bytes = 0;
  int32_t index_interval_bytes = 0;
  int64_t retention_ms = 0;
  int64_t retention_bytes = 0;
  int64_t producer_id_expiration_ms = 0;  // the same for all topics
  ThrottledReplicas leader_throttled;     // whose brokers serve replicas out of sync slowly
  ThrottledReplicas follower_throttled;   // whose brokers fetch slowly while they are out of sync
  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};
TopicConfig EffectiveTopicConfig(const TopicConfigScope& scope, const std::string& topic);

}  // namespace sluice::metadata
