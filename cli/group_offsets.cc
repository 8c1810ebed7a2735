// `sluice group offsets`: get, reset, copy, export and import a group's committed offsets. What
// changes them shows a table first, changes nothing without --execute, and leaves a file behind
// with which import takes it back.

#include <CLI/CLI.hpp>
#include <charconv>
#include <ctime>
#include <iostream>
#include <map>

#include "base/clock.h"
#include "cli/group_offsets_file.h"
#include "cli/group_output.h"

namespace sluice::cli {

namespace {

struct OffsetsArguments {
  std::string group;
  std::vector<std::string> topics;
  std::string to;
  std::optional<int64_t> shift;
  std::string source;  // of copy
  std::string file;
  std::string undo_file;
  bool execute = false;
};

Result<int64_t> ParseNumber(std::string_view text) {
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && stop == text.data() + text.size()) return number;
  return Status::InvalidArgument("'" + std::string(text) + "' is no number");
}

// "orders" or "orders:0,3".
Status AddTopic(const std::string& text,
                google::protobuf::RepeatedPtrField<admin::TopicPartitions>& topics) {
  admin::TopicPartitions& topic = *topics.Add();
  const size_t colon = text.find(':');
  topic.set_topic(text.substr(0, colon));
  std::string_view rest =
      colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 1);
  if (colon != std::string::npos && rest.empty())
    return Status::InvalidArgument("--topic " + text + ": no partition stands behind the colon");
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const Result<int64_t> partition = ParseNumber(rest.substr(0, comma));
    if (!partition.ok() || *partition < 0 || *partition > INT32_MAX)
      return Status::InvalidArgument("--topic " + text + ": expected TOPIC or TOPIC:0,3");
    topic.add_partitions(static_cast<int32_t>(*partition));
    if (comma == rest.size() - 1)
      return Status::InvalidArgument("--topic " + text + ": no partition stands behind the comma");
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return Status::Ok();
}

// "-90m" as milliseconds, 90 * 60000.
Result<int64_t> ParseAgo(std::string_view text) {
  static const auto& units =
      *new std::map<char, int64_t>{{'s', 1000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}};
  const auto unit = text.size() < 3 ? units.end() : units.find(text.back());
  if (unit != units.end()) {
    const Result<int64_t> count = ParseNumber(text.substr(1, text.size() - 2));
    if (count.ok() && *count >= 0 && *count < 1'000'000'000) return *count * unit->second;
  }
  return Status::InvalidArgument("no time");
}

// What stands behind the @: ms since 1970, "-1h", or "2026-11-21", "2026-11-21T09:30:00Z" in UTC.
Result<int64_t> ParseTime(const std::string& text) {
  if (text.starts_with("-")) {
    SLUICE_ASSIGN_OR_RETURN(const int64_t ago_ms, ParseAgo(text));
    return SystemClock().WallMs() - ago_ms;
  }
  if (const Result<int64_t> ms = ParseNumber(text); ms.ok()) return ms;
  for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = strptime(text.c_str(), format, &parts);
    if (end != nullptr && *end == '\0') return static_cast<int64_t>(timegm(&parts)) * 1000;
  }
  return Status::InvalidArgument("no time");
}

Status ParseTo(const OffsetsArguments& arguments, admin::ResetGroupOffsetsRequest& request) {
  if (arguments.shift.has_value()) {
    request.set_shift_by(*arguments.shift);
    return Status::Ok();
  }
  const std::string& to = arguments.to;
  if (to == "start") request.set_earliest(true);
  if (to == "end") request.set_latest(true);
  if (to == "start" || to == "end") return Status::Ok();
  const bool is_time = to.starts_with("@");
  const Result<int64_t> number = is_time ? ParseTime(to.substr(1)) : ParseNumber(to);
  if (number.ok() && *number >= 0) {
    // Where it is a number: the other forms are no seconds.
    if (is_time && ParseNumber(to.substr(1)).ok())
      SLUICE_RETURN_IF_ERROR(CheckMilliseconds("--to " + to, *number));
    if (is_time)
      request.set_time_ms(*number);
    else
      request.set_offset(*number);
    return Status::Ok();
  }
  return Status::InvalidArgument(
      "--to " + to +
      ": expected start, end, an offset of 0 or more, or @ with a time: @-1h (units s, m, h, d), "
      "@2026-11-21T09:30:00Z, or ms since 1970");
}

