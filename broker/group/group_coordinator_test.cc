// The coordinator's surroundings on simulated brokers: what is answered when, and what becomes of
// it when writes fail, leaders move and brokers die. What groups decide is tested with the groups.
#include "broker/group/group_coordinator.h"

#include <gtest/gtest.h>

#include <map>

#include "base/testing/pausable_loop.h"
#include "broker/testing/sim_cluster.h"
#include "storage/testing/sim_kv.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::PausableLoop;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr char kTopic[] = "orders";

// A commit and what came of it.
struct SentCommit {
  bool answered = false;
  ErrorCode error = ErrorCode::kNone;
  bool acknowledged() const { return answered && error == ErrorCode::kNone; }
};

class GroupCoordinatorTest : public ::testing::Test {
 protected:
  void Build(SimTopicOptions topic, SimClusterOptions options = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    options.observed_topic = kOffsetsTopic;
    options.observer = &observer_;
    cluster_ = std::make_unique<SimCluster>(options);
    for (const NodeId id : cluster_->ids()) StartCoordinator(id);
    cluster_->CreateTopic(kTopic, {});
    key_ = {cluster_->CreateTopic(kOffsetsTopic, topic), PartitionIndex(0)};
    cluster_->RunFor(200);
  }
  void TearDown() override {
    for (const NodeId id : cluster_->ids()) {
      if (cluster_->alive(id)) Crash(id, false);
    }
  }

  struct Node {
    storage::testing::SimKvDisk disk;
    std::unique_ptr<storage::Kv> kv;
    std::unique_ptr<PausableLoop> loop;
    std::unique_ptr<GroupCoordinator> coordinator;
  };
  void StartCoordinator(NodeId id) {
    Node& node = nodes_[id];
    node.kv = *node.disk.Open({.directory = "/kv", .families = {"groups", "views"}});
    node.loop = std::make_unique<PausableLoop>(cluster_->scheduler());
    node.coordinator = GroupCoordinator::Create(OptionsOf(id));
  }
  GroupCoordinatorOptions OptionsOf(NodeId id) {
    Node& node = nodes_[id];
    GroupCoordinatorOptions options;
    options.state = &cluster_->state(id);
    options.metadata = &cluster_->cache(id);
    options.replicas = cluster_->replicas(id);
    options.loops = {node.loop.get()};
    options.background_loop = node.loop.get();
    options.clock = &cluster_->scheduler().clock();
    options.random = cluster_->random().Fork();
    options.store = {node.kv.get(), 0, 1};
    options.server_config = &server_config_;
    options.limits = limits_;
    options.write_timeout_ms = write_timeout_ms_;
    return options;
  }
  void OnChange(NodeId id, const PartitionKey& key) {
    if (nodes_[id].coordinator != nullptr) nodes_[id].coordinator->OnReplicaChanged(key);
  }
  // The replicas' last answers still find the loop.
  void Crash(NodeId id, bool power_cut) {
    Node& node = nodes_[id];
    power_cut ? cluster_->PowerCut(id) : cluster_->Kill(id);
    node.coordinator.reset();
    node.loop.reset();
    node.kv.reset();
  }
  void Restart(NodeId id) {
    cluster_->Start(id);
    StartCoordinator(id);
  }

  // A consumer without a group protocol, at broker `at`.
  static kafka::OffsetCommitRequest CommitOf(const std::string& group, int64_t offset) {
    kafka::OffsetCommitRequest request;
    request.group_id = group;
    auto& topic = request.topics.emplace_back();
    topic.name = kTopic;
    auto& position = topic.partitions.emplace_back();
    position.committed_offset = offset;
    position.committed_metadata = "";
    return request;
  }
  std::shared_ptr<SentCommit> Commit(NodeId at, const std::string& group, int64_t offset) {
    auto sent = std::make_shared<SentCommit>();
    nodes_[at].coordinator->Handle(
        {.version = 8}, CommitOf(group, offset), nullptr, [sent](GroupResponse response) {
          CHECK(!sent->answered) << "answered twice";
          sent->answered = true;
          sent->error = static_cast<ErrorCode>(
              std::get<kafka::OffsetCommitResponse>(response).topics[0].partitions[0].error_code);
        });
    return sent;
  }
  std::shared_ptr<SentCommit> Settle(std::shared_ptr<SentCommit> sent) {
    EXPECT_TRUE(cluster_->RunUntil([&] { return sent->answered; }));
    return sent;
  }

