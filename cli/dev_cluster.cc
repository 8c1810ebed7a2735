#include "cli/dev_cluster.h"

#include <csignal>
#include <sstream>

#include "cli/cluster_plan.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

constexpr int kDefaultNodes = 1;
constexpr int kNodePortStep = 100;
constexpr int kGrpcPortOffset = 3;
constexpr int kHttpPortOffset = 8080 - 9092;
constexpr int kPollMs = 10;
constexpr size_t kLogTailBytes = 1500;

std::vector<DevNode> PlanNodes(const DevOptions& options) {
  std::vector<DevNode> nodes;
  for (int id = 1; id <= options.nodes.value_or(kDefaultNodes); ++id) {
    const int kafka = options.port.value_or(kDefaultPort) + (id - 1) * kNodePortStep;
    nodes.push_back({id, kafka, kafka + kGrpcPortOffset, kafka + kHttpPortOffset});
  }
  return nodes;
}

nlohmann::json NodesAsJson(const std::vector<DevNode>& nodes) {
  nlohmann::json list = nlohmann::json::array();
  for (const DevNode& node : nodes) {
    list.push_back({{"id", node.id},
                    {"kafka_port", node.kafka_port},
                    {"grpc_port", node.grpc_port},
                    {"http_port", node.http_port}});
  }
  return {{"nodes", list}};
}

std::string ServerProperties(const DevNode& node, const std::vector<DevNode>& nodes,
                             const DevOptions& options) {
  const std::string host = "127.0.0.1:";
  std::string voters;
  for (const DevNode& voter : nodes) {
    voters += (voters.empty() ? "" : ",") + std::to_string(voter.id) + "@" + host +
              std::to_string(voter.grpc_port);
  }
  std::ostringstream text;
  text << "# Written by sluice dev.\n"
       << "process.roles=broker,controller\n"
       << "node.id=" << node.id << "\n"
       << "listeners=PLAINTEXT://" << host << node.kafka_port << ",CONTROLLER://" << host
       << node.grpc_port << "\n"
       << "controller.listener.names=CONTROLLER\n"
       << "controller.quorum.voters=" << voters << "\n"
       << "http.listener=" << host << node.http_port << "\n"
       << "log.dirs=" << options.directory << "/node-" << node.id << "/data\n"
       << "default.replication.factor=" << std::min<size_t>(3, nodes.size()) << "\n"
       << "min.insync.replicas=" << (nodes.size() >= 3 ? 2 : 1) << "\n";
  return text.str();
}

// What the node's server will read, with the settings as --set of it: an error names the setting,
// not a line of a file that nobody has seen yet.
Result<metadata::LoadedConfig> LoadConfig(const DevNode& node, const std::vector<DevNode>& nodes,
                                          const DevOptions& options) {
  metadata::ConfigSources sources;
  sources.file_text = ServerProperties(node, nodes, options);
  sources.overrides = options.settings;
  return metadata::LoadServerConfig(sources);
}

constexpr char kProcessFile[] = "/process.json";
constexpr char kPidField[] = "pid";
constexpr char kStartField[] = "start_ticks_since_boot";  // field 22 of /proc/PID/stat

std::string ProcessAsJson(const ProcessId& process) {
  return nlohmann::ordered_json{{kPidField, process.pid}, {kStartField, process.start_ticks}}.dump(
             2) +
         "\n";
}

Result<ProcessId> ReadProcessFile(FileSystem& fs, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  for (const char* field : {kPidField, kStartField}) {
    if (!json.is_object() || !json.contains(field) || !json[field].is_number_unsigned())
      return Status::Corruption(path + " does not hold a pid and a start time");
  }
  return ProcessId{json[kPidField], json[kStartField]};
}

}  // namespace

std::string_view DevNodeStateName(DevNodeState state) {
  switch (state) {
    case DevNodeState::kStopped: return "stopped";
    case DevNodeState::kStarting: return "starting";
    case DevNodeState::kReady: return "ready";
    case DevNodeState::kPaused: return "paused";
  }
  return "unknown";
}