nlohmann::ordered_json AsJson(const admin::GroupOffset& offset) {
  nlohmann::ordered_json json = {{"topic", offset.topic()},
                                 {"partition", offset.partition()},
                                 {"offset", nullptr},
                                 {"leader_epoch", offset.leader_epoch()},
                                 {"metadata", offset.metadata()}};
  if (offset.has_offset()) json["offset"] = offset.offset();
  return json;
}

Result<admin::GetGroupOffsetsResponse> Fetch(AdminClient& client,
                                             const OffsetsArguments& arguments) {
  admin::GetGroupOffsetsRequest request;
  request.set_name(arguments.group);
  for (const std::string& topic : arguments.topics)
    SLUICE_RETURN_IF_ERROR(AddTopic(topic, *request.mutable_topics()));
  return client.Call(&admin::Admin::Stub::GetGroupOffsets, request);
}

ExitCode Get(const Context& context, const OffsetsArguments& arguments) {
  AdminClient client(context);
  const auto response = Fetch(client, arguments);
  if (!response.ok())
    return ReportGroupError(client, "the offsets of group " + arguments.group + " are not known",
                            response.status());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows;
  for (const admin::GroupOffset& offset : response->offsets()) {
    list.push_back(AsJson(offset));
    rows.push_back({offset.topic(), std::to_string(offset.partition()),
                    std::to_string(offset.offset()),
                    offset.leader_epoch() < 0 ? "-" : std::to_string(offset.leader_epoch()),
                    offset.metadata()});
  }
  if (context.json()) {
    PrintJson(nlohmann::ordered_json{{"group", arguments.group}, {"offsets", list}});
  } else if (rows.empty()) {
    std::cerr << "Group " << ForPerson(arguments.group)
              << " has committed nothing here. The groups there are:  sluice group list"
              << std::endl;
  } else {
    PrintTable({"TOPIC", "PARTITION", "OFFSET", "LEADER EPOCH", "METADATA"}, rows);
  }
  return ExitCode::kOk;
}

ExitCode Export(const Context& context, const OffsetsArguments& arguments) {
  AdminClient client(context);
  const auto response = Fetch(client, arguments);
  const std::string what = "the offsets of group " + arguments.group + " were not exported";
  if (!response.ok()) return ReportGroupError(client, what, response.status());
  if (response->offsets().empty()) {
    PrintError(what, "group " + arguments.group + " has committed nothing there",
               "sluice group list shows the groups");
    return ExitCode::kNotFound;
  }
  const std::string text =
      FormatOffsetsFile({arguments.group, {response->offsets().begin(), response->offsets().end()}},
                        UtcTime(SystemClock().WallMs()));
  if (arguments.file.empty()) {
    std::cout << text << std::flush;
    return ExitCode::kOk;
  }
  if (const Status written = WriteNewFile(*NewPosixFileSystem(), arguments.file, text);
      !written.ok()) {
    PrintError(what, written.message(), "name another file");
    return ExitCode::kFailed;
  }
  std::cerr << "wrote " << arguments.file << ": " << response->offsets_size() << " offsets"
            << std::endl;
  return ExitCode::kOk;
}

// --- What changes offsets ---

std::string PartitionOf(const admin::OffsetChange& change) {
  return change.topic() + "-" + std::to_string(change.partition());
}

std::optional<int64_t> OffsetOf(const admin::GroupOffset& offset) {
  return offset.has_offset() ? std::optional(offset.offset()) : std::nullopt;
}

