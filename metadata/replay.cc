#include "metadata/replay.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "metadata/fsync_since.h"

namespace sluice::metadata {

namespace {

Status Contradiction(const std::string& what) {
  return Status::Corruption("metadata record: " + what);
}

bool IsUuid(const std::string& bytes) { return bytes.size() == 16; }

// Directory ids; false when one is none.
template <typename Ids>
bool ToUuids(const Ids& ids, std::vector<Uuid>& uuids) {
  uuids.clear();
  for (const std::string& id : ids) {
    if (!IsUuid(id)) return false;
    uuids.push_back(Uuid::FromBytes(id));
  }
  return true;
}

// Each replica keeps its directory when the others change.
std::vector<Uuid> DirectoriesFor(const std::vector<NodeId>& replicas,
                                 const PartitionImage& before) {
  std::vector<Uuid> directories;
  if (before.directories.empty()) return directories;
  for (const NodeId replica : replicas) directories.push_back(before.DirectoryOf(replica));
  return directories;
}

std::vector<NodeId> ToNodes(const google::protobuf::RepeatedField<int32_t>& ids) {
  std::vector<NodeId> nodes;
  nodes.reserve(static_cast<size_t>(ids.size()));
  for (const int32_t id : ids) nodes.emplace_back(id);
  return nodes;
}

void TakeLists(const PartitionChangeRecord& record, PartitionImage& partition) {
  if (record.has_isr()) partition.isr = ToNodes(record.isr().ids());
  if (record.has_elr()) partition.elr = ToNodes(record.elr().ids());
  if (record.has_last_known_elr())
    partition.last_known_elr = ToNodes(record.last_known_elr().ids());
  if (record.has_adding_replicas()) partition.adding = ToNodes(record.adding_replicas().ids());
  if (record.has_removing_replicas())
    partition.removing = ToNodes(record.removing_replicas().ids());
  if (record.has_move_kib_per_second())
    partition.move_kib_per_second = record.move_kib_per_second();
  if (partition.adding.empty()) partition.move_kib_per_second = 0;
}

std::optional<BrokerGoal> GoalOf(int goal) {
  switch (goal) {
    case BROKER_GOAL_SERVE: return BrokerGoal::kServe;
    case BROKER_GOAL_DRAIN: return BrokerGoal::kDrain;
    case BROKER_GOAL_DECOMMISSION: return BrokerGoal::kDecommission;
    default: return std::nullopt;
  }
}

}  // namespace

ImageBuilder::ImageBuilder(ImagePtr base, Tracks tracks) : next_(*base), tracks_(tracks) {}

Status ImageBuilder::ApplyEntry(std::string_view data, LogIndex index) {
  MetadataBatch batch;
  if (!batch.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return Contradiction("the entry at index " + std::to_string(index.value()) +
                         " is no MetadataBatch");
  }
  return ApplyBatch(batch, index);
}

Status ImageBuilder::ApplyBatch(const MetadataBatch& batch, LogIndex index) {
  for (const MetadataRecord& record : batch.records()) SLUICE_RETURN_IF_ERROR(Apply(record, index));
  return Status::Ok();
}

Status ImageBuilder::Apply(const MetadataRecord& record, LogIndex index) {
  switch (record.record_case()) {
    case MetadataRecord::kCluster:
      next_.cluster_id = record.cluster().cluster_id();
      if (record.cluster().has_fsync_since())
        ApplyFsyncSince(record.cluster().fsync_since(), index);
      return Status::Ok();
    case MetadataRecord::kRegisterBroker: return ApplyRegister(record.register_broker(), index);
    case MetadataRecord::kUnregisterBroker: {
      const NodeId id(record.unregister_broker().broker_id());
      if (next_.brokers.erase(id) == 0)
        return Contradiction("unregisters unknown broker " + std::to_string(id.value()));
      delta_.brokers.insert(id);
      return Status::Ok();
    }
    case MetadataRecord::kBrokerChange: return ApplyBrokerChange(record.broker_change());
    case MetadataRecord::kTopic: return ApplyTopic(record.topic(), index);
    case MetadataRecord::kRemoveTopic: return ApplyRemoveTopic(record.remove_topic());
    case MetadataRecord::kPartition: return ApplyPartition(record.partition());
    case MetadataRecord::kPartitionChange: return ApplyPartitionChange(record.partition_change());
    case MetadataRecord::kConfig: return ApplyConfig(record.config(), index);
    case MetadataRecord::kProducerIds:
      if (record.producer_ids().next_producer_id() < next_.next_producer_id) {
        return Contradiction("producer ids go back to " +
                             std::to_string(record.producer_ids().next_producer_id()));
      }
      next_.next_producer_id = record.producer_ids().next_producer_id();
      return Status::Ok();
    case MetadataRecord::kFeatureLevel:
      next_.features[record.feature_level().name()] = record.feature_level().level();
      delta_.features = true;
      return Status::Ok();
    case MetadataRecord::kRequestId: return ApplyRequestId(record.request_id());
    case MetadataRecord::kQuorum: return ApplyQuorum(record.quorum());
    case MetadataRecord::RECORD_NOT_SET: break;
  }
  return Contradiction("of a kind this version does not know, at index " +
                       std::to_string(index.value()));
}

Status ImageBuilder::ApplyRegister(const RegisterBrokerRecord& record, LogIndex index) {
  if (!IsUuid(record.incarnation_id()) || !IsUuid(record.directory_id())) {
    return Contradiction("registration of broker " + std::to_string(record.broker_id()) +
                         " without ids");
  }
  auto broker = std::make_shared<BrokerImage>();
  broker->id = NodeId(record.broker_id());
  broker->epoch = BrokerEpoch(index.value());
  broker->incarnation_id = Uuid::FromBytes(record.incarnation_id());
  broker->directory_id = Uuid::FromBytes(record.directory_id());
  for (const Endpoint& endpoint : record.endpoints()) {
    broker->endpoints.push_back(
        {endpoint.listener(), endpoint.host(), endpoint.port(), endpoint.security_protocol()});
  }
  if (!ToUuids(record.log_dirs(), broker->log_directories)) {
    return Contradiction("registration of broker " + std::to_string(record.broker_id()) +
                         " with a log directory without an id");
  }
  broker->rack = record.rack();
  broker->grpc_address = record.grpc_address();
  broker->http_address = record.http_address();
  broker->boot_id = record.boot_id();
  broker->version = record.version();
  broker->is_controller = record.is_controller();
  broker->fenced = record.fenced();
  broker->session_timeout_ms = record.session_timeout_ms();
  broker->keeps_epoch = record.keeps_epoch();
  broker->synced_index = LogIndex(record.synced_index());
  for (const auto& served : record.served()) {
    if (!IsUuid(served.directory())) return Contradiction("a log directory without an id");
    broker->served[Uuid::FromBytes(served.directory())] = BrokerEpoch(served.broker_epoch());
  }
  if (const BrokerImage* before = next_.FindBroker(broker->id)) broker->goal = before->goal;
  delta_.brokers.insert(broker->id);
  const NodeId id = broker->id;
  next_.brokers[id] = std::move(broker);
  return Status::Ok();
}

Status ImageBuilder::ApplyQuorum(const QuorumRecord& record) {
  next_.controllers.clear();
  for (const QuorumRecord::Member& member : record.members()) {
    if (!IsUuid(member.directory_id())) {
      return Contradiction("controller " + std::to_string(member.node_id()) +
                           " without the id of its disk");
    }
    next_.controllers.push_back({NodeId(member.node_id()), Uuid::FromBytes(member.directory_id()),
                                 member.address(), member.learner()});
  }
  return Status::Ok();
}

namespace {

// It may be in an ISR from now on.
void NoteServed(BrokerImage& broker) {
  if (broker.log_directories.empty()) broker.served[broker.directory_id] = broker.epoch;
  for (const Uuid& directory : broker.log_directories) broker.served[directory] = broker.epoch;
}

}  // namespace

Status ImageBuilder::ApplyBrokerChange(const BrokerChangeRecord& record) {
  const auto found = next_.brokers.find(NodeId(record.broker_id()));
  if (found == next_.brokers.end())
    return Contradiction("changes unknown broker " + std::to_string(record.broker_id()));
  auto broker = std::make_shared<BrokerImage>(*found->second);
  if (record.has_fenced()) {
    broker->fenced = record.fenced();
    broker->process_gone = record.fenced() && record.process_gone();
    if (!record.fenced() && broker->keeps_epoch) NoteServed(*broker);
  }
  if (record.has_in_controlled_shutdown())
    broker->in_controlled_shutdown = record.in_controlled_shutdown();
  if (record.has_log_dirs() && !ToUuids(record.log_dirs().ids(), broker->log_directories))
    return Contradiction("a log directory without an id");
  if (record.has_goal()) {
    const auto goal = GoalOf(record.goal());
    if (!goal)
      return Contradiction("broker " + std::to_string(record.broker_id()) +
                           " is given a goal that this version does not know");
    broker->goal = *goal;
  }
  if (record.has_synced_index()) broker->synced_index = LogIndex(record.synced_index());
  delta_.brokers.insert(broker->id);
  found->second = std::move(broker);
  return Status::Ok();
}

TopicImage* ImageBuilder::MutableTopic(const TopicId& id) {
  if (const auto touched = touched_.find(id); touched != touched_.end())
    return touched->second.get();
  const auto topic = next_.FindTopic(id);
  if (topic == nullptr) return nullptr;
  auto copy = std::make_shared<TopicImage>(*topic);
  by_name_.Of(next_.topics_by_name).Set(copy->name, copy);
  by_id_.Of(next_.topics_by_id).Set(id, copy);
  return touched_.emplace(id, std::move(copy)).first->second.get();
}

Status ImageBuilder::ApplyTopic(const TopicRecord& record, LogIndex index) {
  if (!IsUuid(record.topic_id())) return Contradiction("topic " + record.name() + " without an id");
  const TopicId id = TopicId::FromBytes(record.topic_id());
  if (next_.topics_by_name->contains(record.name()))
    return Contradiction("topic " + record.name() + " exists");
  if (next_.topics_by_id->contains(id))
    return Contradiction("topic id " + id.ToString() + " exists");
  auto topic = std::make_shared<TopicImage>();
  topic->name = record.name();
  topic->id = id;
  by_name_.Of(next_.topics_by_name).Set(topic->name, topic);
  by_id_.Of(next_.topics_by_id).Set(id, topic);
  delta_.topics_created[id] = topic->name;
  if (next_.fsync_since != nullptr) {
    if (std::exchange(made_at_, index) != index) made_.clear();
    made_.insert(topic->name);
  }
  touched_[id] = std::move(topic);
  return Status::Ok();
}

Status ImageBuilder::ApplyRemoveTopic(const RemoveTopicRecord& record) {
  const TopicId id = IsUuid(record.topic_id()) ? TopicId::FromBytes(record.topic_id()) : TopicId();
  const auto topic = next_.FindTopic(id);
  if (topic == nullptr) return Contradiction("removes unknown topic " + id.ToString());
  by_name_.Of(next_.topics_by_name).Erase(topic->name);
  by_id_.Of(next_.topics_by_id).Erase(id);
  touched_.erase(id);
  if (delta_.topics_created.erase(id) == 0) delta_.topics_removed[id] = topic->name;
  delta_.partitions.erase(id);
  next_.fsync_since = WithoutTopic(next_.fsync_since, topic->name);
  if (next_.topic_configs->contains(topic->name)) {
    topic_configs_.Of(next_.topic_configs).Erase(topic->name);
    delta_.topic_configs.insert(topic->name);
  }
  return Status::Ok();
}

Status ImageBuilder::ApplyPartition(const PartitionRecord& record) {
  TopicImage* topic =
      IsUuid(record.topic_id()) ? MutableTopic(TopicId::FromBytes(record.topic_id())) : nullptr;
  if (topic == nullptr) return Contradiction("partition of an unknown topic");
  if (record.partition() != static_cast<int32_t>(topic->partitions.size())) {
    return Contradiction("partition " + std::to_string(record.partition()) + " of " + topic->name +
                         " where " + std::to_string(topic->partitions.size()) + " is next");
  }
  PartitionImage partition;
  partition.replicas = ToNodes(record.replicas());
  partition.isr = ToNodes(record.isr());
  partition.elr = ToNodes(record.elr());
  partition.last_known_elr = ToNodes(record.last_known_elr());
  partition.adding = ToNodes(record.adding_replicas());
  partition.removing = ToNodes(record.removing_replicas());
  partition.move_kib_per_second = record.move_kib_per_second();
  partition.leader = NodeId(record.leader());
  partition.leader_epoch = LeaderEpoch(record.leader_epoch());
  partition.partition_epoch = PartitionEpoch(record.partition_epoch());
  if (!ToUuids(record.directories(), partition.directories) ||
      (!partition.directories.empty() &&
       partition.directories.size() != partition.replicas.size())) {
    return Contradiction("directories that fit no replicas");
  }
  topic->partitions.push_back(std::move(partition));
  if (tracks_ == Tracks::kChanges)
    delta_.partitions[topic->id].insert(PartitionIndex(record.partition()));
  return Status::Ok();
}

Status ImageBuilder::ApplyPartitionChange(const PartitionChangeRecord& record) {
  TopicImage* topic =
      IsUuid(record.topic_id()) ? MutableTopic(TopicId::FromBytes(record.topic_id())) : nullptr;
  const size_t index = static_cast<size_t>(record.partition());
  if (topic == nullptr || index >= topic->partitions.size())
    return Contradiction("change of an unknown partition");
  PartitionImage& partition = topic->partitions[index];
  if (record.has_leader_epoch() && LeaderEpoch(record.leader_epoch()) < partition.leader_epoch) {
    return Contradiction("leader epoch of " + topic->name + "-" + std::to_string(index) +
                         " goes back");
  }
  if (record.has_replicas()) {
    std::vector<NodeId> replicas = ToNodes(record.replicas().ids());
    partition.directories = DirectoriesFor(replicas, partition);
    partition.replicas = std::move(replicas);
  }
  if (record.has_directories() && (!ToUuids(record.directories().ids(), partition.directories) ||
                                   partition.directories.size() != partition.replicas.size())) {
    return Contradiction("directories that fit no replicas");
  }
  TakeLists(record, partition);
  if (record.has_leader()) partition.leader = NodeId(record.leader());
  if (record.may_lose_records()) ++delta_.unclean_elections;
  if (record.has_leader_epoch()) partition.leader_epoch = LeaderEpoch(record.leader_epoch());
  ++partition.partition_epoch;
  delta_.partitions[topic->id].insert(PartitionIndex(record.partition()));
  return Status::Ok();
}

void ImageBuilder::ApplyFsyncSince(const FsyncSinceRecord& record, LogIndex index) {
  // An empty one counts for those too who know more: so all know the same again. Who wrote it may
  // have begun with a snapshot of an earlier version.
  next_.fsync_since = record.has_cluster() ? FsyncSinceOf(record) : FsyncSinceFrom(next_, index);
}

Status ImageBuilder::ApplyConfig(const ConfigRecord& record, LogIndex index) {
  std::set<std::string>* changed = nullptr;
  ConfigsByName* configs = nullptr;
  const DurabilityChange durability(next_, record);
  switch (record.type()) {
    case CONFIG_RESOURCE_TYPE_TOPIC:
      configs = &topic_configs_.Of(next_.topic_configs);
      changed = &delta_.topic_configs;
      break;
    case CONFIG_RESOURCE_TYPE_BROKER:
      configs = &broker_configs_.Of(next_.broker_configs);
      changed = &delta_.broker_configs;
      break;
    case CONFIG_RESOURCE_TYPE_GROUP:
      configs = &group_configs_.Of(next_.group_configs);
      changed = &delta_.group_configs;
      break;
    default: return Contradiction("config of an unknown kind");
  }
  const auto found = configs->find(record.name());
  ConfigMap values = found == configs->end() ? ConfigMap() : found->second;
  if (record.has_value()) {
    values[record.key()] = record.value();
  } else {
    values.erase(record.key());
  }
  if (values.empty()) {
    configs->Erase(record.name());
  } else {
    configs->Set(record.name(), std::move(values));
  }
  changed->insert(record.name());
  const bool made_now = made_at_ == index && made_.contains(record.name());
  next_.fsync_since = durability.After(next_, {.index = index, .made_now = made_now});
  return Status::Ok();
}

Status ImageBuilder::ApplyRequestId(const RequestIdRecord& record) {
  if (!IsUuid(record.request_id())) return Contradiction("request id that is no uuid");
  auto requests = std::make_shared<RequestMap>(*next_.requests);
  // Wall clocks of successive controllers may disagree. Times that never go back make the pruning
  // independent of the order of records, so that a snapshot rebuilds exactly what it was taken
  // from.
  int64_t time_ms = record.time_ms();
  for (const auto& kept : *requests) time_ms = std::max(time_ms, kept.second->time_ms);
  std::erase_if(*requests,
                [&](const auto& kept) { return kept.second->time_ms + kRequestKeptMs < time_ms; });
  if (requests->size() >= kRequestsMax) {
    const auto oldest = std::min_element(
        requests->begin(), requests->end(),
        [](const auto& a, const auto& b) { return a.second->time_ms < b.second->time_ms; });
    requests->erase(oldest);
  }
  (*requests)[Uuid::FromBytes(record.request_id())] =
      std::make_shared<RequestImage>(RequestImage{time_ms, record.response()});
  next_.requests = std::move(requests);
  return Status::Ok();
}

ImagePtr ImageBuilder::Build(LogIndex index, Term term) {
  next_.last_index = index;
  next_.last_term = term;
  // From here the topics and maps are shared with the image given out: the next change copies them
  // again. Most never change, so they keep no room to grow.
  for (const auto& [id, topic] : touched_) topic->partitions.shrink_to_fit();
  touched_.clear();
  by_name_.GiveOut();
  by_id_.GiveOut();
  topic_configs_.GiveOut();
  broker_configs_.GiveOut();
  group_configs_.GiveOut();
  return std::make_shared<const Image>(next_);
}

}  // namespace sluice::metadata
