// MetadataClient against feed servers in this process.
#include "broker/metadata_client.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>

#include "base/crc32c.h"
#include "base/testing/sim_file_system.h"
#include "metadata/replay.h"
#include "proto/controller.grpc.pb.h"
#include "rpc/server.h"

namespace sluice::broker {
namespace {

using controller::FeedMessage;
using controller::SubscribeRequest;

// Writes the messages it is given until it is ended.
class FeedStream final : public grpc::ServerWriteReactor<FeedMessage> {
 public:
  void Push(FeedMessage message) {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(message));
    if (!writing_ && !finished_) WriteNext();
  }
  void End() {
    std::lock_guard lock(mutex_);
    if (!std::exchange(finished_, true)) Finish(grpc::Status::OK);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    queue_.pop_front();
    writing_ = false;
    if (ok && !finished_ && !queue_.empty()) WriteNext();
  }
  void OnCancel() override { End(); }
  void OnDone() override {
    std::lock_guard lock(mutex_);
    done_ = true;
  }

 private:
  void WriteNext() {
    writing_ = true;
    StartWrite(&queue_.front());
  }
  std::mutex mutex_;
  std::deque<FeedMessage> queue_;
  bool writing_ = false;
  bool finished_ = false;
  bool done_ = false;
};

class FakeFeed final : public controller::Feed::CallbackService {
 public:
  FakeFeed() {
    auto server = rpc::Server::Start({.addresses = {"127.0.0.1:0"}, .services = {this}});
    CHECK(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
    address = "127.0.0.1:" + std::to_string(server_->port(0));
  }
  ~FakeFeed() override { server_->Stop(0); }

  grpc::ServerWriteReactor<FeedMessage>* Subscribe(grpc::CallbackServerContext*,
                                                   const SubscribeRequest* request) override {
    std::lock_guard lock(mutex_);
    requests_.push_back(*request);
    streams_.push_back(std::make_unique<FeedStream>());
    changed_.notify_all();
    return streams_.back().get();
  }
  // The n-th subscription, waited for.
  std::pair<SubscribeRequest, FeedStream*> Subscription(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return requests_.size() > n; });
    return {requests_[n], streams_[n].get()};
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return requests_.size();
  }

  std::string address;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SubscribeRequest> requests_;
  std::vector<std::unique_ptr<FeedStream>> streams_;
  std::unique_ptr<rpc::Server> server_;
};

metadata::ImageHash AnotherHash() {
  metadata::ImageHash hash;
  hash.set_version(metadata::kStateHashVersion);
  hash.set_value(12345);
  return hash;
}

FeedMessage Entry(int64_t index) {
  metadata::MetadataBatch batch;
  if (index == 0) batch.add_records()->mutable_cluster()->set_cluster_id("cluster");
  metadata::ConfigRecord* config = batch.add_records()->mutable_config();
  config->set_type(metadata::CONFIG_RESOURCE_TYPE_BROKER);
  config->set_key("k");
  config->set_value(std::to_string(index));
  FeedMessage message;
  auto* entry = message.mutable_batch()->add_entries();
  entry->set_index(index);
  entry->set_data(batch.SerializeAsString());
  return message;
}

FeedMessage LeaderIs(int32_t id) {
  FeedMessage message;
  message.mutable_progress()->set_commit_index(-1);
  message.mutable_progress()->set_leader_id(id);
  return message;
}

class MetadataClientTest : public ::testing::Test {
 protected:
  MetadataClientTest() { state_.cluster_id = "cluster"; }

  void Start() {
    client_ = MetadataClient::Start(
        {.controllers = {{NodeId(1), one_.address}, {NodeId(2), two_.address}},
         .state = &state_,
         .cache = &cache_,
         .loop = &loop_,
         .background_loop = &background_loop_,
         .file_system = &fs_,
         .image_path = "/data/metadata-image",
         .save_interval_ms = save_interval_ms_,
         .on_controllers = on_controllers_});
  }
  void WaitApplied(int64_t index) {
    std::mutex mutex;
    std::condition_variable changed;
    bool applied = false;
    cache_.WhenApplied(LogIndex(index), [&] {
      std::lock_guard lock(mutex);
      applied = true;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return applied; });
  }

