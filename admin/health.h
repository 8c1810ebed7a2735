#pragma once
// Health: one sentence on how the cluster is, each problem with what to do about it, and notes of
// what operators have asked for and may have forgotten.
//
// Thread rule: pure functions over immutable images.

#include <vector>

#include "admin/backend.h"
#include "admin/describe.h"
#include "metadata/image.h"
#include "proto/admin.pb.h"

namespace sluice::admin {

// A controller that its leader has not heard for so long counts as down.
inline constexpr int64_t kVoterSilenceMsMax = 2000;

// What the node that answers has on its own disk.
struct LocalReplicas {
  NodeId node_id;
  bool knows_cluster = true;     // else it starts, and its image may lack a lot
  std::string vote_waits_for{};  // LocalController::waits_for
  std::vector<LocalPartition> partitions;
  std::vector<LocalDirectory> directories;
};

// `quorum` is null when no active controller answered: the image then tells how things were.
ClusterHealthResponse EvaluateHealth(const metadata::Image& image, const QuorumAnswer* quorum,
                                     const LocalReplicas& local);

}  // namespace sluice::admin
