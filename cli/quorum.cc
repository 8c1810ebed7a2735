// `sluice quorum`: the members of the controllers' quorum, through the admin service of any node.
// One member changes at a time; docs/tasks/replace_a_controller.md says in which order.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <optional>

#include "base/clock.h"
#include "cli/admin_client.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

using Stub = admin::Admin::Stub;

constexpr int kAskAgainMs = 50;

struct QuorumArguments {
  std::string address;
  int32_t id = -1;
  bool validate_only = false;
};

ExitCode Report(const AdminClient& client, const std::string& what, const Status& status,
                const std::string& if_refused = "correct the value and try again") {
  std::string next;
  switch (status.code()) {
    case StatusCode::kFenced:
      next = "try again when that has passed; sluice quorum status shows who is heard and who lags";
      break;
    case StatusCode::kNotFound: next = "sluice quorum status shows the members"; break;
    case StatusCode::kAlreadyExists: next = "remove that one first: sluice quorum remove"; break;
    default: return client.Report(what, status, if_refused);
  }
  PrintError(what, status.message(), next);
  return ExitCodeOf(status);
}

// A voter or a learner, as the quorum knows it now.
struct Member {
  admin::Voter voter;
  bool learner = false;
};

Result<admin::Quorum> QuorumOf(AdminClient& client) {
  const auto response = client.Call(&Stub::DescribeQuorum, admin::DescribeQuorumRequest());
  if (!response.ok()) return response.status();
  return response->quorum();
}

Result<Member> FindMember(AdminClient& client, int32_t id) {
  SLUICE_ASSIGN_OR_RETURN(const admin::Quorum quorum, QuorumOf(client));
  for (const admin::Voter& voter : quorum.voters()) {
    if (voter.id() == id) return Member{voter, false};
  }
  for (const admin::Voter& learner : quorum.learners()) {
    if (learner.id() == id) return Member{learner, true};
  }
  return Status::NotFound("node " + std::to_string(id) + " is no member of the quorum");
}

nlohmann::json AsJson(const google::protobuf::RepeatedPtrField<admin::Voter>& members) {
  nlohmann::json list = nlohmann::json::array();
  for (const admin::Voter& member : members) {
    list.push_back({{"id", member.id()},
                    {"disk_id", member.disk_id()},
                    {"address", member.address()},
                    {"match_index", member.match_index()},
                    {"lag", member.lag()},
                    {"last_contact_age_ms", member.last_contact_age_ms()},
                    {"recovering", member.recovering()}});
  }
  return list;
}

ExitCode ShowStatus(const Context& context, const QuorumArguments&) {
  AdminClient client(context);
  const auto quorum = QuorumOf(client);
  if (!quorum.ok()) return Report(client, "cannot describe the quorum", quorum.status());
  if (context.json()) {
    PrintJson({{"leader_id", quorum->leader_id()},
               {"term", quorum->term()},
               {"commit_index", quorum->commit_index()},
               {"voters", AsJson(quorum->voters())},
               {"learners", AsJson(quorum->learners())}});
    return ExitCode::kOk;
  }
  std::cout << "leader " << quorum->leader_id() << "  term " << quorum->term()
            << "  committed up to index " << quorum->commit_index() << "\n";
  std::vector<std::vector<std::string>> rows;
  const auto add = [&rows, &quorum](const admin::Voter& member, const std::string& role) {
    const bool leads = member.id() == quorum->leader_id();
    const std::string state = role + (member.recovering() ? ", recovering" : "");
    const bool confirmed = member.match_index() >= 0;
    rows.push_back({std::to_string(member.id()), leads ? "leader" : state, member.disk_id(),
                    member.address(), confirmed ? std::to_string(member.match_index()) : "-",
                    confirmed ? std::to_string(member.lag()) : "-",
                    leads ? "-" : std::to_string(member.last_contact_age_ms()) + " ms ago"});
  };
  for (const admin::Voter& voter : quorum->voters()) add(voter, "voter");
  for (const admin::Voter& learner : quorum->learners()) add(learner, "learner");
  PrintTable({"NODE", "ROLE", "DISK", "ADDRESS", "INDEX", "LAG", "HEARD"}, rows);
  return ExitCode::kOk;
}