Status DevCluster::CreateFiles(FileSystem& fs, Random& random, const DevOptions& options,
                               const std::vector<DevNode>& nodes) {
  std::vector<std::pair<NodeId, std::string>> addresses;
  for (const DevNode& node : nodes)
    addresses.emplace_back(NodeId(node.id), "127.0.0.1:" + std::to_string(node.grpc_port));
  const ClusterPlan plan = ClusterPlan::Generate(addresses, random);
  for (const DevNode& node : nodes) {
    const std::string directory = options.directory + "/node-" + std::to_string(node.id);
    SLUICE_RETURN_IF_ERROR(fs.CreateDirectories(directory));
    std::string properties = ServerProperties(node, nodes, options);
    for (const std::string& setting : options.settings) properties += setting + "\n";
    SLUICE_RETURN_IF_ERROR(WriteFileAtomically(fs, directory + "/server.properties", properties));
    SLUICE_ASSIGN_OR_RETURN(const metadata::LoadedConfig loaded, LoadConfig(node, nodes, options));
    SLUICE_RETURN_IF_ERROR(FormatNode(fs, random, loaded.config, plan));
  }
  // Last, so that a half-made cluster is made anew rather than opened.
  return WriteFileAtomically(fs, options.directory + "/dev.json",
                             NodesAsJson(nodes).dump(2) + "\n");
}

Status DevCluster::CheckSame(const DevOptions& options) const {
  const std::string what = "cannot make a cluster in " + directory_ + "\n" + directory_ +
                           " holds a cluster of " + std::to_string(nodes_.size()) +
                           " nodes, the first on port " + std::to_string(nodes_[0].kafka_port);
  const std::string leave_out = " out to start that one, or give another directory with --dir";
  if (options.nodes && *options.nodes != static_cast<int>(nodes_.size())) {
    return Status::InvalidArgument(what + "; --nodes " + std::to_string(*options.nodes) +
                                   " would be another one\nleave --nodes" + leave_out);
  }
  if (options.port && *options.port != nodes_[0].kafka_port) {
    return Status::InvalidArgument(what + "; --port " + std::to_string(*options.port) +
                                   " would be another one\nleave --port" + leave_out);
  }
  if (options.settings.empty()) return Status::Ok();
  return Status::InvalidArgument(what +
                                 "; --set is for a new one\nedit its "
                                 "node-N/server.properties, or leave --set" +
                                 leave_out);
}

// A cluster inside of a node would share its files.
Status DevCluster::CheckNoNode(FileSystem& fs, const std::string& directory) {
  for (const char* file : {"meta.properties", "server.properties", "server.log"}) {
    if (!fs.Exists(directory + "/" + file)) continue;
    const std::string above = directory.substr(0, directory.find_last_of('/'));
    const bool of_cluster = fs.Exists(above + "/dev.json");
    return Status::InvalidArgument(
        "there is no place for a cluster in " + directory +
        "\nit is the directory of one node: it " + "holds " + file + "\n" +
        (of_cluster ? "the cluster that it is of lives in " + above + ": name that with --dir"
                    : "give a directory of its own with --dir"));
  }
  return Status::Ok();
}

Result<DevCluster> DevCluster::OpenOrCreate(FileSystem& fs, Random& random,
                                            const DevOptions& options) {
  if (fs.Exists(options.directory + "/dev.json")) {
    SLUICE_ASSIGN_OR_RETURN(DevCluster cluster, Open(fs, options.directory));
    SLUICE_RETURN_IF_ERROR(cluster.CheckSame(options));
    return cluster;
  }
  SLUICE_RETURN_IF_ERROR(CheckNoNode(fs, options.directory));
  const std::vector<DevNode> nodes = PlanNodes(options);
  SLUICE_RETURN_IF_ERROR(LoadConfig(nodes.front(), nodes, options).status());
  for (const DevNode& node : nodes) {
    SLUICE_RETURN_IF_ERROR(CheckPortsFree(node));
    const std::string leftover = options.directory + "/node-" + std::to_string(node.id);
    // A node that ever ran has data; only what a failed creation left behind may go.
    if (fs.Exists(leftover + "/server.log")) {
      return Status::InvalidArgument(
          "cannot make a cluster in " + options.directory + "\n" + leftover +
          " holds a node, but dev.json is missing\nput dev.json back, or move what is there "
          "elsewhere; or give another directory with --dir");
    }
    if (fs.Exists(leftover)) SLUICE_RETURN_IF_ERROR(fs.RemoveAll(leftover));
  }
  SLUICE_RETURN_IF_ERROR(CreateFiles(fs, random, options, nodes));
  return Open(fs, options.directory);
}

