// Stories of the control plane over a fake quorum: brokers that come and go, topics, elections, ISR
// changes, and lost leadership. The invariants are checked after every committed entry.

#include "controller/controller.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "controller/testing/cluster_fixture.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using metadata::CONFIG_RESOURCE_TYPE_BROKER;
using metadata::CONFIG_RESOURCE_TYPE_GROUP;
using metadata::CONFIG_RESOURCE_TYPE_TOPIC;

class ControllerTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
};

TEST_F(ControllerTest, ActivationWritesWhatANewClusterNeeds) {
  const auto image = controller_->committed();
  EXPECT_EQ(image->cluster_id, "cluster");
  EXPECT_EQ(image->features.at("metadata.version"), 30);
  EXPECT_EQ(image->features.at("eligible.leader.replicas.version"), 1);
  EXPECT_EQ(image->features.at("group.version"), 1);
  EXPECT_EQ(image->broker_configs->at("").at("min.insync.replicas"), "1");
  EXPECT_EQ(image->broker_configs->at("").at("durability"), "fsync");
  const size_t entries = quorum_.log().size();
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  EXPECT_EQ(quorum_.log().size(), entries + 1);  // the term's first entry, no second bootstrap
}

TEST_F(ControllerTest, ABrokerIsUnfencedWhenItIsReadyAndCaughtUp) {
  EXPECT_EQ(Register(1).cluster_id(), "cluster");
  EXPECT_EQ(controller_->committed()->FindBroker(NodeId(1))->epoch.value(), Broker(1).epoch);
  Broker(1).ready = false;
  EXPECT_TRUE(Heartbeat(1).fenced());
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
  Broker(1).ready = true;
  Heartbeat(1);
  EXPECT_FALSE(Heartbeat(1).fenced());
  // A retry of the registration keeps the epoch.
  const int64_t epoch = Broker(1).epoch;
  EXPECT_EQ(Register(1).broker_epoch(), epoch);
}

TEST_F(ControllerTest, HeartbeatsOfAnotherEpochAreRefused) {
  EXPECT_EQ(Heartbeat(1).outcome().error_code(), Code(ErrorCode::kBrokerIdNotRegistered));
  Register(1);
  Broker(1).epoch -= 1;
  EXPECT_EQ(Heartbeat(1).outcome().error_code(), Code(ErrorCode::kStaleBrokerEpoch));
}

TEST_F(ControllerTest, ASilentBrokerIsFencedAfterItsSession) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  BeatFor(500, {2, 3});
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2,3 elr= known=");
  BeatFor(300, {2, 3});
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(1));
  EXPECT_EQ(controller_->metrics().fenced_by_session, 1U);
  Heartbeat(1);
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->active());
  EXPECT_EQ(AlterIsr(2, "t", {2, 3, 1}).partitions(0).error_code(), 0);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3,1 elr= known=");
  EXPECT_EQ(Partition("t").leader_epoch, LeaderEpoch(1));  // an ISR change keeps the leader's epoch
}

TEST_F(ControllerTest, ADeadProcessIsFencedLongBeforeItsSessionEnds) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  BeatFor(200, {1, 2, 3});
  dialer_.outcomes["broker1"] = DialOutcome::kRefused;
  controller_->OnBrokerConnectionLost(NodeId(1), false);
  RunForMs(100);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_EQ(controller_->metrics().fenced_by_refusal, 1U);
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->process_gone);
}

TEST_F(ControllerTest, AVotersDeathIsThatOfItsBroker) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  controller_->OnVoterLost(NodeId(2), true);  // only broker 1 shares its process with a voter
  controller_->OnVoterLost(NodeId(1), true);
  RunForMs(100);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
}

TEST_F(ControllerTest, SilenceAloneMakesTheControllerDial) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  dialer_.outcomes["broker1"] = DialOutcome::kRefused;
  BeatFor(300, {2, 3});
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
}

