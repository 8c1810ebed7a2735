#include "tests/sim/cluster/checks/metadata_trail.h"

#include "metadata/replay.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {

std::string MetadataTrail::Follow(Cluster& cluster, const Step& step) {
  for (const NodeId id : cluster.ids()) {
    const auto process = cluster.process(id);
    if (process == nullptr) continue;
    for (;;) {
      const controller::FeedStep next = process->feed().Next(image_->last_index, SIZE_MAX);
      if (next.kind == controller::FeedStep::Kind::kWait) break;
      if (next.kind == controller::FeedStep::Kind::kSnapshot) {
        // At the start, or after a snapshot: what lies between is not seen.
        image_ = next.image;
        continue;
      }
      for (const controller::FeedEntryPtr& entry : next.entries) {
        metadata::ImageBuilder builder(image_);
        const Status applied = builder.ApplyEntry(entry->data, entry->index);
        if (!applied.ok()) return "committed metadata do not apply: " + applied.ToString();
        const metadata::ImagePtr before = image_;
        image_ = builder.Build(entry->index, entry->term);
        std::string wrong = step(*before, *image_);
        if (!wrong.empty())
          return "metadata entry " + std::to_string(entry->index.value()) + ": " + wrong;
      }
    }
  }
  return "";
}

}  // namespace sluice::sim
