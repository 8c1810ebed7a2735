#pragma once
// ProducerIdManager: blocks of producer ids. An id is never given out twice: the answer waits for
// the commit.
//
// Thread rule: pure.

#include "controller/decision.h"

namespace sluice::controller {

inline constexpr int32_t kProducerIdBlock = 1000;

Decision<AllocateProducerIdsResponse> AllocateProducerIds(
    const HandleContext& context, const AllocateProducerIdsRequest& request);

}  // namespace sluice::controller
