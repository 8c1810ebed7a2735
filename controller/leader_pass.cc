#include "controller/leader_pass.h"

#include <algorithm>

#include "controller/partition_manager.h"

namespace sluice::controller {

using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

constexpr size_t kLookedAtMax = 20000;  // partitions in a step

// While a partition moves, its first replica may be a new one: the end of the move hands on the
// lead.
bool WantsPreferred(const Image& image, const PartitionImage& p) {
  const NodeId preferred = p.replicas.front();
  return p.leader != preferred && !p.moving() && metadata::InIsr(p, preferred) &&
         !metadata::Yields(image, preferred);
}

}  // namespace

void LeaderPass::Activate(const Image& image, int64_t now_ms) {
  walking_ = false;
  next_walk_ms_ = now_ms + options_.interval_ms;
  requested_ = std::any_of(image.brokers.begin(), image.brokers.end(),
                           [](const auto& broker) { return broker.second->yields(); });
}

bool LeaderPass::Move(const Image& image, const TopicImage& topic, size_t index, Step& step) const {
  const PartitionImage& p = topic.partitions[index];
  if (p.leader == kNoNode) return false;
  const bool yields = metadata::Yields(image, p.leader);
  const bool preferred = options_.preferred && WantsPreferred(image, p);
  if (!yields && !preferred) return false;
  const metadata::PartitionDecision decision = metadata::Decide(
      {.partition = p,
       .min_isr = metadata::EffectiveMinIsr(image, topic.name, p),
       .is_active = [&](NodeId node) { return metadata::ReplicaActive(image, p, node); },
       .yields = YieldsIn(image),
       .wished_isr = {},
       .preferred = preferred ? p.replicas.front() : kNoNode});
  if (decision.election.leader == p.leader) return false;
  if (!AppendDecision(topic, index, decision, step.records)) return false;
  ++(yields ? step.yielded : step.preferred);
  return true;
}

LeaderPass::Step LeaderPass::Next(const Image& image, int64_t now_ms) {
  Step step;
  if (requested_ || (!walking_ && now_ms >= next_walk_ms_)) {
    requested_ = false;
    walking_ = true;
    next_walk_ms_ = now_ms + options_.interval_ms;
    topic_.clear();
    index_ = 0;
  }
  if (!walking_) return step;
  const int64_t leads_max = std::max<int64_t>(1, options_.leads_per_second * kStepMs / 1000);
  size_t looked_at = 0;
  for (auto it = image.topics_by_name->lower_bound(topic_); it != image.topics_by_name->end();
       ++it) {
    const TopicImage& topic = *it->second;
    if (topic.name != topic_) index_ = 0;
    topic_ = topic.name;
    for (; index_ < topic.partitions.size(); ++index_) {
      const bool full = static_cast<int64_t>(step.preferred + step.yielded) >= leads_max;
      if (full || ++looked_at > kLookedAtMax) return step;
      Move(image, topic, index_, step);
    }
  }
  walking_ = false;
  return step;
}

}  // namespace sluice::controller
