#include "admin/handlers.h"

#include <gtest/gtest.h>

#include "admin/errors.h"
#include "admin/testing/handlers_fixture.h"
#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

using testing::ThreeBrokers;

class HandlersTest : public testing::HandlersFixture {
 protected:
  // Partition 1 of the topic has no leader, and nobody in sync.
  void NobodyLeads(const metadata::NodeList& last_known_elr) {
    auto image = std::make_shared<metadata::Image>(*backend_.image);
    auto topics = std::make_shared<metadata::TopicsByName>(*image->topics_by_name);
    auto changed = std::make_shared<metadata::TopicImage>(*topics->begin()->second);
    metadata::PartitionImage& partition = changed->partitions[1];
    partition.leader = kNoNode;
    partition.isr.clear();
    partition.last_known_elr = last_known_elr;
    topics->Set(changed->name, changed);
    image->topics_by_name = topics;
    backend_.image = image;
  }
};

TEST_F(HandlersTest, CreateTopicAnswersWhenThisNodeHasAppliedIt) {
  CreateTopicRequest request;
  request.set_name("orders");
  request.set_partitions(2);
  (*request.mutable_configs())["retention.ms"] = "1000";
  auto created = Call(&Handlers::CreateTopic, request);
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  EXPECT_EQ(backend_.waited_for, LogIndex(9));
  EXPECT_EQ(created->topic().partitions_size(), 2);
  const controller::CreatableTopic& asked = backend_.create_request.topics(0);
  EXPECT_EQ(asked.partition_count(), 2);
  EXPECT_EQ(asked.replication_factor(), -1) << "absent means the cluster's default";
  EXPECT_EQ(asked.configs().at("retention.ms"), "1000");
}

TEST_F(HandlersTest, CreateTopicSaysWhenThisNodeLagsBehind) {
  backend_.applies = false;
  CreateTopicRequest request;
  request.set_name("orders");
  auto created = Call(&Handlers::CreateTopic, request);
  EXPECT_EQ(created.status().code(), StatusCode::kTimeout);
}

TEST_F(HandlersTest, ValidateOnlyWaitsForNothing) {
  CreateTopicRequest request;
  request.set_name("new");
  request.set_validate_only(true);
  auto created = Call(&Handlers::CreateTopic, request);
  ASSERT_TRUE(created.ok());
  EXPECT_TRUE(backend_.create_request.validate_only());
  EXPECT_EQ(backend_.waited_for, LogIndex(-100));
}

struct ErrorCase {
  kafka::ErrorCode kafka;
  StatusCode status;
  grpc::StatusCode grpc;
  int http;
};

TEST_F(HandlersTest, ErrorsOfTheControllerKeepTheirMessage) {
  const ErrorCase cases[] = {
      {kafka::ErrorCode::kTopicAlreadyExists, StatusCode::kAlreadyExists,
       grpc::StatusCode::ALREADY_EXISTS, 409},
      {kafka::ErrorCode::kInvalidPartitions, StatusCode::kInvalidArgument,
       grpc::StatusCode::INVALID_ARGUMENT, 400},
      {kafka::ErrorCode::kInvalidReplicationFactor, StatusCode::kInvalidArgument,
       grpc::StatusCode::INVALID_ARGUMENT, 400},
      {kafka::ErrorCode::kInvalidConfig, StatusCode::kInvalidArgument,
       grpc::StatusCode::INVALID_ARGUMENT, 400},
      {kafka::ErrorCode::kInvalidTopicException, StatusCode::kInvalidArgument,
       grpc::StatusCode::INVALID_ARGUMENT, 400},
      {kafka::ErrorCode::kUnknownTopicOrPartition, StatusCode::kNotFound,
       grpc::StatusCode::NOT_FOUND, 404},
      {kafka::ErrorCode::kRequestTimedOut, StatusCode::kTimeout,
       grpc::StatusCode::DEADLINE_EXCEEDED, 504},
      {kafka::ErrorCode::kUnknownServerError, StatusCode::kInternal, grpc::StatusCode::INTERNAL,
       500},
  };
  for (const ErrorCase& c : cases) {
    backend_.error_code = static_cast<int>(c.kafka);
    backend_.error_message = "partitions is 0; 1 to 10000 are allowed";
    auto created = Call(&Handlers::CreateTopic, CreateTopicRequest());
    EXPECT_EQ(created.status().code(), c.status) << c.kafka;
    EXPECT_EQ(created.status().message(), backend_.error_message);
    EXPECT_EQ(ToGrpcCode(created.status().code()), c.grpc) << c.kafka;
    EXPECT_EQ(ToHttp(created.status().code()).http_status, c.http) << c.kafka;
  }
  backend_.error_message = "";
  EXPECT_NE(Call(&Handlers::CreateTopic, CreateTopicRequest()).status().message(), "");
}

