// DescribeQuorum, AddRaftVoter, RemoveRaftVoter, UnregisterBroker and UpdateFeatures: what reaches
// the controller, and how its answers look on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/testing/api_test_bed.h"
#include "kafka/messages/add_raft_voter.h"
#include "kafka/messages/describe_quorum.h"
#include "kafka/messages/remove_raft_voter.h"
#include "kafka/messages/unregister_broker.h"
#include "kafka/messages/update_features.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using testing::ApiTestBed;
using testing::DecodeReply;
using ::testing::HasSubstr;

const std::string kDisk(16, 'd');

class QuorumApisTest : public ::testing::Test {
 protected:
  using Reply = std::shared_ptr<std::optional<broker::Reply>>;

  template <typename Response>
  Response Answer(const Reply& reply, int16_t version) {
    CHECK(reply->has_value()) << "no answer yet";
    return DecodeReply<Response>(**reply, version);
  }
  // Answers the n-th change of the quorum that was asked for.
  void AnswerChange(size_t n, ErrorCode error, const std::string& message = "",
                    bool unchanged = false) {
    ASSERT_GT(bed_.controller.quorum_changes.size(), n);
    controller::ChangeQuorumResponse response;
    response.mutable_outcome()->set_error_code(WireError(error));
    response.mutable_outcome()->set_message(message);
    response.set_unchanged(unchanged);
    bed_.controller.quorum_changes[n].done(response);
  }
  static kafka::AddRaftVoterRequest Addition() {
    kafka::AddRaftVoterRequest request;
    request.cluster_id = "test-cluster";
    request.timeout_ms = 1000;
    request.voter_id = 4;
    request.voter_directory_id = Uuid::FromBytes(kDisk);
    for (const auto& [name, port] : {std::pair{"PLAINTEXT", 9092}, {"CONTROLLER", 9095}}) {
      auto& listener = request.listeners.emplace_back();
      listener.name = name;
      listener.host = "host4";
      listener.port = static_cast<uint16_t>(port);
    }
    return request;
  }
  static kafka::RemoveRaftVoterRequest Removal() {
    kafka::RemoveRaftVoterRequest request;
    request.cluster_id.reset();
    request.voter_id = 4;
    request.voter_directory_id = Uuid::FromBytes(kDisk);
    return request;
  }
  int16_t UpdateFeature(const std::string& feature, int16_t level, int8_t type, int16_t version,
                        std::string* message = nullptr) {
    kafka::UpdateFeaturesRequest request;
    auto& update = request.feature_updates.emplace_back();
    update.feature = feature;
    update.max_version_level = level;
    if (version > 0) update.upgrade_type = type;
    if (version == 0) update.allow_downgrade = type > 1;
    const auto response = bed_.Call<kafka::UpdateFeaturesResponse>(request, version);
    if (message != nullptr) {
      *message = version > 1 ? response.error_message.value_or("")
                             : response.results.at(0).error_message.value_or("");
    }
    if (version > 1) return response.error_code;
    EXPECT_EQ(response.error_code, 0);
    return response.results.at(0).error_code;
  }

  ApiTestBed bed_;
};

TEST_F(QuorumApisTest, TheQuorumIsDescribedAsThePartitionOfTheMetadata) {
  kafka::DescribeQuorumRequest request;
  for (const auto& [name, index] :
       {std::pair{"__cluster_metadata", 0}, {"__cluster_metadata", 1}, {"orders", 0}}) {
    auto& topic = request.topics.emplace_back();
    topic.topic_name = name;
    topic.partitions.emplace_back().partition_index = index;
  }
  const Reply reply = bed_.Send(request, 2);
  ASSERT_EQ(bed_.controller.quorum_asked.size(), 1u);
  controller::DescribeQuorumResponse quorum;
  quorum.set_leader_id(1);
  quorum.set_term(7);
  quorum.set_commit_index(100);
  for (const auto& [id, match, age_ms] : {std::tuple{1, 100, 0}, {2, 90, 30}, {3, 0, -1}}) {
    auto& voter = *quorum.add_voters();
    voter.set_id(id);
    voter.set_directory_id(kDisk);
    voter.set_address("host" + std::to_string(id) + ":9095");
    voter.set_match_index(match);
    voter.set_last_contact_age_ms(age_ms);
  }
  auto& learner = *quorum.add_learners();
  learner.set_id(4);
  learner.set_directory_id(kDisk);
  learner.set_address("host4:9095");
  learner.set_match_index(40);
  bed_.controller.quorum_asked[0].done(quorum);
  const auto response = Answer<kafka::DescribeQuorumResponse>(reply, 2);
  EXPECT_EQ(response.error_code, 0);
  ASSERT_EQ(response.topics.size(), 3u);
  EXPECT_EQ(response.topics[1].partitions[0].error_code, 3);
  EXPECT_EQ(response.topics[2].partitions[0].error_code, 3);
  const auto& partition = response.topics[0].partitions[0];
  EXPECT_EQ(partition.error_code, 0);
  EXPECT_EQ(partition.leader_id, 1);
  EXPECT_EQ(partition.leader_epoch, 7);
  EXPECT_EQ(partition.high_watermark, 101);
  ASSERT_EQ(partition.current_voters.size(), 3u);
  const int64_t now_ms = bed_.scheduler.clock().WallMs();
  EXPECT_EQ(partition.current_voters[0].log_end_offset, 101);
  EXPECT_EQ(partition.current_voters[0].last_caught_up_timestamp, now_ms);
  EXPECT_EQ(partition.current_voters[1].replica_directory_id, Uuid::FromBytes(kDisk));
  EXPECT_EQ(partition.current_voters[1].last_fetch_timestamp, now_ms - 30);
  EXPECT_EQ(partition.current_voters[1].last_caught_up_timestamp, -1);
  EXPECT_EQ(partition.current_voters[2].last_fetch_timestamp, -1);
  ASSERT_EQ(partition.observers.size(), 1u);
  EXPECT_EQ(partition.observers[0].replica_id, 4);
  ASSERT_EQ(response.nodes.size(), 4u);
  EXPECT_EQ(response.nodes[3].listeners[0].name, "CONTROLLER");
  EXPECT_EQ(response.nodes[3].listeners[0].host, "host4");
  EXPECT_EQ(response.nodes[3].listeners[0].port, 9095);
}

