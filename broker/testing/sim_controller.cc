#include "broker/testing/sim_controller.h"

#include <algorithm>

#include "metadata/partition_change.h"

namespace sluice::broker::testing {

using kafka::ErrorCode;
using metadata::MetadataRecord;
using metadata::PartitionImage;

SimController::SimController(uint64_t seed, std::function<void()> on_change)
    : random_(seed), on_change_(std::move(on_change)), image_(metadata::EmptyImage()) {
  // As the first entry of a cluster has it.
  metadata::ImageBuilder builder(image_);
  MetadataRecord record;
  record.mutable_cluster()->mutable_fsync_since();
  CHECK(builder.Apply(record, LogIndex(0)).ok());
  image_ = builder.Build(image_->last_index, image_->last_term);
}

bool SimController::IsActive(NodeId id) const {
  const metadata::BrokerImage* broker = image_->FindBroker(id);
  return broker != nullptr && broker->active();
}

void SimController::Commit(const Records& records) {
  if (records.empty()) return;
  metadata::ImageBuilder builder(image_);
  const LogIndex index = image_->last_index + 1;
  for (const MetadataRecord& record : records) {
    const Status applied = builder.Apply(record, index);
    CHECK(applied.ok()) << applied.ToString();
  }
  image_ = builder.Build(index, Term(1));
  on_change_();
}

void SimController::AddElection(const metadata::TopicImage& topic, size_t index,
                                metadata::ElectionInput input, Records& records) {
  // With the change of configuration that it is part of, which comes first.
  metadata::ImagePtr configured = image_;
  if (!records.empty() && records.front().has_config()) {
    metadata::ImageBuilder builder(image_);
    CHECK(builder.Apply(records.front(), image_->last_index + 1).ok());
    configured = builder.Build(image_->last_index, Term(1));
  }
  input.min_isr = metadata::EffectiveMinIsr(*configured, topic.name, input.partition);
  input.log_end = [&](NodeId node) -> std::optional<metadata::LogEnd> {
    const auto told =
        log_ends_.find({{topic.id, PartitionIndex(static_cast<int32_t>(index))}, node});
    if (told == log_ends_.end() || told->second.leader_epoch != input.partition.leader_epoch)
      return std::nullopt;
    return metadata::LogEnd{told->second.last_epoch, told->second.end_offset};
  };
  auto change = metadata::PartitionChange(topic.id, PartitionIndex(static_cast<int32_t>(index)),
                                          input.partition, metadata::Decide(input));
  if (change.has_value()) *records.emplace_back().mutable_partition_change() = *std::move(change);
}

void SimController::AddElections(const ReplicaActive& is_active, NodeId lost_data,
                                 Records& records) {
  for (const auto& [id, topic] : *image_->topics_by_id) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const PartitionImage& partition = topic->partitions[i];
      AddElection(*topic, i,
                  {.partition = partition,
                   .is_active = [&](NodeId node) { return is_active(partition, node); },
                   .lost_data = lost_data,
                   .wished_isr = {}},
                  records);
    }
  }
}

BrokerEpoch SimController::Register(NodeId id, const Uuid& directory, bool unclean,
                                    const std::vector<Uuid>& online) {
  std::erase_if(log_ends_, [&](const auto& told) { return told.first.second == id; });
  Records records;
  auto& broker = *records.emplace_back().mutable_register_broker();
  broker.set_broker_id(id.value());
  broker.set_incarnation_id(std::string(Uuid::Generate(random_).view()));
  broker.set_directory_id(std::string(directory.view()));
  broker.set_fenced(true);
  broker.set_rack(SimRack(id));
  for (const Uuid& own : online) broker.add_log_dirs(std::string(own.view()));
  auto& endpoint = *broker.add_endpoints();
  endpoint.set_listener("PLAINTEXT");
  endpoint.set_host("sim");
  endpoint.set_port(id.value());
  endpoint.set_security_protocol("PLAINTEXT");
  AddElections(
      [&](const PartitionImage& partition, NodeId node) {
        return node != id && metadata::ReplicaActive(*image_, partition, node);
      },
      unclean ? id : kNoNode, records);
  Commit(records);
  return image_->FindBroker(id)->epoch;
}