TEST_F(HandlersTest, NoControllerIsTold) {
  backend_.unreachable = Status::Timeout("no active controller answered in time");
  EXPECT_EQ(Call(&Handlers::DeleteTopic, DeleteTopicRequest()).status(), backend_.unreachable);
  EXPECT_EQ(Call(&Handlers::AlterTopicConfig, AlterTopicConfigRequest()).status(),
            backend_.unreachable);
}

TEST_F(HandlersTest, DeleteTopicTellsTheId) {
  DeleteTopicRequest request;
  request.set_name("orders");
  auto deleted = Call(&Handlers::DeleteTopic, request);
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->topic_id(), Uuid::FromBytes(std::string(16, 'T')).ToString());
  EXPECT_EQ(backend_.delete_request.topics(0).name(), "orders");
  EXPECT_FALSE(backend_.delete_request.validate_only());
  request.set_validate_only(true);
  EXPECT_TRUE(Call(&Handlers::DeleteTopic, request).ok());
  EXPECT_TRUE(backend_.delete_request.validate_only());
  EXPECT_EQ(backend_.waited_for, LogIndex(-1));
}

TEST_F(HandlersTest, DeleteRecordsGoesToTheLeaderAndNoFurther) {
  DeleteRecordsRequest request;
  request.set_topic("orders");
  request.set_partition(1);  // led by node 2
  request.set_before_offset(40);
  auto deleted = Call(&Handlers::DeleteRecords, request);
  ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
  EXPECT_EQ(deleted->low_watermark(), 40);
  EXPECT_EQ(backend_.asked_leader, NodeId(2));
  EXPECT_TRUE(backend_.delete_records_request.at_leader());
  // Passed on by a node whose metadata is older.
  request.set_at_leader(true);
  EXPECT_EQ(Call(&Handlers::DeleteRecords, request).status().code(), StatusCode::kUnavailable);
  request.set_partition(0);
  EXPECT_TRUE(Call(&Handlers::DeleteRecords, request).ok());
  request.set_partition(2);
  EXPECT_EQ(Call(&Handlers::DeleteRecords, request).status().code(), StatusCode::kNotFound);
  request.set_topic("missing");
  EXPECT_EQ(Call(&Handlers::DeleteRecords, request).status().code(), StatusCode::kNotFound);
}

TEST_F(HandlersTest, RecordsOfInternalTopicsAreNotDeleted) {
  for (const std::string name : {"__consumer_offsets", "__transaction_state"}) {
    const std::string id(16, name[2]);
    metadata::MetadataBatch batch;
    auto* topic = batch.add_records()->mutable_topic();
    topic->set_name(name);
    topic->set_topic_id(id);
    auto* partition = batch.add_records()->mutable_partition();
    partition->set_topic_id(id);
    partition->set_leader(1);
    partition->add_replicas(1);
    partition->add_isr(1);
    metadata::ImageBuilder builder(backend_.image);
    ASSERT_TRUE(builder.ApplyBatch(batch, LogIndex(6)).ok());
    backend_.image = builder.Build(LogIndex(6), Term(1));
    DeleteRecordsRequest request;
    request.set_topic(name);
    for (const bool passed_on : {false, true}) {
      request.set_at_leader(passed_on);
      const Status refused = Call(&Handlers::DeleteRecords, request).status();
      EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument) << refused.ToString();
      EXPECT_NE(refused.message().find(name), std::string::npos);
    }
    EXPECT_EQ(backend_.asked_leader, kNoNode) << "the leader was asked";
  }
}

