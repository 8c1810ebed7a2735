#pragma once
// ThrottledReplicas: a value of leader.replication.throttled.replicas or its follower's twin
// (KIP-73): "*" for all of the topic's, or PARTITION:BROKER pairs. The leader's list names the
// brokers that serve, the follower's those that fetch.
//
// Thread rule: a value.

#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/status.h"

namespace sluice::metadata {

struct ThrottledReplicas {
  bool all = false;
  std::vector<std::pair<PartitionIndex, NodeId>> replicas;  // sorted

  // kInvalidArgument says what is wrong with the text.
  static Result<ThrottledReplicas> Parse(std::string_view text);
  bool Has(PartitionIndex partition, NodeId broker) const;
  bool empty() const { return !all && replicas.empty(); }
  friend bool operator==(const ThrottledReplicas&, const ThrottledReplicas&) = default;
};

}  // namespace sluice::metadata
