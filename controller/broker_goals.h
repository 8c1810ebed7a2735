#pragma once
// BrokerGoals: what operators want of brokers (metadata::BrokerGoal). The wish is checked here and
// written down; how it comes to be is the business of elections, of LeaderPass and of
// Decommission.
//
//   serve -> drain -> serve          serve or drain -> decommission -> unregistered, or serve again
//
// Thread rule: pure functions of their arguments.

#include "controller/decision.h"

namespace sluice::controller {

Decision<ChangeBrokerResponse> ChangeBroker(const HandleContext& context,
                                            const ChangeBrokerRequest& request);

}  // namespace sluice::controller
