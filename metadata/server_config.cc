#include "metadata/server_config.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "metadata/group_config.h"

namespace sluice::metadata {

namespace {

constexpr uint16_t kDefaultGrpcPort = 9190;
constexpr uint16_t kDefaultHttpPort = 9191;

Status ThreeLines(const std::string& what, const std::string& why, const std::string& fix) {
  return Status::InvalidArgument(what + "\n" + why + "\n" + fix);
}

bool BindsAll(const std::string& host) { return host.empty() || host == "0.0.0.0" || host == "::"; }

HostPort Advertised(HostPort address, const std::string& host_name) {
  if (BindsAll(address.host)) address.host = host_name.empty() ? "localhost" : host_name;
  return address;
}

Result<Listener> ParseListener(const std::string& key, const std::string& text) {
  const size_t scheme = text.find("://");
  Result<HostPort> address = Status::InvalidArgument("no ://");
  if (scheme != std::string::npos) address = ParseHostPort(text.substr(scheme + 3));
  if (!address.ok() || scheme == 0) {
    return ThreeLines("cannot read " + key, "'" + text + "' is not of the form NAME://host:port",
                      "write for example PLAINTEXT://0.0.0.0:9092");
  }
  return Listener{text.substr(0, scheme), *address};
}

Result<std::vector<Listener>> ParseListeners(const ConfigValues& values, const std::string& key) {
  std::vector<Listener> listeners;
  std::set<std::string> names;
  for (const std::string& text : values.GetList(key)) {
    SLUICE_ASSIGN_OR_RETURN(Listener listener, ParseListener(key, text));
    if (!names.insert(listener.name).second) {
      return ThreeLines("two listeners of one name", key + " has " + listener.name + " twice",
                        "give each listener its own name");
    }
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

Status CheckProtocols(const ConfigValues& values, const std::vector<Listener>& listeners) {
  std::map<std::string, std::string> protocols;
  for (const std::string& pair : values.GetList("listener.security.protocol.map")) {
    const size_t colon = pair.find(':');
    if (colon != std::string::npos) protocols[pair.substr(0, colon)] = pair.substr(colon + 1);
  }
  for (const Listener& listener : listeners) {
    const auto protocol = protocols.find(listener.name);
    if (protocol == protocols.end()) {
      return ThreeLines(
          "listener " + listener.name + " has no security protocol",
          "listener.security.protocol.map=" + values.GetString("listener.security.protocol.map") +
              " does not name it",
          "add " + listener.name + ":PLAINTEXT to listener.security.protocol.map");
    }
    if (protocol->second != "PLAINTEXT") {
      return ThreeLines(
          "listener " + listener.name + " cannot be opened",
          "its security protocol is " + protocol->second + "; this version offers PLAINTEXT only",
          "map " + listener.name + " to PLAINTEXT and keep its port inside a trusted network");
    }
  }
  return Status::Ok();
}

Status ReadIdentity(const ConfigValues& values, ServerConfig& config) {
  for (const char* key : {"node.id", "process.roles"}) {
    if (values.IsSet(key)) continue;
    return ThreeLines(
        std::string(key) + " is missing", "every node needs one, and it has no default",
        key == std::string("node.id") ? "add for example node.id=1"
                                      : "add for example process.roles=broker,controller");
  }
  config.node_id = NodeId(static_cast<int32_t>(values.GetInt("node.id")));
  for (const std::string& role : values.GetList("process.roles")) {
    (role == "broker" ? config.is_broker : config.is_controller) = true;
  }
  if (!config.is_broker && !config.is_controller) {
    return ThreeLines("process.roles is empty", "a node is a broker, a controller, or both",
                      "set process.roles=broker,controller");
  }
  const std::string key = values.IsSet("log.dirs") ? "log.dirs" : "log.dir";
  std::vector<std::string> directories;
  if (values.IsSet(key)) {
    directories =
        key == "log.dirs" ? values.GetList(key) : std::vector<std::string>{values.GetString(key)};
  }
  if (directories.empty()) {
    return ThreeLines("log.dirs is missing",
                      "the node needs a directory for its data, and there is no default",
                      "set log.dirs to one directory or more, of different disks");
  }
  if (std::set<std::string>(directories.begin(), directories.end()).size() != directories.size()) {
    return ThreeLines("log.dirs names a directory twice",
                      "log.dirs=" + values.GetString("log.dirs"), "name each directory once");
  }
  config.log_directories = directories;
  config.log_directory = directories[0];
  config.metadata_directory = values.IsSet("metadata.log.dir")
                                  ? values.GetString("metadata.log.dir")
                                  : config.log_directory;
  config.rack = values.GetString("broker.rack");
  return Status::Ok();
}

// Splits `listeners` into the controller's and the brokers', and finds the advertised addresses.
Status ReadListeners(const ConfigValues& values, const std::string& host_name,
                     ServerConfig& config) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<Listener> all, ParseListeners(values, "listeners"));
  SLUICE_RETURN_IF_ERROR(CheckProtocols(values, all));
  const std::vector<std::string> controller_names = values.GetList("controller.listener.names");
  for (const Listener& listener : all) {
    const bool of_controller = std::find(controller_names.begin(), controller_names.end(),
                                         listener.name) != controller_names.end();
    if (of_controller) {
      config.controller_listener = listener.address;
    } else {
      config.listeners.push_back(listener);
    }
  }
  if (config.is_controller && !config.controller_listener) {
    return ThreeLines(
        "the controller has no listener",
        "controller.listener.names=" + values.GetString("controller.listener.names") +
            " and listeners=" + values.GetString("listeners") + " have no name in common",
        "set controller.listener.names=CONTROLLER and add CONTROLLER://host:port to listeners");
  }
  // A node that is a controller no more keeps its door for the administration there.
  if (config.controller_listener) config.grpc_listener = *config.controller_listener;
  if (!config.is_controller) config.controller_listener.reset();
  if (!config.is_broker) {
    config.listeners.clear();
    return Status::Ok();
  }
  if (config.listeners.empty()) {
    return ThreeLines("the broker has no listener",
                      "listeners=" + values.GetString("listeners") + " has only the controller's",
                      "add PLAINTEXT://host:port to listeners");
  }
  std::map<std::string, HostPort> advertised;
  if (values.IsSet("advertised.listeners")) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<Listener> given,
                            ParseListeners(values, "advertised.listeners"));
    for (const Listener& listener : given) advertised[listener.name] = listener.address;
  }
  for (const Listener& listener : config.listeners) {
    const auto given = advertised.find(listener.name);
    const HostPort address =
        given != advertised.end() ? given->second : Advertised(listener.address, host_name);
    if (BindsAll(address.host)) {
      return ThreeLines("advertised.listeners has no host that clients could use",
                        listener.name + " is advertised as '" + address.ToString() + "'",
                        "give the name or address by which clients reach this node");
    }
    config.advertised_listeners.push_back({listener.name, address});
  }
  config.inter_broker_listener = values.GetString("inter.broker.listener.name");
  if (config.inter_broker_listener.empty()) config.inter_broker_listener = config.listeners[0].name;
  const bool known =
      std::any_of(config.listeners.begin(), config.listeners.end(),
                  [&](const Listener& l) { return l.name == config.inter_broker_listener; });
  if (known) return Status::Ok();
  return ThreeLines(
      "inter.broker.listener.name names no listener",
      config.inter_broker_listener + " is not in listeners=" + values.GetString("listeners"),
      "name one of the listeners");
}