void PrintChanges(const Context& context, const admin::ResetGroupOffsetsResponse& response,
                  const OffsetsArguments& arguments, const std::string& undo) {
  if (context.json()) {
    nlohmann::ordered_json changes = nlohmann::ordered_json::array();
    for (const admin::OffsetChange& change : response.changes()) {
      nlohmann::ordered_json json = {{"topic", change.topic()},
                                     {"partition", change.partition()},
                                     {"old", nullptr},
                                     {"new", nullptr},
                                     {"skipped", change.skipped()},
                                     {"repeated", change.repeated()},
                                     {"note", change.note()},
                                     {"error", change.error()}};
      if (change.before().has_offset()) json["old"] = change.before().offset();
      if (change.after().has_offset()) json["new"] = change.after().offset();
      changes.push_back(std::move(json));
    }
    nlohmann::ordered_json json = {{"group", arguments.group},
                                   {"executed", response.executed()},
                                   {"refusal", response.refusal()},
                                   {"changes", changes},
                                   {"undo_file", nullptr}};
    if (!undo.empty()) json["undo_file"] = undo;
    return PrintJson(json);
  }
  std::vector<std::vector<std::string>> rows;
  for (const admin::OffsetChange& change : response.changes()) {
    const bool stays = !change.error().empty();
    rows.push_back({PartitionOf(change), NumberOrDash(OffsetOf(change.before())),
                    stays ? "stays" : NumberOrDash(OffsetOf(change.after())),
                    std::to_string(change.skipped()), std::to_string(change.repeated()),
                    stays ? change.error() : change.note()});
  }
  PrintTable({"PARTITION", "OLD", "NEW", "SKIPPED", "REPEATED", "NOTE"}, rows);
}

std::string UndoPath(const OffsetsArguments& arguments, int64_t wall_ms) {
  if (!arguments.undo_file.empty()) return arguments.undo_file;
  // No name of a file is longer than 255 bytes.
  constexpr size_t kNameBytesMax = 100;
  std::string name;
  for (const char c : arguments.group.substr(0, kNameBytesMax))
    name += isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ? c : '_';
  return name + ".undo-" + std::to_string(wall_ms) + ".json";
}

// What `plan` would change, as it is now.
OffsetsFile UndoOf(const std::string& group, const admin::ResetGroupOffsetsResponse& plan) {
  OffsetsFile file{.group = group, .offsets = {}};
  for (const admin::OffsetChange& change : plan.changes()) {
    if (!change.error().empty()) continue;
    admin::GroupOffset& offset = file.offsets.emplace_back(change.before());
    offset.set_topic(change.topic());
    offset.set_partition(change.partition());
  }
  return file;
}

int FailedOf(const admin::ResetGroupOffsetsResponse& response) {
  int failed = 0;
  for (const admin::OffsetChange& change : response.changes()) failed += !change.error().empty();
  return failed;
}

ExitCode CodeOf(const admin::ResetGroupOffsetsResponse& response) {
  const int failed = FailedOf(response);
  if (failed == 0) return ExitCode::kOk;
  return failed == response.changes_size() ? ExitCode::kFailed : ExitCode::kPartlyDone;
}

// What the plan showed is what is written, whatever has happened to the logs since.
admin::ResetGroupOffsetsRequest AsPlanned(const OffsetsArguments& arguments,
                                          const admin::ResetGroupOffsetsResponse& plan) {
  admin::ResetGroupOffsetsRequest request;
  request.set_name(arguments.group);
  request.set_execute(true);
  auto& offsets = *request.mutable_offsets();
  for (const admin::OffsetChange& change : plan.changes()) {
    if (!change.error().empty()) continue;
    admin::GroupOffset& offset = *offsets.add_offsets();
    offset = change.after();
    offset.set_topic(change.topic());
    offset.set_partition(change.partition());
  }
  return request;
}