  struct Fetched {
    bool answered = false;
    ErrorCode error = ErrorCode::kNone;
    int64_t offset = -2;
  };
  Fetched FetchAt(NodeId at, const std::string& group) {
    FetchOffsets request;
    request.group.group_id = group;
    request.group.topics.emplace();
    auto& topic = request.group.topics->emplace_back();
    topic.name = kTopic;
    topic.partition_indexes = {0};
    const auto fetched = std::make_shared<Fetched>();
    nodes_[at].coordinator->Handle(
        {.version = 8}, std::move(request), nullptr, [fetched](GroupResponse response) {
          auto& answer = std::get<kafka::OffsetFetchResponse::OffsetFetchResponseGroup>(response);
          fetched->answered = true;
          fetched->error = static_cast<ErrorCode>(answer.error_code);
          if (!answer.topics.empty())
            fetched->offset = answer.topics[0].partitions[0].committed_offset;
        });
    EXPECT_TRUE(cluster_->RunUntil([&] { return fetched->answered; }));
    return *fetched;
  }
  kafka::ListGroupsResponse ListAt(NodeId at) {
    std::optional<kafka::ListGroupsResponse> listed;
    nodes_[at].coordinator->Handle(
        {.version = 5}, ListGroups{}, nullptr,
        [&](GroupResponse response) { listed = std::get<kafka::ListGroupsResponse>(response); });
    EXPECT_TRUE(cluster_->RunUntil([&] { return listed.has_value(); }));
    return listed.value_or(kafka::ListGroupsResponse());
  }
  // As a client: at the coordinator that there is, once it is ready.
  int64_t FetchSomehow(const std::string& group) {
    Fetched fetched;
    EXPECT_TRUE(cluster_->RunUntil(
        [&] {
          const NodeId leader = cluster_->LeaderOf(key_);
          if (leader == kNoNode || !cluster_->alive(leader)) return false;
          fetched = FetchAt(leader, group);
          return fetched.error == ErrorCode::kNone;
        },
        60000))
        << cluster_->Describe(key_) << " error " << fetched.error;
    return fetched.offset;
  }

  const std::function<void(NodeId, const PartitionKey&)> observer_ =
      [this](NodeId id, const PartitionKey& key) { OnChange(id, key); };
  ConfigValues server_config_{metadata::ServerConfigKeys()};
  GroupCoordinatorLimits limits_;
  int64_t write_timeout_ms_ = 5000;
  std::map<NodeId, Node> nodes_;
  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
};

TEST_F(GroupCoordinatorTest, ACommitIsReadBackAsSoonAsItIsAcknowledged) {
  Build({.min_isr = 2});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 42))->acknowledged());
  EXPECT_EQ(FetchAt(kOne, "g").offset, 42);
  EXPECT_EQ(FetchAt(kTwo, "g").error, ErrorCode::kNotCoordinator);
}

TEST_F(GroupCoordinatorTest, ACommitIsAcknowledgedOnlyWhenItIsReplicated) {
  write_timeout_ms_ = 60000;
  Build({.min_isr = 2}, {.replica_lag_ms_max = 60000});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 1))->acknowledged());
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  cluster_->Cut(kOne, kThree);
  const auto sent = Commit(kOne, "g", 2);
  cluster_->RunFor(1000);
  EXPECT_FALSE(sent->answered);
  EXPECT_EQ(FetchAt(kOne, "g").offset, 1);
  cluster_->Heal();
  EXPECT_TRUE(Settle(sent)->acknowledged());
  EXPECT_EQ(FetchAt(kOne, "g").offset, 2);
}

TEST_F(GroupCoordinatorTest, AWriteThatTakesTooLongIsAnsweredAndMayStillCount) {
  Build({.min_isr = 2}, {.replica_lag_ms_max = 60000});
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  cluster_->Cut(kOne, kThree);
  const auto sent = Commit(kOne, "g", 2);
  cluster_->RunFor(6000);
  ASSERT_TRUE(sent->answered);
  EXPECT_EQ(sent->error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(FetchAt(kOne, "g").offset, -1);
  cluster_->Heal();
  EXPECT_TRUE(cluster_->RunUntil([&] { return FetchAt(kOne, "g").offset == 2; }));
  EXPECT_TRUE(Settle(Commit(kOne, "g", 3))->acknowledged());
}

TEST_F(GroupCoordinatorTest, ARefusedWriteLeavesNothingBehind) {
  Build({.replicas = {kOne, kTwo}, .min_isr = 2}, {.nodes = 2});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 1))->acknowledged());
  Crash(kTwo, false);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  cluster_->RunFor(100);
  EXPECT_EQ(Settle(Commit(kOne, "g", 2))->error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(FetchAt(kOne, "g").offset, 1);
  Restart(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 2; }, 60000));
  cluster_->RunFor(10);  // until the leader knows, too
  EXPECT_EQ(FetchAt(kOne, "g").offset, 1);
  EXPECT_TRUE(Settle(Commit(kOne, "g", 3))->acknowledged());
}

