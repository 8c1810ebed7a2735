#include "controller/full_pass.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "controller/partition_manager.h"

namespace sluice::controller {

using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

void Relieve(const Image& image, const FullDirectories& full, const TopicImage& topic, size_t index,
             Records& records) {
  const PartitionImage& p = topic.partitions[index];
  std::vector<NodeId> with_room;
  std::copy_if(p.isr.begin(), p.isr.end(), std::back_inserter(with_room),
               [&](NodeId node) { return !full.Has(image, p, node); });
  if (with_room.empty() || with_room.size() == p.isr.size()) return;
  const int32_t min_isr = metadata::EffectiveMinIsr(image, topic.name, p);
  const bool enough = static_cast<int32_t>(with_room.size()) >= min_isr;
  if (!enough && !full.Has(image, p, p.leader)) return;
  const metadata::PartitionDecision decision = metadata::Decide(
      {.partition = p,
       .min_isr = min_isr,
       .is_active = [&](NodeId node) { return metadata::ReplicaActive(image, p, node); },
       .yields = YieldsIn(image),
       .is_full = FullIn(&full, image, p),
       .wished_isr = enough ? std::optional(with_room) : std::nullopt});
  AppendDecision(topic, index, decision, records);
}

}  // namespace

void FullPass::Activate(const FullDirectories& full) {
  walk_.End();
  seen_ = full.news();
  next_walk_ms_ = 0;
}

Records FullPass::Next(const Image& image, const FullDirectories& full, int64_t now_ms) {
  Records records;
  const bool news = std::exchange(seen_, full.news()) != full.news();
  if (full.empty()) {
    walk_.End();
    return records;
  }
  if (news || (!walk_.under_way() && now_ms >= next_walk_ms_)) {
    walk_.Begin();
    next_walk_ms_ = now_ms + kIntervalMs;
  }
  walk_.Go(image, [&](const TopicImage& topic, size_t index) {
    if (records.size() == changes_max_) return false;
    Relieve(image, full, topic, index, records);
    return true;
  });
  return records;
}

}  // namespace sluice::controller
