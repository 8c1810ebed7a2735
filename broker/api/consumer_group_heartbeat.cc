// ConsumerGroupHeartbeat (key 68): a member of a group of the consumer protocol (KIP-848) joins,
// lives, learns what it shall own, and leaves.
//   v1 regular expressions, and the member chooses its own id (KIP-1082).

#include "kafka/messages/consumer_group_heartbeat.h"

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

using Request = kafka::ConsumerGroupHeartbeatRequest;
using Response = kafka::ConsumerGroupHeartbeatResponse;

const ApiHandler kConsumerGroupHeartbeatApi =
    Serve<Request, Response, &PassToGroup<Request, Response>>(0, 1);

}  // namespace sluice::broker
