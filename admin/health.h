#pragma once
// Health: one sentence on how the cluster is, and each problem with what to do about it.
//
// Thread rule: pure functions over immutable images.

#include "admin/describe.h"
#include "metadata/image.h"
#include "proto/admin.pb.h"

namespace sluice::admin {

// A controller that its leader has not heard for so long counts as down.
inline constexpr int64_t kVoterSilenceMsMax = 2000;

// `quorum` is null when no active controller answered.
ClusterHealthResponse EvaluateHealth(const metadata::Image& image, const QuorumAnswer* quorum);

}  // namespace sluice::admin
