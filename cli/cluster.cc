// `sluice cluster`: init makes and applies the plan of a new quorum; describe and health look at a
// running cluster.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <set>

#include "cli/admin_client.h"
#include "cli/cluster_plan.h"
#include "cli/server_config_file.h"

namespace sluice::cli {

namespace {

constexpr int64_t kOtherNodeTimeoutMs = 2000;

struct ClusterArguments {
  std::string voters;
  std::string plan_path;
  bool join = false;
  ConfigFileArguments config;
};

ExitCode PrintPlan(FileSystem& fs, Random& random, const ClusterArguments& arguments) {
  std::vector<std::pair<NodeId, std::string>> addresses;
  std::istringstream list(arguments.voters);
  // What follows the last comma counts too: a voter may be missing there.
  for (std::string voter; list.good();) {
    std::getline(list, voter, ',');
    const size_t at = voter.find('@');
    const bool numeric =
        at != std::string::npos && at > 0 && voter.find_first_not_of("0123456789") == at;
    if (!numeric || at > 9 || !metadata::ParseDialAddress(voter.substr(at + 1)).ok()) {
      PrintError("the voters cannot be read", "'" + voter + "' is not of the form ID@HOST:PORT",
                 "give them as in controller.quorum.voters, for example "
                 "1@host-a:9095,2@host-b:9095,3@host-c:9095");
      return ExitCode::kUsage;
    }
    addresses.emplace_back(NodeId(std::stoi(voter)), voter.substr(at + 1));
  }
  const ClusterPlan plan = ClusterPlan::Generate(addresses, random);
  if (const Status sound = plan.Check(); !sound.ok()) {
    PrintError("the voters cannot be used", sound.message(),
               "give each its own id and the address of its CONTROLLER listener");
    return ExitCode::kUsage;
  }
  const std::string text = plan.ToJson().dump(2) + "\n";
  if (arguments.plan_path.empty()) {
    std::cout << text << std::flush;
    return ExitCode::kOk;
  }
  if (fs.Exists(arguments.plan_path)) {
    PrintError("the plan was not written",
               arguments.plan_path + " exists already, and a second plan would be another cluster",
               "use the plan that is there, or remove it");
    return ExitCode::kExists;
  }
  const Status written = WriteFileAtomically(fs, arguments.plan_path, text);
  if (written.ok()) return ExitCode::kOk;
  PrintError("the plan was not written", written.message(), "name another path with --plan");
  return ExitCodeOf(written);
}

Result<ClusterPlan> PlanFor(FileSystem& fs, Random& random, const ClusterArguments& arguments,
                            const metadata::ServerConfig& config) {
  if (!arguments.plan_path.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, arguments.plan_path));
    return ClusterPlan::FromJson(text);
  }
  if (!config.is_controller) {
    return Status::InvalidArgument(
        "a node that is no controller joins a cluster that exists, and the plan names it");
  }
  if (config.voters.size() != 1) {
    return Status::InvalidArgument("the quorum has " + std::to_string(config.voters.size()) +
                                   " voters, and all of them must be formatted from one plan");
  }
  return ClusterPlan::Generate({{config.voters[0].id, config.voters[0].address.ToString()}},
                               random);
}

// Of the plan, or of a node that runs.
Result<std::string> ClusterToJoin(const Context& context, FileSystem& fs,
                                  const ClusterArguments& arguments) {
  if (!arguments.plan_path.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, arguments.plan_path));
    SLUICE_ASSIGN_OR_RETURN(const ClusterPlan plan, ClusterPlan::FromJson(text));
    return plan.cluster_id;
  }
  AdminClient client(context);
  const auto node = client.Call(&admin::Admin::Stub::DescribeNode, admin::DescribeNodeRequest());
  if (!node.ok()) {
    return Status(node.status().code(),
                  "node " + context.server +
                      " does not say which cluster it is of: " + node.status().message());
  }
  return node->cluster_id();
}

