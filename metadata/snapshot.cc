// Images to snapshots and back, and the state hash (declared in metadata/replay.h).

#include <algorithm>

#include "metadata/replay.h"

namespace sluice::metadata {

namespace {

BrokerGoalCode CodeOf(BrokerGoal goal) {
  switch (goal) {
    case BrokerGoal::kServe: return BROKER_GOAL_SERVE;
    case BrokerGoal::kDrain: return BROKER_GOAL_DRAIN;
    case BrokerGoal::kDecommission: return BROKER_GOAL_DECOMMISSION;
  }
  return BROKER_GOAL_SERVE;
}

void FillIds(const std::vector<NodeId>& nodes, google::protobuf::RepeatedField<int32_t>* ids) {
  for (const NodeId node : nodes) ids->Add(node.value());
}

RegisterBrokerRecord ToRecord(const BrokerImage& broker) {
  RegisterBrokerRecord record;
  record.set_broker_id(broker.id.value());
  record.set_incarnation_id(std::string(broker.incarnation_id.view()));
  record.set_directory_id(std::string(broker.directory_id.view()));
  for (const EndpointImage& endpoint : broker.endpoints) {
    Endpoint* out = record.add_endpoints();
    out->set_listener(endpoint.listener);
    out->set_host(endpoint.host);
    out->set_port(endpoint.port);
    out->set_security_protocol(endpoint.security_protocol);
  }
  record.set_rack(broker.rack);
  record.set_grpc_address(broker.grpc_address);
  record.set_http_address(broker.http_address);
  record.set_boot_id(broker.boot_id);
  record.set_fenced(broker.fenced);
  record.set_is_controller(broker.is_controller);
  record.set_version(broker.version);
  record.set_session_timeout_ms(broker.session_timeout_ms);
  for (const Uuid& directory : broker.log_directories)
    record.add_log_dirs(std::string(directory.view()));
  return record;
}

PartitionRecord ToRecord(const TopicImage& topic, size_t index) {
  const PartitionImage& partition = topic.partitions[index];
  PartitionRecord record;
  record.set_topic_id(std::string(topic.id.view()));
  record.set_partition(static_cast<int32_t>(index));
  FillIds(partition.replicas, record.mutable_replicas());
  FillIds(partition.isr, record.mutable_isr());
  FillIds(partition.elr, record.mutable_elr());
  FillIds(partition.last_known_elr, record.mutable_last_known_elr());
  FillIds(partition.adding, record.mutable_adding_replicas());
  FillIds(partition.removing, record.mutable_removing_replicas());
  record.set_leader(partition.leader.value());
  record.set_leader_epoch(partition.leader_epoch.value());
  record.set_partition_epoch(partition.partition_epoch.value());
  for (const Uuid& directory : partition.directories)
    record.add_directories(std::string(directory.view()));
  return record;
}

QuorumRecord ToRecord(const std::vector<ControllerImage>& controllers) {
  QuorumRecord record;
  for (const ControllerImage& controller : controllers) {
    QuorumRecord::Member* member = record.add_members();
    member->set_node_id(controller.id.value());
    member->set_directory_id(std::string(controller.directory_id.view()));
    member->set_address(controller.address);
    member->set_learner(controller.learner);
  }
  return record;
}

// Calls `emit` with every record of the image, in an order that depends on its contents alone.
template <typename Emit>
void EmitTopics(const Image& image, Emit emit) {
  for (const auto& [id, topic] : *image.topics_by_id) {
    MetadataRecord record;
    record.mutable_topic()->set_name(topic->name);
    record.mutable_topic()->set_topic_id(std::string(id.view()));
    emit(std::move(record));
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      MetadataRecord partition;
      *partition.mutable_partition() = ToRecord(*topic, i);
      emit(std::move(partition));
    }
  }
}

template <typename Emit>
void EmitConfigs(const std::map<std::string, ConfigMap>& configs, ConfigResourceType type,
                 Emit emit) {
  for (const auto& [name, values] : configs) {
    for (const auto& [key, value] : values) {
      MetadataRecord record;
      record.mutable_config()->set_type(type);
      record.mutable_config()->set_name(name);
      record.mutable_config()->set_key(key);
      record.mutable_config()->set_value(value);
      emit(std::move(record));
    }
  }
}

template <typename Emit>
void EmitRecords(const Image& image, Emit emit) {
  MetadataRecord cluster;
  cluster.mutable_cluster()->set_cluster_id(image.cluster_id);
  emit(std::move(cluster));
  for (const auto& [name, level] : image.features) {
    MetadataRecord record;
    record.mutable_feature_level()->set_name(name);
    record.mutable_feature_level()->set_level(level);
    emit(std::move(record));
  }
  if (!image.controllers.empty()) {
    MetadataRecord record;
    *record.mutable_quorum() = ToRecord(image.controllers);
    emit(std::move(record));
  }
  for (const auto& [id, broker] : image.brokers) {
    MetadataRecord record;
    *record.mutable_register_broker() = ToRecord(*broker);
    emit(std::move(record));
    if (!broker->in_controlled_shutdown && !broker->yields() && !broker->process_gone) continue;
    MetadataRecord change;
    change.mutable_broker_change()->set_broker_id(id.value());
    if (broker->in_controlled_shutdown)
      change.mutable_broker_change()->set_in_controlled_shutdown(true);
    if (broker->process_gone) {
      change.mutable_broker_change()->set_fenced(true);
      change.mutable_broker_change()->set_process_gone(true);
    }
    if (broker->yields()) change.mutable_broker_change()->set_goal(CodeOf(broker->goal));
    emit(std::move(change));
  }
  EmitTopics(image, emit);
  EmitConfigs(*image.topic_configs, CONFIG_RESOURCE_TYPE_TOPIC, emit);
  EmitConfigs(*image.broker_configs, CONFIG_RESOURCE_TYPE_BROKER, emit);
  EmitConfigs(*image.group_configs, CONFIG_RESOURCE_TYPE_GROUP, emit);
  MetadataRecord producer_ids;
  producer_ids.mutable_producer_ids()->set_next_producer_id(image.next_producer_id);
  emit(std::move(producer_ids));
  // In the order of their times: replay never lets a time be less than one it has, so any other
  // order would change some.
  std::vector<std::pair<Uuid, std::shared_ptr<const RequestImage>>> requests(
      image.requests->begin(), image.requests->end());
  std::stable_sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return a.second->time_ms < b.second->time_ms;
  });
  for (const auto& [id, request] : requests) {
    MetadataRecord record;
    record.mutable_request_id()->set_request_id(std::string(id.view()));
    record.mutable_request_id()->set_time_ms(request->time_ms);
    record.mutable_request_id()->set_response(request->response);
    emit(std::move(record));
  }
}

