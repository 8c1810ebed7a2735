// `sluice partition`: where partitions are and who leads them; moves, elections. Through the admin
// service of any node; docs/tasks/move_partitions.md tells when to use which.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/rate_text.h"
#include "cli/admin_client.h"
#include "cli/moves_file.h"
#include "cli/partition_output.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

using Stub = admin::Admin::Stub;

constexpr int kAskAgainMs = 100;
constexpr char kTopicIsMissing[] = "sluice topic list shows the topics";

struct PartitionArguments {
  std::string topic;
  int32_t partition = -1;
  std::vector<int32_t> replicas;
  std::string file;
  std::string throttle;
  bool moving_only = false;
  bool unhealthy_only = false;
  bool factor_may_change = false;
  bool validate_only = false;
  bool wait = false;
  bool all = false;
  bool unclean = false;
};

std::string NameOf(const std::string& topic, int32_t partition) {
  return topic + "-" + std::to_string(partition);
}

nlohmann::json AsJson(const admin::Partition& partition) {
  nlohmann::json json = PartitionAsJson(partition);
  json["topic"] = partition.topic();
  return json;
}

void PrintPartitions(const google::protobuf::RepeatedPtrField<admin::Partition>& partitions) {
  std::vector<std::vector<std::string>> rows;
  for (const admin::Partition& p : partitions) {
    rows.push_back({p.topic(), std::to_string(p.partition()), LeaderOf(p), JoinIds(p.replicas()),
                    JoinIds(p.isr()), JoinIds(p.adding()), JoinIds(p.removing()),
                    p.move_bytes_per_second() == 0 ? "-" : RateText(p.move_bytes_per_second())});
  }
  PrintTable(
      {"TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN SYNC", "ADDING", "REMOVING", "THROTTLE"},
      rows);
}

// Of a dry run: from what they are to what they would be.
void PrintWouldBe(const std::vector<admin::PartitionOutcome>& outcomes) {
  std::vector<std::vector<std::string>> rows;
  const auto change = [](const std::string& from, const std::string& to) {
    return from == to ? from : from + " > " + to;
  };
  for (const admin::PartitionOutcome& outcome : outcomes) {
    const admin::Partition& now = outcome.now();
    admin::Partition then = now;
    if (outcome.has_would_be()) {
      then.set_leader(outcome.would_be().leader());
      *then.mutable_replicas() = outcome.would_be().replicas();
    }
    rows.push_back({now.topic(), std::to_string(now.partition()),
                    change(LeaderOf(now), LeaderOf(then)),
                    change(JoinIds(now.replicas()), JoinIds(then.replicas()))});
  }
  PrintTable({"TOPIC", "PARTITION", "LEADER", "REPLICAS"}, rows);
}

ExitCode List(const Context& context, const PartitionArguments& arguments) {
  AdminClient client(context);
  admin::ListPartitionsRequest request;
  request.set_topic(arguments.topic);
  request.set_moving_only(arguments.moving_only);
  request.set_unhealthy_only(arguments.unhealthy_only);
  const auto response = client.Call(&Stub::ListPartitions, request);
  if (!response.ok())
    return client.Report("cannot list partitions", response.status(), kTopicIsMissing);
  TellIfRemembered(context, *response);
  if (context.json()) {
    nlohmann::json list = nlohmann::json::array();
    for (const admin::Partition& partition : response->partitions())
      list.push_back(AsJson(partition));
    nlohmann::json json = {{"partitions", list}};
    MarkIfRemembered(*response, json);
    PrintJson(json);
  } else if (response->partitions().empty()) {
    std::cerr << "no such partitions" << std::endl;
  } else {
    PrintPartitions(response->partitions());
  }
  return ExitCode::kOk;
}