void SimController::SetFenced(NodeId id, bool fenced) {
  const metadata::BrokerImage* broker = image_->FindBroker(id);
  if (broker == nullptr || broker->fenced == fenced) return;
  Records records;
  auto& change = *records.emplace_back().mutable_broker_change();
  change.set_broker_id(id.value());
  change.set_fenced(fenced);
  AddElections(
      [&](const PartitionImage& partition, NodeId node) {
        return node == id ? !fenced && broker->HasOnline(partition.DirectoryOf(id))
                          : metadata::ReplicaActive(*image_, partition, node);
      },
      kNoNode, records);
  Commit(records);
}

void SimController::KeepOut(NodeId id) {
  kept_out_.insert(id);
  Records records;
  AddElections(
      [&](const PartitionImage& partition, NodeId node) {
        return node != id && metadata::ReplicaActive(*image_, partition, node);
      },
      kNoNode, records);
  Commit(records);
}

void SimController::SetLogEnds(NodeId id, const std::vector<LeaderlessLogs::End>& ends) {
  Records records;
  for (const LeaderlessLogs::End& end : ends) {
    log_ends_[{end.replica, id}] = end;
    const auto [topic_id, index] = end.replica;
    const auto topic = image_->FindTopic(topic_id);
    const PartitionImage* partition = image_->FindPartition(topic_id, index);
    if (partition == nullptr || partition->leader != kNoNode) continue;
    AddElection(*topic, static_cast<size_t>(index.value()),
                metadata::ElectionInputOf(*image_, topic->name, *partition), records);
  }
  Commit(records);
}

void SimController::SetDamaged(NodeId id, const TopicId& topic_id, PartitionIndex index) {
  const auto topic = image_->FindTopic(topic_id);
  const PartitionImage* partition = image_->FindPartition(topic_id, index);
  if (partition == nullptr || !metadata::OthersInSync(*partition, id)) return;
  Records records;
  metadata::ElectionInput input = metadata::ElectionInputOf(*image_, topic->name, *partition);
  input.lost_data = id;
  AddElection(*topic, static_cast<size_t>(index.value()), std::move(input), records);
  Commit(records);
}

void SimController::SetOnline(NodeId id, const std::vector<Uuid>& online) {
  const metadata::BrokerImage* before = image_->FindBroker(id);
  if (before == nullptr || before->log_directories == online) return;
  metadata::BrokerImage after = *before;
  after.log_directories = online;
  Records records;
  auto& change = *records.emplace_back().mutable_broker_change();
  change.set_broker_id(id.value());
  for (const Uuid& own : online) change.mutable_log_dirs()->add_ids(std::string(own.view()));
  AddElections(
      [&](const PartitionImage& partition, NodeId node) {
        return node == id ? after.active() && after.HasOnline(partition.DirectoryOf(id))
                          : metadata::ReplicaActive(*image_, partition, node);
      },
      kNoNode, records);
  Commit(records);
}

void SimController::AddConfig(const std::string& topic, const std::string& key,
                              const std::string& value, Records& records) {
  auto& config = *records.emplace_back().mutable_config();
  config.set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  config.set_name(topic);
  config.set_key(key);
  config.set_value(value);
}

TopicId SimController::CreateTopic(const std::string& name,
                                   const std::vector<std::vector<NodeId>>& assignments,
                                   const metadata::ConfigMap& configs) {
  const TopicId id = Uuid::Generate(random_);
  Records records;
  auto& topic = *records.emplace_back().mutable_topic();
  topic.set_name(name);
  topic.set_topic_id(std::string(id.view()));
  for (size_t i = 0; i < assignments.size(); ++i) {
    *records.emplace_back().mutable_partition() =
        metadata::NewPartition(id, PartitionIndex(static_cast<int32_t>(i)), assignments[i],
                               [this](NodeId node) { return IsActive(node); });
  }
  for (const auto& [key, value] : configs) AddConfig(name, key, value, records);
  Commit(records);
  return id;
}

