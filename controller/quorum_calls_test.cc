// What the active controller answers about the quorum's members, and what the image tells of them.
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"
#include "kafka/error_code.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using testing::ClusterFixture;

class QuorumCallsTest : public ClusterFixture {
 protected:
  QuorumCallsTest() {
    quorum_.members = raft::MembershipOf({Id(1, '1'), Id(2, '2'), Id(3, '3')});
    quorum_.Lead();
    CommitAll();
  }
  static raft::VoterId Id(int id, char disk) {
    return {NodeId(id), Uuid::FromBytes(std::string(16, disk))};
  }
  static ChangeQuorumRequest Request(ChangeQuorumRequest::Operation operation, int id, char disk,
                                     const std::string& address = "") {
    ChangeQuorumRequest request;
    request.set_operation(operation);
    request.set_node_id(id);
    request.set_directory_id(std::string(16, disk));
    request.set_address(address);
    return request;
  }
  ChangeQuorumResponse Change(const ChangeQuorumRequest& request) {
    return Call(&MetadataController::ChangeQuorum, request);
  }
  ErrorCode ErrorOf(const ChangeQuorumRequest& request) {
    return static_cast<ErrorCode>(Change(request).outcome().error_code());
  }
  // "1 2 3@host3:1 +4@host4:1", a plus before learners.
  std::string Shown() const {
    std::string text;
    for (const metadata::ControllerImage& controller : controller_->committed()->controllers) {
      text += (text.empty() ? "" : " ") + std::string(controller.learner ? "+" : "") +
              std::to_string(controller.id.value()) +
              (controller.address.empty() ? "" : "@" + controller.address);
    }
    return text;
  }
};

constexpr auto kAdd = ChangeQuorumRequest::ADD_LEARNER;
constexpr auto kPromote = ChangeQuorumRequest::PROMOTE;
constexpr auto kRemove = ChangeQuorumRequest::REMOVE;

TEST_F(QuorumCallsTest, AControllerIsReplacedUnderItsId) {
  EXPECT_EQ(Shown(), "") << "as configured";
  EXPECT_EQ(ErrorOf(Request(kRemove, 3, '3')), ErrorCode::kNone);
  const ChangeQuorumResponse added = Change(Request(kAdd, 3, 'n', "host3:2"));
  EXPECT_EQ(added.outcome().error_code(), 0) << added.outcome().message();
  EXPECT_EQ(added.applied_index(), controller_->committed()->last_index.value());
  EXPECT_EQ(Shown(), "1 2 +3@host3:2");
  EXPECT_EQ(ErrorOf(Request(kPromote, 3, 'n')), ErrorCode::kNone);
  EXPECT_EQ(Shown(), "1 2 3@host3:2");

  const auto described = Call(&MetadataController::DescribeQuorum, DescribeQuorumRequest());
  ASSERT_EQ(described.voters_size(), 3);
  EXPECT_EQ(described.voters(0).address(), "host1:1") << "as configured";
  EXPECT_EQ(described.voters(2).address(), "host3:2");
  EXPECT_EQ(described.voters(2).directory_id(), std::string(16, 'n'));

  const auto again = metadata::FromSnapshot(metadata::ToSnapshot(*controller_->committed()));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->controllers, controller_->committed()->controllers);
  EXPECT_EQ(controller_->speculative()->controllers, controller_->committed()->controllers);
}

// Who got no answer asks again.
TEST_F(QuorumCallsTest, WhatIsSoAlreadyChangesNothing) {
  ASSERT_FALSE(Change(Request(kAdd, 4, '4', "host4:1")).unchanged());
  const LogIndex index = controller_->committed()->last_index;
  EXPECT_TRUE(Change(Request(kAdd, 4, '4', "host4:1")).unchanged());
  ASSERT_FALSE(Change(Request(kPromote, 4, '4')).unchanged());
  EXPECT_TRUE(Change(Request(kPromote, 4, '4')).unchanged());
  EXPECT_TRUE(Change(Request(kAdd, 4, '4', "host4:1")).unchanged());
  ASSERT_FALSE(Change(Request(kRemove, 4, '4')).unchanged());
  EXPECT_TRUE(Change(Request(kRemove, 4, '4')).unchanged());
  EXPECT_EQ(controller_->committed()->last_index, index + 2);
}

