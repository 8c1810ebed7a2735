// `sluice broker`: which brokers there are, and what operators want of them: that one is drained,
// may stop, or leaves for good. Through the admin service of any node; docs/tasks/stop_a_broker.md
// tells when to use which.

#include <CLI/CLI.hpp>
#include <iostream>
#include <optional>
#include <type_traits>

#include "base/clock.h"
#include "cli/admin_client.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

using Stub = admin::Admin::Stub;

constexpr int kAskAgainMs = 100;

struct BrokerArguments {
  int32_t id = -1;
  bool force = false;
  bool validate_only = false;
  bool wait = false;
  bool status = false;
  bool cancel = false;
};

std::string NameOf(const BrokerArguments& arguments) {
  return "broker " + std::to_string(arguments.id);
}

nlohmann::json AsJson(const admin::Broker& broker) {
  nlohmann::json json = {{"id", broker.id()},
                         {"address", broker.address()},
                         {"rack", broker.rack()},
                         {"state", broker.state()},
                         {"goal", broker.goal()},
                         {"leaders", broker.leaders()},
                         {"replicas", broker.replicas()},
                         {"moving_away", broker.moving_away()},
                         {"version", broker.version()},
                         {"bytes", nullptr}};
  if (broker.has_bytes()) json["bytes"] = broker.bytes();
  return json;
}

template <typename Partitions>
nlohmann::json ObstaclesAsJson(const Partitions& partitions) {
  nlohmann::json list = nlohmann::json::array();
  for (const admin::PartitionInTheWay& p : partitions)
    list.push_back({{"topic", p.topic()}, {"partition", p.partition()}, {"why", p.why()}});
  return list;
}

void PrintBrokers(const std::vector<admin::Broker>& brokers) {
  std::vector<std::vector<std::string>> rows;
  for (const admin::Broker& broker : brokers) {
    rows.push_back({std::to_string(broker.id()), broker.address(),
                    broker.rack().empty() ? "-" : ForPerson(broker.rack()), StateOf(broker),
                    std::to_string(broker.leaders()), std::to_string(broker.replicas()),
                    broker.has_bytes() ? std::to_string(broker.bytes()) : "-"});
  }
  PrintTable({"BROKER", "ADDRESS", "RACK", "STATE", "LEADERS", "REPLICAS", "BYTES"}, rows);
}

ExitCode Report(const AdminClient& client, const std::string& what, const Status& status,
                const std::string& if_refused) {
  if (status.code() != StatusCode::kNotFound && status.code() != StatusCode::kFenced)
    return client.Report(what, status);
  PrintError(
      what, status.message(),
      status.code() == StatusCode::kNotFound ? "sluice broker list shows the brokers" : if_refused);
  return ExitCodeOf(status);
}

ExitCode List(const Context& context, const BrokerArguments&) {
  AdminClient client(context);
  const auto response = client.Call(&Stub::ListBrokers, admin::ListBrokersRequest());
  if (!response.ok()) return client.Report("cannot list brokers", response.status());
  TellIfRemembered(context, *response);
  if (!context.json()) {
    PrintBrokers({response->brokers().begin(), response->brokers().end()});
    return ExitCode::kOk;
  }
  nlohmann::json list = nlohmann::json::array();
  for (const admin::Broker& broker : response->brokers()) list.push_back(AsJson(broker));
  nlohmann::json json = {{"brokers", list}};
  MarkIfRemembered(*response, json);
  PrintJson(json);
  return ExitCode::kOk;
}

// What it is like, by a controller or by the memory of one node. kNotFound once it is unregistered.
Result<admin::ListBrokersResponse> Look(AdminClient& client, int32_t id) {
  admin::ListBrokersRequest request;
  request.set_id(id);
  auto response = client.Call(&Stub::ListBrokers, request);
  if (response.ok() && response->brokers().empty())
    return Status::Internal("the answer names no broker");
  return response;
}

// Until `done` says so of the broker; kTimeout after the time that the command has.
template <typename DoneWith>
Result<admin::Broker> WaitFor(const Context& context, AdminClient& client, int32_t id,
                              DoneWith done_with) {
  const SystemClock clock;
  const int64_t deadline_ms = clock.SteadyMs() + context.timeout_ms;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const admin::ListBrokersResponse now, Look(client, id));
    const admin::Broker& broker = now.brokers(0);
    if (done_with(broker)) return broker;
    if (clock.SteadyMs() >= deadline_ms) {
      if (now.has_remembered()) return Status::Timeout(WordsOf(now.remembered()));
      return Status::Timeout("it still leads " + std::to_string(broker.leaders()) +
                             " partitions and has " + std::to_string(broker.replicas()) +
                             " replicas");
    }
    SleepMs(kAskAgainMs);
  }
}

template <typename Response>
void ShowLeads(const Response& response) {
  for (const admin::PartitionInTheWay& p : response.leads_left())
    std::cerr << "  still leads " << p.topic() << "-" << p.partition() << ": " << p.why() << "\n";
}

