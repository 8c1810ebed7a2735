#pragma once
// Topic rules: what a topic's name, partition count and replica lists must look like. Every message
// names the value and what is allowed; the caller knows which Kafka error belongs to which rule.
//
// Thread rule: pure.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "metadata/image.h"

namespace sluice::metadata {

// Partitions that one request may create: they are one entry of the log, which every broker applies
// at once.
inline constexpr int32_t kPartitionsPerRequestMax = 10'000;

// The controllers' own log. It is no topic, and none may have its name: partition 0 would be kept
// in that log's directory.
inline constexpr std::string_view kClusterMetadataTopic = "__cluster_metadata";

// Topics that belong to the brokers themselves: nobody else writes to them or deletes from them.
bool IsInternalTopic(std::string_view name);
// 1 to 249 of [a-zA-Z0-9._-], neither "." nor ".." nor the cluster metadata's.
Status CheckTopicName(std::string_view name);
// Names in which '.' and '_' are the same collide: both would be one name in metrics.
Status CheckNoCollision(const Image& image, const std::string& name);
Status CheckPartitionCount(int32_t count);
Status CheckReplicationFactor(int32_t factor, size_t broker_count);
// A list of replicas that the user gave: not empty, no duplicates, all registered, as many as
// `replication_factor` (0: any), one active.
Status CheckAssignment(const Image& image, const std::vector<NodeId>& replicas,
                       size_t replication_factor);

}  // namespace sluice::metadata