// `word`: what became of it.
ExitCode Changed(const Context& context, const admin::Voter& member, const std::string& word,
                 bool changed) {
  std::cerr << "node " << member.id() << " with disk " << member.disk_id() << " is "
            << (changed ? "now " : "") << word << (changed ? "" : " already") << std::endl;
  if (context.json()) {
    PrintJson({{"id", member.id()},
               {"disk_id", member.disk_id()},
               {"address", member.address()},
               {"changed", changed}});
  }
  return ExitCode::kOk;
}

// Who the node at the address is, it says itself: an id of a disk is nothing to be typed.
Result<admin::Voter> AskNewcomer(const Context& context, AdminClient& client,
                                 const std::string& address) {
  Context there = context;
  there.server = address;
  AdminClient newcomer(there);
  const auto node = newcomer.Call(&Stub::DescribeNode, admin::DescribeNodeRequest());
  if (!node.ok()) {
    return Status(node.status().code(),
                  "the node at " + address + " does not answer: " + node.status().message());
  }
  SLUICE_ASSIGN_OR_RETURN(const auto here,
                          client.Call(&Stub::DescribeNode, admin::DescribeNodeRequest()));
  const std::string name = "node " + std::to_string(node->id());
  if (node->cluster_id() != here.cluster_id()) {
    return Status::InvalidArgument(name + " is of cluster " + node->cluster_id() +
                                   ", and this is cluster " + here.cluster_id());
  }
  if (node->controller_address().empty())
    return Status::InvalidArgument(name + " is no controller: see its process.roles");
  // A voter that is a member may ask still: it is one already, and no harm is done.
  if (node->awaits_voters_of_plan()) {
    const auto member = FindMember(client, node->id());
    if (!member.ok() && member.status().code() != StatusCode::kNotFound) return member.status();
    if (!member.ok() || member->voter.disk_id() != node->disk_id()) {
      return Status::InvalidArgument(
          "the disk of " + name +
          " was formatted with a plan, whose voters it waits for, and those of this quorum are "
          "others: as a learner it would never hear of anything");
    }
  }
  admin::Voter voter;
  voter.set_id(node->id());
  voter.set_disk_id(node->disk_id());
  voter.set_address(node->controller_address());
  return voter;
}

ExitCode Add(const Context& context, const QuorumArguments& arguments) {
  AdminClient client(context);
  const std::string what = "the controller at " + arguments.address + " was not added";
  const auto newcomer = AskNewcomer(context, client, arguments.address);
  if (!newcomer.ok()) {
    PrintError(what, newcomer.status().message(),
               "format it with sluice cluster init --config ... --join --server " + context.server +
                   ", start it, and name the address of its CONTROLLER listener");
    return ExitCodeOf(newcomer.status());
  }
  admin::AddControllerRequest request;
  request.set_id(newcomer->id());
  request.set_disk_id(newcomer->disk_id());
  request.set_address(newcomer->address());
  const auto response = client.Call(&Stub::AddController, request);
  if (!response.ok()) return Report(client, what, response.status());
  return Changed(context, *newcomer, response->changed() ? "a learner" : "a member",
                 response->changed());
}

// A learner needs its time to get the log: the call is repeated while it lags.
ExitCode Promote(const Context& context, const QuorumArguments& arguments) {
  AdminClient client(context);
  const std::string what = "node " + std::to_string(arguments.id) + " was not promoted";
  const auto member = FindMember(client, arguments.id);
  if (!member.ok()) return Report(client, what, member.status());
  admin::PromoteControllerRequest request;
  request.set_id(member->voter.id());
  request.set_disk_id(member->voter.disk_id());
  const SystemClock clock;
  const int64_t deadline_ms = clock.SteadyMs() + context.timeout_ms;
  while (true) {
    const auto response = client.Call(&Stub::PromoteController, request);
    if (response.ok()) return Changed(context, member->voter, "a voter", response->changed());
    const bool later = response.status().code() == StatusCode::kFenced;
    if (!later || clock.SteadyMs() >= deadline_ms) return Report(client, what, response.status());
    SleepMs(kAskAgainMs);
  }
}

