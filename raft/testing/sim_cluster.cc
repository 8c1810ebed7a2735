#include "raft/testing/sim_cluster.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "raft/testing/takes_part.h"

namespace sluice::raft::testing {
namespace {

constexpr char kClusterId[] = "simulated-cluster";

Uuid DiskId(int node, int generation) {
  std::string bytes(16, '\0');
  bytes[0] = static_cast<char>(generation);
  bytes[15] = static_cast<char>(node);
  return Uuid::FromBytes(bytes);
}

}  // namespace

uint64_t ValueIn(std::string_view data, uint64_t otherwise) {
  if (data.size() < 2 || data[0] != 'w') return otherwise;
  uint64_t value = 0;
  for (size_t at = 1; at < data.size() && data[at] >= '0' && data[at] <= '9'; ++at)
    value = value * 10 + static_cast<uint64_t>(data[at] - '0');
  return value;
}

void SimStateMachine::Apply(const std::vector<Entry>& committed) {
  invariants_.Applied(self_, committed);
  for (const Entry& entry : committed) {
    applied = entry.index;
    if (entry.type != EntryType::kNormal) continue;
    checksum = Crc32cExtend(checksum, entry.data);
    value = ValueIn(entry.data, value);
    ++count;
  }
}

std::string SimStateMachine::TakeSnapshot() {
  ByteWriter writer;
  writer.PutUint32(checksum);
  writer.PutInt64(static_cast<int64_t>(count));
  writer.PutInt64(static_cast<int64_t>(value));
  // Long enough for several chunks.
  writer.PutBytes(std::string(count % 300, 'x'));
  return writer.Take();
}

void SimStateMachine::LoadSnapshot(const SnapshotMeta& meta, std::string_view data) {
  invariants_.SnapshotLoaded(self_, meta);
  ByteReader reader(data);
  checksum = reader.ReadUint32();
  count = static_cast<uint64_t>(reader.ReadInt64());
  value = static_cast<uint64_t>(reader.ReadInt64());
  applied = meta.index;
  CHECK(reader.ok());
}

void SimStateMachine::OnRoleChange(Role new_role, Term, NodeId new_leader) {
  role = new_role;
  leader = new_leader;
}

void SimCluster::Node::Send(NodeId, Message message) {
  cluster->Trace(Describe(message));
  cluster->invariants_.Sent(message, disk);
  const Node& to = *cluster->nodes_.at(message.to);
  if (to.driver != nullptr)
    cluster->invariants_.CheckAcknowledgement(message, disk, to.driver->core());
  cluster->network_.Send(std::move(message));
}

SimCluster::SimCluster(SimClusterOptions options, uint64_t seed)
    : options_(options),
      random_(seed),
      network_(scheduler_, random_.Fork()),
      disk_latency_(options.disk) {
  network_.set_options(options.network);
  network_.set_deliver([this](Message message) {
    Node& node = *nodes_.at(message.to);
    if (node.driver == nullptr) return;
    node.loop->Post([this, &node, message = std::move(message)]() mutable {
      invariants_.Heard(message.to, message.from.id, now_ms());
      invariants_.Asked(message, node.driver->core());
      node.driver->Step(std::move(message));
    });
  });
  Bootstrap bootstrap{.cluster_id = kClusterId, .payload = "first"};
  for (int i = 1; i <= options.voters; ++i) bootstrap.voters.push_back({NodeId(i), DiskId(i, 0)});
  first_members_ = MembershipOf(bootstrap.voters);
  bootstrap_ = BootstrapEntry(bootstrap);
  for (int i = 1; i <= options.voters + options.spares; ++i) {
    auto node = std::make_unique<Node>();
    node->cluster = this;
    node->voter = {NodeId(i), DiskId(i, 0)};
    if (i <= options.voters) node->disk.entries.push_back(bootstrap_);
    nodes_.emplace(NodeId(i), std::move(node));
    ids_.emplace_back(i);
  }
}

SimCluster::~SimCluster() = default;

void SimCluster::Start(NodeId id) {
  Node& node = *nodes_.at(id);
  CHECK(node.driver == nullptr);
  invariants_.Restarted(id);
  node.unanswered = 0;
  node.loop = std::make_unique<sluice::testing::PausableLoop>(scheduler_);
  node.log = std::make_unique<SimLogStore>(node.disk, *node.loop, random_.Fork(), disk_latency_);
  node.log->set_on_append([this, id](Term prev_term, const std::vector<Entry>& entries) {
    invariants_.Appended(id, prev_term, entries);
  });
  node.state_machine = std::make_unique<SimStateMachine>(id, invariants_);
  node.driver =
      std::make_unique<Driver>(DriverOptions{.config = options_.config,
                                             .cluster_id = kClusterId,
                                             .self = node.voter,
                                             .random = random_.Fork()},
                               DriverParts{*node.loop, *node.log, node, *node.state_machine});
  node.loop->Post([&node] { node.driver->Start(); });
}

void SimCluster::StartWiped(NodeId id) {
  Node& node = *nodes_.at(id);
  if (!node.former.has_value()) node.former = std::move(node.disk);
  node.disk = {};
  node.disk.entries.push_back(bootstrap_);
  node.voter.disk_id = DiskId(id.value(), 1);
  invariants_.Wiped(id);
  Start(id);
}

void SimCluster::FormatAgain(NodeId id) {
  nodes_.at(id)->disk.FormatAgain(bootstrap_);
  invariants_.FormattedAgain(nodes_.at(id)->voter);
}

void SimCluster::Renew(NodeId id) {
  Node& node = *nodes_.at(id);
  CHECK(node.driver == nullptr);
  node.disk = {};
  node.voter.disk_id = DiskId(id.value(), 2 + node.renewals++);
  invariants_.Wiped(id);
}

void SimCluster::Crash(NodeId id) {
  Node& node = *nodes_.at(id);
  CHECK(node.driver != nullptr);
  Trace("crash " + std::to_string(id.value()));
  node.log->Crash(random_);
  node.driver.reset();
  node.state_machine.reset();
  node.log.reset();
  node.loop.reset();
}

void SimCluster::Resume(NodeId id) {
  nodes_.at(id)->loop->Resume();
  invariants_.Awoke(id, now_ms());
}

void SimCluster::Isolate(NodeId id) {
  for (const auto& [other, node] : nodes_) {
    if (other == id) continue;
    network_.Cut(id, other);
    network_.Cut(other, id);
  }
}

void SimCluster::TellRefused(NodeId peer, NodeId about) {
  Node& node = *nodes_.at(peer);
  if (node.driver == nullptr) return;
  node.loop->RunAfter(random_.Between(1, 5),
                      [&node, about] { node.driver->PeerLost(about, true); });
}

void SimCluster::TellPeersRefused(NodeId about) {
  for (const auto& [other, node] : nodes_) {
    if (other != about) TellRefused(other, about);
  }
}

void SimCluster::SetDiskLatency(SimDiskLatency latency) {
  disk_latency_ = latency;
  for (const auto& [id, node] : nodes_) {
    if (node->log != nullptr) node->log->set_latency(latency);
  }
}

void SimCluster::Propose(NodeId id, std::string data, std::function<void(Result<LogIndex>)> done) {
  size_t& unanswered = nodes_.at(id)->unanswered;
  ++unanswered;
  driver(id).Propose(
      data, [this, &unanswered, data, done = std::move(done)](const Result<LogIndex>& result) {
        --unanswered;
        if (result.ok()) invariants_.Acknowledged(*result, data);
        if (done) done(result);
      });
}

void SimCluster::Read(NodeId id, std::function<void(Result<LogIndex>)> done) {
  Node& node = *nodes_.at(id);
  ++node.unanswered;
  driver(id).ReadIndex([this, &node, floor = invariants_.ReadStarted(),
                        done = std::move(done)](const Result<LogIndex>& result) {
    --node.unanswered;
    if (result.ok()) invariants_.ReadFinished(floor, *result, node.state_machine->applied);
    if (done) done(result);
  });
}

void SimCluster::ChangeMember(NodeId id, const MemberChange& change) {
  size_t& unanswered = nodes_.at(id)->unanswered;
  ++unanswered;
  driver(id).ChangeMember(change, [this, &unanswered](const Result<LogIndex>& result) {
    --unanswered;
    if (result.ok()) ++member_changes_;
  });
}

bool SimCluster::Step() {
  if (!invariants_.breach().empty() || !scheduler_.Step()) return false;
  ++steps_;
  std::vector<VoterDisk> disks;
  for (const auto& [id, node] : nodes_) {
    if (node->former.has_value()) {
      disks.push_back({{id, DiskId(id.value(), 0)}, &*node->former});
    } else {
      disks.push_back({node->voter, &node->disk});
    }
  }
  for (const auto& [id, node] : nodes_) {
    if (node->driver == nullptr) continue;
    CheckNode(id);
    invariants_.CheckCommitRule(id, node->driver->core(), disks);
  }
  return true;
}

void SimCluster::CheckNode(NodeId id) {
  const Node& node = *nodes_.at(id);
  const Core& core = node.driver->core();
  invariants_.Observe(id, core);
  invariants_.CheckDisk(id, core, node.disk);
  // A voter that has given up takes no part, whatever its core last was.
  if (node.loop->paused() || node.log->failing()) return;
  // Silence is noticed with the next heartbeat at the latest.
  invariants_.CheckContact(
      id, core, now_ms(),
      options_.config.election_timeout_ms_min + options_.config.heartbeat_ms + 1);
}

void SimCluster::RunForMs(int64_t ms) {
  bool over = false;
  sluice::testing::SimEventLoop alarm(scheduler_);
  alarm.RunAfter(ms, [&over] { over = true; });
  while (!over && Step()) {
  }
}

bool SimCluster::RunUntil(const std::function<bool()>& done, int64_t limit_ms) {
  bool over = false;
  sluice::testing::SimEventLoop alarm(scheduler_);
  alarm.RunAfter(limit_ms, [&over] { over = true; });
  while (!done()) {
    if (over || !Step()) return false;
  }
  return true;
}

NodeId SimCluster::leader() const {
  NodeId leader = kNoNode;
  Term term{-1};
  for (const auto& [id, node] : nodes_) {
    if (node->driver == nullptr || node->driver->core().role() != Role::kLeader) continue;
    if (node->driver->core().term() < term) continue;
    term = node->driver->core().term();
    leader = id;
  }
  return leader;
}

bool SimCluster::settled() const {
  const NodeId leads = leader();
  if (leads == kNoNode || !nodes_.at(leads)->driver->status().leader_ready) return false;
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    return node.second->driver == nullptr || !takes_part(node.first) ||
           node.second->state_machine->leader == leads;
  });
}

bool SimCluster::takes_part(NodeId id) const {
  const NodeId leads = leader();
  return leads == kNoNode || TakesPart(core(leads), voter(id), core(id));
}

void SimCluster::Trace(const std::string& line) {
  const std::string stamped = std::to_string(now_ms()) + " " + line;
  for (const char c : stamped)
    trace_hash_ = (trace_hash_ ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  if (trace_ != nullptr) trace_->push_back(stamped);
}

}  // namespace sluice::raft::testing