void SimController::DeleteTopic(const std::string& name) {
  Records records;
  records.emplace_back().mutable_remove_topic()->set_topic_id(
      std::string(image_->FindTopic(name)->id.view()));
  Commit(records);
}

void SimController::SetTopicConfig(const std::string& name, const std::string& key,
                                   const std::string& value) {
  Records records;
  AddConfig(name, key, value, records);
  // min.insync.replicas decides who is in the ELR.
  AddElections([&](const PartitionImage& partition,
                   NodeId node) { return metadata::ReplicaActive(*image_, partition, node); },
               kNoNode, records);
  Commit(records);
}

void SimController::SetBrokerConfig(NodeId id, const std::string& key, const std::string& value) {
  Records records;
  AddConfig(std::to_string(id.value()), key, value, records);
  records.back().mutable_config()->set_type(metadata::CONFIG_RESOURCE_TYPE_BROKER);
  Commit(records);
}

void SimController::ForceLeader(const std::string& name, PartitionIndex index, NodeId leader) {
  const auto topic = image_->FindTopic(name);
  Records records;
  auto& change = *records.emplace_back().mutable_partition_change();
  change.set_topic_id(std::string(topic->id.view()));
  change.set_partition(index.value());
  change.set_leader(leader.value());
  change.set_leader_epoch(image_->FindPartition(topic->id, index)->leader_epoch.value() + 1);
  change.mutable_isr()->add_ids(leader.value());
  change.mutable_elr();
  change.mutable_last_known_elr();
  Commit(records);
}

void SimController::MoveLeader(const std::string& name, PartitionIndex index, NodeId leader) {
  const auto topic = image_->FindTopic(name);
  const PartitionImage& partition = *image_->FindPartition(topic->id, index);
  CHECK(metadata::InIsr(partition, leader));
  Records records;
  auto& change = *records.emplace_back().mutable_partition_change();
  change.set_topic_id(std::string(topic->id.view()));
  change.set_partition(index.value());
  change.set_leader(leader.value());
  change.set_leader_epoch(partition.leader_epoch.value() + 1);
  Commit(records);
}

bool SimController::Reassign(const std::string& name, PartitionIndex index,
                             const std::optional<std::vector<NodeId>>& target,
                             uint32_t kib_per_second) {
  const auto topic = image_->FindTopic(name);
  const PartitionImage& partition = *image_->FindPartition(topic->id, index);
  const metadata::Assignment wanted =
      target ? metadata::MoveTo(partition, *target, kib_per_second) : metadata::MoveBack(partition);
  const int32_t min_isr = metadata::EffectiveMinIsr(*image_, name, partition);
  if (!metadata::MayDropAtOnce(partition, wanted, min_isr)) return false;
  auto change = metadata::PartitionChange(
      topic->id, index, partition,
      metadata::Decide(metadata::ElectionInputOf(*image_, name, partition), wanted));
  Records records;
  if (change.has_value()) *records.emplace_back().mutable_partition_change() = *std::move(change);
  Commit(records);
  return true;
}

ErrorCode SimController::CheckAlter(const controller::AlterPartitionRequest::Partition& asked,
                                    NodeId sender) const {
  const TopicId id = TopicId::FromBytes(asked.topic_id());
  if (image_->FindTopic(id) == nullptr) return ErrorCode::kUnknownTopicId;
  const PartitionImage* partition = image_->FindPartition(id, PartitionIndex(asked.partition()));
  if (partition == nullptr) return ErrorCode::kUnknownTopicOrPartition;
  if (asked.leader_epoch() != partition->leader_epoch.value()) return ErrorCode::kFencedLeaderEpoch;
  if (partition->leader != sender) return ErrorCode::kInvalidRequest;
  if (asked.partition_epoch() != partition->partition_epoch.value())
    return ErrorCode::kInvalidUpdateVersion;
  for (const auto& replica : asked.isr()) {
    const NodeId node(replica.id());
    if (kept_out_.contains(node) || !metadata::ReplicaActive(*image_, *partition, node) ||
        image_->FindBroker(node)->epoch != BrokerEpoch(replica.broker_epoch())) {
      return ErrorCode::kIneligibleReplica;
    }
  }
  return ErrorCode::kNone;
}