TEST_F(ControllerTest, AHeartbeatContradictsARefusal) {
  StartBrokers(2);
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  RunForMs(25);
  Heartbeat(1);
  BeatFor(200, {1, 2});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->active());
}

TEST_F(ControllerTest, ARestartReplacesTheOldIncarnationAtOnce) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  const int64_t old_epoch = Broker(1).epoch;
  ++Broker(1).incarnation;
  EXPECT_EQ(Register(1).outcome().error_code(), 0);
  EXPECT_GT(Broker(1).epoch, old_epoch);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

TEST_F(ControllerTest, AnotherDiskUnderALivingIdIsRefused) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  ++Broker(1).incarnation;
  Broker(1).directory = 77;
  EXPECT_EQ(Register(1).outcome().error_code(), Code(ErrorCode::kDuplicateBrokerRegistration));
  BeatFor(800, {2, 3});
  EXPECT_EQ(Register(1).outcome().error_code(), 0);  // the old one's session is over
}

TEST_F(ControllerTest, RegistrationChecksClusterAndIds) {
  RegisterBrokerRequest request;
  request.mutable_sender()->set_cluster_id("other");
  EXPECT_EQ(Call(&MetadataController::RegisterBroker, request).outcome().error_code(),
            Code(ErrorCode::kInconsistentClusterId));
  request.mutable_sender()->set_cluster_id("");
  EXPECT_EQ(Call(&MetadataController::RegisterBroker, request).outcome().error_code(),
            Code(ErrorCode::kInvalidRegistration));
}

// The ISR shrinks below min ISR to one; its last member dies; whoever has all the records may lead,
// nobody else.
TEST_F(ControllerTest, EligibleLeaderReplicas) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "2");
  AlterIsr(1, "t", {1, 2});
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
  AlterIsr(1, "t", {1});
  EXPECT_EQ(Show("t"), "leader=1 isr=1 elr=2 known=");
  ++Broker(1).incarnation;
  Register(1);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr=1 known=");
  // Lowering min ISR lets the high watermark move without broker 1: it is no candidate any more.
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", std::nullopt,
              AlterConfigsRequest::DELETE);
  EXPECT_EQ(Show("t"), "leader=2 isr=2 elr= known=");
}

TEST_F(ControllerTest, WhoLostDataIsNoCandidate) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  CreateTopic("r", 1, 3, {{"durability", "replicated"}, {"min.insync.replicas", "3"}});
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "min.insync.replicas", "3");
  // Its host went down without a clean stop: what waited for the disk is there, the rest may be
  // lost.
  ++Broker(3).incarnation;
  Broker(3).boot = "boot2";
  Register(3);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr=3 known=");
  const std::string shown = Show("r");
  EXPECT_EQ(shown.find("elr= known=3"), shown.size() - 12) << shown;
  // A damaged log, a clean marker older than the registration, another disk: nothing is trusted.
  Heartbeat(3);
  AlterIsr(1, "t", {1, 2, 3});
  ++Broker(3).incarnation;
  Broker(3).previous_epoch = 2;
  Register(3);
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=3");
}

TEST_F(ControllerTest, ADamagedLogCostsOnlyItsOwnPartitionItsStanding) {
  StartBrokers(3);
  CreateTopic("t", 2, 3, {{"min.insync.replicas", "3"}});
  ++Broker(3).incarnation;
  Broker(3).damaged = {{"t", 1}};
  Register(3);
  EXPECT_EQ(Partition("t", 0).elr, std::vector<NodeId>{NodeId(3)});
  EXPECT_TRUE(Partition("t", 1).elr.empty());
  EXPECT_EQ(Partition("t", 1).last_known_elr, std::vector<NodeId>{NodeId(3)});
}

