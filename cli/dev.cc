// `sluice dev`: a cluster on this machine for development, made and started by one command, and its
// nodes killed, paused and started again by others.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "base/clock.h"
#include "cli/context.h"
#include "cli/dev_cluster.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

constexpr int64_t kReadyTimeoutMs = 30000;
constexpr int64_t kStopTimeoutMs = 20000;

struct DevArguments {
  DevOptions options;
  bool detach = false;
  int node = 0;
};

std::string DefaultDirectory() {
  const char* data_home = std::getenv("XDG_DATA_HOME");
  if (data_home != nullptr && *data_home != '\0') return std::string(data_home) + "/sluice/dev";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "." : home) + "/.local/share/sluice/dev";
}

std::string Local(int port) { return "127.0.0.1:" + std::to_string(port); }

nlohmann::json StatusAsJson(const DevCluster& cluster) {
  nlohmann::json nodes = nlohmann::json::array();
  for (const DevNode& node : cluster.nodes()) {
    const std::optional<pid_t> pid = cluster.PidOf(node);
    nodes.push_back({{"id", node.id},
                     {"pid", pid ? nlohmann::json(*pid) : nlohmann::json(nullptr)},
                     {"state", DevNodeStateName(cluster.StateOf(node))},
                     {"kafka", Local(node.kafka_port)},
                     {"grpc", Local(node.grpc_port)},
                     {"http", Local(node.http_port)}});
  }
  return {{"nodes", nodes}};
}

void PrintStatus(const Context& context, const DevCluster& cluster) {
  const nlohmann::json status = StatusAsJson(cluster);
  if (context.json()) return PrintJson(status);
  std::vector<std::vector<std::string>> rows;
  for (const nlohmann::json& node : status["nodes"]) {
    rows.push_back({std::to_string(node["id"].get<int>()), node["state"],
                    node["pid"].is_null() ? "-" : node["pid"].dump(), node["kafka"], node["grpc"],
                    node["http"]});
  }
  PrintTable({"NODE", "STATE", "PID", "KAFKA", "GRPC", "HTTP"}, rows);
}

ExitCode Fail(const std::string& what, const Status& status, const std::string& next) {
  PrintError(what, status, next);
  return ExitCodeOf(status);
}

// Blocks until Ctrl-C or SIGTERM. REQUIRES: both are blocked in this thread.
void WaitForInterrupt(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
}

// Starts the nodes that do not run, and adds them to `started`. Gives those that are not ready, and
// why.
Result<std::map<int, Status>> StartAll(DevCluster& cluster, std::vector<int>& started) {
  for (const DevNode& node : cluster.nodes()) {
    if (!cluster.PidOf(node)) started.push_back(node.id);
    SLUICE_RETURN_IF_ERROR(cluster.Start(node));
  }
  return cluster.WaitReady(cluster.Ids(), kReadyTimeoutMs);
}

// The nodes that are not ready, when others are.
void ReportMissing(const DevCluster& cluster, const std::map<int, Status>& missing) {
  for (const auto& [id, why] : missing) {
    PrintError("node " + std::to_string(id) + " is not ready", why,
               "mend what is named above; its log is " + cluster.NodeDirectory(*cluster.Find(id)) +
                   "/server.log");
  }
  std::cerr << cluster.nodes().size() - missing.size() << " of " << cluster.nodes().size()
            << " nodes are ready; sluice dev start NODE starts another once it is mended"
            << std::endl;
}

ExitCode StopNodes(const Context& context, DevCluster& cluster, const std::vector<int>& ids) {
  const Status stopped = cluster.Stop(ids, kStopTimeoutMs);
  if (stopped.ok() && context.json()) PrintStatus(context, cluster);
  if (stopped.ok()) return ExitCode::kOk;
  return Fail("cannot stop the cluster", stopped,
              "look at the processes that sluice dev status names");
}