controller::AlterPartitionResponse SimController::Alter(
    const controller::AlterPartitionRequest& request) {
  controller::AlterPartitionResponse response;
  Records records;
  for (const auto& asked : request.partitions()) {
    auto& answer = *response.add_partitions();
    answer.set_topic_id(asked.topic_id());
    answer.set_partition(asked.partition());
    const ErrorCode error = CheckAlter(asked, NodeId(request.sender().node_id()));
    answer.set_error_code(kafka::WireError(error));
    if (error != ErrorCode::kNone) continue;
    const auto topic = image_->FindTopic(TopicId::FromBytes(asked.topic_id()));
    const PartitionImage& partition = topic->partitions[static_cast<size_t>(asked.partition())];
    std::vector<NodeId> isr;
    for (const auto& replica : asked.isr()) isr.push_back(NodeId(replica.id()));
    const size_t before = records.size();
    AddElection(
        *topic, static_cast<size_t>(asked.partition()),
        {.partition = partition,
         .is_active = [&](NodeId id) { return metadata::ReplicaActive(*image_, partition, id); },
         .wished_isr = isr},
        records);
    if (records.size() == before && std::ranges::is_permutation(isr, partition.isr)) {
      auto& same = *records.emplace_back().mutable_partition_change();
      same.set_topic_id(asked.topic_id());
      same.set_partition(asked.partition());
    }
    answer.set_leader(partition.leader.value());
    answer.set_leader_epoch(partition.leader_epoch.value());
    for (const NodeId id : isr) answer.add_isr(id.value());
    answer.set_partition_epoch(partition.partition_epoch.value() +
                               (records.size() > before ? 1 : 0));
  }
  Commit(records);
  return response;
}

controller::AssignReplicasToDirsResponse SimController::Assign(
    const controller::AssignReplicasToDirsRequest& request) {
  controller::AssignReplicasToDirsResponse response;
  const NodeId sender(request.sender().node_id());
  for (const auto& asked : request.replicas()) {
    const auto topic = image_->FindTopic(TopicId::FromBytes(asked.topic_id()));
    const PartitionIndex index(asked.partition());
    if (topic == nullptr) continue;
    const PartitionImage& before = *image_->FindPartition(topic->id, index);
    const Uuid directory = Uuid::FromBytes(asked.directory());
    const Uuid old = before.DirectoryOf(sender);
    if (old == directory) continue;
    PartitionImage after = before;
    after.directories.resize(after.replicas.size());
    const auto place = std::find(after.replicas.begin(), after.replicas.end(), sender);
    after.directories[static_cast<size_t>(place - after.replicas.begin())] = directory;
    Records records;
    auto& change = *records.emplace_back().mutable_partition_change();
    change.set_topic_id(asked.topic_id());
    change.set_partition(asked.partition());
    for (const Uuid& id : after.directories)
      change.mutable_directories()->add_ids(std::string(id.view()));
    AddElection(
        *topic, static_cast<size_t>(asked.partition()),
        {.partition = before,
         .is_active = [&](NodeId id) { return metadata::ReplicaActive(*image_, after, id); },
         .lost_data = old.IsZero() || asked.moved() ? kNoNode : sender,
         .lost_all = !old.IsZero() && !asked.moved(),
         .wished_isr = {}},
        records);
    Commit(records);
  }
  return response;
}

}  // namespace sluice::broker::testing