  FakeFeed one_;
  FakeFeed two_;
  SystemClock clock_;
  ThreadEventLoop loop_{"feed-test", clock_};
  ThreadEventLoop background_loop_{"background", clock_};
  testing::SimFileSystem fs_;
  BrokerState state_;
  MetadataCache cache_;
  std::function<void(const std::vector<std::string>&)> on_controllers_;
  int64_t save_interval_ms_ = 60'000;
  std::unique_ptr<MetadataClient> client_;
};

TEST_F(MetadataClientTest, PublishesWhatTheFeedBrings) {
  Start();
  auto [request, stream] = one_.Subscription(0);
  EXPECT_EQ(request.last_index(), -1);
  EXPECT_EQ(request.sender().cluster_id(), "cluster");
  for (int64_t i = 0; i < 100; ++i) stream->Push(Entry(i));
  WaitApplied(99);
  EXPECT_EQ(cache_.Current()->broker_configs->at("").at("k"), "99");
}

TEST_F(MetadataClientTest, GoesOnElsewhereWhenTheStreamBreaks) {
  Start();
  FeedStream* stream = one_.Subscription(0).second;
  stream->Push(Entry(0));
  WaitApplied(0);
  stream->End();
  auto [request, other] = two_.Subscription(0);
  EXPECT_EQ(request.last_index(), 0);
  EXPECT_EQ(request.hash().value(), metadata::StateHash(*cache_.Current()));
  other->Push(Entry(1));
  WaitApplied(1);
}

TEST_F(MetadataClientTest, GoesToTheLeader) {
  Start();
  one_.Subscription(0).second->Push(LeaderIs(2));
  two_.Subscription(0).second->Push(Entry(0));
  WaitApplied(0);
}

// An entry that sets who votes, and where.
FeedMessage VotersAre(int64_t index, const std::map<int32_t, std::string>& voters) {
  FeedMessage message = Entry(index);
  auto* data = message.mutable_batch()->mutable_entries(0)->mutable_data();
  metadata::MetadataBatch batch;
  CHECK(batch.ParseFromString(*data));
  auto* quorum = batch.add_records()->mutable_quorum();
  for (const auto& [id, address] : voters) {
    auto* member = quorum->add_members();
    member->set_node_id(id);
    member->set_directory_id(std::string(16, 'd'));
    member->set_address(address);
  }
  *data = batch.SerializeAsString();
  return message;
}

FeedMessage Committed(int64_t index) {
  FeedMessage message;
  message.mutable_progress()->set_commit_index(index);
  message.mutable_progress()->set_leader_id(-1);
  return message;
}

// Controller 1 is replaced by 3, whom no file names.
TEST_F(MetadataClientTest, GoesToControllersThatHaveJoinedAndLeavesThoseThatHaveLeft) {
  ASSERT_TRUE(fs_.CreateDirectories("/data").ok());
  FakeFeed three;
  const std::map<int32_t, std::string> voters = {{2, ""}, {3, three.address}};
  std::promise<std::vector<std::string>> told;
  on_controllers_ = [&told](const std::vector<std::string>& all) { told.set_value(all); };
  Start();
  FeedStream* former = one_.Subscription(0).second;
  former->Push(Entry(0));
  former->Push(VotersAre(1, voters));
  EXPECT_EQ(told.get_future().get(),
            (std::vector<std::string>{two_.address, three.address, one_.address}));
  former->Push(Committed(2));
  former->Push(Entry(2));
  WaitApplied(2);
  EXPECT_EQ(two_.count() + three.count(), 0U) << "a former controller has more to tell";
  former->Push(Committed(2));
  FeedStream* second = two_.Subscription(0).second;
  second->Push(LeaderIs(3));
  three.Subscription(0).second->Push(Entry(3));
  WaitApplied(3);
  client_->Stop();

  on_controllers_ = nullptr;
  Start();
  EXPECT_EQ(two_.Subscription(1).first.last_index(), 3) << "the copy on the disk tells who votes";
}

TEST_F(MetadataClientTest, AHeartbeatsHintMovesItToo) {
  Start();
  one_.Subscription(0);
  client_->OnLeader(NodeId(2));
  two_.Subscription(0);
}

