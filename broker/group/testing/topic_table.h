#pragma once
// TopicTable: the topics of a cluster as images, for tests that move them; and sets of partitions,
// as tests compare them.
//
// Thread rule: one thread.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/group/consumer_member.h"
#include "metadata/image.h"

namespace sluice::broker::testing {

using PartitionSet = std::set<std::pair<TopicId, int32_t>>;

PartitionSet SetOf(
    const std::vector<kafka::ConsumerGroupHeartbeatResponse::TopicPartitions>& partitions);
PartitionSet SetOf(const OwnedPartitions& partitions);
PartitionSet SetOf(const PartitionsByTopic& partitions);

class TopicTable {
 public:
  // Of the newest change.
  const metadata::ImagePtr& image() const { return image_; }
  // The same and `topic`, which is none of its own.
  metadata::ImagePtr ImageWith(const metadata::TopicImage& topic) const;
  TopicId IdOf(const std::string& name) const { return image_->FindTopic(name)->id; }

  // A new one, or with more partitions than it has.
  void Set(const std::string& name, int32_t partitions);
  void Delete(const std::string& name);
  void SetRacks(const std::string& name, const std::vector<std::string>& rack_of_partition);

 private:
  using Topics = std::map<std::string, metadata::TopicImage>;
  metadata::ImagePtr Edited(const std::function<void(Topics&)>& edit) const;

  metadata::ImagePtr image_ = metadata::EmptyImage();
  int next_topic_ = 1;
};

}  // namespace sluice::broker::testing