// What to do about one that was refused.
std::string NextStep(const admin::PartitionOutcome& outcome) {
  if (outcome.code() == "UNKNOWN_TOPIC_OR_PARTITION") return kTopicIsMissing;
  if (outcome.code() == "INVALID_REPLICATION_FACTOR")
    return "name as many nodes, or allow it with --change-replication-factor";
  if (outcome.code() == "NO_REASSIGNMENT_IN_PROGRESS")
    return "sluice partition list --moving shows what moves";
  if (outcome.code() == "ELIGIBLE_LEADERS_NOT_AVAILABLE") return "start one of its nodes";
  if (outcome.code() == "PREFERRED_LEADER_NOT_AVAILABLE")
    return "wait until it is in sync: sluice partition list " + outcome.topic();
  return "name each node once, and new ones that run and are not drained: sluice broker list shows "
         "them, sluice partition list " +
         outcome.topic() + " who is in sync";
}

ExitCode CodeOf(const admin::PartitionOutcome& outcome) {
  if (outcome.code() == "UNKNOWN_TOPIC_OR_PARTITION") return ExitCode::kNotFound;
  return outcome.code().starts_with("INVALID_") ? ExitCode::kUsage : ExitCode::kFailed;
}

nlohmann::json WouldBeAsJson(const admin::PartitionOutcome& outcome) {
  if (!outcome.has_would_be()) return nullptr;
  const auto& replicas = outcome.would_be().replicas();
  return {{"leader", outcome.would_be().leader()},
          {"replicas", std::vector<int32_t>(replicas.begin(), replicas.end())}};
}

// Shows what became of each, or would; an error for those refused. `what`: "was not moved".
template <typename Response>
ExitCode ShowOutcomes(const Context& context, const Response& response, const std::string& what,
                      bool dry_run) {
  google::protobuf::RepeatedPtrField<admin::Partition> done;
  std::vector<admin::PartitionOutcome> would_be;
  nlohmann::json list = nlohmann::json::array();
  std::optional<ExitCode> failed;
  for (const admin::PartitionOutcome& outcome : response.partitions()) {
    nlohmann::json json = {{"topic", outcome.topic()}, {"partition", outcome.partition()}};
    if (outcome.has_now()) json = AsJson(outcome.now());
    json["error"] = outcome.error();
    json["code"] = outcome.code();
    if (dry_run) json["would_be"] = WouldBeAsJson(outcome);
    list.push_back(std::move(json));
    // The leader that was wanted leads: that is no failure.
    if (outcome.error().empty() || outcome.code() == "ELECTION_NOT_NEEDED") {
      *done.Add() = outcome.now();
      would_be.push_back(outcome);
      continue;
    }
    PrintError(NameOf(outcome.topic(), outcome.partition()) + " " + what, outcome.error(),
               NextStep(outcome));
    if (!failed) failed = CodeOf(outcome);
  }
  if (context.json()) {
    PrintJson({{"partitions", list}});
  } else if (!done.empty() && dry_run) {
    PrintWouldBe(would_be);
  } else if (!done.empty()) {
    PrintPartitions(done);
  } else if (!failed) {
    std::cerr << "there was nothing to do" << std::endl;
  }
  if (!failed) return ExitCode::kOk;
  return done.empty() ? *failed : ExitCode::kPartlyDone;
}

Status MovesOf(const PartitionArguments& arguments, admin::MovePartitionsRequest& request) {
  request.set_allow_replication_factor_change(arguments.factor_may_change);
  request.set_validate_only(arguments.validate_only);
  SLUICE_ASSIGN_OR_RETURN(const auto throttle, ParseThrottle(arguments.throttle));
  if (throttle) request.set_bytes_per_second(*throttle);
  if (!arguments.file.empty()) {
    if (!arguments.topic.empty())
      return Status::InvalidArgument("--file names the partitions: leave the others out");
    return ReadMoves(*NewPosixFileSystem(), arguments.file, request);
  }
  if (arguments.topic.empty() || arguments.partition < 0 || arguments.replicas.empty())
    return Status::InvalidArgument("a topic, a partition and --to are needed, or --file");
  admin::PartitionMove* move = request.add_moves();
  move->set_topic(arguments.topic);
  move->set_partition(arguments.partition);
  for (const int32_t id : arguments.replicas) move->add_replicas(id);
  return Status::Ok();
}

