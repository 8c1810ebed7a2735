// The coordinator's surroundings over a model of the log, one story at a time: what the simulation
// (group_simulation_test.cc) found. All that hangs together with real replicas is in
// group_coordinator_test.cc.
#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "broker/group/testing/sim_group_cluster.h"

namespace sluice::broker::testing {
namespace {

// Acknowledgements are told by several threads: a later one's may come first. Nothing else happens
// after them that would have anybody look again.
TEST(GroupAcknowledgementTest, TheyMayOvertakeEachOther) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SimGroupCluster cluster({}, seed);
    cluster.topics().Set("t", 1);
    cluster.SpreadTopics();
    cluster.RunFor(1000);
    const SimConnectionPtr connection = cluster.Connect(cluster.log().leader());
    int answered = 0;
    for (const char* group : {"a", "b"}) {
      kafka::OffsetCommitRequest request;
      request.group_id = group;
      auto& topic = request.topics.emplace_back();
      topic.name = "t";
      topic.topic_id = cluster.topics().IdOf("t");
      topic.partitions.emplace_back().committed_metadata = "";
      cluster.Send(connection, {.version = 8}, request, [&](const GroupResponse&) { ++answered; });
      cluster.RunFor(1);
    }
    cluster.RunFor(3000);
    EXPECT_EQ(answered, 2) << "seed " << seed << ' ' << cluster.log().Describe();
  }
}

// It tries again now and then, and says so now and then, until the view can be read.
TEST(GroupLoadingTest, AViewThatCannotBeReadIsTriedAgainWithPauses) {
  SimGroupCluster cluster({}, 1);
  cluster.set_faults(false);
  cluster.RunFor(1000);
  for (const NodeId id : cluster.ids()) cluster.FailReads(id, Status::IoError("broken"));
  ::sluice::testing::LogCatcher logs;
  const NodeId next(cluster.log().leader() == NodeId(1) ? 2 : 1);
  cluster.log().Move(next);
  int looks = 0;
  const bool spins = cluster.scheduler().RunUntil([&] { return ++looks > 50000; }, 10000);
  EXPECT_FALSE(spins);
  ASSERT_NE(cluster.CoordinatorOf(next)->shard(), nullptr);
  EXPECT_EQ(cluster.CoordinatorOf(next)->shard()->next_deadline_ms(), std::nullopt);
  EXPECT_LE(logs.Count("could not be loaded"), 2);
  for (const NodeId id : cluster.ids()) cluster.FailReads(id, Status::Ok());
  cluster.RunFor(200);
  EXPECT_NE(cluster.CoordinatorOf(next)->shard()->next_deadline_ms(), std::nullopt)
      << "all is loaded: the sweep is due";
}

}  // namespace
}  // namespace sluice::broker::testing
