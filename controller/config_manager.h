#pragma once
// ConfigManager: dynamic configuration of topics, brokers and groups (KIP-339, KIP-848). A resource
// succeeds or fails as a whole; a changed min.insync.replicas takes its elections along in the same
// entry.
//
// Thread rule: pure.

#include "controller/decision.h"

namespace sluice::controller {

Decision<AlterConfigsResponse> AlterConfigs(const HandleContext& context,
                                            const AlterConfigsRequest& request);

}  // namespace sluice::controller