// `otherwise`: where it is not the directories that were in the way.
std::string NextOf(const Status& status, const std::string& otherwise) {
  switch (status.code()) {
    case StatusCode::kAlreadyExists:
      return "start it with sluice server; a node that was another one, or of another cluster, or "
             "has lost one of its directories, gets empty ones";
    case StatusCode::kCorruption:
      return "put that file back, or move what is there elsewhere and begin with an empty "
             "directory";
    default: return otherwise;
  }
}

ExitCode FormatToJoin(const Context& context, FileSystem& fs, Random& random,
                      const ClusterArguments& arguments) {
  const Result<metadata::LoadedConfig> loaded = LoadConfigFile(fs, arguments.config);
  if (!loaded.ok()) return ReportConfigError(loaded.status());
  const metadata::ServerConfig& config = loaded->config;
  const Result<std::string> cluster_id = ClusterToJoin(context, fs, arguments);
  Result<Uuid> disk_id = cluster_id.ok() ? FormatNodeToJoin(fs, random, config, *cluster_id)
                                         : Result<Uuid>(cluster_id.status());
  const std::string node = std::to_string(config.node_id.value());
  if (!disk_id.ok()) {
    PrintError("node " + node + " was not formatted", disk_id.status().message(),
               NextOf(disk_id.status(),
                      "name a node of the cluster that runs with --server, or "
                      "the plan that the cluster was made from with --plan"));
    return ExitCodeOf(disk_id.status());
  }
  std::cerr << "formatted " << config.log_directory << " for node " << node << " of cluster "
            << *cluster_id << ", disk " << disk_id->ToString()
            << "; start it with sluice server --config " << arguments.config.path;
  if (config.is_controller) {
    std::cerr << ", then make it a member of the quorum: sluice quorum add "
              << config.grpc_advertised.ToString() << " --server " << context.server;
  }
  std::cerr << std::endl;
  if (context.json()) {
    PrintJson({{"cluster_id", *cluster_id},
               {"node_id", config.node_id.value()},
               {"disk_id", disk_id->ToString()},
               {"directory", config.log_directory}});
  }
  return ExitCode::kOk;
}

ExitCode FormatFromConfig(const Context& context, FileSystem& fs, Random& random,
                          const ClusterArguments& arguments) {
  const Result<metadata::LoadedConfig> loaded = LoadConfigFile(fs, arguments.config);
  if (!loaded.ok()) return ReportConfigError(loaded.status());
  const metadata::ServerConfig& config = loaded->config;
  const Result<ClusterPlan> plan = PlanFor(fs, random, arguments, config);
  Status status = plan.status();
  if (status.ok()) status = FormatNode(fs, random, config, *plan);
  if (!status.ok()) {
    PrintError("node " + std::to_string(config.node_id.value()) + " was not formatted",
               status.message(),
               NextOf(status,
                      "where the cluster runs already, format the node with --join --server; for a "
                      "new one make one plan with sluice cluster init --voters ... --plan "
                      "cluster.json, copy it to each host, and name it with --plan"));
    return ExitCodeOf(status);
  }
  std::cerr << "formatted " << config.log_directory << " for node " << config.node_id
            << " of cluster " << plan->cluster_id << "; start it with sluice server --config "
            << arguments.config.path << std::endl;
  if (context.json()) {
    PrintJson({{"cluster_id", plan->cluster_id},
               {"node_id", config.node_id.value()},
               {"directory", config.log_directory}});
  }
  return ExitCode::kOk;
}

ExitCode Init(const Context& context, const ClusterArguments& arguments) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  Random random = Random::FromSystem();
  if (arguments.join && arguments.config.path.empty()) {
    PrintError("nothing to initialise", "--join formats a node, and --config was not given",
               "name the node's server.properties with --config");
    return ExitCode::kUsage;
  }
  if (arguments.join) return FormatToJoin(context, *fs, random, arguments);
  if (!arguments.config.path.empty()) return FormatFromConfig(context, *fs, random, arguments);
  if (!arguments.voters.empty()) return PrintPlan(*fs, random, arguments);
  PrintError("nothing to initialise",
             "neither --voters (make a plan) nor --config (format a node) was given",
             "sluice cluster init --help shows both steps");
  return ExitCode::kUsage;
}

