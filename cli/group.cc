// `sluice group`: list, describe, lag, explain and delete consumer groups through the admin service
// of any node; its offsets are in group_offsets.cc.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "base/clock.h"
#include "cli/group_output.h"

namespace sluice::cli {

namespace {

constexpr char kNoGroups[] =
    "No groups yet. Groups appear when a consumer joins:  sluice consume hello -g demo";

int32_t Milliseconds(double seconds) { return static_cast<int32_t>(seconds * 1000); }

struct GroupArguments {
  std::string name;
  std::vector<std::string> states;
  std::vector<std::string> types;
  std::string pattern;
  double lag_sample_s = 0;
  double explain_sample_s =
      5;  // consumers commit every five seconds where nobody sets another time
};

std::string AssignmentInWords(const admin::GroupMember& member) {
  std::string words;
  for (const admin::TopicPartitions& topic : member.assignment()) {
    if (!words.empty()) words += " ";
    words += topic.topic() + ":";
    for (int i = 0; i < topic.partitions_size(); ++i)
      words += (i == 0 ? "" : ",") + std::to_string(topic.partitions(i));
  }
  return words.empty() ? "-" : words;
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

nlohmann::ordered_json AsJson(const admin::GroupMember& member) {
  nlohmann::ordered_json assignment = nlohmann::ordered_json::array();
  for (const admin::TopicPartitions& topic : member.assignment()) {
    assignment.push_back({{"topic", topic.topic()},
                          {"partitions", std::vector<int32_t>(topic.partitions().begin(),
                                                              topic.partitions().end())}});
  }
  nlohmann::ordered_json json = {
      {"member_id", member.member_id()},
      {"instance_id", nullptr},
      {"client_id", member.client_id()},
      {"client_host", member.client_host()},
      {"session_timeout_ms", nullptr},
      {"heard_ms_ago", nullptr},
      {"awaited", member.awaited()},
      {"assignment", assignment},
      {"subscribed_topics", std::vector<std::string>(member.subscribed_topics().begin(),
                                                     member.subscribed_topics().end())},
      {"subscribed_regex", nullptr}};
  if (!member.instance_id().empty()) json["instance_id"] = member.instance_id();
  if (!member.subscribed_regex().empty()) json["subscribed_regex"] = member.subscribed_regex();
  if (member.session_timeout_ms() > 0) json["session_timeout_ms"] = member.session_timeout_ms();
  if (member.heard_ms_ago() >= 0) json["heard_ms_ago"] = member.heard_ms_ago();
  return json;
}

nlohmann::ordered_json AsJson(const admin::Group& group) {
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  for (const admin::GroupMember& member : group.members()) members.push_back(AsJson(member));
  nlohmann::ordered_json json = {
      {"name", group.name()},
      {"type", group.type()},
      {"protocol_type", group.protocol_type()},
      {"state", group.state()},
      {"state_since", nullptr},
      {"assignor", group.assignor()},
      {"coordinator", group.coordinator()},
      {"generation", nullptr},
      {"members", members},
      {"pending_members",
       std::vector<std::string>(group.pending_members().begin(), group.pending_members().end())},
      {"last_rebalance", nullptr}};
  if (group.state_since_ms() >= 0) json["state_since"] = UtcTime(group.state_since_ms());
  if (group.generation() >= 0) json["generation"] = group.generation();
  if (group.has_last_rebalance()) {
    json["last_rebalance"] = {{"time", UtcTime(group.last_rebalance().time_ms())},
                              {"reason", group.last_rebalance().reason()},
                              {"member_id", group.last_rebalance().member_id()}};
  }
  return json;
}

// All pages.
Result<admin::ListGroupsResponse> ListAll(AdminClient& client, const GroupArguments& arguments) {
  admin::ListGroupsRequest request;
  for (const std::string& state : arguments.states) request.add_states(state);
  for (const std::string& type : arguments.types) request.add_types(type);
  request.set_pattern(arguments.pattern);
  admin::ListGroupsResponse all;
  do {
    SLUICE_ASSIGN_OR_RETURN(const admin::ListGroupsResponse page,
                            client.Call(&admin::Admin::Stub::ListGroups, request));
    all.mutable_groups()->MergeFrom(page.groups());
    *all.mutable_incomplete() = page.incomplete();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

ExitCode List(const Context& context, const GroupArguments& arguments) {
  AdminClient client(context);
  const auto listed = ListAll(client, arguments);
  if (!listed.ok()) return client.Report("cannot list groups", listed.status());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows;
  for (const admin::GroupSummary& group : listed->groups()) {
    list.push_back({{"name", group.name()},
                    {"type", group.type()},
                    {"protocol_type", group.protocol_type()},
                    {"state", group.state()},
                    {"coordinator", group.coordinator()}});
    rows.push_back({group.name(), group.state(), group.type(), OrDash(group.protocol_type()),
                    std::to_string(group.coordinator())});
  }
  const bool filtered =
      !arguments.states.empty() || !arguments.types.empty() || !arguments.pattern.empty();
  const std::vector<std::string> incomplete(listed->incomplete().begin(),
                                            listed->incomplete().end());
  if (context.json()) {
    PrintJson(nlohmann::ordered_json{{"groups", list}, {"incomplete", incomplete}});
  } else if (!rows.empty()) {
    PrintTable({"GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"}, rows);
  } else if (incomplete.empty()) {
    std::cerr << (filtered ? "No group passes these filters." : kNoGroups) << std::endl;
  }
  if (incomplete.empty()) return ExitCode::kOk;
  PrintError("not all groups are listed", incomplete.front(),
             "sluice cluster health tells more; then try again");
  return ExitCode::kPartlyDone;
}

ExitCode Describe(const Context& context, const GroupArguments& arguments) {
  AdminClient client(context);
  admin::DescribeGroupRequest request;
  request.set_name(arguments.name);
  const auto response = client.Call(&admin::Admin::Stub::DescribeGroup, request);
  if (!response.ok())
    return ReportGroupError(client, "cannot describe group " + arguments.name, response.status());
  const admin::Group& group = response->group();
  if (context.json()) {
    PrintJson(AsJson(group));
    return ExitCode::kOk;
  }
  std::cout << "group " << ForPerson(group.name()) << "  " << group.state() << "  " << group.type()
            << "  coordinator: node " << group.coordinator();
  if (!group.assignor().empty()) std::cout << "  assignor: " << group.assignor();
  if (group.generation() >= 0) std::cout << "  generation: " << group.generation();
  std::cout << "\n";
  if (group.members().empty()) {
    std::cerr << "No members. Where it is:  sluice group offsets get " << ForPerson(group.name())
              << std::endl;
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const admin::GroupMember& member : group.members()) {
    const bool known = member.session_timeout_ms() > 0;
    const std::optional<double> session_s =
        known ? std::optional(member.session_timeout_ms() / 1000.0) : std::nullopt;
    const std::optional<double> heard_s =
        member.heard_ms_ago() >= 0
            ? std::optional(static_cast<double>(member.heard_ms_ago()) / 1000)
            : std::nullopt;
    rows.push_back({OrDash(member.client_id()), member.client_host(), DecimalOrDash(session_s),
                    DecimalOrDash(heard_s), AssignmentInWords(member), member.member_id()});
  }
  PrintTable({"CLIENT", "HOST", "SESSION S", "HEARD S AGO", "PARTITIONS", "MEMBER"}, rows);
  return ExitCode::kOk;
}

nlohmann::ordered_json AsJson(const admin::PartitionLag& lag) {
  nlohmann::ordered_json json = {{"topic", lag.topic()},
                                 {"partition", lag.partition()},
                                 {"committed", nullptr},
                                 {"log_start", nullptr},
                                 {"log_end", nullptr},
                                 {"lag", nullptr},
                                 {"lag_seconds", nullptr},
                                 {"committed_per_second", nullptr},
                                 {"arriving_per_second", nullptr},
                                 {"eta_seconds", nullptr},
                                 {"member_id", nullptr},
                                 {"client_id", nullptr},
                                 {"client_host", nullptr},
                                 {"note", lag.note()}};
  if (lag.has_committed()) json["committed"] = lag.committed();
  if (lag.log_end() >= 0) {
    json["log_start"] = lag.log_start();
    json["log_end"] = lag.log_end();
  }
  if (lag.has_lag()) json["lag"] = lag.lag();
  if (lag.has_lag_seconds()) json["lag_seconds"] = lag.lag_seconds();
  if (lag.has_committed_per_second()) json["committed_per_second"] = lag.committed_per_second();
  if (lag.has_arriving_per_second()) json["arriving_per_second"] = lag.arriving_per_second();
  if (lag.has_eta_seconds()) json["eta_seconds"] = lag.eta_seconds();
  if (!lag.member_id().empty()) {
    json["member_id"] = lag.member_id();
    json["client_id"] = lag.client_id();
    json["client_host"] = lag.client_host();
  }
  return json;
}

template <typename Value>
std::optional<Value> If(bool has, Value value) {
  return has ? std::optional<Value>(value) : std::nullopt;
}

std::vector<std::string> AsRow(const admin::PartitionLag& lag) {
  return {lag.topic() + "-" + std::to_string(lag.partition()),
          NumberOrDash(If(lag.has_committed(), lag.committed())),
          NumberOrDash(If(lag.log_end() >= 0, lag.log_end())),
          NumberOrDash(If(lag.has_lag(), lag.lag())),
          DecimalOrDash(If(lag.has_lag_seconds(), lag.lag_seconds())),
          DecimalOrDash(If(lag.has_committed_per_second(), lag.committed_per_second())),
          DecimalOrDash(If(lag.has_arriving_per_second(), lag.arriving_per_second())),
          DecimalOrDash(If(lag.has_eta_seconds(), lag.eta_seconds())),
          OrDash(lag.client_id()),
          lag.note()};
}

ExitCode Lag(const Context& context, const GroupArguments& arguments) {
  AdminClient client(context);
  admin::GroupLagRequest request;
  request.set_name(arguments.name);
  request.set_sample_ms(Milliseconds(arguments.lag_sample_s));
  const auto response = client.Call(&admin::Admin::Stub::GroupLag, request);
  if (!response.ok())
    return ReportGroupError(client, "the lag of group " + arguments.name + " is not known",
                            response.status());
  if (context.json()) {
    nlohmann::ordered_json partitions = nlohmann::ordered_json::array();
    for (const admin::PartitionLag& lag : response->partitions()) partitions.push_back(AsJson(lag));
    nlohmann::ordered_json json = {
        {"name", response->name()},
        {"state", response->state()},
        {"lag", response->lag()},
        {"lag_seconds", nullptr},
        {"partitions", partitions},
        {"measured", response->measured()},
        {"incomplete",
         std::vector<std::string>(response->incomplete().begin(), response->incomplete().end())}};
    if (response->has_lag_seconds()) json["lag_seconds"] = response->lag_seconds();
    PrintJson(json);
  } else if (response->partitions().empty()) {
    std::cerr << "Group " << ForPerson(arguments.name)
              << " has committed nothing, and has no partitions: there is no lag to tell."
              << std::endl;
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const admin::PartitionLag& lag : response->partitions()) rows.push_back(AsRow(lag));
    PrintTable({"PARTITION", "COMMITTED", "END", "LAG", "SECONDS", "COMMITTED/S", "ARRIVING/S",
                "ETA S", "CLIENT", "NOTE"},
               rows);
    std::cerr << "group " << ForPerson(response->name()) << " is " << response->state() << ", "
              << response->lag() << " records behind";
    if (response->lag() > 0 && response->has_lag_seconds())
      std::cerr << ", the oldest " << DecimalOrDash(response->lag_seconds()) << " s old";
    std::cerr << "\n" << response->measured() << std::endl;
  }
  if (response->incomplete().empty()) return ExitCode::kOk;
  PrintError("the lag of some partitions is not known", response->incomplete(0),
             "sluice cluster health tells more");
  return ExitCode::kPartlyDone;
}

ExitCode Explain(const Context& context, const GroupArguments& arguments) {
  AdminClient client(context);
  admin::ExplainGroupRequest request;
  request.set_name(arguments.name);
  request.set_sample_ms(Milliseconds(arguments.explain_sample_s));
  const auto response = client.Call(&admin::Admin::Stub::ExplainGroup, request);
  if (!response.ok())
    return ReportGroupError(client, "group " + arguments.name + " cannot be explained",
                            response.status());
  if (context.json()) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const admin::Finding& finding : response->findings())
      findings.push_back(
          {{"what", finding.what()}, {"why", finding.why()}, {"do", finding.next_step()}});
    PrintJson(nlohmann::ordered_json{{"name", response->group().name()},
                                     {"summary", response->summary()},
                                     {"findings", findings},
                                     {"measured", response->measured()},
                                     {"group", AsJson(response->group())}});
    return ExitCode::kOk;
  }
  std::cout << "group " << ForPerson(response->group().name()) << ": " << response->summary()
            << "\n";
  for (const admin::Finding& finding : response->findings()) {
    std::cout << "  - " << ForPerson(finding.what()) << "\n    why: " << ForPerson(finding.why())
              << "\n";
    if (!finding.next_step().empty())
      std::cout << "    do:  " << ForPerson(finding.next_step()) << "\n";
  }
  std::cout << std::flush;
  std::cerr << response->measured() << std::endl;
  return ExitCode::kOk;
}

ExitCode Delete(const Context& context, const GroupArguments& arguments) {
  AdminClient client(context);
  admin::DeleteGroupRequest request;
  request.set_name(arguments.name);
  const auto response = client.Call(&admin::Admin::Stub::DeleteGroup, request);
  if (!response.ok())
    return ReportGroupError(client, "group " + arguments.name + " was not deleted",
                            response.status());
  if (context.json())
    PrintJson({{"name", arguments.name}, {"deleted", true}});
  else
    std::cerr << "deleted group " << ForPerson(arguments.name) << " and its offsets" << std::endl;
  return ExitCode::kOk;
}

using GroupAction = ExitCode (*)(const Context&, const GroupArguments&);

}  // namespace

void AddGroupCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<GroupArguments>();
  CLI::App* group = app.add_subcommand("group", "Look at consumer groups, and move their offsets");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n  sluice group lag billing --sample 5\n  sluice group offsets reset billing --to "
      "@-1h");
  const auto add = [&](const char* name, const char* text, GroupAction action) {
    CLI::App* verb = group->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  CLI::App* list = add("list", "List the groups of all coordinators", List);
  CLI::App* describe = add("describe", "Show a group's state and members", Describe);
  CLI::App* lag = add("lag", "Show how far a group is behind, in records and in seconds", Lag);
  CLI::App* explain = add("explain", "Say in words why a group lags or rebalances", Explain);
  CLI::App* remove = add("delete", "Delete a group without members, and its offsets", Delete);
  list->add_option("--state", arguments->states, "only these, such as Stable or Empty");
  list->add_option("--type", arguments->types, "only these: classic, consumer");
  list->add_option("--name", arguments->pattern,
                   "only names like this: * any text, ? one character");
  for (CLI::App* verb : {describe, lag, explain, remove})
    verb->add_option("name", arguments->name, "the group")->required();
  for (auto [verb, sample_s] : {std::pair(lag, &arguments->lag_sample_s),
                                std::pair(explain, &arguments->explain_sample_s)}) {
    verb->add_option("--sample", *sample_s,
                     "look twice, so many seconds apart, to tell rates; 0 = once")
        ->check(CLI::Range(0.0, 3600.0))
        ->capture_default_str();
  }
  AddGroupOffsetsCommands(*group, context);
}

}  // namespace sluice::cli
