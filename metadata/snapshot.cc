// Images to snapshots and back, and the state hash (declared in metadata/replay.h).

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <functional>
#include <span>

#include "metadata/broker_record.h"
#include "metadata/fsync_since.h"
#include "metadata/replay.h"

namespace sluice::metadata {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

namespace {

// In the place of a hash that earlier versions do not compare, but look for.
constexpr uint64_t kNotComputed = 1;

BrokerGoalCode CodeOf(BrokerGoal goal) {
  switch (goal) {
    case BrokerGoal::kServe: return BROKER_GOAL_SERVE;
    case BrokerGoal::kDrain: return BROKER_GOAL_DRAIN;
    case BrokerGoal::kDecommission: return BROKER_GOAL_DECOMMISSION;
  }
  return BROKER_GOAL_SERVE;
}

void FillIds(std::span<const NodeId> nodes, google::protobuf::RepeatedField<int32_t>* ids) {
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
  record.set_keeps_epoch(broker.keeps_epoch);
  record.set_synced_index(broker.synced_index.value());
  AddServed(broker, record);
  return record;
}

void ToRecord(const TopicImage& topic, size_t index, PartitionRecord& record) {
  const PartitionImage& partition = topic.partitions[index];
  record.Clear();
  record.set_topic_id(std::string(topic.id.view()));
  record.set_partition(static_cast<int32_t>(index));
  FillIds(partition.replicas, record.mutable_replicas());
  FillIds(partition.isr, record.mutable_isr());
  FillIds(partition.elr, record.mutable_elr());
  FillIds(partition.last_known_elr, record.mutable_last_known_elr());
  FillIds(partition.adding, record.mutable_adding_replicas());
  FillIds(partition.removing, record.mutable_removing_replicas());
  record.set_move_kib_per_second(partition.move_kib_per_second);
  record.set_leader(partition.leader.value());
  record.set_leader_epoch(partition.leader_epoch.value());
  record.set_partition_epoch(partition.partition_epoch.value());
  for (const Uuid& directory : partition.directories)
    record.add_directories(std::string(directory.view()));
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

// Each Emit function calls `emit` with records, in an order that depends on the image's contents
// alone.
template <typename Emit>
void EmitTopics(const Image& image, Emit emit) {
  MetadataRecord partition;  // one for all: its lists keep their memory
  for (const auto& [id, topic] : *image.topics_by_id) {
    MetadataRecord record;
    record.mutable_topic()->set_name(topic->name);
    record.mutable_topic()->set_topic_id(std::string(id.view()));
    emit(record);
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      ToRecord(*topic, i, *partition.mutable_partition());
      emit(partition);
    }
  }
}

template <typename Emit>
void EmitConfigs(const ConfigsByName& configs, ConfigResourceType type, Emit emit) {
  for (const auto& [name, values] : configs) {
    for (const auto& [key, value] : values) {
      MetadataRecord record;
      record.mutable_config()->set_type(type);
      record.mutable_config()->set_name(name);
      record.mutable_config()->set_key(key);
      record.mutable_config()->set_value(value);
      emit(record);
    }
  }
}

template <typename Emit>
void EmitBeforeTopics(const Image& image, Emit emit) {
  MetadataRecord cluster;
  cluster.mutable_cluster()->set_cluster_id(image.cluster_id);
  emit(cluster);
  for (const auto& [name, level] : image.features) {
    MetadataRecord record;
    record.mutable_feature_level()->set_name(name);
    record.mutable_feature_level()->set_level(level);
    emit(record);
  }
  if (!image.controllers.empty()) {
    MetadataRecord record;
    *record.mutable_quorum() = ToRecord(image.controllers);
    emit(record);
  }
  for (const auto& [id, broker] : image.brokers) {
    MetadataRecord record;
    *record.mutable_register_broker() = ToRecord(*broker);
    emit(record);
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
    emit(change);
  }
}

template <typename Emit>
void EmitAfterTopics(const Image& image, Emit emit) {
  EmitConfigs(*image.topic_configs, CONFIG_RESOURCE_TYPE_TOPIC, emit);
  EmitConfigs(*image.broker_configs, CONFIG_RESOURCE_TYPE_BROKER, emit);
  EmitConfigs(*image.group_configs, CONFIG_RESOURCE_TYPE_GROUP, emit);
  if (image.fsync_since != nullptr) {
    MetadataRecord record;
    record.mutable_cluster()->set_cluster_id(image.cluster_id);
    *record.mutable_cluster()->mutable_fsync_since() = ToRecord(*image.fsync_since);
    emit(record);
  }
  MetadataRecord producer_ids;
  producer_ids.mutable_producer_ids()->set_next_producer_id(image.next_producer_id);
  emit(producer_ids);
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
    emit(record);
  }
}

template <typename Emit>
void EmitAll(const Image& image, Emit emit) {
  EmitBeforeTopics(image, emit);
  EmitTopics(image, emit);
  EmitAfterTopics(image, emit);
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
  void Add(std::string_view bytes) {
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
  void Add(std::span<const NodeId> nodes) {
    Add(nodes.size());
    for (const NodeId node : nodes) Add(static_cast<uint64_t>(node.value()));
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325ULL;
};

// Kept with the topic: after a change only the topics that it touched are gone through again.
uint64_t HashOf(const TopicImage& topic) {
  if (const uint64_t known = topic.hash.Get(); known != 0) return known;
  Hasher hasher;
  hasher.Add(topic.name);
  hasher.Add(topic.id.view());
  for (const PartitionImage& p : topic.partitions) {
    for (const NodeList* list :
         {&p.replicas, &p.isr, &p.elr, &p.last_known_elr, &p.adding, &p.removing})
      hasher.Add(std::span<const NodeId>(*list));
    hasher.Add(static_cast<uint64_t>(p.leader.value()));
    hasher.Add(static_cast<uint64_t>(p.leader_epoch.value()));
    hasher.Add(static_cast<uint64_t>(p.partition_epoch.value()));
    hasher.Add(p.directories.size());
    for (const Uuid& directory : p.directories) hasher.Add(directory.view());
    // Not where there is none: then it is the hash of those who do not know rates, too.
    if (p.move_kib_per_second != 0) hasher.Add(p.move_kib_per_second);
  }
  topic.hash.Set(hasher.value());
  return hasher.value();
}

// Of protobuf's encoding (protobuf.dev/programming-guides/encoding).
enum WireType : uint32_t { kVarint = 0, kEightBytes = 1, kWithLength = 2, kFourBytes = 5 };
constexpr uint32_t kWireTypeBits = 3;

constexpr uint32_t kRecordTag = ImageSnapshot::kRecordsFieldNumber << kWireTypeBits | kWithLength;
constexpr size_t kPrefixBytesMax = 10;  // tag and length

// A snapshot as bytes, record by record: as one message it would take many times the memory.
class SnapshotWriter {
 public:
  // Growing takes three times the memory for a moment.
  void Reserve(size_t size_bytes) { bytes_.reserve(size_bytes); }
  void Add(const MetadataRecord& record) {
    const size_t size = record.ByteSizeLong();
    uint8_t prefix[kPrefixBytesMax];
    uint8_t* end = CodedOutputStream::WriteTagToArray(kRecordTag, prefix);
    end = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), end);
    const auto prefix_bytes = static_cast<size_t>(end - prefix);
    const size_t at = bytes_.size();
    bytes_.resize(at + prefix_bytes + size);
    std::copy(prefix, end, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    record.SerializeWithCachedSizesToArray(
        reinterpret_cast<uint8_t*>(bytes_.data() + at + prefix_bytes));
  }
  // Fields of two messages one after the other are those of one.
  void Add(const ImageSnapshot& without_records) { without_records.AppendToString(&bytes_); }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

bool SkipField(CodedInputStream& in, uint32_t tag) {
  uint64_t number = 0;
  uint32_t size = 0;
  switch (tag & ((1U << kWireTypeBits) - 1)) {
    case kVarint: return in.ReadVarint64(&number);
    case kEightBytes: return in.Skip(8);
    case kWithLength: return in.ReadVarint32(&size) && in.Skip(static_cast<int>(size));
    case kFourBytes: return in.Skip(4);
    default: return false;
  }
}

// Goes through the fields of a snapshot; false when they are none.
bool ReadSnapshot(std::string_view bytes, const std::function<bool(CodedInputStream&)>& on_record,
                  std::string* others) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  while (true) {
    const auto at = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return in.ConsumedEntireMessage();
    if (tag == kRecordTag && on_record != nullptr) {
      if (!on_record(in)) return false;
      continue;
    }
    if (!SkipField(in, tag)) return false;
    if (tag != kRecordTag && others != nullptr)
      others->append(bytes.substr(at, static_cast<size_t>(in.CurrentPosition()) - at));
  }
}

Status NoSnapshot() { return Status::Corruption("the bytes are no metadata snapshot"); }

// Applies one record of a snapshot whose other fields are `head`.
Status ApplyTo(ImageBuilder& builder, const MetadataRecord& record, const ImageSnapshot& head) {
  LogIndex index(head.last_index());
  if (record.has_register_broker()) {
    const auto epoch = head.broker_epochs().find(record.register_broker().broker_id());
    if (epoch == head.broker_epochs().end())
      return Status::Corruption("metadata snapshot: a broker without an epoch");
    index = LogIndex(epoch->second);
  }
  return builder.Apply(record, index);
}

}  // namespace

std::string ToSnapshot(const Image& image) {
  SnapshotWriter writer;
  ImageSnapshot head;
  head.set_last_index(image.last_index.value());
  head.set_last_term(image.last_term.value());
  for (const auto& [id, broker] : image.brokers)
    (*head.mutable_broker_epochs())[id.value()] = broker->epoch.value();
  head.set_records_hash(kNotComputed);
  *head.mutable_hash() = ToImageHash(image);
  size_t size_bytes = head.ByteSizeLong();
  EmitAll(image, [&size_bytes](const MetadataRecord& record) {
    size_bytes += kPrefixBytesMax + record.ByteSizeLong();
  });
  writer.Reserve(size_bytes);
  writer.Add(head);
  EmitAll(image, [&writer](const MetadataRecord& record) { writer.Add(record); });
  return writer.Take();
}

Result<ImagePtr> FromSnapshot(std::string_view bytes) {
  ImageSnapshot head;
  std::string others;
  if (!ReadSnapshot(bytes, nullptr, &others) || !head.ParseFromString(others)) return NoSnapshot();
  ImageBuilder builder(EmptyImage(), ImageBuilder::Tracks::kNothing);
  MetadataRecord record;
  Status applied;
  const auto apply = [&](CodedInputStream& in) {
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto limit = in.PushLimit(static_cast<int>(size));
    record.Clear();
    if (!record.MergeFromCodedStream(&in) || !in.ConsumedEntireMessage()) return false;
    in.PopLimit(limit);
    applied = ApplyTo(builder, record, head);
    return applied.ok();
  };
  if (!ReadSnapshot(bytes, apply, nullptr)) return applied.ok() ? NoSnapshot() : applied;
  ImagePtr image = builder.Build(LogIndex(head.last_index()), Term(head.last_term()));
  // What an earlier version wrote has a hash that nobody computes any more; its file has a
  // checksum.
  const bool earlier = head.content_hash() != 0 || head.records_hash() > kNotComputed;
  if (!head.has_hash() && !earlier) return NoSnapshot();
  if (Contradicts(head.hash(), *image)) {
    return Status::Corruption("metadata snapshot at index " + std::to_string(head.last_index()) +
                              ": its contents hash to " + std::to_string(StateHash(*image)) +
                              ", it says " + std::to_string(head.hash().value()));
  }
  return image;
}

uint64_t StateHash(const Image& image) {
  Hasher hasher;
  std::string bytes;
  const auto add = [&](const MetadataRecord& record) {
    record.SerializeToString(&bytes);
    hasher.Add(std::string_view(bytes));
  };
  EmitBeforeTopics(image, add);
  for (const auto& [id, topic] : *image.topics_by_id) hasher.Add(HashOf(*topic));
  EmitAfterTopics(image, add);
  for (const auto& [id, broker] : image.brokers)
    hasher.Add(static_cast<uint64_t>(broker->epoch.value()));
  return hasher.value();
}

ImageHash ToImageHash(const Image& image) {
  ImageHash hash;
  hash.set_version(kStateHashVersion);
  hash.set_value(StateHash(image));
  return hash;
}

bool Contradicts(const ImageHash& told, const Image& image) {
  return told.version() == kStateHashVersion && told.value() != StateHash(image);
}

}  // namespace sluice::metadata