Result<DevCluster> DevCluster::Open(FileSystem& fs, const std::string& directory) {
  Result<std::string> text = ReadFile(fs, directory + "/dev.json");
  if (!text.ok()) {
    SLUICE_RETURN_IF_ERROR(CheckNoNode(fs, directory));
    return Status::NotFound(directory + " holds no cluster of sluice dev");
  }
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  const Status damaged = Status::Corruption(directory + "/dev.json is damaged");
  if (!json.is_object() || !json.contains("nodes") || !json["nodes"].is_array()) return damaged;
  std::vector<DevNode> nodes;
  for (const nlohmann::json& node : json["nodes"]) {
    for (const char* key : {"id", "kafka_port", "grpc_port", "http_port"}) {
      if (!node.is_object() || !node.contains(key) || !node[key].is_number_integer())
        return damaged;
    }
    nodes.push_back({node["id"], node["kafka_port"], node["grpc_port"], node["http_port"]});
  }
  if (nodes.empty()) return damaged;
  return DevCluster(fs, directory, std::move(nodes));
}

const DevNode* DevCluster::Find(int id) const {
  for (const DevNode& node : nodes_) {
    if (node.id == id) return &node;
  }
  return nullptr;
}

std::string DevCluster::NodeDirectory(const DevNode& node) const {
  return directory_ + "/node-" + std::to_string(node.id);
}

std::optional<pid_t> DevCluster::PidOf(const DevNode& node) const {
  const Result<ProcessId> process = ReadProcessFile(*fs_, NodeDirectory(node) + kProcessFile);
  if (!process.ok() || !IsAlive(*process)) return std::nullopt;
  return process->pid;
}

DevNodeState DevCluster::StateOf(const DevNode& node) const {
  const Result<ProcessId> process = ReadProcessFile(*fs_, NodeDirectory(node) + kProcessFile);
  if (!process.ok() || !IsAlive(*process)) return DevNodeState::kStopped;
  if (IsPaused(*process)) return DevNodeState::kPaused;
  return HttpGetStatus(node.http_port, "/ready", 1000) == 200 ? DevNodeState::kReady
                                                              : DevNodeState::kStarting;
}

Status DevCluster::CheckPortsFree(const DevNode& node) {
  for (const int port : {node.kafka_port, node.grpc_port, node.http_port}) {
    if (!PortIsFree(port)) {
      return Status::Unavailable("port " + std::to_string(port) + " of node " +
                                 std::to_string(node.id) + " is in use by another process");
    }
  }
  return Status::Ok();
}

Status DevCluster::Spawn(const DevNode& node) {
  const std::string directory = NodeDirectory(node);
  const Result<std::string> log = ReadFile(*fs_, directory + "/server.log");
  log_start_bytes_[node.id] = log.ok() ? log->size() : 0;
  SLUICE_ASSIGN_OR_RETURN(
      const ProcessId process,
      SpawnDetached({OwnProgram(), "server", "--config", directory + "/server.properties"},
                    directory + "/server.log"));
  return WriteFileAtomically(*fs_, directory + kProcessFile, ProcessAsJson(process));
}

Status DevCluster::Start(const DevNode& node) {
  if (PidOf(node)) return Signal(node, SIGCONT);
  SLUICE_RETURN_IF_ERROR(CheckPortsFree(node));
  return Spawn(node);
}

