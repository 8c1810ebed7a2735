// ReplicaManager: its life, and what it does by the clock.
#include "broker/replica/replica_manager.h"

#include <algorithm>
#include <mutex>

#include "broker/replica/replica_manager_impl.h"
#include "metadata/server_config.h"

namespace sluice::broker {
namespace {

constexpr int64_t kUpkeepMs = 100;
constexpr int64_t kIsrLineMs = 1000;  // at most one line about ISRs in that time

// What callers own. The implementation lives on while a task on a loop or a flusher still holds it.
class ReplicaManagerHandle final : public ReplicaManager {
 public:
  explicit ReplicaManagerHandle(ReplicaManagerOptions options)
      : impl_(std::make_shared<ReplicaManagerImpl>(std::move(options))) {
    impl_->Start();
  }
  ~ReplicaManagerHandle() override { impl_->Stop(); }

  void Produce(ProduceRequestParams params, ProduceOperation::Done done) override {
    impl_->Produce(std::move(params), std::move(done));
  }
  void Fetch(FetchRequestParams params, FetchOperation::Done done) override {
    impl_->Fetch(std::move(params), std::move(done));
  }
  void ListOffsets(std::vector<ListOffsetsEntry> entries, ParkedRequests* client,
                   ListOffsetsOperation::Done done) override {
    impl_->ListOffsets(std::move(entries), client, std::move(done));
  }
  std::vector<EpochEndResult> OffsetsForLeaderEpoch(
      const std::vector<EpochEndEntry>& entries) override {
    return impl_->OffsetsForLeaderEpoch(entries);
  }
  void DeleteRecords(DeleteRecordsParams params, DeleteRecordsOperation::Done done) override {
    impl_->DeleteRecords(std::move(params), std::move(done));
  }
  std::optional<LocalState> TakeLocalState(const PartitionKey& key) override {
    return impl_->TakeLocalState(key);
  }
  LocalRead ReadLocal(const PartitionKey& key, Offset from, size_t size_bytes_max) override {
    return impl_->ReadLocal(key, from, size_bytes_max);
  }
  std::vector<kafka::ErrorCode> AlterLogDirs(
      const std::vector<AlterLogDirEntry>& entries) override {
    return impl_->AlterLogDirs(entries);
  }
  void KeepBrokerEpoch(BrokerEpoch epoch, std::function<void()> done) override {
    impl_->KeepBrokerEpoch(epoch, std::move(done));
  }
  std::vector<PartitionStatus> Status() const override { return impl_->Statuses(); }
  storage::CompactorStats CompactionStats() const override { return impl_->CompactionStats(); }
  std::map<storage::TopicPartition, Offset> Stop() override { return impl_->Stop(); }

