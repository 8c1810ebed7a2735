#pragma once
// What is known of an acknowledgement at the moment in which it leaves its leader.
//
// Thread rule: one thread, as all of the simulator.

#include "kafka/messages/produce.h"
#include "tests/sim/cluster/client.h"

namespace sluice::sim {

// `asked`: of place, topic, acks and, in last_offset, how far the last record lies from the first.
// Notes in `log` what the answer says yes to, with what the leader knew of the topic.
void NoteAcknowledgement(Process& leader, Acknowledgement asked,
                         const kafka::ProduceResponse& response, Log& log);

}  // namespace sluice::sim