TEST_F(GroupCoordinatorTest, WhatIsQueuedTogetherIsOneBatch) {
  Build({.min_isr = 2});
  std::vector<std::shared_ptr<SentCommit>> sent;
  for (int i = 0; i < 100; ++i) sent.push_back(Commit(kOne, "g" + std::to_string(i), i));
  for (const auto& commit : sent) EXPECT_TRUE(Settle(commit)->acknowledged());
  const auto log = cluster_->logs(kOne).Find({kOffsetsTopic, PartitionIndex(0)});
  EXPECT_EQ(log->log_end_offset(), Offset(100));
  OutputChain chain;
  const auto read = log->Read(Offset(0), 1 << 20, Offset(100), true);
  for (const FileSlice& slice : read->slices) chain.Add(slice);
  const std::string bytes = *Flatten(chain);
  EXPECT_EQ(kafka::RecordBatchView::Parse(bytes)->record_count(), 100);
}

TEST_F(GroupCoordinatorTest, ABatchIsNoLargerThanTheTopicAllows) {
  Build({.min_isr = 2, .configs = {{"max.message.bytes", "1000"}}});
  std::vector<std::shared_ptr<SentCommit>> sent;
  for (int i = 0; i < 100; ++i) sent.push_back(Commit(kOne, "g" + std::to_string(i), i));
  for (const auto& commit : sent) EXPECT_TRUE(Settle(commit)->acknowledged());
  EXPECT_EQ(Settle(Commit(kOne, std::string(2000, 'x'), 1))->error,
            ErrorCode::kInvalidCommitOffsetSize);
  EXPECT_EQ(FetchAt(kOne, "g99").offset, 99);
}

TEST_F(GroupCoordinatorTest, WhatNoBatchHoldsIsRefusedAlone) {
  Build({.min_isr = 2, .configs = {{"max.message.bytes", "1000"}}});
  EXPECT_TRUE(Settle(Commit(kOne, "before", 1))->acknowledged());
  nodes_[kOne].loop->Pause();
  const auto before = Commit(kOne, "before", 2);
  const auto large = Commit(kOne, std::string(2000, 'x'), 1);
  const auto behind = Commit(kOne, "behind", 3);
  nodes_[kOne].loop->Resume();
  EXPECT_TRUE(Settle(before)->acknowledged());
  EXPECT_EQ(Settle(large)->error, ErrorCode::kInvalidCommitOffsetSize);
  EXPECT_TRUE(Settle(behind)->acknowledged());
}

TEST_F(GroupCoordinatorTest, ANewCoordinatorKnowsWhatTheOldOneAcknowledged) {
  Build({.min_isr = 2});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 7))->acknowledged());
  cluster_->controller().MoveLeader(kOffsetsTopic, PartitionIndex(0), kTwo);
  EXPECT_EQ(FetchSomehow("g"), 7);
  EXPECT_EQ(cluster_->LeaderOf(key_), kTwo);
  EXPECT_EQ(FetchAt(kOne, "g").error, ErrorCode::kNotCoordinator);
  EXPECT_TRUE(Settle(Commit(kTwo, "g", 8))->acknowledged());
}

TEST_F(GroupCoordinatorTest, WhoWaitsWhenTheLeaderMovesIsSentAway) {
  Build({.min_isr = 2});
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  cluster_->Cut(kOne, kThree);
  const auto sent = Commit(kOne, "g", 2);
  cluster_->RunFor(100);
  cluster_->controller().MoveLeader(kOffsetsTopic, PartitionIndex(0), kTwo);
  EXPECT_EQ(Settle(sent)->error, ErrorCode::kNotCoordinator);
  EXPECT_EQ(FetchSomehow("g"), -1);
}

