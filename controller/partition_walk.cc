#include "controller/partition_walk.h"

namespace sluice::controller {

void PartitionWalk::Begin() {
  walking_ = true;
  topic_.clear();
  index_ = 0;
}

void PartitionWalk::Go(const metadata::Image& image, const Visit& visit) {
  if (!walking_) return;
  size_t looked_at = 0;
  for (auto it = image.topics_by_name->lower_bound(topic_); it != image.topics_by_name->end();
       ++it) {
    const metadata::TopicImage& topic = *it->second;
    if (topic.name != topic_) index_ = 0;
    topic_ = topic.name;
    for (; index_ < topic.partitions.size(); ++index_) {
      if (++looked_at > kLookedAtMax || !visit(topic, index_)) return;
    }
  }
  walking_ = false;
}

}  // namespace sluice::controller
