// Fetching from the nearest replica (KIP-392): whom a leader names, and what a follower serves.
#include "broker/replica/nearest_replica.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "broker/testing/sim_cluster.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::SimCluster;
using testing::SimRack;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3}, kFour{4};

// Broker 1 leads in rack a; 2 and 3 stand in b, 4 in c. All are in sync at offset 10.
class NearestReplicaTest : public ::testing::Test {
 protected:
  NearestReplicaTest() {
    for (const auto& [id, rack] : {std::pair{kOne, "a"}, {kTwo, "b"}, {kThree, "b"}, {kFour, "c"}})
      Stand(id, rack, /*fenced=*/false);
    partition_.replicas = {kOne, kTwo, kThree, kFour};
    partition_.isr = partition_.replicas;
    partition_.leader = kOne;
    replicas_.StartEpoch(kOne, partition_.replicas, partition_.isr, 0);
    for (const NodeId id : {kTwo, kThree, kFour}) {
      Fetched(id, 10);
      Connect(id);
    }
  }
  void Stand(NodeId id, const std::string& rack, bool fenced) {
    auto broker = std::make_shared<metadata::BrokerImage>();
    broker->id = id;
    broker->rack = rack;
    broker->fenced = fenced;
    broker->endpoints = {{"CLIENTS", "host", 9092, "PLAINTEXT"}};
    image_.brokers[id] = broker;
  }
  void Connect(NodeId id) {
    connections_[id] = std::make_shared<int>();
    followers_.Note(id, connections_[id], image_);
  }
  void Fetched(NodeId id, int64_t offset, int64_t log_start = 0) {
    RemoteReplica& replica = *replicas_.Find(id);
    ASSERT_TRUE(replicas_.RecordFetch(replica, Offset(offset), BrokerEpoch(1), Offset(10), 0));
    replica.log_start_offset = Offset(log_start);
  }
  NodeId Choose(const std::string& rack, int64_t offset = 5,
                const std::string& listener = "CLIENTS") {
    return NearestReplica(
        {image_, partition_, replicas_, followers_, "a", rack, listener, Offset(offset)});
  }

  metadata::Image image_;
  metadata::PartitionImage partition_;
  ReplicaSet replicas_;
  ConnectedFollowers followers_;
  std::map<NodeId, std::shared_ptr<int>> connections_;
};

TEST_F(NearestReplicaTest, OnlyWhoTellsARackWithoutTheLeaderIsSentElsewhere) {
  EXPECT_EQ(Choose(""), kNoNode);
  EXPECT_EQ(Choose("a"), kNoNode);
  EXPECT_EQ(Choose("nowhere"), kNoNode);
  EXPECT_EQ(Choose("c"), kFour);
}

TEST_F(NearestReplicaTest, OfSeveralTheOneThatHasMost) {
  EXPECT_EQ(Choose("b"), kThree);
  Fetched(kThree, 9);
  EXPECT_EQ(Choose("b"), kTwo);
}

TEST_F(NearestReplicaTest, OneThatLacksTheOffsetIsNotNamed) {
  Fetched(kFour, 7, 3);
  EXPECT_EQ(Choose("c", 7), kFour);
  EXPECT_EQ(Choose("c", 8), kNoNode);
  EXPECT_EQ(Choose("c", 2), kNoNode);
}

TEST_F(NearestReplicaTest, OneThatIsOutOfSyncOrFencedOrCannotBeReachedIsNotNamed) {
  EXPECT_EQ(Choose("c", 5, "INTERNAL"), kNoNode);
  Stand(kFour, "c", /*fenced=*/true);
  EXPECT_EQ(Choose("c"), kNoNode);
  Stand(kFour, "c", /*fenced=*/false);
  EXPECT_EQ(Choose("c"), kFour);
  replicas_.CommitIsr({kOne, kTwo, kThree});
  EXPECT_EQ(Choose("c"), kNoNode);
}

