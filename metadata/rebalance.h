#pragma once
// Rebalance: which replicas and leads should move so that brokers carry alike, as a pure function.
//
// Goals, in this order:
//   1. No move puts two replicas of a partition on one broker, or more of them on one rack than
//   before.
//   2. The same number of replicas on each broker, one more or less; of two moves that serve it
//   equally the one that evens out bytes too, else the smaller one.
//   3. The same bytes on each broker, `bytes_slack` of the mean more or less: a big replica and a
//   small one change places, so that 2 stays true.
//   4. The same number of preferred leads on each broker, one more or less: replicas change their
//   order, and nothing is copied.
//   5. The same rate of what leads take and give, `rate_slack` of the mean, or `rate_apart`, more
//   or less: a busy lead and a quiet one change places, or one is handed on.
//   6. Likewise the same rate of what replicas write, as leaders or followers: a busy replica and a
//   quiet one change places, and are copied.
// No move for a goal breaks one before it: what was even stays so, and what was not gets no worse.
// So the plan ends, and a plan for where it leads to is empty. What is not known, of bytes and
// rates, counts as 0 and is in nobody's way.
//
// Brokers that do not run, or are drained, keep what they have, and so do partitions that move.
//
// Example, brokers 1..3, one new, six partitions on 1,2 and 2,1 in turn: two replicas of each of 1
// and 2 go to 3, and each leads two.
//
// Thread rule: pure. The same input gives the same plan.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"

namespace sluice::metadata {

struct RebalanceBroker {
  NodeId id = kNoNode;
  std::string rack;
  bool takes = true;  // runs and is not drained
};

struct RebalancePartition {
  std::string topic;
  int32_t index = 0;
  std::vector<NodeId> replicas;  // the preferred leader first
  int64_t bytes = 0;             // of one replica; 0 = not known
  bool moving = false;
  // Bytes a second: from producers, and to consumers of the leader; 0 = not known.
  int64_t in_rate = 0;
  int64_t out_rate = 0;
};

struct BrokerLoad {
  int64_t leads = 0;  // as preferred replica
  int64_t replicas = 0;
  int64_t bytes = 0;
  int64_t lead_rate = 0;   // bytes a second, in and out, as preferred leader
  int64_t write_rate = 0;  // bytes a second that all its replicas take in
  friend bool operator==(const BrokerLoad&, const BrokerLoad&) = default;
};

struct PlannedMove {
  std::string topic;
  int32_t index = 0;
  std::vector<NodeId> from;
  std::vector<NodeId> to;
  int64_t bytes = 0;  // that are copied
  std::string reason;
};

struct RebalancePlan {
  std::vector<PlannedMove> moves;  // by topic and index; each partition once
  std::map<NodeId, BrokerLoad> before;
  std::map<NodeId, BrokerLoad> after;
};

struct RebalanceOptions {
  size_t moves_max = 1000;       // replicas that are copied
  double bytes_slack = 0.15;     // of the mean
  double rate_slack = 0.15;      // of the mean
  int64_t rate_apart = 1 << 20;  // bytes a second between two brokers that nobody minds
  bool leads_only = false;       // nothing is copied
};

RebalancePlan PlanRebalance(const std::vector<RebalanceBroker>& brokers,
                            const std::vector<RebalancePartition>& partitions,
                            const RebalanceOptions& options);

}  // namespace sluice::metadata
