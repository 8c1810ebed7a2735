// Metadata, DescribeCluster and DescribeTopicPartitions: what clients learn of the cluster.

#include "kafka/messages/metadata.h"

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/describe_cluster.h"
#include "kafka/messages/describe_topic_partitions.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;
using Request = kafka::MetadataRequest;
using Response = kafka::MetadataResponse;

Request ForNames(const std::vector<std::string>& names) {
  Request request;
  for (const std::string& name : names) request.topics->emplace_back().name = name;
  return request;
}

TEST(MetadataTest, TellsBrokersAndNamesItselfAsController) {
  ApiTestBed bed;
  bed.Edit([](metadata::Image& image) {
    auto fenced = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(3)]);
    fenced->fenced = true;
    image.brokers[NodeId(3)] = fenced;
    auto racked = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(2)]);
    racked->rack = "b";
    image.brokers[NodeId(2)] = racked;
  });
  const auto response = bed.Call<Response>(Request(), 12);
  ASSERT_EQ(response.brokers.size(), 2u);
  EXPECT_EQ(response.brokers[0].host, "broker1");
  EXPECT_EQ(response.brokers[0].port, 9092);
  EXPECT_FALSE(response.brokers[0].rack.has_value());
  EXPECT_EQ(response.brokers[1].rack, "b");
  EXPECT_EQ(response.controller_id, 1);
  EXPECT_EQ(response.cluster_id, "test-cluster");
  EXPECT_TRUE(response.topics.empty());  // an empty list is none from version 1 on
}

TEST(MetadataTest, ListsAllTopicsOnNullAndOnVersionZerosEmptyList) {
  ApiTestBed bed;
  bed.AddTopic("a", 1);
  bed.AddTopic("b", 2);
  Request all;
  all.topics.reset();
  EXPECT_EQ(bed.Call<Response>(all, 12).topics.size(), 2u);
  EXPECT_EQ(bed.Call<Response>(Request(), 0).topics.size(), 2u);
  EXPECT_EQ(bed.Call<Response>(Request(), 1).topics.size(), 0u);
}

TEST(MetadataTest, TellsLeadersReplicasAndWhoIsOffline) {
  ApiTestBed bed;
  bed.AddTopic("led", 1, 2);
  bed.AddTopic("leaderless", 1, -1);
  bed.AddTopic("unreachable", 1, 9);
  bed.Edit([](metadata::Image& image) {
    auto fenced = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(3)]);
    fenced->fenced = true;
    image.brokers[NodeId(3)] = fenced;
  });
  const auto response = bed.Call<Response>(ForNames({"led", "leaderless", "unreachable"}), 13);
  ASSERT_EQ(response.topics.size(), 3u);
  const auto& led = response.topics[0].partitions[0];
  EXPECT_EQ(led.error_code, 0);
  EXPECT_EQ(led.leader_id, 2);
  EXPECT_EQ(led.leader_epoch, 5);
  EXPECT_EQ(led.replica_nodes, (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(led.offline_replicas, (std::vector<int32_t>{3}));
  EXPECT_EQ(response.topics[1].partitions[0].error_code, 5);
  EXPECT_EQ(response.topics[1].partitions[0].leader_id, -1);
  EXPECT_EQ(response.topics[2].partitions[0].error_code, 5);
  EXPECT_EQ(response.topics[2].partitions[0].leader_id, -1);
}

// librdkafka asks once when its leader's connection breaks, and then only a quarter of a second or
// a whole one later: the answer has to name the new leader.
class DeadLeaderTest : public ::testing::Test {
 protected:
  static constexpr int64_t kLongMs = 10000;
  DeadLeaderTest() { bed_.AddTopic("led", 1, 2); }

  // Who leads, as the client is told, after `answered_ms_` of waiting.
  int32_t Leader(const std::function<void()>& meanwhile = [] {}) {
    const int64_t start_ms = NowMs();
    const auto reply = bed_.Send(ForNames({"led"}), 12);
    meanwhile();
    EXPECT_TRUE(bed_.scheduler.RunUntil([&] { return reply->has_value(); }, kLongMs));
    answered_ms_ = NowMs() - start_ms;
    const auto response = testing::DecodeReply<Response>(**reply, 12);
    const auto& partition = response.topics.at(0).partitions.at(0);
    EXPECT_EQ(partition.error_code, partition.leader_id < 0 ? 5 : 0);
    return partition.leader_id;
  }
  int64_t NowMs() { return bed_.services().clock->SteadyMs(); }

  ApiTestBed bed_;
  int64_t answered_ms_ = -1;
};

TEST_F(DeadLeaderTest, TheFirstAnswerIsGivenAtOnce) {
  EXPECT_EQ(Leader(), 2);
  EXPECT_EQ(answered_ms_, 0);
}

TEST_F(DeadLeaderTest, TheAnswerWaitsForTheNextLeader) {
  bed_.state.suspects.Note(NodeId(2), NowMs());
  EXPECT_EQ(Leader([this] {
              bed_.scheduler.RunForMs(100);
              bed_.AddTopic("led", 1, 3);
            }),
            3);
  EXPECT_LT(answered_ms_, 120);
}

TEST_F(DeadLeaderTest, AClientMaySeeItsLeaderDieFirst) {
  EXPECT_EQ(Leader(), 2);
  EXPECT_EQ(Leader([this] {
              bed_.state.suspects.Note(NodeId(2), NowMs());
              bed_.scheduler.RunForMs(60);
              bed_.AddTopic("led", 1, 3);
            }),
            3);
  // Its leader is alive: it is told soon.
  bed_.state.suspects.Clear(NodeId(2));
  bed_.AddTopic("led", 1, 2);
  EXPECT_EQ(Leader(), 2);
  EXPECT_LE(answered_ms_, 10);
}

TEST_F(DeadLeaderTest, ASuspicionThatIsNotConfirmedEnds) {
  bed_.state.suspects.Note(NodeId(2), NowMs());
  EXPECT_EQ(Leader([this] {
              bed_.scheduler.RunForMs(50);
              bed_.state.suspects.Clear(NodeId(2));
            }),
            2);
  EXPECT_LT(answered_ms_, 70);
  // Past its session the controller has judged: what the image says holds.
  bed_.state.suspects.Note(NodeId(2), NowMs());
  EXPECT_EQ(Leader(), 2);
  EXPECT_GE(answered_ms_, bed_.state.session_timeout_ms);
}

TEST_F(DeadLeaderTest, NobodyWaitsForOwnPartitions) {
  bed_.AddTopic("led", 1, 1);
  EXPECT_EQ(Leader(), 1);
  EXPECT_EQ(Leader(), 1);
  EXPECT_EQ(answered_ms_, 0);
}

TEST(MetadataTest, FindsTopicsById) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("orders", 1);
  Request request;
  request.topics->emplace_back().topic_id = id;
  request.topics->back().name.reset();
  request.topics->emplace_back().topic_id = Uuid::FromBytes(std::string(16, 'x'));
  request.topics->back().name.reset();
  const auto response = bed.Call<Response>(request, 12);
  EXPECT_EQ(response.topics[0].name, "orders");
  EXPECT_EQ(response.topics[1].error_code, 100);
  EXPECT_FALSE(response.topics[1].name.has_value());
  for (const auto& topic : bed.Call<Response>(request, 10).topics) EXPECT_EQ(topic.error_code, 42);
}

