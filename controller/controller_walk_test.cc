// Random walks: brokers register, beat, fall silent, restart and lose data; leaders change their
// ISRs; partitions move and are given other leaders; brokers are drained and decommissioned; topics
// and configs come and go; leadership is lost and won. After every committed entry the invariants
// hold, no acknowledged answer is taken back, and a replay of the log gives the same state.

#include <gtest/gtest.h>

#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

class ControllerWalkTest : public testing::ClusterFixture,
                           public ::testing::WithParamInterface<int> {
 protected:
  ControllerWalkTest() : ClusterFixture(static_cast<uint64_t>(GetParam())) {}

  std::string AnyTopic() { return "t" + std::to_string(random_.Below(6)); }
  int AnyBroker() { return static_cast<int>(random_.Between(1, 4)); }

  void Restart() {
    testing::TestBroker& broker = Broker(AnyBroker());
    const bool clean = random_.Chance(1, 3);
    ++broker.incarnation;
    broker.damaged.clear();
    if (random_.Chance(1, 4)) broker.damaged.emplace_back(AnyTopic(), 0);
    broker.previous_epoch = clean ? broker.epoch : -1;
    if (random_.Chance(1, 5)) broker.boot += "x";
    if (random_.Chance(1, 12)) broker.directory += 100;
    broker.want_shutdown = false;
    Register(broker.id);
  }

  void ChangeIsr() {
    const std::string topic = AnyTopic();
    if (controller_->committed()->FindTopic(topic) == nullptr) return;
    const auto& partition = Partition(topic);
    std::vector<int> isr;
    for (const NodeId node : partition.replicas) {
      if (node == partition.leader || random_.Chance(1, 2)) isr.push_back(node.value());
    }
    AlterIsr(random_.Chance(9, 10) ? partition.leader.value() : AnyBroker(), topic, isr);
  }

  void DeleteTopic() {
    DeleteTopicsRequest request;
    request.add_topics()->set_name(AnyTopic());
    Call(&MetadataController::DeleteTopics, request);
  }

  void Move() {
    const std::string topic = AnyTopic();
    std::optional<std::vector<int>> target;
    if (random_.Chance(4, 5)) {
      target.emplace();
      for (int id = 1; id <= 4; ++id) {
        if (random_.Chance(1, 2))
          target->insert(target->begin() + random_.Between(0, static_cast<int64_t>(target->size())),
                         id);
      }
    }
    Reassign(topic, target, random_.Chance(3, 4));
  }

  void ChangeGoal() {
    const auto operation = static_cast<ChangeBrokerRequest::Operation>(random_.Below(4));
    Change(operation, AnyBroker(), random_.Chance(1, 2));
  }

  void Step() {
    switch (random_.Below(16)) {
      case 15: return ChangeGoal();
      case 12:
      case 13: return Move();
      case 14: {
        ElectLeader(AnyTopic(), random_.Chance(1, 4));
        return;
      }
      case 0: return Restart();
      case 1: {
        testing::TestBroker& broker = Broker(AnyBroker());
        broker.want_shutdown = random_.Chance(1, 2);
        Heartbeat(broker.id);
        return;
      }
      case 2: {
        CreateTopic(AnyTopic(), static_cast<int32_t>(random_.Between(1, 3)),
                    static_cast<int32_t>(random_.Between(1, 4)));
        return;
      }
      case 3: return random_.Chance(1, 4) ? DeleteTopic() : ChangeIsr();
      case 4: {
        AlterConfig(metadata::CONFIG_RESOURCE_TYPE_TOPIC, AnyTopic(), "min.insync.replicas",
                    std::to_string(random_.Between(1, 3)));
        return;
      }
      case 5: {
        AlterConfig(metadata::CONFIG_RESOURCE_TYPE_BROKER, "", "min.insync.replicas",
                    std::to_string(random_.Between(1, 3)));
        return;
      }
      case 6: return RunForMs(random_.Between(1, 400));
      case 7: {
        if (!random_.Chance(1, 4)) return;
        quorum_.Lose(NodeId(2));
        quorum_.Lead();
        CommitAll();
        return;
      }
      case 8:
      case 9: return ChangeIsr();
      default: {
        for (int id = 1; id <= 4; ++id) Heartbeat(id);
      }
    }
  }
};

TEST_P(ControllerWalkTest, InvariantsHold) {
  quorum_.Lead();
  CommitAll();
  StartBrokers(4);
  for (int step = 0; step < 600 && !HasFailure(); ++step) Step();

  metadata::ImageBuilder builder(metadata::EmptyImage());
  for (const raft::Entry& entry : quorum_.log())
    ASSERT_TRUE(builder.ApplyEntry(entry.data, entry.index).ok());
  const auto& committed = *controller_->committed();
  EXPECT_EQ(metadata::StateHash(*builder.Build(committed.last_index, committed.last_term)),
            metadata::StateHash(committed));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ControllerWalkTest, ::testing::Range(1, 41));

}  // namespace
}  // namespace sluice::controller