Status DevCluster::Signal(const DevNode& node, int signal) {
  const std::optional<pid_t> pid = PidOf(node);
  if (!pid) return Status::NotFound("node " + std::to_string(node.id) + " does not run");
  if (kill(*pid, signal) != 0)
    return Status::IoError("cannot signal process " + std::to_string(*pid));
  return Status::Ok();
}

std::vector<int> DevCluster::Ids() const {
  std::vector<int> ids;
  for (const DevNode& node : nodes_) ids.push_back(node.id);
  return ids;
}

Status DevCluster::Stop(const std::vector<int>& ids, int64_t timeout_ms) {
  const auto alive = [&] {
    std::vector<const DevNode*> nodes;
    for (const int id : ids) {
      if (PidOf(*Find(id))) nodes.push_back(Find(id));
    }
    return nodes;
  };
  for (const int signal : {SIGTERM, SIGKILL}) {
    for (const DevNode* node : alive()) {
      // One that ended in between is what was wanted.
      (void)Signal(*node, signal);
      (void)Signal(*node, SIGCONT);  // a paused process takes no other signal
    }
    for (int64_t waited_ms = 0; waited_ms < timeout_ms && !alive().empty(); waited_ms += kPollMs) {
      SleepMs(kPollMs);
    }
    if (alive().empty()) return Status::Ok();
  }
  return Status::Timeout("some nodes are still there after SIGKILL");
}

// The end of what the node started here wrote, in whole lines.
std::string DevCluster::LogTail(const DevNode& node) const {
  const Result<std::string> log = ReadFile(*fs_, NodeDirectory(node) + "/server.log");
  const auto start = log_start_bytes_.find(node.id);
  if (!log.ok() || start == log_start_bytes_.end() || start->second > log->size()) return "";
  const std::string text = log->substr(start->second);
  if (text.size() <= kLogTailBytes) return text;
  return text.substr(std::min(text.find('\n', text.size() - kLogTailBytes), text.size() - 1) + 1);
}

// In the three lines of its own error, when it left some.
Status DevCluster::WhyEnded(const DevNode& node) const {
  const std::string tail = LogTail(node);
  const auto cut = [&tail](size_t from, std::string_view mark) {
    const size_t begin = from + mark.size();
    return tail.substr(begin, tail.find('\n', begin) - begin);
  };
  constexpr std::string_view kWhat = "sluice: ", kWhy = "\n  why: ", kDo = "\n  do:  ";
  const size_t why = tail.rfind(kWhy), fix = tail.rfind(kDo);
  const size_t what = why == std::string::npos ? why : tail.rfind(kWhat, why);
  const bool told = what != std::string::npos && fix != std::string::npos && fix > why;
  const std::string ended = "node " + std::to_string(node.id) + " ended while starting";
  if (!told) return Status::Unavailable(ended + "; the end of its log:\n" + tail);
  return Status::Unavailable(ended + ": " + cut(what, kWhat) + "\n" + cut(why, kWhy) + "\n" +
                             cut(fix, kDo));
}

std::map<int, Status> DevCluster::WaitReady(const std::vector<int>& ids, int64_t timeout_ms) {
  std::map<int, Status> missing;
  int64_t waited_ms = 0;
  for (const int id : ids) {
    const DevNode* node = Find(id);
    for (DevNodeState state; (state = StateOf(*node)) != DevNodeState::kReady;) {
      if (state == DevNodeState::kStopped && !log_start_bytes_.contains(id)) {
        // It was on its way out, and taken for running.
        const Status started = Start(*node);
        if (started.ok()) continue;
        missing[id] = started;
        break;
      }
      if (state == DevNodeState::kStopped) {
        missing[id] = WhyEnded(*node);
        break;
      }
      if (waited_ms >= timeout_ms) {
        missing[id] = Status::Timeout("node " + std::to_string(id) + " is not ready after " +
                                      std::to_string(timeout_ms) + " ms");
        break;
      }
      SleepMs(kPollMs);
      waited_ms += kPollMs;
    }
  }
  return missing;
}

}  // namespace sluice::cli