TEST(MetadataTest, CreatesMissingTopicsOnceAndAnswersUnknownMeanwhile) {
  ApiTestBed bed;
  const auto first =
      bed.Call<Response>(ForNames({"new", "new", "bad/name", "__consumer_offsets"}), 9);
  ASSERT_EQ(first.topics.size(), 3u);
  EXPECT_EQ(first.topics[0].error_code, 3);
  EXPECT_EQ(first.topics[1].error_code, 17);
  EXPECT_EQ(first.topics[2].error_code, 3);
  ASSERT_EQ(bed.controller.create_topics.size(), 1u);
  const auto& asked = bed.controller.create_topics[0].request;
  ASSERT_EQ(asked.topics_size(), 1);
  EXPECT_EQ(asked.topics(0).name(), "new");
  EXPECT_EQ(asked.topics(0).partition_count(), -1);
  EXPECT_EQ(asked.topics(0).replication_factor(), -1);
  EXPECT_EQ(asked.sender().node_id(), 1);

  bed.Call<Response>(ForNames({"new"}), 9);
  EXPECT_EQ(bed.controller.create_topics.size(), 1u);  // still under way
  bed.controller.create_topics[0].done(controller::CreateTopicsResponse());
  bed.Call<Response>(ForNames({"new"}), 9);
  EXPECT_EQ(bed.controller.create_topics.size(), 2u);
}

TEST(MetadataTest, CreatesNothingWhenTheClientOrTheBrokerSaysNo) {
  ApiTestBed bed;
  Request request = ForNames({"new"});
  request.allow_auto_topic_creation = false;
  EXPECT_EQ(bed.Call<Response>(request, 9).topics[0].error_code, 3);
  bed.config.auto_create_topics = false;
  EXPECT_EQ(bed.Call<Response>(ForNames({"new"}), 9).topics[0].error_code, 3);
  EXPECT_TRUE(bed.controller.create_topics.empty());
}

