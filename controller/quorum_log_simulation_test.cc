// Raft over the real metadata log: drivers, QuorumLog and storage::Log on simulated disks that lose
// power, with truncations, snapshots and segments small enough to be dropped. The invariants are
// those of raft/simulation_test.cc; what this adds is that every crash leaves a log that opens, and
// every flipped bit too, whatever stops the opening, as long as the others have what is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "base/testing/sim_file_system.h"
#include "controller/quorum_log.h"
#include "raft/driver.h"
#include "raft/testing/invariants.h"
#include "raft/testing/sim_cluster.h"
#include "raft/testing/sim_network.h"

namespace sluice::controller {
namespace {

using raft::testing::Invariants;
using raft::testing::SimNetwork;
using raft::testing::SimStateMachine;
using sluice::testing::SimEventLoop;
using sluice::testing::SimFileSystem;
using sluice::testing::SimScheduler;

constexpr char kDirectory[] = "/data/__cluster_metadata-0";
constexpr uint64_t kSeeds = 300;
constexpr int64_t kFaultyMs = 5000;

// The disk's thread: each task takes a while.
class DiskLoop final : public EventLoop {
 public:
  DiskLoop(SimScheduler& scheduler, Random random, int64_t latency_ms_max)
      : inner_(scheduler), random_(random), latency_ms_max_(latency_ms_max) {}
  void Post(Task task) override {
    inner_.RunAfter(random_.Between(0, latency_ms_max_), std::move(task));
  }
  TimerId RunAfter(int64_t delay_ms, Task task) override {
    return inner_.RunAfter(delay_ms, std::move(task));
  }
  void Cancel(TimerId id) override { inner_.Cancel(id); }
  bool InLoopThread() const override { return true; }
  const Clock& clock() const override { return inner_.clock(); }

 private:
  SimEventLoop inner_;
  Random random_;
  const int64_t latency_ms_max_;
};

class Cluster {
 public:
  explicit Cluster(uint64_t seed) : random_(seed), network_(scheduler_, random_.Fork()) {
    disk_ms_max_ = random_.Between(0, 20);
    network_.set_options({.delay_ms_min = 0,
                          .delay_ms_max = random_.Between(1, 10),
                          .loss_percent = random_.Below(15),
                          .duplicate_percent = random_.Below(15)});
    network_.set_deliver([this](raft::Message message) {
      Node& node = nodes_.at(message.to);
      if (node.driver != nullptr) node.driver->Step(std::move(message));
    });
    config_.snapshot_interval_bytes = static_cast<size_t>(random_.Between(500, 5000));
    config_.snapshot_chunk_bytes = 100;
    config_.cache_bytes_max = static_cast<size_t>(random_.Between(1, 5000));
    raft::Bootstrap bootstrap{.cluster_id = "c"};
    for (int i = 1; i <= 3; ++i) {
      bootstrap.voters.push_back(
          {NodeId(i), Uuid::FromBytes(std::string(16, static_cast<char>(i)))});
    }
    for (const raft::VoterId& voter : bootstrap.voters) {
      Node& node = nodes_[voter.id];
      node.voter = voter;
      node.network = &network_;
      node.fs = std::make_unique<SimFileSystem>();
      CHECK(node.fs->CreateDirectories("/data").ok());
      CHECK(QuorumLog::Format(*node.fs, scheduler_.clock(), kDirectory, bootstrap).ok());
      CHECK(node.fs->SyncFileSystem("/").ok());
      Start(node);
    }
  }

  ~Cluster() {
    for (auto& [id, node] : nodes_) Drop(node);
  }