 private:
  const std::shared_ptr<ReplicaManagerImpl> impl_;
};

// Where nothing else is given, topics inherit the defaults of the table.
const ConfigValues* DefaultServerConfig() {
  static const ConfigValues* const values = new ConfigValues(metadata::ServerConfigKeys());
  return values;
}

}  // namespace

std::unique_ptr<ReplicaManager> ReplicaManager::Create(ReplicaManagerOptions options) {
  return std::make_unique<ReplicaManagerHandle>(std::move(options));
}

ReplicaManagerImpl::ReplicaManagerImpl(ReplicaManagerOptions options)
    : options_(std::make_shared<ReplicaManagerOptions>(std::move(options))),
      background_loop_(options_->background_loop != nullptr ? *options_->background_loop
                                                            : *options_->loop) {
  if (options_->server_config == nullptr) options_->server_config = DefaultServerConfig();
}

void ReplicaManagerImpl::Start() {
  const std::weak_ptr<ReplicaManagerImpl> weak = weak_from_this();
  context_ = std::make_shared<PartitionContext>();
  context_->isr_log = std::make_shared<IsrLog>();
  sender_ = std::make_shared<AlterPartitionSender>(*options_->state, *options_->controller,
                                                   *options_->loop);
  assigner_ =
      std::make_shared<DirectoryAssigner>(*options_->state, *options_->controller, *options_->loop);
  fetchers_ = std::make_shared<FetcherPool>(FetcherEnvironment{options_, context_});
  context_->clock = options_->clock;
  context_->state = options_->state;
  context_->metadata = options_->metadata;
  context_->replica_lag_ms_max = options_->replica_lag_ms_max;
  context_->throttles = std::make_shared<ReplicationThrottles>(*options_->clock);
  context_->observed_topic = options_->observed_topic;
  context_->observer = options_->observer;
  context_->propose_isr = [sender = std::weak_ptr(sender_)](IsrProposal proposal) {
    if (const auto to = sender.lock()) to->Submit(std::move(proposal));
  };
  context_->report_storage_failure = [weak](const StorageFailure& failure) {
    if (const auto self = weak.lock()) self->ReportStorageFailure(failure);
  };
  context_->note_damage = [state = options_->state](const PartitionKey& replica, bool damaged) {
    const DamagedLogs::Replica which{replica.topic_id, replica.partition};
    damaged ? state->damaged.Add(which) : state->damaged.Remove(which);
  };
  context_->follow_again = [pool = std::weak_ptr(fetchers_)](const PartitionPtr& partition) {
    if (const auto to = pool.lock()) to->Refresh(partition);
  };
  MakeMover();
  MakeSyncProof();
  options_->metadata->AddListener(
      [weak](const metadata::ImagePtr& before, const metadata::ImagePtr& after) {
        if (const auto self = weak.lock()) self->OnImage(before, after);
      });
  Every(*options_->loop, kUpkeepMs, &ReplicaManagerImpl::Upkeep);
  Every(background_loop_, options_->high_watermark_checkpoint_interval_ms,
        &ReplicaManagerImpl::CheckpointHighWatermarks);
  Every(background_loop_, options_->retention_check_interval_ms,
        &ReplicaManagerImpl::ApplyRetention);
  Every(background_loop_, options_->space_check_interval_ms, &ReplicaManagerImpl::CheckSpace);
  StartCompactor();
}

void ReplicaManagerImpl::MakeSyncProof() {
  sync_proof_ = std::make_shared<SyncProof>(SyncProof::Surroundings{
      .state = options_->state,
      .loop = options_->loop,
      .context = context_,
      .partitions =
          [weak = weak_from_this()] {
            const auto self = weak.lock();
            return self == nullptr ? std::vector<PartitionPtr>() : self->AllPartitions();
          },
      .holds =
          [weak = weak_from_this()](const PartitionPtr& partition) {
            const auto self = weak.lock();
            return self != nullptr && self->Find(partition->key()) == partition;
          }});
}

void ReplicaManagerImpl::StartCompactor() {
  CompactionOptions& wanted = options_->compaction;
  if (wanted.loops.empty()) return;
  storage::CompactorOptions options;
  options.loops = wanted.loops;
  options.file_system = wanted.file_system;
  options.targets = [weak = weak_from_this()] {
    std::vector<std::shared_ptr<storage::CompactionTarget>> targets;
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return targets;
    const std::vector<PartitionPtr> all = self->AllPartitions();
    targets.assign(all.begin(), all.end());
    return targets;
  };
  options.cleaned_upto = [logs = options_->logs](const storage::TopicPartition& partition) {
    return logs->CleanedUpto(partition);
  };
  options.set_cleaned_upto = [logs = options_->logs](const storage::TopicPartition& partition,
                                                     Offset offset) {
    return logs->SetCleanedUpto(partition, offset);
  };
  options.sync_failed = [weak = weak_from_this()](const storage::TopicPartition& partition,
                                                  const Status& why) {
    const auto self = weak.lock();
    if (self != nullptr)
      self->ReportStorageFailure({self->options_->logs->DirectoryOf(partition), why});
  };
  options.tombstones_stay_from = wanted.tombstones_stay_from;
  options.random = wanted.random.Fork();
  options.dedupe_buffer_bytes = wanted.dedupe_buffer_bytes;
  options.dedupe_load_factor = wanted.dedupe_load_factor;
  options.io_bytes_per_second_max = wanted.io_bytes_per_second_max;
  options.backoff_ms = wanted.backoff_ms;
  compactor_ = storage::Compactor::Start(std::move(options));
}

void ReplicaManager::OnFlushed(std::span<const storage::Flushed> group) {
  Partition::OnFlushed(group);
}

storage::CompactorStats ReplicaManagerImpl::CompactionStats() const {
  return compactor_ == nullptr ? storage::CompactorStats() : compactor_->stats();
}

std::map<storage::TopicPartition, Offset> ReplicaManagerImpl::Stop() {
  if (!stopped_.exchange(true)) {
    if (compactor_ != nullptr) compactor_->Stop();
    mover_->Stop();
    sync_proof_->Stop();
    PartitionEffects effects;
    for (const PartitionPtr& partition : AllPartitions())
      partition->Retire(/*removed=*/false, effects);
    effects.Run(*context_);
    fetchers_->Stop();
    for (const storage::DirectoryPtr& directory : options_->logs->directories())
      options_->flusher_of(*directory).Drain();
  }
  return HighWatermarks();
}

void ReplicaManagerImpl::Every(EventLoop& loop, int64_t interval_ms,
                               void (ReplicaManagerImpl::*task)()) {
  loop.RunAfter(interval_ms, [weak = weak_from_this(), &loop, interval_ms, task] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    (self.get()->*task)();
    self->Every(loop, interval_ms, task);
  });
}