TEST(MetadataTest, TellsOnlyEndpointsOfTheClientsListener) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1, 2);
  bed.connection()->listener = "EXTERNAL";
  bed.Edit([](metadata::Image& image) {
    auto two = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(1)]);
    two->endpoints.push_back({"EXTERNAL", "public1", 19092, "PLAINTEXT"});
    image.brokers[NodeId(1)] = two;
  });
  const auto response = bed.Call<Response>(ForNames({"orders"}), 12);
  ASSERT_EQ(response.brokers.size(), 1u);
  EXPECT_EQ(response.brokers[0].host, "public1");
  EXPECT_EQ(response.topics[0].partitions[0].error_code, 72);  // the leader lacks that listener
  EXPECT_EQ(bed.Call<Response>(ForNames({"orders"}), 5).topics[0].partitions[0].error_code, 5);
}

TEST(DescribeClusterTest, TellsFencedBrokersOnRequest) {
  ApiTestBed bed;
  bed.Edit([](metadata::Image& image) {
    auto fenced = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(3)]);
    fenced->fenced = true;
    image.brokers[NodeId(3)] = fenced;
  });
  kafka::DescribeClusterRequest request;
  EXPECT_EQ(bed.Call<kafka::DescribeClusterResponse>(request, 0).brokers.size(), 2u);
  request.include_fenced_brokers = true;
  request.include_cluster_authorized_operations = true;
  const auto all = bed.Call<kafka::DescribeClusterResponse>(request, 2);
  ASSERT_EQ(all.brokers.size(), 3u);
  EXPECT_TRUE(all.brokers[2].is_fenced);
  EXPECT_EQ(all.controller_id, 1);
  EXPECT_EQ(all.cluster_authorized_operations, 8096);
  request.endpoint_type = 2;
  EXPECT_EQ(bed.Call<kafka::DescribeClusterResponse>(request, 2).error_code, 114);
}

std::string Page(const kafka::DescribeTopicPartitionsResponse& response) {
  std::string text;
  for (const auto& topic : response.topics) {
    text += topic.name.value_or("?") + "(" + std::to_string(topic.error_code) + ")";
    for (const auto& partition : topic.partitions)
      text += " " + std::to_string(partition.partition_index);
    text += "; ";
  }
  if (!response.next_cursor.has_value()) return text + "end";
  return text + "next " + response.next_cursor->topic_name + " " +
         std::to_string(response.next_cursor->partition_index);
}

TEST(DescribeTopicPartitionsTest, PagesThroughTopicsByCursor) {
  ApiTestBed bed;
  bed.AddTopic("a", 3);
  bed.AddTopic("b", 1);
  bed.AddTopic("c", 2);
  kafka::DescribeTopicPartitionsRequest request;
  request.response_partition_limit = 2;
  std::vector<std::string> pages;
  for (int i = 0; i < 4; ++i) {
    const auto response = bed.Call<kafka::DescribeTopicPartitionsResponse>(request, 0);
    pages.push_back(Page(response));
    if (!response.next_cursor.has_value()) break;
    kafka::DescribeTopicPartitionsRequest::Cursor cursor;
    cursor.topic_name = response.next_cursor->topic_name;
    cursor.partition_index = response.next_cursor->partition_index;
    request.cursor = std::move(cursor);
  }
  EXPECT_EQ(pages, (std::vector<std::string>{"a(0) 0 1; next a 2", "a(0) 2; b(0) 0; next c 0",
                                             "c(0) 0 1; end"}));
}

TEST(DescribeTopicPartitionsTest, TellsUnknownTopicsAndEligibleReplicas) {
  ApiTestBed bed;
  bed.AddTopic("a", 1, -1);
  bed.Edit([](metadata::Image& image) {
    auto topic = std::make_shared<metadata::TopicImage>(*image.FindTopic("a"));
    topic->partitions[0].isr = {};
    topic->partitions[0].elr = {NodeId(2)};
    topic->partitions[0].last_known_elr = {NodeId(3)};
    auto by_name = std::make_shared<metadata::TopicsByName>(*image.topics_by_name);
    by_name->Set("a", topic);
    image.topics_by_name = by_name;
  });
  kafka::DescribeTopicPartitionsRequest request;
  request.topics.emplace_back().name = "missing";
  request.topics.emplace_back().name = "a";
  request.topics.emplace_back().name = "no/good";
  const auto response = bed.Call<kafka::DescribeTopicPartitionsResponse>(request, 0);
  EXPECT_EQ(Page(response), "a(0) 0; missing(3); no/good(17); end");
  const auto& partition = response.topics[0].partitions[0];
  EXPECT_EQ(partition.error_code, 5);
  EXPECT_EQ(partition.eligible_leader_replicas, (std::vector<int32_t>{2}));
  EXPECT_EQ(partition.last_known_elr, (std::vector<int32_t>{3}));

  kafka::DescribeTopicPartitionsRequest::Cursor cursor;
  cursor.topic_name = "elsewhere";
  request.cursor = std::move(cursor);
  const auto refused = bed.Call<kafka::DescribeTopicPartitionsResponse>(request, 0);
  for (const auto& topic : refused.topics) EXPECT_EQ(topic.error_code, 42);
}

}  // namespace
}  // namespace sluice::broker
