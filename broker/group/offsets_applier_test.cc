// The views of __consumer_offsets on simulated brokers: whatever happens to processes, machines and
// leaders, a view holds what a replay of its log up to the applied offset would hold.
#include "broker/group/offsets_applier.h"

#include <gtest/gtest.h>

#include <map>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"
#include "storage/testing/sim_kv.h"

namespace sluice::broker {
namespace {

using ::sluice::testing::SimEventLoop;
using testing::SimCluster;
using testing::SimClusterOptions;
using testing::SimTopicOptions;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
using Entries = std::map<std::string, std::string>;

// The log's bytes from its start up to `upto`.
std::string LogBytes(storage::Log& log, Offset upto) {
  OutputChain chain;
  const auto read = log.Read(log.log_start_offset(), size_t{1} << 30, upto, true);
  CHECK(read.ok()) << read.status().ToString();
  for (const FileSlice& slice : read->slices) chain.Add(slice);
  return *Flatten(chain);
}

// The simplest replay there is.
Entries Replay(std::string_view bytes) {
  Entries entries;
  kafka::BatchIterator batches(bytes);
  for (;;) {
    const auto batch = batches.Next();
    CHECK(batch.ok()) << batch.status().ToString();
    if (!batch->has_value()) return entries;
    kafka::RecordIterator records(**batch, (*batch)->records());
    for (kafka::Record record; records.Next(record);) {
      if (record.value.has_value())
        entries[std::string(*record.key)] = std::string(*record.value);
      else
        entries.erase(std::string(*record.key));
    }
  }
}

Entries EntriesOf(const OffsetsView& view) {
  Entries entries;
  CHECK(view.ForEach(GroupView::Upto::kHighWatermark, {},
                     [&](std::string_view key, std::string_view value) {
                       entries.emplace(key, value);
                       return true;
                     })
            .ok());
  return entries;
}

// Keeps the view of one partition on every node of a cluster.
class OffsetsApplierTest : public ::testing::Test {
 protected:
  void Build(SimTopicOptions topic, SimClusterOptions options = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    options.observed_topic = kOffsetsTopic;
    options.observer = &observer_;
    cluster_ = std::make_unique<SimCluster>(options);
    for (const NodeId id : cluster_->ids()) OpenKv(id);
    key_ = {cluster_->CreateTopic(kOffsetsTopic, topic), PartitionIndex(0)};
    cluster_->RunFor(200);
  }
  void TearDown() override {
    for (auto& [id, node] : nodes_) node.loop.reset();
    cluster_.reset();
  }

  // One broker's part; kv, view and applier go with its process, the disk stays.
  struct Node {
    storage::testing::SimKvDisk disk;
    std::unique_ptr<storage::Kv> kv;
    std::unique_ptr<OffsetsView> view;
    std::unique_ptr<OffsetsApplier> applier;
    std::unique_ptr<SimEventLoop> loop;
    int steps = 0;
  };
  void OpenKv(NodeId id) {
    Node& node = nodes_[id];
    node.kv = *node.disk.Open({.directory = "/kv", .families = {"groups", "views"}});
    node.loop = std::make_unique<SimEventLoop>(cluster_->scheduler());
  }
  void OnChange(NodeId id, const PartitionKey& key) {
    Node& node = nodes_[id];
    if (node.loop == nullptr) return;
    node.loop->Post([this, id, key] { Step(id, key); });
  }
  void Step(NodeId id, const PartitionKey& key) {
    Node& node = nodes_[id];
    if (node.applier == nullptr) {
      node.view = std::make_unique<OffsetsView>(OffsetsStore{node.kv.get(), 0, 1}, key.topic_id,
                                                key.partition);
      node.applier = std::make_unique<OffsetsApplier>(*node.view, *cluster_->replicas(id), key);
    }
    ++node.steps;
    if (!node.applier->Look()) {
      CHECK(node.view->Forget().ok());
      node.applier.reset();
      node.view.reset();
      return;
    }
    switch (node.applier->Apply(0)) {
      case OffsetsApplier::Outcome::kUpToDate: return;
      case OffsetsApplier::Outcome::kMore:
        return node.loop->Post([this, id, key] { Step(id, key); });
      case OffsetsApplier::Outcome::kLater:
        node.loop->RunAfter(100, [this, id, key] { Step(id, key); });
        return;
    }
  }

