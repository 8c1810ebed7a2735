// Compaction among replicas, on simulated disks and network: each cleans its own log, followers
// read over the gaps, and the last record of each key survives whatever ends.
#include <gtest/gtest.h>

#include <map>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"
#include "storage/testing/sim_kv.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
constexpr PartitionIndex kZero{0};
constexpr char kTombstone[] = "(deleted)";

class CompactionTest : public ::testing::Test {
 protected:
  void Build(uint64_t seed = 1) { Build(testing::SimClusterOptions{.nodes = 3, .seed = seed}); }
  void Build(testing::SimClusterOptions options) {
    FLAGS_minloglevel = google::GLOG_FATAL;  // power cuts are a subject here
    cluster_ = std::make_unique<SimCluster>(std::move(options));
    key_ = {cluster_->CreateTopic("latest", {.min_isr = 2,
                                             .configs = {{"cleanup.policy", "compact"},
                                                         {"segment.bytes", "1500"},
                                                         {"delete.retention.ms", "100"},
                                                         {"min.cleanable.dirty.ratio", "0.01"}}}),
            kZero};
    cluster_->RunFor(200);
  }

  // One record to whoever leads; remembered when it was acknowledged.
  void Put(const std::string& key, const std::optional<std::string>& value) {
    const NodeId leader = cluster_->LeaderOf(key_);
    if (leader == kNoNode || !cluster_->alive(leader)) return;
    kafka::RecordBatchBuilder builder({});
    builder.Append({.timestamp_ms = cluster_->scheduler().clock().WallMs(),
                    .key = key,
                    .value = value,
                    .headers = {}});
    const auto batch = std::make_shared<std::string>(*builder.Build());
    ProduceRequestParams params;
    params.acks = -1;
    params.api_version = 9;
    params.timeout_ms = 3000;
    params.entries.push_back({key_, kafka::Records::View({batch, *batch})});
    const auto answered = std::make_shared<bool>(false);
    cluster_->replicas(leader)->Produce(
        std::move(params), [this, key, value, answered, batch](std::vector<ProduceEntryResult> r) {
          *answered = true;
          if (r[0].error != ErrorCode::kNone) return;
          const int64_t offset = r[0].base_offset.value();
          if (const auto known = newest_.find(key);
              known == newest_.end() || known->second.first < offset)
            newest_[key] = {offset, value.value_or(kTombstone)};
        });
    cluster_->RunUntil([&] { return *answered || !cluster_->alive(leader); }, 5000);
  }
  void PutMany(int count, int keys) {
    for (int i = 0; i < count; ++i) {
      const int n = next_++;
      Put("k" + std::to_string(n % keys), "v" + std::to_string(n));
    }
  }

  struct Found {
    int64_t offset;
    std::string value;
    friend bool operator==(const Found&, const Found&) = default;
  };
  // Of each key all that the node's log has, in order.
  std::map<std::string, std::vector<Found>> ByKey(NodeId id) {
    std::map<std::string, std::vector<Found>> found;
    const auto log = cluster_->logs(id).Find({"latest", kZero});
    for (Offset from = log->log_start_offset(); from < log->log_end_offset();) {
      const auto read = log->Read(from, 1 << 20, Offset(INT64_MAX), true);
      CHECK(read.ok()) << read.status().ToString();
      std::string bytes;
      for (const FileSlice& slice : read->slices) {
        const size_t at = bytes.size();
        bytes.resize(at + slice.size_bytes);
        CHECK(slice.file->ReadAt(slice.offset, bytes.data() + at, slice.size_bytes).ok());
      }
      kafka::BatchIterator batches(bytes);
      for (auto batch = batches.Next(); *batch; batch = batches.Next()) {
        from = (*batch)->next_offset();
        kafka::RecordIterator records(**batch, (*batch)->records());
        kafka::Record record;
        while (records.Next(record)) {
          found[std::string(*record.key)].push_back(
              {record.offset.value(), std::string(record.value.value_or(kTombstone))});
        }
      }
    }
    return found;
  }
  size_t RecordCount(NodeId id) {
    size_t count = 0;
    for (const auto& [key, records] : ByKey(id)) count += records.size();
    return count;
  }
  bool AllInSync() {
    return cluster_->RunUntil([&] { return cluster_->IsrSize(key_) == 3; }, 60000);
  }
  void CheckAll() {
    for (const NodeId id : {kOne, kTwo, kThree}) {
      auto found = ByKey(id);
      for (const auto& [key, newest] : newest_) {
        ASSERT_FALSE(found[key].empty()) << key << " is gone from node " << id;
        // Records whose acknowledgement was lost may follow it.
        const bool there = std::find(found[key].begin(), found[key].end(),
                                     Found{newest.first, newest.second}) != found[key].end();
        ASSERT_TRUE(there || found[key].back().offset > newest.first)
            << key << " on node " << id << " ends with " << found[key].back().value;
      }
    }
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;
  std::map<std::string, std::pair<int64_t, std::string>> newest_;
  int next_ = 0;
};

TEST_F(CompactionTest, EveryReplicaCleansItsOwnLog) {
  Build();
  PutMany(200, 10);
  cluster_->RunFor(5000);
  for (const NodeId id : {kOne, kTwo, kThree}) {
    EXPECT_LT(RecordCount(id), 60u) << "node " << id;
    EXPECT_EQ(cluster_->StatusOf(id, key_)->log_end_offset, Offset(200));
    EXPECT_EQ(cluster_->StatusOf(id, key_)->log_start_offset, Offset(0));
    EXPECT_GT(cluster_->replicas(id)->CompactionStats().bytes_removed, 0u);
  }
  CheckAll();
}

TEST_F(CompactionTest, ACommitWhoseNamesCannotBeSyncedTakesTheDirectoryOffline) {
  Build();
  PutMany(60, 10);
  cluster_->RunFor(50);  // all is flushed
  // The names of the new files are synced first, and then what they replaced.
  cluster_->disk(kThree).InjectFault({.operation = ::sluice::testing::FileOperation::kSyncDirectory,
                                      .path_part = "latest-0",
                                      .status = Status::IoError("EIO"),
                                      .skip = 1});
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->storage_failures(kThree) > 0; }, 60000));
  EXPECT_EQ(cluster_->StatusOf(kThree, key_)->error.find("its log directory has failed: "), 0U)
      << "no flush has failed";
  EXPECT_FALSE(cluster_->directory(kThree, 0)->online());
}