TEST_F(HandlersTest, RecordsOfCompactedTopicsAreNotDeletedByOffset) {
  DeleteRecordsRequest request;
  request.set_topic("orders");
  request.set_partition(0);  // led by this node
  request.set_before_offset(1);
  const auto with_policy = [&](const std::string& policy) {
    metadata::MetadataBatch batch;
    auto* config = batch.add_records()->mutable_config();
    config->set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
    config->set_name("orders");
    config->set_key("cleanup.policy");
    config->set_value(policy);
    metadata::ImageBuilder builder(backend_.image);
    EXPECT_TRUE(builder.ApplyBatch(batch, LogIndex(6)).ok());
    backend_.image = builder.Build(LogIndex(6), Term(1));
    backend_.asked_leader = kNoNode;
    return Call(&Handlers::DeleteRecords, request).status();
  };
  const Status refused = with_policy("compact");
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("cleanup.policy=compact, without delete"), std::string::npos);
  EXPECT_NE(refused.message().find("--config cleanup.policy=compact,delete"), std::string::npos);
  EXPECT_EQ(backend_.asked_leader, kNoNode) << "the leader was asked";
  EXPECT_TRUE(with_policy("compact,delete").ok());
}

TEST_F(HandlersTest, AddPartitionsAsksForTheNewTotal) {
  AddPartitionsRequest request;
  request.set_name("orders");
  request.set_partitions(7);
  auto added = Call(&Handlers::AddPartitions, request);
  ASSERT_TRUE(added.ok());
  EXPECT_EQ(backend_.partitions_request.topics(0).partition_count(), 7);
}

TEST_F(HandlersTest, AlterTopicConfigSetsAndUnsets) {
  AlterTopicConfigRequest request;
  request.set_name("orders");
  (*request.mutable_set())["retention.ms"] = "7d";
  request.add_unset("segment.bytes");
  auto altered = Call(&Handlers::AlterTopicConfig, request);
  ASSERT_TRUE(altered.ok());
  EXPECT_EQ(altered->configs().at("min.insync.replicas"), "2");
  const auto& resource = backend_.configs_request.resources(0);
  ASSERT_EQ(resource.entries_size(), 2);
  EXPECT_EQ(resource.entries(0).value(), "7d");
  EXPECT_EQ(resource.entries(1).operation(), controller::AlterConfigsRequest::DELETE);
  EXPECT_FALSE(resource.entries(1).has_value());
}

TEST_F(HandlersTest, ListTopicsByPrefix) {
  ListTopicsRequest request;
  request.set_name_prefix("ord");
  EXPECT_EQ(Call(&Handlers::ListTopics, request)->topics_size(), 1);
  request.set_name_prefix("x");
  EXPECT_EQ(Call(&Handlers::ListTopics, request)->topics_size(), 0);
}

TEST_F(HandlersTest, WhatDoesNotExistIsNamed) {
  DescribeTopicRequest request;
  request.set_name("nothing");
  auto described = Call(&Handlers::DescribeTopic, request);
  EXPECT_EQ(described.status().code(), StatusCode::kNotFound);
  EXPECT_NE(described.status().message().find("nothing"), std::string::npos);
  DescribeTopicConfigRequest config;
  config.set_name("nothing");
  EXPECT_EQ(Call(&Handlers::DescribeTopicConfig, config).status().code(), StatusCode::kNotFound);
  ListPartitionsRequest list;
  list.set_topic("nothing");
  EXPECT_EQ(Call(&Handlers::ListPartitions, list).status().code(), StatusCode::kNotFound);
}

TEST_F(HandlersTest, DescribeTopicConfigSaysWhereValuesComeFrom) {
  DescribeTopicConfigRequest request;
  request.set_name("orders");
  auto described = Call(&Handlers::DescribeTopicConfig, request);
  ASSERT_TRUE(described.ok());
  std::map<std::string, std::string> sources;
  for (const ConfigEntry& entry : described->configs()) sources[entry.key()] = entry.source();
  EXPECT_EQ(sources["min.insync.replicas"], "topic");
  EXPECT_EQ(sources["segment.bytes"], "default");
}

TEST_F(HandlersTest, ListPartitionsFindsTheUnhealthy) {
  ListPartitionsRequest request;
  request.set_unhealthy_only(true);
  EXPECT_EQ(Call(&Handlers::ListPartitions, request)->partitions_size(), 0);
  backend_.image = ThreeBrokers(/*all_up=*/false);
  auto listed = Call(&Handlers::ListPartitions, request);
  ASSERT_EQ(listed->partitions_size(), 2);
  EXPECT_EQ(listed->partitions(0).leader(), 1);
  EXPECT_EQ(listed->partitions(0).isr_size(), 2);
}

