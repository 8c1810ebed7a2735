// Groups of the consumer protocol among the others of a shard: how they come, are found again, are
// listed, and give way to classic groups and classic groups to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "broker/group/consumer_group.h"
#include "broker/group/group_shard.h"
#include "broker/group/testing/shard_driver.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using testing::ShardDriver;

class GroupShardConsumerTest : public ::testing::Test {
 protected:
  template <typename Response, typename Request>
  Response Ask(Request request, int16_t version) {
    answer_.reset();
    driver_.Handle({++token_, version, "client", "/127.0.0.1"}, std::move(request));
    CHECK(answer_.has_value());
    return std::get<Response>(answer_->response);
  }

  static kafka::ConsumerGroupHeartbeatRequest BeatOf(const std::string& member, int32_t epoch,
                                                     const std::string& group = "g") {
    kafka::ConsumerGroupHeartbeatRequest request;
    request.group_id = group;
    request.member_id = member;
    request.member_epoch = epoch;
    if (epoch == 0) {
      request.rebalance_timeout_ms = 1000;
      request.subscribed_topic_names = {"t"};
      request.topic_partitions.emplace();
    }
    return request;
  }
  kafka::ConsumerGroupHeartbeatResponse Beat(const std::string& member, int32_t epoch,
                                             const std::string& group = "g") {
    return Ask<kafka::ConsumerGroupHeartbeatResponse>(BeatOf(member, epoch, group), 1);
  }
  kafka::JoinGroupResponse Join(const std::string& member_id = "", int16_t version = 9) {
    kafka::JoinGroupRequest request;
    request.group_id = "g";
    request.member_id = member_id;
    request.session_timeout_ms = 10000;
    request.rebalance_timeout_ms = 10000;
    request.protocol_type = "consumer";
    request.protocols.emplace_back().name = "range";
    return Ask<kafka::JoinGroupResponse>(request, version);
  }
  std::vector<std::string> Listed() {
    std::vector<std::string> listed;
    for (const auto& group : Ask<kafka::ListGroupsResponse>(ListGroups{}, 5).groups) {
      listed.push_back(group.group_id + "/" + group.protocol_type + "/" + group.group_state + "/" +
                       group.group_type);
    }
    return listed;
  }
  ErrorCode Delete() {
    return static_cast<ErrorCode>(
        Ask<kafka::DeleteGroupsResponse::DeletableGroupResult>(DeleteGroup{"g"}, 2).error_code);
  }

  std::optional<GroupAnswer> answer_;
  ShardDriver driver_{{.on_effects = [](const GroupEffects&) {},
                       .on_answer = [this](const GroupAnswer& answer, bool) { answer_ = answer; },
                       .on_record = [](const GroupRecord&) {},
                       .on_refusal = [](ErrorCode) {}},
                      1};
  RequestToken token_ = 0;
};

TEST_F(GroupShardConsumerTest, AFirstHeartbeatMakesTheGroup) {
  EXPECT_EQ(Beat("a", 5).error_code, WireError(ErrorCode::kGroupIdNotFound));
  EXPECT_EQ(Beat("a", -1).error_code, WireError(ErrorCode::kGroupIdNotFound));
  EXPECT_EQ(Beat("", 0).error_code, WireError(ErrorCode::kInvalidRequest));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  const auto response = Beat("a", 0);
  EXPECT_EQ(response.error_code, 0);
  EXPECT_EQ(response.member_epoch, 2) << "as Kafka counts";
  EXPECT_THAT(Listed(), ::testing::ElementsAre("g/consumer/Stable/consumer"));
  EXPECT_EQ(Join().error_code, WireError(ErrorCode::kInconsistentGroupProtocol));
  EXPECT_EQ(Delete(), ErrorCode::kNonEmptyGroup);
}

TEST_F(GroupShardConsumerTest, AnotherCoordinatorGoesOn) {
  Beat("a", 0);
  Beat("b", 0, "h");
  driver_.FailOver(true);
  EXPECT_THAT(Listed(),
              ::testing::ElementsAre("g/consumer/Stable/consumer", "h/consumer/Stable/consumer"));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u) << "who lists does not load";
  EXPECT_EQ(driver_.shard().timers(), 0u);
  EXPECT_EQ(Beat("a", 2).error_code, 0);
  EXPECT_EQ(driver_.shard().loaded_groups(), 1u);
  driver_.LoadAll();
  EXPECT_EQ(driver_.shard().loaded_groups(), 2u);
  // The one that never speaks again expires for all that.
  driver_.Advance(40000);
  Beat("a", 2);
  driver_.Advance(6000);
  EXPECT_THAT(Listed(),
              ::testing::ElementsAre("g/consumer/Stable/consumer", "h/consumer/Empty/consumer"));
  EXPECT_EQ(driver_.shard().loaded_groups(), 1u);
}

