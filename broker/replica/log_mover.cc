#include "broker/replica/log_mover.h"

#include <utility>

namespace sluice::broker {
namespace {

constexpr int64_t kIdleMs = 500;     // until there may be room, or a record
constexpr int64_t kMetadataMs = 20;  // how often to look whether the controller knows
constexpr int64_t kTellAgainMs = 5000;
constexpr int64_t kFlushMs = 1;  // how often to look whether a flush has ended
constexpr size_t kUnflushedBytesMax = size_t{1}
                                      << 20;  // in the last step, under the partition's mutex

}  // namespace

kafka::ErrorCode LogMover::Begin(const std::shared_ptr<Partition>& partition,
                                 const storage::DirectoryPtr& target) {
  const auto running = std::make_shared<Running>();
  RunningPtr replaced;
  LogMove::Begun begun;
  {
    std::lock_guard lock(mutex_);
    const auto known = moves_.find(partition->key());
    if (known != moves_.end()) {
      if (known->second->move->target() == target) return kafka::ErrorCode::kNone;
      replaced = known->second;
    }
    running->move = std::make_shared<LogMove>(partition, target);
    begun = running->move->Begin();
    if (begun == LogMove::Begun::kOffline) return kafka::ErrorCode::kKafkaStorageError;
    if (replaced != nullptr) moves_.erase(known);
    if (begun == LogMove::Begun::kMoves) moves_[partition->key()] = running;
  }
  if (replaced != nullptr) {
    replaced->given_up = true;
    Schedule(replaced, 0);
  }
  if (begun == LogMove::Begun::kThere) return kafka::ErrorCode::kNone;
  LOG(INFO) << partition->name().ToString() << " moves to log directory " << target->path();
  Schedule(running, 0);
  return kafka::ErrorCode::kNone;
}

void LogMover::Stop() {
  std::lock_guard running(step_mutex_);
  stopped_ = true;
  std::lock_guard lock(mutex_);
  moves_.clear();
}

void LogMover::Schedule(const RunningPtr& running, int64_t wait_ms) {
  auto step = [weak = weak_from_this(), running] {
    if (const auto self = weak.lock()) self->Step(running);
  };
  if (wait_ms == 0)
    options_.loop->Post(std::move(step));
  else
    options_.loop->RunAfter(wait_ms, std::move(step));
}

void LogMover::Step(const RunningPtr& running) {
  const std::lock_guard one_step(step_mutex_);
  if (stopped_ || running->ended) return;
  PartitionEffects effects;
  std::optional<int64_t> wait_ms;
  if (running->given_up)
    GiveUp(*running, Status::Unavailable("another directory was asked for"), effects);
  else
    wait_ms = Advance(*running, effects);
  effects.Run(*options_.context);
  if (wait_ms) return Schedule(running, *wait_ms);
  running->ended = true;
  std::lock_guard lock(mutex_);
  const auto known = moves_.find(running->move->partition()->key());
  if (known != moves_.end() && known->second == running) moves_.erase(known);
}

std::optional<int64_t> LogMover::Advance(Running& running, PartitionEffects& effects) {
  LogMove& move = *running.move;
  ReplicationQuota& quota = options_.context->throttles->disk_moves;
  const Result<LogMove::Progress> progress = move.CopyNext(*options_.logs, quota);
  if (progress.ok() && *progress == LogMove::Progress::kCaughtUp) return CaughtUp(running, effects);
  // Acknowledgements wait for them.
  if (std::exchange(running.holds_flushes, false)) move.ReleaseFlushes(effects);
  if (progress.status().code() == StatusCode::kDiskFull) return kIdleMs;
  if (!progress.ok()) {
    GiveUp(running, progress.status(), effects);
    return std::nullopt;
  }
  switch (*progress) {
    case LogMove::Progress::kThrottled: return std::max<int64_t>(quota.WaitMs(), 1);
    case LogMove::Progress::kNoRoom:
    case LogMove::Progress::kGap: return kIdleMs;
    default: return 0;
  }
}

std::optional<int64_t> LogMover::CaughtUp(Running& running, PartitionEffects& effects) {
  LogMove& move = *running.move;
  // Between this and the last step the log is to get few records: no flush that need not be.
  if (move.unflushed_bytes() > kUnflushedBytesMax || !running.told) {
    if (const Status flushed = move.Flush(); !flushed.ok()) {
      GiveUp(running, flushed, effects);
      return std::nullopt;
    }
  }
  if (running.told && MetadataHasIt(move)) return TrySwap(running, effects);
  const int64_t now_ms = options_.clock->SteadyMs();
  if (!running.told || now_ms - running.told_ms >= kTellAgainMs) {
    running.told = true;
    running.told_ms = now_ms;
    options_.assigner->Submit(move.partition()->key(), move.target()->id(), /*moved=*/true);
  }
  return kMetadataMs;
}

bool LogMover::MetadataHasIt(const LogMove& move) const {
  const PartitionKey& key = move.partition()->key();
  const metadata::ImagePtr image = options_.metadata->Current();
  const metadata::PartitionImage* partition = image->FindPartition(key.topic_id, key.partition);
  return partition != nullptr &&
         partition->DirectoryOf(options_.state->node_id) == move.target()->id();
}

std::optional<int64_t> LogMover::TrySwap(Running& running, PartitionEffects& effects) {
  LogMove& move = *running.move;
  running.holds_flushes = true;
  if (!move.HoldFlushes()) return kFlushMs;
  // Where the replica is gone the next step finds that out.
  LogMove::Swapped swapped = LogMove::Swapped::kNotYet;
  options_.exclusively(move.partition(), [&] {
    swapped = move.Swap(*options_.logs, options_.flusher_of(*move.target()), effects);
  });
  if (swapped == LogMove::Swapped::kNotYet) {
    running.holds_flushes = false;
    move.ReleaseFlushes(effects);
    return 0;
  }
  if (swapped == LogMove::Swapped::kFailed) {
    GiveUp(running, move.failure(), effects);
    return std::nullopt;
  }
  LOG(INFO) << move.partition()->name().ToString() << " has moved to log directory "
            << move.target()->path();
  return std::nullopt;
}

void LogMover::GiveUp(Running& running, const Status& why, PartitionEffects& effects) {
  LogMove& move = *running.move;
  const LogMove::Left left = move.GiveUp(effects);
  const storage::DirectoryPtr& stays = left.directory;
  LOG(WARNING) << move.partition()->name().ToString() << " does not move to log directory "
               << move.target()->path() << ", and stays in "
               << (stays == nullptr ? "none" : stays->path()) << ": " << why.message();
  const bool target_failed = why.code() == StatusCode::kIoError;
  if (target_failed) effects.storage_failures.push_back({move.target(), why});
  bool ours = false;
  options_.exclusively(move.partition(), [&ours] { ours = true; });
  std::function<void()> drop = move.Drop(*options_.logs);
  if (!ours) return drop();
  // It may be the last that can be read of the log. The next start finds it.
  if (target_failed || !left.usable) drop = nullptr;
  if (running.told && stays != nullptr)
    // While the metadata may have the new directory, a start has to find the copy there.
    options_.assigner->Submit(move.partition()->key(), stays->id(), /*moved=*/true, drop);
  else if (drop)
    drop();
}

}  // namespace sluice::broker