// What has become of each partition, and how to take it back where there is something to take back.
ExitCode ReportApplied(const Context& context, const OffsetsArguments& arguments,
                       const admin::ResetGroupOffsetsResponse& applied, const std::string& undo) {
  const int all = applied.changes_size();
  const int changed = all - FailedOf(applied);
  if (changed == 0) {
    const Status removed = NewPosixFileSystem()->Remove(undo);
    PrintChanges(context, applied, arguments, removed.ok() ? "" : undo);
    PrintError("the offsets of group " + arguments.group + " were not changed",
               applied.changes(0).error(),
               "sluice group offsets get " + arguments.group + " shows where it is");
    return ExitCode::kFailed;
  }
  PrintChanges(context, applied, arguments, undo);
  std::cerr << (changed == all
                    ? "done"
                    : "changed " + std::to_string(changed) + " of " + std::to_string(all) +
                          " partitions, the others stay for the reasons above")
            << ". To take it back:  sluice group offsets import " << undo << " --execute"
            << std::endl;
  return CodeOf(applied);
}

ExitCode Execute(const Context& context, const OffsetsArguments& arguments, AdminClient& client,
                 const admin::ResetGroupOffsetsResponse& plan) {
  const std::string what = "the offsets of group " + arguments.group + " were not changed";
  const int64_t wall_ms = SystemClock().WallMs();
  const std::string undo = UndoPath(arguments, wall_ms);
  const std::string text = FormatOffsetsFile(UndoOf(arguments.group, plan), UtcTime(wall_ms));
  if (const Status written = WriteNewFile(*NewPosixFileSystem(), undo, text); !written.ok()) {
    PrintError(what, "the undo file cannot be written: " + written.message(),
               "name another one with --undo-file");
    return ExitCode::kFailed;
  }
  auto applied = client.Call(&admin::Admin::Stub::ResetGroupOffsets, AsPlanned(arguments, plan));
  const std::string take_back = "sluice group offsets import " + undo + " --execute";
  if (!applied.ok()) {
    if (applied.status().code() == StatusCode::kTimeout)
      std::cerr << "sluice: to be sure that all is as before:  " << take_back << std::endl;
    return ReportGroupError(client, what, applied.status());
  }
  // With the partitions that stay, and the notes of the plan.
  admin::ResetGroupOffsetsResponse shown = plan;
  shown.set_executed(true);
  std::map<std::string, std::string> errors;
  for (const admin::OffsetChange& change : applied->changes())
    errors[PartitionOf(change)] = change.error();
  for (admin::OffsetChange& change : *shown.mutable_changes()) {
    const auto error = errors.find(PartitionOf(change));
    if (change.error().empty() && error != errors.end()) change.set_error(error->second);
  }
  return ReportApplied(context, arguments, shown, undo);
}

ExitCode Change(const Context& context, const OffsetsArguments& arguments,
                const admin::ResetGroupOffsetsRequest& request) {
  AdminClient client(context);
  const std::string what = "the offsets of group " + arguments.group + " were not changed";
  const auto plan = client.Call(&admin::Admin::Stub::ResetGroupOffsets, request);
  if (!plan.ok()) return ReportGroupError(client, what, plan.status());
  const ExitCode possible = CodeOf(*plan);
  if (arguments.execute && plan->refusal().empty() && possible != ExitCode::kFailed)
    return Execute(context, arguments, client, *plan);
  if (arguments.execute && !plan->refusal().empty())
    return ReportGroupError(client, what, Status::Fenced(plan->refusal()));
  PrintChanges(context, *plan, arguments, "");
  if (possible == ExitCode::kFailed) {
    PrintError(what,
               plan->changes_size() == 0 ? "there is nothing to change" : plan->changes(0).error(),
               "sluice group offsets get " + arguments.group + " shows where it is");
    return possible;
  }
  std::cerr << "dry run: nothing has changed; with --execute it does" << std::endl;
  if (!plan->refusal().empty())
    std::cerr << "it would be refused now: " << plan->refusal() << std::endl;
  return possible;
}

ExitCode Reset(const Context& context, const OffsetsArguments& arguments) {
  const std::string what = "the offsets of group " + arguments.group + " were not changed";
  const auto refuse = [&](const std::string& why) {
    PrintError(what, why, "sluice group offsets reset --help shows examples");
    return ExitCode::kUsage;
  };
  if (arguments.to.empty() != arguments.shift.has_value())
    return refuse("exactly one of --to and --shift says where to");
  admin::ResetGroupOffsetsRequest request;
  request.set_name(arguments.group);
  for (const std::string& topic : arguments.topics) {
    if (const Status added = AddTopic(topic, *request.mutable_topics()); !added.ok())
      return refuse(added.message());
  }
  if (const Status parsed = ParseTo(arguments, request); !parsed.ok())
    return refuse(parsed.message());
  return Change(context, arguments, request);
}