// The image does not tell yet that its process is gone.
TEST_F(NearestReplicaTest, OneWhoseConnectionIsGoneIsNotNamedBeforeItIsThereAgain) {
  connections_[kFour].reset();
  EXPECT_EQ(Choose("c"), kNoNode);
  connections_[kThree].reset();
  EXPECT_EQ(Choose("b"), kTwo);
  Connect(kFour);
  EXPECT_EQ(Choose("c"), kFour);
}

TEST_F(NearestReplicaTest, NobodyIsRememberedWhomTheMetadataDoesNotKnow) {
  constexpr NodeId kStranger{5};
  Connect(kStranger);
  EXPECT_FALSE(followers_.IsConnected(kStranger));
  Stand(kStranger, "c", /*fenced=*/true);
  Connect(kStranger);
  EXPECT_TRUE(followers_.IsConnected(kStranger));
}

TEST_F(NearestReplicaTest, OneThatHasNotFetchedInThisEpochIsNotNamed) {
  replicas_.StartEpoch(kOne, partition_.replicas, partition_.isr, 0);
  EXPECT_EQ(Choose("c", 0), kNoNode);
}

// Three brokers, each in its own rack; node 1 leads and takes the records.
class ReadNearbyTest : public ::testing::Test {
 protected:
  using Answer = std::shared_ptr<std::vector<FetchEntryResult>>;

  ReadNearbyTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;
    key_ = {cluster_.CreateTopic("orders", {.replicas = {kOne, kTwo, kThree}, .min_isr = 1}),
            PartitionIndex(0)};
    cluster_.RunFor(200);
  }
  void Append(const std::string& value) {
    const auto sent = cluster_.Produce(kOne, key_, value);
    ASSERT_TRUE(cluster_.RunUntil([&] { return sent->acknowledged(); }));
  }
  int64_t HighWatermark(NodeId at) { return cluster_.StatusOf(at, key_)->high_watermark.value(); }
  // A fetch of a consumer that stands where broker `rack` does.
  Answer Fetch(NodeId at, NodeId rack, int64_t from, int32_t wait_ms = 0) {
    FetchRequestParams params;
    params.rack = SimRack(rack);
    params.listener = "PLAINTEXT";
    params.wait_ms_max = wait_ms;
    params.size_bytes_min = 1;
    params.size_bytes_max = 1 << 20;
    params.entries.push_back(
        {.key = key_, .fetch_offset = Offset(from), .size_bytes_max = 1 << 20});
    auto answer = std::make_shared<std::vector<FetchEntryResult>>();
    cluster_.replicas(at)->Fetch(params, [answer](auto results) { *answer = results; });
    return answer;
  }
  FetchEntryResult FetchNow(NodeId at, NodeId rack, int64_t from) {
    const Answer answer = Fetch(at, rack, from);
    EXPECT_TRUE(cluster_.RunUntil([&] { return !answer->empty(); }, 1000));
    return answer->at(0);
  }

  SimCluster cluster_{{.replica_lag_ms_max = 1000}};
  PartitionKey key_;
};

TEST_F(ReadNearbyTest, TheLeaderNamesTheFollowerInTheRackAtOnceAndThatServes) {
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return HighWatermark(kTwo) == 1; }));
  // At the end, too, and without the long poll.
  for (const int64_t from : {0, 1}) {
    const Answer sent_on = Fetch(kOne, kTwo, from, 10000);
    ASSERT_FALSE(sent_on->empty());
    EXPECT_EQ(sent_on->at(0).preferred, kTwo);
    EXPECT_EQ(sent_on->at(0).size_bytes, 0u);
    EXPECT_EQ(sent_on->at(0).high_watermark, Offset(1));
  }
  EXPECT_EQ(FetchNow(kOne, kOne, 0).preferred, kNoNode);
  const FetchEntryResult read = FetchNow(kTwo, kTwo, 0);
  EXPECT_EQ(read.error, ErrorCode::kNone);
  EXPECT_GT(read.size_bytes, 0u);
  EXPECT_EQ(read.high_watermark, Offset(1));
  EXPECT_EQ(read.last_stable_offset, Offset(1));
}

TEST_F(ReadNearbyTest, AFollowerServesNobodyOfAnotherRack) {
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return HighWatermark(kTwo) == 1; }));
  const FetchEntryResult refused = FetchNow(kTwo, kThree, 0);
  EXPECT_EQ(refused.error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused.leader.leader, kOne);
}