TEST_F(GroupShardConsumerTest, ARefusedMemberIsNotThere) {
  driver_.RefuseNext(ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(Beat("a", 0).error_code, WireError(ErrorCode::kCoordinatorNotAvailable));
  EXPECT_THAT(Listed(), ::testing::IsEmpty());
  EXPECT_EQ(driver_.shard().timers(), 0u);
  EXPECT_EQ(Beat("a", 0).error_code, 0);
}

TEST_F(GroupShardConsumerTest, AnEmptyOneDoesNotStayInMemory) {
  Beat("a", 0);
  Beat("a", -1);
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  driver_.FailOver(true);
  driver_.LoadAll();
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  driver_.RefuseNext(ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(Beat("b", 0).error_code, WireError(ErrorCode::kCoordinatorNotAvailable));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  EXPECT_EQ(driver_.shard().timers(), 0u);
}

TEST_F(GroupShardConsumerTest, AGroupIsFoundAgainAsTheLogHasItCommittedOrNot) {
  EXPECT_EQ(Beat("a", 0).member_epoch, 2);
  driver_.Hold();
  driver_.Handle({++token_, 1, "client", "/127.0.0.1"}, BeatOf("a", -1));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  driver_.Handle({++token_, 1, "client", "/127.0.0.1"}, BeatOf("b", 0));
  driver_.Commit();
  ASSERT_TRUE(answer_.has_value());
  const auto& joined = std::get<kafka::ConsumerGroupHeartbeatResponse>(answer_->response);
  EXPECT_EQ(joined.member_id, "b");
  EXPECT_EQ(joined.member_epoch, 4) << "behind the one of the leave";
  EXPECT_EQ(Beat("a", 2).error_code, WireError(ErrorCode::kUnknownMemberId));
}

TEST_F(GroupShardConsumerTest, DescribesOneAndNoOther) {
  Beat("a", 0);
  const auto described =
      Ask<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(DescribeConsumerGroup{"g"}, 1);
  EXPECT_EQ(described.error_code, 0);
  EXPECT_EQ(described.group_state, "Stable");
  EXPECT_EQ(described.members.size(), 1u);
  EXPECT_EQ(Ask<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(DescribeConsumerGroup{"h"}, 1)
                .error_code,
            WireError(ErrorCode::kGroupIdNotFound));
  const auto classic = Ask<kafka::DescribeGroupsResponse::DescribedGroup>(DescribeGroup{"g"}, 6);
  EXPECT_EQ(classic.error_code, WireError(ErrorCode::kGroupIdNotFound));
  const auto older = Ask<kafka::DescribeGroupsResponse::DescribedGroup>(DescribeGroup{"g"}, 5);
  EXPECT_EQ(older.error_code, 0);
  EXPECT_EQ(older.group_state, "Dead");
}

TEST_F(GroupShardConsumerTest, AnEmptyOneIsDeleted) {
  Beat("a", 0);
  Beat("a", -1);
  EXPECT_THAT(Listed(), ::testing::ElementsAre("g/consumer/Empty/consumer"));
  EXPECT_EQ(Delete(), ErrorCode::kNone);
  EXPECT_THAT(Listed(), ::testing::IsEmpty());
  EXPECT_EQ(Delete(), ErrorCode::kGroupIdNotFound);
}

TEST_F(GroupShardConsumerTest, AnEmptyGroupGivesWayToTheOtherProtocol) {
  Beat("a", 0);
  Beat("a", -1);
  const auto joined = Join();
  EXPECT_EQ(joined.error_code, WireError(ErrorCode::kMemberIdRequired));
  EXPECT_THAT(Listed(), ::testing::ElementsAre("g//Empty/classic"));
  EXPECT_EQ(Beat("a", 0).error_code, WireError(ErrorCode::kGroupIdNotFound))
      << "somebody is about to join";
  // It does not come; now nobody is in the classic group either.
  driver_.Advance(20000);
  EXPECT_EQ(Beat("a", 0).error_code, 0);
  EXPECT_THAT(Listed(), ::testing::ElementsAre("g/consumer/Stable/consumer"));
  driver_.FailOver(true);
  EXPECT_EQ(Beat("a", 2).error_code, 0);
}

TEST_F(GroupShardConsumerTest, AClassicGroupThatWroteItsRecordGivesWayToo) {
  Beat("a", 0);
  Beat("a", -1);
  driver_.RefuseNext(ErrorCode::kCoordinatorNotAvailable);
  Join();
  EXPECT_THAT(Listed(), ::testing::ElementsAre("g/consumer/Empty/consumer"))
      << "what could not be written did not happen";
}

}  // namespace
}  // namespace sluice::broker
