#pragma once
// UnregisterBroker: forgets a broker that does not come back, when it neither runs nor holds
// replicas: those of a broker that nobody knows could neither be fenced nor moved.
//
// Thread rule: a pure function.

#include "controller/decision.h"

namespace sluice::controller {

Decision<UnregisterBrokerResponse> UnregisterBroker(const HandleContext& context,
                                                    const UnregisterBrokerRequest& request);

}  // namespace sluice::controller