// kill -9 of all, then all again on the same hosts: nobody lost anything, in whatever order they
// come.
TEST_F(ControllerTest, AfterAKillOfTheWholeClusterOnlyCompleteReplicasLead) {
  StartBrokers(3);
  CreateTopic("one", 3, 3);
  CreateTopic("two", 3, 3, {{"min.insync.replicas", "2"}});
  sluice::testing::LogCatcher catcher;
  for (const std::vector<int>& order : {std::vector{1, 2, 3}, {2, 3, 1}, {3, 2, 1}}) {
    for (const int id : order) {
      ++Broker(id).incarnation;
      // A log of another topic is damaged, and that is nothing to these.
      Broker(id).damaged = {{"other", 0}};
      Register(id);
    }
    for (const int id : order) Heartbeat(id);
    BeatFor(1000, order);
    for (const char* topic : {"one", "two"}) {
      for (int partition = 0; partition < 3; ++partition) {
        EXPECT_NE(Partition(topic, partition).leader, kNoNode) << topic;
      }
    }
  }
  EXPECT_FALSE(catcher.Saw("records may be missing"));
  // The line itself is there when it should be.
  const int last = Partition("one").leader.value();
  for (const int id : {1, 2, 3}) {
    if (id == last) continue;
    ++Broker(id).incarnation;
    Register(id);
  }
  ++Broker(last).incarnation;
  Broker(last).damaged = {{"one", 0}};
  Register(last);
  for (const int id : {1, 2, 3}) Broker(id).log_ends[{"one", 0}] = {0, id == last ? 10 : 9};
  BeatFor(200, {1, 2, 3});
  EXPECT_EQ(Partition("one").leader, NodeId(last));
  EXPECT_TRUE(
      catcher.Saw("one-0: broker " + std::to_string(last) + " was elected uncleanly: no replica"));
  EXPECT_FALSE(catcher.Saw("two-"));
}

TEST_F(ControllerTest, ThrottlesOfMovesAreSetForABrokerAndTakenAway) {
  StartBrokers(1);
  for (const char* key :
       {"leader.replication.throttled.rate", "follower.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second"}) {
    EXPECT_EQ(AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "1", key, "1000000").error_code(), 0) << key;
    EXPECT_EQ(controller_->committed()->broker_configs->at("1").at(key), "1000000");
    EXPECT_EQ(AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "1", key, "-1").error_code(),
              Code(ErrorCode::kInvalidConfig));
    EXPECT_EQ(AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "1", key, std::nullopt,
                          AlterConfigsRequest::DELETE)
                  .error_code(),
              0);
  }
}

TEST_F(ControllerTest, ControlledShutdownMovesLeadersFirst) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  Broker(1).want_shutdown = true;
  EXPECT_FALSE(Heartbeat(1).may_shut_down());
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
  EXPECT_FALSE(Heartbeat(1).may_shut_down());  // brokers 2 and 3 have not said that they know
  Heartbeat(2);
  Heartbeat(3);
  EXPECT_TRUE(Heartbeat(1).may_shut_down());
  BeatFor(900, {2, 3});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

