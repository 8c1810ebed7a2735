// Fetches and look-ups of old records: whoever asks never waits for the disk, a worker does, and
// the answer is that of a log in memory.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using ::sluice::testing::SimFileSystem;
using testing::SimCluster;

constexpr NodeId kOne{1}, kTwo{2};
constexpr int kBatches = 700;  // so many that their index entries are in files

class ColdFetchTest : public ::testing::Test {
 protected:
  void Build(int nodes = 1, int partitions = 1, int64_t lag_ms_max = 2000,
             metadata::ConfigMap configs = {}) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    cluster_ = std::make_unique<SimCluster>(
        testing::SimClusterOptions{.nodes = nodes, .replica_lag_ms_max = lag_ms_max});
    // Each batch is in the index, and no look-up ends in the few that are remembered.
    configs["index.interval.bytes"] = "0";
    const TopicId topic =
        cluster_->CreateTopic("orders", {.partitions = partitions, .configs = std::move(configs)});
    key_ = {topic, PartitionIndex(0)};
    for (int i = 0; i < partitions; ++i) {
      const PartitionKey key{topic, PartitionIndex(i)};
      if (cluster_->LeaderOf(key) == cluster_->LeaderOf(key_)) keys_.push_back(key);
    }
    cluster_->RunFor(100);
    if (nodes == 2) {
      cluster_->set_auto_fence(false);
      follower_ = cluster_->LeaderOf(key_) == kOne ? kTwo : kOne;
      cluster_->Kill(follower_);
    }
    start_ms_ = cluster_->scheduler().clock().WallMs();
    for (int i = 0; i < kBatches; ++i) {
      for (const PartitionKey& key : keys_) {
        const auto produced =
            cluster_->Produce(cluster_->LeaderOf(key), key, std::string(500, 'v'), 1);
        CHECK(cluster_->RunUntil([&] { return produced->acknowledged(); }));
      }
      cluster_->RunFor(10);
    }
    cluster_->RunFor(20'000);
    MakeCold();
  }
  void MakeCold() {
    CHECK(disk().SyncFileSystem("/").ok());
    disk().DropCaches(".log");
    disk().DropCaches(".index");
    disk().DropCaches(".timeindex");
  }
  SimFileSystem& disk() { return cluster_->disk(cluster_->LeaderOf(key_)); }
  ReplicaManager& leader() { return *cluster_->replicas(cluster_->LeaderOf(key_)); }

  FetchRequestParams At(int64_t offset) const { return At({key_}, offset); }
  static FetchRequestParams At(const std::vector<PartitionKey>& keys, int64_t offset) {
    FetchRequestParams params{.size_bytes_min = 1, .size_bytes_max = 64 << 20};
    for (const PartitionKey& key : keys) {
      params.entries.push_back(
          {.key = key, .fetch_offset = Offset(offset), .size_bytes_max = 1 << 20});
    }
    return params;
  }
  struct Answer {
    int count = 0;
    FetchEntryResult result;                // of the first entry
    std::vector<FetchEntryResult> results;  // of all
  };
  std::shared_ptr<Answer> Fetch(FetchRequestParams params) {
    auto answer = std::make_shared<Answer>();
    const uint64_t waits = disk().counts().waits;
    leader().Fetch(std::move(params), [answer](const std::vector<FetchEntryResult>& results) {
      ++answer->count;
      answer->result = results[0];
      answer->results = results;
    });
    EXPECT_EQ(disk().counts().waits, waits) << "who asked waited for the disk";
    return answer;
  }
  std::shared_ptr<std::vector<ListOffsetsResult>> List(int64_t timestamp_ms,
                                                       ParkedRequests* client = nullptr) {
    auto answer = std::make_shared<std::vector<ListOffsetsResult>>();
    const uint64_t waits = disk().counts().waits;
    leader().ListOffsets({{.key = key_, .timestamp_ms = timestamp_ms}}, client,
                         [answer](auto results) { *answer = std::move(results); });
    EXPECT_EQ(disk().counts().waits, waits) << "who asked waited for the disk";
    return answer;
  }

  std::unique_ptr<SimCluster> cluster_;
  PartitionKey key_;                // the first of:
  std::vector<PartitionKey> keys_;  // those with its leader
  int64_t start_ms_ = 0;
  NodeId follower_ = kNoNode;  // of two nodes, the one that is down
};

TEST_F(ColdFetchTest, AFetchOfOldRecordsIsAnsweredAfterTheWorker) {
  Build();
  const uint64_t waits = disk().counts().waits;
  const auto answer = Fetch(At(100));
  EXPECT_EQ(answer->count, 0);
  ASSERT_TRUE(cluster_->RunUntil([&] { return answer->count > 0; }));
  EXPECT_GT(disk().counts().waits, waits);
  EXPECT_EQ(answer->result.error, ErrorCode::kNone);
  ASSERT_EQ(answer->result.records.size(), 1u);
  EXPECT_FALSE(answer->result.records[0].hot);
  EXPECT_GT(answer->result.size_bytes, 500u * 599);
  // What is in memory now is answered at once.
  EXPECT_EQ(Fetch(At(100))->count, 1);
  cluster_->RunFor(100);
  EXPECT_EQ(answer->count, 1);
}

