// The settings that all brokers and controllers must read alike are metadata, and stay it.
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using metadata::CONFIG_RESOURCE_TYPE_BROKER;

class ClusterSettingsTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
};

// Brokers that acknowledge by one value and controllers that elect by another lose records.
TEST_F(ClusterSettingsTest, WhatAllNodesReadAlikeIsChangedForAllAndNeverRemoved) {
  StartBrokers(1);
  for (const auto& [key, value] :
       {std::pair("min.insync.replicas", "2"), std::pair("durability", "replicated")}) {
    const auto of_one = AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "1", key, value);
    EXPECT_EQ(of_one.error_code(), Code(ErrorCode::kInvalidConfig));
    EXPECT_EQ(of_one.message(),
              std::string(key) + " can be set for a topic or for all brokers, not for one");
    EXPECT_EQ(AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "", key, value).error_code(), 0);
    const auto removed = AlterConfig(CONFIG_RESOURCE_TYPE_BROKER, "", key, std::nullopt,
                                     AlterConfigsRequest::DELETE);
    EXPECT_EQ(removed.error_code(), Code(ErrorCode::kInvalidConfig));
    EXPECT_EQ(removed.message(), std::string(key) +
                                     " of the cluster can be changed, not removed: all its nodes "
                                     "must know the same value; set it");
    EXPECT_EQ(controller_->committed()->broker_configs->at("").at(key), value);
  }
}

// As of a cluster whose version read it in each node's file.
TEST_F(ClusterSettingsTest, ASettingThatTheMetadataLacksIsWrittenByTheNextActivation) {
  metadata::MetadataBatch batch;
  batch.add_records()->mutable_config()->set_type(CONFIG_RESOURCE_TYPE_BROKER);
  batch.mutable_records(0)->mutable_config()->set_key("durability");
  quorum_.Propose(batch.SerializeAsString(), [](const auto&) {});
  CommitAll();
  quorum_.Lose(NodeId(2));
  quorum_.Lead();
  CommitAll();
  EXPECT_EQ(controller_->committed()->broker_configs->at("").at("durability"), "fsync");
}

}  // namespace
}  // namespace sluice::controller