  // Empty, or what went wrong.
  std::string Run() {
    while (scheduler_.clock().SteadyMs() < kFaultyMs && wrong_.empty()) {
      RunForMs(random_.Between(1, 20));
      ProposeEverywhere();
      if (random_.Chance(1, 15) && !AnyDamaged() && AllTookPart()) ChangeMembers();
      if (random_.Chance(1, 25)) Fault();
    }
    network_.HealAll();
    network_.set_options({.delay_ms_min = 0, .delay_ms_max = 2});
    for (auto& [id, node] : nodes_) {
      if (node.driver == nullptr) Start(node);
    }
    RunForMs(5000);
    // What was lost may have been longer than the log is now.
    for (int round = 0; round < 20; ++round) {
      ProposeEverywhere();
      RunForMs(100);
    }
    if (wrong_.empty() && AnyDamaged())
      return "a voter was not given back what it had lost:" + Situation();
    return wrong_.empty() ? CompareStates() : wrong_;
  }

  uint64_t snapshots_installed() const { return snapshots_installed_; }
  uint64_t snapshots_resumed() const { return snapshots_resumed_; }
  uint64_t entries_truncated() const { return entries_truncated_; }
  uint64_t member_changes() const { return member_changes_; }
  uint64_t losses() const { return losses_; }
  size_t committed_count() const { return invariants_.committed_count(); }

 private:
  struct Node : raft::Transport {
    void Send(NodeId, raft::Message message) override { network->Send(std::move(message)); }
    void SetPeers(const std::vector<raft::Member>&) override {}
    SimNetwork* network = nullptr;
    raft::VoterId voter;
    std::unique_ptr<SimFileSystem> fs;
    bool damaged = true;  // has not been given back everything yet, or may not have
    std::unique_ptr<SimEventLoop> loop;
    std::unique_ptr<DiskLoop> io_loop;
    std::unique_ptr<QuorumLog> log;
    std::unique_ptr<SimStateMachine> state_machine;
    std::unique_ptr<raft::Driver> driver;
  };

  void Start(Node& node) {
    invariants_.Restarted(node.voter.id);
    node.loop = std::make_unique<SimEventLoop>(scheduler_);
    node.io_loop = std::make_unique<DiskLoop>(scheduler_, random_.Fork(), disk_ms_max_);
    if (random_.Chance(1, 5)) {
      node.fs->StopAfter(static_cast<int64_t>(random_.Below(40)));
      static_cast<void>(Open(node));
      // Of what nobody has looked at yet a power cut could take the evidence.
      !node.damaged&& random_.Chance(1, 2) ? node.fs->Crash(random_) : node.fs->KillProcess();
    }
    auto log = Open(node);
    if (!log.ok()) {
      wrong_ = "node " + std::to_string(node.voter.id.value()) +
               " cannot open its log: " + log.status().ToString();
      return;
    }
    node.log = *std::move(log);
    snapshots_resumed_ += node.log->opened().received.has_value();
    node.state_machine = std::make_unique<SimStateMachine>(node.voter.id, invariants_);
    node.driver = std::make_unique<raft::Driver>(
        raft::DriverOptions{
            .config = config_, .cluster_id = "c", .self = node.voter, .random = random_.Fork()},
        raft::DriverParts{*node.loop, *node.log, node, *node.state_machine});
    node.driver->Start();
    if (node.driver->core().recovering()) ++losses_;
    node.damaged = node.driver->core().recovering() || !TookPart(node);
  }

  Result<std::unique_ptr<QuorumLog>> Open(Node& node) {
    return QuorumLog::Open({.directory = kDirectory,
                            .file_system = node.fs.get(),
                            .clock = &scheduler_.clock(),
                            .loop = node.loop.get(),
                            .io_loop = node.io_loop.get(),
                            .segment_bytes = 2000,
                            .snapshot_block_bytes = 30});
  }

  bool AnyDamaged() const {
    return std::ranges::any_of(nodes_, [](const auto& node) { return node.second.damaged; });
  }

  // The two others run, have lost nothing, and have all three for voters.
  bool MayBeDamaged(const Node& node) const {
    return std::ranges::all_of(nodes_, [&node](const auto& other) {
      if (&other.second == &node) return true;
      return !other.second.damaged && other.second.driver != nullptr &&
             other.second.driver->core().members().voters.size() == 3;
    });
  }

