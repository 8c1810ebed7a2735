#include "broker/group/testing/topic_table.h"

namespace sluice::broker::testing {

PartitionSet SetOf(
    const std::vector<kafka::ConsumerGroupHeartbeatResponse::TopicPartitions>& partitions) {
  PartitionSet set;
  for (const auto& topic : partitions) {
    for (const int32_t partition : topic.partitions) set.emplace(topic.topic_id, partition);
  }
  return set;
}

PartitionSet SetOf(const OwnedPartitions& partitions) {
  PartitionSet set;
  for (const auto& [id, owned] : partitions) {
    for (const auto& [partition, epoch] : owned) set.emplace(id, partition);
  }
  return set;
}

PartitionSet SetOf(const PartitionsByTopic& partitions) {
  PartitionSet set;
  for (const auto& [id, indexes] : partitions) {
    for (const int32_t partition : indexes) set.emplace(id, partition);
  }
  return set;
}

metadata::ImagePtr TopicTable::Edited(const std::function<void(Topics&)>& edit) const {
  std::map<std::string, metadata::TopicImage> topics;
  for (const auto& [name, topic] : *image_->topics_by_name) topics[name] = *topic;
  edit(topics);
  auto by_name = std::make_shared<metadata::TopicsByName>();
  auto by_id = std::make_shared<metadata::TopicsById>();
  for (const auto& [name, topic] : topics) {
    const auto shared = std::make_shared<const metadata::TopicImage>(topic);
    by_name->Set(name, shared);
    by_id->Set(topic.id, shared);
  }
  auto image = std::make_shared<metadata::Image>(*image_);
  image->last_index = image->last_index + 1;
  image->topics_by_name = std::move(by_name);
  image->topics_by_id = std::move(by_id);
  return image;
}

metadata::ImagePtr TopicTable::ImageWith(const metadata::TopicImage& topic) const {
  return Edited([&](Topics& topics) { topics[topic.name] = topic; });
}

void TopicTable::Set(const std::string& name, int32_t partitions) {
  image_ = Edited([&](Topics& topics) {
    metadata::TopicImage& topic = topics[name];
    if (topic.name.empty()) {
      topic.name = name;
      std::string id(16, '\0');
      id[14] = static_cast<char>(next_topic_ >> 8);
      id[15] = static_cast<char>(next_topic_++);
      topic.id = Uuid::FromBytes(id);
    }
    topic.partitions.resize(static_cast<size_t>(partitions));
  });
}

void TopicTable::Delete(const std::string& name) {
  image_ = Edited([&](Topics& topics) { topics.erase(name); });
}

void TopicTable::SetRacks(const std::string& name, const std::vector<std::string>& racks) {
  image_ = Edited([&](Topics& topics) {
    for (size_t i = 0; i < racks.size(); ++i)
      topics.at(name).partitions[i].replicas = {NodeId(static_cast<int32_t>(i))};
  });
  auto image = std::make_shared<metadata::Image>(*image_);
  for (size_t i = 0; i < racks.size(); ++i) {
    metadata::BrokerImage broker;
    broker.id = NodeId(static_cast<int32_t>(i));
    broker.rack = racks[i];
    image->brokers[broker.id] = std::make_shared<const metadata::BrokerImage>(broker);
  }
  image_ = std::move(image);
}

}  // namespace sluice::broker::testing
