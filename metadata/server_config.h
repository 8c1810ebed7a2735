#pragma once
// Server configuration: the table of the keys that Sluice honours (Kafka's names; defaults as in
// Kafka but for the timers, durability and replica lag), the known Kafka keys without meaning here,
// the loader (file, environment, --set), and ServerConfig: the checked values, typed.
//
//   Result<LoadedConfig> loaded = LoadServerConfig({.file_name = "server.properties", .file_text =
//   text, ...}); if (!loaded.ok()) { puts(loaded.status().message()); exit(2); }   // three lines:
//   what, why, what to do
//
// Thread rule: pure functions; a ServerConfig is shared as const.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"

namespace sluice::metadata {

ConfigTable ServerConfigKeys();
// Of replica.selector.class: consumers read from a replica in their rack.
inline constexpr char kRackAwareSelector[] =
    "org.apache.kafka.common.replica.RackAwareReplicaSelector";
// A key of Apache Kafka that Sluice accepts and ignores; all that were given are named in one
// warning.
bool IsIgnoredKafkaKey(std::string_view key);

struct HostPort {
  std::string host;  // empty = all interfaces; no brackets around IPv6
  uint16_t port = 0;
  std::string ToString() const;  // "host:port", "[::1]:9092"
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
// "host:port", ":port", "[::1]:port".
Result<HostPort> ParseHostPort(std::string_view text);
// The same where somebody dials it: with a host, and a port that is not 0.
Result<HostPort> ParseDialAddress(std::string_view text);

struct Listener {
  std::string name;  // "PLAINTEXT", "CONTROLLER", or any name that the protocol map knows
  HostPort address;
  friend bool operator==(const Listener&, const Listener&) = default;
};

struct VoterAddress {
  NodeId id = kNoNode;
  HostPort address;
  friend bool operator==(const VoterAddress&, const VoterAddress&) = default;
};

struct ServerConfig {
  // Everything, as text and by key; the fields below are what most parts need.
  ConfigValues values{ServerConfigKeys()};

  NodeId node_id = kNoNode;
  bool is_broker = false;
  bool is_controller = false;
  std::vector<std::string> log_directories;
  std::string log_directory;       // the first of them: it holds the node's identity
  std::string metadata_directory;  // log_directory unless metadata.log.dir says otherwise
  std::string rack;

  std::vector<Listener> listeners;  // where brokers' Kafka clients connect: bound addresses,
                                    // CONTROLLER not among them
  std::vector<Listener> advertised_listeners;   // the same names; hosts that clients can use
  std::string inter_broker_listener;            // a name among them
  std::optional<HostPort> controller_listener;  // of a controller
  std::vector<VoterAddress> voters;
  HostPort grpc_listener;    // the node's gRPC server; of a controller the same address as
                             // controller_listener unless set
  HostPort grpc_advertised;  // what others dial: a host is always there
  HostPort http_listener;
  HostPort http_advertised;

  int64_t broker_session_timeout_ms = 0;
  int64_t broker_heartbeat_interval_ms = 0;
  int64_t election_timeout_ms = 0;  // of the quorum; random up to twice of it
  int64_t quorum_heartbeat_interval_ms = 0;
  int64_t replica_lag_time_ms_max = 0;
  int32_t default_partition_count = 1;
  int32_t default_replication_factor = 1;
  bool auto_create_topics = true;
};

struct ConfigSources {
  std::string file_name;  // as the user gave it, for messages; empty when there is no file
  std::string file_text;
  std::map<std::string, std::string> environment;  // names with SLUICE_ in front count
  std::vector<std::string> overrides;              // "key=value" of --set, the strongest
  std::string host_name;  // advertised where an address binds all interfaces
};

struct LoadedConfig {
  ServerConfig config;
  std::vector<std::string> warnings;
};

// kInvalidArgument with three lines: what is wrong and where, why with the real values, what to do.
Result<LoadedConfig> LoadServerConfig(const ConfigSources& sources);
// The typed form of values, with the checks that concern several keys. `host_name` as above.
Result<ServerConfig> MakeServerConfig(ConfigValues values, const std::string& host_name);
// How long a leader may lead without a word of the controllers; `margin_ms` as
// broker.lease.margin.ms.
int64_t LeaseMs(int64_t session_ms, int64_t margin_ms);
// "node.id" for "SLUICE_NODE_ID".
std::string KeyOfEnvironmentName(std::string_view name);

}  // namespace sluice::metadata