// Each look-up lacks a few pages; all of them together lack more than one look-up may.
TEST_F(ColdFetchTest, AFetchOfManyOldPartitionsWaitsUnderTheLockOfNone) {
  Build(1, 40);
  std::vector<std::thread> askers;
  int waits = 0;
  int blocked = 0;
  disk().set_on_wait([&](const std::string&) {
    ++waits;
    if (blocked > 0) return;
    // The disk takes its time; meanwhile somebody wants each partition's lock.
    std::packaged_task<void()> ask([this] { leader().Status(); });
    const std::future<void> asked = ask.get_future();
    askers.emplace_back(std::move(ask));
    if (asked.wait_for(std::chrono::seconds(5)) != std::future_status::ready) ++blocked;
  });
  const auto answer = Fetch(At(keys_, 100));
  const auto appended = cluster_->Produce(kOne, keys_.back(), "meanwhile");
  EXPECT_TRUE(cluster_->RunUntil([&] { return answer->count > 0 && appended->acknowledged(); }));
  disk().set_on_wait(nullptr);
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(blocked, 0) << "of " << waits << " waits for the disk";
  EXPECT_GT(waits, 64);
  for (const FetchEntryResult& result : answer->results) {
    EXPECT_EQ(result.error, ErrorCode::kNone);
    EXPECT_GT(result.size_bytes, 500u * 599);
  }
}

TEST_F(ColdFetchTest, TheHotTailNeedsNoWorker) {
  Build();
  const auto produced = cluster_->Produce(kOne, key_, "fresh");
  ASSERT_TRUE(cluster_->RunUntil([&] { return produced->acknowledged(); }));
  const uint64_t asked = disk().counts().memory_asked;
  const auto answer = Fetch(At(kBatches));
  EXPECT_EQ(disk().counts().memory_asked, asked);
  EXPECT_EQ(answer->count, 1);
  ASSERT_EQ(answer->result.records.size(), 1u);
  EXPECT_TRUE(answer->result.records[0].hot);
}

TEST_F(ColdFetchTest, AnErrorOfTheDiskIsAStorageError) {
  Build();
  disk().InjectFault({.operation = FileOperation::kRead, .path_part = ".index", .times = -1});
  const auto answer = Fetch(At(100));
  ASSERT_TRUE(cluster_->RunUntil([&] { return answer->count > 0; }));
  EXPECT_EQ(answer->result.error, ErrorCode::kKafkaStorageError);
}

TEST_F(ColdFetchTest, ForAClientThatIsGoneNothingIsRead) {
  Build(1, 3);
  for (const uint64_t reads_before : {0, 1, 2}) {
    MakeCold();
    const uint64_t waits = disk().counts().waits;
    ParkedRequests client;
    FetchRequestParams params = At(keys_, 100);
    params.client = &client;
    params.wait_ms_max = 1000;
    const auto fetched = Fetch(std::move(params));
    const auto listed = List(start_ms_ + 1500, &client);
    while (disk().counts().waits < waits + reads_before) cluster_->scheduler().Step();
    EXPECT_EQ(fetched->count, 0);
    EXPECT_TRUE(listed->empty());
    client.AbandonAll();
    EXPECT_EQ(fetched->count, 1);
    EXPECT_EQ(fetched->result.error, ErrorCode::kRequestTimedOut);
    ASSERT_EQ(listed->size(), 1u);
    EXPECT_EQ(listed->front().error, ErrorCode::kRequestTimedOut);
    cluster_->RunFor(2000);
    EXPECT_EQ(disk().counts().waits, waits + reads_before);
    EXPECT_EQ(fetched->count, 1);
  }
}

TEST_F(ColdFetchTest, ATopicThatIsDeletedMeanwhileIsNoTrouble) {
  Build();
  const auto fetched = Fetch(At(100));
  const auto listed = List(start_ms_ + 1500);
  cluster_->controller().DeleteTopic("orders");
  cluster_->RunFor(2000);
  EXPECT_EQ(fetched->count, 1);
  EXPECT_EQ(listed->size(), 1u);
}

TEST_F(ColdFetchTest, ABrokerThatDiesMeanwhileAnswersNobody) {
  Build();
  const auto fetched = Fetch(At(100));
  const auto listed = List(start_ms_ + 1500);
  cluster_->Kill(kOne);
  cluster_->RunFor(2000);
  EXPECT_EQ(fetched->count, 0);
  EXPECT_TRUE(listed->empty());
}