TEST_F(QuorumApisTest, WithoutAControllerTheQuorumIsNotDescribed) {
  kafka::DescribeQuorumRequest request;
  request.topics.emplace_back().topic_name = "__cluster_metadata";
  for (const int16_t version : {0, 2}) {
    const Reply reply = bed_.Send(request, version);
    bed_.controller.quorum_asked.back().done(Status::Timeout("no controller answers"));
    const auto response = Answer<kafka::DescribeQuorumResponse>(reply, version);
    EXPECT_EQ(response.error_code, WireError(ErrorCode::kRequestTimedOut));
    EXPECT_TRUE(response.topics.empty());
    if (version == 2) {
      EXPECT_EQ(response.error_message, "no controller answers");
    }
  }
}

TEST_F(QuorumApisTest, AVoterIsAddedByLearningFirst) {
  const Reply reply = bed_.Send(Addition(), 1);
  const auto& changes = bed_.controller.quorum_changes;
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].request.operation(), controller::ChangeQuorumRequest::ADD_LEARNER);
  EXPECT_EQ(changes[0].request.node_id(), 4);
  EXPECT_EQ(changes[0].request.directory_id(), kDisk);
  EXPECT_EQ(changes[0].request.address(), "host4:9095");
  AnswerChange(0, ErrorCode::kNone);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[1].request.operation(), controller::ChangeQuorumRequest::PROMOTE);
  EXPECT_EQ(changes[1].request.address(), "");
  AnswerChange(1, ErrorCode::kIneligibleReplica, "it lags");
  EXPECT_FALSE(reply->has_value());
  bed_.scheduler.RunForMs(150);
  ASSERT_EQ(changes.size(), 3u) << "it is asked again";
  AnswerChange(2, ErrorCode::kNone);
  EXPECT_EQ(Answer<kafka::AddRaftVoterResponse>(reply, 1).error_code, 0);
}

TEST_F(QuorumApisTest, OneThatDoesNotCatchUpInTimeIsToldSo) {
  const Reply reply = bed_.Send(Addition(), 0);
  AnswerChange(0, ErrorCode::kNone);
  for (size_t n = 1; !reply->has_value(); ++n) {
    ASSERT_LT(n, 100u);
    AnswerChange(n, ErrorCode::kIneligibleReplica, "it lags");
    bed_.scheduler.RunForMs(100);
  }
  const auto response = Answer<kafka::AddRaftVoterResponse>(reply, 0);
  EXPECT_EQ(response.error_code, WireError(ErrorCode::kRequestTimedOut));
  EXPECT_THAT(*response.error_message, HasSubstr("is a learner and does not vote yet: it lags"));
}

TEST_F(QuorumApisTest, WhatCannotBeAddedIsRefused) {
  const auto refused = [&](const kafka::AddRaftVoterRequest& request) {
    return bed_.Call<kafka::AddRaftVoterResponse>(request, 1).error_code;
  };
  kafka::AddRaftVoterRequest request = Addition();
  request.cluster_id = "another";
  EXPECT_EQ(refused(request), WireError(ErrorCode::kInconsistentClusterId));
  request = Addition();
  request.listeners.pop_back();
  EXPECT_EQ(refused(request), WireError(ErrorCode::kInvalidRequest));
  request = Addition();
  request.voter_id = -1;
  EXPECT_EQ(refused(request), WireError(ErrorCode::kInvalidRequest));
  EXPECT_TRUE(bed_.controller.quorum_changes.empty());
  Reply reply = bed_.Send(Addition(), 1);
  AnswerChange(0, ErrorCode::kDuplicateVoter, "node 4 votes with another disk");
  auto response = Answer<kafka::AddRaftVoterResponse>(reply, 1);
  EXPECT_EQ(response.error_code, WireError(ErrorCode::kDuplicateVoter));
  EXPECT_EQ(response.error_message, "node 4 votes with another disk");
  reply = bed_.Send(Addition(), 1);
  AnswerChange(1, ErrorCode::kNone, "", /*unchanged=*/true);
  AnswerChange(2, ErrorCode::kNone, "", /*unchanged=*/true);
  response = Answer<kafka::AddRaftVoterResponse>(reply, 1);
  EXPECT_EQ(response.error_code, WireError(ErrorCode::kDuplicateVoter));
}