Status ReadVoters(const ConfigValues& values, ServerConfig& config) {
  std::set<NodeId> ids;
  for (const std::string& text : values.GetList("controller.quorum.voters")) {
    const size_t at = text.find('@');
    int32_t id = -1;
    if (at != std::string::npos) std::from_chars(text.data(), text.data() + at, id);
    const Result<HostPort> address =
        ParseDialAddress(at == std::string::npos ? "" : text.substr(at + 1));
    if (id < 0 || !address.ok()) {
      return ThreeLines("cannot read controller.quorum.voters",
                        "'" + text + "' is not of the form id@host:port",
                        "write for example 1@host1:9093,2@host2:9093,3@host3:9093");
    }
    if (!ids.insert(NodeId(id)).second) {
      return ThreeLines("controller.quorum.voters has node " + std::to_string(id) + " twice",
                        "controller.quorum.voters=" + values.GetString("controller.quorum.voters"),
                        "give each controller its own id");
    }
    config.voters.push_back({NodeId(id), *address});
  }
  if (config.voters.empty()) {
    return ThreeLines(
        "controller.quorum.voters is missing", "the node must know where the controllers are",
        "add for example controller.quorum.voters=1@host1:9093,2@host2:9093,3@host3:9093");
  }
  if (ids.contains(config.node_id) == config.is_controller) return Status::Ok();
  return ThreeLines(
      config.is_controller ? "this controller is not among the voters"
                           : "this broker is named as a voter",
      "node.id=" + std::to_string(config.node_id.value()) +
          ", process.roles=" + values.GetString("process.roles") +
          ", controller.quorum.voters=" + values.GetString("controller.quorum.voters"),
      config.is_controller
          ? "add this node to controller.quorum.voters on every node"
          : "add controller to process.roles, or take the node out of controller.quorum.voters");
}