ReplicaManagerImpl::PartitionPtr ReplicaManagerImpl::Find(const PartitionKey& key) const {
  std::shared_lock lock(mutex_);
  const auto found = partitions_.find(key);
  return found == partitions_.end() ? nullptr : found->second;
}

std::vector<ReplicaManagerImpl::PartitionPtr> ReplicaManagerImpl::AllPartitions() const {
  std::shared_lock lock(mutex_);
  std::vector<PartitionPtr> all;
  all.reserve(partitions_.size());
  for (const auto& [key, partition] : partitions_) all.push_back(partition);
  return all;
}

void ReplicaManagerImpl::Upkeep() {
  const int64_t now_ms = options_->clock->SteadyMs();
  const bool shrink = now_ms >= next_shrink_ms_;
  if (shrink) next_shrink_ms_ = now_ms + options_->replica_lag_ms_max / 2;
  PartitionEffects effects;
  for (const PartitionPtr& partition : AllPartitions()) {
    partition->Upkeep(now_ms, effects);
    if (shrink) partition->ShrinkIsr(effects);
  }
  effects.Run(*context_);
  TellLeaderlessEnds();
  TellIsrChanges(now_ms);
}

// A node that comes back joins hundreds of ISRs within a second: that is one line.
void ReplicaManagerImpl::TellIsrChanges(int64_t now_ms) {
  if (now_ms < next_isr_line_ms_) return;
  const std::string summary = context_->isr_log->TakeSummary();
  if (summary.empty()) return;
  LOG(INFO) << summary;
  next_isr_line_ms_ = now_ms + kIsrLineMs;
}

// Here and not when the heartbeat is due: that must not wait for a partition's mutex.
void ReplicaManagerImpl::TellLeaderlessEnds() {
  LeaderlessLogs& leaderless = options_->state->leaderless;
  std::vector<LeaderlessLogs::End> ends;
  for (const auto& [topic_id, index] : leaderless.NextToTell()) {
    const PartitionPtr partition = Find({topic_id, index});
    if (partition == nullptr) continue;
    if (const auto end = partition->leaderless_end()) ends.push_back(*end);
  }
  if (!ends.empty()) leaderless.Offer(std::move(ends));
}

std::map<storage::TopicPartition, Offset> ReplicaManagerImpl::HighWatermarks() const {
  std::map<storage::TopicPartition, Offset> offsets;
  for (const PartitionPtr& partition : AllPartitions())
    offsets[partition->name()] = partition->high_watermark();
  return offsets;
}

void ReplicaManagerImpl::CheckpointHighWatermarks() {
  std::vector<Checkpointed> now;
  for (const PartitionPtr& partition : AllPartitions())
    now.push_back({partition->key(), partition->high_watermark(), partition->log_start_offset()});
  if (now == checkpointed_) return;
  bool all_written = true;
  for (const auto& [directory, failure] : options_->logs->WriteCheckpoints(HighWatermarks())) {
    if (const auto often = no_checkpoint_.Failed(options_->clock->SteadyMs()))
      LOG(ERROR) << "writing the checkpoints: " << failure.ToString() << *often;
    if (failure.code() == StatusCode::kIoError) ReportStorageFailure({directory, failure});
    all_written = false;
  }
  if (!all_written) return;
  LOG_IF(INFO, no_checkpoint_.Over()) << "the checkpoints are written again";
  checkpointed_ = std::move(now);
}

void ReplicaManagerImpl::ApplyRetention() {
  PartitionEffects effects;
  for (const PartitionPtr& partition : AllPartitions()) partition->ApplyRetention(effects);
  effects.Run(*context_);
}

std::vector<PartitionStatus> ReplicaManagerImpl::Statuses() const {
  std::vector<PartitionStatus> statuses;
  for (const PartitionPtr& partition : AllPartitions()) statuses.push_back(partition->Status());
  return statuses;
}

}  // namespace sluice::broker