  // Of a node whose process was killed.
  void FlipABit(Node& node) {
    std::vector<std::string> paths;
    const auto names = node.fs->List(kDirectory);
    for (const std::string& name : *names) {
      std::string path = kDirectory;
      path.append("/").append(name);
      const bool kept = name.ends_with(".log") || name.ends_with(".checkpoint") ||
                        name.ends_with(".part") || name == "quorum-state";
      if (kept && *node.fs->FileSize(path) > 0) paths.push_back(path);
    }
    const std::string& path = paths[random_.Below(paths.size())];
    node.fs->FlipBit(path, random_.Below(*node.fs->FileSize(path)),
                     static_cast<int>(random_.Below(8)));
    node.damaged = true;
  }

  void Drop(Node& node) {
    if (node.driver != nullptr) {
      snapshots_installed_ += node.driver->core().metrics().snapshots_installed;
      entries_truncated_ += node.driver->core().metrics().entries_truncated;
    }
    node.io_loop.reset();
    node.driver.reset();
    node.loop.reset();
    node.state_machine.reset();
    node.log.reset();
  }

  void Fault() {
    auto at = std::next(nodes_.begin(), static_cast<int64_t>(random_.Below(nodes_.size())));
    Node& node = at->second;
    if (node.driver == nullptr) {
      Start(node);
    } else if (random_.Chance(1, 3)) {
      const bool damage = random_.Chance(2, 3) && MayBeDamaged(node) && TookPart(node);
      // It may end in the middle of a group. Not with damage besides: of the two slots of the vote
      // it could hit the whole one.
      if (!damage && random_.Chance(1, 3)) {
        node.fs->StopAfter(static_cast<int64_t>(random_.Below(8)));
        RunForMs(random_.Between(1, 50), [&node] { return node.fs->stopped(); });
      }
      Drop(node);
      damage || random_.Chance(1, 3) ? node.fs->KillProcess() : node.fs->Crash(random_);
      if (damage) FlipABit(node);
      if (random_.Chance(1, 2)) Start(node);
    } else if (random_.Chance(1, 2)) {
      for (const auto& [other, unused] : nodes_) {
        if (other == at->first) continue;
        network_.Cut(at->first, other);
        network_.Cut(other, at->first);
      }
    } else {
      network_.HealAll();
    }
  }

  void ProposeEverywhere() {
    for (auto& [id, node] : nodes_) {
      if (node.driver == nullptr || node.driver->core().role() != raft::Role::kLeader) continue;
      const std::string data =
          "w" + std::to_string(++writes_) + std::string(random_.Below(100), '.');
      node.driver->Propose(data, [this, data](const Result<LogIndex>& index) {
        if (index.ok()) invariants_.Acknowledged(*index, data);
      });
    }
  }

  // Some node is removed, or, when it is, learns again, or votes again, wherever somebody leads.
  void ChangeMembers() {
    using Kind = raft::MemberChange::Kind;
    const Node& target =
        std::next(nodes_.begin(), static_cast<int64_t>(random_.Below(nodes_.size())))->second;
    for (auto& [id, node] : nodes_) {
      if (node.driver == nullptr || node.driver->core().role() != raft::Role::kLeader) continue;
      const raft::Membership& members = node.driver->core().members();
      const NodeId about = target.voter.id;
      const Kind kind = members.FindVoter(about) != nullptr     ? Kind::kRemove
                        : members.FindLearner(about) != nullptr ? Kind::kPromote
                                                                : Kind::kAddLearner;
      node.driver->ChangeMember({kind, {target.voter, "host:1"}},
                                [this](const Result<LogIndex>& index) {
                                  if (index.ok()) ++member_changes_;
                                });
    }
  }

