// What becomes of a partition's flushes when its log, its directory or the replica itself is gone
// by the time they are captured: they end, whoever waits for them goes on, and nothing is asked for
// again. And what a follower's next request waits for.

#include <gtest/gtest.h>

#include <deque>

#include "base/testing/sim_event_loop.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/partition.h"
#include "storage/file_cache.h"
#include "storage/testing/log_fixture.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using ::sluice::testing::FileOperation;
using storage::testing::MakeBatch;

constexpr NodeId kSelf{1};
constexpr LeaderEpoch kEpoch{3};

// Keeps what is submitted until the test has it flushed.
class HeldFlusher final : public storage::Flusher {
 public:
  void Submit(std::span<const storage::FlushablePtr> dirty) override {
    waiting.insert(waiting.end(), dirty.begin(), dirty.end());
  }
  // As the real one, it would go on for ever where each report leads to the next submission.
  void Drain() override {
    for (int rounds = 0; !waiting.empty() && rounds < 10; ++rounds) {
      const storage::FlushablePtr partition = std::move(waiting.front());
      waiting.pop_front();
      const storage::FlushTarget target = partition->CaptureFlush();
      Partition::OnFlushed({{{partition, target.upto, target.Run()}}});
    }
  }

  int64_t OldestSyncBeganMs() const override { return -1; }

  std::deque<storage::FlushablePtr> waiting;
};

class PartitionFlushTest : public storage::testing::LogFixture {
 protected:
  PartitionFlushTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;  // broken logs are the subject here
    state_.node_id = kSelf;
    state_.session_timeout_ms = 1000;
    state_.lease_start_steady_ms = clock_.SteadyMs();
    auto context = std::make_shared<PartitionContext>();
    context->clock = &clock_;
    context->throttles = std::make_shared<ReplicationThrottles>(clock_);
    context->state = &state_;
    context->metadata = &cache_;
    context->propose_isr = [](const IsrProposal&) {};
    context->report_storage_failure = [this](const StorageFailure& failure) {
      failures_.push_back(failure.directory);
    };
    context_ = std::move(context);
  }

  // Around log_; its replica leads, or follows where `leader` is another.
  void Start(NodeId leader = kSelf) {
    partition_ = std::make_shared<Partition>(
        Partition::Identity{{TopicId(), PartitionIndex(0)}, {"orders", PartitionIndex(0)}},
        Partition::Home{.log = std::move(log_), .directory = directory_, .flusher = &flusher_},
        context_);
    metadata::TopicConfig config;
    config.segment_bytes = 400;
    config.segment_index_bytes = 1 << 20;
    PartitionEffects effects;
    const metadata::PartitionImage image{.replicas = {kSelf, NodeId(2)},
                                         .isr = {leader},
                                         .leader = leader,
                                         .leader_epoch = kEpoch,
                                         .partition_epoch = PartitionEpoch(1)};
    partition_->ApplyImage({.partition = &image,
                            .config = std::make_shared<metadata::TopicConfig>(config),
                            .index = LogIndex(1)},
                           effects);
    effects.Run(*context_);
  }
  // The process was killed and started anew; the log's file is not open by now.
  void KillAndEvict() {
    Open();
    Append();
    log_.reset();
    fs_.KillProcess();
    const auto files = std::make_shared<storage::FileCache>(fs_, 1);
    storage::LogOptions options = Options();
    options.host_stayed_up = true;
    options.files = files;
    Open(std::move(options));
    storage::FileCache::Ref other;
    ASSERT_TRUE(files->Open(other, "/data/other", OpenMode::kCreate).ok());
  }
  // What the producer is told, once it is.
  std::shared_ptr<std::optional<ErrorCode>> Produce(size_t value_bytes) {
    auto told = std::make_shared<std::optional<ErrorCode>>();
    auto operation = std::make_shared<ProduceOperation>(
        1, [told](const auto& results) { *told = results[0].error; });
    const std::string batch = MakeBatch({.value_bytes = value_bytes});
    PartitionEffects effects;
    partition_->Append(
        {.batch = batch, .deadline_ms = clock_.SteadyMs() + 60000, .operation = operation},
        effects);
    operation->Start();
    effects.Run(*context_);
    return told;
  }
  std::shared_ptr<bool> WhenFlushed() {
    auto fired = std::make_shared<bool>(false);
    PartitionEffects effects;
    partition_->WhenFlushed([fired] { *fired = true; }, effects);
    effects.Run(*context_);
    return fired;
  }
  void FailOpenings(Status status, const std::string& path_part = "") {
    fs_.InjectFault({.operation = FileOperation::kOpen,
                     .path_part = path_part,
                     .status = std::move(status),
                     .times = -1});
  }
  // All flushes have come to their end.
  void ExpectDrained() {
    flusher_.Drain();
    EXPECT_TRUE(flusher_.waiting.empty()) << "they are asked for again and again";
  }

  BrokerState state_;
  MetadataCache cache_;
  const storage::DirectoryPtr directory_ = std::make_shared<storage::DirectoryState>("/data");
  HeldFlusher flusher_;
  std::vector<storage::DirectoryPtr> failures_;
  std::shared_ptr<const PartitionContext> context_;
  std::shared_ptr<Partition> partition_;
};

