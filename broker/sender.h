#pragma once
// MakeSender: who a request to the controller is from: this broker, at its present epoch (-1 until
// it is registered).
//
// Thread rule: a function from any thread.

#include "broker/broker_state.h"
#include "proto/controller.pb.h"

namespace sluice::broker {

controller::Sender MakeSender(const BrokerState& state);

}  // namespace sluice::broker