std::string Roles(const admin::Node& node) {
  std::string text;
  for (const std::string& role : node.roles()) text += (text.empty() ? "" : "+") + role;
  return text;
}

nlohmann::json ClusterAsJson(const admin::DescribeClusterResponse& cluster) {
  nlohmann::json nodes = nlohmann::json::array();
  for (const admin::Node& node : cluster.nodes()) {
    nodes.push_back({{"id", node.id()},
                     {"roles", std::vector<std::string>(node.roles().begin(), node.roles().end())},
                     {"state", node.state()},
                     {"goal", node.goal()},
                     {"kafka", node.kafka_address()},
                     {"grpc", node.grpc_address()},
                     {"http", node.http_address()},
                     {"rack", node.rack()},
                     {"version", node.version()},
                     {"leaders", node.leaders()},
                     {"replicas", node.replicas()}});
  }
  nlohmann::json voters = nlohmann::json::array();
  for (const admin::Voter& voter : cluster.quorum().voters()) {
    voters.push_back({{"id", voter.id()},
                      {"address", voter.address()},
                      {"match_index", voter.match_index()},
                      {"lag", voter.lag()}});
  }
  nlohmann::json json = {{"cluster_id", cluster.cluster_id()},
                         {"controller_id", cluster.controller_id()},
                         {"metadata_index", cluster.metadata_index()},
                         {"nodes", nodes},
                         {"quorum",
                          {{"leader_id", cluster.quorum().leader_id()},
                           {"term", cluster.quorum().term()},
                           {"commit_index", cluster.quorum().commit_index()},
                           {"voters", voters}}}};
  MarkIfRemembered(cluster, json);
  return json;
}

ExitCode Describe(const Context& context) {
  AdminClient client(context);
  const auto response =
      client.Call(&admin::Admin::Stub::DescribeCluster, admin::DescribeClusterRequest());
  if (!response.ok()) return client.Report("cannot describe the cluster", response.status());
  if (context.json()) {
    PrintJson(ClusterAsJson(*response));
    return ExitCode::kOk;
  }
  TellIfRemembered(context, *response);
  std::cout << "cluster " << response->cluster_id();
  if (response->controller_id() < 0) {
    std::cout << "  no active controller\n";
  } else {
    std::cout << "  active controller " << response->controller_id() << "  term "
              << response->quorum().term() << "\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const admin::Node& node : response->nodes()) {
    rows.push_back({std::to_string(node.id()), Roles(node), StateOf(node), node.kafka_address(),
                    node.grpc_address(), std::to_string(node.leaders()),
                    std::to_string(node.replicas())});
  }
  PrintTable({"NODE", "ROLES", "STATE", "KAFKA", "GRPC", "LEADERS", "REPLICAS"}, rows);
  return ExitCode::kOk;
}

// Damaged logs and failed disks are known to their own node alone.
void AddProblemsOfOthers(const Context& context, AdminClient& client,
                         admin::ClusterHealthResponse& health) {
  const auto cluster =
      client.Call(&admin::Admin::Stub::DescribeCluster, admin::DescribeClusterRequest());
  if (!cluster.ok()) return;
  std::set<std::string> known;
  for (const admin::Problem& problem : health.problems()) known.insert(problem.what());
  std::set<int32_t> nodes;
  for (const admin::Node& node : cluster->nodes()) {
    // One that is away is a problem of the cluster, and told already.
    if (node.grpc_address().empty() || node.state() == "fenced" || node.state() == "stopped")
      continue;
    Context there = context;
    there.server = node.grpc_address();
    there.timeout_ms = std::min(context.timeout_ms, kOtherNodeTimeoutMs);
    AdminClient other(there);
    const auto answer =
        other.Call(&admin::Admin::Stub::ClusterHealth, admin::ClusterHealthRequest());
    if (!answer.ok()) continue;
    for (const admin::Problem& problem : answer->problems()) {
      if (!problem.has_node() || !known.insert(problem.what()).second) continue;
      *health.add_problems() = problem;
      nodes.insert(problem.node());
    }
  }
  if (nodes.empty()) return;
  std::string names;
  for (const int32_t node : nodes) names += (names.empty() ? "" : ", ") + std::to_string(node);
  health.set_healthy(false);
  health.set_summary(health.summary() + "; node " + names + " tells of problems of its own");
}