TEST_F(HandlersTest, DescribeClusterJoinsBrokersAndControllers) {
  backend_.image = ThreeBrokers(/*all_up=*/false);
  backend_.quorum.set_leader_id(1);
  backend_.quorum.set_commit_index(100);
  for (const int32_t id : {1, 9}) {
    auto* voter = backend_.quorum.add_voters();
    voter->set_id(id);
    voter->set_address("host:9");
    voter->set_match_index(id == 9 ? 60 : 100);
  }
  auto described = Call(&Handlers::DescribeCluster, DescribeClusterRequest());
  ASSERT_TRUE(described.ok());
  EXPECT_EQ(described->controller_id(), 1);
  ASSERT_EQ(described->nodes_size(), 4);
  EXPECT_EQ(described->nodes(0).roles_size(), 2);
  EXPECT_EQ(described->nodes(0).kafka_address(), "host1:9092");
  EXPECT_EQ(described->nodes(0).leaders(), 1);
  EXPECT_EQ(described->nodes(0).replicas(), 2);
  EXPECT_EQ(described->nodes(2).state(), "fenced");
  EXPECT_EQ(described->nodes(3).roles(0), "controller");
  EXPECT_EQ(described->quorum().voters(1).lag(), 40);
}

TEST_F(HandlersTest, DescribeClusterWorksWithoutAController) {
  backend_.unreachable = Status::Timeout("nobody");
  auto described = Call(&Handlers::DescribeCluster, DescribeClusterRequest());
  ASSERT_TRUE(described.ok());
  EXPECT_EQ(described->controller_id(), -1);
  EXPECT_EQ(described->nodes_size(), 3);
  EXPECT_EQ(described->remembered().metadata_index(), 5);
}

// It may all be over: nobody fences a broker, or moves a leader, meanwhile.
TEST_F(HandlersTest, WhatANodeRemembersIsMarkedWhileNoControllerIsActive) {
  const auto remembered = [this](auto method, auto request) {
    const auto response = Call(method, request);
    EXPECT_TRUE(response.ok()) << response.status().ToString();
    return response->has_remembered() ? response->remembered() : Remembered();
  };
  DescribeTopicRequest topic;
  topic.set_name("orders");
  const auto all = [&] {
    return std::vector<Remembered>{remembered(&Handlers::ListTopics, ListTopicsRequest()),
                                   remembered(&Handlers::DescribeTopic, topic),
                                   remembered(&Handlers::ListPartitions, ListPartitionsRequest()),
                                   remembered(&Handlers::ListBrokers, ListBrokersRequest()),
                                   remembered(&Handlers::DescribeCluster, DescribeClusterRequest()),
                                   remembered(&Handlers::ClusterHealth, ClusterHealthRequest())};
  };
  for (const Remembered& each : all()) EXPECT_EQ(each.node(), 0);
  backend_.unreachable = Status::Timeout("nobody");
  backend_.heard_ms_ago = 1234;
  for (const Remembered& each : all()) {
    EXPECT_EQ(each.node(), 1);
    EXPECT_EQ(each.metadata_index(), 5);
    EXPECT_EQ(each.heard_ms_ago(), 1234);
  }
  EXPECT_FALSE(Call(&Handlers::ClusterHealth, ClusterHealthRequest())->healthy());
}

// Only its session ends a shutdown: until then it may still answer.
TEST_F(HandlersTest, WhoHasShutDownIsStopped) {
  const auto state_of_3 = [this](bool fenced) {
    auto image = std::make_shared<metadata::Image>(*backend_.image);
    for (auto& [id, broker] : image->brokers) {
      if (id != NodeId(3)) continue;
      auto changed = std::make_shared<metadata::BrokerImage>(*broker);
      changed->in_controlled_shutdown = true;
      changed->fenced = fenced;
      broker = changed;
    }
    backend_.image = image;
    return Call(&Handlers::DescribeCluster, DescribeClusterRequest())->nodes(2).state();
  };
  EXPECT_EQ(state_of_3(false), "shutting-down");
  EXPECT_EQ(state_of_3(true), "stopped");
}

