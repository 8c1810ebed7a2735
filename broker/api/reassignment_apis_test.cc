// AlterPartitionReassignments, ListPartitionReassignments and ElectLeaders: what goes to the
// controller, and how its words come back.

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/alter_partition_reassignments.h"
#include "kafka/messages/elect_leaders.h"
#include "kafka/messages/list_partition_reassignments.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;
using testing::DecodeReply;
using Alter = kafka::AlterPartitionReassignmentsRequest;
using Altered = kafka::AlterPartitionReassignmentsResponse;
using Elect = kafka::ElectLeadersRequest;
using Elected = kafka::ElectLeadersResponse;

Alter TwoTopics() {
  Alter request;
  request.timeout_ms = 5000;
  auto& orders = request.topics.emplace_back();
  orders.name = "orders";
  orders.partitions.emplace_back().replicas = {{3, 1}};
  orders.partitions.emplace_back().partition_index = 1;
  orders.partitions[1].replicas.reset();
  auto& bad = request.topics.emplace_back();
  bad.name = "\xff";
  bad.partitions.emplace_back();
  auto& users = request.topics.emplace_back();
  users.name = "users";
  users.partitions.emplace_back().replicas = std::vector<int32_t>{};
  return request;
}

std::string Codes(const Altered& response) {
  std::string codes;
  for (const auto& topic : response.responses) {
    for (const auto& partition : topic.partitions) {
      codes += std::to_string(partition.partition_index) + "=" +
               std::to_string(partition.error_code) + " ";
    }
  }
  return codes;
}

TEST(AlterPartitionReassignmentsTest, PassesOnMovesAndCancellationsInTheirOrder) {
  ApiTestBed bed;
  Alter request = TwoTopics();
  request.allow_replication_factor_change = false;
  const auto reply = bed.Send(request, 1);
  ASSERT_EQ(bed.controller.reassignments.size(), 1u);
  const auto& asked = bed.controller.reassignments[0].request;
  EXPECT_FALSE(asked.allow_replication_factor_change());
  EXPECT_EQ(bed.controller.reassignments[0].timeout_ms, 5000);
  ASSERT_EQ(asked.partitions_size(), 3);
  EXPECT_EQ(asked.partitions(0).replicas().ids(0), 3);
  EXPECT_FALSE(asked.partitions(1).has_replicas());
  EXPECT_EQ(asked.partitions(1).partition(), 1);
  EXPECT_EQ(asked.partitions(2).topic(), "users");
  EXPECT_TRUE(asked.partitions(2).has_replicas());  // none is not the same as no word
  controller::AlterPartitionReassignmentsResponse outcome;
  for (const int code : {0, 85, 39}) {
    auto* partition = outcome.add_partitions();
    partition->set_error_code(code);
    partition->set_message(code == 39 ? "a partition is assigned to no broker" : "");
  }
  bed.controller.reassignments[0].done(outcome);
  const auto response = DecodeReply<Altered>(**reply, 1);
  EXPECT_EQ(Codes(response), "0=0 1=85 0=17 0=39 ");
  EXPECT_FALSE(response.allow_replication_factor_change);
  EXPECT_EQ(response.error_code, 0);
  EXPECT_EQ(response.responses[2].partitions[0].error_message,
            "a partition is assigned to no broker");
}

TEST(AlterPartitionReassignmentsTest, TheFirstVersionAllowsAnotherReplicationFactor) {
  ApiTestBed bed;
  bed.Send(TwoTopics(), 0);
  EXPECT_TRUE(bed.controller.reassignments[0].request.allow_replication_factor_change());
}

TEST(AlterPartitionReassignmentsTest, AControllerOutOfReachIsARetriableError) {
  ApiTestBed bed;
  const auto reply = bed.Send(TwoTopics(), 1);
  bed.controller.reassignments[0].done(Status::Timeout("no controller answered"));
  EXPECT_EQ(Codes(DecodeReply<Altered>(**reply, 1)), "0=7 1=7 0=17 0=7 ");
}

