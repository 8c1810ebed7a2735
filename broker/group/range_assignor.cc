#include "broker/group/range_assignor.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace sluice::broker {
namespace {

// Static members first, by instance id, then the others by member id.
std::vector<size_t> MembersInOrder(const AssignorInput& input) {
  std::vector<size_t> order(input.members.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&input](size_t a, size_t b) {
    const AssignorMember& x = input.members[a];
    const AssignorMember& y = input.members[b];
    return std::make_tuple(x.instance_id.empty(), std::string_view(x.instance_id),
                           std::string_view(x.member_id)) <
           std::make_tuple(y.instance_id.empty(), std::string_view(y.instance_id),
                           std::string_view(y.member_id));
  });
  return order;
}

}  // namespace

std::vector<PartitionsByTopic> RangeAssignor::Assign(const AssignorInput& input) const {
  std::map<TopicId, std::vector<size_t>> subscribers;
  for (const size_t member : MembersInOrder(input)) {
    for (const TopicId& topic : input.members[member].topics) subscribers[topic].push_back(member);
  }
  std::vector<PartitionsByTopic> result(input.members.size());
  for (const auto& [topic, members] : subscribers) {
    const int32_t partition_count = input.topics.at(topic).partition_count;
    const int32_t quota = partition_count / static_cast<int32_t>(members.size());
    const int32_t extra = partition_count % static_cast<int32_t>(members.size());
    int32_t next = 0;
    for (int32_t i = 0; i < static_cast<int32_t>(members.size()) && next < partition_count; ++i) {
      std::vector<int32_t>& range = result[members[static_cast<size_t>(i)]][topic];
      range.resize(static_cast<size_t>(quota + (i < extra ? 1 : 0)));
      std::iota(range.begin(), range.end(), next);
      next += static_cast<int32_t>(range.size());
    }
  }
  return result;
}

}  // namespace sluice::broker
