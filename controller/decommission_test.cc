// Decommission in steps: a walk over many partitions, while the image changes from step to step.

#include "controller/decommission.h"

#include <gtest/gtest.h>

#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using metadata::BrokerGoal;
using metadata::PartitionImage;
using metadata::TopicImage;

class DecommissionTest : public ::testing::Test {
 protected:
  DecommissionTest() : image_(*metadata::EmptyImage()) {
    for (int id = 1; id <= 4; ++id) AddBroker(id);
    MarkGoal(4, BrokerGoal::kDecommission);
  }

  void AddBroker(int id) {
    metadata::BrokerImage broker;
    broker.id = NodeId(id);
    broker.fenced = false;
    image_.brokers[broker.id] = std::make_shared<metadata::BrokerImage>(broker);
  }
  template <typename Change>
  void ChangeBroker(int id, Change change) {
    metadata::BrokerImage broker = *image_.FindBroker(NodeId(id));
    change(broker);
    image_.brokers[NodeId(id)] = std::make_shared<metadata::BrokerImage>(broker);
  }
  void MarkGoal(int id, BrokerGoal goal) {
    ChangeBroker(id, [goal](metadata::BrokerImage& broker) { broker.goal = goal; });
  }
  static Uuid Directory(int id, int number) {
    return Uuid::FromBytes(std::string(14, 'd') + std::to_string(id) + std::to_string(number));
  }
  // The broker has two log directories, and the first `count` of them are full.
  void Fill(int id, int count) {
    ChangeBroker(id, [id](metadata::BrokerImage& broker) {
      broker.log_directories = {Directory(id, 1), Directory(id, 2)};
    });
    HeartbeatRequest told;
    told.mutable_sender()->set_node_id(id);
    for (int number = 1; number <= count; ++number)
      told.add_full_log_dirs(std::string(Directory(id, number).view()));
    full_.Note(image_, told);
  }
  void Fence(int id) {
    ChangeBroker(id, [](metadata::BrokerImage& broker) { broker.fenced = true; });
  }

  static PartitionImage Led(std::vector<NodeId> replicas) {
    PartitionImage partition;
    partition.leader = replicas.front();
    partition.isr = replicas;
    partition.replicas = std::move(replicas);
    return partition;
  }
  // `count` topics of 1000 partitions that are none of broker 4's: "t000", "t001"...
  void MakeTopics(int count) {
    for (int t = 0; t < count; ++t) {
      TopicImage topic;
      topic.name = "t" + std::string(t < 10 ? "00" : "0") + std::to_string(t);
      topic.id = TopicId::FromBytes(topic.name + std::string(12, 'x'));
      topic.partitions.assign(1000, Led({NodeId(1), NodeId(2)}));
      Put(std::move(topic));
    }
  }
  void Put(TopicImage topic) {
    auto topics = std::make_shared<metadata::TopicsByName>(*image_.topics_by_name);
    const std::string name = topic.name;
    topics->Set(name, std::make_shared<const TopicImage>(std::move(topic)));
    image_.topics_by_name = topics;
  }
  void SetPartition(const std::string& name, size_t index, PartitionImage partition) {
    TopicImage topic = *image_.FindTopic(name);
    topic.partitions[index] = std::move(partition);
    Put(std::move(topic));
  }
  void GiveToLeaving(const std::string& topic, size_t index) {
    SetPartition(topic, index, Led({NodeId(1), NodeId(4)}));
  }

  // The steps until one has records; -1: so many have none.
  int StepsToRecords(int steps_max) {
    for (int step = 1; step <= steps_max; ++step) {
      records_ = decommission_.Next(image_, full_);
      if (!records_.empty()) return step;
    }
    return -1;
  }
  int Steps() {  // of this walk, the rest
    int steps = 0;
    do {
      records_ = decommission_.Next(image_, full_);
      ++steps;
    } while (decommission_.next_in_ms() == Decommission::kStepMs);
    return steps;
  }
  // As a commit of the records would: what moves has both assignments.
  void TakeMoves() {
    for (const metadata::MetadataRecord& record : records_) {
      const metadata::PartitionChangeRecord& change = record.partition_change();
      const auto topics = image_.topics_by_name;
      for (const auto& [name, topic] : *topics) {
        if (topic->id.view() != change.topic_id()) continue;
        const auto index = static_cast<size_t>(change.partition());
        PartitionImage partition = topic->partitions[index];
        partition.adding = {NodeId(change.adding_replicas().ids(0))};
        partition.removing = {NodeId(4)};
        SetPartition(name, index, partition);
        break;
      }
      ++moves_begun_;
    }
  }

  metadata::Image image_;
  FullDirectories full_;
  Decommission decommission_{3};
  Records records_;
  int moves_begun_ = 0;
};

// 50,000 are counted, and as many looked at before the last one is found: 20,000 a step.
TEST_F(DecommissionTest, LooksAtSoManyPartitionsAStep) {
  MakeTopics(50);
  GiveToLeaving("t049", 999);
  EXPECT_EQ(StepsToRecords(100), 5);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_EQ(records_[0].partition_change().partition(), 999);
  EXPECT_EQ(decommission_.next_in_ms(), Decommission::kPauseMs);
}