TEST_F(HandlersTest, HealthSaysThatNoMoreControllersMayFail) {
  backend_.quorum.set_leader_id(1);
  for (const int32_t id : {1, 2, 3, 4, 5}) {
    auto* voter = backend_.quorum.add_voters();
    voter->set_id(id);
    voter->set_match_index(9);
  }
  const auto health = [this] { return *Call(&Handlers::ClusterHealth, ClusterHealthRequest()); };
  EXPECT_TRUE(health().healthy());
  backend_.quorum.mutable_voters(2)->set_last_contact_age_ms(9000);
  EXPECT_EQ(health().summary(),
            "all 3 brokers in service, 1 of 5 controllers down; no data "
            "unavailable");
  EXPECT_EQ(health().problems_size(), 1) << "one more may fail";
  backend_.quorum.mutable_voters(3)->set_last_contact_age_ms(9000);
  const ClusterHealthResponse at_risk = health();
  ASSERT_EQ(at_risk.problems_size(), 3);
  EXPECT_NE(at_risk.problems(2).what().find("of 5 controllers 3 take part, and a majority is 3"),
            std::string::npos)
      << at_risk.problems(2).what();
  EXPECT_NE(at_risk.problems(2).next_step().find("controller 3, 4 back"), std::string::npos);
}

TEST_F(HandlersTest, HealthOfAHealthyCluster) {
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  ASSERT_TRUE(health.ok());
  EXPECT_TRUE(health->healthy());
  EXPECT_EQ(health->summary(), "3 brokers in service, 2 partitions, all in sync");
}

TEST_F(HandlersTest, HealthWithABrokerDown) {
  backend_.image = ThreeBrokers(/*all_up=*/false);
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  EXPECT_EQ(health->summary(), "1 of 3 brokers down; no data unavailable");
  ASSERT_EQ(health->problems_size(), 2);
  EXPECT_EQ(health->problems(0).next_step(), "bring node 3 back");
  EXPECT_NE(health->problems(1).what().find("one more failure stops writes"), std::string::npos);
}

TEST_F(HandlersTest, HealthAsksForADecisionWhereNobodyHasAllRecords) {
  NobodyLeads({});
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  ASSERT_EQ(health->problems_size(), 2);
  EXPECT_NE(health->problems(1).next_step().find("sluice partition elect orders 1 --unclean"),
            std::string::npos)
      << health->problems(1).next_step();
}

TEST_F(HandlersTest, HealthSaysWhoIsWaitedForWhereTheLongestLogIsToLead) {
  backend_.image = ThreeBrokers(/*all_up=*/false);
  NobodyLeads({NodeId(1)});
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  ASSERT_GE(health->problems_size(), 3);
  EXPECT_NE(health->problems(2).what().find("wait until all of their replicas run"),
            std::string::npos)
      << health->problems(2).what();
  const std::string& next = health->problems(2).next_step();
  EXPECT_EQ(next.find("bring node 3 back; where a replica is gone for good"), 0U) << next;
  EXPECT_NE(next.find("sluice partition elect orders 1 --unclean"), std::string::npos) << next;
}