ExitCode Remove(const Context& context, const QuorumArguments& arguments) {
  AdminClient client(context);
  const std::string what = "node " + std::to_string(arguments.id) + " was not removed";
  const auto member = FindMember(client, arguments.id);
  if (!member.ok()) return Report(client, what, member.status());
  admin::RemoveControllerRequest request;
  request.set_id(member->voter.id());
  request.set_disk_id(member->voter.disk_id());
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&Stub::RemoveController, request);
  if (!response.ok()) {
    return Report(client, what, response.status(),
                  "make another controller a voter first, sluice quorum add and promote; a cluster "
                  "that is not needed any more is stopped, not emptied");
  }
  if (!arguments.validate_only)
    return Changed(context, member->voter, "no member", response->changed());
  std::cerr << "dry run: node " << member->voter.id() << " with disk " << member->voter.disk_id()
            << ", a " << (member->learner ? "learner" : "voter")
            << ", would be removed, nothing changed" << std::endl;
  if (context.json()) {
    PrintJson(
        {{"id", member->voter.id()}, {"disk_id", member->voter.disk_id()}, {"dry_run", true}});
  }
  return ExitCode::kOk;
}

ExitCode Transfer(const Context& context, const QuorumArguments& arguments) {
  AdminClient client(context);
  const std::string what = "leadership was not handed over";
  const auto before = QuorumOf(client);
  if (!before.ok()) return Report(client, what, before.status());
  admin::TransferControllerRequest request;
  if (arguments.id >= 0) request.set_id(arguments.id);
  const auto asked = client.Call(&Stub::TransferController, request);
  if (!asked.ok()) return Report(client, what, asked.status());
  const SystemClock clock;
  const int64_t deadline_ms = clock.SteadyMs() + context.timeout_ms;
  while (true) {
    const auto now = QuorumOf(client);
    if (!now.ok()) return Report(client, what, now.status());
    const int32_t leader = now->leader_id();
    const bool done =
        arguments.id >= 0 ? leader == arguments.id : leader >= 0 && leader != before->leader_id();
    if (done) {
      std::cerr << "node " << leader << " leads" << std::endl;
      if (context.json()) PrintJson({{"leader_id", leader}, {"term", now->term()}});
      return ExitCode::kOk;
    }
    if (clock.SteadyMs() >= deadline_ms) {
      return Report(client, what,
                    Status::Fenced("node " + std::to_string(leader) + " still leads"));
    }
    SleepMs(kAskAgainMs);
  }
}

using QuorumAction = ExitCode (*)(const Context&, const QuorumArguments&);

}  // namespace

void AddQuorumCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<QuorumArguments>();
  CLI::App* quorum = app.add_subcommand(
      "quorum", "Show the controllers' quorum; add, promote and remove its members");
  quorum->require_subcommand(1);
  quorum->footer(
      "Examples:\n  sluice quorum status\n  sluice quorum remove 3      (its disk is gone)\n"
      "  sluice cluster init --config server-3.properties --join --server host-a:9095\n"
      "  sluice quorum add host-c:9095 && sluice quorum promote 3");
  const auto add = [&](const char* name, const char* text, QuorumAction action) {
    CLI::App* verb = quorum->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  add("status", "Show who leads, who votes, who learns and how far each of them is", ShowStatus);
  add("add", "Make a controller that was formatted with --join a learner: it gets the log", Add)
      ->add_option("address", arguments->address, "host:port of its CONTROLLER listener")
      ->required()
      ->check(WhyNoAddress);
  CLI::App* promote =
      add("promote", "Let a learner vote; waits until it has caught up, or --timeout-ms", Promote);
  CLI::App* remove = add("remove", "Take a voter or a learner out of the quorum", Remove);
  remove->add_flag("--dry-run", arguments->validate_only, "check, change nothing");
  for (CLI::App* verb : {promote, remove}) {
    verb->add_option("id", arguments->id, "node id")->required()->check(CLI::Range(0, INT32_MAX));
  }
  add("transfer", "Let another voter lead", Transfer)
      ->add_option("id", arguments->id, "node id; without it the one that holds most of the log")
      ->check(CLI::Range(0, INT32_MAX));
}

}  // namespace sluice::cli