ExitCode Copy(const Context& context, const OffsetsArguments& arguments) {
  admin::ResetGroupOffsetsRequest request;
  request.set_name(arguments.group);
  request.set_group(arguments.source);
  for (const std::string& topic : arguments.topics) {
    if (const Status added = AddTopic(topic, *request.mutable_topics()); !added.ok()) {
      PrintError("the offsets of group " + arguments.group + " were not changed", added.message(),
                 "sluice group offsets copy --help shows an example");
      return ExitCode::kUsage;
    }
  }
  return Change(context, arguments, request);
}

ExitCode Import(const Context& context, const OffsetsArguments& given) {
  const Result<OffsetsFile> file = ReadOffsetsFile(*NewPosixFileSystem(), given.file);
  if (!file.ok()) {
    PrintError("nothing was imported", file.status().message(),
               "name a file of sluice group offsets export, or of a reset's undo");
    return ExitCodeOf(file.status());
  }
  OffsetsArguments arguments = given;
  if (arguments.group.empty()) arguments.group = file->group;
  admin::ResetGroupOffsetsRequest request;
  request.set_name(arguments.group);
  for (const admin::GroupOffset& offset : file->offsets)
    *request.mutable_offsets()->add_offsets() = offset;
  return Change(context, arguments, request);
}

using OffsetsAction = ExitCode (*)(const Context&, const OffsetsArguments&);

}  // namespace

void AddGroupOffsetsCommands(CLI::App& group, Context& context) {
  auto arguments = std::make_shared<OffsetsArguments>();
  CLI::App* offsets = group.add_subcommand("offsets", "See and move where a group is");
  offsets->require_subcommand(1);
  offsets->footer(
      "Examples:\n  sluice group offsets reset billing --to @-1h --topic orders\n  sluice group "
      "offsets export billing --file billing.json");
  const auto add = [&](const char* name, const char* text, OffsetsAction action) {
    CLI::App* verb = offsets->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  CLI::App* get = add("get", "Show the committed offsets", Get);
  CLI::App* reset = add("reset", "Move a group that has no members", Reset);
  CLI::App* copy = add("copy", "Move a group to where another one is", Copy);
  CLI::App* save = add("export", "Write the committed offsets as JSON", Export);
  CLI::App* load = add("import", "Take offsets from a file of export or of a reset's undo", Import);
  copy->add_option("from", arguments->source, "the group to copy from")->required();
  load->add_option("file", arguments->file, "what to import; - reads standard input")->required();
  for (CLI::App* verb : {get, reset, copy, save})
    verb->add_option("group", arguments->group, "the group")->required();
  load->add_option("--group", arguments->group, "another group than the file's");
  save->add_option("--file", arguments->file, "where to; without it standard output");
  for (CLI::App* verb : {get, reset, copy, save})
    verb->add_option("--topic", arguments->topics,
                     "only these: TOPIC, or TOPIC:0,3 for some of its partitions");
  reset->add_option("--to", arguments->to,
                    "start, end, an offset, or @ with a time: @-1h, @2026-11-21T09:30:00Z, ms");
  reset->add_option("--shift", arguments->shift, "so many records on, or back when negative");
  reset->footer(
      "Examples:\n  sluice group offsets reset billing --to start\n  sluice group offsets reset "
      "billing --shift=-100 --topic orders:0 --execute");
  copy->footer("Example:\n  sluice group offsets copy billing billing-test --execute");
  for (CLI::App* verb : {reset, copy, load}) {
    CLI::Option* execute = verb->add_flag("--execute", arguments->execute,
                                          "do it; without it only the table is shown");
    verb->add_option("--undo-file", arguments->undo_file,
                     "where the old offsets go; without it GROUP.undo-<time>.json")
        ->needs(execute);
  }
}

}  // namespace sluice::cli
