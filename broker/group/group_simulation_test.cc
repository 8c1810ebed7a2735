// The simulation of group coordinators: hundreds of seeds, each with brokers, a log, groups of all
// kinds, and faults of its own. All is thrown at them for a while; then it is healed, and every
// member must get its share. After that the coordinator moves a few times, and nobody may notice;
// at last all leave, and nothing may be left of them. One seed repeats one run exactly.
//
//   SLUICE_SIM_SEEDS=5000    more seeds            SLUICE_SIM_SEED=1234   only this one
//   SLUICE_SIM_TRACE=FILE    with SLUICE_SIM_SEED: what happened, in words
#include <glog/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "broker/group/testing/sim_clients.h"

namespace sluice::broker::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kSeedsDefault = 20;  // each takes ten times as long
#else
constexpr uint64_t kSeedsDefault = 1000;
#endif

constexpr int kTopics = 4;

uint64_t current_seed = 0;

// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void DieWithSeed() {
  std::cerr << "simulation: seed " << current_seed << " (SLUICE_SIM_SEED=" << current_seed
            << " repeats it)\n";
  std::abort();
}

// What one seed does: which faults exist at all, and how often they strike.
struct Swarm {
  SimGroupOptions cluster;
  int64_t chaos_ms = 0;
  int64_t step_ms_max = 0;  // between two faults
  bool kills = false;
  bool cuts = false;
  bool pauses = false;
  bool moves = false;
  bool client_faults = false;
  bool topic_changes = false;
};

// What a group's members are like.
struct Kind {
  bool classic = false;
  bool consumer = false;  // both: an application on its way from one to the other
  bool cooperative = false;
  bool old_versions = false;
  bool regex = false;
  bool statics = false;
};

Swarm DrawSwarm(Random& random) {
  Swarm swarm;
  SimGroupOptions& cluster = swarm.cluster;
  cluster.config.session_ms_min = 1000;
  cluster.config.initial_rebalance_ms = static_cast<int32_t>(random.Below(2) * 1000);
  cluster.config.consumer.session_ms = 6000;
  cluster.config.consumer.heartbeat_ms = 1000;
  cluster.config.consumer.regex_refresh_ms = 5000;
  cluster.config.offsets_check_interval_ms = random.Between(500, 10000);
  // What one call decides is never so much; it would not be written at once.
  if (random.Chance(1, 4))
    cluster.batch_bytes_max = static_cast<size_t>(random.Between(8000, 16000));
  if (random.Chance(1, 8)) cluster.limits.unwritten_bytes_max = 3000;
  cluster.write_timeout_ms = random.Chance(1, 3) ? 500 : 5000;
  const int64_t delays[] = {1, 5, 20, 100};
  cluster.network_ms_max = delays[random.Below(std::size(delays))];
  cluster.log.network_ms_max = delays[random.Below(std::size(delays) - 1)];
  if (random.Chance(1, 2)) cluster.loss = random.Below(20);
  if (random.Chance(1, 2)) cluster.duplicates = random.Below(100);
  if (random.Chance(1, 2)) cluster.log.refusals = random.Below(50);
  if (random.Chance(1, 3)) cluster.log.bad_reads = random.Below(200);
  cluster.view_flushes = random.Below(50);
  swarm.chaos_ms = random.Between(5000, 30000);
  swarm.step_ms_max = random.Between(50, 1500);
  swarm.kills = random.Chance(2, 3);
  swarm.cuts = random.Chance(1, 2);
  swarm.pauses = random.Chance(1, 2);
  swarm.moves = random.Chance(1, 2);
  swarm.client_faults = random.Chance(2, 3);
  swarm.topic_changes = random.Chance(1, 2);
  return swarm;
}

