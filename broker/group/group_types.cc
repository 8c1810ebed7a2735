#include "broker/group/group_types.h"

#include <type_traits>
#include <utility>

#include "base/overload.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

constexpr int16_t kLeaveOfManySince = 3;  // KIP-345

// --- SetError: what the answer would have said besides is void ---

void Fail(kafka::JoinGroupResponse& response, int16_t code) {
  response = {};
  response.error_code = code;
}

void Fail(kafka::SyncGroupResponse& response, int16_t code) {
  response = {};
  response.error_code = code;
}

void Fail(kafka::LeaveGroupResponse& response, int16_t code) {
  response = {};
  response.error_code = code;
}

void Fail(kafka::ConsumerGroupHeartbeatResponse& response, int16_t code) {
  response = {};
  response.error_code = code;
}

void Fail(kafka::OffsetCommitResponse& response, int16_t code) {
  for (auto& topic : response.topics) {
    for (auto& partition : topic.partitions) partition.error_code = code;
  }
}

void Fail(kafka::OffsetFetchResponse::OffsetFetchResponseGroup& response, int16_t code) {
  response.topics.clear();
  response.error_code = code;
}

void Fail(kafka::OffsetDeleteResponse& response, int16_t code) {
  response.topics.clear();
  response.error_code = code;
}

void Fail(kafka::ListGroupsResponse& response, int16_t code) {
  response.groups.clear();
  response.error_code = code;
}

// The others name their group, and have one code.
template <typename Response>
void Fail(Response& response, int16_t code) {
  response.error_code = code;
}

// --- ErrorResponse ---

kafka::OffsetCommitResponse FailedCommit(const kafka::OffsetCommitRequest& request, int16_t code) {
  kafka::OffsetCommitResponse response;
  response.topics.reserve(request.topics.size());
  for (const auto& topic : request.topics) {
    auto& answered = response.topics.emplace_back();
    answered.name = topic.name;
    answered.topic_id = topic.topic_id;
    answered.partitions.reserve(topic.partitions.size());
    for (const auto& partition : topic.partitions) {
      auto& outcome = answered.partitions.emplace_back();
      outcome.partition_index = partition.partition_index;
      outcome.error_code = code;
    }
  }
  return response;
}

template <typename Response>
Response FailedWith(int16_t code) {
  Response response;
  response.error_code = code;
  return response;
}

template <typename Response>
Response FailedGroup(const std::string& group_id, int16_t code) {
  Response response = FailedWith<Response>(code);
  response.group_id = group_id;
  return response;
}

}  // namespace

void SetError(GroupResponse& response, ErrorCode error) {
  std::visit([error](auto& answer) { Fail(answer, WireError(error)); }, response);
}

GroupResponse ErrorResponse(const GroupRequest& request, ErrorCode error) {
  const int16_t code = WireError(error);
  return std::visit(Overload{
                        [error](const kafka::JoinGroupRequest& join) -> GroupResponse {
                          return RefusedJoin(error, join.member_id);
                        },
                        [code](const kafka::SyncGroupRequest&) -> GroupResponse {
                          return FailedWith<kafka::SyncGroupResponse>(code);
                        },
                        [error, code](const kafka::HeartbeatRequest&) -> GroupResponse {
                          // A coordinator that loads knows no better than the member, which has
                          // time.
                          const bool loads = error == ErrorCode::kCoordinatorLoadInProgress;
                          return FailedWith<kafka::HeartbeatResponse>(loads ? int16_t{0} : code);
                        },
                        [code](const kafka::LeaveGroupRequest&) -> GroupResponse {
                          return FailedWith<kafka::LeaveGroupResponse>(code);
                        },
                        [code](const kafka::ConsumerGroupHeartbeatRequest&) -> GroupResponse {
                          return FailedWith<kafka::ConsumerGroupHeartbeatResponse>(code);
                        },
                        [code](const kafka::OffsetCommitRequest& commit) -> GroupResponse {
                          return FailedCommit(commit, code);
                        },
                        [code](const FetchOffsets& fetch) -> GroupResponse {
                          return FailedGroup<kafka::OffsetFetchResponse::OffsetFetchResponseGroup>(
                              fetch.group.group_id, code);
                        },
                        [code](const kafka::OffsetDeleteRequest&) -> GroupResponse {
                          return FailedWith<kafka::OffsetDeleteResponse>(code);
                        },
                        [code](const DescribeGroup& describe) -> GroupResponse {
                          return FailedGroup<kafka::DescribeGroupsResponse::DescribedGroup>(
                              describe.group_id, code);
                        },
                        [code](const DescribeConsumerGroup& describe) -> GroupResponse {
                          return FailedGroup<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(
                              describe.group_id, code);
                        },
                        [code](const ExplainGroup& explain) -> GroupResponse {
                          return FailedGroup<GroupStanding>(explain.group_id, code);
                        },
                        [code](const DeleteGroup& removal) -> GroupResponse {
                          return FailedGroup<kafka::DeleteGroupsResponse::DeletableGroupResult>(
                              removal.group_id, code);
                        },
                        [code](const ListGroups&) -> GroupResponse {
                          return FailedWith<kafka::ListGroupsResponse>(code);
                        },
                    },
                    request);
}

kafka::JoinGroupResponse RefusedJoin(ErrorCode error, std::string member_id) {
  kafka::JoinGroupResponse response;
  response.error_code = WireError(error);
  response.member_id = std::move(member_id);
  return response;
}

kafka::LeaveGroupResponse LeaveResponse(
    const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
    const std::function<ErrorCode(const kafka::LeaveGroupRequest::MemberIdentity&)>& leave) {
  kafka::LeaveGroupResponse response;
  if (caller.version < kLeaveOfManySince) {
    kafka::LeaveGroupRequest::MemberIdentity only;
    only.member_id = request.member_id;
    response.error_code = WireError(leave(only));
    return response;
  }
  for (const auto& member : request.members) {
    auto& outcome = response.members.emplace_back();
    outcome.member_id = member.member_id;
    outcome.group_instance_id = member.group_instance_id;
    outcome.error_code = WireError(leave(member));
  }
  return response;
}

const std::string& GroupIdOf(const GroupRequest& request) {
  static const std::string kNone;
  return std::visit(
      [](const auto& each) -> const std::string& {
        using Request = std::decay_t<decltype(each)>;
        if constexpr (std::is_same_v<Request, ListGroups>) {
          return kNone;
        } else if constexpr (std::is_same_v<Request, FetchOffsets>) {
          return each.group.group_id;
        } else {
          return each.group_id;
        }
      },
      request);
}

}  // namespace sluice::broker
