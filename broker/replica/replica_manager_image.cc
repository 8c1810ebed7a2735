// ReplicaManager: from images to replicas and roles.
#include <algorithm>
#include <mutex>

#include "base/planted_fault.h"
#include "broker/replica/replica_manager_impl.h"

namespace sluice::broker {
namespace {

bool Holds(const metadata::PartitionImage& partition, NodeId id) {
  return std::find(partition.replicas.begin(), partition.replicas.end(), id) !=
         partition.replicas.end();
}

}  // namespace

bool ReplicaManagerImpl::HoldsOurRegistration(const metadata::Image& image) const {
  const metadata::BrokerImage* self = image.FindBroker(options_->state->node_id);
  const int64_t epoch = options_->state->broker_epoch.load();
  return self != nullptr && epoch >= 0 && self->epoch == BrokerEpoch(epoch);
}

void ReplicaManagerImpl::OnImage(const metadata::ImagePtr& before,
                                 const metadata::ImagePtr& after) {
  if (stopped_) return;
  ImageChange change{.before = before, .after = after, .configs = {}, .effects = {}, .roles = {}};
  if (!registered_) {
    if (!HoldsOurRegistration(*after)) return;
    registered_ = true;
    change.first = true;
    change.before = metadata::EmptyImage();
    SetStrayLogsAside(after);
  }
  change.reconfigured = change.before->topic_configs != after->topic_configs ||
                        change.before->broker_configs != after->broker_configs || change.first;
  if (change.before->topics_by_id != after->topics_by_id) {
    // First what is gone: a topic made anew under an old name needs the directory's name.
    RemoveGone(change);
    ApplyTopics(change);
    ApplyMoveRates();
  }
  if (change.first) GoOnWithMoves();
  if (change.reconfigured) {
    ApplyThrottles(*after);
    ApplyConfigs(change);
  }
  change.effects.Run(*context_);
  fetchers_->Assign(std::move(change.roles));
  // Behind the fetchers, on their loop: those of before have sent their last fetch by then.
  sync_proof_->OnImage(after);
}

storage::MayRemove ReplicaManagerImpl::RemovableIn(metadata::ImagePtr image,
                                                   std::string topic) const {
  return [image = std::move(image), topic = std::move(topic)](const TopicId& stored) {
    const auto owner = image->FindTopic(stored);
    return owner == nullptr || owner->name == topic;
  };
}

void ReplicaManagerImpl::SetStrayLogsAside(const metadata::ImagePtr& image) {
  // The image is past our registration. What it lacks was deleted or moved while we were away, or
  // brought here before its topic, or the controllers' metadata was set back: as Kafka does, the
  // operator is asked.
  std::vector<storage::TopicPartition> found = options_->logs->Partitions();
  for (const auto& [name, damage] : options_->logs->DamagedLogs()) found.push_back(name);
  for (const storage::TopicPartition& name : found) {
    const std::shared_ptr<const metadata::TopicImage> topic = image->FindTopic(name.topic);
    const metadata::PartitionImage* partition =
        topic == nullptr ? nullptr : image->FindPartition(topic->id, name.partition);
    if (partition != nullptr && Holds(*partition, options_->state->node_id)) continue;
    const char* const why =
        topic == nullptr ? "the cluster's metadata has no topic of that name"
                         : "the cluster's metadata does not have that partition on this node";
    if (const Status aside = options_->logs->SetAside(name, RemovableIn(image, name.topic), why);
        !aside.ok()) {
      LOG(ERROR) << name.ToString() << " is left where it is, though " << why << ": "
                 << aside.message();
    }
  }
}

void ReplicaManagerImpl::RemoveGone(ImageChange& change) {
  for (const PartitionPtr& partition : AllPartitions()) {
    const PartitionKey& key = partition->key();
    const metadata::PartitionImage* image =
        change.after->FindPartition(key.topic_id, key.partition);
    if (image == nullptr || !Holds(*image, options_->state->node_id))
      RemoveReplica(partition, change);
  }
}

void ReplicaManagerImpl::RemoveReplica(const PartitionPtr& partition, ImageChange& change) {
  const std::lock_guard opening(opening_mutex_);
  partition->Retire(/*removed=*/true, change.effects);
  move_rates_.Forget(partition->key());
  change.roles.push_back(partition);
  {
    std::unique_lock lock(mutex_);
    partitions_.erase(partition->key());
  }
  const DamagedLogs::Replica replica{partition->key().topic_id, partition->key().partition};
  options_->state->damaged.Remove(replica);
  options_->state->leaderless.Note(replica, false);
  if (FaultPlanted(ReplicationFault::kOldLogKept)) return;
  const Status deleted =
      options_->logs->Delete(partition->name(), RemovableIn(change.after, partition->name().topic));
  // One whose directory is offline goes when that is back: nobody asks for it then.
  if (!deleted.ok() && deleted.code() != StatusCode::kNotFound) {
    LOG(ERROR) << "removing " << partition->name().ToString() << ": " << deleted.ToString();
  }
}

void ReplicaManagerImpl::ApplyTopics(ImageChange& change) {
  if (change.after->topics_by_id == nullptr) return;
  static const metadata::TopicsById kNone;
  const auto& before =
      change.before->topics_by_id == nullptr ? kNone : *change.before->topics_by_id;
  metadata::TopicsById::VisitChanges(before, *change.after->topics_by_id,
                                     [&](const TopicId&, const auto*, const auto* topic) {
                                       if (topic != nullptr) ApplyTopic(**topic, change);
                                     });
}

void ReplicaManagerImpl::ApplyTopic(const metadata::TopicImage& topic, ImageChange& change) {
  for (size_t i = 0; i < topic.partitions.size(); ++i) {
    const metadata::PartitionImage& image = topic.partitions[i];
    if (!Holds(image, options_->state->node_id)) continue;
    const PartitionIndex index(static_cast<int32_t>(i));
    move_rates_.Note(options_->state->node_id, {topic.id, index}, image);
    PartitionPtr partition = Find({topic.id, index});
    const bool made = partition == nullptr;
    if (made) partition = CreateReplica(topic, index, change);
    const bool configured = made || change.reconfigured;
    partition->ApplyImage({.partition = &image,
                           .config = configured ? ConfigOf(topic.name, change) : nullptr,
                           .index = change.after->last_index},
                          change.effects);
    options_->state->leaderless.Note({topic.id, index}, image.leader == kNoNode);
    change.roles.push_back(partition);
  }
}

const Partition::TopicConfigPtr& ReplicaManagerImpl::ConfigOf(const std::string& topic,
                                                              ImageChange& change) const {
  Partition::TopicConfigPtr& config = change.configs[topic];
  if (config == nullptr) config = ConfigIn(*change.after, topic);
  return config;
}

Partition::TopicConfigPtr ReplicaManagerImpl::ConfigIn(const metadata::Image& image,
                                                       const std::string& topic) const {
  const metadata::TopicConfigScope scope{image, *options_->server_config, options_->state->node_id};
  return std::make_shared<metadata::TopicConfig>(metadata::EffectiveTopicConfig(scope, topic));
}

ReplicaManagerImpl::PartitionPtr ReplicaManagerImpl::CreateReplica(
    const metadata::TopicImage& topic, PartitionIndex index, ImageChange& change) {
  const storage::TopicPartition name{topic.name, index};
  const Partition::TopicConfigPtr& config = ConfigOf(topic.name, change);
  const PartitionKey key{topic.id, index};
  const Uuid assigned =
      topic.partitions[static_cast<size_t>(index.value())].DirectoryOf(options_->state->node_id);
  storage::PlacedLog placed =
      options_->logs->GetOrCreate({.partition = name,
                                   .topic_id = topic.id,
                                   .may_remove = RemovableIn(change.after, topic.name),
                                   .config = LogConfigOf(*config),
                                   .directory = assigned,
                                   .is_new = !change.first});
  Partition::Home home{.log = nullptr, .error = "", .directory = placed.directory};
  if (placed.directory != nullptr) {
    home.flusher = &options_->flusher_of(*placed.directory);
    AssignDirectory(key, assigned, placed);
  }
  if (placed.log.ok()) {
    home.log = *std::move(placed.log);
  } else {
    const Status& why = placed.log.status();
    LOG(ERROR) << "opening " << name.ToString() << ": " << why.ToString();
    home.error = why.message();
    home.awaits_room = why.code() == StatusCode::kDiskFull;
    home.damaged = why.code() == StatusCode::kCorruption;
    if (home.awaits_room) ++unopened_;
  }
  auto partition =
      std::make_shared<Partition>(Partition::Identity{key, name}, std::move(home), context_);
  if (const std::optional<Offset> checkpointed = options_->logs->CheckpointedHighWatermark(name)) {
    partition->RestoreHighWatermark(*checkpointed);
  }
  // Whatever was told of a former life of it.
  options_->state->damaged.Remove({key.topic_id, key.partition});
  {
    std::unique_lock lock(mutex_);
    partitions_[partition->key()] = partition;
  }
  NoteIfOffline(partition, placed.directory, change.effects);
  return partition;
}

void ReplicaManagerImpl::ApplyThrottles(const metadata::Image& image) {
  const metadata::TopicConfigScope scope{image, *options_->server_config, options_->state->node_id};
  const auto rate = [&](std::string_view key) {
    return static_cast<int64_t>(std::stoll(metadata::EffectiveServerConfig(scope, key).value));
  };
  context_->throttles->leader.SetRate(rate("leader.replication.throttled.rate"));
  context_->throttles->follower.SetRate(rate("follower.replication.throttled.rate"));
  context_->throttles->disk_moves.SetRate(rate("replica.alter.log.dirs.io.max.bytes.per.second"));
}

void ReplicaManagerImpl::ApplyMoveRates() {
  context_->throttles->leader_moves.SetRate(move_rates_.leader());
  context_->throttles->follower_moves.SetRate(move_rates_.follower());
}

// Of the topics whose partitions did not change: the others have theirs by now.
void ReplicaManagerImpl::ApplyConfigs(ImageChange& change) {
  for (const PartitionPtr& partition : AllPartitions()) {
    const Partition::TopicConfigPtr& config = ConfigOf(partition->name().topic, change);
    if (*config == *partition->config()) continue;
    partition->ApplyImage(
        {.partition = nullptr, .config = config, .index = change.after->last_index},
        change.effects);
    change.roles.push_back(partition);
  }
}

}  // namespace sluice::broker