TEST_F(ColdFetchTest, LookUpsByTimeWaitElsewhere) {
  Build();
  const auto by_time = List(start_ms_ + 1500);
  const auto latest = List(-3);
  const auto end = List(-1);
  EXPECT_TRUE(by_time->empty());
  EXPECT_EQ(end->size(), 1u) << "needs no disk";
  ASSERT_TRUE(cluster_->RunUntil([&] { return !by_time->empty() && !latest->empty(); }));
  EXPECT_EQ(by_time->front().error, ErrorCode::kNone);
  EXPECT_GE(by_time->front().found.timestamp_ms, start_ms_ + 1500);
  EXPECT_LT(by_time->front().found.timestamp_ms, start_ms_ + 1600);
  EXPECT_EQ(latest->front().found.offset, Offset(kBatches - 1));
  disk().DropCaches(".timeindex");
  disk().InjectFault({.operation = FileOperation::kRead, .path_part = ".timeindex", .times = -1});
  const auto failed = List(start_ms_ + 1500);
  ASSERT_TRUE(cluster_->RunUntil([&] { return !failed->empty(); }));
  EXPECT_EQ(failed->front().error, ErrorCode::kKafkaStorageError);
}

// A sealed segment's indexes are built again from all of it, while others use the partition.
TEST_F(ColdFetchTest, AnIndexThatIsGoneIsBuiltAgainUnderNoLock) {
  Build(1, 1, 2000, {{"segment.bytes", "100000"}});
  cluster_->Kill(kOne);
  int removed = 0;
  const std::string directory = "/data/orders-0/";
  const auto names = disk().List(directory);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    if (name.ends_with(".index") && disk().Remove(directory + name).ok()) ++removed;
  }
  ASSERT_GT(removed, 2);
  cluster_->Start(kOne);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(kOne, key_);
    return status && status->is_leader && status->high_watermark == status->log_end_offset;
  }));
  MakeCold();
  std::vector<std::thread> askers;
  int waits = 0, blocked = 0;
  disk().set_on_wait([&](const std::string&) {
    ++waits;
    if (blocked > 0) return;
    std::packaged_task<void()> ask([this] { leader().Status(); });
    const std::future<void> asked = ask.get_future();
    askers.emplace_back(std::move(ask));
    if (asked.wait_for(std::chrono::seconds(5)) != std::future_status::ready) ++blocked;
  });
  const auto answer = Fetch(At(100));
  const auto listed = List(start_ms_ + 1500);
  EXPECT_EQ(answer->count, 0);
  const auto meanwhile = cluster_->Produce(kOne, key_, "meanwhile");
  EXPECT_TRUE(cluster_->RunUntil(
      [&] { return answer->count > 0 && !listed->empty() && meanwhile->acknowledged(); }));
  disk().set_on_wait(nullptr);
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(blocked, 0) << "of " << waits << " waits for the disk";
  EXPECT_GT(waits, 0);
  EXPECT_EQ(answer->result.error, ErrorCode::kNone);
  EXPECT_GT(answer->result.size_bytes, 500u * 100);
  EXPECT_EQ(listed->front().error, ErrorCode::kNone);
  EXPECT_GE(listed->front().found.timestamp_ms, start_ms_ + 1500);
}

TEST_F(ColdFetchTest, AFollowerFarBehindInOnePartitionDelaysNoOther) {
  Build(2, 6, 1'000'000'000);
  ASSERT_EQ(keys_.size(), 3u);
  const NodeId at = cluster_->LeaderOf(key_);
  const auto high_watermark = [&](size_t i) {
    return cluster_->StatusOf(at, keys_[i])->high_watermark;
  };
  ASSERT_EQ(high_watermark(2), Offset(0)) << "what the follower has not got is not committed";
  FetchRequestParams params = At(keys_, 100);
  params.replica_id = follower_;
  params.replica_epoch = BrokerEpoch(1'000'000);  // no former life
  params.flushed = true;
  params.entries[2].fetch_offset = Offset(kBatches);
  const auto answer = Fetch(std::move(params));
  EXPECT_EQ(answer->count, 0) << "two are old, and not " << answer->result.error;
  EXPECT_EQ(high_watermark(0), Offset(100));
  EXPECT_EQ(high_watermark(1), Offset(100));
  EXPECT_EQ(high_watermark(2), Offset(kBatches));
  ASSERT_TRUE(cluster_->RunUntil([&] { return answer->count > 0; }));
  EXPECT_GT(answer->results[0].size_bytes, 500u * 599);
  EXPECT_GT(answer->results[1].size_bytes, 500u * 599);
  EXPECT_EQ(answer->results[2].high_watermark, Offset(kBatches));
}

TEST_F(ColdFetchTest, AFollowerFarBehindIsServedByTheWorkerToo) {
  Build(2);
  cluster_->Start(follower_);
  ASSERT_TRUE(cluster_->RunUntil([&] {
    const auto status = cluster_->StatusOf(follower_, key_);
    return status && status->log_end_offset == Offset(kBatches);
  }));
  EXPECT_EQ(cluster_->ReadLog(follower_, key_), cluster_->ReadLog(cluster_->LeaderOf(key_), key_));
}

}  // namespace
}  // namespace sluice::broker