TEST_F(HandlersTest, WithoutMetadataNothingIsDenied) {
  backend_.image = metadata::EmptyImage();
  backend_.knows_cluster = false;
  EXPECT_EQ(Call(&Handlers::ListTopics, ListTopicsRequest()).status().code(),
            StatusCode::kUnavailable);
  DescribeTopicRequest describe;
  describe.set_name("orders");
  EXPECT_EQ(Call(&Handlers::DescribeTopic, describe).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Call(&Handlers::ListPartitions, ListPartitionsRequest()).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(Call(&Handlers::DescribeCluster, DescribeClusterRequest()).status().code(),
            StatusCode::kUnavailable);
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  EXPECT_EQ(health->problems(0).what(), "this node does not know the cluster's metadata yet");
}

TEST_F(HandlersTest, HealthWithoutAController) {
  backend_.unreachable = Status::Timeout("nobody");
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  EXPECT_EQ(health->summary(),
            "no controller is active; the state of the brokers and of the data is unknown since "
            "then");
}

TEST_F(HandlersTest, HealthNamesTheNodesOfflineReplicas) {
  backend_.partitions = {{.topic = "orders", .partition = PartitionIndex(0)},
                         {.topic = "orders",
                          .partition = PartitionIndex(1),
                          .offline = true,
                          .damage = "the file is short. Nothing was changed. Do this"}};
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  EXPECT_EQ(health->summary(), "all 3 brokers in service; 1 replica damaged on this node");
  ASSERT_EQ(health->problems_size(), 1);
  EXPECT_TRUE(health->problems(0).has_node());
  EXPECT_EQ(health->problems(0).what(),
            "1 replica on node 1 has a damaged log: orders-1: the file is short");
  EXPECT_NE(health->problems(0).next_step().find("remove that partition's directory"),
            std::string::npos);

  for (int32_t i = 2; i < 9; ++i)
    backend_.partitions.push_back({.topic = "orders",
                                   .partition = PartitionIndex(i),
                                   .offline = true,
                                   .damage = "file " + std::to_string(i) + " is gone"});
  health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_EQ(
      health->problems(0).what(),
      "8 replicas on node 1 have a damaged log: orders-1: the file is short; orders-2: file 2 "
      "is gone; orders-3: file 3 is gone; orders-4: file 4 is gone; orders-5: file 5 is "
      "gone; and 3 more, named in its log");
}

TEST_F(HandlersTest, HealthNamesASilentController) {
  backend_.quorum.set_leader_id(1);
  auto* voter = backend_.quorum.add_voters();
  voter->set_id(2);
  voter->set_last_contact_age_ms(9000);
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  EXPECT_NE(health->problems(0).what().find("controller 2"), std::string::npos);
}

TEST_F(HandlersTest, HealthTellsWhatTheOwnControllerWaitsFor) {
  backend_.controller = LocalController{.waits_for = "asks all the others"};
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  ASSERT_EQ(health->problems_size(), 1);
  EXPECT_EQ(health->problems(0).what(), "the controller of node 1 asks all the others");
  EXPECT_EQ(health->problems(0).node(), 1) << "others do not know";
}

TEST_F(HandlersTest, HealthTellsWhatIsLeftOfTheReserve) {
  backend_.directories = {
      {"/data", LocalDirectory::Standing::kReserveWithoutRoom, 5 << 20, 42 << 20}};
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  ASSERT_EQ(health->problems_size(), 1);
  EXPECT_EQ(health->problems(0).what(),
            "the disk of /data of node 1 has no room for all of its reserve (space.reserve), 5120 "
            "KiB of it are there");
  EXPECT_NE(health->problems(0).next_step().find("with 43 MiB free"), std::string::npos);
  EXPECT_NE(health->problems(0).next_step().find("No restart is needed as long as some of it is"),
            std::string::npos);
}

TEST_F(HandlersTest, HealthTellsOfAReserveThatADiskWithRoomRefuses) {
  backend_.directories = {{"/data", LocalDirectory::Standing::kReserveRefused, 5 << 20, 42 << 20}};
  const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  ASSERT_EQ(health->problems_size(), 1);
  EXPECT_EQ(health->problems(0).what(),
            "the disk of /data of node 1 refuses all of its reserve (space.reserve), 5120 KiB of "
            "it are there, although it shows enough room");
  EXPECT_NE(health->problems(0).next_step().find("see that no quota"), std::string::npos);
}

TEST_F(HandlersTest, HealthNamesMembersThatHaveConfirmedNothing) {
  backend_.quorum.set_leader_id(1);
  const auto problems_with = [this](auto* member) {
    member->set_id(2);
    member->set_match_index(-1);
    const auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
    member->set_match_index(0);
    EXPECT_TRUE(Call(&Handlers::ClusterHealth, ClusterHealthRequest())->healthy());
    return health->problems_size() == 1 ? health->problems(0).what() : "";
  };
  EXPECT_EQ(problems_with(backend_.quorum.add_voters()),
            "controller 2 at  has not confirmed any of the metadata log to the active controller 1 "
            "yet");
  EXPECT_NE(problems_with(backend_.quorum.add_learners()).find("learner 2"), std::string::npos);
}

TEST_F(HandlersTest, HealthNamesAControllerThatHasLostEntries) {
  backend_.quorum.set_leader_id(1);
  auto* voter = backend_.quorum.add_voters();
  voter->set_id(2);
  voter->set_recovering(true);
  auto health = Call(&Handlers::ClusterHealth, ClusterHealthRequest());
  EXPECT_FALSE(health->healthy());
  ASSERT_EQ(health->problems_size(), 1);
  EXPECT_NE(health->problems(0).what().find("controller 2"), std::string::npos);
  EXPECT_NE(health->problems(0).what().find("does not vote"), std::string::npos);
  voter->set_recovering(false);
  EXPECT_TRUE(Call(&Handlers::ClusterHealth, ClusterHealthRequest())->healthy());
}

}  // namespace
}  // namespace sluice::admin