TEST_F(DecommissionTest, FewPartitionsTakeOneStep) {
  MakeTopics(10);
  for (const size_t index : {1, 2, 998, 999}) GiveToLeaving("t005", index);
  EXPECT_EQ(Steps(), 1);
  EXPECT_EQ(records_.size(), 3U);
}

TEST_F(DecommissionTest, WhereNobodyLeavesNothingIsCounted) {
  MakeTopics(50);
  MarkGoal(4, BrokerGoal::kDrain);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(decommission_.Next(image_, full_).empty());
    EXPECT_EQ(decommission_.next_in_ms(), Decommission::kPauseMs);
  }
}

// The next walk counts all, 50,000, and goes on behind the last move, to the end and round.
TEST_F(DecommissionTest, TheNextWalkGoesOnWhereThisOneEnded) {
  MakeTopics(50);
  for (const size_t index : {10, 20, 30, 40}) GiveToLeaving("t030", index);
  EXPECT_EQ(StepsToRecords(100), 5);
  EXPECT_EQ(records_.size(), 3U);
  TakeMoves();
  EXPECT_EQ(Steps(), 3);  // as many move as may
  EXPECT_TRUE(records_.empty());
  for (const size_t index : {10, 20, 30}) SetPartition("t030", index, Led({NodeId(1), NodeId(3)}));
  EXPECT_EQ(StepsToRecords(100), 3);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_EQ(records_[0].partition_change().partition(), 40);
  TakeMoves();
  GiveToLeaving("t000", 0);  // which comes when the walk has been at the end
  EXPECT_EQ(StepsToRecords(100), 1);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_EQ(records_[0].partition_change().partition(), 0);
}

// Moves end and topics come and go while a walk is under way: never do more than three move of
// those that this one begins, and in the end none is left.
TEST_F(DecommissionTest, AllLeavesThoughTheImageChanges) {
  MakeTopics(45);
  for (size_t i = 0; i < 40; ++i) GiveToLeaving("t0" + std::to_string(10 + i % 35), i * 20);
  for (int step = 0; step < 2000 && moves_begun_ < 40; ++step) {
    records_ = decommission_.Next(image_, full_);
    EXPECT_LE(records_.size(), 3U);
    TakeMoves();
    int moving = 0;
    const auto topics = image_.topics_by_name;
    for (const auto& [name, topic] : *topics) {
      for (size_t i = 0; i < topic->partitions.size(); ++i) {
        if (!topic->partitions[i].moving()) continue;
        EXPECT_LE(++moving, 3);
        if ((i / 20 + static_cast<size_t>(step)) % 3 == 0)
          SetPartition(name, i, Led({NodeId(1), NodeId(3)}));
      }
    }
    if (step % 7 == 0) {
      auto fewer = std::make_shared<metadata::TopicsByName>(*image_.topics_by_name);
      if (!fewer->Erase("t00" + std::to_string(step % 9))) continue;
      image_.topics_by_name = fewer;
    }
  }
  EXPECT_EQ(moves_begun_, 40);
}

TEST_F(DecommissionTest, WhoHasNoReplicasAndDoesNotRunIsUnregisteredWhenAllAreCounted) {
  MakeTopics(50);
  Steps();
  EXPECT_TRUE(records_.empty());  // it runs
  Fence(4);
  EXPECT_EQ(StepsToRecords(100), 3);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_EQ(records_[0].unregister_broker().broker_id(), 4);
}

TEST_F(DecommissionTest, TheLastReplicaKeepsItsBroker) {
  MakeTopics(50);
  PartitionImage leaderless = Led({NodeId(1), NodeId(4)});
  leaderless.leader = kNoNode;
  SetPartition("t049", 999, leaderless);
  Fence(4);
  EXPECT_EQ(StepsToRecords(20), -1);
}

// The move would never end, and others could not begin.
TEST_F(DecommissionTest, NothingMovesToWhereNoDiskHasRoom) {
  MakeTopics(1);
  GiveToLeaving("t000", 0);
  Fill(2, 2);
  Fill(3, 2);
  EXPECT_EQ(StepsToRecords(10), -1);
  Fill(3, 1);
  EXPECT_GT(StepsToRecords(10), 0);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_EQ(records_[0].partition_change().adding_replicas().ids(0), 3);
}

// Between two steps it is no longer to go, gets a replica that was counted already, and is to go
// once more.
TEST_F(DecommissionTest, AnotherGoalBeginsTheWalkAnew) {
  MakeTopics(50);
  Fence(4);
  decommission_.Next(image_, full_);
  decommission_.Next(image_, full_);
  PartitionImage leaderless = Led({NodeId(1), NodeId(4)});
  leaderless.leader = kNoNode;
  SetPartition("t000", 0, leaderless);
  decommission_.Begin();
  EXPECT_EQ(StepsToRecords(20), -1);
}

}  // namespace
}  // namespace sluice::controller