// FNV-1a over 8-byte words with a final avalanche per word: not against forgery, only against
// divergence.
class Hasher {
 public:
  void Add(uint64_t word) {
    hash_ ^= word;
    hash_ *= 0x9E3779B97F4A7C15ULL;
    hash_ ^= hash_ >> 32;
  }
  void Add(const std::string& bytes) {
    Add(bytes.size());
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      uint64_t word = 0;
      for (size_t b = 0; b < 8; ++b)
        word |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i + b])) << (8 * b);
      Add(word);
    }
    uint64_t tail = 0;
    for (; i < bytes.size(); ++i) tail = (tail << 8) | static_cast<uint8_t>(bytes[i]);
    Add(tail);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325ULL;
};

}  // namespace

ImageSnapshot ToSnapshot(const Image& image) {
  ImageSnapshot snapshot;
  snapshot.set_last_index(image.last_index.value());
  snapshot.set_last_term(image.last_term.value());
  EmitRecords(image, [&](MetadataRecord record) { *snapshot.add_records() = std::move(record); });
  for (const auto& [id, broker] : image.brokers) {
    (*snapshot.mutable_broker_epochs())[id.value()] = broker->epoch.value();
  }
  snapshot.set_state_hash(StateHash(image));
  return snapshot;
}

Result<ImagePtr> FromSnapshot(const ImageSnapshot& snapshot) {
  ImageBuilder builder(EmptyImage());
  for (const MetadataRecord& record : snapshot.records()) {
    LogIndex index(snapshot.last_index());
    if (record.has_register_broker()) {
      const auto epoch = snapshot.broker_epochs().find(record.register_broker().broker_id());
      if (epoch == snapshot.broker_epochs().end())
        return Status::Corruption("metadata snapshot: a broker without an epoch");
      index = LogIndex(epoch->second);
    }
    SLUICE_RETURN_IF_ERROR(builder.Apply(record, index));
  }
  ImagePtr image = builder.Build(LogIndex(snapshot.last_index()), Term(snapshot.last_term()));
  if (const uint64_t hash = StateHash(*image); hash != snapshot.state_hash()) {
    return Status::Corruption("metadata snapshot at index " +
                              std::to_string(snapshot.last_index()) + ": its contents hash to " +
                              std::to_string(hash) + ", it says " +
                              std::to_string(snapshot.state_hash()));
  }
  return image;
}

uint64_t StateHash(const Image& image) {
  Hasher hasher;
  std::string bytes;
  EmitRecords(image, [&](const MetadataRecord& record) {
    record.SerializeToString(&bytes);
    hasher.Add(bytes);
  });
  for (const auto& [id, broker] : image.brokers)
    hasher.Add(static_cast<uint64_t>(broker->epoch.value()));
  return hasher.value();
}

}  // namespace sluice::metadata