  // One that has never been up when the voters change has to be formatted to join, and so has one
  // whose bootstrap entry is damaged before it has seen an election.
  bool AllTookPart() {
    all_took_part_ = all_took_part_ || std::ranges::all_of(nodes_, [](const auto& node) {
                       return node.second.driver != nullptr && TookPart(node.second);
                     });
    return all_took_part_;
  }
  static bool TookPart(const Node& running) {
    return running.driver->core().log().durable_index() > LogIndex(0);
  }

  // Or, where `ended` is given, until it holds.
  void RunForMs(int64_t ms, const std::function<bool()>& ended = nullptr) {
    const int64_t end_ms = scheduler_.clock().SteadyMs() + ms;
    SimEventLoop alarm(scheduler_);
    alarm.RunAfter(ms, [] {});
    while (scheduler_.clock().SteadyMs() < end_ms && wrong_.empty()) {
      if ((ended && ended()) || !scheduler_.Step()) return;
      for (auto& [id, node] : nodes_) {
        if (node.driver == nullptr) continue;
        invariants_.Observe(id, node.driver->core());
        node.damaged = node.driver->core().recovering() || !TookPart(node);
      }
      wrong_ = wrong_.empty() ? invariants_.breach() : wrong_;
    }
  }

  std::string Situation() const {
    std::ostringstream out;
    for (const auto& [id, node] : nodes_) {
      const raft::Core& core = node.driver->core();
      out << " [" << id << " " << raft::RoleName(core.role()) << " term=" << core.term()
          << " last=" << core.log().last_index() << " lost=" << core.hard_state().lost.upto << "/"
          << core.hard_state().lost.term << " " << core.members() << core.WhyInquiring() << "]";
    }
    return out.str();
  }

  std::string CompareStates() {
    std::map<std::pair<LogIndex, uint32_t>, int> states;
    const raft::Membership* members = invariants_.committed_members();
    for (auto& [id, node] : nodes_) {
      if (members->Find(id) == nullptr) continue;
      ++states[{node.state_machine->applied, node.state_machine->checksum}];
    }
    return states.size() == 1 ? "" : "the states differ at the end";
  }

  Random random_;
  SimScheduler scheduler_;
  SimNetwork network_;
  Invariants invariants_;
  raft::RaftConfig config_;
  int64_t disk_ms_max_ = 0;
  std::map<NodeId, Node> nodes_;
  uint64_t writes_ = 0;
  uint64_t snapshots_installed_ = 0;
  uint64_t snapshots_resumed_ = 0;  // received in part before a start
  uint64_t entries_truncated_ = 0;
  uint64_t member_changes_ = 0;
  uint64_t losses_ = 0;
  bool all_took_part_ = false;
  std::string wrong_;
};

TEST(QuorumLogSimulation, RaftIsSafeOverTheRealLog) {
  uint64_t snapshots_installed = 0;
  uint64_t snapshots_resumed = 0;
  uint64_t entries_truncated = 0;
  uint64_t member_changes = 0;
  uint64_t losses = 0;
  size_t committed = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    auto cluster = std::make_unique<Cluster>(seed);
    ASSERT_EQ(cluster->Run(), "") << "seed " << seed;
    committed += cluster->committed_count();
    snapshots_installed += cluster->snapshots_installed();
    snapshots_resumed += cluster->snapshots_resumed();
    entries_truncated += cluster->entries_truncated();
    member_changes += cluster->member_changes();
    losses += cluster->losses();
  }
  // The faults that this is about must have happened.
  EXPECT_GT(committed, kSeeds * 50);
  EXPECT_GT(snapshots_installed, kSeeds / 4);
  EXPECT_GT(snapshots_resumed, kSeeds / 60);
  EXPECT_GT(entries_truncated, kSeeds / 4);
  EXPECT_GT(member_changes, kSeeds);
  EXPECT_GT(losses, kSeeds / 8);
}

}  // namespace
}  // namespace sluice::controller
