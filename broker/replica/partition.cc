// Partition: roles, configuration, regular upkeep and flushing.
#include "broker/replica/partition.h"

#include <algorithm>

#include "base/planted_fault.h"
#include "broker/replica/log_move.h"
#include "metadata/reassignment.h"

namespace sluice::broker {

storage::LogConfig LogConfigOf(const metadata::TopicConfig& topic) {
  storage::LogConfig config;
  config.segment_bytes = topic.segment_bytes;
  config.segment_ms = topic.segment_ms;
  config.retention_ms = topic.retention_ms;
  config.retention_bytes = topic.retention_bytes;
  config.index_interval_bytes = topic.index_interval_bytes;
  config.index_size_bytes_max = topic.segment_index_bytes;
  config.producer_id_expiration_ms = topic.producer_id_expiration_ms;
  config.cleanup_delete = topic.cleanup_delete;
  config.cleanup_compact = topic.cleanup_compact;
  config.min_cleanable_dirty_ratio = topic.min_cleanable_dirty_ratio;
  config.min_compaction_lag_ms = topic.min_compaction_lag_ms;
  config.max_compaction_lag_ms = topic.max_compaction_lag_ms;
  config.delete_retention_ms = topic.delete_retention_ms;
  // The active segment is not cleaned, so it must not stay active for longer than that.
  if (topic.cleanup_compact && topic.max_compaction_lag_ms > 0)
    config.segment_ms = std::min(config.segment_ms, topic.max_compaction_lag_ms);
  return config;
}

namespace {

// Until the topic's own is set.
const Partition::TopicConfigPtr& DefaultConfig() {
  static const auto* const config =
      new Partition::TopicConfigPtr(std::make_shared<metadata::TopicConfig>());
  return *config;
}

}  // namespace

Partition::Partition(Identity identity, Home home, std::shared_ptr<const PartitionContext> context)
    : identity_(std::move(identity)),
      context_(std::move(context)),
      log_(std::move(home.log)),
      directory_(std::move(home.directory)),
      flusher_(home.flusher),
      awaits_room_(home.awaits_room),
      error_(std::move(home.error)),
      damage_(home.damaged ? error_ : ""),
      config_(DefaultConfig()) {
  if (!context_->observed_topic.empty() && name().topic == context_->observed_topic)
    watch_.Start(&context_->observer, &identity_.key);
  if (log_ == nullptr) return;
  high_watermark_ = log_->log_start_offset();
  watch_.NoteEnd(log_->log_end_offset());
}

void Partition::Attach(Home home, Offset checkpointed) {
  std::lock_guard lock(mutex_);
  CHECK(log_ == nullptr && home.log != nullptr) << name().ToString();
  log_ = std::move(home.log);
  directory_ = std::move(home.directory);
  flusher_ = home.flusher;
  awaits_room_ = false;
  error_.clear();
  log_->set_config(LogConfigOf(*config_));
  high_watermark_ = std::clamp(checkpointed, log_->log_start_offset(), log_->log_end_offset());
  role_ = Role::kNone;
  watch_.NoteEnd(log_->log_end_offset());
}

bool Partition::awaits_room() const {
  std::lock_guard lock(mutex_);
  return awaits_room_;
}

bool Partition::in_use() const {
  std::lock_guard lock(mutex_);
  return usable();
}

bool Partition::refuses_appends() const {
  std::lock_guard lock(mutex_);
  return DiskFull();
}

double Partition::disk_pressure() const {
  std::lock_guard lock(mutex_);
  return directory_ == nullptr ? 0 : directory_->pressure();
}

void Partition::RestoreHighWatermark(Offset checkpointed) {
  std::lock_guard lock(mutex_);
  if (log_ == nullptr) return;
  high_watermark_ = std::clamp(checkpointed, log_->log_start_offset(), log_->log_end_offset());
}

void Partition::ApplyImage(const PartitionUpdate& update, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  // From the metadata loop, and from whoever has opened a log late: the latter's may be the older
  // one.
  if (update.index < image_index_) return;
  image_index_ = update.index;
  // First of all: what the new ISR has replicated counts by the new min.insync.replicas. With the
  // old one a record could be acknowledged that the controller's ELR lacks.
  const bool reconfigured = TakeConfig(update.config);
  if (update.partition != nullptr) TakeRole(*update.partition, effects);
  if (reconfigured) ConfigChanged(effects);
}

bool Partition::TakeConfig(const TopicConfigPtr& config) {
  if (config == nullptr || *config == *config_) return false;
  // What followers have told so far was not on their disks.
  if (config->fsync && !config_->fsync) replicas_.ForgetPositions();
  config_ = config;
  if (usable()) log_->set_config(LogConfigOf(*config_));
  return true;
}

// min.insync.replicas or the durability may have changed.
void Partition::ConfigChanged(PartitionEffects& effects) {
  if (!usable() || role_ != Role::kLeader) return;
  AfterAppend(effects);
  Acknowledge(effects);
}

void Partition::TakeRole(const metadata::PartitionImage& image, PartitionEffects& effects) {
  // Epochs go back only where the quorum has lost what it had committed.
  if (image.leader_epoch < leader_epoch_ || image.partition_epoch < partition_epoch_) return;
  if (usable()) NoteRead(log_->known_damage(), effects);
  if (image.leader == context_->state->node_id) {
    BecomeLeader(image, effects);
  } else {
    BecomeFollower(image, effects);
  }
}

namespace {

// By the image that is about to be taken, of a partition that this broker leads already.
void NoteJoined(const ReplicaSet& before, const metadata::PartitionImage& image,
                const storage::TopicPartition& name, IsrLog& log) {
  for (const NodeId id : image.isr) {
    if (!before.InIsr(id)) log.NoteJoined(name, id);
  }
}

}  // namespace

void Partition::BecomeLeader(const metadata::PartitionImage& image, PartitionEffects& effects) {
  replicas_.set_move({metadata::TargetOf(image), image.removing,
                      image.move_kib_per_second == 0 ? metadata::NodeList() : image.adding});
  const bool new_epoch = role_ != Role::kLeader || image.leader_epoch > leader_epoch_;
  if (!new_epoch) {
    if (image.partition_epoch == partition_epoch_) return;
    partition_epoch_ = image.partition_epoch;
    replication_factor_ = image.replication_factor();
    NoteJoined(replicas_, image, name(), *context_->isr_log);
    replicas_.Commit(image.replicas, image.isr);
    if (!usable()) return;
    AdvanceHighWatermark(effects);
    Acknowledge(effects);
    return;
  }
  // Each change of the leader raises the epoch by one, and so does a replica that is dropped. Once
  // up with the same leader it is the latter: nobody else has led, and what waits goes on to wait.
  const bool leads_on =
      role_ == Role::kLeader && usable() && image.leader_epoch == leader_epoch_ + 1;
  if (leads_on) NoteJoined(replicas_, image, name(), *context_->isr_log);
  if (!leads_on) {
    FailWaiters(kafka::ErrorCode::kNotLeaderOrFollower, effects);
    leads_since_ms_ = context_->clock->SteadyMs();
  }
  role_ = Role::kLeader;
  replication_factor_ = image.replication_factor();
  leader_ = image.leader;
  leader_epoch_ = image.leader_epoch;
  partition_epoch_ = image.partition_epoch;
  replicas_.StartEpoch(context_->state->node_id, image.replicas, image.isr,
                       context_->clock->SteadyMs());
  if (usable()) {
    epoch_start_ = log_->log_end_offset();
    // Noted even without records: followers of older epochs must find out here that their tails are
    // not ours (rule 2).
    NoteStorage(log_->AssignEpochStart(leader_epoch_, epoch_start_), effects);
  }
  RoleChanged(effects);
  if (usable()) AfterAppend(effects);
}

void Partition::BecomeFollower(const metadata::PartitionImage& image, PartitionEffects& effects) {
  const bool same =
      role_ == Role::kFollower && leader_ == image.leader && leader_epoch_ == image.leader_epoch;
  partition_epoch_ = image.partition_epoch;
  if (same) return;
  FailWaiters(kafka::ErrorCode::kNotLeaderOrFollower, effects);
  role_ = Role::kFollower;
  leader_ = image.leader;
  leader_epoch_ = image.leader_epoch;
  replicas_.DropProposal();
  if (FaultPlanted(ReplicationFault::kTruncatesToHighWatermark)) {
    NoteStorage(log_->TruncateTo(high_watermark_), effects);
    Truncated(effects);
  }
  RoleChanged(effects);
}

void Partition::RoleChanged(PartitionEffects& effects) {
  ++role_version_;
  watch_.Note(effects);
  FailDeletes(
      usable() ? kafka::ErrorCode::kNotLeaderOrFollower : kafka::ErrorCode::kKafkaStorageError,
      effects);
  for (FetchWaiters* waiters : {&follower_waiters_, &consumer_waiters_})
    waiters->TakeAll(effects.woken);
}

void Partition::FailWaiters(kafka::ErrorCode error, PartitionEffects& effects) {
  for (AckWaiter& waiter : ack_waiters_) {
    effects.acknowledgements.push_back({std::move(waiter.operation), waiter.entry, error});
  }
  ack_waiters_.clear();
}

Partition::TopicConfigPtr Partition::config() const {
  std::lock_guard lock(mutex_);
  return config_;
}

void Partition::Retire(bool removed, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  role_ = Role::kNone;
  leader_ = kNoNode;
  FailWaiters(kafka::ErrorCode::kNotLeaderOrFollower, effects);
  RoleChanged(effects);
  if (!removed || !usable()) return;
  // A flush that comes now would find its files gone, and take that for a failure.
  error_ = "the replica was removed from this broker";
  CompleteFlushWaiters(effects);
}

void Partition::Upkeep(int64_t now_ms, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  traffic_.Tick(now_ms);
  FlushOld(now_ms, effects);
  ExpireDeletes(now_ms, effects);
  if (role_ == Role::kLeader && usable() && high_watermark_ < log_->log_end_offset())
    LookWhoIsWaitedFor(effects);
  if (ack_waiters_.empty()) return;
  Acknowledge(effects);  // the lease may be valid again
  // Without it others may lead, and the client is to look for them. Told of a timeout, librdkafka
  // takes the batch for stored, and what the new leader then misses for the end of everything.
  const kafka::ErrorCode too_late = context_->state->LeaseValid(*context_->clock)
                                        ? kafka::ErrorCode::kRequestTimedOut
                                        : kafka::ErrorCode::kNotLeaderOrFollower;
  std::erase_if(ack_waiters_, [&](AckWaiter& waiter) {
    if (waiter.deadline_ms > now_ms && !waiter.operation->abandoned()) return false;
    effects.acknowledgements.push_back({std::move(waiter.operation), waiter.entry, too_late});
    return true;
  });
}

void Partition::ApplyRetention(PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  if (!usable() || role_ == Role::kNone) return;
  // Replicas delete each for itself, and never above the high watermark: what is deleted is on
  // every member of the ISR, or was.
  const Result<int> deleted = log_->ApplyRetention(high_watermark_);
  if (!deleted.ok()) NoteStorage(deleted.status(), effects);
  ForgetPassedDamage(effects);
  // Whatever the durability: else a replicated log's recovery point never moves, and a start after
  // a kill reads all of it.
  if (log_->has_unsynced_rolled_segment()) RequestFlush(effects);
}

void Partition::NoteStorage(const sluice::Status& status, PartitionEffects& effects) {
  if (status.ok() || !error_.empty()) return;
  // The log knows best: it goes offline also for want of a file or of a descriptor.
  const sluice::Status failure = log_->failure();
  if (failure.ok() && status.code() == StatusCode::kCorruption) return NoteRead(status, effects);
  const StatusCode cause = failure.ok() ? status.code() : failure.code();
  if (failure.ok() && cause != StatusCode::kIoError) return;
  LOG(ERROR) << name().ToString() << ": the log has failed and is offline: " << status.message();
  GoOffline(status.message(), effects);
  // Damaged bytes are this log's alone; what a failed disk did to the others is unknown.
  if (cause == StatusCode::kCorruption) {
    damage_ = status.message();
    context_->note_damage(key(), true);
  }
  if (cause != StatusCode::kCorruption) effects.storage_failures.push_back({directory_, status});
}

void Partition::GoOffline(const std::string& why, PartitionEffects& effects) {
  error_ = why;
  FailWaiters(kafka::ErrorCode::kKafkaStorageError, effects);
  CompleteFlushWaiters(effects);
  RoleChanged(effects);
}

void Partition::DirectoryFailed(const StorageFailure& failure, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  if (directory_ != failure.directory || !error_.empty()) return;
  GoOffline("its log directory has failed: " + failure.status.message(), effects);
}

void Partition::NoteRead(const sluice::Status& status, PartitionEffects& effects) {
  if (status.code() != StatusCode::kCorruption) return NoteStorage(status, effects);
  // Of one that was removed from this broker nothing is told any more.
  if (!damage_.empty() || !error_.empty()) return;
  damage_ = status.message();
  damage_placed_ = !log_->known_damage().ok();
  LOG(ERROR) << name().ToString()
             << " is damaged; reads of what is lost are refused, all others go on: " << damage_;
  context_->note_damage(key(), true);
}

void Partition::ForgetPassedDamage(PartitionEffects& effects) {
  if (damage_.empty() || !damage_placed_ || !usable() || !log_->known_damage().ok()) return;
  LOG(INFO) << name().ToString() << ": what was damaged has been deleted since: " << damage_;
  damage_.clear();
  context_->note_damage(key(), false);
  if (role_ != Role::kFollower) return;
  effects.callbacks.push_back(
      [context = context_, self = shared_from_this()] { context->follow_again(self); });
}

PartitionStatus Partition::Status() const {
  std::lock_guard lock(mutex_);
  PartitionStatus status;
  status.name = identity_.name;
  status.key = identity_.key;
  status.is_leader = role_ == Role::kLeader;
  status.leader_epoch = leader_epoch_;
  status.high_watermark = high_watermark_;
  status.directory = directory_;
  status.error = error_.empty() ? damage_ : error_;
  status.disk_away =
      !error_.empty() && (directory_ == nullptr || !directory_->online() || awaits_room_);
  status.in_rate = traffic_.in_rate();
  status.out_rate = traffic_.out_rate();
  if (const auto move = move_.lock()) status.future = move->future();
  if (log_ == nullptr) return status;
  status.log_start_offset = log_->log_start_offset();
  status.log_end_offset = log_->log_end_offset();
  status.size_bytes = log_->size_bytes();
  return status;
}

Offset Partition::high_watermark() const {
  std::lock_guard lock(mutex_);
  return high_watermark_;
}

Offset Partition::log_start_offset() const {
  std::lock_guard lock(mutex_);
  return log_ == nullptr ? Offset(0) : log_->log_start_offset();
}

bool Partition::is_leader() const {
  std::lock_guard lock(mutex_);
  return role_ == Role::kLeader;
}

Partition::FollowTarget Partition::follow_target() const {
  std::lock_guard lock(mutex_);
  if (role_ != Role::kFollower || !usable() || leader_ == kNoNode || !damage_.empty()) return {};
  return {leader_, leader_epoch_, config_->fsync};
}

std::optional<LeaderlessLogs::End> Partition::leaderless_end() const {
  std::lock_guard lock(mutex_);
  if (role_ != Role::kFollower || leader_ != kNoNode) return std::nullopt;
  LeaderlessLogs::End end{.replica = {key().topic_id, key().partition},
                          .leader_epoch = leader_epoch_};
  if (!usable()) return end;
  end.last_epoch = log_->latest_epoch();
  end.end_offset = log_->log_end_offset();
  return end;
}

void Partition::RequestFlush(PartitionEffects& effects) {
  if (!usable() || flush_queued_ || flushes_held_) return;
  if (log_->flushed_offset() >= log_->log_end_offset()) return;
  flush_queued_ = true;
  effects.AddFlush(*flusher_, shared_from_this());
}

void Partition::RequestDueFlush(PartitionEffects& effects) {
  const int64_t unflushed = log_->log_end_offset().value() - log_->flushed_offset().value();
  if (config_->fsync || unflushed >= config_->flush_messages) RequestFlush(effects);
}

void Partition::FlushOld(int64_t now_ms, PartitionEffects& effects) {
  if (config_->fsync || !usable()) return;
  const bool clean = log_->flushed_offset() >= log_->log_end_offset();
  if (!clean && now_ms - flush_timer_ms_ < config_->flush_ms) return;
  RequestFlush(effects);
  flush_timer_ms_ = now_ms;
}

storage::FlushTarget Partition::CaptureFlush() {
  std::lock_guard lock(mutex_);
  flush_queued_ = false;
  ++flushes_captured_;
  // It may have gone offline since it was submitted; its log is not touched then.
  if (!usable()) return {.upto = Offset(0), .status = sluice::Status::Unavailable(error_)};
  return log_->PrepareFlush();
}

void Partition::OnFlushed(std::span<const storage::Flushed> group) {
  PartitionEffects effects;
  const PartitionContext* context = nullptr;
  for (const storage::Flushed& flushed : group) {
    auto& partition = static_cast<Partition&>(*flushed.partition);
    partition.NoteFlushed(flushed.upto, flushed.outcome, effects);
    context = partition.context_.get();
  }
  if (context != nullptr) effects.Run(*context);
}

void Partition::NoteFlushed(Offset upto, const sluice::Status& outcome, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  --flushes_captured_;
  if (!usable()) return;
  // What a truncation since the capture takes away from the proof, the log knows.
  log_->OnFlushed(upto, outcome);
  NoteStorage(outcome, effects);
  if (!usable()) return;
  CompleteFlushWaiters(effects);
  if (role_ == Role::kLeader) AdvanceHighWatermark(effects);
  if (config_->fsync || !flush_waiters_.empty()) RequestFlush(effects);
}

void Partition::WhenFlushed(std::function<void()> done, PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  if (!usable() || log_->flushed_offset() >= log_->log_end_offset()) {
    effects.callbacks.push_back(std::move(done));
    return;
  }
  flush_waiters_.push_back({log_->log_end_offset(), std::move(done)});
  RequestFlush(effects);
}

void Partition::CompleteFlushWaiters(PartitionEffects& effects) {
  const bool all = !usable();
  std::erase_if(flush_waiters_, [&](FlushWaiter& waiter) {
    if (!all && waiter.upto > log_->flushed_offset()) return false;
    effects.callbacks.push_back(std::move(waiter.done));
    return true;
  });
}

}  // namespace sluice::broker
