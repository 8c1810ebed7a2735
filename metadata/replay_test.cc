#include "metadata/replay.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "metadata/invariants.h"
#include "metadata/partition_change.h"

namespace sluice::metadata {
namespace {

Uuid TestUuid(int n) {
  std::string bytes(16, '\0');
  bytes[15] = static_cast<char>(n);
  bytes[14] = static_cast<char>(n >> 8);
  bytes[0] = 1;
  return Uuid::FromBytes(bytes);
}

MetadataRecord Register(int id) {
  MetadataRecord record;
  RegisterBrokerRecord& broker = *record.mutable_register_broker();
  broker.set_broker_id(id);
  broker.set_incarnation_id(std::string(TestUuid(100 + id).view()));
  broker.set_directory_id(std::string(TestUuid(200 + id).view()));
  Endpoint* endpoint = broker.add_endpoints();
  endpoint->set_listener("PLAINTEXT");
  endpoint->set_host("127.0.0.1");
  endpoint->set_port(9000 + id);
  broker.set_rack("r" + std::to_string(id));
  return record;
}

MetadataRecord Topic(const std::string& name, int id) {
  MetadataRecord record;
  record.mutable_topic()->set_name(name);
  record.mutable_topic()->set_topic_id(std::string(TestUuid(id).view()));
  return record;
}

MetadataRecord Partition(int topic, int index, const std::vector<NodeId>& replicas) {
  MetadataRecord record;
  *record.mutable_partition() =
      NewPartition(TestUuid(topic), PartitionIndex(index), replicas, [](NodeId) { return true; });
  return record;
}

MetadataRecord Config(ConfigResourceType type, const std::string& name, const std::string& key,
                      const std::string& value) {
  MetadataRecord record;
  record.mutable_config()->set_type(type);
  record.mutable_config()->set_name(name);
  record.mutable_config()->set_key(key);
  if (!value.empty()) record.mutable_config()->set_value(value);
  return record;
}

// One entry after another on top of an image.
class ReplayTest : public testing::Test {
 protected:
  Status Apply(const std::vector<MetadataRecord>& records) {
    ImageBuilder builder(image_);
    for (const MetadataRecord& record : records) {
      SLUICE_RETURN_IF_ERROR(builder.Apply(record, LogIndex(image_->last_index.value() + 1)));
    }
    delta_ = builder.TakeDelta();
    image_ = builder.Build(image_->last_index + 1, Term(1));
    return Status::Ok();
  }

  ImagePtr image_ = EmptyImage();
  Delta delta_;
};

TEST_F(ReplayTest, BuildsTopicsAndSharesTheRest) {
  ASSERT_TRUE(Apply({Register(1), Register(2)}).ok());
  ASSERT_TRUE(Apply({Topic("a", 1), Partition(1, 0, {NodeId(1), NodeId(2)}),
                     Partition(1, 1, {NodeId(2), NodeId(1)})})
                  .ok());
  EXPECT_EQ(delta_.topics_created.size(), 1U);
  EXPECT_EQ(delta_.partitions[TestUuid(1)].size(), 2U);
  const ImagePtr before = image_;
  ASSERT_TRUE(Apply({Topic("b", 2), Partition(2, 0, {NodeId(1)})}).ok());
  EXPECT_EQ(before->FindTopic("a"), image_->FindTopic("a"));
  EXPECT_EQ(before->FindTopic("b"), nullptr);
  EXPECT_EQ(image_->FindTopic("b"), image_->FindTopic(TestUuid(2)));
  EXPECT_EQ(image_->FindBroker(NodeId(2))->epoch, BrokerEpoch(0));
  EXPECT_EQ(image_->FindPartition(TestUuid(1), PartitionIndex(1))->leader, NodeId(2));
  EXPECT_EQ(image_->FindPartition(TestUuid(1), PartitionIndex(2)), nullptr);
}

TEST_F(ReplayTest, ChangesLeaveTheOldImageAlone) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  const ImagePtr before = image_;
  MetadataRecord change;
  change.mutable_partition_change()->set_topic_id(std::string(TestUuid(1).view()));
  change.mutable_partition_change()->set_leader(-1);
  change.mutable_partition_change()->set_leader_epoch(1);
  change.mutable_partition_change()->mutable_isr();
  ASSERT_TRUE(Apply({change}).ok());
  EXPECT_EQ(before->FindPartition(TestUuid(1), PartitionIndex(0))->leader, NodeId(1));
  const PartitionImage* after = image_->FindPartition(TestUuid(1), PartitionIndex(0));
  EXPECT_EQ(after->leader, kNoNode);
  EXPECT_TRUE(after->isr.empty());
  EXPECT_EQ(after->partition_epoch, PartitionEpoch(1));
  EXPECT_TRUE(CheckTransition(*before, *image_).ok());
}

TEST_F(ReplayTest, RemovingATopicTakesItsConfigsAlong) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)}),
                     Config(CONFIG_RESOURCE_TYPE_TOPIC, "a", "retention.ms", "5")})
                  .ok());
  EXPECT_EQ(image_->TopicConfigs("a").at("retention.ms"), "5");
  MetadataRecord remove;
  remove.mutable_remove_topic()->set_topic_id(std::string(TestUuid(1).view()));
  ASSERT_TRUE(Apply({remove}).ok());
  EXPECT_EQ(image_->FindTopic("a"), nullptr);
  EXPECT_TRUE(image_->TopicConfigs("a").empty());
  EXPECT_EQ(delta_.topics_removed.at(TestUuid(1)), "a");
}