TEST_F(QuorumApisTest, AVoterIsRemovedOnce) {
  Reply reply = bed_.Send(Removal(), 0);
  ASSERT_EQ(bed_.controller.quorum_changes.size(), 1u);
  EXPECT_EQ(bed_.controller.quorum_changes[0].request.operation(),
            controller::ChangeQuorumRequest::REMOVE);
  AnswerChange(0, ErrorCode::kNone);
  EXPECT_EQ(Answer<kafka::RemoveRaftVoterResponse>(reply, 0).error_code, 0);
  reply = bed_.Send(Removal(), 0);
  AnswerChange(1, ErrorCode::kNone, "", /*unchanged=*/true);
  EXPECT_EQ(Answer<kafka::RemoveRaftVoterResponse>(reply, 0).error_code,
            WireError(ErrorCode::kVoterNotFound));
}

TEST_F(QuorumApisTest, ABrokerIsUnregisteredByTheController) {
  kafka::UnregisterBrokerRequest request;
  request.broker_id = 3;
  Reply reply = bed_.Send(request, 0);
  ASSERT_EQ(bed_.controller.unregistrations.size(), 1u);
  EXPECT_EQ(bed_.controller.unregistrations[0].request.broker_id(), 3);
  bed_.controller.unregistrations[0].done(controller::UnregisterBrokerResponse());
  EXPECT_EQ(Answer<kafka::UnregisterBrokerResponse>(reply, 0).error_code, 0);
  reply = bed_.Send(request, 0);
  controller::UnregisterBrokerResponse refused;
  refused.mutable_outcome()->set_error_code(WireError(ErrorCode::kBrokerIdNotRegistered));
  refused.mutable_outcome()->set_message("broker 3 is not registered");
  bed_.controller.unregistrations[1].done(refused);
  const auto response = Answer<kafka::UnregisterBrokerResponse>(reply, 0);
  EXPECT_EQ(response.error_code, WireError(ErrorCode::kBrokerIdNotRegistered));
  EXPECT_EQ(response.error_message, "broker 3 is not registered");
}

TEST_F(QuorumApisTest, FeaturesStayAtTheLevelThatThereIs) {
  bed_.Edit([](metadata::Image& image) {
    image.features = {{"metadata.version", 30}, {"group.version", 1}};
  });
  constexpr int8_t kUp = 1, kSafeDown = 2;
  const int16_t refused = WireError(ErrorCode::kInvalidUpdateVersion);
  for (const int16_t version : {0, 1, 2}) {
    SCOPED_TRACE(version);
    std::string why;
    EXPECT_EQ(UpdateFeature("metadata.version", 30, kUp, version), 0) << "it is so already";
    EXPECT_EQ(UpdateFeature("transaction.version", 2, kUp, version, &why), refused);
    EXPECT_THAT(why, HasSubstr("'transaction.version' is not supported"));
    EXPECT_EQ(UpdateFeature("metadata.version", 31, kUp, version, &why), refused);
    EXPECT_THAT(why, HasSubstr("works at level 30 only"));
    EXPECT_EQ(UpdateFeature("group.version", 0, kUp, version, &why), refused);
    EXPECT_THAT(why, HasSubstr("does not ask for a downgrade"));
    EXPECT_EQ(UpdateFeature("group.version", 0, kSafeDown, version, &why), refused);
    EXPECT_THAT(why, HasSubstr("works at level 1 only"));
    EXPECT_EQ(UpdateFeature("group.version", -1, kSafeDown, version), refused);
  }
  EXPECT_EQ(UpdateFeature("group.version", 1, 9, 2), WireError(ErrorCode::kInvalidRequest));
}

TEST_F(QuorumApisTest, OneRefusedFeatureRefusesAll) {
  bed_.Edit([](metadata::Image& image) { image.features = {{"metadata.version", 30}}; });
  kafka::UpdateFeaturesRequest request;
  for (const auto& [name, level] : {std::pair{"metadata.version", 30}, {"share.version", 1}}) {
    auto& update = request.feature_updates.emplace_back();
    update.feature = name;
    update.max_version_level = static_cast<int16_t>(level);
  }
  EXPECT_EQ(bed_.Call<kafka::UpdateFeaturesResponse>(request, 2).error_code,
            WireError(ErrorCode::kInvalidUpdateVersion));
}

}  // namespace
}  // namespace sluice::broker