ExitCode RunUp(const Context& context, const DevArguments& arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (!arguments.detach) pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  const SystemClock clock;
  Random random = Random::FromSystem();
  const int64_t start_ms = clock.SteadyMs();
  Result<DevCluster> cluster = DevCluster::OpenOrCreate(*fs, random, arguments.options);
  if (!cluster.ok()) {
    PrintError("cannot make a cluster in " + arguments.options.directory, cluster.status(),
               "free the port, choose others with --port, or give another directory with --dir");
    return ExitCodeOf(cluster.status());
  }
  std::vector<int> started;
  const Result<std::map<int, Status>> missing = StartAll(*cluster, started);
  if (!missing.ok() || missing->size() == cluster->nodes().size()) {
    (void)cluster->Stop(started, kStopTimeoutMs);
    return Fail("cannot start the cluster in " + arguments.options.directory,
                missing.ok() ? missing->begin()->second : missing.status(),
                "mend what is named above and start it again; the nodes that ran before still do");
  }
  PrintStatus(context, *cluster);
  const ExitCode outcome = missing->empty() ? ExitCode::kOk : ExitCode::kPartlyDone;
  if (!missing->empty()) ReportMissing(*cluster, *missing);
  std::cerr << "Ready in " << (clock.SteadyMs() - start_ms) << " ms; data in "
            << arguments.options.directory << std::endl;
  const DevNode& first = cluster->nodes().front();
  if (first.kafka_port != kDefaultPort) {
    std::cerr << "For sluice's other verbs:  export SLUICE_SERVER=" << Local(first.grpc_port)
              << " SLUICE_BOOTSTRAP=" << Local(first.kafka_port) << std::endl;
  }
  if (arguments.detach) return outcome;
  if (started.empty()) {
    std::cerr << "It ran already, in the background; sluice dev stop stops it." << std::endl;
    return outcome;
  }
  std::cerr << "Ctrl-C stops it." << std::endl;
  WaitForInterrupt(signals);
  return StopNodes(context, *cluster, started);
}

// Runs `action` on the cluster that exists in the directory.
ExitCode WithCluster(const DevArguments& arguments,
                     const std::function<ExitCode(DevCluster&)>& action) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  Result<DevCluster> cluster = DevCluster::Open(*fs, arguments.options.directory);
  if (!cluster.ok()) {
    return Fail("no cluster to work on", cluster.status(),
                "start one with sluice dev --detach, or name its directory with --dir");
  }
  return action(*cluster);
}

ExitCode WithNode(const Context& context, const DevArguments& arguments,
                  const std::function<Status(DevCluster&, const DevNode&)>& action) {
  return WithCluster(arguments, [&](DevCluster& cluster) {
    const DevNode* node = cluster.Find(arguments.node);
    if (node == nullptr) {
      PrintError("there is no node " + std::to_string(arguments.node),
                 "the cluster has nodes 1 to " + std::to_string(cluster.nodes().size()),
                 "sluice dev status lists them");
      return ExitCode::kNotFound;
    }
    const Status status = action(cluster, *node);
    if (status.ok() && context.json()) PrintStatus(context, cluster);
    if (status.ok()) return ExitCode::kOk;
    return Fail("node " + std::to_string(node->id), status,
                "sluice dev status shows what runs, sluice dev --detach starts all of it; the "
                "node's log is " +
                    cluster.NodeDirectory(*node) + "/server.log");
  });
}

using NodeAction = Status (*)(DevCluster&, const DevNode&);

void AddNodeVerb(CLI::App& dev, Context& context, const std::shared_ptr<DevArguments>& arguments,
                 const char* name, std::pair<const char*, NodeAction> verb_text) {
  CLI::App* verb = dev.add_subcommand(name, verb_text.first);
  verb->add_option("node", arguments->node, "its id")->required();
  const NodeAction action = verb_text.second;
  verb->callback([&context, arguments, action] {
    context.action = [&context, arguments, action] {
      return WithNode(context, *arguments, action);
    };
  });
}

