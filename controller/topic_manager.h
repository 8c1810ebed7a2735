#pragma once
// TopicManager: creating and deleting topics and adding partitions. Each topic of a request
// succeeds or fails by itself; what succeeds becomes one entry of the log, so that no broker ever
// sees half of it.
//
// Thread rule: pure functions but for the Random of the context (topic ids, placement).

#include "controller/decision.h"

namespace sluice::controller {

Decision<CreateTopicsResponse> CreateTopics(const HandleContext& context,
                                            const CreateTopicsRequest& request);
Decision<DeleteTopicsResponse> DeleteTopics(const HandleContext& context,
                                            const DeleteTopicsRequest& request);
Decision<CreatePartitionsResponse> CreatePartitions(const HandleContext& context,
                                                    const CreatePartitionsRequest& request);

}  // namespace sluice::controller