// The thread of the groups stood still while another broker led.
TEST_F(GroupCoordinatorTest, WhatAnEndedEpochDecidesIsNotWrittenInALaterOne) {
  Build({.min_isr = 2});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 1))->acknowledged());
  cluster_->RunFor(100);
  nodes_[kOne].loop->Pause();
  const auto sent = Commit(kOne, "g", 2);
  cluster_->RunFor(10);
  cluster_->controller().MoveLeader(kOffsetsTopic, PartitionIndex(0), kTwo);
  EXPECT_EQ(FetchSomehow("g"), 1);
  EXPECT_TRUE(Settle(Commit(kTwo, "g", 3))->acknowledged());
  cluster_->controller().MoveLeader(kOffsetsTopic, PartitionIndex(0), kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->StatusOf(kOne, key_)->is_leader; }));
  nodes_[kOne].loop->Resume();
  EXPECT_EQ(Settle(sent)->error, ErrorCode::kNotCoordinator);
  cluster_->RunFor(1000);
  EXPECT_EQ(FetchSomehow("g"), 3);
}

TEST_F(GroupCoordinatorTest, WhoHasLostTouchAnswersNobody) {
  Build({.min_isr = 2});
  EXPECT_TRUE(Settle(Commit(kOne, "g", 1))->acknowledged());
  cluster_->Isolate(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->LeaderOf(key_) != kOne; }));
  EXPECT_EQ(FetchAt(kOne, "g").error, ErrorCode::kNotCoordinator);
  // No list would say that there are no groups.
  EXPECT_EQ(ListAt(kOne).error_code, kafka::WireError(ErrorCode::kCoordinatorNotAvailable));
  EXPECT_EQ(FetchSomehow("g"), 1);
}

TEST_F(GroupCoordinatorTest, TooMuchAtOnceIsPutOff) {
  limits_.queued_requests_max = 10;
  Build({.min_isr = 2});
  std::vector<std::shared_ptr<SentCommit>> sent;
  for (int i = 0; i < 11; ++i) sent.push_back(Commit(kOne, "g", i));
  EXPECT_EQ(sent.back()->error, ErrorCode::kCoordinatorLoadInProgress);
  for (const auto& commit : sent) Settle(commit);
  EXPECT_TRUE(sent.front()->acknowledged());
}

TEST_F(GroupCoordinatorTest, UnwrittenBytesAreBounded) {
  limits_.unwritten_bytes_max = 1000;
  write_timeout_ms_ = 60000;
  Build({.min_isr = 2}, {.replica_lag_ms_max = 60000});
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  cluster_->Cut(kOne, kThree);
  std::vector<std::shared_ptr<SentCommit>> sent;
  for (int i = 0; i < 100; ++i) {
    sent.push_back(Commit(kOne, "g" + std::to_string(i), i));
    cluster_->RunFor(1);
  }
  EXPECT_EQ(sent.back()->error, ErrorCode::kCoordinatorLoadInProgress);
  cluster_->Heal();
  EXPECT_TRUE(Settle(sent.front())->acknowledged());
  EXPECT_TRUE(Settle(Commit(kOne, "g", 1))->acknowledged());
}

TEST_F(GroupCoordinatorTest, TheListHasTheGroupsOfAllPartitions) {
  Build({.partitions = 6, .min_isr = 2});
  std::map<std::string, NodeId> coordinators;
  for (int i = 0; i < 30; ++i) {
    const std::string group = "g" + std::to_string(i);
    const PartitionIndex partition(PartitionForGroup(group, 6));
    const NodeId leader = cluster_->LeaderOf({key_.topic_id, partition});
    coordinators[group] = leader;
    EXPECT_TRUE(Settle(Commit(leader, group, i))->acknowledged()) << group;
  }
  for (const NodeId id : cluster_->ids()) {
    const kafka::ListGroupsResponse listed = ListAt(id);
    EXPECT_EQ(listed.error_code, 0);
    std::set<std::string> names, expected;
    for (const auto& group : listed.groups) names.insert(group.group_id);
    for (const auto& [group, leader] : coordinators) {
      if (leader == id) expected.insert(group);
    }
    EXPECT_EQ(names, expected) << id;
  }
}

TEST_F(GroupCoordinatorTest, AClientThatHasGoneIsNotAnswered) {
  Build({.min_isr = 2});
  ParkedRequests client;
  bool answered = false;
  nodes_[kOne].coordinator->Handle({.version = 5}, ListGroups{}, &client,
                                   [&](GroupResponse) { answered = true; });
  client.AbandonAll();
  cluster_->RunFor(1000);
  EXPECT_FALSE(answered);
}

