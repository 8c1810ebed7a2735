#include "metadata/topic_rules.h"

#include <algorithm>
#include <set>

namespace sluice::metadata {

namespace {

constexpr size_t kNameLengthMax = 249;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string Unified(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// Names come from clients: what is printed of a bad one is short and without control characters.
std::string Shown(std::string_view name) {
  std::string shown(name.substr(0, kNameLengthMax));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return "'" + shown + "'";
}

}  // namespace

bool IsInternalTopic(std::string_view name) {
  return name == "__consumer_offsets" || name == "__transaction_state" ||
         name == "__share_group_state";
}

Status CheckTopicName(std::string_view name) {
  if (name.empty() || name.size() > kNameLengthMax) {
    return Status::InvalidArgument("topic name " + Shown(name) + " has " +
                                   std::to_string(name.size()) + " characters; allowed are 1 to " +
                                   std::to_string(kNameLengthMax));
  }
  if (name == "." || name == "..")
    return Status::InvalidArgument("topic name " + Shown(name) +
                                   " is reserved: '.' and '..' are not allowed");
  if (name == kClusterMetadataTopic)
    return Status::InvalidArgument("topic name " + Shown(name) +
                                   " is reserved for the controllers' log");
  if (std::all_of(name.begin(), name.end(), IsNameCharacter)) return Status::Ok();
  return Status::InvalidArgument("topic name " + Shown(name) +
                                 " has a character outside a-z A-Z 0-9 . _ -");
}

Status CheckNoCollision(const Image& image, const std::string& name) {
  const std::string unified = Unified(name);
  if (unified == name && name.find('_') == std::string::npos) return Status::Ok();
  for (const auto& [other, topic] : *image.topics_by_name) {
    if (other != name && Unified(other) == unified) {
      return Status::InvalidArgument("topic name '" + name +
                                     "' collides with the existing topic '" + other +
                                     "': '.' and '_' count as the same");
    }
  }
  return Status::Ok();
}

Status CheckPartitionCount(int32_t count) {
  if (count >= 1 && count <= kPartitionsPerRequestMax) return Status::Ok();
  return Status::InvalidArgument("partition count " + std::to_string(count) + " is outside 1 to " +
                                 std::to_string(kPartitionsPerRequestMax));
}

Status CheckReplicationFactor(int32_t factor, size_t broker_count) {
  if (factor >= 1 && static_cast<size_t>(factor) <= broker_count) return Status::Ok();
  const std::string range = broker_count == 0 ? "; no broker is registered"
                                              : " is outside 1 to " + std::to_string(broker_count) +
                                                    ", the number of brokers";
  return Status::InvalidArgument("replication factor " + std::to_string(factor) + range);
}

Status CheckAssignment(const Image& image, const std::vector<NodeId>& replicas,
                       size_t replication_factor) {
  if (replicas.empty()) return Status::InvalidArgument("a partition is assigned to no broker");
  if (replication_factor != 0 && replicas.size() != replication_factor) {
    return Status::InvalidArgument("a partition is assigned to " + std::to_string(replicas.size()) +
                                   " brokers, others to " + std::to_string(replication_factor));
  }
  std::set<NodeId> seen;
  bool active = false;
  for (const NodeId node : replicas) {
    const BrokerImage* broker = image.FindBroker(node);
    if (broker == nullptr)
      return Status::InvalidArgument("broker " + std::to_string(node.value()) +
                                     " is not registered");
    if (!seen.insert(node).second)
      return Status::InvalidArgument("broker " + std::to_string(node.value()) +
                                     " is assigned twice");
    if (broker->yields())
      return Status::InvalidArgument("broker " + std::to_string(node.value()) +
                                     " is drained: it gets no new replicas");
    active = active || broker->active();
  }
  if (active) return Status::Ok();
  return Status::InvalidArgument(
      "all brokers that the partition is assigned to are fenced or shutting down");
}

}  // namespace sluice::metadata
