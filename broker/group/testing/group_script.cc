#include "broker/group/testing/group_script.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "broker/group/classic_group.h"

namespace sluice::broker::testing {
namespace {

constexpr std::string_view kDashes = "----";

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

// "x" and "y" of "x:y"; "y" is empty without colon.
std::pair<std::string, std::string> Pair(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string ErrorText(int16_t code) {
  return std::string(kafka::ErrorName(static_cast<kafka::ErrorCode>(code)));
}

bool GivesId(const kafka::JoinGroupResponse& join) {
  return join.error_code == 0 ||
         join.error_code == kafka::WireError(kafka::ErrorCode::kMemberIdRequired);
}

std::string Shown(const std::optional<std::string>& text) { return text.value_or("null"); }

std::string_view AwaitedName(GroupStanding::Awaited awaited) {
  switch (awaited) {
    using enum GroupStanding::Awaited;
    case kNothing: return "";
    case kJoin: return "/join";
    case kSync: return "/sync";
    case kAssignment: return "/assignment";
    case kRevocation: return "/revocation";
  }
  return "";
}

std::string TellStanding(const GroupStanding& standing) {
  std::ostringstream out;
  out << ErrorText(standing.error_code) << " gen=" << standing.generation
      << " since=" << standing.state_since_ms;
  if (const RebalanceCause& last = standing.last_rebalance; !last.reason.empty()) {
    out << " rebalanced=" << last.wall_ms << " '" << last.reason << "' " << last.member_id;
  }
  for (const GroupStanding::Member& member : standing.members) {
    out << " " << member.member_id << ":" << member.heard_ms_ago << "/" << member.session_ms
        << AwaitedName(member.awaited);
  }
  for (const std::string& pending : standing.pending_members) out << " pending:" << pending;
  return out.str();
}

}  // namespace

// --- Stories and commands ---

std::string GroupScript::Rerun(std::string_view text) {
  GroupScript script;
  std::istringstream in{std::string(text)};
  std::string result;
  std::string command;
  bool in_output = false;
  for (std::string line; std::getline(in, line);) {
    if (in_output) {
      in_output = !IsBlank(line);
      continue;
    }
    result += line + "\n";
    if (line == kDashes) {
      result += script.Run(command) + "\n";
      in_output = true;
    } else if (!line.empty() && line[0] != '#') {
      command = line;
    }
  }
  while (result.size() >= 2 && result.ends_with("\n\n")) result.pop_back();
  return result;
}

GroupScript::GroupScript() : driver_(MakeListener(), 1) {}

std::string GroupScript::Run(const std::string& command) {
  output_.clear();
  told_ms_ = driver_.now_ms();
  if (!Do(Parse(command))) return "error: " + command + "\n";
  return output_.empty() ? "nothing\n" : output_;
}

GroupScript::Command GroupScript::Parse(const std::string& line) {
  Command command;
  std::istringstream in(line);
  in >> command.verb;
  for (std::string word; in >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      command.names.push_back(word);
    } else {
      command.options[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  return command;
}

std::string GroupScript::Command::Option(const std::string& name, std::string otherwise) const {
  return Optional(name).value_or(std::move(otherwise));
}

int32_t GroupScript::Command::Number(const std::string& name, int32_t otherwise) const {
  const std::optional<std::string> text = Optional(name);
  return text.has_value() ? std::stoi(*text) : otherwise;
}

std::optional<std::string> GroupScript::Command::Optional(const std::string& name) const {
  const auto at = options.find(name);
  return at == options.end() ? std::nullopt : std::optional(at->second);
}

bool GroupScript::Do(const Command& command) {
  if (Request(command) || Admin(command)) return true;
  if (command.verb == "state") {
    PrintState(command.Option("group", "g"));
  } else if (command.verb == "hold") {
    driver_.Hold();
  } else if (command.verb == "commit") {
    driver_.Commit();
  } else if (command.verb == "load") {
    driver_.LoadAll();
  } else if (command.verb == "failover") {
    driver_.FailOver(!command.names.empty());
  } else if (command.names.size() != 1) {
    return false;
  } else if (command.verb == "advance") {
    driver_.Advance(std::stoll(command.names[0]));
  } else if (command.verb == "refuse") {
    driver_.RefuseNext(kafka::ErrorFromName(command.names[0]).value());
  } else if (command.verb == "limit") {
    driver_.config().members_max = std::stoul(command.names[0]);
  } else {
    return false;
  }
  return true;
}

bool GroupScript::Request(const Command& command) {
  if (command.names.empty()) return false;
  if (command.verb == "join") {
    Join(command);
  } else if (command.verb == "sync") {
    Sync(command);
  } else if (command.verb == "heartbeat") {
    Heartbeat(command);
  } else if (command.verb == "leave") {
    Leave(command);
  } else {
    return false;
  }
  return true;
}

void GroupScript::Join(const Command& command) {
  const std::string& name = command.names[0];
  kafka::JoinGroupRequest request;
  request.group_id = command.Option("group", "g");
  request.member_id = command.Option("id", IdOf(name));
  request.group_instance_id = command.Optional("instance");
  request.session_timeout_ms = command.Number("session", 10000);
  request.rebalance_timeout_ms = command.Number("rebalance", 20000);
  request.protocol_type = command.Option("type", "t");
  request.reason = command.Optional("reason");
  for (const std::string& protocol : Split(command.Option("protocols", "range"), ',')) {
    auto& offered = request.protocols.emplace_back();
    std::tie(offered.name, offered.metadata) = Pair(protocol);
  }
  const auto version = static_cast<int16_t>(command.Number("v", 9));
  Ask({"join " + name, name}, version, std::move(request));
}

void GroupScript::Sync(const Command& command) {
  const std::string& name = command.names[0];
  kafka::SyncGroupRequest request;
  request.group_id = command.Option("group", "g");
  request.member_id = command.Option("id", IdOf(name));
  request.generation_id = command.Number("gen", clients_[name].generation);
  request.group_instance_id = command.Optional("instance");
  request.protocol_type = command.Optional("type");
  request.protocol_name = command.Optional("protocol");
  for (const std::string& each : Split(command.Option("assign", ""), ',')) {
    const auto [member, assignment] = Pair(each);
    auto& assigned = request.assignments.emplace_back();
    assigned.member_id = IdOf(member);
    assigned.assignment = assignment;
  }
  const auto version = static_cast<int16_t>(command.Number("v", 4));
  Ask({"sync " + name, name}, version, std::move(request));
}

void GroupScript::Heartbeat(const Command& command) {
  const std::string& name = command.names[0];
  kafka::HeartbeatRequest request;
  request.group_id = command.Option("group", "g");
  request.member_id = command.Option("id", IdOf(name));
  request.generation_id = command.Number("gen", clients_[name].generation);
  request.group_instance_id = command.Optional("instance");
  Ask({"heartbeat " + name, name}, 4, std::move(request));
}

void GroupScript::Leave(const Command& command) {
  kafka::LeaveGroupRequest request;
  request.group_id = command.Option("group", "g");
  for (const std::string& name : command.names) {
    auto& member = request.members.emplace_back();
    member.member_id = command.Option("id", IdOf(name));
    member.group_instance_id = command.Optional("instance");
    member.reason = command.Optional("reason");
  }
  request.member_id = request.members[0].member_id;
  const auto version = static_cast<int16_t>(command.Number("v", 5));
  if (version < 3) request.members.clear();
  Ask({"leave " + command.names[0], command.names[0]}, version, std::move(request));
}

bool GroupScript::Admin(const Command& command) {
  const auto version = static_cast<int16_t>(command.Number("v", 6));
  if (command.verb == "list") {
    Ask({"list", ""}, version,
        ListGroups{Split(command.Option("states", ""), ','),
                   Split(command.Option("types", ""), ',')});
  } else if (command.verb == "describe" && !command.names.empty()) {
    Ask({"describe", ""}, version, DescribeGroup{command.names[0]});
  } else if (command.verb == "explain" && !command.names.empty()) {
    Ask({"explain", ""}, version, ExplainGroup{command.names[0]});
  } else if (command.verb == "delete" && !command.names.empty()) {
    Ask({"delete", ""}, version, DeleteGroup{command.names[0]});
  } else {
    return false;
  }
  return true;
}

// --- What comes of it ---

void GroupScript::Ask(const Asked& asked, int16_t version, GroupRequest request) {
  GroupCaller caller;
  caller.token = next_token_++;
  caller.version = version;
  caller.client_id = "app";
  caller.client_host = "/127.0.0.1";
  asked_[caller.token] = asked;
  driver_.Handle(caller, std::move(request));
}

ShardDriver::Listener GroupScript::MakeListener() {
  ShardDriver::Listener listener;
  listener.on_effects = [this](const GroupEffects& effects) {
    Learn(effects.answers);
    Learn(effects.durable_answers);
  };
  listener.on_answer = [this](const GroupAnswer& answer, bool was_durable) {
    Answer(answer, was_durable);
  };
  listener.on_record = [this](const GroupRecord& record) { PrintRecord(record); };
  listener.on_refusal = [this](kafka::ErrorCode error) {
    Say("refused: " + std::string(kafka::ErrorName(error)));
  };
  return listener;
}

void GroupScript::Learn(const std::vector<GroupAnswer>& answers) {
  for (const GroupAnswer& answer : answers) {
    const auto* join = std::get_if<kafka::JoinGroupResponse>(&answer.response);
    const auto asked = asked_.find(answer.token);
    if (join == nullptr || asked == asked_.end() || !GivesId(*join)) continue;
    names_.emplace_back(join->member_id, asked->second.client);
  }
}

void GroupScript::Say(const std::string& line) {
  if (told_ms_ != driver_.now_ms()) {
    told_ms_ = driver_.now_ms();
    output_ += "at " + std::to_string(told_ms_) + " ms\n";
  }
  output_ += line + "\n";
}

void GroupScript::Answer(const GroupAnswer& answer, bool was_durable) {
  auto node = asked_.extract(answer.token);
  if (node.empty()) return Say("answered a second time: " + std::to_string(answer.token));
  const Asked& asked = node.mapped();
  const std::string told = Told(answer.response, asked.client);
  Say(std::string(was_durable ? "durable " : "") + asked.what + ": " + Named(told));
}

std::string GroupScript::Told(const GroupResponse& response, const std::string& client) {
  std::ostringstream out;
  if (const auto* join = std::get_if<kafka::JoinGroupResponse>(&response)) {
    Client& told = clients_[client];
    if (GivesId(*join)) told.member_id = join->member_id;
    out << ErrorText(join->error_code);
    if (join->error_code != 0) return out.str();
    told.generation = join->generation_id;
    out << " gen=" << join->generation_id << " protocol=" << Shown(join->protocol_name)
        << " leader=" << join->leader << (join->skip_assignment ? " skip" : "");
    for (const auto& member : join->members)
      out << " " << member.member_id << ":" << member.metadata;
  } else if (const auto* sync = std::get_if<kafka::SyncGroupResponse>(&response)) {
    out << ErrorText(sync->error_code);
    if (sync->error_code == 0) out << " assignment=" << sync->assignment;
  } else if (const auto* heartbeat = std::get_if<kafka::HeartbeatResponse>(&response)) {
    out << ErrorText(heartbeat->error_code);
  } else if (const auto* leave = std::get_if<kafka::LeaveGroupResponse>(&response)) {
    out << ErrorText(leave->error_code);
    for (const auto& member : leave->members) {
      out << " " << member.member_id << ":" << ErrorText(member.error_code);
    }
  } else if (const auto* described =
                 std::get_if<kafka::DescribeGroupsResponse::DescribedGroup>(&response)) {
    out << ErrorText(described->error_code) << " " << described->group_state
        << " type=" << described->protocol_type << " protocol=" << described->protocol_data;
    for (const auto& member : described->members) {
      out << " " << member.member_id << "/" << Shown(member.group_instance_id) << ":"
          << member.member_metadata << ":" << member.member_assignment;
    }
  } else if (const auto* standing = std::get_if<GroupStanding>(&response)) {
    out << TellStanding(*standing);
  } else if (const auto* removed =
                 std::get_if<kafka::DeleteGroupsResponse::DeletableGroupResult>(&response)) {
    out << ErrorText(removed->error_code);
  } else if (const auto* list = std::get_if<kafka::ListGroupsResponse>(&response)) {
    out << ErrorText(list->error_code);
    for (const auto& group : list->groups) {
      out << " " << group.group_id << "/" << group.protocol_type << "/" << group.group_state << "/"
          << group.group_type;
    }
  }
  return out.str();
}

void GroupScript::PrintRecord(const GroupRecord& record) {
  const Result<GroupKey> key = DecodeGroupKey(record.key);
  const auto* named = key.ok() ? std::get_if<kafka::GroupMetadataKey>(&*key) : nullptr;
  if (named == nullptr) return Say("record of another type");
  if (!record.value.has_value()) return Say("tombstone of " + named->group);
  const auto value = DecodeGroupValue<kafka::GroupMetadataValue>(*record.value);
  if (!value.ok()) return Say("record that cannot be read: " + value.status().ToString());
  std::ostringstream out;
  out << "record of " << named->group << ": gen=" << value->generation
      << " type=" << value->protocol_type << " protocol=" << Shown(value->protocol)
      << " leader=" << Shown(value->leader) << " since=" << value->current_state_timestamp;
  for (const auto& member : value->members) {
    out << " " << member.member_id << ":" << member.subscription << ":" << member.assignment;
  }
  Say(Named(out.str()));
}

void GroupScript::PrintState(const std::string& group_id) {
  const auto* group = dynamic_cast<const ClassicGroup*>(driver_.shard().FindLoaded(group_id));
  if (group == nullptr)
    return Say("not in memory; timers " + std::to_string(driver_.shard().timers()));
  std::ostringstream out;
  out << group->state_name() << " gen=" << group->generation();
  for (const auto& [id, member] : group->members().all()) {
    out << " " << id << (group->members().leader() == id ? "*" : "");
    if (member->parked_join.has_value()) {
      out << "+join";
      names_.emplace_back(member->id, asked_[*member->parked_join].client);
    }
    if (member->parked_sync.has_value()) out << "+sync";
  }
  out << " pending=" << group->members().pending().size();
  Say(Named(out.str()));
  const RebalanceCause& cause = group->last_rebalance();
  if (cause.reason.empty()) return;
  Say(Named("rebalanced at " + std::to_string(cause.wall_ms) + " ms, since " + cause.reason + " (" +
            cause.member_id + ")"));
}

std::string GroupScript::Named(std::string text) const {
  for (const auto& [id, name] : names_) {
    if (id.empty()) continue;
    for (size_t at = text.find(id); at != std::string::npos; at = text.find(id)) {
      text.replace(at, id.size(), "<" + name + ">");
    }
  }
  return text;
}

std::string GroupScript::IdOf(const std::string& name) const {
  const auto at = clients_.find(name);
  return at == clients_.end() ? std::string() : at->second.member_id;
}

}  // namespace sluice::broker::testing