// Consumers that come all at once, each as a client of these days: with the id that it is given. A
// small group has the same coordinator, and goes on all the time.
class JoinStormTest : public GroupCoordinatorTest {
 protected:
  static constexpr int kCrowd = 5000;
  static constexpr int16_t kVersion = 9;

  struct Member {
    std::string group;
    std::string metadata;
    std::string id;
    int32_t generation = -1;
    bool settled = false;
    ErrorCode refusal = ErrorCode::kNone;  // that it does not get over
  };

  void Join(Member& member) {
    member.settled = false;
    kafka::JoinGroupRequest join;
    join.group_id = member.group;
    join.member_id = member.id;
    join.session_timeout_ms = 45000;
    join.rebalance_timeout_ms = 60000;
    join.protocol_type = "consumer";
    join.protocols.resize(1);
    join.protocols[0].name = "range";
    join.protocols[0].metadata = member.metadata;
    nodes_[kOne].coordinator->Handle(
        CallerOf(member), std::move(join), nullptr, [this, &member](GroupResponse response) {
          OnJoined(member, std::get<kafka::JoinGroupResponse>(response));
        });
  }
  void OnJoined(Member& member, const kafka::JoinGroupResponse& joined) {
    switch (static_cast<ErrorCode>(joined.error_code)) {
      case ErrorCode::kMemberIdRequired: member.id = joined.member_id; return Join(member);
      case ErrorCode::kUnknownMemberId: member.id.clear(); return Join(member);
      case ErrorCode::kNone: break;
      default: member.refusal = static_cast<ErrorCode>(joined.error_code); return;
    }
    member.generation = joined.generation_id;
    kafka::SyncGroupRequest sync;
    sync.group_id = member.group;
    sync.member_id = member.id;
    sync.generation_id = joined.generation_id;
    sync.protocol_type = "consumer";
    sync.protocol_name = "range";
    for (const auto& each : joined.members) {
      auto& assigned = sync.assignments.emplace_back();
      assigned.member_id = each.member_id;
      assigned.assignment = "assigned";
    }
    nodes_[kOne].coordinator->Handle(
        CallerOf(member), std::move(sync), nullptr, [this, &member](GroupResponse response) {
          const auto error =
              static_cast<ErrorCode>(std::get<kafka::SyncGroupResponse>(response).error_code);
          if (error == ErrorCode::kRebalanceInProgress) return Join(member);
          member.settled = error == ErrorCode::kNone;
          if (!member.settled) member.refusal = error;
        });
  }
  static GroupCaller CallerOf(const Member& member) {
    return {.version = kVersion, .client_id = member.group, .client_host = "/127.0.0.1"};
  }
  ErrorCode Beat(const Member& member) {
    kafka::HeartbeatRequest beat;
    beat.group_id = member.group;
    beat.member_id = member.id;
    beat.generation_id = member.generation;
    std::optional<ErrorCode> error;
    nodes_[kOne].coordinator->Handle(
        CallerOf(member), std::move(beat), nullptr, [&](GroupResponse response) {
          error = static_cast<ErrorCode>(std::get<kafka::HeartbeatResponse>(response).error_code);
        });
    EXPECT_TRUE(cluster_->RunUntil([&] { return error.has_value(); }));
    return error.value_or(ErrorCode::kUnknownServerError);
  }

  // Until each of the crowd has its share, or has been refused. The neighbour's commits and
  // heartbeats are answered between any two looks.
  void RunStorm(const std::string& metadata) {
    Build({.min_isr = 2});
    Member neighbour{.group = "small"};
    Join(neighbour);
    ASSERT_TRUE(cluster_->RunUntil([&] { return neighbour.settled; }));
    crowd_.resize(kCrowd, Member{.group = "crowd", .metadata = metadata});
    for (Member& member : crowd_) Join(member);
    int64_t offset = 0;
    const auto done = [&] {
      return std::all_of(crowd_.begin(), crowd_.end(), [](const Member& member) {
        return member.settled || member.refusal != ErrorCode::kNone;
      });
    };
    for (int step = 0; step < 600 && !done(); ++step) {
      ASSERT_TRUE(Settle(Commit(kOne, "alone", ++offset))->acknowledged());
      ASSERT_EQ(Beat(neighbour), ErrorCode::kNone);
      cluster_->RunFor(100);
    }
    ASSERT_TRUE(done());
    EXPECT_EQ(FetchAt(kOne, "alone").offset, offset);
    EXPECT_EQ(Beat(neighbour), ErrorCode::kNone);
  }
  size_t settled() const {
    return static_cast<size_t>(std::count_if(crowd_.begin(), crowd_.end(),
                                             [](const Member& member) { return member.settled; }));
  }

