// Reading the configuration from its three sources (declared in metadata/server_config.h): file,
// then environment, then --set.

#include <algorithm>
#include <cctype>

#include "base/utf8.h"
#include "metadata/server_config.h"
#include "metadata/topic_config.h"

namespace sluice::metadata {

namespace {

constexpr std::string_view kPrefix = "SLUICE_";
// With less free a start gives of the node's reserve up (storage/space_reserve.h).
constexpr int64_t kRoomToStartBytes = 4 << 20;

struct Gathered {
  ConfigValues values{ServerConfigKeys()};
  std::vector<std::string> ignored;
};

// The server keys by which every topic gets its value of `topic_key`, the one that wins first; ""
// when there is none.
std::string ServerKeysOf(std::string_view topic_key) {
  std::string keys;
  for (const TopicKeySynonym& synonym : TopicKeySynonyms()) {
    if (synonym.topic_key == topic_key && synonym.server_key != topic_key)
      keys += (keys.empty() ? "'" : "' or '") + std::string(synonym.server_key);
  }
  return keys.empty() ? keys : keys + "'";
}

std::string NearestServerKey(std::string_view key) {
  const std::string same = ServerKeysOf(key);
  if (!same.empty()) return same;
  return "'" + std::string(NearestConfigName(ServerConfigKeys(), key)) + "'";
}

Status UnknownKey(const std::string& source, const std::string& key) {
  if (FindConfigKey(TopicConfigKeys(), key) != nullptr) {
    const std::string server_keys = ServerKeysOf(key);
    return Status::InvalidArgument(
        source + ": '" + key + "' is a key of topics, not of the server\n" +
        (server_keys.empty() ? "no server key gives topics its default"
                             : "the server key for its default is " + server_keys) +
        "\n" + (server_keys.empty() ? "remove it, and" : "use that, or remove it and") +
        " set it where it is wanted: sluice topic alter NAME --config " + key + "=VALUE");
  }
  return Status::InvalidArgument(
      source + ": unknown key '" + key +
      "'\nneither Sluice nor Apache Kafka has a server key of this name\n" +
      "the nearest known key is " + NearestServerKey(key) + ": correct the name, or remove it");
}

// Keys of Apache Kafka by which a node is closed to strangers. Whoever set them would think it
// closed.
bool IsSecurityKey(std::string_view key) {
  constexpr std::string_view kListener = "listener.name.";
  if (key.starts_with(kListener)) {
    // "listener.name.internal.ssl.keystore.location": the key for one listener.
    const size_t dot = key.find('.', kListener.size());
    return dot != std::string_view::npos && IsSecurityKey(key.substr(dot + 1));
  }
  return key.starts_with("ssl.") || key.starts_with("sasl.") || key == "authorizer.class.name" ||
         key == "super.users" || key == "security.inter.broker.protocol" ||
         key == "security.providers";
}

// The values by which Kafka, too, leaves the door open.
bool AsksForNothing(std::string_view key, std::string_view value) {
  if (key == "security.inter.broker.protocol") return value == "PLAINTEXT";
  return key == "authorizer.class.name" && value.empty();
}

Status SetOne(Gathered& into, const std::string& source, const std::string& key,
              const std::string& value) {
  // The controllers would refuse to hear of it.
  if (!IsUtf8(value)) {
    return Status::InvalidArgument(source + ": the value of " + key +
                                   " cannot be read\nit is not UTF-8 text\nwrite it in UTF-8");
  }
  if (FindConfigKey(ServerConfigKeys(), key) != nullptr) {
    const Status set = into.values.Set(key, value, source);
    if (set.ok()) return set;
    const ConfigKey* row = FindConfigKey(ServerConfigKeys(), key);
    return Status::InvalidArgument(set.message() + "\n" + key + ": " + std::string(row->doc) +
                                   "\n" +
                                   (row->has_default && !row->default_value.empty()
                                        ? "correct the value, or remove the key for the default " +
                                              std::string(row->default_value)
                                        : "correct the value"));
  }
  if (IsSecurityKey(key) && !AsksForNothing(key, value)) {
    return Status::InvalidArgument(
        source + ": " + key +
        " cannot be honoured\nthis version has no TLS, SASL or ACLs; ignoring " + key + "=" +
        value +
        " would leave the node open\nremove it, and keep the node inside a trusted network");
  }
  if (!IsIgnoredKafkaKey(key) && !IsSecurityKey(key)) return UnknownKey(source, key);
  into.ignored.push_back(key);
  return Status::Ok();
}

Status ReadText(const ConfigSources& sources, Gathered& into) {
  for (const PropertyLine& line : ParseProperties(sources.file_text)) {
    const std::string source = sources.file_name + ":" + std::to_string(line.line);
    SLUICE_RETURN_IF_ERROR(SetOne(into, source, line.key, line.value));
  }
  return Status::Ok();
}

// A variable that is no key may be meant for the command-line tool: it is pointed out, not refused.
Status ReadEnvironment(const ConfigSources& sources, Gathered& into,
                       std::vector<std::string>& warnings) {
  for (const auto& [name, value] : sources.environment) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string key = KeyOfEnvironmentName(name);
    if (FindConfigKey(ServerConfigKeys(), key) == nullptr && !IsIgnoredKafkaKey(key) &&
        !IsSecurityKey(key)) {
      warnings.push_back("environment variable " + name +
                         " stands for no server key; the nearest is " + NearestServerKey(key));
      continue;
    }
    SLUICE_RETURN_IF_ERROR(SetOne(into, "environment " + name, key, value));
  }
  return Status::Ok();
}

Status ReadOverrides(const ConfigSources& sources, Gathered& into) {
  for (const std::string& pair : sources.overrides) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Status::InvalidArgument(
          "--set " + pair +
          " cannot be read\nit is not of the form key=value\nwrite for example --set node.id=1");
    }
    SLUICE_RETURN_IF_ERROR(SetOne(into, "--set", pair.substr(0, equals), pair.substr(equals + 1)));
  }
  return Status::Ok();
}