TEST_F(QuorumCallsTest, RefusalsSayWhy) {
  EXPECT_EQ(ErrorOf(Request(kAdd, 3, 'n', "host3:2")), ErrorCode::kDuplicateVoter);
  EXPECT_EQ(ErrorOf(Request(kRemove, 3, 'n')), ErrorCode::kVoterNotFound);
  EXPECT_EQ(ErrorOf(Request(kPromote, 9, '9')), ErrorCode::kVoterNotFound);
  ChangeQuorumRequest bad = Request(kRemove, 3, '3');
  bad.set_directory_id("short");
  EXPECT_EQ(ErrorOf(bad), ErrorCode::kInvalidRequest);
  const ChangeQuorumResponse long_address = Change(Request(kAdd, 9, '9', std::string(40'002, 'a')));
  EXPECT_EQ(long_address.outcome().message(),
            "a controller address of 40002 bytes, where 32767 are the most");
  quorum_.set_refusing(true);
  const ChangeQuorumResponse refused = Change(Request(kRemove, 3, '3'));
  EXPECT_EQ(static_cast<ErrorCode>(refused.outcome().error_code()), ErrorCode::kIneligibleReplica);
  EXPECT_EQ(refused.outcome().message(), "another change is under way");
  EXPECT_EQ(Shown(), "");
}

TEST_F(QuorumCallsTest, WhatIsOnlyValidatedIsRefusedAndNotDone) {
  ChangeQuorumRequest request = Request(kRemove, 3, '3');
  request.set_validate_only(true);
  const size_t entries = quorum_.log().size();
  EXPECT_EQ(ErrorOf(request), ErrorCode::kNone);
  request.set_directory_id(std::string(16, 'n'));
  EXPECT_EQ(ErrorOf(request), ErrorCode::kVoterNotFound);
  request = Request(kRemove, 3, '3');
  request.set_validate_only(true);
  quorum_.set_refusing(true);
  EXPECT_EQ(Change(request).outcome().message(), "another change is under way");
  EXPECT_EQ(quorum_.log().size(), entries);
  EXPECT_EQ(quorum_.members.voters.size(), 3U);
}

TEST_F(QuorumCallsTest, AnOutcomeThatIsNotKnownSendsTheCallerToTheNextLeader) {
  std::optional<ChangeQuorumResponse> answer;
  const auto ask = [&] {
    answer.reset();
    controller_->ChangeQuorum(Request(kAdd, 4, '4', "host4:1"),
                              [&](ChangeQuorumResponse response) { answer = response; });
  };
  ask();
  EXPECT_FALSE(answer.has_value());
  quorum_.Lose(NodeId(2));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(static_cast<ErrorCode>(answer->outcome().error_code()), ErrorCode::kNotController);
  EXPECT_EQ(answer->outcome().leader_address(), "host2:1");
  ask();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(static_cast<ErrorCode>(answer->outcome().error_code()), ErrorCode::kNotController);
  quorum_.members.learners.clear();
  quorum_.Lead();
  ask();
  controller_->Stop();
  ASSERT_TRUE(answer.has_value()) << "nobody waits for a controller that stops";
}

TEST_F(QuorumCallsTest, AnotherVoterIsAskedToLead) {
  TransferControllerRequest request;
  EXPECT_EQ(Call(&MetadataController::TransferController, request).outcome().error_code(), 0);
  EXPECT_EQ(quorum_.asked_to_lead, kNoNode);
  request.set_target_id(2);
  EXPECT_EQ(Call(&MetadataController::TransferController, request).outcome().error_code(), 0);
  EXPECT_EQ(quorum_.asked_to_lead, NodeId(2));
  quorum_.set_refusing(true);
  const auto refused = Call(&MetadataController::TransferController, request);
  EXPECT_EQ(refused.outcome().message(), "no other voter answers");
}

}  // namespace
}  // namespace sluice::controller
