#include "raft/testing/json_trace.h"

#include <optional>
#include <sstream>
#include <utility>

namespace sluice::raft::testing {
namespace {

// Indexes as they are there.
int64_t There(LogIndex index) { return index.value() + 1; }

// Nodes that are none are "0".
std::string Name(NodeId node) {
  return "\"" + std::to_string(node == kNoNode ? 0 : node.value()) + "\"";
}

std::string_view NameOf(Role role) {
  switch (role) {
    case Role::kFollower: return "StateFollower";
    case Role::kPreCandidate: return "StatePreCandidate";
    case Role::kCandidate: return "StateCandidate";
    case Role::kLeader: return "StateLeader";
  }
  return "";
}

std::string Voters(const Membership& members) {
  std::string names;
  for (const Member& voter : members.voters)
    names += (names.empty() ? "" : ",") + Name(voter.id.id);
  return "[" + names + "]";
}

struct Fields {
  std::string_view event;  // after "Send" or "Receive"
  std::string_view type;
  uint64_t entries = 0;
  Term log_term;
  int64_t index = 0;
  int64_t commit = 0;
  bool reject = false;
  int64_t reject_hint = 0;
};

// What is told of a message; nothing of those that are left out.
struct ToFields {
  using Told = std::optional<Fields>;

  Told operator()(const VoteRequest& m) const {
    if (m.pre_vote) return std::nullopt;
    return Fields{.event = "RequestVoteRequest",
                  .type = "MsgVote",
                  .log_term = m.last_term,
                  .index = There(m.last_index)};
  }
  Told operator()(const VoteResponse& m) const {
    if (m.pre_vote) return std::nullopt;
    return Fields{.event = "RequestVoteResponse", .type = "MsgVoteResp", .reject = !m.granted};
  }
  Told operator()(const AppendRequest& m) const {
    return Fields{.event = "AppendEntriesRequest",
                  .type = "MsgApp",
                  .entries = m.entries.size(),
                  .log_term = m.prev_term,
                  .index = There(m.prev_index),
                  .commit = There(m.commit)};
  }
  Told operator()(const AppendResponse& m) const {
    if (m.success) return Appended(m.match);
    return Fields{.event = "AppendEntriesResponse",
                  .type = "MsgAppResp",
                  .log_term = m.hint_term,
                  .index = There(m.prev_index),
                  .reject = true,
                  .reject_hint = There(m.hint_index)};
  }
  Told operator()(const HeartbeatRequest& m) const {
    return Fields{
        .event = "AppendEntriesRequest", .type = "MsgHeartbeat", .commit = There(m.commit)};
  }
  Told operator()(const HeartbeatResponse&) const {
    return Fields{.event = "AppendEntriesResponse", .type = "MsgHeartbeatResp"};
  }
  Told operator()(const SnapshotChunk& m) const {
    if (m.offset + m.data.size() < m.size_total) return std::nullopt;
    return Fields{.event = "AppendEntriesRequest",
                  .type = "MsgSnap",
                  .entries = static_cast<uint64_t>(There(m.meta.index))};
  }
  Told operator()(const SnapshotChunkResponse& m) const {
    return m.installed ? Appended(m.index) : std::nullopt;
  }
  Told operator()(const TimeoutNow&) const { return std::nullopt; }
  Told operator()(const Inquiry&) const { return std::nullopt; }
  Told operator()(const InquiryResponse&) const { return std::nullopt; }

