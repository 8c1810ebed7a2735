// Requests that wait at a partition end when their client goes, whatever they asked for.

#include <gtest/gtest.h>

#include "broker/replica/replica_manager.h"
#include "broker/testing/sim_cluster.h"
#include "kafka/record_batch_builder.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;

constexpr NodeId kOne{1}, kTwo{2};

class ParkedTest : public ::testing::Test {
 protected:
  void Build(int nodes, int min_isr) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    cluster_ = std::make_unique<testing::SimCluster>(testing::SimClusterOptions{.nodes = nodes});
    key_ = {cluster_->CreateTopic("orders", {.min_isr = min_isr}), PartitionIndex(0)};
    cluster_->RunFor(100);
  }
  // A fetch that nothing but time or its client's going ends.
  void Fetch(ParkedRequests& client) {
    FetchRequestParams params{.wait_ms_max = INT32_MAX,
                              .size_bytes_min = 1 << 20,
                              .size_bytes_max = 1 << 20,
                              .entries = {{.key = key_, .fetch_offset = Offset(0)}},
                              .client = &client};
    cluster_->replicas(kOne)->Fetch(params, [this](const std::vector<FetchEntryResult>& results) {
      if (results[0].error == ErrorCode::kNone) ++answered_;
    });
  }

  std::unique_ptr<testing::SimCluster> cluster_;
  PartitionKey key_;
  int answered_ = 0;
};

TEST_F(ParkedTest, AFetchEndsWithItsClient) {
  Build(1, 1);
  ParkedRequests going;
  ParkedRequests staying;
  for (int i = 0; i < 3; ++i) Fetch(going);
  Fetch(staying);
  cluster_->RunFor(100);
  ASSERT_EQ(answered_, 0);
  going.AbandonAll();
  EXPECT_EQ(answered_, 3);
  // What was read before the client's going was seen does not wait either.
  Fetch(going);
  EXPECT_EQ(answered_, 4);
  EXPECT_EQ(staying.size(), 1u);
}

TEST_F(ParkedTest, AFetchThatIsAnsweredAtOnceIsNotRemembered) {
  Build(1, 1);
  ParkedRequests client;
  FetchRequestParams params{.size_bytes_max = 1 << 20,
                            .entries = {{.key = key_, .fetch_offset = Offset(0)}},
                            .client = &client};
  cluster_->replicas(kOne)->Fetch(params, [this](const auto&) { ++answered_; });
  EXPECT_EQ(answered_, 1);
  EXPECT_EQ(client.size(), 0u);
}

TEST_F(ParkedTest, AProduceEndsWithItsClientAtTheNextLook) {
  Build(2, 2);
  cluster_->set_auto_fence(false);
  cluster_->Cut(kOne, kTwo);
  const NodeId leader = cluster_->LeaderOf(key_);
  kafka::RecordBatchBuilder builder({});
  builder.Append({.timestamp_ms = cluster_->scheduler().clock().WallMs(), .value = "v"});
  const auto batch = std::make_shared<std::string>(*builder.Build());
  ParkedRequests client;
  ProduceRequestParams params{.acks = -1, .api_version = 9, .timeout_ms = INT32_MAX};
  params.entries.push_back({key_, kafka::Records::View({batch, *batch})});
  params.client = &client;
  std::optional<ErrorCode> answer;
  cluster_->replicas(leader)->Produce(std::move(params),
                                      [&](const auto& results) { answer = results[0].error; });
  cluster_->RunFor(500);
  ASSERT_FALSE(answer.has_value());
  ASSERT_EQ(client.size(), 1u);
  client.AbandonAll();
  cluster_->RunFor(200);
  EXPECT_EQ(answer, ErrorCode::kRequestTimedOut);
}

TEST_F(ParkedTest, ADeletionOfRecordsEndsWithItsClientAtTheNextLook) {
  Build(2, 1);
  cluster_->set_auto_fence(false);
  const NodeId leader = cluster_->LeaderOf(key_);
  const auto produced = cluster_->Produce(leader, key_, "v");
  ASSERT_TRUE(cluster_->RunUntil([&] { return produced->acknowledged(); }));
  cluster_->Cut(kOne, kTwo);
  ParkedRequests client;
  DeleteRecordsParams params{.timeout_ms = INT32_MAX, .entries = {{key_, Offset(1)}}};
  params.client = &client;
  std::optional<ErrorCode> answer;
  cluster_->replicas(leader)->DeleteRecords(
      std::move(params), [&](const auto& results) { answer = results[0].error; });
  cluster_->RunFor(500);
  ASSERT_FALSE(answer.has_value());
  client.AbandonAll();
  cluster_->RunFor(200);
  EXPECT_EQ(answer, ErrorCode::kRequestTimedOut);
}

}  // namespace
}  // namespace sluice::broker