Result<HostPort> ReadAddress(const ConfigValues& values, const std::string& key,
                             const HostPort& when_empty) {
  const std::string text = values.GetString(key);
  if (text.empty()) return when_empty;
  Result<HostPort> address = ParseHostPort(text);
  if (address.ok()) return address;
  return ThreeLines("cannot read " + key, "'" + text + "' is not of the form host:port",
                    "write for example 127.0.0.1:9190");
}

Status ReadOtherAddresses(const ConfigValues& values, const std::string& host_name,
                          ServerConfig& config) {
  const std::string host = config.listeners.empty() ? config.controller_listener->host
                                                    : config.listeners[0].address.host;
  const HostPort grpc_default =
      config.grpc_listener.host.empty() ? HostPort{host, kDefaultGrpcPort} : config.grpc_listener;
  SLUICE_ASSIGN_OR_RETURN(config.grpc_listener, ReadAddress(values, "grpc.listener", grpc_default));
  SLUICE_ASSIGN_OR_RETURN(config.http_listener,
                          ReadAddress(values, "http.listener", HostPort{host, kDefaultHttpPort}));
  config.grpc_advertised = Advertised(config.grpc_listener, host_name);
  config.http_advertised = Advertised(config.http_listener, host_name);

  std::map<uint16_t, std::string> owners;
  std::vector<Listener> all = config.listeners;
  if (config.controller_listener)
    all.push_back({"the controller's listener", *config.controller_listener});
  if (config.grpc_listener != config.controller_listener)
    all.push_back({"grpc.listener", config.grpc_listener});
  all.push_back({"http.listener", config.http_listener});
  for (const Listener& listener : all) {
    const auto [owner, added] = owners.emplace(listener.address.port, listener.name);
    if (added || listener.address.port == 0) continue;
    return ThreeLines("two listeners on one port",
                      owner->second + " and " + listener.name + " both use port " +
                          std::to_string(listener.address.port),
                      "give each its own port");
  }
  return Status::Ok();
}

}  // namespace

int64_t LeaseMs(int64_t session_ms, int64_t margin_ms) {
  return session_ms - (margin_ms >= 0 ? std::min(margin_ms, session_ms / 2)
                                      : std::min<int64_t>(100, session_ms / 6));
}