TEST_F(ReadNearbyTest, AParkedFetchAtAFollowerIsWokenByWhatIsCommitted) {
  const Answer parked = Fetch(kTwo, kTwo, 0, 10000);
  EXPECT_TRUE(parked->empty());
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return !parked->empty(); }, 200));
  EXPECT_GT(parked->at(0).size_bytes, 0u);
}

// Records that not all of the ISR has are in the follower's log, and not for consumers.
TEST_F(ReadNearbyTest, AFollowerServesNothingAboveItsHighWatermark) {
  cluster_.Cut(kOne, kThree);
  const auto sent = cluster_.Produce(kOne, key_, "a");
  ASSERT_TRUE(cluster_.RunUntil(
      [&] { return cluster_.StatusOf(kTwo, key_)->log_end_offset == Offset(1); }, 500));
  EXPECT_FALSE(sent->answered);
  const FetchEntryResult read = FetchNow(kTwo, kTwo, 0);
  EXPECT_EQ(read.error, ErrorCode::kNone);
  EXPECT_EQ(read.size_bytes, 0u);
}

TEST_F(ReadNearbyTest, WhatAFollowerLacksIsLookedForAtTheLeader) {
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return HighWatermark(kTwo) == 1; }));
  const FetchEntryResult ahead = FetchNow(kTwo, kTwo, 9);
  EXPECT_EQ(ahead.error, ErrorCode::kOffsetNotAvailable);
  EXPECT_EQ(ahead.high_watermark, Offset(-1));
  EXPECT_EQ(FetchNow(kOne, kTwo, 9).error, ErrorCode::kOffsetOutOfRange);
  // A reader whose last record is of an epoch that this log has not got to: no word of divergence.
  FetchRequestParams params;
  params.rack = SimRack(kTwo);
  params.entries.push_back({.key = key_,
                            .fetch_offset = Offset(2),
                            .last_fetched_epoch = LeaderEpoch(7),
                            .size_bytes_max = 1});
  std::vector<FetchEntryResult> answer;
  cluster_.replicas(kTwo)->Fetch(params, [&](auto results) { answer = results; });
  ASSERT_TRUE(cluster_.RunUntil([&] { return !answer.empty(); }, 100));
  EXPECT_FALSE(answer[0].diverging.has_value());
  EXPECT_EQ(answer[0].error, ErrorCode::kOffsetNotAvailable);
}

// Cut off from the leader it would say "nothing new" for ever.
TEST_F(ReadNearbyTest, AFollowerOutOfSyncServesWhatItHasAndSendsOnWhoWantsMore) {
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return HighWatermark(kTwo) == 1; }));
  const Answer parked = Fetch(kTwo, kTwo, 1, 10000);
  cluster_.Cut(kOne, kTwo);
  Append("b");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.IsrSize(key_) == 2; }));
  cluster_.RunFor(50);
  EXPECT_EQ(FetchNow(kOne, kTwo, 1).preferred, kNoNode);
  EXPECT_EQ(FetchNow(kTwo, kTwo, 0).error, ErrorCode::kNone);
  const FetchEntryResult refused = FetchNow(kTwo, kTwo, 1);
  EXPECT_EQ(refused.error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused.leader.leader, kOne);
  ASSERT_TRUE(cluster_.RunUntil([&] { return !parked->empty(); }, 11000));
  EXPECT_EQ(parked->at(0).error, ErrorCode::kNotLeaderOrFollower);
}

TEST_F(ReadNearbyTest, ALeaderWithoutALeaseNamesNobody) {
  Append("a");
  ASSERT_TRUE(cluster_.RunUntil([&] { return HighWatermark(kTwo) == 1; }));
  cluster_.set_auto_fence(false);
  cluster_.Cut(kOne, SimCluster::kController);
  cluster_.RunFor(700);
  const FetchEntryResult refused = FetchNow(kOne, kTwo, 0);
  EXPECT_EQ(refused.error, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused.preferred, kNoNode);
}

}  // namespace
}  // namespace sluice::broker