MetadataRecord Goal(int broker, BrokerGoalCode goal) {
  MetadataRecord record;
  record.mutable_broker_change()->set_broker_id(broker);
  record.mutable_broker_change()->set_goal(goal);
  return record;
}

// It is the operators', not the process's.
TEST_F(ReplayTest, ABrokersGoalOutlivesItsIncarnation) {
  ASSERT_TRUE(Apply({Register(1), Register(2)}).ok());
  ASSERT_TRUE(Apply({Goal(1, BROKER_GOAL_DRAIN), Goal(2, BROKER_GOAL_DECOMMISSION)}).ok());
  ASSERT_TRUE(Apply({Register(1), Register(2)}).ok());
  EXPECT_EQ(image_->FindBroker(NodeId(1))->goal, BrokerGoal::kDrain);
  EXPECT_EQ(image_->FindBroker(NodeId(2))->goal, BrokerGoal::kDecommission);
  const Result<ImagePtr> again = FromSnapshot(ToSnapshot(*image_));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->FindBroker(NodeId(2))->goal, BrokerGoal::kDecommission);
  ASSERT_TRUE(Apply({Goal(1, BROKER_GOAL_SERVE)}).ok());
  EXPECT_FALSE(Yields(*image_, NodeId(1)));
  MetadataRecord unregister;
  unregister.mutable_unregister_broker()->set_broker_id(2);
  ASSERT_TRUE(Apply({unregister, Register(2)}).ok());
  EXPECT_FALSE(Yields(*image_, NodeId(2)));
  EXPECT_FALSE(Apply({Goal(1, static_cast<BrokerGoalCode>(7))}).ok());
}

TEST_F(ReplayTest, RefusesContradictions) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  EXPECT_EQ(Apply({Topic("a", 2)}).code(), StatusCode::kCorruption);
  EXPECT_EQ(Apply({Topic("b", 1)}).code(), StatusCode::kCorruption);
  EXPECT_EQ(Apply({Partition(1, 2, {NodeId(1)})}).code(), StatusCode::kCorruption);
  EXPECT_EQ(Apply({MetadataRecord()}).code(), StatusCode::kCorruption);
  ImageBuilder builder(image_);
  EXPECT_EQ(builder.ApplyEntry("\x07 not a batch", LogIndex(9)).code(), StatusCode::kCorruption);
}

MetadataRecord RequestId(int id, int64_t time_ms) {
  MetadataRecord record;
  record.mutable_request_id()->set_request_id(std::string(TestUuid(id).view()));
  record.mutable_request_id()->set_time_ms(time_ms);
  record.mutable_request_id()->set_response("answer");
  return record;
}

TEST_F(ReplayTest, ASnapshotKeepsTheTimesOfRequests) {
  // By id the younger comes first.
  ASSERT_TRUE(Apply({RequestId(2, 1000), RequestId(1, 5000)}).ok());
  const Result<ImagePtr> restored = FromSnapshot(ToSnapshot(*image_));
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ((*restored)->requests->at(TestUuid(2))->time_ms, 1000);
}

