#include "controller/unregistration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;
using ::testing::HasSubstr;

class UnregistrationTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
  }
  Outcome Unregister(int32_t id) {
    UnregisterBrokerRequest request;
    *request.mutable_sender() = SenderFor(1);
    request.set_broker_id(id);
    return Call(&MetadataController::UnregisterBroker, request).outcome();
  }
  void Stop(int id) {
    Broker(id).want_shutdown = true;
    BeatFor(300, {1, 2, 3});
    BeatFor(2000, {1, 2});
    ASSERT_TRUE(controller_->committed()->FindBroker(NodeId(id))->fenced);
  }
};

TEST_F(UnregistrationTest, ABrokerThatIsGoneAndHoldsNothingIsForgotten) {
  StartBrokers(3);
  Stop(3);
  const Outcome outcome = Unregister(3);
  EXPECT_EQ(outcome.error_code(), 0) << outcome.message();
  EXPECT_EQ(controller_->committed()->FindBroker(NodeId(3)), nullptr);
  EXPECT_EQ(Unregister(3).error_code(), Code(ErrorCode::kBrokerIdNotRegistered));
  // It may come back.
  ++Broker(3).incarnation;
  EXPECT_EQ(Register(3).outcome().error_code(), 0);
}

TEST_F(UnregistrationTest, WhoRunsOrHoldsReplicasOrIsUnknownStays) {
  StartBrokers(3);
  CreateAssigned("one", {{1, 2, 3}});
  CreateAssigned("two", {{1, 2}, {3, 2}});
  const size_t entries = quorum_.log().size();
  Outcome outcome = Unregister(9);
  EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kBrokerIdNotRegistered));
  EXPECT_THAT(outcome.message(), HasSubstr("broker 9 is not registered"));
  outcome = Unregister(3);
  EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kInvalidRequest));
  EXPECT_THAT(outcome.message(), HasSubstr("broker 3 runs"));
  EXPECT_EQ(quorum_.log().size(), entries);
  Stop(3);
  outcome = Unregister(3);
  EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kInvalidRequest));
  EXPECT_THAT(outcome.message(), HasSubstr("replicas of 2 partitions, among them one-0"));
  EXPECT_NE(controller_->committed()->FindBroker(NodeId(3)), nullptr);
}

}  // namespace
}  // namespace sluice::controller
