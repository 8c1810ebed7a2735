#pragma once
// Assignment: the replicas of new partitions, chosen by placement or given by the user.
//
// Thread rule: pure but for the Random of the context.

#include "controller/decision.h"

namespace sluice::controller {

// Why one item of a request fails; false when it does not.
struct Failure {
  kafka::ErrorCode code = kafka::ErrorCode::kNone;
  std::string message;
  explicit operator bool() const { return code != kafka::ErrorCode::kNone; }
};

struct AssignmentRules {
  int32_t first_partition = 0;    // the indexes go on from here without gaps
  size_t replication_factor = 0;  // 0 = that of the first one given
};

using Assignments = google::protobuf::RepeatedPtrField<CreatableTopic::Assignment>;

Failure ReadAssignments(const metadata::Image& image, const Assignments& given,
                        const AssignmentRules& rules, std::vector<std::vector<NodeId>>& partitions);
// Brokers without room on any disk come last, as those that do not run, where some other has room:
// where none has, a topic is created all the same, and waits for room as the others do.
Failure PlaceOnBrokers(const HandleContext& context, int32_t partition_count,
                       int32_t replication_factor, std::vector<std::vector<NodeId>>& partitions);
// The records of partitions `first`, `first` + 1, ... with these replicas.
void AppendPartitions(const metadata::Image& image, const TopicId& topic, int32_t first,
                      const std::vector<std::vector<NodeId>>& partitions, Records& records);

}  // namespace sluice::controller