TEST_F(MetadataClientTest, FetchesASnapshotWhenTheHashDiffers) {
  Start();
  FeedStream* stream = one_.Subscription(0).second;
  stream->Push(Entry(0));
  FeedMessage progress;
  progress.mutable_progress()->set_commit_index(0);
  progress.mutable_progress()->set_leader_id(1);
  *progress.mutable_progress()->mutable_hash() = AnotherHash();
  stream->Push(progress);
  auto [request, again] = one_.Subscription(1);
  EXPECT_EQ(request.last_index(), -1);
  EXPECT_EQ(client_->resyncs(), 1);

  metadata::ImageBuilder builder(metadata::EmptyImage());
  ASSERT_TRUE(builder.ApplyEntry(Entry(0).batch().entries(0).data(), LogIndex(0)).ok());
  FeedMessage snapshot;
  snapshot.mutable_snapshot()->set_data(metadata::ToSnapshot(*builder.Build(LogIndex(8), Term(1))));
  snapshot.mutable_snapshot()->set_crc32c(Crc32c(snapshot.snapshot().data()));
  snapshot.mutable_snapshot()->set_last(true);
  again->Push(snapshot);
  WaitApplied(8);
}

// It takes long, and its disk may hang: images come and are shown all the same.
TEST_F(MetadataClientTest, TheCopyIsWrittenInTheBackground) {
  ASSERT_TRUE(fs_.CreateDirectories("/data").ok());
  std::promise<void> disk_goes_on;
  background_loop_.Post([until = disk_goes_on.get_future().share()] { until.wait(); });
  save_interval_ms_ = 1;
  Start();
  FeedStream* stream = one_.Subscription(0).second;
  for (int64_t i = 0; i <= 50; ++i) {
    stream->Push(Entry(i));
    WaitApplied(i);
  }
  EXPECT_FALSE(fs_.Exists("/data/metadata-image"));
  disk_goes_on.set_value();
  client_->Stop();
  const Result<std::string> bytes = ReadFile(fs_, "/data/metadata-image");
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ((*metadata::FromSnapshot(*bytes))->last_index, LogIndex(50));
}

// Were it shown, the replicas of topics that it does not have yet would be removed.
TEST_F(MetadataClientTest, AnImageOfAControllerThatLagsIsNotShown) {
  std::vector<int64_t> shown;
  cache_.AddListener([&](const metadata::ImagePtr&, const metadata::ImagePtr& after) {
    shown.push_back(after->last_index.value());
  });
  Start();
  FeedStream* stream = one_.Subscription(0).second;
  for (int64_t i = 0; i <= 5; ++i) stream->Push(Entry(i));
  WaitApplied(5);
  FeedMessage progress;
  progress.mutable_progress()->set_commit_index(5);
  progress.mutable_progress()->set_leader_id(1);
  *progress.mutable_progress()->mutable_hash() = AnotherHash();
  stream->Push(progress);

  FeedStream* again = one_.Subscription(1).second;
  metadata::ImageBuilder builder(metadata::EmptyImage());
  for (int64_t i = 0; i <= 2; ++i) {
    ASSERT_TRUE(builder.ApplyEntry(Entry(i).batch().entries(0).data(), LogIndex(i)).ok());
  }
  FeedMessage snapshot;
  snapshot.mutable_snapshot()->set_data(metadata::ToSnapshot(*builder.Build(LogIndex(2), Term(1))));
  snapshot.mutable_snapshot()->set_crc32c(Crc32c(snapshot.snapshot().data()));
  snapshot.mutable_snapshot()->set_last(true);
  again->Push(snapshot);
  for (int64_t i = 3; i <= 6; ++i) again->Push(Entry(i));
  WaitApplied(6);
  client_->Stop();
  EXPECT_TRUE(std::is_sorted(shown.begin(), shown.end())) << ::testing::PrintToString(shown);
  EXPECT_EQ(cache_.Current()->broker_configs->at("").at("k"), "6");
  EXPECT_EQ(client_->resyncs(), 1);
}

TEST_F(MetadataClientTest, ARestartFetchesWhatIsNewOnly) {
  ASSERT_TRUE(fs_.CreateDirectories("/data").ok());
  Start();
  one_.Subscription(0).second->Push(Entry(0));
  WaitApplied(0);
  client_->Stop();
  client_.reset();

  Start();
  auto [request, stream] = one_.Subscription(1);
  EXPECT_EQ(request.last_index(), 0);
  stream->Push(Entry(1));
  WaitApplied(1);
}

TEST_F(MetadataClientTest, ADamagedCopyIsLeftAside) {
  ASSERT_TRUE(fs_.CreateDirectories("/data").ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, "/data/metadata-image", "no image").ok());
  Start();
  EXPECT_EQ(one_.Subscription(0).first.last_index(), -1);
}

}  // namespace
}  // namespace sluice::broker