TEST_F(ControllerTest, AlterPartitionFences) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  const auto error = [&](const AlterPartitionRequest& request) {
    const AlterPartitionResponse response = Call(&MetadataController::AlterPartition, request);
    return response.outcome().error_code() != 0 ? response.outcome().error_code()
                                                : response.partitions(0).error_code();
  };
  AlterPartitionRequest request = AlterIsrRequest(1, "t", {1, 2});
  request.mutable_sender()->set_broker_epoch(0);
  EXPECT_EQ(error(request), Code(ErrorCode::kStaleBrokerEpoch));
  request = AlterIsrRequest(1, "t", {1, 2});
  request.mutable_partitions(0)->set_topic_id(std::string(16, 'x'));
  EXPECT_EQ(error(request), Code(ErrorCode::kUnknownTopicId));
  request = AlterIsrRequest(1, "t", {1, 2});
  request.mutable_partitions(0)->set_partition(1);
  EXPECT_EQ(error(request), Code(ErrorCode::kUnknownTopicOrPartition));
  request = AlterIsrRequest(1, "t", {1, 2});
  request.mutable_partitions(0)->set_leader_epoch(1);
  EXPECT_EQ(error(request), Code(ErrorCode::kNotController));
  EXPECT_EQ(error(AlterIsrRequest(2, "t", {1, 2})), Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(error(AlterIsrRequest(1, "t", {2})), Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(error(AlterIsrRequest(1, "t", {1, 1})), Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(error(AlterIsrRequest(1, "t", {1, 4})), Code(ErrorCode::kInvalidRequest));
  request = AlterIsrRequest(1, "t", {1, 2});
  request.mutable_partitions(0)->mutable_isr(1)->set_broker_epoch(1);
  EXPECT_EQ(error(request), Code(ErrorCode::kIneligibleReplica));
  const AlterPartitionRequest stale = AlterIsrRequest(1, "t", {1, 2, 3});
  EXPECT_EQ(error(AlterIsrRequest(1, "t", {1, 2})), 0);
  EXPECT_EQ(error(stale), Code(ErrorCode::kInvalidUpdateVersion));
  ++Broker(3).incarnation;
  Register(3);  // fenced again
  EXPECT_EQ(error(AlterIsrRequest(1, "t", {1, 2, 3})), Code(ErrorCode::kIneligibleReplica));
  const AlterPartitionRequest old_leader = AlterIsrRequest(1, "t", {1});
  ++Broker(1).incarnation;
  Register(1);
  AlterPartitionRequest fenced = old_leader;
  fenced.mutable_sender()->set_broker_epoch(Broker(1).epoch);
  EXPECT_EQ(error(fenced), Code(ErrorCode::kFencedLeaderEpoch));
}

TEST_F(ControllerTest, CreateTopicErrorsNameValueAndRange) {
  StartBrokers(3);
  const auto check = [](const TopicOutcome& outcome, ErrorCode code, const std::string& text) {
    EXPECT_EQ(outcome.error_code(), Code(code)) << outcome.message();
    EXPECT_NE(outcome.message().find(text), std::string::npos) << outcome.message();
  };
  check(CreateTopic("a b", 1, 1), ErrorCode::kInvalidTopicException, "'a b'");
  check(CreateTopic("t", 0, 1), ErrorCode::kInvalidPartitions, "0 is outside 1 to 10000");
  check(CreateTopic("t", 1, 4), ErrorCode::kInvalidReplicationFactor, "4 is outside 1 to 3");
  check(CreateTopic("t", 1, 1, {{"retention.mss", "1"}}), ErrorCode::kInvalidConfig,
        "retention.ms");
  check(CreateAssigned("t", {{1, 9}}), ErrorCode::kInvalidReplicaAssignment, "broker 9");
  check(CreateAssigned("t", {{1, 2}, {1}}), ErrorCode::kInvalidReplicaAssignment,
        "1 brokers, others to 2");
  EXPECT_EQ(CreateTopic("t.x", 2, 3).error_code(), 0);
  check(CreateTopic("t.x", 2, 3), ErrorCode::kTopicAlreadyExists, "t.x");
  check(CreateTopic("t_x", 2, 3), ErrorCode::kInvalidTopicException, "collides");
  const TopicOutcome by_default = CreateTopic("d", -1, -1);
  EXPECT_EQ(by_default.partition_count(), 1);
  EXPECT_EQ(by_default.replication_factor(), 1);
}

TEST_F(ControllerTest, OneBadTopicDoesNotStopTheOthers) {
  StartBrokers(1);
  CreateTopicsRequest request;
  for (const char* name : {"a", "b.c", "b_c", "d", "d"}) {
    auto& topic = *request.add_topics();
    topic.set_name(name);
    topic.set_partition_count(1);
    topic.set_replication_factor(1);
  }
  request.set_validate_only(true);
  Call(&MetadataController::CreateTopics, request);
  EXPECT_TRUE(controller_->committed()->topics_by_name->empty());
  request.set_validate_only(false);
  const CreateTopicsResponse response = Call(&MetadataController::CreateTopics, request);
  EXPECT_EQ(response.topics(0).error_code(), 0);
  EXPECT_EQ(response.topics(1).error_code(), 0);
  EXPECT_EQ(response.topics(2).error_code(), Code(ErrorCode::kInvalidTopicException));
  EXPECT_EQ(response.topics(3).error_code(), Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(response.applied_index(), controller_->committed()->last_index.value());
  EXPECT_EQ(controller_->committed()->topics_by_name->size(), 2U);
}

TEST_F(ControllerTest, PartitionsOnlyGrow) {
  StartBrokers(3);
  CreateTopic("t", 2, 2);
  CreatePartitionsRequest request;
  auto& topic = *request.add_topics();
  topic.set_name("t");
  topic.set_partition_count(2);
  EXPECT_EQ(Call(&MetadataController::CreatePartitions, request)
                .topics(0)
                .message()
                .find("partition count 2 is outside 3 to 10000"),
            0U);
  topic.set_partition_count(5);
  EXPECT_EQ(Call(&MetadataController::CreatePartitions, request).topics(0).error_code(), 0);
  EXPECT_EQ(controller_->committed()->FindTopic("t")->partitions.size(), 5U);
  EXPECT_EQ(Partition("t", 4).replicas.size(), 2U);
}

TEST_F(ControllerTest, DeletedTopicsAreGoneWithTheirConfigs) {
  StartBrokers(1);
  CreateTopic("t", 1, 1, {{"retention.ms", "1d"}});
  EXPECT_EQ(controller_->committed()->TopicConfigs("t").at("retention.ms"), "86400000");
  DeleteTopicsRequest request;
  request.add_topics()->set_name("t");
  request.add_topics()->set_name("u");
  request.add_topics()->set_topic_id(std::string(16, 'i'));
  const DeleteTopicsResponse response = Call(&MetadataController::DeleteTopics, request);
  EXPECT_EQ(response.topics(0).error_code(), 0);
  EXPECT_EQ(response.topics(1).error_code(), Code(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(response.topics(2).error_code(), Code(ErrorCode::kUnknownTopicId));
  EXPECT_TRUE(controller_->committed()->TopicConfigs("t").empty());
}

TEST_F(ControllerTest, Configs) {
  StartBrokers(1);
  CreateTopic("t", 1, 1);
  EXPECT_EQ(AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "cleanup.policy", "compact",
                        AlterConfigsRequest::APPEND)
                .error_code(),
            0);
  EXPECT_EQ(controller_->committed()->TopicConfigs("t").at("cleanup.policy"), "delete,compact");
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "cleanup.policy", "delete",
              AlterConfigsRequest::SUBTRACT);
  EXPECT_EQ(controller_->committed()->TopicConfigs("t").at("cleanup.policy"), "compact");
  AlterConfig(CONFIG_RESOURCE_TYPE_TOPIC, "t", "cleanup.policy", std::nullopt,
              AlterConfigsRequest::DELETE);
  EXPECT_TRUE(controller_->committed()->TopicConfigs("t").empty());
  const auto code = [&](auto... arguments) { return AlterConfig(arguments...).error_code(); };
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_TOPIC, "u", "retention.ms", "1"),
            Code(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_TOPIC, "t", "retention.ms", "x"),
            Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_TOPIC, "t", "retention.ms", "5", AlterConfigsRequest::APPEND),
            Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_BROKER, "1", "node.id", "5"),
            Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_BROKER, "9", "log.retention.ms", "2"),
            Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(code(CONFIG_RESOURCE_TYPE_BROKER, "1", "log.retention.ms", "2"), 0);
}