// Until none of them moves; kTimeout after the time that the command has.
Status WaitForMoves(const Context& context, AdminClient& client,
                    admin::MovePartitionsResponse& moves) {
  const SystemClock clock;
  const int64_t deadline_ms = clock.SteadyMs() + context.timeout_ms;
  admin::ListPartitionsRequest request;
  while (true) {
    const auto response = client.Call(&Stub::ListPartitions, request);
    if (!response.ok()) return response.status();
    std::string moving;
    for (admin::PartitionOutcome& move : *moves.mutable_partitions()) {
      for (const admin::Partition& now : response->partitions()) {
        if (now.topic() != move.topic() || now.partition() != move.partition()) continue;
        *move.mutable_now() = now;
        if (!now.adding().empty() || !now.removing().empty())
          moving = NameOf(now.topic(), now.partition());
      }
    }
    if (moving.empty()) return Status::Ok();
    if (clock.SteadyMs() >= deadline_ms) {
      if (response->has_remembered()) return Status::Timeout(WordsOf(response->remembered()));
      return Status::Timeout(moving + " still moves");
    }
    SleepMs(kAskAgainMs);
  }
}

// Of a dry run: `would` is what becomes of those that would change, `already` what is said of
// others.
template <typename Response>
void PrintVerdict(const Response& response, const std::string& would, const std::string& already) {
  int changed = 0, same = 0, refused = 0;
  for (const admin::PartitionOutcome& outcome : response.partitions()) {
    const bool unneeded = outcome.error().empty() || outcome.code() == "ELECTION_NOT_NEEDED";
    ++(outcome.has_would_be() ? changed : unneeded ? same : refused);
  }
  std::cerr << "dry run: " << changed << " partitions would " << would;
  if (same > 0) std::cerr << ", " << same << " " << already;
  if (refused > 0) std::cerr << ", " << refused << " would be refused";
  std::cerr << ", nothing changed" << std::endl;
}

ExitCode Move(const Context& context, const PartitionArguments& arguments) {
  AdminClient client(context);
  admin::MovePartitionsRequest request;
  const std::string what = "nothing was moved";
  if (const Status readable = MovesOf(arguments, request); !readable.ok()) {
    PrintError(what, readable, "sluice partition move --help shows how");
    return ExitCode::kUsage;
  }
  auto response = client.Call(&Stub::MovePartitions, request);
  if (!response.ok()) return client.Report(what, response.status());
  const bool wait = arguments.wait && !arguments.validate_only;
  if (const Status waited = wait ? WaitForMoves(context, client, *response) : Status::Ok();
      !waited.ok()) {
    PrintError("the moves have begun, and have not ended", waited,
               "sluice partition list --moving shows those under way; --timeout-ms waits longer");
    return ExitCode::kPartlyDone;
  }
  if (arguments.validate_only) PrintVerdict(*response, "be moved", "are there already");
  return ShowOutcomes(context, *response,
                      arguments.validate_only ? "would not be moved" : "was not moved",
                      arguments.validate_only);
}

ExitCode Cancel(const Context& context, const PartitionArguments& arguments) {
  AdminClient client(context);
  const bool one = !arguments.topic.empty() && arguments.partition >= 0;
  if (one == arguments.all) {
    PrintError("no move was cancelled", "either a topic and a partition are named, or --all",
               "sluice partition list --moving shows what moves");
    return ExitCode::kUsage;
  }
  admin::CancelMovesRequest request;
  request.set_validate_only(arguments.validate_only);
  if (one) {
    request.add_partitions()->set_topic(arguments.topic);
    request.mutable_partitions(0)->set_partition(arguments.partition);
  }
  const auto response = client.Call(&Stub::CancelMoves, request);
  if (!response.ok()) return client.Report("no move was cancelled", response.status());
  if (arguments.validate_only) PrintVerdict(*response, "give up their moves", "are there already");
  return ShowOutcomes(
      context, *response,
      arguments.validate_only ? "would not give up a move" : "still moves as it did",
      arguments.validate_only);
}

