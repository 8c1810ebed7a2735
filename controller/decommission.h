#pragma once
// Decommission: brokers that operators want to be rid of lose their replicas to others, a few
// partitions at a time, and are unregistered when they have none and do not run. All of it is
// decided from the image alone: whichever controller is active goes on with it.
//
// Thread rule: pure.

#include "controller/decision.h"

namespace sluice::controller {

inline constexpr int64_t kDecommissionStepMs = 200;

// The records of the next step; at most `moves_max` partitions of the cluster move after it. A
// partition without a leader waits until it has one; so does one for which no broker that runs is
// left.
Records NextOfDecommission(const metadata::Image& image, int64_t moves_max);

}  // namespace sluice::controller