  std::vector<Member> crowd_;
};

TEST_F(JoinStormTest, EachOfACrowdIsLetIn) {
  RunStorm("what it subscribes to");
  EXPECT_EQ(settled(), crowd_.size());
}

TEST_F(JoinStormTest, ACrowdWhoseRecordNoBatchHoldsIsRefusedAlone) {
  RunStorm(std::string(1000, 'm'));
  EXPECT_EQ(settled(), 0u);
  const auto hears = [&](ErrorCode error) {
    return std::count_if(crowd_.begin(), crowd_.end(),
                         [error](const Member& member) { return member.refusal == error; });
  };
  EXPECT_GT(hears(ErrorCode::kUnknownServerError), 0);
  // Those whose SyncGroup comes when the group is as it was before them.
  EXPECT_EQ(hears(ErrorCode::kUnknownServerError) + hears(ErrorCode::kUnknownMemberId), kCrowd);
}

// Commits to a few groups while brokers die and leaders move: no acknowledged position is ever
// forgotten, and none moves back.
class GroupCoordinatorRandomTest : public GroupCoordinatorTest,
                                   public ::testing::WithParamInterface<uint64_t> {
 protected:
  static constexpr int kGroups = 5;
  static std::string NameOf(int group) { return "g" + std::to_string(group); }

  void CommitSome(Random& random) {
    for (int group = 0; group < kGroups; ++group) {
      auto& sent = sent_[group];
      if (sent != nullptr && sent->acknowledged())
        acknowledged_[group] = std::max(acknowledged_[group], last_[group]);
      const NodeId leader = cluster_->LeaderOf(key_);
      if (leader == kNoNode || !cluster_->alive(leader) || random.Chance(1, 3)) continue;
      // One at a time for each group, or which of two is the last would not be known.
      if (sent != nullptr && !sent->answered && sent_at_[group] == leader) continue;
      sent = Commit(leader, NameOf(group), ++last_[group]);
      sent_at_[group] = leader;
    }
  }
  void Disturb(Random& random) {
    const NodeId id{static_cast<int32_t>(random.Between(1, 3))};
    int alive = 0;
    for (const NodeId each : cluster_->ids()) alive += cluster_->alive(each) ? 1 : 0;
    switch (random.Below(6)) {
      case 0:
        if (cluster_->alive(id) && alive == 3) Crash(id, random.Chance(1, 2));
        return;
      case 1:
      case 2:
        if (!cluster_->alive(id)) Restart(id);
        return;
      case 3:
        if (!cluster_->alive(id)) return;
        EXPECT_TRUE(nodes_[id].kv->Flush().ok());
        return;
      case 4:
        if (cluster_->alive(id) && metadata::InIsr(cluster_->ImageOf(key_), id))
          cluster_->controller().MoveLeader(kOffsetsTopic, PartitionIndex(0), id);
        return;
      default: cluster_->RunFor(random.Between(0, 1500)); return;
    }
  }

  std::map<int, std::shared_ptr<SentCommit>> sent_;
  std::map<int, NodeId> sent_at_;
  std::map<int, int64_t> last_, acknowledged_;
};

TEST_P(GroupCoordinatorRandomTest, NothingAcknowledgedIsLost) {
  Random random(GetParam());
  Build({.min_isr = 2}, {.seed = GetParam()});
  for (int round = 0; round < 100; ++round) {
    for (int n = 0; n < 4; ++n) {
      CommitSome(random);
      cluster_->RunFor(random.Between(0, 20));
    }
    Disturb(random);
    if (HasFailure()) return;
  }
  for (const NodeId id : cluster_->ids()) {
    if (!cluster_->alive(id)) Restart(id);
  }
  cluster_->RunFor(3000);
  CommitSome(random);
  int some = 0;
  for (int group = 0; group < kGroups; ++group) {
    EXPECT_GE(FetchSomehow(NameOf(group)), acknowledged_[group]) << NameOf(group);
    if (acknowledged_[group] > 10) ++some;
  }
  EXPECT_GT(some, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GroupCoordinatorRandomTest, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace sluice::broker