nlohmann::json AsJson(const google::protobuf::RepeatedPtrField<admin::Problem>& problems) {
  nlohmann::json list = nlohmann::json::array();
  for (const admin::Problem& problem : problems)
    list.push_back({{"what", problem.what()}, {"next_step", problem.next_step()}});
  return list;
}

ExitCode Health(const Context& context) {
  AdminClient client(context);
  auto response = client.Call(&admin::Admin::Stub::ClusterHealth, admin::ClusterHealthRequest());
  if (!response.ok()) return client.Report("cannot tell the cluster's health", response.status());
  AddProblemsOfOthers(context, client, *response);
  TellIfRemembered(context, *response);
  if (context.json()) {
    nlohmann::json json = {{"healthy", response->healthy()},
                           {"summary", response->summary()},
                           {"problems", AsJson(response->problems())},
                           {"notes", AsJson(response->notes())}};
    MarkIfRemembered(*response, json);
    PrintJson(json);
  } else {
    std::cout << (response->healthy() ? "HEALTHY  " : "UNHEALTHY  ") << response->summary() << "\n";
    for (const admin::Problem& problem : response->problems())
      std::cout << "  " << problem.what() << "\n    next: " << problem.next_step() << "\n";
    for (const admin::Problem& note : response->notes())
      std::cout << "  note: " << note.what() << "\n    " << note.next_step() << "\n";
  }
  return response->healthy() ? ExitCode::kOk : ExitCode::kUnhealthy;
}

}  // namespace

void AddClusterCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ClusterArguments>();
  CLI::App* cluster = app.add_subcommand(
      "cluster", "Make a new cluster; describe one, tell its health, even it out");
  cluster->require_subcommand(1);
  CLI::App* init = cluster->add_subcommand(
      "init", "Plan a new quorum, or format a node's directories from the plan");
  CLI::Option* voters =
      init->add_option("--voters", arguments->voters,
                       "the controllers, as in controller.quorum.voters: makes the plan");
  init->add_option("--plan", arguments->plan_path,
                   "file of the plan: written with --voters, read with --config");
  init->add_flag("--join", arguments->join,
                 "with --config: the node joins a cluster that runs, the one of --server, instead "
                 "of being one of its first; sluice quorum add makes it a controller there")
      ->excludes(voters);
  AddConfigFileOptions(*init, arguments->config);
  // One step makes the plan, the other formats a node by it.
  for (const char* of_node : {"--config", "--set"}) voters->excludes(init->get_option(of_node));
  init->footer(
      "Examples:\n  sluice cluster init --voters 1@host-a:9095,2@host-b:9095,3@host-c:9095 --plan "
      "cluster.json\n"
      "  sluice cluster init --config /etc/sluice/server.properties --plan cluster.json      (on "
      "each host)\n"
      "  sluice cluster init --config /etc/sluice/server.properties --join --server host-a:9095");
  init->callback([&context, arguments] {
    context.action = [&context, arguments] { return Init(context, *arguments); };
  });
  CLI::App* describe =
      cluster->add_subcommand("describe", "Show the nodes, their roles and the quorum");
  describe->callback([&context] { context.action = [&context] { return Describe(context); }; });
  CLI::App* health = cluster->add_subcommand(
      "health", "One sentence, and what to do; exit code 10 when unhealthy");
  health->callback([&context] { context.action = [&context] { return Health(context); }; });
  AddRebalanceCommands(*cluster, context);
}

}  // namespace sluice::cli
