#include "controller/leader_pass.h"

#include <algorithm>

#include "controller/partition_manager.h"

namespace sluice::controller {

using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

// While a partition moves, its first replica may be a new one: the end of the move hands on the
// lead.
bool WantsPreferred(const Image& image, const FullDirectories& full, const PartitionImage& p) {
  const NodeId preferred = p.replicas.front();
  return p.leader != preferred && !p.moving() && metadata::InIsr(p, preferred) &&
         !metadata::Yields(image, preferred) && !full.Has(image, p, preferred);
}

}  // namespace

void LeaderPass::Activate(const Image& image, int64_t now_ms) {
  walk_.End();
  next_walk_ms_ = now_ms + options_.interval_ms;
  requested_ = std::any_of(image.brokers.begin(), image.brokers.end(),
                           [](const auto& broker) { return broker.second->yields(); });
}

bool LeaderPass::Move(const Image& image, const FullDirectories& full, const TopicImage& topic,
                      size_t index, Step& step) const {
  const PartitionImage& p = topic.partitions[index];
  if (p.leader == kNoNode) return false;
  const bool yields = metadata::Yields(image, p.leader);
  const bool preferred = options_.preferred && WantsPreferred(image, full, p);
  if (!yields && !preferred) return false;
  metadata::ElectionInput input = metadata::ElectionInputOf(image, topic.name, p);
  input.is_full = FullIn(&full, image, p);
  if (preferred) input.preferred = p.replicas.front();
  const metadata::PartitionDecision decision = metadata::Decide(input);
  if (decision.election.leader == p.leader) return false;
  if (!AppendDecision(topic, index, decision, step.records)) return false;
  ++(yields ? step.yielded : step.preferred);
  return true;
}

LeaderPass::Step LeaderPass::Next(const Image& image, const FullDirectories& full, int64_t now_ms) {
  Step step;
  if (requested_ || (!walk_.under_way() && now_ms >= next_walk_ms_)) {
    requested_ = false;
    walk_.Begin();
    next_walk_ms_ = now_ms + options_.interval_ms;
  }
  const int64_t leads_max = std::max<int64_t>(1, options_.leads_per_second * kStepMs / 1000);
  walk_.Go(image, [&](const TopicImage& topic, size_t index) {
    if (static_cast<int64_t>(step.preferred + step.yielded) >= leads_max) return false;
    Move(image, full, topic, index, step);
    return true;
  });
  return step;
}

}  // namespace sluice::controller
