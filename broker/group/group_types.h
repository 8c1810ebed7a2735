#pragma once
// What goes into the group coordinator's core and what comes out of it. The core (GroupShard and
// the groups) is a pure function of its inputs: it reads a view of the log, gets the time and the
// image with each call, and says in GroupEffects what is to be written and who is to be answered
// when. It knows no thread, socket, clock or log.
//
// Thread rule: values.

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "broker/group/group_records.h"
#include "kafka/error_code.h"
#include "kafka/messages/consumer_group_describe.h"
#include "kafka/messages/consumer_group_heartbeat.h"
#include "kafka/messages/delete_groups.h"
#include "kafka/messages/describe_groups.h"
#include "kafka/messages/heartbeat.h"
#include "kafka/messages/join_group.h"
#include "kafka/messages/leave_group.h"
#include "kafka/messages/list_groups.h"
#include "kafka/messages/offset_commit.h"
#include "kafka/messages/offset_delete.h"
#include "kafka/messages/offset_fetch.h"
#include "kafka/messages/sync_group.h"
#include "metadata/image.h"

namespace sluice::broker {

// Names one request at its coordinator, so that an answer may come later; never used twice.
using RequestToken = uint64_t;

// Who asks.
struct GroupCaller {
  RequestToken token = 0;
  int16_t version = 0;  // of the API
  std::string client_id;
  std::string client_host;  // "/127.0.0.1", as Kafka shows it
};

// Requests that Kafka sends for several groups at once come here one for each group.
struct DescribeGroup {
  std::string group_id;
};
struct DescribeConsumerGroup {
  std::string group_id;
};
// Why the group is as it is: what an administrator asks for besides its description.
struct ExplainGroup {
  std::string group_id;
};
struct DeleteGroup {
  std::string group_id;
};
struct ListGroups {
  std::vector<std::string> states;  // in any case; empty: all
  std::vector<std::string> types;   // the same
};
struct FetchOffsets {
  kafka::OffsetFetchRequest::OffsetFetchRequestGroup group;  // topics by name
  bool require_stable = false;
};

// Why the group last began to rebalance, for a person who asks.
struct RebalanceCause {
  std::string reason;     // empty: it has not, here
  std::string member_id;  // empty: no single one
  int64_t wall_ms = 0;
};

// The answer to ExplainGroup: what only the coordinator's memory knows.
struct GroupStanding {
  // What the group waits for a member to do.
  enum class Awaited : uint8_t { kNothing, kJoin, kSync, kAssignment, kRevocation };
  struct Member {
    std::string member_id;
    int32_t session_ms = 0;
    int64_t heard_ms_ago = 0;  // at most since this coordinator took over
    Awaited awaited = Awaited::kNothing;
  };
  int16_t error_code = 0;
  std::string group_id;
  int32_t generation = -1;      // or the group epoch
  int64_t state_since_ms = -1;  // wall time; -1: not known
  RebalanceCause last_rebalance;
  std::vector<Member> members;               // in the order of DescribeGroup
  std::vector<std::string> pending_members;  // told their id, not come back with it
};

// Topics are given by name; the handler has resolved topic ids, and left the id in where there is
// one.
using GroupRequest =
    std::variant<kafka::JoinGroupRequest, kafka::SyncGroupRequest, kafka::HeartbeatRequest,
                 kafka::LeaveGroupRequest, kafka::ConsumerGroupHeartbeatRequest,
                 kafka::OffsetCommitRequest, FetchOffsets, kafka::OffsetDeleteRequest,
                 DescribeGroup, DescribeConsumerGroup, ExplainGroup, DeleteGroup, ListGroups>;

// The answer to each, in the same order.
using GroupResponse =
    std::variant<kafka::JoinGroupResponse, kafka::SyncGroupResponse, kafka::HeartbeatResponse,
                 kafka::LeaveGroupResponse, kafka::ConsumerGroupHeartbeatResponse,
                 kafka::OffsetCommitResponse, kafka::OffsetFetchResponse::OffsetFetchResponseGroup,
                 kafka::OffsetDeleteResponse, kafka::DescribeGroupsResponse::DescribedGroup,
                 kafka::ConsumerGroupDescribeResponse::DescribedGroup, GroupStanding,
                 kafka::DeleteGroupsResponse::DeletableGroupResult, kafka::ListGroupsResponse>;

struct GroupAnswer {
  RequestToken token = 0;
  GroupResponse response;
};

// When and in which cluster something happens.
struct GroupMoment {
  int64_t steady_ms = 0;  // timers and deadlines
  int64_t wall_ms = 0;    // timestamps in records
  metadata::ImagePtr image;
};

// What one call leads to.
struct GroupEffects {
  std::vector<GroupRecord> records;  // one batch in the log, in this order
  std::vector<GroupAnswer> answers;  // to be sent at once
  // Once `records` are committed, and all that was appended before them; there may be none.
  std::vector<GroupAnswer> durable_answers;
  // Groups whose state in memory is ahead of the log until `records` are in it.
  std::vector<std::string> changed_groups;

  template <typename Response>
  void Answer(const GroupCaller& caller, Response response) {
    answers.push_back({caller.token, std::move(response)});
  }
  template <typename Response>
  void AnswerWhenDurable(const GroupCaller& caller, Response response) {
    durable_answers.push_back({caller.token, std::move(response)});
  }
};

// The answer with every error code in it set to `error`: its records could not be written.
void SetError(GroupResponse& response, kafka::ErrorCode error);
// What a coordinator answers that cannot look at the request (it loads, or is none).
GroupResponse ErrorResponse(const GroupRequest& request, kafka::ErrorCode error);
// Of JoinGroup; the member is told its id, which may be empty.
kafka::JoinGroupResponse RefusedJoin(kafka::ErrorCode error, std::string member_id);
// As each version tells it: what `leave` says of each member that the request names.
kafka::LeaveGroupResponse LeaveResponse(
    const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
    const std::function<kafka::ErrorCode(const kafka::LeaveGroupRequest::MemberIdentity&)>& leave);
// Empty of ListGroups.
const std::string& GroupIdOf(const GroupRequest& request);

}  // namespace sluice::broker