  static Told Appended(LogIndex match) {
    return Fields{.event = "AppendEntriesResponse", .type = "MsgAppResp", .index = There(match)};
  }
};

std::string Describe(const Message& message, const Fields& fields) {
  std::ostringstream out;
  out << ",\"msg\":{\"type\":\"" << fields.type << "\",\"term\":" << message.term
      << ",\"from\":" << Name(message.from.id) << ",\"to\":" << Name(message.to)
      << ",\"entries\":" << fields.entries << ",\"logTerm\":" << fields.log_term
      << ",\"index\":" << fields.index << ",\"commit\":" << fields.commit
      << ",\"vote\":\"0\",\"reject\":" << (fields.reject ? "true" : "false")
      << ",\"rejectHint\":" << fields.reject_hint << "}";
  return out.str();
}

// The steps from one configuration to the next.
std::string Changes(const Membership& before, const Membership& after) {
  std::string changes;
  const auto add = [&changes](NodeId node, const char* action) {
    changes += (changes.empty() ? "{\"nid\":" : ",{\"nid\":") + Name(node) + ",\"action\":\"" +
               action + "\"}";
  };
  for (const Member& voter : after.voters) {
    if (before.FindVoter(voter.id.id) == nullptr) add(voter.id.id, "AddNewServer");
  }
  for (const Member& learner : after.learners) {
    if (before.Find(learner.id.id) == nullptr) add(learner.id.id, "AddLearner");
  }
  for (const auto* list : {&before.voters, &before.learners}) {
    for (const Member& member : *list) {
      if (after.Find(member.id.id) == nullptr) add(member.id.id, "RemoveServer");
    }
  }
  return "\"changes\":[" + changes + "]";
}

}  // namespace

void JsonTrace::Line(std::string_view name, NodeId node, const Core& core,
                     const std::string& more) {
  const HardState& state = core.hard_state();
  out_ << "{\"name\":\"" << name << "\",\"nid\":" << Name(node)
       << ",\"state\":{\"term\":" << state.term << ",\"vote\":" << Name(state.voted_for)
       << ",\"commit\":" << There(core.commit()) << "},\"role\":\"" << NameOf(core.role())
       << "\",\"log\":" << There(core.log().last_index()) << ",\"conf\":[" << Voters(core.members())
       << ",[]]" << more << "}\n";
}

void JsonTrace::Started(NodeId node, const Core& core) {
  seen_[node] = {core.role(), core.term(), core.log().last_index(), core.commit(), core.members()};
  Line("InitState", node, core);
  Line("BecomeFollower", node, core);
}

void JsonTrace::Received(NodeId node, const Core& core, const Message& message) {
  const std::optional<Fields> fields = std::visit(ToFields{}, message.body);
  if (!fields.has_value()) return;
  Line("Receive" + std::string(fields->event), node, core, Describe(message, *fields));
}

void JsonTrace::Sent(NodeId node, const Core& core, const Message& message) {
  const std::optional<Fields> fields = std::visit(ToFields{}, message.body);
  if (!fields.has_value()) return;
  Line("Send" + std::string(fields->event), node, core, Describe(message, *fields));
}

void JsonTrace::TookReady(NodeId node, const Core& core) { Line("Ready", node, core); }

void JsonTrace::Moved(NodeId node, const Core& core) {
  const Seen now{core.role(), core.term(), core.log().last_index(), core.commit(), core.members()};
  const Seen before = std::exchange(seen_[node], now);
  TellRole(node, core, before);
  TellAppended(node, core, before);
  if (now.members != before.members) {
    Line("ApplyConfChange", node, core,
         ",\"prop\":{\"cc\":{\"newconf\":" + Voters(now.members) + "}}");
  }
  if (now.commit > before.commit) Line("Commit", node, core);
}

void JsonTrace::TellRole(NodeId node, const Core& core, const Seen& before) {
  const Role role = core.role();
  if (role == before.role && core.term() == before.term) return;
  if (role == Role::kCandidate) Line("BecomeCandidate", node, core);
  if (role == Role::kFollower) Line("BecomeFollower", node, core);
  if (role != Role::kLeader) return;
  // Alone, a voter is elected by the input that makes it a candidate.
  if (before.role != Role::kCandidate || core.term() != before.term)
    Line("BecomeCandidate", node, core);
  Line("BecomeLeader", node, core);
}

// What a leader has appended of its own.
void JsonTrace::TellAppended(NodeId node, const Core& core, const Seen& before) {
  if (core.role() != Role::kLeader || core.log().last_index() <= before.last) return;
  for (const Entry& entry :
       core.log().Entries(before.last + 1, core.log().last_index() + 1, SIZE_MAX)) {
    if (entry.term != core.term()) continue;
    if (entry.type == EntryType::kMembership) {
      Line("ChangeConf", node, core,
           ",\"prop\":{\"cc\":{" + Changes(before.members, core.members()) + "}}");
    } else {
      Line("Replicate", node, core);
    }
  }
}

}  // namespace sluice::raft::testing