// Returns when the process is gone: one that is still dying would look alive to the next command.
Status KillNode(DevCluster& cluster, const DevNode& node) {
  SLUICE_RETURN_IF_ERROR(cluster.Signal(node, SIGKILL));
  for (int64_t waited_ms = 0; cluster.PidOf(node); ++waited_ms) {
    if (waited_ms > kStopTimeoutMs) return Status::Timeout("it does not die");
    SleepMs(1);
  }
  return Status::Ok();
}
// Likewise when it stands: the signal takes a moment.
Status PauseNode(DevCluster& cluster, const DevNode& node) {
  SLUICE_RETURN_IF_ERROR(cluster.Signal(node, SIGSTOP));
  for (int64_t waited_ms = 0; cluster.StateOf(node) != DevNodeState::kPaused; ++waited_ms) {
    if (waited_ms > kStopTimeoutMs) return Status::Timeout("it does not stand still");
    SleepMs(1);
  }
  return Status::Ok();
}
// SIGTERM, by which the node hands its leaders over and closes its logs.
Status StopNode(DevCluster& cluster, const DevNode& node) {
  if (!cluster.PidOf(node)) return Status::NotFound("it does not run");
  return cluster.Stop({node.id}, kStopTimeoutMs);
}
Status StartNode(DevCluster& cluster, const DevNode& node) {
  SLUICE_RETURN_IF_ERROR(cluster.Start(node));
  const std::map<int, Status> missing = cluster.WaitReady({node.id}, kReadyTimeoutMs);
  return missing.empty() ? Status::Ok() : missing.begin()->second;
}

}  // namespace

void AddDevCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<DevArguments>();
  arguments->options.directory = DefaultDirectory();
  CLI::App* dev = app.add_subcommand("dev", "Run a cluster on this machine for development");
  dev->add_option("--nodes", arguments->options.nodes,
                  "how many nodes a new cluster has, each controller and broker (1)")
      ->check(CLI::Range(1, 9));
  // The nodes' files name it, and later commands may come from another working directory.
  dev->add_option("--dir", arguments->options.directory, "where the cluster lives")
      ->transform([](const std::string& path) {
        return std::filesystem::absolute(path).lexically_normal().string();
      })
      ->capture_default_str();
  dev->add_option("--port", arguments->options.port,
                  "Kafka port of node 1 of a new cluster (9092); each further node has 100 more")
      ->check(CLI::Range(1024, 60000));
  dev->add_option("--set", arguments->options.settings,
                  "setting of server.properties for every node of a new cluster, key=value");
  dev->add_flag("--detach", arguments->detach, "leave the nodes running in the background");
  dev->require_subcommand(0, 1);
  dev->footer(
      "Examples:\n  sluice dev\n  sluice dev --nodes 3 --detach && sluice dev kill 1 && sluice dev "
      "status");
  // The parent's callback runs after the verb's: it acts only when no verb was given.
  dev->callback([&context, arguments, dev] {
    if (dev->get_subcommands().empty()) {
      context.action = [&context, arguments] { return RunUp(context, *arguments); };
      return;
    }
    const std::string verb = dev->get_subcommands().front()->get_name();
    for (const char* of_start : {"--nodes", "--port", "--set"}) {
      if (dev->count(of_start) > 0) throw CLI::ExcludesError(of_start, "dev " + verb);
    }
  });

  CLI::App* status = dev->add_subcommand("status", "Show the nodes, their processes and addresses");
  status->callback([&context, arguments] {
    context.action = [&context, arguments] {
      return WithCluster(*arguments, [&](DevCluster& cluster) {
        PrintStatus(context, cluster);
        return ExitCode::kOk;
      });
    };
  });
  AddNodeVerb(*dev, context, arguments, "kill", {"SIGKILL a node, as a crash would", KillNode});
  AddNodeVerb(*dev, context, arguments, "start",
              {"Start a stopped node, or let a paused one go on", StartNode});
  AddNodeVerb(*dev, context, arguments, "pause", {"SIGSTOP a node", PauseNode});
  CLI::App* stop = dev->add_subcommand(
      "stop", "Stop every node, or one, cleanly: leaders move away, logs are closed; data stays");
  const CLI::Option* one = stop->add_option("node", arguments->node, "its id; all when absent");
  stop->callback([&context, arguments, one] {
    if (one->count() > 0) {
      context.action = [&context, arguments] { return WithNode(context, *arguments, StopNode); };
      return;
    }
    context.action = [&context, arguments] {
      return WithCluster(*arguments, [&context](DevCluster& cluster) {
        return StopNodes(context, cluster, cluster.Ids());
      });
    };
  });
}

}  // namespace sluice::cli
