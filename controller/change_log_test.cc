// What the active controller's log tells of changed topics, configs and leaders.
#include "controller/change_log.h"

#include <gtest/gtest.h>

#include "base/testing/log_catcher.h"
#include "controller/controller.h"
#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

class ChangeLogTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(3);
  }
  template <typename Request>
  static Request From(const std::string& client) {
    Request request;
    request.mutable_sender()->set_node_id(2);
    request.mutable_sender()->set_client(client);
    return request;
  }
  static CreateTopicsRequest Creation(const std::vector<std::string>& names,
                                      const std::string& client = "") {
    auto request = From<CreateTopicsRequest>(client);
    for (const std::string& name : names) {
      auto& topic = *request.add_topics();
      topic.set_name(name);
      topic.set_partition_count(2);
      topic.set_replication_factor(3);
    }
    return request;
  }
};

TEST_F(ChangeLogTest, ATopicsLifeIsALineAnEvent) {
  const ::sluice::testing::LogCatcher log;
  CreateTopicsRequest create = Creation({"orders"}, "client 'kadmin' at 10.0.0.3:5312");
  (*create.mutable_topics(0)->mutable_configs())["retention.ms"] = "7s";
  Call(&MetadataController::CreateTopics, create);
  const std::string by = "; asked for by client 'kadmin' at 10.0.0.3:5312 through node 2\n";
  EXPECT_EQ(log.Count("topic orders is created: 2 partitions, replication factor 3, "
                      "retention.ms=7000" +
                      by),
            1);
  Call(&MetadataController::CreateTopics, create);
  EXPECT_EQ(log.Count("is created"), 1) << "the second one was refused";

  auto grow = From<CreatePartitionsRequest>("the admin service");
  grow.add_topics()->set_name("orders");
  grow.mutable_topics(0)->set_partition_count(5);
  grow.set_validate_only(true);
  Call(&MetadataController::CreatePartitions, grow);
  grow.set_validate_only(false);
  Call(&MetadataController::CreatePartitions, grow);
  EXPECT_EQ(log.Count("topic orders has 5 partitions now, 2 before; asked for by the admin service "
                      "through node 2\n"),
            1);

  auto remove = From<DeleteTopicsRequest>("");
  remove.add_topics()->set_name("orders");
  Call(&MetadataController::DeleteTopics, remove);
  EXPECT_EQ(log.Count("topic orders is deleted, with 5 partitions of replication factor 3; asked "
                      "for through node 2\n"),
            1);
}

TEST_F(ChangeLogTest, ManyAreOneLineWithAFewNames) {
  const ::sluice::testing::LogCatcher log;
  std::vector<std::string> names;
  for (char c = 'a'; c <= 'y'; ++c) names.push_back(std::string(1, c));
  Call(&MetadataController::CreateTopics, Creation(names));
  EXPECT_EQ(log.Count("25 topics are created, with 50 partitions: a, b, c and 22 more; "), 1);
  auto alter = From<AlterConfigsRequest>("");
  auto remove = From<DeleteTopicsRequest>("");
  for (const std::string& name : names) {
    auto& resource = *alter.add_resources();
    resource.set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
    resource.set_name(name);
    auto& entry = *resource.add_entries();
    entry.set_key("retention.ms");
    entry.set_value("1");
    remove.add_topics()->set_name(name);
  }
  remove.add_topics()->set_name("none");
  Call(&MetadataController::AlterConfigs, alter);
  EXPECT_EQ(log.Count("25 configs are changed, of topic a, topic b, topic c and 22 more; "), 1);
  Call(&MetadataController::DeleteTopics, remove);
  EXPECT_EQ(log.Count("25 topics are deleted, with 50 partitions: a, b, c and 22 more; "), 1);
}

TEST_F(ChangeLogTest, ConfigsAreToldWithTheirValues) {
  CreateTopic("orders", 1, 3, {{"retention.ms", "7000"}});
  const ::sluice::testing::LogCatcher log;
  auto alter = From<AlterConfigsRequest>("a\nE1123 fake");
  auto& resource = *alter.add_resources();
  resource.set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  resource.set_name("orders");
  auto* entry = resource.add_entries();
  entry->set_key("min.insync.replicas");
  entry->set_value("2");
  entry = resource.add_entries();
  entry->set_key("retention.ms");
  entry->set_operation(AlterConfigsRequest::DELETE);
  Call(&MetadataController::AlterConfigs, alter);
  EXPECT_EQ(log.Count("configs of topic orders are changed: min.insync.replicas=2, retention.ms "
                      "unset; asked for by a?E1123 fake through node 2\n"),
            1);
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_BROKER, "", "num.network.threads", "2");
  AlterConfig(metadata::CONFIG_RESOURCE_TYPE_BROKER, "", "min.insync.replicas", "2");
  EXPECT_EQ(log.Count("configs of all brokers are changed: min.insync.replicas=2; "), 1);
}

TEST_F(ChangeLogTest, AnElectionNamesWhoLeads) {
  CreateAssigned("t", {{1, 2, 3}});
  controller_->OnBrokerConnectionLost(NodeId(1), true);
  RunForMs(200);
  BeatFor(100, {1, 2, 3});
  AlterIsr(2, "t", {1, 2, 3});
  ASSERT_EQ(Show("t"), "leader=2 isr=1,2,3 elr= known=");
  const ::sluice::testing::LogCatcher log;
  auto elect = From<ElectLeadersRequest>("the admin service");
  elect.set_all(true);
  Call(&MetadataController::ElectLeaders, elect);
  EXPECT_EQ(log.Count("1 partition has the preferred leader again: t-0 (broker 1); asked for by "
                      "the admin service through node 2\n"),
            1);
  Call(&MetadataController::ElectLeaders, elect);
  EXPECT_EQ(log.Count("preferred leader again"), 1);
}

// Nothing is told of what was not committed, and nothing by who is not active.
TEST_F(ChangeLogTest, OnlyWhatIsCommittedIsTold) {
  const ::sluice::testing::LogCatcher log;
  controller_->CreateTopics(Creation({"orders"}), [](const CreateTopicsResponse&) {});
  EXPECT_FALSE(log.Saw("is created"));
  quorum_.Lose(NodeId(2));
  EXPECT_FALSE(log.Saw("is created"));
}

}  // namespace
}  // namespace sluice::controller