Kind DrawKind(Random& random) {
  Kind kind;
  const uint64_t protocols = random.Below(3);
  kind.classic = protocols != 0;
  kind.consumer = protocols != 1;
  kind.cooperative = random.Chance(1, 2);
  kind.statics = random.Chance(1, 3);
  kind.old_versions = !kind.statics && random.Chance(1, 4);
  kind.regex = !kind.classic && random.Chance(1, 3);
  return kind;
}

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed), swarm_(DrawSwarm(random_)), cluster_(swarm_.cluster, random_.Next()) {
    for (uint64_t n = 1 + random_.Below(3); n > 0; --n) kinds_.push_back(DrawKind(random_));
  }

  SimGroupCluster& cluster() { return cluster_; }

  // An empty string, or what went wrong.
  std::string Run() {
    for (int topic = 0; topic < 2; ++topic) ChangeTopic();
    for (size_t group = 0; group < kinds_.size(); ++group) {
      for (uint64_t n = random_.Between(1, 4); n > 0; --n) StartMember(group);
    }
    cluster_.RunFor(random_.Between(0, 8000));
    Chaos();
    Heal();
    if (!Breached()) Settle();
    if (!Breached()) MoveQuietly();
    if (!Breached()) LeaveAll();
    for (const NodeId id : cluster_.ids()) cluster_.CheckView(id);
    cluster_.invariants().CheckNothingLost(*cluster_.topics().image());
    return cluster_.invariants().breach();
  }

 private:
  bool Breached() { return !cluster_.invariants().breach().empty(); }
  NodeId AnyNode() {
    return NodeId(static_cast<int32_t>(random_.Between(1, SimGroupCluster::kNodes)));
  }
  static std::string GroupName(size_t group) { return "g" + std::to_string(group); }

  // --- Members ---

  void StartMember(size_t group) {
    const Kind& kind = kinds_[group];
    SimMemberOptions options;
    options.name = "m" + std::to_string(++started_);
    options.group_id = GroupName(group);
    if (kind.regex && random_.Chance(1, 2)) {
      options.regex = "t[0-9]+";
    } else {
      for (int topic = 0; topic < kTopics; ++topic) options.topics.push_back(TopicName(topic));
    }
    if (kind.statics && random_.Chance(1, 2)) {
      options.instance_id = "i" + std::to_string(group) + std::to_string(random_.Below(4));
      // Two processes with one instance id would turn each other out for ever.
      for (const auto& other : members_) {
        if (other->instance_id() == options.instance_id && !other->paused()) return;
      }
    }
    options.cooperative = kind.cooperative;
    options.old_versions = kind.old_versions;
    options.rebalance_ms = static_cast<int32_t>(random_.Between(4000, 12000));
    const bool classic = kind.classic && (!kind.consumer || random_.Chance(1, 2));
    if (classic) {
      members_.push_back(std::make_unique<SimClassicMember>(cluster_, options));
    } else {
      members_.push_back(std::make_unique<SimConsumerMember>(cluster_, options));
    }
    members_.back()->Start();
  }

  void ForgetGone() {
    std::erase_if(members_, [](const auto& member) { return member->gone(); });
  }

  void DisturbMember() {
    ForgetGone();
    if (members_.size() < 2 || random_.Chance(1, 4))
      return members_.size() < 10 ? StartMember(random_.Below(kinds_.size())) : void();
    const size_t place = random_.Below(members_.size());
    SimMember& member = *members_[place];
    switch (random_.Below(5)) {
      case 0:
        cluster_.Trace(member.name() + " is killed");
        members_.erase(members_.begin() + static_cast<ptrdiff_t>(place));
        return;
      case 1: return member.Leave();
      case 2: cluster_.Trace(member.name() + " is paused"); return member.Pause();
      default: return member.Resume();
    }
  }

  // --- Topics ---

  static std::string TopicName(int topic) { return "t" + std::to_string(topic); }

  void ChangeTopic() {
    const std::string name = TopicName(static_cast<int>(random_.Below(kTopics)));
    const auto topic = cluster_.topics().image()->FindTopic(name);
    const size_t before = topic == nullptr ? 0 : topic->partitions.size();
    if (before > 8 || (before > 0 && random_.Chance(1, 4))) {
      cluster_.topics().Delete(name);
    } else {
      cluster_.topics().Set(name, static_cast<int32_t>(before + 1 + random_.Below(4)));
    }
    cluster_.SpreadTopics();
  }

  // --- Faults ---

  void Chaos() {
    const int64_t end_ms = cluster_.now_ms() + swarm_.chaos_ms;
    while (cluster_.now_ms() < end_ms && !Breached()) {
      cluster_.RunFor(random_.Between(1, swarm_.step_ms_max));
      Disturb();
    }
  }

  void Disturb() {
    const NodeId id = random_.Chance(1, 2) && cluster_.log().leader() != kNoNode
                          ? cluster_.log().leader()
                          : AnyNode();
    switch (random_.Below(8)) {
      case 0: return DisturbNode(id);
      case 1:
      case 2: return HealNode(AnyNode());
      case 3:
        if (swarm_.moves) cluster_.log().Move(id);
        return;
      case 4:
        if (swarm_.topic_changes && random_.Chance(1, 2)) ChangeTopic();
        return;
      case 5: return cluster_.FlushView(id);
      default:
        if (swarm_.client_faults) DisturbMember();
        return;
    }
  }

  void DisturbNode(NodeId id) {
    if (!cluster_.alive(id)) return;
    switch (random_.Below(4)) {
      case 0:
        if (swarm_.kills) cluster_.Kill(id);
        return;
      case 1:
        if (!swarm_.cuts) return;
        cluster_.Trace("cut " + std::to_string(id.value()));
        return cluster_.log().SetCut(id, true);
      case 2:
        if (swarm_.pauses) cluster_.Pause(id);
        return;
      default:
        if (swarm_.pauses) cluster_.PauseGroups(id);
        return;
    }
  }

  void HealNode(NodeId id) {
    if (!cluster_.alive(id)) cluster_.Start(id);
    cluster_.Resume(id);
    cluster_.log().SetCut(id, false);
  }

  void Heal() {
    cluster_.Trace("heal");
    cluster_.set_faults(false);
    for (const NodeId id : cluster_.ids()) HealNode(id);
    // Of two processes with one instance id the older one is not seen again.
    std::set<std::string> instances;
    for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
      const std::string& instance_id = (*member)->instance_id();
      if (!instance_id.empty() && !instances.insert(instance_id).second) member->reset();
    }
    std::erase(members_, nullptr);
    for (const auto& member : members_) member->Resume();
    for (size_t group = 0; group < kinds_.size(); ++group) StartMember(group);
    const auto topics = cluster_.topics().image()->topics_by_name;
    if (topics->empty()) ChangeTopic();
  }

  // --- What must be so in the end ---

  // Empty when every group's members have all between them.
  std::string Unsettled() {
    std::map<std::string, PartitionSet> wanted, owned;
    for (const auto& member : members_) {
      if (!member->Settled()) return "not settled:\n" + member->Describe();
      wanted[member->group_id()].merge(member->Subscribed());
      for (const auto& partition : member->owned()) {
        if (!owned[member->group_id()].insert(partition).second)
          return "two have " + partition.first.ToString() + " in " + member->group_id();
      }
    }
    for (const auto& [group, all] : wanted) {
      if (owned[group] != all)
        return group + ": " + std::to_string(owned[group].size()) + " of " +
               std::to_string(all.size()) + " partitions have an owner";
    }
    return "";
  }

  // Calm for longer than anybody waits for anything.
  bool WaitUntilSettled(int64_t limit_ms) {
    const int64_t end_ms = cluster_.now_ms() + limit_ms;
    int64_t calm_since_ms = cluster_.now_ms();
    while (cluster_.now_ms() < end_ms && !Breached()) {
      cluster_.RunFor(500);
      ForgetGone();
      if (!Unsettled().empty()) calm_since_ms = cluster_.now_ms();
      if (cluster_.now_ms() - calm_since_ms >= 8000) return true;
    }
    return false;
  }

  void Settle() {
    if (WaitUntilSettled(90000) || Breached()) return;
    std::string what = "not settled a minute and a half after the healing: " + Unsettled() + "\n" +
                       cluster_.log().Describe();
    for (const auto& member : members_) what += "\n" + member->Describe();
    cluster_.invariants().Fail(what);
  }

  struct Standing {
    GroupInvariants::Claim claim;
    PartitionSet owned;
    int losses;
  };
  std::map<const SimMember*, Standing> Standings() {
    std::map<const SimMember*, Standing> standings;
    for (const auto& member : members_)
      standings[member.get()] = {member->claim(), member->owned(), member->losses()};
    return standings;
  }

  // Members that are well see another coordinator, and nothing else.
  void MoveQuietly() {
    const auto before = Standings();
    for (int move = 0; move < 3 && !Breached(); ++move) {
      const NodeId leader = cluster_.log().leader();
      if (leader == kNoNode) return cluster_.invariants().Fail("no leader after the healing");
      if (random_.Chance(1, 2)) {
        cluster_.Kill(leader);
        cluster_.RunFor(random_.Between(0, 3000));
        cluster_.Start(leader);
      } else {
        cluster_.log().Move(AnyNode());
      }
      cluster_.RunFor(random_.Between(0, 10000));
    }
    cluster_.RunFor(10000);
    if (!Unsettled().empty())
      cluster_.invariants().Fail("a move of the coordinator left members " + Unsettled());
    for (const auto& [member, now] : Standings()) {
      const Standing& then = before.at(member);
      if (now.claim.generation != then.claim.generation || now.owned != then.owned ||
          now.losses != then.losses || now.claim.member_id != then.claim.member_id)
        cluster_.invariants().Fail("a move of the coordinator was noticed by\n" +
                                   member->Describe() + "\nwhich was in " +
                                   std::to_string(then.claim.generation));
    }
  }

  void LeaveAll() {
    for (const auto& member : members_) member->Leave();
    // One that waits in a rebalance first waits for its end.
    cluster_.RunFor(20000);
    ForgetGone();
    if (!members_.empty()) cluster_.invariants().Fail("not gone:\n" + members_.front()->Describe());
    members_.clear();
    // Static ones are waited for.
    cluster_.RunFor(30000);
    for (const std::string& request : cluster_.Unanswered())
      cluster_.invariants().Fail(request + " was not answered");
    for (const NodeId id : cluster_.ids()) {
      const CoordinatorPartition* partition = cluster_.CoordinatorOf(id);
      if (partition == nullptr) continue;
      const GroupShard* shard = partition->shard();
      if (partition->requests() != 0)
        cluster_.invariants().Fail("nobody is there, and " + std::to_string(partition->requests()) +
                                   " requests wait");
      if (shard != nullptr && (shard->loaded_groups() != 0 || shard->timers() != 0))
        cluster_.invariants().Fail(std::to_string(shard->loaded_groups()) + " groups and " +
                                   std::to_string(shard->timers()) +
                                   " timers are left of those that left");
    }
  }

  Random random_;
  const Swarm swarm_;
  SimGroupCluster cluster_;
  std::vector<Kind> kinds_;
  std::vector<std::unique_ptr<SimMember>> members_;
  int started_ = 0;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void WriteTrace(const std::vector<std::string>& trace) {
  const char* path = std::getenv("SLUICE_SIM_TRACE");
  if (path == nullptr) return;
  std::ofstream out(path);
  for (const std::string& line : trace) out << line << '\n';
}