TEST_F(CompactionTest, AFollowerThatWasAwayReadsOverTheGapsAndCanLead) {
  Build();
  PutMany(20, 10);
  cluster_->Kill(kThree);
  PutMany(200, 10);
  cluster_->RunFor(5000);
  ASSERT_LT(RecordCount(kOne), 80u);
  cluster_->Start(kThree);
  ASSERT_TRUE(AllInSync());
  EXPECT_EQ(cluster_->StatusOf(kThree, key_)->log_end_offset, Offset(220));
  CheckAll();
  cluster_->Kill(kOne);
  cluster_->Kill(kTwo);
  cluster_->Start(kTwo);
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->IsrSize(key_) >= 2; }, 60000));
  PutMany(50, 10);
  cluster_->Start(kOne);
  ASSERT_TRUE(AllInSync());
  CheckAll();
}

TEST_F(CompactionTest, TombstonesStayWhereTheNodesViewIsNotDurable) {
  storage::testing::SimKvDisk disk;
  const auto open = [&disk](const char* directory) {
    return disk.Open({.directory = directory, .families = {"entries"}}).value();
  };
  // The first node's view is durable up to its end, the second's in part, the third has none.
  const auto one = open("/one"), two = open("/two"), three = open("/three");
  const auto applied = [](storage::Kv& kv, int64_t offset) {
    storage::KvBatch batch;
    batch.SetApplied("latest-0", Offset(offset));
    CHECK(kv.Write(batch).ok());
  };
  const std::function<std::optional<Offset>(NodeId, const storage::TopicPartition&)> stay_from =
      [&](NodeId id, const storage::TopicPartition& name) {
        return storage::TombstonesStayFrom(id == kOne   ? *one
                                           : id == kTwo ? *two
                                                        : *three,
                                           name.ToString());
      };
  Build({.nodes = 3, .tombstones_stay_from = &stay_from});
  Put("old", "value");
  Put("old", std::nullopt);
  applied(*one, 2);
  applied(*two, 1);
  CHECK(one->Flush().ok() && two->Flush().ok());
  applied(*two, 2);
  const auto has_tombstone = [this](NodeId id) { return !ByKey(id)["old"].empty(); };
  for (int round = 0; round < 4; ++round) {
    PutMany(60, 10);
    cluster_->RunFor(3000);
  }
  EXPECT_FALSE(has_tombstone(kOne));
  EXPECT_TRUE(has_tombstone(kTwo)) << "a crash would have it read again from offset 1 on";
  EXPECT_FALSE(has_tombstone(kThree));
  CHECK(two->Flush().ok());
  PutMany(60, 10);
  cluster_->RunFor(3000);
  EXPECT_FALSE(has_tombstone(kTwo));
  cluster_.reset();  // before the views
}

TEST_F(CompactionTest, NothingAcknowledgedIsLostWhateverEnds) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    newest_.clear();
    Build(seed);
    Random random(seed);
    for (int round = 0; round < 12; ++round) {
      PutMany(static_cast<int>(random.Below(60)), 10);
      cluster_->RunFor(random.Between(0, 1500));
      const NodeId victim(static_cast<int32_t>(1 + random.Below(3)));
      if (!cluster_->alive(victim)) continue;
      if (random.Chance(1, 2))
        cluster_->PowerCut(victim);
      else
        cluster_->Kill(victim);
      cluster_->RunFor(random.Between(0, 1500));
      PutMany(static_cast<int>(random.Below(20)), 10);
      cluster_->Start(victim);
      ASSERT_TRUE(AllInSync()) << cluster_->Describe(key_);
    }
    cluster_->RunFor(5000);
    CheckAll();
    for (const NodeId id : {kOne, kTwo, kThree})
      EXPECT_EQ(cluster_->replicas(id)->CompactionStats().uncleanable_partitions, 0u);
  }
}

}  // namespace
}  // namespace sluice::broker
