#include "raft/testing/lean_cluster.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "raft/testing/digest.h"
#include "raft/testing/takes_part.h"

namespace sluice::raft::testing {
namespace {

constexpr char kClusterId[] = "sim";  // short enough that copying it allocates nothing
constexpr uint64_t kStepsBetweenScans = 1000;

}  // namespace

LeanCluster::LeanCluster(SimClusterOptions options, uint64_t seed)
    : options_(options),
      random_(seed),
      nodes_(static_cast<size_t>(options.voters + options.spares)) {
  cut_.assign(nodes_.size() * nodes_.size(), false);
  Bootstrap bootstrap{.cluster_id = kClusterId, .payload = "first"};
  for (int i = 1; i <= options.voters + options.spares; ++i) {
    ids_.emplace_back(i);
    Node& node = At(ids_.back());
    node.voter = {NodeId(i), Uuid::FromBytes(std::string(16, static_cast<char>(i)))};
    if (i <= options.voters) bootstrap.voters.push_back(node.voter);
    disks_.push_back({node.voter, &node.disk});
  }
  first_members_ = MembershipOf(bootstrap.voters);
  bootstrap_ = BootstrapEntry(bootstrap);
  for (const VoterId& voter : bootstrap.voters) At(voter.id).disk.entries.push_back(bootstrap_);
}

void LeanCluster::Start(NodeId id) {
  Node& node = At(id);
  CHECK(node.core == nullptr);
  invariants_.Restarted(id);
  Node fresh;
  fresh.voter = node.voter;
  fresh.disk = std::move(node.disk);
  fresh.former = std::move(node.former);
  fresh.latency = options_.disk;
  fresh.incarnation = node.incarnation + 1;
  node = std::move(fresh);
  node.store = std::make_unique<SimLogStore>(node.disk, loop_, random_.Fork(), options_.disk);
  const auto& snapshot = node.disk.snapshot;
  node.core = std::make_unique<Core>(CoreOptions{.config = options_.config,
                                                 .cluster_id = kClusterId,
                                                 .self = node.voter,
                                                 .random = random_.Fork(),
                                                 .now_ms = now_ms_},
                                     *node.store);
  if (trace_ != nullptr) trace_->Started(id, *node.core);
  if (snapshot.has_value()) LoadSnapshot(node, *snapshot);
  Input(node);
  Work(node);
}

void LeanCluster::Crash(NodeId id) {
  Settle();
  Node& node = At(id);
  const uint64_t whole = random_.Below(node.writes.size() + 1);
  for (uint64_t i = 0; i < whole; ++i) node.disk.Execute(node.writes[i].second);
  if (whole < node.writes.size())
    node.disk.Execute(SimLogStore::Torn(node.writes[whole].second, random_));
  if (random_.Chance(1, 10)) node.disk.LoseNewestSnapshot();
  Stop(node);
}

// What it knew in memory is gone.
void LeanCluster::Stop(Node& node) {
  for (const Event& event : node.backlog) {
    if (event.kind == Event::Kind::kMessage) queue_.Take(event.detail);
  }
  ++node.incarnation;
  node.core.reset();
  node.store.reset();
}

void LeanCluster::StartWiped(NodeId id) {
  Node& node = At(id);
  if (!node.former.has_value()) {
    node.former = std::move(node.disk);
    disks_[Slot(id)].disk = &*node.former;
  }
  node.disk = {};
  node.disk.entries.push_back(bootstrap_);
  node.voter.disk_id = Uuid::FromBytes(std::string(16, static_cast<char>(100 + id.value())));
  invariants_.Wiped(id);
  Start(id);
}

void LeanCluster::FormatAgain(NodeId id) {
  At(id).disk.FormatAgain(bootstrap_);
  invariants_.FormattedAgain(At(id).voter);
}

void LeanCluster::Renew(NodeId id) {
  Node& node = At(id);
  CHECK(node.core == nullptr);
  std::string disk_id(node.voter.disk_id.view());
  ++disk_id.front();
  node.voter.disk_id = Uuid::FromBytes(disk_id);
  node.disk = {};
  disks_[Slot(id)].voter = node.voter;
  invariants_.Wiped(id);
}

void LeanCluster::SetDiskLatency(SimDiskLatency latency) {
  options_.disk = latency;
  for (Node& node : nodes_) node.latency = latency;
}

void LeanCluster::Pause(NodeId id) {
  Settle();
  At(id).paused = true;
}

// What came meanwhile comes now, in its order, and before anything new.
void LeanCluster::Resume(NodeId id) {
  Node& node = At(id);
  node.paused = false;
  invariants_.Awoke(id, now_ms_);
  for (const Event& event : std::exchange(node.backlog, {})) {
    Settle();
    if (node.core != nullptr) {
      Deliver(node, event);
    } else if (event.kind == Event::Kind::kMessage) {
      queue_.Take(event.detail);
    }
  }
}

void LeanCluster::Isolate(NodeId id) {
  for (const NodeId other : ids_) {
    if (other == id) continue;
    Cut(id, other);
    Cut(other, id);
  }
}

void LeanCluster::TellRefused(NodeId peer, NodeId about) {
  if (!running(peer)) return;
  queue_.Push({.at_ms = now_ms_ + random_.Between(1, 5),
               .kind = Event::Kind::kRefused,
               .node = peer.value(),
               .incarnation = At(peer).incarnation,
               .detail = static_cast<uint32_t>(about.value())});
}

void LeanCluster::TellPeersRefused(NodeId about) {
  for (const NodeId other : ids_) {
    if (other != about) TellRefused(other, about);
  }
}

void LeanCluster::Propose(NodeId id, std::string data, std::function<void(Result<LogIndex>)> done) {
  Node& node = At(id);
  Input(node);
  const Result<LogIndex> index = node.core->Propose(data);
  if (index.ok()) {
    ++steps_;
    node.proposals.push_back({*index, node.core->term(), std::move(data), std::move(done)});
  } else if (done) {
    done(index.status());
  }
}

void LeanCluster::Read(NodeId id, std::function<void(Result<LogIndex>)> done) {
  Node& node = At(id);
  Input(node);
  if (node.core->role() == Role::kLeader) ++steps_;
  node.reads.push_back(
      {node.next_read_id, invariants_.ReadStarted(), std::nullopt, std::move(done)});
  node.core->ReadIndex(node.next_read_id++);
}

void LeanCluster::TakeSnapshot(NodeId id) {
  Input(At(id));
  At(id).snapshot_wanted = true;
}

void LeanCluster::Transfer(NodeId id, NodeId target) {
  Node& node = At(id);
  Input(node);
  // Most nodes refuse: they do not lead. That is part of the test.
  if (node.core->Transfer(target).ok()) ++steps_;
}

// What is committed should be applied by then.
void LeanCluster::ChangeMember(NodeId id, const MemberChange& change) {
  Settle();
  Node& node = At(id);
  Input(node);
  if (!node.core->ChangeMember(change).ok()) return;
  ++steps_;
  ++member_changes_;
}

// Every input is preceded by the time.
void LeanCluster::Input(Node& node) {
  if (late_ != &node) Settle();
  late_ = &node;
  node.core->Tick(now_ms_);
}

void LeanCluster::Settle() {
  if (late_ != nullptr) Work(*std::exchange(late_, nullptr));
}

bool LeanCluster::Step() {
  if (!invariants_.breach().empty() || (queue_.empty() && late_ == nullptr)) return false;
  if (late_ != nullptr && (queue_.empty() || late_ != &At(NodeId(queue_.next().node)) ||
                           queue_.next().at_ms > now_ms_)) {
    Settle();
    return true;
  }
  const Event event = queue_.Pop();
  now_ms_ = event.at_ms;
  Node& node = At(NodeId(event.node));
  const bool message = event.kind == Event::Kind::kMessage;
  const bool reaches =
      node.core != nullptr && (message || event.incarnation == node.incarnation) &&
      // What was under way when the link was cut is lost with it.
      !(message && cut_[Link(queue_.Peek(event.detail).from.id, NodeId(event.node))]);
  if (!reaches) {
    if (message) queue_.Take(event.detail);
  } else if (node.paused) {
    node.backlog.push_back(event);
  } else {
    Deliver(node, event);
  }
  return true;
}

void LeanCluster::Deliver(Node& node, const Event& event) {
  Hash(event);
  switch (event.kind) {
    case Event::Kind::kMessage: {
      Message message = queue_.Take(event.detail);
      invariants_.Heard(node.voter.id, message.from.id, now_ms_);
      Input(node);
      invariants_.Asked(message, *node.core);
      if (trace_ != nullptr) trace_->Received(node.voter.id, *node.core, message);
      node.core->Step(std::move(message));
      ++steps_;
      break;
    }
    case Event::Kind::kTimer:
      node.timer_at_ms = -1;
      Input(node);
      // A leader's heartbeats come with it.
      CheckContact(node);
      if (node.core->HasReady()) ++steps_;
      break;
    case Event::Kind::kWritten: OnWritten(node); break;
    case Event::Kind::kRead: OnRead(node); break;
    case Event::Kind::kRefused:
      Input(node);
      node.core->PeerLost(NodeId(static_cast<int32_t>(event.detail)), true);
      ++steps_;
      break;
  }
  TraceMoves(node);
  if (steps_ < next_scan_) return;
  next_scan_ = steps_ + kStepsBetweenScans;
  CheckAll();
}

void LeanCluster::OnWritten(Node& node) {
  if (node.disk_fails) {
    // Nobody knows what it holds now: the voter falls silent, as raft::Driver does.
    if (late_ == &node) late_ = nullptr;
    Stop(node);
    return;
  }
  for (; node.writing > 0; --node.writing) {
    auto [id, request] = std::move(node.writes.front());
    node.writes.pop_front();
    node.disk.Execute(std::move(request));
    node.persisted_id = id;
    Input(node);
    node.core->Persisted(id);
    ++steps_;
    ReleaseSends(node);
  }
  node.disk_changed = true;
  if (!node.writes.empty()) StartWrite(node);
}

void LeanCluster::StartRead(Node& node, const DiskRead& read) {
  node.disk_reads.push_back(read);
  ScheduleRead(node, random_.Between(node.latency.ms_min, node.latency.ms_max));
}

void LeanCluster::ScheduleRead(const Node& node, int64_t delay_ms) {
  queue_.Push({.at_ms = now_ms_ + delay_ms,
               .kind = Event::Kind::kRead,
               .node = node.voter.id.value(),
               .incarnation = node.incarnation});
}

void LeanCluster::OnRead(Node& node) {
  const DiskRead read = node.disk_reads.front();
  if (read.after > node.persisted_id) return ScheduleRead(node, 1);
  node.disk_reads.pop_front();
  Input(node);
  if (read.load_received != 0) {
    node.core->ReceivedWasLoaded(read.load_received, node.disk.LoadReceived());
  } else {
    node.core->SnapshotWasRead(read.part, node.disk.ReadSnapshot(read.part));
  }
  ++steps_;
}

// As Driver::Flush.
void LeanCluster::Work(Node& node) {
  if (late_ == &node) late_ = nullptr;
  TraceMoves(node);
  do {
    while (node.core->HasReady()) Execute(node, node.core->TakeReady());
    Apply(node);
    MaybeSnapshot(node);
  } while (node.core->HasReady());
  node.last_before = node.core->log().last_index();
  ArmTimer(node);
  Check(node);
}

void LeanCluster::TraceMoves(const Node& node) {
  if (trace_ != nullptr && node.core != nullptr) trace_->Moved(node.voter.id, *node.core);
}

void LeanCluster::Execute(Node& node, Ready ready) {
  if (trace_ != nullptr) trace_->TookReady(node.voter.id, *node.core);
  Persist(node, ready);
  for (Message& message : ready.send_now) Send(node, message);
  for (Message& message : ready.send_after_persist)
    node.held.emplace_back(node.issued_id, std::move(message));
  ReleaseSends(node);
  if (ready.load_snapshot.has_value()) LoadSnapshot(node, *ready.load_snapshot);
  for (const SnapshotRead& part : ready.snapshot_reads)
    StartRead(node, {.after = node.issued_id, .part = part});
  if (ready.load_received != 0)
    StartRead(node, {.after = node.issued_id, .load_received = ready.load_received});
  for (const ReadOk& ok : ready.reads_ok) {
    for (PendingRead& read : node.reads) {
      if (read.id == ok.id) read.index = ok.index;
    }
  }
  for (const uint64_t id : ready.reads_failed)
    std::erase_if(node.reads, [id](const PendingRead& read) { return read.id == id; });
  FinishReads(node);
}

void LeanCluster::Persist(Node& node, Ready& ready) {
  if (ready.persist_id == 0) return;
  node.issued_id = ready.persist_id;
  if (ready.persist.snapshot.has_value()) {
    node.snapshot_persist_id = ready.persist_id;
    invariants_.SnapshotStored(node.voter.id, ready.persist.snapshot->meta);
  }
  const std::vector<Entry>& entries = ready.persist.entries;
  if (!entries.empty() && entries.front().index > LogIndex(0)) {
    const std::optional<Term> before = node.core->log().TermAt(entries.front().index - 1);
    if (before.has_value()) invariants_.Appended(node.voter.id, *before, entries);
  }
  node.writes.emplace_back(ready.persist_id, std::move(ready.persist));
  if (node.writing == 0) StartWrite(node);
}

void LeanCluster::StartWrite(Node& node) {
  node.writing = node.writes.size();
  queue_.Push({.at_ms = now_ms_ + random_.Between(node.latency.ms_min, node.latency.ms_max),
               .kind = Event::Kind::kWritten,
               .node = node.voter.id.value(),
               .incarnation = node.incarnation});
}

void LeanCluster::ReleaseSends(Node& node) {
  while (!node.held.empty() && node.held.front().first <= node.persisted_id) {
    Send(node, node.held.front().second);
    node.held.pop_front();
  }
}

void LeanCluster::Send(Node& node, Message& message) {
  if (trace_ != nullptr) trace_->Sent(node.voter.id, *node.core, message);
  invariants_.Sent(message, node.disk);
  const Node& to = At(message.to);
  if (to.core != nullptr) invariants_.CheckAcknowledgement(message, node.disk, *to.core);
  if (std::holds_alternative<TimeoutNow>(message.body) && node.core->role() == Role::kLeader)
    invariants_.CheckTransfer(message, node.last_before, *disks_[Slot(message.to)].disk);
  const SimNetworkOptions& network = options_.network;
  if (cut_[Link(message.from.id, message.to)] || Strikes(network.loss_percent)) return;
  if (Strikes(network.duplicate_percent)) Schedule(Message(message));
  Schedule(std::move(message));
}

void LeanCluster::Schedule(Message&& message) {
  const SimNetworkOptions& network = options_.network;
  const int64_t delay_ms = random_.Between(network.delay_ms_min, Strikes(network.straggler_percent)
                                                                     ? network.straggler_ms_max
                                                                     : network.delay_ms_max);
  const int32_t to = message.to.value();
  queue_.Push({.at_ms = now_ms_ + delay_ms,
               .kind = Event::Kind::kMessage,
               .node = to,
               .detail = queue_.Keep(std::move(message))});
}

void LeanCluster::Apply(Node& node) {
  const Core& core = *node.core;
  while (node.applied < core.commit()) {
    const std::vector<Entry> entries =
        core.log().Entries(node.applied + 1, core.commit() + 1, options_.config.apply_bytes_max);
    invariants_.Applied(node.voter.id, entries);
    for (const Entry& entry : entries) {
      node.applied = entry.index;
      node.bytes_since_snapshot += entry.data.size();
      if (entry.type != EntryType::kNormal) continue;
      node.checksum = Crc32cExtend(node.checksum, entry.data);
      node.value = ValueIn(entry.data, node.value);
      ++node.count;
    }
    // A proposal is the entry of its index and term, and nothing else.
    while (!node.proposals.empty() && node.proposals.front().index <= node.applied) {
      const Proposal proposal = std::move(node.proposals.front());
      node.proposals.pop_front();
      const bool kept = core.log().TermAt(proposal.index) == proposal.term;
      if (kept) invariants_.Acknowledged(proposal.index, proposal.data);
      if (proposal.done)
        proposal.done(kept ? Result<LogIndex>(proposal.index) : Status::Unavailable("lost"));
    }
  }
  if (core.role() != Role::kLeader && !node.proposals.empty()) {
    for (const Proposal& proposal : std::exchange(node.proposals, {})) {
      if (proposal.done) proposal.done(Status::Unavailable("leadership was lost"));
    }
  }
  FinishReads(node);
}

void LeanCluster::LoadSnapshot(Node& node, const Snapshot& snapshot) {
  invariants_.SnapshotLoaded(node.voter.id, snapshot.meta);
  ByteReader reader(*snapshot.data);
  node.checksum = reader.ReadUint32();
  node.count = static_cast<uint64_t>(reader.ReadInt64());
  node.value = static_cast<uint64_t>(reader.ReadInt64());
  node.applied = snapshot.meta.index;
  node.bytes_since_snapshot = 0;
  CHECK(reader.ok());
}

void LeanCluster::MaybeSnapshot(Node& node) {
  const bool due = node.bytes_since_snapshot >= options_.config.snapshot_interval_bytes;
  if (!due && !node.snapshot_wanted) return;
  if (node.snapshot_persist_id > node.persisted_id ||
      node.applied <= node.core->log().snapshot_index())
    return;
  ByteWriter writer;
  writer.PutUint32(node.checksum);
  writer.PutInt64(static_cast<int64_t>(node.count));
  writer.PutInt64(static_cast<int64_t>(node.value));
  // Long enough for several chunks.
  writer.PutBytes(std::string(node.count % 300, 'x'));
  ++steps_;
  node.core->SnapshotTaken(node.applied, std::make_shared<const std::string>(writer.Take()));
  node.snapshot_wanted = false;
  node.bytes_since_snapshot = 0;
}

void LeanCluster::FinishReads(Node& node) {
  if (node.reads.empty()) return;
  std::erase_if(node.reads, [&](const PendingRead& read) {
    if (!read.index.has_value() || *read.index > node.applied) return false;
    invariants_.ReadFinished(read.floor, *read.index, node.applied);
    if (read.done) read.done(*read.index);
    return true;
  });
}

// A timer that comes too early is set again: deadlines move with every heartbeat, timers need not.
void LeanCluster::ArmTimer(Node& node) {
  const int64_t deadline_ms = std::max(node.core->next_deadline_ms(), now_ms_);
  if (node.timer_at_ms >= 0 && node.timer_at_ms <= deadline_ms) return;
  node.timer_at_ms = deadline_ms;
  queue_.Push({.at_ms = deadline_ms,
               .kind = Event::Kind::kTimer,
               .node = node.voter.id.value(),
               .incarnation = node.incarnation});
}

void LeanCluster::Check(Node& node) {
  invariants_.Observe(node.voter.id, *node.core);
  invariants_.CheckCommitRule(node.voter.id, *node.core, disks_);
  const RaftLog& log = node.core->log();
  const Compared now{log.durable_index(), log.first_index()};
  if (node.disk_changed || now != node.compared) CheckDisk(node);
  node.compared = now;
  node.disk_changed = false;
}

void LeanCluster::CheckDisk(Node& node) {
  invariants_.CheckDisk(node.voter.id, *node.core, node.disk);
}

// Silence is noticed with the next heartbeat at the latest.
void LeanCluster::CheckContact(Node& node) {
  invariants_.CheckContact(
      node.voter.id, *node.core, now_ms_,
      options_.config.election_timeout_ms_min + options_.config.heartbeat_ms + 1);
}

void LeanCluster::CheckAll() {
  Settle();
  for (Node& node : nodes_) {
    if (node.core == nullptr || node.paused) continue;
    Check(node);
    CheckDisk(node);
    CheckContact(node);
    invariants_.CheckCommitted(node.voter.id, *node.core);
  }
}

void LeanCluster::Hash(const Event& event) {
  const Message* message =
      event.kind == Event::Kind::kMessage ? &queue_.Peek(event.detail) : nullptr;
  const uint64_t parts[] = {
      static_cast<uint64_t>(event.at_ms),
      static_cast<uint64_t>(event.kind),
      static_cast<uint64_t>(event.node),
      message == nullptr ? event.detail : static_cast<uint64_t>(message->from.id.value()),
      message == nullptr ? 0 : static_cast<uint64_t>(message->term.value()),
      message == nullptr ? 0 : message->body.index(),
      message == nullptr ? 0 : Digest(message->body)};
  for (const uint64_t part : parts) hash_ = (hash_ ^ part) * 1099511628211ULL;
}

void LeanCluster::PassTo(int64_t now_ms) {
  now_ms_ = now_ms;
  queue_.PassTo(now_ms);
}

void LeanCluster::RunForMs(int64_t ms) {
  const int64_t end_ms = now_ms_ + ms;
  const auto due = [&] { return !queue_.empty() && queue_.next().at_ms <= end_ms; };
  while ((late_ != nullptr || due()) && Step()) {
  }
  if (invariants_.breach().empty()) PassTo(end_ms);
}

bool LeanCluster::RunUntil(const std::function<bool()>& done, int64_t limit_ms) {
  const int64_t end_ms = now_ms_ + limit_ms;
  while (!done()) {
    if (late_ == nullptr && (queue_.empty() || queue_.next().at_ms > end_ms)) {
      PassTo(end_ms);
      return false;
    }
    if (!Step()) return false;
  }
  return true;
}

size_t LeanCluster::unanswered(NodeId id) const {
  return At(id).proposals.size() + At(id).reads.size();
}

NodeId LeanCluster::leader() const {
  NodeId leader = kNoNode;
  Term term{-1};
  for (const NodeId id : ids_) {
    if (!running(id) || core(id).role() != Role::kLeader || core(id).term() < term) continue;
    term = core(id).term();
    leader = id;
  }
  return leader;
}

bool LeanCluster::settled() const {
  const NodeId leads = leader();
  if (leads == kNoNode || core(leads).log().TermAt(applied(leads)) != core(leads).term())
    return false;
  return std::ranges::all_of(ids_, [&](NodeId id) {
    return !running(id) || !takes_part(id) || core(id).leader() == leads;
  });
}

bool LeanCluster::takes_part(NodeId id) const {
  const NodeId leads = leader();
  return leads == kNoNode || TakesPart(core(leads), voter(id), core(id));
}

}  // namespace sluice::raft::testing
