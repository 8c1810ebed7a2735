#include "broker/group/group_types.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

constexpr int16_t kFailed = WireError(ErrorCode::kNotCoordinator);

// One request of each kind, all of group "g" where they have one.
std::vector<GroupRequest> AllRequests() {
  kafka::JoinGroupRequest join;
  join.group_id = "g";
  join.member_id = "m";
  kafka::SyncGroupRequest sync;
  sync.group_id = "g";
  kafka::HeartbeatRequest heartbeat;
  heartbeat.group_id = "g";
  kafka::LeaveGroupRequest leave;
  leave.group_id = "g";
  kafka::ConsumerGroupHeartbeatRequest consumer;
  consumer.group_id = "g";
  kafka::OffsetCommitRequest commit;
  commit.group_id = "g";
  commit.topics.resize(2);
  commit.topics[0].name = "t";
  commit.topics[0].partitions.resize(2);
  commit.topics[0].partitions[1].partition_index = 7;
  commit.topics[1].partitions.resize(1);
  FetchOffsets fetch;
  fetch.group.group_id = "g";
  kafka::OffsetDeleteRequest removal;
  removal.group_id = "g";
  return {join,
          sync,
          heartbeat,
          leave,
          consumer,
          commit,
          fetch,
          removal,
          DescribeGroup{"g"},
          DescribeConsumerGroup{"g"},
          ExplainGroup{"g"},
          DeleteGroup{"g"},
          ListGroups{}};
}

// The error code of an answer; of a commit that of its partitions, which must agree.
int16_t ErrorOf(const GroupResponse& response) {
  if (const auto* commit = std::get_if<kafka::OffsetCommitResponse>(&response)) {
    const int16_t first = commit->topics.at(0).partitions.at(0).error_code;
    for (const auto& topic : commit->topics) {
      for (const auto& partition : topic.partitions) EXPECT_EQ(partition.error_code, first);
    }
    return first;
  }
  return std::visit(
      [](const auto& answer) -> int16_t {
        if constexpr (requires { answer.error_code; }) return answer.error_code;
        return 0;
      },
      response);
}

TEST(GroupTypesTest, EveryRequestHasItsAnswerForAnError) {
  const std::vector<GroupRequest> requests = AllRequests();
  ASSERT_EQ(requests.size(), std::variant_size_v<GroupRequest>);
  static_assert(std::variant_size_v<GroupRequest> == std::variant_size_v<GroupResponse>);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(requests[i].index(), i);
    const GroupResponse response = ErrorResponse(requests[i], ErrorCode::kNotCoordinator);
    EXPECT_EQ(response.index(), i);
    EXPECT_EQ(ErrorOf(response), kFailed) << i;
    EXPECT_EQ(GroupIdOf(requests[i]), i + 1 == requests.size() ? "" : "g");
  }
}

TEST(GroupTypesTest, AnErrorOfACommitNamesItsPartitions) {
  const GroupResponse response = ErrorResponse(AllRequests()[5], ErrorCode::kNotCoordinator);
  const auto& commit = std::get<kafka::OffsetCommitResponse>(response);
  ASSERT_EQ(commit.topics.size(), 2u);
  EXPECT_EQ(commit.topics[0].name, "t");
  ASSERT_EQ(commit.topics[0].partitions.size(), 2u);
  EXPECT_EQ(commit.topics[0].partitions[1].partition_index, 7);
}

TEST(GroupTypesTest, AHeartbeatHasTimeWhileTheCoordinatorLoads) {
  for (const GroupRequest& request : AllRequests()) {
    const bool beats = std::holds_alternative<kafka::HeartbeatRequest>(request);
    const GroupResponse response = ErrorResponse(request, ErrorCode::kCoordinatorLoadInProgress);
    EXPECT_EQ(ErrorOf(response), beats ? 0 : WireError(ErrorCode::kCoordinatorLoadInProgress));
  }
}

TEST(GroupTypesTest, AnAnswerThatFailsSaysNothingElse) {
  for (const GroupRequest& request : AllRequests()) {
    GroupResponse response = ErrorResponse(request, ErrorCode::kNone);
    EXPECT_EQ(ErrorOf(response), 0);
    SetError(response, ErrorCode::kNotCoordinator);
    EXPECT_EQ(ErrorOf(response), kFailed);
  }
  kafka::JoinGroupResponse join;
  join.generation_id = 7;
  join.members.resize(3);
  join.skip_assignment = true;
  GroupResponse response = join;
  SetError(response, ErrorCode::kNotCoordinator);
  EXPECT_EQ(std::get<kafka::JoinGroupResponse>(response).generation_id, -1);
  EXPECT_TRUE(std::get<kafka::JoinGroupResponse>(response).members.empty());
  EXPECT_FALSE(std::get<kafka::JoinGroupResponse>(response).skip_assignment);
  kafka::SyncGroupResponse sync;
  sync.assignment = "all of it";
  response = sync;
  SetError(response, ErrorCode::kNotCoordinator);
  EXPECT_EQ(std::get<kafka::SyncGroupResponse>(response).assignment, "");
}

}  // namespace
}  // namespace sluice::broker