  void Crash(NodeId id, bool power_cut) {
    Node& node = nodes_[id];
    node.loop.reset();
    node.applier.reset();
    node.view.reset();
    node.kv.reset();
    power_cut ? cluster_->PowerCut(id) : cluster_->Kill(id);
  }
  void Restart(NodeId id) {
    OpenKv(id);
    cluster_->Start(id);
  }

  std::string Batch(
      const std::vector<std::pair<std::string, std::optional<std::string>>>& records) {
    kafka::RecordBatchBuilder builder({});
    for (const auto& [key, value] : records)
      builder.Append({.timestamp_ms = cluster_->scheduler().clock().WallMs(),
                      .key = key,
                      .value = value,
                      .headers = {}});
    return *builder.Build();
  }
  void Put(const std::string& key, std::optional<std::string> value) {
    const auto sent = cluster_->ProduceBatch(cluster_->LeaderOf(key_), key_, Batch({{key, value}}));
    ASSERT_TRUE(cluster_->RunUntil([&] { return sent->answered; }));
    ASSERT_EQ(sent->error, kafka::ErrorCode::kNone);
  }

  // Each view that is there equals the replay of its own log.
  void ExpectReplays() {
    for (const NodeId id : cluster_->ids()) {
      const Node& node = nodes_[id];
      if (!cluster_->alive(id) || node.view == nullptr || !node.view->applied().has_value())
        continue;
      const auto log = cluster_->logs(id).Find({kOffsetsTopic, PartitionIndex(0)});
      if (log == nullptr || log->log_end_offset() < *node.view->applied()) continue;
      // A cut that the observer has not looked at yet; or what is applied was committed once, and
      // the log of a restarted machine does not have all of it again.
      if (!UpToDate(id)) continue;
      EXPECT_EQ(EntriesOf(*node.view), Replay(LogBytes(*log, *node.view->applied())))
          << "node " << id << " at " << *node.view->applied() << cluster_->Describe(key_);
    }
  }
  bool UpToDate(NodeId id) {
    const auto status = cluster_->StatusOf(id, key_);
    const Node& node = nodes_[id];
    return status.has_value() && node.view != nullptr &&
           node.view->applied() == status->high_watermark;
  }
  bool AllUpToDate() {
    for (const NodeId id : cluster_->ids()) {
      if (!cluster_->alive(id) || !UpToDate(id)) return false;
      if (cluster_->StatusOf(id, key_)->high_watermark !=
          cluster_->StatusOf(cluster_->LeaderOf(key_), key_)->log_end_offset)
        return false;
    }
    return true;
  }

  const std::function<void(NodeId, const PartitionKey&)> observer_ =
      [this](NodeId id, const PartitionKey& key) { OnChange(id, key); };
  std::map<NodeId, Node> nodes_;
  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
};

TEST_F(OffsetsApplierTest, EveryReplicaHoldsWhatIsCommitted) {
  Build({.min_isr = 2});
  Put("a", "1");
  Put("b", "2");
  Put("a", "3");
  Put("b", std::nullopt);
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  for (const NodeId id : cluster_->ids())
    EXPECT_EQ(EntriesOf(*nodes_[id].view), (Entries{{"a", "3"}})) << id;
}

TEST_F(OffsetsApplierTest, NothingThatIsNotCommittedIsApplied) {
  Build({.min_isr = 2});
  Put("a", "1");
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  cluster_->Cut(kOne, kThree);
  ASSERT_EQ(cluster_->LeaderOf(key_), kOne);
  const auto sent = cluster_->ProduceBatch(kOne, key_, Batch({{"a", "2"}}));
  cluster_->RunFor(500);
  EXPECT_FALSE(sent->acknowledged());
  EXPECT_EQ(EntriesOf(*nodes_[kOne].view), (Entries{{"a", "1"}}));
}

TEST_F(OffsetsApplierTest, AProcessGoesOnFromWhatWasFlushed) {
  Build({.min_isr = 2});
  for (int i = 0; i < 50; ++i) Put("k" + std::to_string(i), "old");
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  ASSERT_TRUE(nodes_[kThree].kv->Flush().ok());
  Put("k7", "new");
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  Crash(kThree, false);
  Restart(kThree);
  EXPECT_EQ(*nodes_[kThree].kv->Applied("__consumer_offsets-0"), Offset(50));
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  ExpectReplays();
  EXPECT_EQ(*nodes_[kThree].view->Get(GroupView::Upto::kHighWatermark, "k7"), "new");
}

TEST_F(OffsetsApplierTest, ACutBelowWhatIsAppliedBeginsAnew) {
  Build({.replicas = {kOne, kTwo}}, {.nodes = 2});
  Put("a", "1");
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  cluster_->set_auto_fence(false);
  Crash(kTwo, false);
  // Alone in the ISR it commits what no other has; then the other leads, without it.
  cluster_->set_auto_fence(true);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 1; }));
  Put("a", "2");
  Put("gone", "3");
  ASSERT_TRUE(cluster_->RunUntil([&] { return UpToDate(kOne); }));
  ASSERT_TRUE(nodes_[kOne].kv->Flush().ok());
  Crash(kOne, false);
  Restart(kTwo);
  cluster_->RunFor(1000);
  cluster_->controller().ForceLeader(kOffsetsTopic, PartitionIndex(0), kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kTwo, key_);
    return status.has_value() && status->is_leader;
  }));
  Put("b", "4");
  Restart(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  ExpectReplays();
  EXPECT_EQ(EntriesOf(*nodes_[kOne].view), (Entries{{"a", "1"}, {"b", "4"}}));
}