// What a drain cannot change: the broker does not run, and has what nobody else has.
void ShowUnavailable(const admin::DrainBrokerResponse& response) {
  for (const admin::PartitionInTheWay& p : response.unavailable()) {
    std::cerr << "  cannot be moved, and has no leader: " << p.topic() << "-" << p.partition()
              << ": " << p.why() << "\n";
  }
}

template <typename Response>
ExitCode Show(const Context& context, const Response& response, const std::string& words) {
  std::cerr << words << std::endl;
  if (context.json()) {
    nlohmann::json json = AsJson(response.broker());
    json["changed"] = response.changed();
    json["leads_left"] = ObstaclesAsJson(response.leads_left());
    if constexpr (std::is_same_v<Response, admin::DrainBrokerResponse>)
      json["unavailable"] = ObstaclesAsJson(response.unavailable());
    PrintJson(json);
  } else {
    PrintBrokers({response.broker()});
  }
  return ExitCode::kOk;
}

ExitCode Drain(const Context& context, const BrokerArguments& arguments) {
  AdminClient client(context);
  admin::DrainBrokerRequest request;
  request.set_id(arguments.id);
  request.set_force(arguments.force);
  request.set_validate_only(arguments.validate_only);
  auto response = client.Call(&Stub::DrainBroker, request);
  const std::string name = NameOf(arguments);
  if (!response.ok()) {
    return Report(client, name + " is not drained", response.status(),
                  "wait until others are in sync (sluice partition list --unhealthy), or drain it "
                  "all the same with --force");
  }
  if (arguments.validate_only) {
    ShowUnavailable(*response);
    return Show(context, *response,
                response->changed() ? "dry run: " + name + " would be drained, nothing changed"
                                    : "dry run: " + name + " is drained already, nothing changed");
  }
  if (arguments.wait) {
    const auto drained = WaitFor(context, client, arguments.id,
                                 [](const admin::Broker& broker) { return broker.leaders() == 0; });
    // Once more, for who is in the way.
    if (auto again = client.Call(&Stub::DrainBroker, request); again.ok()) *response = *again;
    if (!drained.ok()) {
      ShowLeads(*response);
      PrintError(name + " is being drained, and still leads", drained.status(),
                 "sluice broker list shows how far it is; --timeout-ms waits longer");
      return ExitCode::kPartlyDone;
    }
  }
  ShowUnavailable(*response);
  const int32_t left = response->broker().leaders();
  if (left == 0) return Show(context, *response, name + " is drained: it leads nothing");
  ShowLeads(*response);
  return Show(context, *response,
              name + " is being drained: it leads " + std::to_string(left) + " partitions yet");
}

ExitCode Undrain(const Context& context, const BrokerArguments& arguments) {
  AdminClient client(context);
  admin::UndrainBrokerRequest request;
  request.set_id(arguments.id);
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&Stub::UndrainBroker, request);
  const std::string name = NameOf(arguments);
  if (!response.ok()) {
    return Report(client, name + " stays as it is", response.status(),
                  "sluice broker decommission " + std::to_string(arguments.id) + " --cancel");
  }
  if (arguments.validate_only) {
    return Show(context, *response,
                response->changed() ? "dry run: " + name + " would serve again, nothing changed"
                                    : "dry run: " + name + " is not drained, nothing changed");
  }
  return Show(context, *response,
              response->changed() ? name + " serves again: its leads come back"
                                  : name + " was not drained");
}

ExitCode CanStop(const Context& context, const BrokerArguments& arguments) {
  AdminClient client(context);
  admin::CanStopBrokerRequest request;
  request.set_id(arguments.id);
  const auto response = client.Call(&Stub::CanStopBroker, request);
  const std::string name = NameOf(arguments);
  if (!response.ok()) return Report(client, "cannot tell", response.status(), "");
  if (context.json()) {
    PrintJson({{"can_stop", response->can_stop()},
               {"reason", response->reason()},
               {"in_the_way", ObstaclesAsJson(response->in_the_way())}});
  }
  if (response->can_stop()) {
    if (!context.json()) std::cout << "yes" << std::endl;
    return ExitCode::kOk;
  }
  if (!context.json()) std::cout << "no" << std::endl;
  PrintError(name + " should not stop now", response->reason(),
             "wait until others are in sync: sluice cluster health tells what they wait for");
  return ExitCode::kFailed;
}

ExitCode ShowDecommission(const Context& context, AdminClient& client,
                          const BrokerArguments& arguments) {
  const auto now = Look(client, arguments.id);
  if (!now.ok()) return Report(client, "there is nothing to show", now.status(), "");
  TellIfRemembered(context, *now);
  const admin::Broker* broker = &now->brokers(0);
  const bool leaves = broker->goal() == "decommission";
  std::cerr << NameOf(arguments)
            << (!leaves                  ? " is not being decommissioned"
                : broker->replicas() > 0 ? " is being decommissioned: its replicas move away"
                : broker->state() == "fenced" || broker->state() == "stopped"
                    ? " is empty and about to be unregistered"
                    : " is empty: stop its process, then it is unregistered")
            << std::endl;
  if (context.json()) {
    nlohmann::json json = AsJson(*broker);
    MarkIfRemembered(*now, json);
    PrintJson(json);
  } else {
    PrintBrokers({*broker});
  }
  return ExitCode::kOk;
}

