// JoinGroup (key 11): a member enters a classic group and learns its generation. Answered when the
// group has gathered its members.
//   v1 rebalance timeout.  v2 throttle time.  v4 a new member is given its id first (KIP-394).  v5
//   static members (KIP-345).  v6 flexible.  v7 protocol type.  v8 reason (KIP-800).  v9 the leader
//   may be told to skip the assignment.

#include "kafka/messages/join_group.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

using kafka::JoinGroupRequest;
using kafka::JoinGroupResponse;

const ApiHandler kJoinGroupApi =
    Serve<JoinGroupRequest, JoinGroupResponse, &PassToGroup<JoinGroupRequest, JoinGroupResponse>>(
        0, 9);

}  // namespace sluice::broker
