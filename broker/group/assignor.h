#pragma once
// Assignor: shares the partitions of the subscribed topics out to the members of a consumer group.
// A pure function: the same input gives the same result, in any process.
//
// What every assignor keeps: each partition of a subscribed topic goes to exactly one member, and
// that member subscribes to the topic.
//
// Thread rule: constants; call them from anywhere.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/uuid.h"

namespace sluice::broker {

// Partition indexes in ascending order, no topic without any.
using PartitionsByTopic = std::map<TopicId, std::vector<int32_t>>;

struct AssignorMember {
  std::string member_id;
  std::string instance_id;                    // empty: none
  std::string rack;                           // empty: not told
  std::vector<TopicId> topics;                // subscribed to; in order, each once, all known
  const PartitionsByTopic* target = nullptr;  // what it shall own until now; null: nothing
};

struct AssignorTopic {
  int32_t partition_count = 0;
  // Of the replicas of each partition; empty where no member tells its rack.
  std::vector<std::vector<std::string>> racks;
};

struct AssignorInput {
  std::vector<AssignorMember> members;  // in order of their ids
  std::map<TopicId, AssignorTopic> topics;
};

class Assignor {
 public:
  virtual ~Assignor() = default;
  virtual std::string_view name() const = 0;
  // By member, in the input's order.
  virtual std::vector<PartitionsByTopic> Assign(const AssignorInput& input) const = 0;
};

// "uniform" or "range"; null for any other name.
const Assignor* FindAssignor(std::string_view name);

}  // namespace sluice::broker
