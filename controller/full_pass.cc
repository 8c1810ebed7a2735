#include "controller/full_pass.h"

#include <algorithm>
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
  metadata::ElectionInput input = metadata::ElectionInputOf(image, topic.name, p);
  const bool enough = static_cast<int32_t>(with_room.size()) >= input.min_isr;
  if (!enough && !full.Has(image, p, p.leader)) return;
  input.is_full = FullIn(&full, image, p);
  if (enough) input.wished_isr = with_room;
  AppendDecision(topic, index, metadata::Decide(input), records);
}

}  // namespace

void FullPass::Activate(const FullDirectories& full) {
  walk_.End();
  seen_ = full.news();
  next_walk_ms_ = 0;
}

Records FullPass::Next(const Image& image, const FullDirectories& full, int64_t now_ms) {
  Records records;
  if (full.empty()) {
    walk_.End();
    seen_ = full.news();
    return records;
  }
  if (!walk_.under_way() && (seen_ != full.news() || now_ms >= next_walk_ms_)) {
    walk_.Begin();
    seen_ = full.news();
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
