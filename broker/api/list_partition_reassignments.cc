// ListPartitionReassignments (key 46): reassignments under way; `kafka-topics --describe` asks for
// it.
//   v0 flexible from the start.
// Replicas are not moved by this version, so no reassignment is ever under way and the truthful
// answer is an empty list.

#include "kafka/messages/list_partition_reassignments.h"

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

void HandleList(BrokerServices&, const RequestContext&, kafka::ListPartitionReassignmentsRequest,
                const Responder<kafka::ListPartitionReassignmentsResponse>& responder) {
  kafka::ListPartitionReassignmentsResponse response;
  response.error_message.reset();
  responder.Send(response);
}

}  // namespace

const ApiHandler kListPartitionReassignmentsApi =
    Serve<kafka::ListPartitionReassignmentsRequest, kafka::ListPartitionReassignmentsResponse,
          &HandleList>(0, 0);

}  // namespace sluice::broker