TEST_F(PartitionFlushTest, ARollWithoutADescriptorEndsTheFlushesThatWait) {
  Open();
  Start();
  const auto first = Produce(200);
  const auto flushed = WhenFlushed();
  FailOpenings(Status(StatusCode::kResourceExhausted, "EMFILE"));
  const auto second = Produce(200);
  EXPECT_EQ(*second, ErrorCode::kKafkaStorageError);
  EXPECT_EQ(*first, ErrorCode::kKafkaStorageError) << "its flush will never be";
  EXPECT_TRUE(*flushed);
  EXPECT_NE(partition_->Status().error, "");
  EXPECT_EQ(failures_, std::vector<storage::DirectoryPtr>{directory_});
  ExpectDrained();
  EXPECT_EQ(fs_.counts().file_syncs, 0u);
}

TEST_F(PartitionFlushTest, ACaptureThatCannotOpenItsFileIsAFailure) {
  for (const StatusCode code : {StatusCode::kResourceExhausted, StatusCode::kNotFound}) {
    ASSERT_TRUE(fs_.RemoveAll(storage::testing::kLogDirectory).ok());
    KillAndEvict();
    Start();
    const auto flushed = WhenFlushed();
    FailOpenings(Status(code, "no file"));
    ExpectDrained();
    EXPECT_TRUE(*flushed);
    EXPECT_NE(partition_->Status().error, "");
    EXPECT_EQ(std::exchange(failures_, {}), std::vector<storage::DirectoryPtr>{directory_});
    fs_.ClearFaults();
  }
}

TEST_F(PartitionFlushTest, AFollowersLogThatFailsOnTheSideHoldsNobodyUp) {
  Open();
  Append({.records = 5});
  Flush();
  Start(NodeId(2));
  FailOpenings(Status(StatusCode::kResourceExhausted, "EMFILE"), "leader-epoch-checkpoint");
  const std::string batch = MakeBatch({.base_offset = 5, .leader_epoch = 0});
  PartitionEffects effects;
  // The append itself goes well; the new start of the epoch history cannot be written.
  const Partition::FetchedData fetched{.epoch = kEpoch,
                                       .batches = batch,
                                       .leader_high_watermark = Offset(5),
                                       .leader_log_start = Offset(2)};
  const Status appended = partition_->AppendFetched(fetched, effects);
  ASSERT_TRUE(appended.ok()) << appended.ToString();
  effects.Run(*context_);
  const auto flushed = WhenFlushed();
  ExpectDrained();
  EXPECT_TRUE(*flushed);
  EXPECT_EQ(failures_, std::vector<storage::DirectoryPtr>{directory_});
}

TEST_F(PartitionFlushTest, ARemovedReplicaIsNeitherFlushedNorTakenForAFailure) {
  KillAndEvict();
  Start();
  ASSERT_FALSE(flusher_.waiting.empty());
  const auto flushed = WhenFlushed();
  PartitionEffects effects;
  partition_->Retire(/*removed=*/true, effects);
  effects.Run(*context_);
  EXPECT_TRUE(*flushed);
  ASSERT_TRUE(fs_.RemoveAll(storage::testing::kLogDirectory).ok());
  ExpectDrained();
  EXPECT_TRUE(*WhenFlushed());
  EXPECT_TRUE(failures_.empty());
  EXPECT_EQ(*Produce(10), ErrorCode::kNotLeaderOrFollower);
}

