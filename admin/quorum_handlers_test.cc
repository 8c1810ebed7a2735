// The admin service's calls about the quorum, over a backend that answers as the test says.
#include <gtest/gtest.h>

#include "admin/testing/handlers_fixture.h"
#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

class QuorumHandlersTest : public testing::HandlersFixture {
 protected:
  AddControllerRequest Addition() const {
    AddControllerRequest request;
    request.set_id(4);
    request.set_disk_id(disk_.ToString());
    request.set_address("host4:9095");
    return request;
  }

  const Uuid disk_ = Uuid::FromBytes(std::string(16, 'n'));
};

TEST_F(QuorumHandlersTest, ANodeTellsWhoItIs) {
  const auto node = Call(&Handlers::DescribeNode, DescribeNodeRequest());
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->cluster_id(), "cluster");
  EXPECT_EQ(node->id(), 1);
  EXPECT_EQ(node->disk_id(), Uuid::FromBytes(std::string(16, 'd')).ToString());
  EXPECT_EQ(node->controller_address(), "host1:1");
  EXPECT_FALSE(node->awaits_voters_of_plan());
  backend_.controller = LocalController{.inquiring = true};
  EXPECT_TRUE(Call(&Handlers::DescribeNode, DescribeNodeRequest())->awaits_voters_of_plan());
}

TEST_F(QuorumHandlersTest, TheQuorumIsDescribedWithItsLearners) {
  backend_.quorum.set_leader_id(1);
  backend_.quorum.set_commit_index(100);
  auto* voter = backend_.quorum.add_voters();
  voter->set_id(1);
  voter->set_match_index(100);
  auto* learner = backend_.quorum.add_learners();
  learner->set_id(4);
  learner->set_directory_id(std::string(disk_.view()));
  learner->set_address("host4:9095");
  learner->set_match_index(40);
  const auto described = Call(&Handlers::DescribeQuorum, DescribeQuorumRequest());
  ASSERT_TRUE(described.ok());
  EXPECT_EQ(described->quorum().voters_size(), 1);
  ASSERT_EQ(described->quorum().learners_size(), 1);
  EXPECT_EQ(described->quorum().learners(0).disk_id(), disk_.ToString());
  EXPECT_EQ(described->quorum().learners(0).address(), "host4:9095");
  EXPECT_EQ(described->quorum().learners(0).lag(), 60);
  backend_.unreachable = Status::Timeout("nobody");
  EXPECT_EQ(Call(&Handlers::DescribeQuorum, DescribeQuorumRequest()).status().code(),
            StatusCode::kUnavailable);
}

TEST_F(QuorumHandlersTest, ALearnerIsAddedByIdDiskAndAddress) {
  const auto added = Call(&Handlers::AddController, Addition());
  ASSERT_TRUE(added.ok()) << added.status().ToString();
  EXPECT_TRUE(added->changed());
  EXPECT_EQ(backend_.quorum_change.operation(), controller::ChangeQuorumRequest::ADD_LEARNER);
  EXPECT_EQ(backend_.quorum_change.node_id(), 4);
  EXPECT_EQ(backend_.quorum_change.directory_id(), std::string(16, 'n'));
  EXPECT_EQ(backend_.quorum_change.address(), "host4:9095");
  EXPECT_EQ(backend_.waited_for, LogIndex(9)) << "this node's clients find it";
  backend_.unchanged = true;
  EXPECT_FALSE(Call(&Handlers::AddController, Addition())->changed());
}

TEST_F(QuorumHandlersTest, WhatCannotBeReadIsRefusedHere) {
  AddControllerRequest request = Addition();
  request.set_disk_id("no id");
  EXPECT_EQ(Call(&Handlers::AddController, request).status().code(), StatusCode::kInvalidArgument);
  for (const char* address : {"", "host4", ":9095", "host4:0"}) {
    request = Addition();
    request.set_address(address);
    const auto added = Call(&Handlers::AddController, request);
    EXPECT_EQ(added.status().code(), StatusCode::kInvalidArgument) << address;
  }
  EXPECT_EQ(backend_.quorum_change.node_id(), 0) << "the controllers were not asked";
}

TEST_F(QuorumHandlersTest, RefusalsKeepTheirWords) {
  backend_.error_code = kafka::WireError(kafka::ErrorCode::kIneligibleReplica);
  backend_.error_message = "the learner does not answer";
  PromoteControllerRequest promotion;
  promotion.set_id(4);
  promotion.set_disk_id(disk_.ToString());
  const auto promoted = Call(&Handlers::PromoteController, promotion);
  EXPECT_EQ(promoted.status().code(), StatusCode::kFenced);
  EXPECT_EQ(promoted.status().message(), "the learner does not answer");
  backend_.error_code = kafka::WireError(kafka::ErrorCode::kVoterNotFound);
  EXPECT_EQ(Call(&Handlers::PromoteController, promotion).status().code(), StatusCode::kNotFound);
  backend_.error_code = kafka::WireError(kafka::ErrorCode::kDuplicateVoter);
  EXPECT_EQ(Call(&Handlers::AddController, Addition()).status().code(), StatusCode::kAlreadyExists);
  backend_.error_code = kafka::WireError(kafka::ErrorCode::kInvalidRequest);
  EXPECT_EQ(Call(&Handlers::TransferController, TransferControllerRequest()).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(QuorumHandlersTest, WhoeverLeavesNeedNotHearOfIt) {
  backend_.applies = false;
  RemoveControllerRequest removal;
  removal.set_disk_id(disk_.ToString());
  removal.set_id(2);
  EXPECT_EQ(Call(&Handlers::RemoveController, removal).status().code(), StatusCode::kTimeout);
  removal.set_id(1);
  const auto removed = Call(&Handlers::RemoveController, removal);
  ASSERT_TRUE(removed.ok()) << removed.status().ToString();
  EXPECT_TRUE(removed->changed());
}

TEST_F(QuorumHandlersTest, AVoterIsAskedToLead) {
  TransferControllerRequest request;
  EXPECT_TRUE(Call(&Handlers::TransferController, request).ok());
  EXPECT_FALSE(backend_.transfer_request.has_target_id());
  request.set_id(0);
  EXPECT_TRUE(Call(&Handlers::TransferController, request).ok());
  EXPECT_TRUE(backend_.transfer_request.has_target_id());
}

}  // namespace
}  // namespace sluice::admin
