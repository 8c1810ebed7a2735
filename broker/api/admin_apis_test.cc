// CreateTopics, DeleteTopics, CreatePartitions, IncrementalAlterConfigs and DescribeConfigs: what
// goes to the controller, what comes back, and when.

#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/create_partitions.h"
#include "kafka/messages/create_topics.h"
#include "kafka/messages/delete_topics.h"
#include "kafka/messages/describe_configs.h"
#include "kafka/messages/incremental_alter_configs.h"
#include "kafka/messages/list_config_resources.h"
#include "metadata/group_config.h"
#include "metadata/topic_config.h"

namespace sluice::broker {
namespace {

using testing::ApiTestBed;
using testing::DecodeReply;

kafka::CreateTopicsRequest Create(const std::vector<std::string>& names) {
  kafka::CreateTopicsRequest request;
  for (const std::string& name : names) {
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = 3;
    topic.replication_factor = 2;
  }
  return request;
}

TEST(CreateTopicsTest, AnswersOnceThisBrokerKnowsTheTopic) {
  ApiTestBed bed;
  kafka::CreateTopicsRequest request = Create({"orders"});
  auto& config = request.topics[0].configs.emplace_back();
  config.name = "retention.ms";
  config.value = "1000";
  const auto reply = bed.Send(request, 7);
  ASSERT_EQ(bed.controller.create_topics.size(), 1u);
  EXPECT_EQ(bed.controller.create_topics[0].request.topics(0).configs().at("retention.ms"), "1000");
  controller::CreateTopicsResponse outcome;
  auto* topic = outcome.add_topics();
  topic->set_name("orders");
  topic->set_topic_id(std::string(16, 'i'));
  topic->set_partition_count(3);
  topic->set_replication_factor(2);
  outcome.set_applied_index(bed.metadata.Current()->last_index.value() + 1);
  bed.controller.create_topics[0].done(outcome);
  EXPECT_FALSE(reply->has_value());
  bed.AddTopic("orders", 3);
  ASSERT_TRUE(reply->has_value());
  const auto response = DecodeReply<kafka::CreateTopicsResponse>(**reply, 7);
  ASSERT_EQ(response.topics.size(), 1u);
  EXPECT_EQ(response.topics[0].error_code, 0);
  EXPECT_EQ(response.topics[0].num_partitions, 3);
  EXPECT_EQ(response.topics[0].replication_factor, 2);
  EXPECT_EQ(response.topics[0].topic_id, Uuid::FromBytes(std::string(16, 'i')));
  bool told = false;
  for (const auto& entry : *response.topics[0].configs) {
    if (entry.name == "retention.ms") told = entry.value == "1000" && entry.config_source == 1;
  }
  EXPECT_TRUE(told);
}

TEST(CreateTopicsTest, TimesOutWhenThisBrokerLearnsNothing) {
  ApiTestBed bed;
  kafka::CreateTopicsRequest request = Create({"orders"});
  request.timeout_ms = 500;
  const auto reply = bed.Send(request, 5);
  EXPECT_EQ(bed.controller.create_topics[0].timeout_ms, 500);
  controller::CreateTopicsResponse outcome;
  outcome.add_topics()->set_name("orders");
  outcome.set_applied_index(1000);
  bed.controller.create_topics[0].done(outcome);
  bed.scheduler.RunForMs(499);
  EXPECT_FALSE(reply->has_value());
  bed.scheduler.RunForMs(2);
  ASSERT_TRUE(reply->has_value());
  EXPECT_EQ(DecodeReply<kafka::CreateTopicsResponse>(**reply, 5).topics[0].error_code, 7);
}

TEST(CreateTopicsTest, MapsErrorsTopicByTopic) {
  ApiTestBed bed;
  kafka::CreateTopicsRequest request =
      Create({"exists", "twice", "twice", "assigned", "valueless"});
  request.topics[3].assignments.emplace_back().broker_ids = {1};
  request.topics[4].configs.emplace_back().name = "retention.ms";
  request.topics[4].configs[0].value.reset();
  const auto reply = bed.Send(request, 5);
  ASSERT_EQ(bed.controller.create_topics[0].request.topics_size(), 1);
  controller::CreateTopicsResponse outcome;
  auto* topic = outcome.add_topics();
  topic->set_name("exists");
  topic->set_error_code(36);
  topic->set_message("topic exists already exists");
  bed.controller.create_topics[0].done(outcome);
  const auto response = DecodeReply<kafka::CreateTopicsResponse>(**reply, 5);
  std::string codes;
  for (const auto& result : response.topics)
    codes += result.name + "=" + std::to_string(result.error_code) + " ";
  EXPECT_EQ(codes, "exists=36 twice=42 assigned=42 valueless=40 ");
  EXPECT_EQ(response.topics[0].error_message, "topic exists already exists");
}

TEST(CreateTopicsTest, AControllerOutOfReachIsARetriableError) {
  ApiTestBed bed;
  const auto reply = bed.Send(Create({"orders"}), 5);
  bed.controller.create_topics[0].done(Status::Timeout("no controller answered within 30000 ms"));
  const auto response = DecodeReply<kafka::CreateTopicsResponse>(**reply, 5);
  EXPECT_EQ(response.topics[0].error_code, 7);
  EXPECT_EQ(response.topics[0].error_message, "no controller answered within 30000 ms");
}

TEST(CreateTopicsTest, IsExclusiveOnItsConnection) {
  EXPECT_TRUE(FindServedApi(19)->exclusive);
  EXPECT_FALSE(FindServedApi(0)->exclusive);
  EXPECT_FALSE(FindServedApi(1)->exclusive);
}

TEST(DeleteTopicsTest, ByNameAndById) {
  ApiTestBed bed;
  const TopicId id = bed.AddTopic("old", 1);
  kafka::DeleteTopicsRequest request;
  request.topics.emplace_back().topic_id = id;
  request.topics.emplace_back().name = "missing";
  request.topics.emplace_back();
  const auto reply = bed.Send(request, 6);
  const auto& asked = bed.controller.delete_topics[0].request;
  ASSERT_EQ(asked.topics_size(), 2);
  EXPECT_EQ(asked.topics(0).topic_id(), std::string(id.view()));
  controller::DeleteTopicsResponse outcome;
  outcome.add_topics()->set_topic_id(std::string(id.view()));
  auto* missing = outcome.add_topics();
  missing->set_name("missing");
  missing->set_error_code(3);
  bed.controller.delete_topics[0].done(outcome);
  const auto response = DecodeReply<kafka::DeleteTopicsResponse>(**reply, 6);
  ASSERT_EQ(response.responses.size(), 3u);
  EXPECT_EQ(response.responses[0].error_code, 0);
  EXPECT_EQ(response.responses[0].name, "old");
  EXPECT_EQ(response.responses[1].error_code, 3);
  EXPECT_EQ(response.responses[2].error_code, 42);
}

TEST(DeleteTopicsTest, CanBeSwitchedOff) {
  ApiTestBed bed;
  ASSERT_TRUE(bed.config.values.Set("delete.topic.enable", "false", "test").ok());
  kafka::DeleteTopicsRequest request;
  request.topic_names = {"a"};
  EXPECT_EQ(bed.Call<kafka::DeleteTopicsResponse>(request, 3).responses[0].error_code, 73);
  EXPECT_EQ(bed.Call<kafka::DeleteTopicsResponse>(request, 2).responses[0].error_code, 42);
}

TEST(CreatePartitionsTest, NumbersTheNewPartitionsAfterTheOldOnes) {
  ApiTestBed bed;
  bed.AddTopic("orders", 2);
  kafka::CreatePartitionsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = "orders";
  topic.count = 3;
  topic.assignments.emplace();
  topic.assignments->emplace_back().broker_ids = {3, 1};
  const auto reply = bed.Send(request, 2);
  const auto& asked = bed.controller.create_partitions[0].request.topics(0);
  EXPECT_EQ(asked.partition_count(), 3);
  ASSERT_EQ(asked.assignments_size(), 1);
  EXPECT_EQ(asked.assignments(0).partition(), 2);
  controller::CreatePartitionsResponse outcome;
  auto* result = outcome.add_topics();
  result->set_name("orders");
  result->set_error_code(37);
  result->set_message("topic orders has 2 partitions; the new count must be above that, not 1");
  bed.controller.create_partitions[0].done(outcome);
  const auto response = DecodeReply<kafka::CreatePartitionsResponse>(**reply, 2);
  EXPECT_EQ(response.results[0].error_code, 37);
  EXPECT_EQ(response.results[0].error_message, result->message());
}

TEST(IncrementalAlterConfigsTest, PassesOperationsOnAndRefusesWhatMakesNoSense) {
  ApiTestBed bed;
  kafka::IncrementalAlterConfigsRequest request;
  const auto add = [&](int8_t type, const std::string& name, int8_t operation,
                       std::optional<std::string> value) {
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
    auto& config = resource.configs.emplace_back();
    config.name = "cleanup.policy";
    config.config_operation = operation;
    config.value = std::move(value);
  };
  add(2, "good", 2, "compact");
  add(2, "no-value", 0, std::nullopt);
  add(2, "bad-operation", 9, "x");
  add(8, "1", 0, "x");
  add(2, "removed", 1, std::nullopt);
  const auto reply = bed.Send(request, 1);
  const auto& asked = bed.controller.alter_configs[0].request;
  ASSERT_EQ(asked.resources_size(), 2);
  EXPECT_EQ(asked.resources(0).entries(0).operation(), controller::AlterConfigsRequest::APPEND);
  EXPECT_FALSE(asked.resources(1).entries(0).has_value());
  controller::AlterConfigsResponse outcome;
  auto* failed = outcome.add_resources();
  failed->set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  failed->set_name("removed");
  failed->set_error_code(3);
  bed.controller.alter_configs[0].done(outcome);
  std::string codes;
  for (const auto& result :
       DecodeReply<kafka::IncrementalAlterConfigsResponse>(**reply, 1).responses) {
    codes += result.resource_name + "=" + std::to_string(result.error_code) + " ";
  }
  EXPECT_EQ(codes, "good=0 no-value=42 bad-operation=42 1=42 removed=3 ");
}

using DescribedEntry = kafka::DescribeConfigsResponse::DescribeConfigsResourceResult;

std::map<std::string, DescribedEntry> Described(ApiTestBed& bed, int8_t type,
                                                const std::string& name) {
  kafka::DescribeConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = type;
  resource.resource_name = name;
  resource.configuration_keys.reset();
  request.include_synonyms = true;
  request.include_documentation = true;
  const auto response = bed.Call<kafka::DescribeConfigsResponse>(request, 4);
  EXPECT_EQ(response.results[0].error_code, 0);
  std::map<std::string, DescribedEntry> entries;
  for (const auto& entry : response.results[0].configs) entries[entry.name] = entry;
  return entries;
}

TEST(DescribeConfigsTest, TellsEveryTopicKeyWithSourceTypeAndSynonyms) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  ASSERT_TRUE(bed.config.values.Set("log.segment.bytes", "2097152", "server.properties:3").ok());
  bed.Edit([](metadata::Image& image) {
    image.topic_configs = std::make_shared<metadata::ConfigsByName>(
        metadata::ConfigsByName{{"orders", {{"retention.ms", "5000"}}}});
    image.broker_configs = std::make_shared<metadata::ConfigsByName>(
        metadata::ConfigsByName{{"", {{"min.insync.replicas", "2"}}}});
  });
  auto entries = Described(bed, 2, "orders");
  EXPECT_EQ(entries.size(), metadata::TopicConfigKeys().size());
  EXPECT_EQ(entries["retention.ms"].value, "5000");
  EXPECT_EQ(entries["retention.ms"].config_source, 1);
  EXPECT_EQ(entries["retention.ms"].config_type, 5);
  EXPECT_FALSE(entries["retention.ms"].read_only);
  ASSERT_FALSE(entries["retention.ms"].synonyms.empty());
  EXPECT_EQ(entries["retention.ms"].synonyms[0].source, 1);
  EXPECT_EQ(entries["min.insync.replicas"].value, "2");
  EXPECT_EQ(entries["min.insync.replicas"].config_source, 3);
  EXPECT_EQ(entries["segment.bytes"].value, "2097152");
  EXPECT_EQ(entries["segment.bytes"].config_source, 4);
  EXPECT_EQ(entries["cleanup.policy"].config_source, 5);
  EXPECT_EQ(entries["cleanup.policy"].config_type, 7);
  EXPECT_TRUE(entries["cleanup.policy"].documentation.has_value());
}

TEST(DescribeConfigsTest, TellsTheBrokersOwnKeysAndRefusesOthers) {
  ApiTestBed bed;
  auto entries = Described(bed, 4, "1");
  EXPECT_EQ(entries.size(), metadata::ServerConfigKeys().size());
  EXPECT_TRUE(entries["node.id"].read_only);
  EXPECT_FALSE(entries["advertised.listeners"].value.has_value());
  EXPECT_TRUE(Described(bed, 4, "").empty());

  kafka::DescribeConfigsRequest request;
  const std::vector<std::tuple<int8_t, std::string, int>> refused = {
      {4, "2", 42}, {2, "missing", 3}, {2, "a b", 17}, {16, "x", 42}};
  for (const auto& [type, name, error] : refused) {
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
  }
  const auto response = bed.Call<kafka::DescribeConfigsResponse>(request, 1);
  for (size_t i = 0; i < refused.size(); ++i)
    EXPECT_EQ(response.results[i].error_code, std::get<2>(refused[i])) << i;
}

TEST(DescribeConfigsTest, TellsAGroupsOwnValuesAndTheServersForTheRest) {
  ApiTestBed bed;
  bed.Edit([](metadata::Image& image) {
    image.group_configs = std::make_shared<metadata::ConfigsByName>(
        metadata::ConfigsByName{{"g", {{"consumer.session.timeout.ms", "50000"}}}});
  });
  ASSERT_TRUE(bed.config.values.Set("group.consumer.heartbeat.interval.ms", "6000", "--set").ok());
  auto entries = Described(bed, 32, "g");
  EXPECT_EQ(entries.size(), metadata::GroupConfigKeys().size());
  EXPECT_EQ(entries["consumer.session.timeout.ms"].value, "50000");
  EXPECT_EQ(entries["consumer.session.timeout.ms"].config_source, 8);
  ASSERT_EQ(entries["consumer.session.timeout.ms"].synonyms.size(), 2U);
  EXPECT_EQ(entries["consumer.session.timeout.ms"].synonyms[1].name,
            "group.consumer.session.timeout.ms");
  EXPECT_EQ(entries["consumer.heartbeat.interval.ms"].value, "6000");
  EXPECT_EQ(entries["consumer.heartbeat.interval.ms"].config_source, 4);
}

TEST(ListConfigResourcesTest, NamesWhatHasConfiguration) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  bed.Edit([](metadata::Image& image) {
    image.group_configs = std::make_shared<metadata::ConfigsByName>(
        metadata::ConfigsByName{{"g", {{"consumer.session.timeout.ms", "50000"}}}});
  });
  kafka::ListConfigResourcesRequest request;
  const auto names = [&](int16_t version, std::vector<int8_t> types) {
    request.resource_types = std::move(types);
    std::vector<std::pair<int, std::string>> found;
    const auto response = bed.Call<kafka::ListConfigResourcesResponse>(request, version);
    if (response.error_code != 0) found.emplace_back(-1, std::to_string(response.error_code));
    for (const auto& resource : response.config_resources)
      found.emplace_back(resource.resource_type, resource.resource_name);
    return found;
  };
  using Names = std::vector<std::pair<int, std::string>>;
  EXPECT_EQ(names(1, {}), (Names{{2, "orders"}, {4, "1"}, {4, "2"}, {4, "3"}, {32, "g"}}));
  EXPECT_EQ(names(1, {32}), (Names{{32, "g"}}));
  EXPECT_EQ(names(1, {16}), Names());
  EXPECT_EQ(names(1, {99}), (Names{{-1, "35"}}));
  EXPECT_EQ(names(0, {}), Names()) << "client metrics only";
}

TEST(DescribeConfigsTest, TellsOnlyTheKeysAskedFor) {
  ApiTestBed bed;
  bed.AddTopic("orders", 1);
  kafka::DescribeConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = 2;
  resource.resource_name = "orders";
  resource.configuration_keys = std::vector<std::string>{"retention.ms", "no.such.key"};
  const auto response = bed.Call<kafka::DescribeConfigsResponse>(request, 2);
  ASSERT_EQ(response.results[0].configs.size(), 1u);
  EXPECT_TRUE(response.results[0].configs[0].synonyms.empty());
}

}  // namespace
}  // namespace sluice::broker
