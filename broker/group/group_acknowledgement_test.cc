// The coordinator's surroundings over a model of the log, one story at a time: what the simulation
// (group_simulation_test.cc) found. All that hangs together with real replicas is in
// group_coordinator_test.cc.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace sluice::broker::testing