TEST(ListPartitionReassignmentsTest, TellsWhatMoves) {
  ApiTestBed bed;
  bed.AddTopic("still", 2);
  const TopicId id = bed.AddTopic("moving", 2);
  bed.Edit([&](metadata::Image& image) {
    auto topic = std::make_shared<metadata::TopicImage>(*image.FindTopic(id));
    topic->partitions[1].adding = {NodeId(3)};
    topic->partitions[1].removing = {NodeId(1)};
    auto by_name = std::make_shared<metadata::TopicsByName>(*image.topics_by_name);
    by_name->Set("moving", topic);
    image.topics_by_name = by_name;
  });
  kafka::ListPartitionReassignmentsRequest request;
  request.topics.reset();
  auto response = bed.Call<kafka::ListPartitionReassignmentsResponse>(request, 0);
  ASSERT_EQ(response.topics.size(), 1u);
  EXPECT_EQ(response.topics[0].name, "moving");
  ASSERT_EQ(response.topics[0].partitions.size(), 1u);
  const auto& partition = response.topics[0].partitions[0];
  EXPECT_EQ(partition.partition_index, 1);
  EXPECT_EQ(partition.replicas, (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(partition.adding_replicas, std::vector<int32_t>{3});
  EXPECT_EQ(partition.removing_replicas, std::vector<int32_t>{1});

  request.topics.emplace();
  for (const std::string name : {"still", "missing", "moving"}) {
    auto& topic = request.topics->emplace_back();
    topic.name = name;
    topic.partition_indexes = {-1, 0, 7};
  }
  response = bed.Call<kafka::ListPartitionReassignmentsResponse>(request, 0);
  EXPECT_TRUE(response.topics.empty());
  request.topics->back().partition_indexes = {0, 1};
  response = bed.Call<kafka::ListPartitionReassignmentsResponse>(request, 0);
  EXPECT_EQ(response.topics.size(), 1u);
}

TEST(ElectLeadersTest, PassesOnWhatIsNamed) {
  ApiTestBed bed;
  Elect request;
  request.election_type = 1;
  request.topic_partitions.emplace();
  request.topic_partitions->emplace_back().topic = "orders";
  request.topic_partitions->back().partitions = {2, 0};
  const auto reply = bed.Send(request, 2);
  const auto& asked = bed.controller.elections.at(0).request;
  EXPECT_TRUE(asked.unclean());
  EXPECT_FALSE(asked.all());
  ASSERT_EQ(asked.partitions_size(), 2);
  EXPECT_EQ(asked.partitions(0).partition(), 2);
  controller::ElectLeadersResponse outcome;
  outcome.add_partitions()->set_error_code(84);
  outcome.add_partitions();
  bed.controller.elections[0].done(outcome);
  const auto response = DecodeReply<Elected>(**reply, 2);
  ASSERT_EQ(response.replica_election_results.size(), 1u);
  const auto& results = response.replica_election_results[0].partition_result;
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].partition_id, 2);
  EXPECT_EQ(results[0].error_code, 84);
  EXPECT_EQ(results[0].error_message, "the wanted leader leads already");
  EXPECT_EQ(results[1].error_code, 0);
}

TEST(ElectLeadersTest, OfAllTheAnswerHasWhatTheControllerTells) {
  ApiTestBed bed;
  bed.AddTopic("a", 1);
  bed.AddTopic("b", 2);
  Elect request;
  request.topic_partitions.reset();
  const auto reply = bed.Send(request, 0);
  EXPECT_TRUE(bed.controller.elections.at(0).request.all());
  EXPECT_FALSE(bed.controller.elections[0].request.unclean());
  controller::ElectLeadersResponse outcome;
  for (const int partition : {0, 1}) {
    outcome.add_partitions()->set_topic("b");
    outcome.mutable_partitions(partition)->set_partition(partition);
    outcome.mutable_partitions(partition)->set_error_code(partition == 0 ? 0 : 80);
  }
  bed.controller.elections[0].done(outcome);
  auto response = DecodeReply<Elected>(**reply, 0);
  ASSERT_EQ(response.replica_election_results.size(), 1u);
  EXPECT_EQ(response.replica_election_results[0].partition_result[1].error_code, 80);
  // Nobody to ask: that is so for each partition.
  const auto failed = bed.Send(request, 0);
  bed.controller.elections[1].done(Status::Timeout("no controller answered"));
  response = DecodeReply<Elected>(**failed, 0);
  ASSERT_EQ(response.replica_election_results.size(), 2u);
  EXPECT_EQ(response.replica_election_results[1].partition_result[1].error_code, 7);
}

TEST(ElectLeadersTest, UnknownElectionsAreRefused) {
  ApiTestBed bed;
  Elect request;
  request.election_type = 5;
  request.topic_partitions.reset();
  EXPECT_EQ(bed.Call<Elected>(request, 2).error_code, 42);
  request.topic_partitions.emplace().emplace_back().topic = "orders";
  request.topic_partitions->back().partitions = {0};
  const auto response = bed.Call<Elected>(request, 2);
  EXPECT_EQ(response.replica_election_results[0].partition_result[0].error_code, 42);
  EXPECT_TRUE(bed.controller.elections.empty());
}

}  // namespace
}  // namespace sluice::broker
