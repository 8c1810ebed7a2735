#pragma once
// NearestReplica: which replica a consumer had better read from (KIP-392): an in-sync one in its
// own rack that has the offset it wants, when the leader is not there. As Kafka's
// RackAwareReplicaSelector, which also offers replicas that are not in sync; those may stay behind
// for ever, and here they do not claim to know the end. One that has just died is not offered.
//
// Thread rule: a pure function.

#include <string_view>

#include "broker/replica/connected_followers.h"
#include "broker/replica/replica_set.h"
#include "metadata/image.h"

namespace sluice::broker {

struct NearestReplicaInput {
  const metadata::Image& image;
  const metadata::PartitionImage& partition;
  const ReplicaSet& replicas;  // as the leader sees them
  const ConnectedFollowers& followers;
  std::string_view leader_rack;  // "" = none
  std::string_view reader_rack;  // "" = not told: it reads from the leader
  std::string_view listener;     // the reader's
  Offset offset;                 // that it wants next
};
// kNoNode: the leader. Of several the one that has most, then that kept up last.
NodeId NearestReplica(const NearestReplicaInput& input);

}  // namespace sluice::broker