TEST_F(ControllerTest, ConfigsOfGroups) {
  const auto set = [&](const std::string& group, const std::string& key, const std::string& value) {
    return AlterConfig(CONFIG_RESOURCE_TYPE_GROUP, group, key, value);
  };
  EXPECT_EQ(set("g", "consumer.session.timeout.ms", "50000").error_code(), 0);
  EXPECT_EQ(controller_->committed()->GroupConfigs("g").at("consumer.session.timeout.ms"), "50000");
  EXPECT_TRUE(controller_->committed()->GroupConfigs("h").empty());
  const auto low = set("g", "consumer.session.timeout.ms", "44999");
  EXPECT_EQ(low.error_code(), Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(low.message(),
            "consumer.session.timeout.ms=44999 is below "
            "group.consumer.min.session.timeout.ms=45000");
  EXPECT_EQ(set("g", "consumer.session.timeout.ms", "60001").error_code(),
            Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(set("g", "retention.ms", "5").error_code(), Code(ErrorCode::kInvalidConfig));
  EXPECT_EQ(set("", "consumer.session.timeout.ms", "50000").error_code(),
            Code(ErrorCode::kInvalidRequest));
  EXPECT_EQ(controller_->committed()->GroupConfigs("g").at("consumer.session.timeout.ms"), "50000");
  AlterConfig(CONFIG_RESOURCE_TYPE_GROUP, "g", "consumer.session.timeout.ms", std::nullopt,
              AlterConfigsRequest::DELETE);
  EXPECT_TRUE(controller_->committed()->group_configs->empty());
}

TEST_F(ControllerTest, ProducerIdsAreNeverGivenTwice) {
  StartBrokers(2);
  AllocateProducerIdsRequest request;
  request.mutable_sender()->set_node_id(1);
  request.mutable_sender()->set_broker_epoch(Broker(1).epoch);
  EXPECT_EQ(Call(&MetadataController::AllocateProducerIds, request).first_producer_id(), 0);
  EXPECT_EQ(Call(&MetadataController::AllocateProducerIds, request).first_producer_id(), 1000);
  request.mutable_sender()->set_broker_epoch(5000);
  EXPECT_EQ(Call(&MetadataController::AllocateProducerIds, request).outcome().error_code(),
            Code(ErrorCode::kStaleBrokerEpoch));
}

TEST_F(ControllerTest, ARepeatedRequestIsAnsweredNotRepeated) {
  StartBrokers(1);
  CreateTopicsRequest request;
  request.set_request_id(std::string(16, 'r'));
  auto& topic = *request.add_topics();
  topic.set_name("t");
  topic.set_partition_count(1);
  topic.set_replication_factor(1);
  const CreateTopicsResponse first = Call(&MetadataController::CreateTopics, request);
  EXPECT_EQ(first.topics(0).error_code(), 0);
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  const CreateTopicsResponse second = Call(&MetadataController::CreateTopics, request);
  EXPECT_EQ(second.topics(0).error_code(), 0);
  EXPECT_EQ(second.topics(0).topic_id(), first.topics(0).topic_id());
  request.set_request_id("short");
  EXPECT_EQ(Call(&MetadataController::CreateTopics, request).outcome().error_code(),
            Code(ErrorCode::kInvalidRequest));
}

TEST_F(ControllerTest, LostLeadershipDropsSpeculation) {
  StartBrokers(1);
  CreateTopicsRequest request;
  auto& topic = *request.add_topics();
  topic.set_name("t");
  topic.set_partition_count(1);
  topic.set_replication_factor(1);
  std::vector<CreateTopicsResponse> answers;
  const auto collect = [&](CreateTopicsResponse response) {
    answers.push_back(std::move(response));
  };
  controller_->CreateTopics(request, collect);
  controller_->CreateTopics(request, collect);  // exists, as far as anyone can tell
  EXPECT_TRUE(answers.empty());                 // ... which may yet turn out to be wrong
  EXPECT_NE(controller_->speculative()->FindTopic("t"), nullptr);
  quorum_.Lose(NodeId(2));
  ASSERT_EQ(answers.size(), 2U);
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.outcome().error_code(), Code(ErrorCode::kNotController));
    EXPECT_EQ(answer.outcome().leader_address(), "host2:1");
  }
  EXPECT_EQ(controller_->speculative()->FindTopic("t"), nullptr);
  controller_->CreateTopics(request, collect);
  EXPECT_EQ(answers.back().outcome().error_code(), Code(ErrorCode::kNotController));
  quorum_.Lead();
  EXPECT_EQ(CreateTopic("t", 1, 1).error_code(), 0);
}