namespace {

// A lease begins when the controller was last confirmed, and a heartbeat brings it.
Status CheckLease(const ConfigValues& values) {
  const std::string margin = "broker.lease.margin.ms", session = "broker.session.timeout.ms",
                    heartbeat = "broker.heartbeat.interval.ms",
                    confirm = "controller.quorum.confirm.interval.ms";
  if (values.GetInt(margin) == 0) {
    return ThreeLines(margin + " is 0",
                      "clocks of two hosts need not run alike: a leader could acknowledge records "
                      "when another one leads",
                      "take 1 or more, or -1 for a sixth of the session");
  }
  const int64_t lease_ms = LeaseMs(values.GetInt(session), values.GetInt(margin));
  if (values.GetInt(confirm) + values.GetInt(heartbeat) < lease_ms) return Status::Ok();
  return ThreeLines(confirm + " and " + heartbeat + " are too long for the lease of leaders",
                    "together they are " +
                        std::to_string(values.GetInt(confirm) + values.GetInt(heartbeat)) +
                        " ms, and a lease lasts " + std::to_string(lease_ms) + " ms (" + session +
                        " less " + margin + "): leaders would stop acknowledging again and again",
                    "make one of them shorter, or the session longer");
}

Status ReadTimers(const ConfigValues& values, ServerConfig& config) {
  config.broker_session_timeout_ms = values.GetInt("broker.session.timeout.ms");
  config.broker_heartbeat_interval_ms = values.GetInt("broker.heartbeat.interval.ms");
  config.election_timeout_ms = values.GetInt("controller.quorum.election.timeout.ms");
  config.quorum_heartbeat_interval_ms = values.GetInt("controller.quorum.heartbeat.interval.ms");
  config.replica_lag_time_ms_max = values.GetInt("replica.lag.time.max.ms");
  const auto check = [&](const std::string& interval, const std::string& timeout) {
    if (values.GetInt(interval) * 2 <= values.GetInt(timeout)) return Status::Ok();
    return ThreeLines(timeout + " is too short",
                      interval + "=" + values.GetString(interval) + " and " + timeout + "=" +
                          values.GetString(timeout) +
                          ": one late message would look like a dead node",
                      "keep the timeout at twice the interval or more");
  };
  SLUICE_RETURN_IF_ERROR(check("broker.heartbeat.interval.ms", "broker.session.timeout.ms"));
  SLUICE_RETURN_IF_ERROR(CheckLease(values));
  if (const Status groups = CheckGroupConfigs({}, values); !groups.ok()) {
    return ThreeLines("the timers of consumer groups contradict each other or their limits",
                      groups.message(), "change one of the two");
  }
  SLUICE_RETURN_IF_ERROR(
      check("controller.quorum.leader.lost.timeout.ms", "controller.quorum.election.timeout.ms"));
  return check("controller.quorum.heartbeat.interval.ms", "controller.quorum.election.timeout.ms");
}

}  // namespace

std::string HostPort::ToString() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  if (colon != std::string_view::npos) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const bool plain = bracketed || host.find(':') == std::string_view::npos;
    if (parsed.ec == std::errc() && parsed.ptr == end && plain)
      return HostPort{std::string(host), port};
  }
  return Status::InvalidArgument("'" + std::string(text) + "' is not of the form host:port");
}

Result<HostPort> ParseDialAddress(std::string_view text) {
  Result<HostPort> address = ParseHostPort(text);
  if (!address.ok() || (!address->host.empty() && address->port != 0)) return address;
  return Status::InvalidArgument("'" + std::string(text) +
                                 "' is not of the form host:port; it is dialled, so it has both, "
                                 "and no port is 0");
}

Result<ServerConfig> MakeServerConfig(ConfigValues values, const std::string& host_name) {
  ServerConfig config;
  SLUICE_RETURN_IF_ERROR(ReadIdentity(values, config));
  SLUICE_RETURN_IF_ERROR(ReadListeners(values, host_name, config));
  SLUICE_RETURN_IF_ERROR(ReadVoters(values, config));
  SLUICE_RETURN_IF_ERROR(ReadOtherAddresses(values, host_name, config));
  SLUICE_RETURN_IF_ERROR(ReadTimers(values, config));
  config.default_partition_count = static_cast<int32_t>(values.GetInt("num.partitions"));
  config.default_replication_factor =
      static_cast<int32_t>(values.GetInt("default.replication.factor"));
  config.auto_create_topics = values.GetBool("auto.create.topics.enable");
  config.values = std::move(values);
  return config;
}

}  // namespace sluice::metadata
