#include "metadata/invariants.h"

#include <algorithm>
#include <span>

#include "metadata/reassignment.h"

namespace sluice::metadata {

namespace {

using Nodes = std::span<const NodeId>;

bool Contains(Nodes nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool IsSubset(Nodes part, Nodes whole) {
  return std::all_of(part.begin(), part.end(), [&](NodeId node) { return Contains(whole, node); });
}

// Lists are short, and a check of all partitions looks at each.
bool HasDuplicates(Nodes nodes) {
  for (size_t i = 1; i < nodes.size(); ++i)
    if (Contains(nodes.first(i), nodes[i])) return true;
  return false;
}

Status Breach(const TopicImage& topic, size_t index, const std::string& what) {
  return Status::Internal("metadata invariant broken: " + topic.name + "-" + std::to_string(index) +
                          " " + what);
}

Status CheckReassignment(const TopicImage& topic, size_t index) {
  const PartitionImage& p = topic.partitions[index];
  if (p.move_kib_per_second != 0 && p.adding.empty())
    return Breach(topic, index, "has a rate of a move that adds nobody");
  if (!p.moving()) return Status::Ok();
  for (const auto* nodes : {&p.adding, &p.removing}) {
    if (!IsSubset(*nodes, p.replicas) || HasDuplicates(*nodes))
      return Breach(topic, index, "adds or removes what is no replica");
  }
  for (const NodeId node : p.adding) {
    if (Contains(p.removing, node))
      return Breach(topic, index, "both adds and removes broker " + std::to_string(node.value()));
  }
  if (p.replication_factor() == 0 || p.removing.size() == p.replicas.size())
    return Breach(topic, index, "moves from or to no replica");
  if (IsSubset(TargetOf(p), p.isr))
    return Breach(topic, index, "moves though all who are to stay are in the ISR");
  return Status::Ok();
}

Status CheckPartition(const Image& image, const TopicImage& topic, size_t index) {
  const PartitionImage& p = topic.partitions[index];
  if (p.replicas.empty() || HasDuplicates(p.replicas))
    return Breach(topic, index, "has no or duplicate replicas");
  if (p.leader != kNoNode && !Contains(p.isr, p.leader))
    return Breach(topic, index, "has a leader outside its ISR");
  if (p.leader == kNoNode && !p.isr.empty())
    return Breach(topic, index, "has an ISR without a leader");
  if (!IsSubset(p.isr, p.replicas) || HasDuplicates(p.isr))
    return Breach(topic, index, "has an ISR outside its replicas");
  if (!IsSubset(p.elr, p.replicas) || HasDuplicates(p.elr))
    return Breach(topic, index, "has an ELR outside its replicas");
  if (!IsSubset(p.last_known_elr, p.replicas) || HasDuplicates(p.last_known_elr))
    return Breach(topic, index, "has a last known ELR outside its replicas");
  if (!p.directories.empty() && p.directories.size() != p.replicas.size())
    return Breach(topic, index, "has directories for another number of replicas than it has");
  for (const NodeId node : p.elr) {
    if (Contains(p.isr, node))
      return Breach(topic, index, "has broker " + std::to_string(node.value()) + " in ISR and ELR");
  }
  for (const NodeId node : p.isr) {
    if (!ReplicaActive(image, p, node)) {
      return Breach(topic, index,
                    "has inactive broker " + std::to_string(node.value()) +
                        ", or one with that directory offline, in its ISR");
    }
  }
  const int32_t min_isr = EffectiveMinIsr(image, topic.name, p);
  if (static_cast<int32_t>(p.isr.size()) >= min_isr && !p.elr.empty())
    return Breach(topic, index, "has an ELR beside a full ISR");
  return CheckReassignment(topic, index);
}

Status CheckTopic(const Image& image, const TopicImage& topic) {
  const auto by_name = image.FindTopic(topic.name);
  const auto by_id = image.FindTopic(topic.id);
  if (by_name.get() != &topic || by_id.get() != &topic) {
    return Status::Internal("metadata invariant broken: topic " + topic.name +
                            " differs by name and by id");
  }
  for (size_t i = 0; i < topic.partitions.size(); ++i)
    SLUICE_RETURN_IF_ERROR(CheckPartition(image, topic, i));
  return Status::Ok();
}

Status CheckBroker(const Image& image, const BrokerImage& broker) {
  if (broker.epoch.value() >= 0 && broker.epoch.value() <= image.last_index.value())
    return Status::Ok();
  return Status::Internal("metadata invariant broken: broker " + std::to_string(broker.id.value()) +
                          " has epoch " + std::to_string(broker.epoch.value()) + " at index " +
                          std::to_string(image.last_index.value()));
}

Status CheckTopicTransition(const TopicImage& before, const TopicImage& after) {
  for (size_t i = 0; i < before.partitions.size(); ++i) {
    const PartitionImage& a = before.partitions[i];
    const PartitionImage& b = after.partitions[i];
    if (b.leader_epoch < a.leader_epoch || b.partition_epoch < a.partition_epoch)
      return Breach(after, i, "has an epoch that went back");
    if (b.leader != a.leader && b.leader_epoch == a.leader_epoch)
      return Breach(after, i, "changed its leader within an epoch");
    if (!IsSubset(a.replicas, b.replicas) && b.leader_epoch == a.leader_epoch)
      return Breach(after, i, "dropped a replica within a leader epoch");
    if (!(a == b) && b.partition_epoch == a.partition_epoch)
      return Breach(after, i, "changed within a partition epoch");
  }
  return Status::Ok();
}

}  // namespace

Status CheckImage(const Image& image) {
  if (image.topics_by_name->size() != image.topics_by_id->size()) {
    return Status::Internal(
        "metadata invariant broken: " + std::to_string(image.topics_by_name->size()) +
        " topic names for " + std::to_string(image.topics_by_id->size()) + " ids");
  }
  for (const auto& [id, topic] : *image.topics_by_id)
    SLUICE_RETURN_IF_ERROR(CheckTopic(image, *topic));
  for (const auto& [id, broker] : image.brokers)
    SLUICE_RETURN_IF_ERROR(CheckBroker(image, *broker));
  for (const auto& [topic, values] : *image.topic_configs) {
    if (image.FindTopic(topic) == nullptr)
      return Status::Internal("metadata invariant broken: configs of missing topic " + topic);
  }
  return Status::Ok();
}

Status CheckTouched(const Image& image, const Delta& delta) {
  if (!delta.brokers.empty() || !delta.broker_configs.empty()) return CheckImage(image);
  for (const auto& [id, partitions] : delta.partitions) {
    const auto topic = image.FindTopic(id);
    if (topic == nullptr)
      return Status::Internal("metadata invariant broken: topic " + id.ToString() +
                              " touched and gone");
    for (const PartitionIndex index : partitions) {
      SLUICE_RETURN_IF_ERROR(CheckPartition(image, *topic, static_cast<size_t>(index.value())));
    }
  }
  for (const std::string& name : delta.topic_configs) {
    if (const auto topic = image.FindTopic(name)) SLUICE_RETURN_IF_ERROR(CheckTopic(image, *topic));
  }
  return Status::Ok();
}

Status CheckTransition(const Image& before, const Image& after) {
  for (const auto& [id, broker] : before.brokers) {
    const BrokerImage* now = after.FindBroker(id);
    if (now != nullptr && now->epoch < broker->epoch) {
      return Status::Internal("metadata invariant broken: the epoch of broker " +
                              std::to_string(id.value()) + " goes back");
    }
  }
  Status sound;
  TopicsById::VisitChanges(*before.topics_by_id, *after.topics_by_id,
                           [&sound](const TopicId&, const auto* old, const auto* topic) {
                             if (sound.ok() && old != nullptr && topic != nullptr)
                               sound = CheckTopicTransition(**old, **topic);
                           });
  return sound;
}

}  // namespace sluice::metadata