TEST_F(ControllerTest, ARefusedProposalLeavesNoTrace) {
  StartBrokers(1);
  quorum_.set_refusing(true);
  CreateTopic("t", 1, 1);
  EXPECT_EQ(controller_->speculative(), controller_->committed());
  quorum_.set_refusing(false);
  EXPECT_EQ(CreateTopic("t", 1, 1).error_code(), 0);
}

TEST_F(ControllerTest, ANewControllerGivesEveryoneAFullSession) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  BeatFor(500, {2, 3});
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  BeatFor(500, {2, 3});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->active());
  EXPECT_NE(std::find(dialer_.dialed.begin(), dialer_.dialed.end(), "broker1"),
            dialer_.dialed.end());
  BeatFor(300, {2, 3});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

TEST_F(ControllerTest, AfterATakeoverTheDeadAreFoundByDialling) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  quorum_.Lose(NodeId(2));
  dialer_.outcomes["broker1"] = DialOutcome::kRefused;
  quorum_.Lead();
  RunForMs(20);
  Heartbeat(2);
  Heartbeat(3);
  RunForMs(130);
  EXPECT_EQ(Show("t"), "leader=2 isr=2,3 elr= known=");
}

TEST_F(ControllerTest, MassSilenceIsDoubtedUntilAMajorityConfirms) {
  StartBrokers(3);
  CreateAssigned("t", {{1, 2, 3}});
  RunForMs(400);
  quorum_.set_connected(false);
  RunForMs(600);
  EXPECT_EQ(controller_->metrics().fenced_by_session, 1U);
  EXPECT_EQ(controller_->metrics().fence_brakes, 1U);
  quorum_.set_connected(true);
  RunForMs(300);
  EXPECT_EQ(controller_->metrics().fenced_by_session, 3U);
  EXPECT_EQ(Show("t").substr(0, 15), "leader=-1 isr= ");
}