TEST_F(PartitionFlushTest, WhatWaitsWhenItsDirectoryFailsIsNotTouched) {
  Open();
  Start();
  const auto told = Produce(10);
  ASSERT_EQ(flusher_.waiting.size(), 1u);
  PartitionEffects effects;
  partition_->DirectoryFailed({directory_, Status::IoError("EIO")}, effects);
  effects.Run(*context_);
  EXPECT_EQ(*told, ErrorCode::kKafkaStorageError);
  const auto before = fs_.counts();
  ExpectDrained();
  EXPECT_EQ(fs_.counts().file_syncs, before.file_syncs);
  EXPECT_EQ(fs_.counts().directory_syncs, before.directory_syncs);
}

// A leader that keeps the follower's requests until the test answers them.
class HeldLeader final : public PeerClient {
 public:
  void Fetch(const kafka::FetchRequest& request, int64_t,
             std::function<void(Result<kafka::FetchResponse>)> done) override {
    asked.push_back(request.topics.at(0).partitions.at(0).fetch_offset);
    done_ = std::move(done);
  }
  void Answer(const std::string& batches) {
    kafka::FetchResponse response;
    auto& data = response.responses.emplace_back().partitions.emplace_back();
    const auto owned = std::make_shared<std::string>(batches);
    data.records = kafka::Records::View({owned, *owned});
    std::exchange(done_, nullptr)(std::move(response));
  }

  std::vector<int64_t> asked;  // the offset of each request

 private:
  std::function<void(Result<kafka::FetchResponse>)> done_;
};

class FetcherFlushTest : public PartitionFlushTest, public PeerConnector {
 protected:
  std::shared_ptr<PeerClient> Connect(const std::string&, int, EventLoop&) override {
    return leader_;
  }
  // In fsync mode, of node 2.
  void Follow() {
    Open();
    Start(NodeId(2));
    auto image = std::make_shared<metadata::Image>();
    image->brokers[NodeId(2)] = std::make_shared<metadata::BrokerImage>(
        metadata::BrokerImage{.id = NodeId(2), .endpoints = {{.host = "two", .port = 2}}});
    cache_.Publish(std::move(image));
    auto options = std::make_shared<ReplicaManagerOptions>();
    options->state = &state_;
    options->metadata = &cache_;
    options->peers = this;
    options->loop = &loop_;
    fetcher_ = std::make_shared<Fetcher>(FetcherEnvironment{std::move(options), context_},
                                         NodeId(2), /*fsync=*/true);
    fetcher_->Add(partition_, kEpoch);
    fetcher_->Step();
    scheduler_.RunForMs(10);
  }

  ::sluice::testing::SimScheduler scheduler_;
  ::sluice::testing::SimEventLoop loop_{scheduler_};
  const std::shared_ptr<HeldLeader> leader_ = std::make_shared<HeldLeader>();
  std::shared_ptr<Fetcher> fetcher_;
};

// The fetch offset is the durable offset, also of an answer that was appended in part.
TEST_F(FetcherFlushTest, WhatCameBeforeARollWithoutRoomIsFlushedBeforeTheNextRequest) {
  Follow();
  ASSERT_EQ(leader_->asked, std::vector<int64_t>{0});
  fs_.InjectFault({.operation = FileOperation::kOpen,
                   .path_part = "00000000000000000001.log",
                   .status = Status::DiskFull("no room"),
                   .times = -1});
  std::string batches;
  for (int i = 0; i < 4; ++i)
    batches += MakeBatch({.value_bytes = 200, .base_offset = i, .leader_epoch = 3});
  leader_->Answer(batches);
  ASSERT_EQ(partition_->Status().log_end_offset, Offset(1));
  ASSERT_EQ(partition_->Status().error, "");
  scheduler_.RunForMs(5000);
  EXPECT_EQ(leader_->asked.size(), 1u) << "the pause is over, and nothing is durable yet";
  EXPECT_EQ(fs_.counts().file_syncs, 0u);
  flusher_.Drain();
  EXPECT_GT(fs_.counts().file_syncs, 0u);
  fs_.ClearFaults();
  scheduler_.RunForMs(5000);
  ASSERT_EQ(leader_->asked, (std::vector<int64_t>{0, 1}));
  leader_->Answer(batches.substr(batches.size() / 4));
  EXPECT_EQ(partition_->Status().log_end_offset, Offset(4));
}

}  // namespace
}  // namespace sluice::broker
