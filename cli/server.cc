// `sluice server`: a controller, a broker or both, from a server.properties, until SIGTERM or
// Ctrl-C.

#include <glog/logging.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <mutex>

#include "base/version.h"
#include "cli/context.h"
#include "cli/node.h"
#include "cli/server_config_file.h"

namespace sluice::cli {

namespace {

// glibc gives each thread a heap of its own that never shrinks; two serve as well here.
constexpr int kMallocArenas = 2;

std::string NextStep(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable: return "free what is named above, then start again";
    case StatusCode::kCorruption:
      return "keep the directory as it is for a look; restore it from a backup, or empty it so "
             "that the node refetches from its peers";
    default: return "correct what is named above, then start again";
  }
}

// What a node says that will never be in service; it wakes the main thread as a signal would.
class Refusal {
 public:
  void Set(const Status& why) {
    {
      std::lock_guard lock(mutex_);
      why_ = why;
    }
    kill(getpid(), SIGTERM);
  }
  Status Get() const {
    std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;  // guards why_
  Status why_;
};

// Where the node is spoken to, each door once.
std::string DoorsOf(const metadata::ServerConfig& config) {
  std::string text;
  for (const metadata::Listener& listener : config.listeners)
    text += "Kafka on " + listener.address.ToString() + " (" + listener.name + "), ";
  const bool shared = config.controller_listener == config.grpc_listener;
  if (config.controller_listener && !shared)
    text += "gRPC of the quorum on " + config.controller_listener->ToString() + ", ";
  text += "gRPC on " + config.grpc_listener.ToString();
  text += config.is_controller && shared ? " (quorum, admin)" : " (admin)";
  return text + ", HTTP on " + config.http_listener.ToString() + " (health, metrics)";
}

ExitCode Serve(const ConfigFileArguments& arguments) {
  // Blocked before any thread starts, so that only sigwait takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  mallopt(M_ARENA_MAX, kMallocArenas);

  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  Result<metadata::LoadedConfig> loaded = LoadConfigFile(*fs, arguments);
  if (!loaded.ok()) return ReportConfigError(loaded.status());
  for (const std::string& warning : loaded->warnings) LOG(WARNING) << warning;

  const int32_t node_id = loaded->config.node_id.value();
  const std::string doors = DoorsOf(loaded->config);
  Refusal refusal;  // outlives the node
  Result<std::unique_ptr<Node>> node =
      Node::Start(std::move(loaded->config), [&refusal](const Status& why) { refusal.Set(why); });
  if (!node.ok()) {
    PrintError("node " + std::to_string(node_id) + " cannot start", node.status(),
               NextStep(node.status()));
    return ExitCodeOf(node.status());
  }
  LOG(INFO) << "sluice " << kVersion << " node " << node_id << " is up: " << doors
            << "; SIGTERM stops it";
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  if (const Status why = refusal.Get(); !why.ok()) {
    (*node)->Stop();
    PrintError("node " + std::to_string(node_id) + " cannot join the cluster", why.message(),
               "give the node the directory that it had in that cluster, or an empty one "
               "formatted with that cluster's plan: sluice cluster init --help");
    return ExitCode::kFailed;
  }
  LOG(INFO) << "stopping: leaders move away, then everything is closed";
  (*node)->Stop();
  LOG(INFO) << "stopped";
  return ExitCode::kOk;
}

}  // namespace

void AddServerCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ConfigFileArguments>();
  CLI::App* verb = app.add_subcommand("server", "Run a node: a controller, a broker or both");
  AddConfigFileOptions(*verb, *arguments);
  verb->footer(
      "Examples:\n  sluice server --config /etc/sluice/server.properties\n"
      "  sluice server --config server.properties --set log.retention.ms=7d");
  verb->callback(
      [&context, arguments] { context.action = [arguments] { return Serve(*arguments); }; });
}

}  // namespace sluice::cli
