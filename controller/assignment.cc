#include "controller/assignment.h"

#include <map>

#include "controller/full_directories.h"
#include "metadata/partition_change.h"
#include "metadata/placement.h"
#include "metadata/topic_rules.h"

namespace sluice::controller {

using kafka::ErrorCode;

Failure ReadAssignments(const metadata::Image& image, const Assignments& given,
                        const AssignmentRules& rules,
                        std::vector<std::vector<NodeId>>& partitions) {
  std::map<int32_t, std::vector<NodeId>> by_index;
  size_t factor = rules.replication_factor;
  for (const auto& assignment : given) {
    std::vector<NodeId> replicas;
    for (const int32_t id : assignment.replicas()) replicas.emplace_back(id);
    if (const Status valid = metadata::CheckAssignment(image, replicas, factor); !valid.ok()) {
      return {ErrorCode::kInvalidReplicaAssignment,
              "partition " + std::to_string(assignment.partition()) + ": " + valid.message()};
    }
    factor = replicas.size();
    by_index[assignment.partition()] = std::move(replicas);
  }
  const int32_t last = rules.first_partition + given.size() - 1;
  const bool gapless = static_cast<int>(by_index.size()) == given.size() &&
                       by_index.begin()->first == rules.first_partition &&
                       by_index.rbegin()->first == last;
  if (!gapless) {
    return {ErrorCode::kInvalidReplicaAssignment,
            "the assignments must be for partitions " + std::to_string(rules.first_partition) +
                " to " + std::to_string(last) + ", each once"};
  }
  for (auto& [index, replicas] : by_index) partitions.push_back(std::move(replicas));
  return {};
}

namespace {

// Those that get new replicas.
std::vector<metadata::PlacementBroker> BrokersToPlaceOn(const HandleContext& context) {
  std::vector<metadata::PlacementBroker> running;    // whoever does not is fenced here
  std::vector<metadata::PlacementBroker> with_room;  // whoever is full too
  bool any_room = false;
  for (const auto& [id, broker] : context.image->brokers) {
    if (broker->yields()) continue;
    const bool full = context.full != nullptr && context.full->HasAllOf(*broker);
    running.push_back({id, broker->rack, !broker->active()});
    with_room.push_back({id, broker->rack, !broker->active() || full});
    any_room = any_room || !with_room.back().fenced;
  }
  return any_room ? with_room : running;
}

}  // namespace

Failure PlaceOnBrokers(const HandleContext& context, int32_t partition_count,
                       int32_t replication_factor, std::vector<std::vector<NodeId>>& partitions) {
  const metadata::Image& image = *context.image;
  const std::vector<metadata::PlacementBroker> brokers = BrokersToPlaceOn(context);
  if (const Status valid = metadata::CheckReplicationFactor(replication_factor, brokers.size());
      !valid.ok()) {
    const size_t drained = image.brokers.size() - brokers.size();
    return {ErrorCode::kInvalidReplicationFactor,
            valid.message() + (drained == 0
                                   ? ""
                                   : "; brokers that are drained get no new replicas, there are " +
                                         std::to_string(drained))};
  }
  auto placed =
      metadata::PlaceReplicas(brokers, partition_count, replication_factor, context.random);
  if (!placed.ok()) return {ErrorCode::kInvalidReplicationFactor, placed.status().message()};
  partitions = *std::move(placed);
  return {};
}

void AppendPartitions(const metadata::Image& image, const TopicId& topic, int32_t first,
                      const std::vector<std::vector<NodeId>>& partitions, Records& records) {
  const auto is_active = [&](NodeId node) { return image.FindBroker(node)->active(); };
  for (size_t i = 0; i < partitions.size(); ++i) {
    metadata::MetadataRecord record;
    *record.mutable_partition() = metadata::NewPartition(
        topic, PartitionIndex(first + static_cast<int32_t>(i)), partitions[i], is_active);
    records.push_back(std::move(record));
  }
}

}  // namespace sluice::controller
