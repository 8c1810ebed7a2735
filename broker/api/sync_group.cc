// SyncGroup (key 14): the leader of a classic group hands out the assignments, each member gets its
// own.
//   v1 throttle time.  v3 static members (KIP-345).  v4 flexible.  v5 protocol type and name.

#include "kafka/messages/sync_group.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

using kafka::SyncGroupRequest;
using kafka::SyncGroupResponse;

const ApiHandler kSyncGroupApi =
    Serve<SyncGroupRequest, SyncGroupResponse, &PassToGroup<SyncGroupRequest, SyncGroupResponse>>(
        0, 5);

}  // namespace sluice::broker
