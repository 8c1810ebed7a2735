#include "metadata/image.h"

#include <algorithm>
#include <charconv>

namespace sluice::metadata {

bool BrokerImage::HasOnline(const Uuid& directory) const {
  if (directory.IsZero()) return true;
  if (log_directories.empty()) return directory == directory_id;
  return std::find(log_directories.begin(), log_directories.end(), directory) !=
         log_directories.end();
}

Uuid PartitionImage::DirectoryOf(NodeId replica) const {
  for (size_t i = 0; i < directories.size(); ++i) {
    if (replicas[i] == replica) return directories[i];
  }
  return Uuid();
}

bool ReplicaActive(const Image& image, const PartitionImage& partition, NodeId replica) {
  const BrokerImage* broker = image.FindBroker(replica);
  return broker != nullptr && broker->active() && broker->HasOnline(partition.DirectoryOf(replica));
}

bool Yields(const Image& image, NodeId replica) {
  const BrokerImage* broker = image.FindBroker(replica);
  return broker != nullptr && broker->yields();
}

const BrokerImage* Image::FindBroker(NodeId id) const {
  const auto found = brokers.find(id);
  return found == brokers.end() ? nullptr : found->second.get();
}

std::shared_ptr<const TopicImage> Image::FindTopic(const std::string& name) const {
  const auto found = topics_by_name->find(name);
  return found == topics_by_name->end() ? nullptr : found->second;
}

std::shared_ptr<const TopicImage> Image::FindTopic(TopicId id) const {
  const auto found = topics_by_id->find(id);
  return found == topics_by_id->end() ? nullptr : found->second;
}

const PartitionImage* Image::FindPartition(TopicId id, PartitionIndex partition) const {
  const auto found = topics_by_id->find(id);
  if (found == topics_by_id->end() || partition.value() < 0) return nullptr;
  const auto& partitions = found->second->partitions;
  const size_t index = static_cast<size_t>(partition.value());
  return index < partitions.size() ? &partitions[index] : nullptr;
}

namespace {

const ConfigMap& ValuesOf(const ConfigsByName& configs, const std::string& name) {
  static const ConfigMap kNone;
  const auto found = configs.find(name);
  return found == configs.end() ? kNone : found->second;
}

}  // namespace

const ConfigMap& Image::TopicConfigs(const std::string& name) const {
  return ValuesOf(*topic_configs, name);
}

const ConfigMap& Image::GroupConfigs(const std::string& id) const {
  return ValuesOf(*group_configs, id);
}

ControllerAddresses AddressesOfControllers(const Image& image,
                                           const ControllerAddresses& configured) {
  ControllerAddresses addresses;
  for (const ControllerImage& controller : image.controllers) {
    if (controller.learner) continue;
    const auto known = configured.find(controller.id);
    if (!controller.address.empty()) {
      addresses[controller.id] = controller.address;
    } else if (known != configured.end()) {
      addresses.insert(*known);
    }
  }
  return addresses.empty() ? configured : addresses;
}

std::vector<std::string> WhomToAsk(const ControllerAddresses& voters,
                                   const ControllerAddresses& configured) {
  std::vector<std::string> addresses;
  for (const auto* known : {&voters, &configured}) {
    for (const auto& [id, address] : *known) {
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
        addresses.push_back(address);
    }
  }
  return addresses;
}

ImagePtr EmptyImage() {
  static const ImagePtr kEmpty = [] {
    auto image = std::make_shared<Image>();
    image->topics_by_name = std::make_shared<TopicsByName>();
    image->topics_by_id = std::make_shared<TopicsById>();
    image->topic_configs = std::make_shared<ConfigsByName>();
    image->broker_configs = std::make_shared<ConfigsByName>();
    image->group_configs = std::make_shared<ConfigsByName>();
    image->requests = std::make_shared<RequestMap>();
    return image;
  }();
  return kEmpty;
}

bool InIsr(const PartitionImage& partition, NodeId replica) {
  return std::find(partition.isr.begin(), partition.isr.end(), replica) != partition.isr.end();
}

bool OthersInSync(const PartitionImage& partition, NodeId replica) {
  return partition.isr.size() > 1 && InIsr(partition, replica);
}

int32_t EffectiveMinIsr(const Image& image, const std::string& topic,
                        const PartitionImage& partition) {
  static const std::string kKey = "min.insync.replicas";
  const std::string* text = nullptr;
  const ConfigMap& explicit_values = image.TopicConfigs(topic);
  if (const auto set = explicit_values.find(kKey); set != explicit_values.end()) {
    text = &set->second;
  } else if (const auto all = image.broker_configs->find(""); all != image.broker_configs->end()) {
    if (const auto value = all->second.find(kKey); value != all->second.end())
      text = &value->second;
  }
  int32_t wanted = 1;
  // Values were checked before they were written, so a text that is no number is none of ours: the
  // default holds.
  if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), wanted);
  const auto factor = static_cast<int32_t>(partition.replication_factor());
  return std::clamp<int32_t>(wanted, 1, std::max<int32_t>(1, factor));
}

}  // namespace sluice::metadata