TEST_F(ControllerTest, TheLeaseRunsFromTheLastConfirmedRound) {
  StartBrokers(1);
  EXPECT_LE(Heartbeat(1).lease_age_ms(), 50);
  quorum_.set_connected(false);
  RunForMs(200);
  EXPECT_GE(Heartbeat(1).lease_age_ms(), 150);
  quorum_.set_connected(true);
  RunForMs(60);
  EXPECT_LE(Heartbeat(1).lease_age_ms(), 60);
}

TEST_F(ControllerTest, SnapshotsCarryTheWholeState) {
  StartBrokers(3);
  CreateTopic("t", 3, 3, {{"retention.ms", "5"}});
  const std::string data = controller_->TakeSnapshot();
  FeedLog feed(1 << 20);
  MetadataController other({.self = NodeId(2),
                            .cluster_id = "cluster",
                            .server = server_,
                            .addresses = {},
                            .brokers = {},
                            .random = Random(2)},
                           loop_, dialer_, feed);
  other.LoadSnapshot({.index = controller_->committed()->last_index,
                      .term = controller_->committed()->last_term,
                      .members = {}},
                     data);
  EXPECT_EQ(metadata::StateHash(*other.committed()),
            metadata::StateHash(*controller_->committed()));
  EXPECT_EQ(feed.Next(LogIndex(-1), 1000).kind, FeedStep::Kind::kSnapshot);
}

}  // namespace
}  // namespace sluice::controller