ExitCode CancelDecommission(const Context& context, AdminClient& client,
                            const BrokerArguments& arguments) {
  admin::CancelDecommissionRequest request;
  request.set_id(arguments.id);
  const auto response = client.Call(&Stub::CancelDecommission, request);
  if (!response.ok()) {
    return Report(client, "nothing was cancelled", response.status(),
                  "sluice broker list shows the brokers and their states");
  }
  return Show(context, *response,
              NameOf(arguments) +
                  " stays: what has moved away already does not come back by "
                  "itself, sluice cluster rebalance brings its share");
}

ExitCode Decommission(const Context& context, const BrokerArguments& arguments) {
  AdminClient client(context);
  if (arguments.status) return ShowDecommission(context, client, arguments);
  if (arguments.cancel) return CancelDecommission(context, client, arguments);
  admin::DecommissionBrokerRequest request;
  request.set_id(arguments.id);
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&Stub::DecommissionBroker, request);
  const std::string name = NameOf(arguments);
  if (!response.ok()) {
    return Report(client, name + " is not decommissioned", response.status(),
                  "add a broker first, or undrain one, or lower the replication factor: sluice "
                  "partition move ... --change-replication-factor");
  }
  if (arguments.validate_only) {
    return Show(context, *response,
                "dry run: " + name +
                    (response->changed() ? " would be decommissioned, and its " +
                                               std::to_string(response->broker().replicas()) +
                                               " replicas moved to others, nothing changed"
                                         : " is being decommissioned already, nothing changed"));
  }
  if (!arguments.wait) {
    return Show(context, *response,
                name +
                    " is being decommissioned; --status shows how far it is, --cancel gives it "
                    "up");
  }
  const auto empty = WaitFor(context, client, arguments.id,
                             [](const admin::Broker& broker) { return broker.replicas() == 0; });
  if (!empty.ok() && empty.status().code() != StatusCode::kNotFound) {
    PrintError(name + " is being decommissioned, and is not empty yet", empty.status(),
               "sluice partition list --moving shows what moves; --timeout-ms waits longer");
    return ExitCode::kPartlyDone;
  }
  if (empty.ok()) return ShowDecommission(context, client, arguments);
  std::cerr << name << " has no replicas left and is unregistered" << std::endl;
  return ExitCode::kOk;
}

using BrokerAction = ExitCode (*)(const Context&, const BrokerArguments&);

}  // namespace

void AddBrokerCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<BrokerArguments>();
  CLI::App* broker =
      app.add_subcommand("broker", "Show brokers; drain one, ask whether it may stop, retire it");
  broker->require_subcommand(1);
  broker->footer(
      "Examples:\n  sluice broker drain 2 --wait && sluice broker can-stop 2\n"
      "  sluice broker undrain 2\n  sluice broker decommission 4 --wait --timeout-ms 600000\n"
      "  sluice broker decommission 4 --status");
  const auto add = [&](const char* name, const char* text, BrokerAction action) {
    CLI::App* verb = broker->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  add("list", "Show the brokers, what they carry and what is wanted of them", List);
  CLI::App* drain =
      add("drain", "Let others lead what it leads, and give it no new replicas", Drain);
  drain->add_flag("--force", arguments->force,
                  "also where partitions would lack in-sync replicas without it");
  CLI::App* undrain = add("undrain", "Give it its leads back, and new replicas", Undrain);
  CLI::App* can_stop =
      add("can-stop", "Whether nothing would be unavailable without it; exit code 0 or 1", CanStop);
  CLI::App* decommission = add(
      "decommission", "Move its replicas to others, and unregister it once stopped", Decommission);
  CLI::Option* status =
      decommission->add_flag("--status", arguments->status, "only show how far it is");
  CLI::Option* cancel =
      decommission->add_flag("--cancel", arguments->cancel, "give it up: the broker stays");
  status->excludes(cancel);
  for (CLI::App* verb : {drain, undrain, decommission}) {
    CLI::Option* dry_run =
        verb->add_flag("--dry-run", arguments->validate_only, "check, change nothing");
    if (verb == undrain) continue;
    CLI::Option* wait =
        verb->add_flag("--wait", arguments->wait, "until that is done, or --timeout-ms");
    wait->excludes(dry_run);
    if (verb != decommission) continue;
    for (CLI::Option* option : {dry_run, wait}) option->excludes(status)->excludes(cancel);
  }
  for (CLI::App* verb : {drain, undrain, can_stop, decommission}) {
    verb->add_option("broker", arguments->id, "its node id")
        ->required()
        ->check(CLI::Range(0, INT32_MAX));
  }
}

}  // namespace sluice::cli
