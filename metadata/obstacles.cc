#include "metadata/obstacles.h"

#include <algorithm>

#include "metadata/reassignment.h"

namespace sluice::metadata {

namespace {

constexpr size_t kNamedMax = 10;

bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

std::string Join(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ",") + std::to_string(node.value());
  return text;
}

// Calls `why` with every partition and its topic; what it answers is in the way, unless empty.
template <typename Why>
std::vector<Obstacle> Collect(const Image& image, Why why) {
  std::vector<Obstacle> obstacles;
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      std::string text = why(*topic, topic->partitions[i]);
      if (text.empty()) continue;
      obstacles.push_back({name, PartitionIndex(static_cast<int32_t>(i)), std::move(text)});
    }
  }
  return obstacles;
}

std::string WhyNotStop(const Image& image, const TopicImage& topic, const PartitionImage& p,
                       NodeId broker) {
  if (!InIsr(p, broker)) return "";
  const auto left = static_cast<int32_t>(p.isr.size()) - 1;
  const int32_t min_isr = EffectiveMinIsr(image, topic.name, p);
  if (left >= min_isr) return "";
  if (p.replicas.size() == 1) return "broker " + std::to_string(broker.value()) + " has it alone";
  return "in sync are " + Join(p.isr) + ": " + std::to_string(left) +
         " would be left, min.insync.replicas wants " + std::to_string(min_isr);
}

std::string WhyNotDrain(const Image& image, const PartitionImage& p, NodeId broker) {
  if (!InIsr(p, broker)) return "";
  const bool other = std::any_of(p.isr.begin(), p.isr.end(), [&](NodeId node) {
    return node != broker && !Yields(image, node);
  });
  return other ? "" : "in sync are " + Join(p.isr) + ", all drained: none of the others would lead";
}

}  // namespace

std::vector<Obstacle> ObstaclesToStop(const Image& image, NodeId broker) {
  return Collect(image, [&](const TopicImage& topic, const PartitionImage& p) {
    return WhyNotStop(image, topic, p, broker);
  });
}

std::vector<Obstacle> ObstaclesToDrain(const Image& image, NodeId broker) {
  return Collect(image, [&](const TopicImage& topic, const PartitionImage& p) {
    std::string why = WhyNotStop(image, topic, p, broker);
    return why.empty() ? WhyNotDrain(image, p, broker) : why;
  });
}

std::vector<Obstacle> ObstaclesToDecommission(const Image& image, NodeId broker) {
  const auto takes_more = std::count_if(
      image.brokers.begin(), image.brokers.end(),
      [&](const auto& other) { return other.first != broker && !other.second->yields(); });
  return Collect(image, [&](const TopicImage&, const PartitionImage& p) -> std::string {
    const std::vector<NodeId> target = TargetOf(p);
    if (!Contains(target, broker)) return "";
    // Who is only drained keeps what it has.
    const auto keeps = std::count_if(target.begin(), target.end(), [&](NodeId node) {
      const BrokerImage* other = image.FindBroker(node);
      return node != broker && other != nullptr && other->goal == BrokerGoal::kDrain;
    });
    const size_t left = static_cast<size_t>(takes_more + keeps);
    if (left >= target.size()) return "";
    std::vector<NodeId> not_counted;
    for (const auto& [id, other] : image.brokers) {
      const bool stays = other->goal == BrokerGoal::kDrain && Contains(target, id);
      if (id != broker && other->yields() && !stays) not_counted.push_back(id);
    }
    return "its replication factor is " + std::to_string(target.size()) + ", " +
           std::to_string(left) + " brokers would be left" +
           (not_counted.empty()
                ? ""
                : ", without those that are drained or leave: " + Join(not_counted));
  });
}

std::vector<Obstacle> LeadsLeft(const Image& image, NodeId broker) {
  return Collect(image, [&](const TopicImage&, const PartitionImage& p) -> std::string {
    if (p.leader != broker) return "";
    if (p.isr.size() == 1) {
      return p.replicas.size() == 1 ? "no other broker has it"
                                    : "no other replica of " + Join(p.replicas) + " is in sync";
    }
    const std::string drained = WhyNotDrain(image, p, broker);
    return drained.empty() ? "its lead is about to go" : drained;
  });
}

std::vector<Obstacle> LeadsThatWaitFor(const Image& image, NodeId broker) {
  const BrokerImage* known = image.FindBroker(broker);
  if (known == nullptr || known->active()) return {};
  const std::string name = "broker " + std::to_string(broker.value());
  return Collect(image, [&](const TopicImage&, const PartitionImage& p) -> std::string {
    if (p.leader != kNoNode || !Contains(p.replicas, broker)) return "";
    if (p.replicas.size() == 1) return name + " has it alone, and does not run";
    if (!Contains(p.elr, broker)) return "";
    return "all of its records are on " + Join(p.elr) + " of the replicas " + Join(p.replicas) +
           ", and nobody leads it before one of them runs";
  });
}

std::string ToText(const std::vector<Obstacle>& obstacles) {
  std::string text;
  for (size_t i = 0; i < std::min(obstacles.size(), kNamedMax); ++i) {
    const Obstacle& obstacle = obstacles[i];
    text += (i == 0 ? "" : "; ") + obstacle.topic + "-" +
            std::to_string(obstacle.partition.value()) + " (" + obstacle.why + ")";
  }
  if (obstacles.size() > kNamedMax)
    text += " and " + std::to_string(obstacles.size() - kNamedMax) + " others";
  return text;
}

}  // namespace sluice::metadata
