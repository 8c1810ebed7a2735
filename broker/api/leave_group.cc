// LeaveGroup (key 13): members leave a classic group.
//   v1 throttle time.  v3 several members at once, also static ones (KIP-345).  v4 flexible.  v5
//   reason (KIP-800).

#include "kafka/messages/leave_group.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

using kafka::LeaveGroupRequest;
using kafka::LeaveGroupResponse;

const ApiHandler kLeaveGroupApi = Serve<LeaveGroupRequest, LeaveGroupResponse,
                                        &PassToGroup<LeaveGroupRequest, LeaveGroupResponse>>(0, 5);

}  // namespace sluice::broker