TEST_F(ReplayTest, ForgetsOldRequests) {
  ASSERT_TRUE(Apply({RequestId(1, 1000), RequestId(2, 200'000)}).ok());
  EXPECT_EQ(image_->requests->size(), 2U);
  ASSERT_TRUE(Apply({RequestId(3, 1000 + kRequestKeptMs + 1)}).ok());
  EXPECT_FALSE(image_->requests->contains(TestUuid(1)));
  EXPECT_TRUE(image_->requests->contains(TestUuid(2)));
  for (int i = 0; i < static_cast<int>(kRequestsMax) + 5; ++i)
    ASSERT_TRUE(Apply({RequestId(1000 + i, 400'000)}).ok());
  EXPECT_EQ(image_->requests->size(), kRequestsMax);
}

// A random history: the snapshot of its image builds the same image, and the hash tells images
// apart.
TEST_F(ReplayTest, SnapshotsRoundTrip) {
  Random random(7);
  int topics = 0;
  ASSERT_TRUE(Apply({Register(0), Register(1), Register(2)}).ok());
  std::map<uint64_t, LogIndex> hashes;
  for (int step = 0; step < 300; ++step) {
    switch (random.Below(6)) {
      case 0: {
        const int id = ++topics;
        ASSERT_TRUE(Apply({Topic("t" + std::to_string(id), id),
                           Partition(id, 0, {NodeId(1), NodeId(2)}), Partition(id, 1, {NodeId(0)})})
                        .ok());
        break;
      }
      case 1: {
        MetadataRecord change;
        change.mutable_broker_change()->set_broker_id(static_cast<int>(random.Below(3)));
        change.mutable_broker_change()->set_fenced(random.Chance(1, 2));
        change.mutable_broker_change()->set_process_gone(random.Chance(1, 2));
        change.mutable_broker_change()->set_in_controlled_shutdown(random.Chance(1, 2));
        ASSERT_TRUE(Apply({change}).ok());
        break;
      }
      case 2:
        ASSERT_TRUE(Apply({Config(CONFIG_RESOURCE_TYPE_BROKER, "", "log.retention.ms",
                                  std::to_string(step + 1))})
                        .ok());
        break;
      case 4:
        ASSERT_TRUE(Apply({Config(CONFIG_RESOURCE_TYPE_GROUP, "g" + std::to_string(step % 7),
                                  "consumer.session.timeout.ms",
                                  random.Chance(1, 3) ? "" : std::to_string(step))})
                        .ok());
        break;
      case 3: ASSERT_TRUE(Apply({RequestId(step, random.Between(0, 900'000))}).ok()); break;
      default: {
        MetadataRecord ids;
        ids.mutable_producer_ids()->set_next_producer_id(image_->next_producer_id + 1000);
        ASSERT_TRUE(Apply({ids}).ok());
      }
    }
    const Result<ImagePtr> again = FromSnapshot(ToSnapshot(*image_));
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(StateHash(**again), StateHash(*image_));
    EXPECT_EQ((*again)->last_index, image_->last_index);
    EXPECT_EQ((*again)->topics_by_id->size(), image_->topics_by_id->size());
    for (const auto& [id, broker] : image_->brokers) EXPECT_EQ(*(*again)->FindBroker(id), *broker);
    for (const auto& [id, topic] : *image_->topics_by_id)
      EXPECT_EQ(*(*again)->FindTopic(id), *topic);
    hashes[StateHash(*image_)] = image_->last_index;
  }
  EXPECT_GT(hashes.size(), 200U);
}

TEST_F(ReplayTest, ADamagedSnapshotIsRefused) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  MetadataRecord ids;  // the last record of a snapshot: what is cut off always says something
  ids.mutable_producer_ids()->set_next_producer_id(1000);
  ASSERT_TRUE(Apply({ids}).ok());
  const std::string bytes = ToSnapshot(*image_);
  ImageSnapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(bytes));
  for (MetadataRecord& record : *snapshot.mutable_records()) {
    if (record.has_partition()) record.mutable_partition()->set_leader_epoch(77);
  }
  EXPECT_EQ(FromSnapshot(snapshot.SerializeAsString()).status().code(), StatusCode::kCorruption);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(FromSnapshot(bytes.substr(0, size)).status().code(), StatusCode::kCorruption) << size;
}

// Its hash is one that is no longer computed.
TEST_F(ReplayTest, SnapshotsOfEarlierVersionsAreRead) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  ImageSnapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(ToSnapshot(*image_)));
  ImageSnapshot with_hash_of_records = snapshot;
  with_hash_of_records.clear_hash();
  with_hash_of_records.set_records_hash(12345);
  ImageSnapshot with_hash_of_contents = snapshot;
  with_hash_of_contents.clear_hash();
  with_hash_of_contents.set_content_hash(12345);
  ImageSnapshot with_hash_of_another_version = snapshot;
  with_hash_of_another_version.mutable_hash()->set_version(kStateHashVersion + 1);
  with_hash_of_another_version.mutable_hash()->set_value(12345);
  for (const ImageSnapshot& earlier :
       {with_hash_of_records, with_hash_of_contents, with_hash_of_another_version}) {
    const Result<ImagePtr> again = FromSnapshot(earlier.SerializeAsString());
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(StateHash(**again), StateHash(*image_));
  }
}

// They pass over a hash of the records, if there is one, and look for one of the contents else.
TEST_F(ReplayTest, EarlierVersionsReadASnapshot) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  ImageSnapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(ToSnapshot(*image_)));
  EXPECT_EQ(snapshot.content_hash(), 0U);
  EXPECT_NE(snapshot.records_hash(), 0U);
}

// It is kept with what it is of, so a change must not keep it.
TEST_F(ReplayTest, TheHashIsOfTheImageAsItIs) {
  ASSERT_TRUE(Apply({Register(1), Topic("a", 1), Partition(1, 0, {NodeId(1)}), Topic("b", 2),
                     Partition(2, 0, {NodeId(1)})})
                  .ok());
  const uint64_t before = StateHash(*image_);
  MetadataRecord change;
  change.mutable_partition_change()->set_topic_id(std::string(TestUuid(1).view()));
  change.mutable_partition_change()->set_leader_epoch(5);
  ASSERT_TRUE(Apply({change}).ok());
  EXPECT_NE(StateHash(*image_), before);
  const Result<ImagePtr> afresh = FromSnapshot(ToSnapshot(*image_));
  ASSERT_TRUE(afresh.ok()) << afresh.status().ToString();
  EXPECT_EQ(StateHash(**afresh), StateHash(*image_));
}

TEST_F(ReplayTest, InvariantsFindBreaches) {
  MetadataRecord unfence;
  unfence.mutable_broker_change()->set_broker_id(1);
  unfence.mutable_broker_change()->set_fenced(false);
  MetadataRecord second = Register(2);
  second.mutable_register_broker()->set_fenced(true);
  ASSERT_TRUE(
      Apply({Register(1), second, unfence, Topic("a", 1), Partition(1, 0, {NodeId(1)})}).ok());
  EXPECT_TRUE(CheckImage(*image_).ok());
  ASSERT_TRUE(Apply({Topic("b", 2), Partition(2, 0, {NodeId(1), NodeId(2)})}).ok());
  EXPECT_EQ(CheckImage(*image_).code(), StatusCode::kInternal);  // a fenced broker in an ISR
  EXPECT_EQ(CheckTouched(*image_, delta_).code(), StatusCode::kInternal);
}

// A partition with replicas 1, 2 and 3, of whom 1 and 2 are in sync and 3 is being added.
class MovingTest : public ReplayTest {
 protected:
  void SetUp() override {
    MetadataRecord partition = Partition(1, 0, {NodeId(1), NodeId(2), NodeId(3)});
    PartitionRecord& moving = *partition.mutable_partition();
    moving.clear_isr();
    for (const int id : {1, 2}) moving.add_isr(id);
    moving.add_adding_replicas(3);
    moving.add_removing_replicas(1);
    ASSERT_TRUE(Apply({Register(1), Register(2), Register(3), Topic("a", 1), partition}).ok());
    for (const int id : {1, 2, 3}) {
      MetadataRecord unfence;
      unfence.mutable_broker_change()->set_broker_id(id);
      unfence.mutable_broker_change()->set_fenced(false);
      ASSERT_TRUE(Apply({unfence}).ok());
    }
    ASSERT_TRUE(CheckImage(*image_).ok());
    change_.mutable_partition_change()->set_topic_id(std::string(TestUuid(1).view()));
  }
  // Whether the invariants hold after the change, or what they say.
  std::string Breach() {
    const ImagePtr before = image_;
    EXPECT_TRUE(Apply({change_}).ok());
    Status found = CheckTouched(*image_, delta_);
    if (found.ok()) found = CheckTransition(*before, *image_);
    image_ = before;
    return found.message();
  }

  MetadataRecord change_;
};

TEST_F(MovingTest, ASnapshotKeepsTheMove) {
  const Result<ImagePtr> again = FromSnapshot(ToSnapshot(*image_));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->FindTopic("a")->partitions, image_->FindTopic("a")->partitions);
  EXPECT_EQ((*again)->FindTopic("a")->partitions[0].adding, std::vector<NodeId>{NodeId(3)});
  PartitionChangeRecord& change = *change_.mutable_partition_change();
  change.mutable_removing_replicas();
  ASSERT_TRUE(Apply({change_}).ok());
  EXPECT_EQ(image_->FindTopic("a")->partitions[0].adding.size(), 1U);
  EXPECT_TRUE(image_->FindTopic("a")->partitions[0].removing.empty());
  EXPECT_NE(StateHash(**again), StateHash(*image_));
}

TEST_F(MovingTest, ALastKnownElrBesideTheReplicasIsABreach) {
  change_.mutable_partition_change()->mutable_last_known_elr()->add_ids(9);
  EXPECT_NE(Breach().find("last known ELR outside"), std::string::npos);
}

TEST_F(MovingTest, TheRateIsKeptWithTheMoveAndGoesWithIt) {
  const uint64_t without = StateHash(*image_);
  PartitionChangeRecord& change = *change_.mutable_partition_change();
  change.set_move_kib_per_second(500);
  ASSERT_TRUE(Apply({change_}).ok());
  const ImagePtr slowed = image_;
  EXPECT_EQ(slowed->FindTopic("a")->partitions[0].move_kib_per_second, 500U);
  EXPECT_TRUE(CheckImage(*slowed).ok());
  const Result<ImagePtr> again = FromSnapshot(ToSnapshot(*slowed));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->FindTopic("a")->partitions, slowed->FindTopic("a")->partitions);
  change.set_move_kib_per_second(501);
  ASSERT_TRUE(Apply({change_}).ok());
  EXPECT_NE(StateHash(*image_), StateHash(*slowed));
  // Whoever ends the move, though it knows of no rates, ends the rate.
  change.clear_move_kib_per_second();
  change.mutable_adding_replicas();
  change.mutable_removing_replicas();
  ASSERT_TRUE(Apply({change_}).ok());
  EXPECT_EQ(image_->FindTopic("a")->partitions[0].move_kib_per_second, 0U);
  EXPECT_NE(without, StateHash(*slowed));
}

TEST_F(MovingTest, WhatBreaksAMoveIsFound) {
  PartitionChangeRecord& change = *change_.mutable_partition_change();
  change.mutable_adding_replicas()->add_ids(4);
  EXPECT_NE(Breach().find("no replica"), std::string::npos) << Breach();
  change.mutable_adding_replicas()->set_ids(0, 1);
  EXPECT_NE(Breach().find("both adds and removes broker 1"), std::string::npos) << Breach();
  change.clear_adding_replicas();
  for (const int id : {1, 2, 3}) change.mutable_removing_replicas()->add_ids(id);
  change.mutable_adding_replicas();
  EXPECT_NE(Breach().find("from or to no replica"), std::string::npos) << Breach();
  change.clear_removing_replicas();
  change.clear_adding_replicas();
  for (const int id : {1, 2, 3}) change.mutable_isr()->add_ids(id);
  EXPECT_NE(Breach().find("moves though all"), std::string::npos) << Breach();
  change.clear_isr();
  for (const int id : {1, 2}) change.mutable_replicas()->add_ids(id);
  change.mutable_adding_replicas();
  change.mutable_removing_replicas();
  EXPECT_NE(Breach().find("dropped a replica within a leader epoch"), std::string::npos)
      << Breach();
  change.set_leader_epoch(1);
  EXPECT_EQ(Breach(), "");
}

TEST_F(MovingTest, MinIsrCountsTheReplicasOfBefore) {
  ASSERT_TRUE(Apply({Config(CONFIG_RESOURCE_TYPE_TOPIC, "a", "min.insync.replicas", "3")}).ok());
  EXPECT_EQ(EffectiveMinIsr(*image_, "a", image_->FindTopic("a")->partitions[0]), 2);
}

TEST_F(MovingTest, ElectionsThatMayLoseRecordsAreCounted) {
  PartitionChangeRecord& change = *change_.mutable_partition_change();
  change.set_may_lose_records(true);
  ASSERT_TRUE(Apply({change_}).ok());
  EXPECT_EQ(delta_.unclean_elections, 1);
}

}  // namespace
}  // namespace sluice::metadata
