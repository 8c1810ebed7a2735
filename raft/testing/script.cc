#include "raft/testing/script.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace sluice::raft::testing {
namespace {

constexpr char kClusterId[] = "story";
constexpr std::string_view kDashes = "----";

std::vector<std::string> Split(const std::string& command) {
  std::istringstream in(command);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string DescribeEntries(const std::vector<Entry>& entries) {
  std::ostringstream out;
  for (const Entry& entry : entries) {
    out << " " << entry.index << "/" << entry.term;
    if (entry.type == EntryType::kLeaderStart) out << ":start";
    if (entry.type == EntryType::kBootstrap) out << ":bootstrap";
    if (entry.type == EntryType::kMembership) out << ":[" << *MembersIn(entry) << "]";
    if (entry.type == EntryType::kNormal) out << ":" << entry.data;
  }
  return out.str();
}

std::string DescribePersist(const PersistRequest& request) {
  std::ostringstream out;
  if (request.hard_state.has_value()) {
    out << " term=" << request.hard_state->term << " vote=" << request.hard_state->voted_for;
    if (request.hard_state->lost.any()) out << " lost-upto=" << request.hard_state->lost.upto;
  }
  if (request.received != nullptr)
    out << " received=" << request.received->meta.index << "/" << request.received->meta.term << ":"
        << request.received->offset << "+" << request.received->data.size();
  if (request.snapshot.has_value())
    out << " snapshot=" << request.snapshot->meta.index << "/" << request.snapshot->meta.term
        << ":[" << request.snapshot->meta.members << "]";
  if (request.reset_log) out << " reset";
  if (request.drop_before.has_value()) out << " drop-before=" << *request.drop_before;
  if (request.truncate_from.has_value()) out << " truncate-from=" << *request.truncate_from;
  if (!request.entries.empty()) out << " entries" << DescribeEntries(request.entries);
  return out.str();
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

}  // namespace

std::string Script::Rerun(std::string_view text) {
  Script script;
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

std::string Script::Run(const std::string& command) {
  output_.clear();
  if (!Command(Split(command))) return "error: " + command + "\n";
  return output_.empty() ? "nothing\n" : output_;
}

Script::Node* Script::Find(const std::string& word) {
  for (auto& [id, node] : nodes_) {
    if (std::to_string(id.value()) == word) return &node;
  }
  return nullptr;
}

bool Script::Command(const std::vector<std::string>& words) {
  if (words.empty()) return false;
  if (words[0] == "set" && words.size() == 3) return Set(words[1], std::stoul(words[2]));
  if (words[0] == "cluster" && words.size() == 2) {
    MakeCluster(std::stoi(words[1]));
    return true;
  }
  if (words[0] == "spare" && words.size() == 2) {
    AddSpare(std::stoi(words[1]));
    return true;
  }
  if (words[0] == "stabilize") {
    Stabilize(words);
    return true;
  }
  if (words[0] == "status") {
    PrintStatus();
    return true;
  }
  Node* node = words.size() >= 2 ? Find(words[1]) : nullptr;
  return node != nullptr && NodeCommand(words[0], *node, words);
}

bool Script::Set(const std::string& key, size_t value) {
  if (key == "window-messages") {
    config_.window_messages_max = value;
  } else if (key == "append-bytes") {
    config_.append_bytes_max = value;
  } else if (key == "chunk-bytes") {
    config_.snapshot_chunk_bytes = value;
  } else if (key == "inquire") {
    config_.inquire = value != 0;
  } else {
    return false;
  }
  return true;
}

bool Script::NodeCommand(const std::string& verb, Node& node,
                         const std::vector<std::string>& words) {
  const Node* other = words.size() >= 3 ? Find(words[2]) : nullptr;
  const NodeId from = other == nullptr ? kNoNode : other->voter.id;
  if (verb == "log") {
    PrintLog(node);
  } else if (verb == "start") {
    Start(node);
  } else if (verb == "drop") {
    Drop(node, from);
  } else if (verb == "keep") {
    Keep(node, from);
  } else if (verb == "rot" && words.size() == 3 && node.core == nullptr) {
    node.disk.LoseEntriesFrom(LogIndex(std::stoll(words[2])));
    PrintLog(node);
  } else if (node.core == nullptr) {
    return false;
  } else if (verb == "members") {
    std::ostringstream line;
    line << node.core->members();
    Say(node, line.str());
  } else if (verb == "progress") {
    PrintProgress(node);
  } else if (verb == "elect") {
    Elect(node);
  } else if (verb == "deliver") {
    Deliver(network_, node, from);
  } else if (verb == "late") {
    Deliver(kept_, node, from);
  } else if (verb == "fetch") {
    Fetch(node);
  } else if (verb == "persist") {
    Persist(node, words.size() == 3 ? std::stoul(words[2]) : SIZE_MAX);
  } else if (verb == "crash" || verb == "wipe" || verb == "format") {
    Stop(node);
    if (verb != "crash") node.disk.FormatAgain(Entry(node.disk.entries.front()));
    if (verb == "wipe") node.voter.disk_id = Uuid::FromBytes(std::string(16, 'w'));
  } else {
    const bool known = CoreInput(verb, node, words);
    if (known) Work(node);
    return known;
  }
  return true;
}

bool Script::CoreInput(const std::string& verb, Node& node, const std::vector<std::string>& words) {
  const Node* other = words.size() >= 3 ? Find(words[2]) : nullptr;
  Core& core = *node.core;
  if (verb == "campaign") {
    node.now_ms = std::max(node.now_ms, core.next_deadline_ms());
    core.Tick(node.now_ms);
  } else if (verb == "advance" && words.size() == 3) {
    node.now_ms += std::stoll(words[2]);
    core.Tick(node.now_ms);
  } else if (verb == "propose" && words.size() == 3) {
    const Result<LogIndex> index = core.Propose(words[2]);
    if (!index.ok()) Say(node, index.status().ToString());
  } else if (verb == "read") {
    core.ReadIndex(1);
  } else if (verb == "transfer" && other != nullptr) {
    const Status status = core.Transfer(other->voter.id);
    if (!status.ok()) Say(node, status.ToString());
  } else if ((verb == "add" || verb == "promote" || verb == "remove") && other != nullptr) {
    ChangeMember(node, verb, *other);
  } else if (verb == "peer-lost" && other != nullptr) {
    core.PeerLost(other->voter.id, true);
  } else if (verb == "snapshot") {
    core.SnapshotTaken(core.commit(), std::make_shared<const std::string>("state"));
  } else {
    return false;
  }
  return true;
}

void Script::MakeCluster(int voters) {
  nodes_.clear();
  network_.clear();
  kept_.clear();
  Bootstrap bootstrap{.cluster_id = kClusterId};
  for (int i = 1; i <= voters; ++i) {
    bootstrap.voters.push_back({NodeId(i), Uuid::FromBytes(std::string(16, static_cast<char>(i)))});
  }
  for (const VoterId& voter : bootstrap.voters) {
    Node& node = nodes_[voter.id];
    node.voter = voter;
    node.disk.entries.push_back(BootstrapEntry(bootstrap));
    Start(node);
  }
}

void Script::AddSpare(int id) {
  Node& node = nodes_[NodeId(id)];
  CHECK(node.core == nullptr);
  node.voter = {NodeId(id), Uuid::FromBytes(std::string(16, static_cast<char>(id)))};
  Start(node);
}

// Another member than the node is now may be meant: the one that it was before its disk was lost.
void Script::ChangeMember(Node& node, const std::string& verb, const Node& other) {
  MemberChange change{.member = {other.voter, {}}};
  const Member* known = node.core->members().Find(other.voter.id);
  if (verb == "remove" && known != nullptr) change.member = *known;
  if (verb != "add")
    change.kind = verb == "remove" ? MemberChange::Kind::kRemove : MemberChange::Kind::kPromote;
  const Result<LogIndex> index = node.core->ChangeMember(change);
  if (!index.ok()) Say(node, index.status().ToString());
}

void Script::Start(Node& node) {
  CHECK(node.core == nullptr);
  node.store = std::make_unique<SimLogStore>(node.disk, loop_, Random(1), SimDiskLatency{});
  node.core = std::make_unique<Core>(
      CoreOptions{.config = config_,
                  .cluster_id = kClusterId,
                  .self = node.voter,
                  .random = Random(static_cast<uint64_t>(node.voter.id.value())),
                  .now_ms = node.now_ms},
      *node.store);
  node.told_commit = node.core->commit();
  node.issued_persist = 0;
  Say(node, "starts at term " + std::to_string(node.core->term().value()) + ", last index " +
                std::to_string(node.core->log().last_index().value()) +
                (node.core->recovering() ? ", recovering" : "") +
                (node.core->inquiring() ? ", inquiring" : ""));
}

void Script::Stop(Node& node) {
  node.core.reset();
  node.store.reset();
  node.writes.clear();
  node.held.clear();
  node.reads.clear();
  node.load_received = 0;
  std::erase_if(network_, [&node](const Message& message) { return message.to == node.voter.id; });
  Say(node, "stops");
}

void Script::Say(const Node& node, const std::string& line) {
  output_ += std::to_string(node.voter.id.value()) + ": " + line + "\n";
}

// Carries out what the core wants, short of finishing writes and deliveries.
void Script::Work(Node& node) {
  while (node.core->HasReady()) Tell(node, node.core->TakeReady());
  if (node.core->commit() > node.told_commit) {
    Say(node, "applies" + DescribeEntries(node.core->log().Entries(
                              node.told_commit + 1, node.core->commit() + 1, 1 << 20)));
    node.told_commit = node.core->commit();
  }
}

void Script::Tell(Node& node, Ready ready) {
  if (ready.role_changed) {
    std::ostringstream line;
    line << "is " << RoleName(node.core->role()) << " in term " << node.core->term() << ", leader "
         << node.core->leader();
    Say(node, line.str());
  }
  if (ready.persist_id != 0) {
    Say(node, "writes" + DescribePersist(ready.persist));
    node.issued_persist = ready.persist_id;
    node.writes.emplace_back(ready.persist_id, std::move(ready.persist));
  }
  for (Message& message : ready.send_now) {
    Say(node, "sends " + Describe(message));
    network_.push_back(std::move(message));
  }
  for (Message& message : ready.send_after_persist) {
    const bool now = node.writes.empty();
    Say(node, (now ? "sends " : "holds ") + Describe(message));
    if (now) {
      network_.push_back(std::move(message));
    } else {
      node.held.emplace_back(node.issued_persist, std::move(message));
    }
  }
  if (ready.load_snapshot.has_value()) {
    std::ostringstream line;
    line << "loads the snapshot at " << ready.load_snapshot->meta.index << "/"
         << ready.load_snapshot->meta.term;
    Say(node, line.str());
    node.told_commit = ready.load_snapshot->meta.index;
  }
  for (const SnapshotRead& read : ready.snapshot_reads) {
    Say(node, "reads the snapshot at " + std::to_string(read.index.value()) + " from " +
                  std::to_string(read.offset) + " for " + std::to_string(read.to.value()));
    node.reads.push_back(read);
  }
  if (ready.load_received != 0) {
    Say(node, "reads back what it has received");
    node.load_received = ready.load_received;
  }
  for (const ReadOk& read : ready.reads_ok)
    Say(node, "may read at " + std::to_string(read.index.value()));
  if (!ready.reads_failed.empty()) Say(node, "may not read");
  for (const Refused& refused : ready.refused)
    Say(node, "drops a message: " + std::string(RefusalText(refused.why)));
}

void Script::Persist(Node& node, size_t count) {
  for (; count > 0 && !node.writes.empty(); --count) {
    const auto [id, request] = std::move(node.writes.front());
    node.writes.pop_front();
    node.disk.Execute(request);
    Say(node, "has written" + DescribePersist(request));
    for (; !node.held.empty() && node.held.front().first <= id; node.held.pop_front()) {
      Say(node, "sends " + Describe(node.held.front().second));
      network_.push_back(std::move(node.held.front().second));
    }
    node.core->Persisted(id);
    Work(node);
  }
}

void Script::Fetch(Node& node) {
  if (node.load_received != 0) {
    Result<Snapshot> snapshot = node.disk.LoadReceived();
    Say(node, snapshot.ok() ? "has read it, and it is whole" : "finds it damaged");
    node.core->ReceivedWasLoaded(std::exchange(node.load_received, 0), std::move(snapshot));
    Work(node);
  }
  if (node.reads.empty()) return;
  const SnapshotRead read = node.reads.front();
  node.reads.pop_front();
  Result<SnapshotChunk> chunk = node.disk.ReadSnapshot(read);
  Say(node, chunk.ok() ? "has read it" : "finds it gone");
  node.core->SnapshotWasRead(read, std::move(chunk));
  Work(node);
}

void Script::Deliver(std::deque<Message>& waiting, Node& node, NodeId from) {
  std::deque<Message> arriving;
  std::deque<Message> rest;
  for (Message& message : waiting) {
    const bool meant = message.to == node.voter.id && (from == kNoNode || message.from.id == from);
    (meant ? arriving : rest).push_back(std::move(message));
  }
  waiting = std::move(rest);
  for (Message& message : arriving) {
    node.core->Step(std::move(message));
    Work(node);
  }
}

void Script::Keep(Node& node, NodeId from) {
  const size_t before = kept_.size();
  for (const Message& message : network_) {
    if (message.to == node.voter.id && (from == kNoNode || message.from.id == from))
      kept_.push_back(message);
  }
  Say(node, "will get " + std::to_string(kept_.size() - before) + " once more");
}

void Script::Drop(Node& node, NodeId from) {
  const size_t dropped = std::erase_if(network_, [&](const Message& message) {
    return message.to == node.voter.id && (from == kNoNode || message.from.id == from);
  });
  Say(node, "loses " + std::to_string(dropped));
}

void Script::Elect(Node& node) {
  node.now_ms = std::max(node.now_ms, node.core->next_deadline_ms());
  node.core->Tick(node.now_ms);
  Work(node);
  Stabilize({"stabilize"});
  output_.clear();
  Say(node, node.core->role() == Role::kLeader
                ? "leads term " + std::to_string(node.core->term().value())
                : "was not elected");
}

void Script::Stabilize(const std::vector<std::string>& words) {
  std::vector<Node*> among;
  for (auto& [id, node] : nodes_) {
    const bool named =
        std::find(words.begin() + 1, words.end(), std::to_string(id.value())) != words.end();
    if ((words.size() == 1 || named) && node.core != nullptr) among.push_back(&node);
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (Node* node : among) {
      const size_t before = output_.size();
      Persist(*node);
      Fetch(*node);
      for (Node* sender : among) Deliver(network_, *node, sender->voter.id);
      moved = moved || output_.size() != before;
    }
  }
}

void Script::PrintStatus() {
  for (const auto& [id, node] : nodes_) {
    std::ostringstream line;
    if (node.core == nullptr) {
      line << "stopped";
    } else {
      line << RoleName(node.core->role()) << " term=" << node.core->term()
           << " leader=" << node.core->leader() << " last=" << node.core->log().last_index()
           << " durable=" << node.core->log().durable_index() << " commit=" << node.core->commit()
           << (node.core->recovering() ? " recovering" : "");
    }
    Say(node, line.str());
  }
}

void Script::PrintLog(const Node& node) {
  if (node.core == nullptr) {
    Say(node, "disk" + DescribeEntries({node.disk.entries.begin(), node.disk.entries.end()}));
    return;
  }
  const RaftLog& log = node.core->log();
  if (log.last_index() < log.first_index()) {
    Say(node, "log empty after " + std::to_string(log.last_index().value()));
    return;
  }
  Say(node, "log" + DescribeEntries(log.Entries(log.first_index(), log.last_index() + 1, 1 << 20)));
}

void Script::PrintProgress(const Node& node) {
  for (const auto& [id, peer] : node.core->progress()) {
    std::ostringstream line;
    const char* state = peer.state == ProgressState::kProbe       ? "probe"
                        : peer.state == ProgressState::kReplicate ? "replicate"
                                                                  : "snapshot";
    line << id << " " << state << " match=" << peer.match << " next=" << peer.next;
    if (peer.waiting) line << " waiting";
    if (peer.reading != 0) line << " reading";
    if (!peer.inflight.empty()) line << " on-the-way=" << peer.inflight.size();
    Say(node, line.str());
  }
}

}  // namespace sluice::raft::testing