void AddWarnings(const Gathered& gathered, const ServerConfig& config,
                 std::vector<std::string>& warnings) {
  if (!gathered.ignored.empty()) {
    std::string text = "these keys of Apache Kafka have no effect here:";
    for (const std::string& key : gathered.ignored) text += " " + key;
    warnings.push_back(text);
  }
  if (config.broker_session_timeout_ms > 2000) {
    warnings.push_back(
        "broker.session.timeout.ms=" + std::to_string(config.broker_session_timeout_ms) +
        ": a silent broker keeps its partitions for so long; Sluice's default is 600 ms");
  }
  const int64_t hard_bytes = config.values.GetInt("disk.free.hard.bytes");
  if (hard_bytes >= 0 && hard_bytes < kRoomToStartBytes) {
    warnings.push_back(
        "disk.free.hard.bytes=" + std::to_string(hard_bytes) +
        ": records may take the disk to its last bytes, and the metadata log and the next start "
        "then live on the node's reserve (space.reserve) alone; a controller that finds no room "
        "after that ends. With " +
        std::to_string(kRoomToStartBytes) + " or more, or -1 on a disk of 400 MiB or more, records leave them some");
  }
  const int64_t min_isr = config.values.GetInt("min.insync.replicas");
  if (config.is_broker && min_isr > config.default_replication_factor &&
      config.values.IsSet("default.replication.factor")) {
    warnings.push_back("min.insync.replicas=" + std::to_string(min_isr) +
                       " is above default.replication.factor=" +
                       std::to_string(config.default_replication_factor) +
                       ": of topics created with the defaults it counts as " +
                       std::to_string(config.default_replication_factor) +
                       ", and acks=all needs every replica in sync; set it to 1 to " +
                       std::to_string(config.default_replication_factor) +
                       ", or raise default.replication.factor");
  }
}

}  // namespace

std::string KeyOfEnvironmentName(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  std::string key(name);
  std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) {
    return c == '_' ? '.' : static_cast<char>(std::tolower(c));
  });
  return key;
}

Result<LoadedConfig> LoadServerConfig(const ConfigSources& sources) {
  Gathered gathered;
  LoadedConfig loaded;
  SLUICE_RETURN_IF_ERROR(ReadText(sources, gathered));
  SLUICE_RETURN_IF_ERROR(ReadEnvironment(sources, gathered, loaded.warnings));
  SLUICE_RETURN_IF_ERROR(ReadOverrides(sources, gathered));
  Result<ServerConfig> config = MakeServerConfig(gathered.values, sources.host_name);
  if (!config.ok()) {
    const std::string place = sources.file_name.empty() ? "" : sources.file_name + ": ";
    return Status::InvalidArgument(place + config.status().message());
  }
  loaded.config = *std::move(config);
  AddWarnings(gathered, loaded.config, loaded.warnings);
  return loaded;
}

}  // namespace sluice::metadata
