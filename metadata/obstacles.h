#pragma once
// Obstacles: what is in the way when operators want a broker out of it, as pure functions of the
// image. Controllers refuse by them; every node tells progress by them.
//
// Thread rule: pure.

#include <string>
#include <vector>

#include "metadata/image.h"

namespace sluice::metadata {

// One partition, and what about it is in the way.
struct Obstacle {
  std::string topic;
  PartitionIndex partition;
  std::string why;
};

// Partitions that would have fewer in-sync replicas than min.insync.replicas if the broker stopped.
std::vector<Obstacle> ObstaclesToStop(const Image& image, NodeId broker);
// Besides, those of which no other in-sync replica may lead: all others are drained too.
std::vector<Obstacle> ObstaclesToDrain(const Image& image, NodeId broker);
// Partitions whose replica on the broker could go nowhere: too few others are left that take one.
std::vector<Obstacle> ObstaclesToDecommission(const Image& image, NodeId broker);
// What the broker still leads, and why.
std::vector<Obstacle> LeadsLeft(const Image& image, NodeId broker);
// Of a broker that does not run: partitions without a leader that nobody may lead before it is
// back. A drain does not help them.
std::vector<Obstacle> LeadsThatWaitFor(const Image& image, NodeId broker);

// "orders-0 (why); orders-1 (why) and 3 others".
std::string ToText(const std::vector<Obstacle>& obstacles);

}  // namespace sluice::metadata