ExitCode Elect(const Context& context, const PartitionArguments& arguments) {
  AdminClient client(context);
  const std::string what = "no leader was elected";
  const bool one = !arguments.topic.empty() && arguments.partition >= 0;
  if (arguments.unclean ? !one || arguments.all : one == arguments.all) {
    PrintError(what,
               arguments.unclean
                   ? "an unclean election may lose records: it is of one topic and partition"
                   : "either a topic and a partition are named, or --all",
               "sluice partition elect --help shows how");
    return ExitCode::kUsage;
  }
  admin::ElectLeadersRequest request;
  request.set_unclean(arguments.unclean);
  request.set_validate_only(arguments.validate_only);
  if (one) {
    request.add_partitions()->set_topic(arguments.topic);
    request.mutable_partitions(0)->set_partition(arguments.partition);
  }
  const auto response = client.Call(&Stub::ElectLeaders, request);
  if (!response.ok()) return client.Report(what, response.status());
  if (arguments.validate_only)
    PrintVerdict(*response, "get another leader", "have the one that is wanted");
  return ShowOutcomes(
      context, *response,
      arguments.validate_only ? "would get no other leader" : "has no other leader now",
      arguments.validate_only);
}

using PartitionAction = ExitCode (*)(const Context&, const PartitionArguments&);

void AddMoveOptions(CLI::App& move, PartitionArguments& arguments) {
  CLI::Option* to = move.add_option("--to", arguments.replicas,
                                    "node ids, 4,5,6; the first is the preferred leader")
                        ->delimiter(',');
  move.add_option("--file", arguments.file,
                  "moves as JSON, of the form that kafka-reassign-partitions has")
      ->excludes(to);
  move.add_flag("--change-replication-factor", arguments.factor_may_change,
                "there may be more or fewer replicas than before");
  move.add_option("--throttle", arguments.throttle, kThrottleHelp);
  CLI::Option* dry_run =
      move.add_flag("--dry-run", arguments.validate_only, "check, change nothing");
  move.add_flag("--wait", arguments.wait, "until the moves are done, or --timeout-ms")
      ->excludes(dry_run);
}

}  // namespace

void AddPartitionCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PartitionArguments>();
  CLI::App* partition = app.add_subcommand(
      "partition", "Show where partitions are; move them; give them other leaders");
  partition->require_subcommand(1);
  partition->footer(
      "Examples:\n  sluice partition move orders 0 --to 4,5,6 --throttle 50MiB --wait --timeout-ms "
      "600000\n"
      "  sluice partition list --moving\n  sluice partition cancel orders 0\n"
      "  sluice partition elect --all      (the preferred leaders)");
  const auto add = [&](const char* name, const char* text, PartitionAction action) {
    CLI::App* verb = partition->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    verb->add_option("topic", arguments->topic, "the topic");
    return verb;
  };
  CLI::App* list = add("list", "Show leaders, replicas, who is in sync and what moves", List);
  list->add_flag("--moving", arguments->moving_only, "only those with a move under way");
  list->add_flag("--unhealthy", arguments->unhealthy_only,
                 "only those without leader, under-replicated or below min ISR");
  CLI::App* move = add("move", "Give a partition other replicas; data is copied first", Move);
  AddMoveOptions(*move, *arguments);
  CLI::App* elect = add("elect", "Let the preferred replica lead", Elect);
  elect->add_flag("--unclean", arguments->unclean,
                  "of a partition without a leader let the live replica lead whose log has the "
                  "most; acknowledged records may be lost");
  CLI::App* cancel = add("cancel", "Give up a move: back to the replicas of before", Cancel);
  for (CLI::App* verb : {elect, cancel}) {
    verb->add_flag("--all", arguments->all, "every partition")->excludes(verb->get_option("topic"));
    verb->add_flag("--dry-run", arguments->validate_only, "check, change nothing");
  }
  for (CLI::App* verb : {move, elect, cancel}) {
    verb->add_option("partition", arguments->partition, "which of the topic's partitions")
        ->check(CLI::Range(0, INT32_MAX));
  }
}

}  // namespace sluice::cli