TEST_F(OffsetsApplierTest, ATopicMadeAnewUnderTheNameInheritsNothing) {
  Build({.min_isr = 2});
  Put("a", "1");
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }));
  for (const NodeId id : cluster_->ids()) ASSERT_TRUE(nodes_[id].kv->Flush().ok());
  OffsetsView other({nodes_[kOne].kv.get(), 0, 1}, TopicId(Uuid::Generate(cluster_->random())),
                    PartitionIndex(0));
  ASSERT_TRUE(other.Open().ok());
  EXPECT_FALSE(other.applied().has_value());
  ASSERT_TRUE(other.Restart(Offset(0)).ok());
  EXPECT_TRUE(EntriesOf(other).empty());
}

// Writes, crashes, moves and unclean elections at random.
class OffsetsApplierRandomTest : public OffsetsApplierTest,
                                 public ::testing::WithParamInterface<uint64_t> {
 protected:
  void WriteSome(Random& random) {
    const NodeId leader = cluster_->LeaderOf(key_);
    if (leader == kNoNode || !cluster_->alive(leader)) return;
    std::vector<std::pair<std::string, std::optional<std::string>>> records;
    for (uint64_t n = random.Between(1, 5); n > 0; --n) {
      std::optional<std::string> value;
      if (!random.Chance(1, 4)) value = std::to_string(++written_);
      records.emplace_back("key" + std::to_string(random.Below(20)), value);
    }
    cluster_->ProduceBatch(leader, key_, Batch(records));
  }
  void Disturb(Random& random) {
    const NodeId id{static_cast<int32_t>(random.Between(1, 3))};
    const NodeId leader = cluster_->LeaderOf(key_);
    switch (random.Below(6)) {
      case 0:
        if (cluster_->alive(id)) Crash(id, random.Chance(1, 2));
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
        if (cluster_->alive(id) && id != leader)
          cluster_->controller().ForceLeader(kOffsetsTopic, PartitionIndex(0), id);
        return;
      default: cluster_->RunFor(random.Between(0, 1500)); return;
    }
  }

  int written_ = 0;
};

TEST_P(OffsetsApplierRandomTest, AViewIsAReplayWhateverHappens) {
  Random random(GetParam());
  Build({.min_isr = 1, .fsync = GetParam() % 2 == 0}, {.seed = GetParam()});
  for (int round = 0; round < 120; ++round) {
    for (int n = 0; n < 4; ++n) {
      WriteSome(random);
      cluster_->RunFor(random.Between(0, 20));
    }
    Disturb(random);
    ExpectReplays();
    if (HasFailure()) return;
  }
  for (const NodeId id : cluster_->ids()) {
    if (!cluster_->alive(id)) Restart(id);
  }
  cluster_->RunFor(2000);
  if (cluster_->LeaderOf(key_) == kNoNode)
    cluster_->controller().ForceLeader(kOffsetsTopic, PartitionIndex(0), kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] { return AllUpToDate(); }, 60000)) << cluster_->Describe(key_);
  ExpectReplays();
}

INSTANTIATE_TEST_SUITE_P(Seeds, OffsetsApplierRandomTest, ::testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace sluice::broker