bool RunSeed(uint64_t seed, size_t& commits) {
  current_seed = seed;
  std::vector<std::string> trace;
  Simulation simulation(seed);
  if (std::getenv("SLUICE_SIM_SEED") != nullptr) simulation.cluster().set_trace(&trace);
  const std::string wrong = simulation.Run();
  WriteTrace(trace);
  commits += simulation.cluster().invariants().commits();
  EXPECT_EQ(wrong, "") << "seed " << seed << " (SLUICE_SIM_SEED=" << seed << " repeats it)";
  if (seed % 20 == 0) {
    Simulation again(seed);
    EXPECT_EQ(again.Run(), wrong);
    EXPECT_EQ(again.cluster().trace_hash(), simulation.cluster().trace_hash())
        << "seed " << seed << " ran differently the second time";
  }
  return wrong.empty();
}

TEST(GroupSimulation, SafeUnderFaultsAndLiveAfterwards) {
  google::InstallFailureFunction(&DieWithSeed);
  FLAGS_minloglevel = google::GLOG_FATAL;
  size_t commits = 0;
  if (std::getenv("SLUICE_SIM_SEED") != nullptr) {
    RunSeed(FromEnvironment("SLUICE_SIM_SEED", 0), commits);
    return;
  }
  const uint64_t seeds = FromEnvironment("SLUICE_SIM_SEEDS", kSeedsDefault);
  int failures = 0;
  for (uint64_t seed = 1; seed <= seeds && failures < 5; ++seed)
    failures += RunSeed(seed, commits) ? 0 : 1;
  // A simulator in which nothing is ever committed would find nothing.
  EXPECT_GT(commits, seeds * 50);
  RecordProperty("commits", static_cast<int>(commits));
}

}  // namespace
}  // namespace sluice::broker::testing
