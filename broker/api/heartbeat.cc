// Heartbeat (key 12): a member of a classic group shows that it lives, and hears of a rebalance.
//   v1 throttle time.  v3 static members (KIP-345).  v4 flexible.

#include "kafka/messages/heartbeat.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

using kafka::HeartbeatRequest;
using kafka::HeartbeatResponse;

const ApiHandler kHeartbeatApi =
    Serve<HeartbeatRequest, HeartbeatResponse, &PassToGroup<HeartbeatRequest, HeartbeatResponse>>(
        0, 4);

}  // namespace sluice::broker
