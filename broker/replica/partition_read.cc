// Partition: fetches of consumers and followers, and lookups by time and by epoch.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/planted_fault.h"
#include "broker/replica/nearest_replica.h"
#include "broker/replica/partition.h"
#include "storage/no_waiting.h"

namespace sluice::broker {

using kafka::ErrorCode;

bool Partition::ServesNearby(const FetchRequestParams& fetch) const {
  return role_ == Role::kFollower && fetch.replica_id == kNoNode && !fetch.rack.empty() &&
         fetch.rack == context_->state->rack;
}

FetchEntryResult Partition::Read(const ReadRequest& request, ReadMark& mark,
                                 PartitionEffects& effects) {
  const FetchEntry& entry = *request.entry;
  const bool follower = request.fetch->replica_id != kNoNode;
  FetchEntryResult result;
  std::lock_guard lock(mutex_);
  const bool nearby = ServesNearby(*request.fetch);
  result.error = CheckLeader(entry.current_leader_epoch);
  if (nearby && result.error == ErrorCode::kNotLeaderOrFollower) result.error = ErrorCode::kNone;
  if (result.error == ErrorCode::kKafkaStorageError) result.error = ReadError(follower);
  if (result.error != ErrorCode::kNone) {
    result.leader = HintLocked();
    return result;
  }
  if (follower && replicas_.Find(request.fetch->replica_id) == nullptr) {
    result.error = ErrorCode::kReplicaNotAvailable;
    return result;
  }
  const Offset stable_end = follower ? high_watermark_ : StableEnd(result.error, effects);
  if (result.error != ErrorCode::kNone) result.error = ReadError(follower);
  result.log_start_offset = log_->log_start_offset();
  // Above its high watermark a follower's own history may be the one that is wrong.
  const bool comparable = !nearby || entry.fetch_offset <= high_watermark_;
  if (result.error == ErrorCode::kNone && comparable)
    result.diverging = DivergenceOf(entry, result.error);
  if (result.error == ErrorCode::kNone && !result.diverging.has_value()) {
    ReadPlaced(request, stable_end, mark, result, effects);
    if (result.lacking.any()) return result;
  }
  if (follower && result.diverging && FaultPlanted(ReplicationFault::kDivergingCounts))
    RecordFollower(request, mark, result, effects);
  // A follower that has to truncate or start over first does not take it over; had its fetch
  // session counted it as told, it would not be told again. Nor does a consumer take an error of a
  // follower for the last word, unless it comes with a high watermark.
  const bool settled = result.error == ErrorCode::kNone && !result.diverging.has_value();
  if (settled || (!follower && !nearby)) {
    result.high_watermark = high_watermark_;
    result.last_stable_offset = stable_end;
  }
  mark.readable_end = follower ? log_->log_end_offset() : high_watermark_;
  mark.role_version = role_version_;
  // As without a lease (FetchOperation): its offset and its history may be right where it read
  // last.
  const bool unknown = result.error == ErrorCode::kOffsetOutOfRange || result.diverging.has_value();
  if (unknown && !follower && !nearby && replicas_.MayBeRelieved()) {
    result = FetchEntryResult();
    result.error = ErrorCode::kNotLeaderOrFollower;
  }
  return result;
}

void Partition::ReadPlaced(const ReadRequest& request, Offset stable_end, ReadMark& mark,
                           FetchEntryResult& result, PartitionEffects& effects) {
  const FetchEntry& entry = *request.entry;
  const FetchRequestParams& fetch = *request.fetch;
  const bool follower = fetch.replica_id != kNoNode;
  const bool nearby = ServesNearby(fetch);
  result.nearby = nearby;
  const Offset end = log_->log_end_offset();
  if (entry.fetch_offset < result.log_start_offset || entry.fetch_offset > end) {
    // What a follower does not have yet the leader may have.
    const bool ahead = nearby && entry.fetch_offset > end;
    result.error = ahead ? ErrorCode::kOffsetNotAvailable : ErrorCode::kOffsetOutOfRange;
    return;
  }
  const metadata::ImagePtr image = fetch.rack.empty() ? nullptr : context_->metadata->Current();
  const metadata::PartitionImage* placed =
      image == nullptr ? nullptr : image->FindPartition(key().topic_id, key().partition);
  if (!follower && !nearby && placed != nullptr) {
    result.preferred =
        NearestReplica({*image, *placed, replicas_, context_->followers, context_->state->rack,
                        fetch.rack, fetch.listener, entry.fetch_offset});
    if (result.preferred != kNoNode) return;
  }
  const bool committed_only = fetch.read_committed && !follower;
  Offset readable_end = committed_only ? stable_end : high_watermark_;
  if (FaultPlanted(ReplicationFault::kReadsUncommitted)) readable_end = end;
  if (follower) {
    ReadForFollower(request, result, effects);
  } else {
    ReadLog(request, readable_end, result, effects);
  }
  if (nearby) {
    // Only one in sync may say that there is no more; the others would leave it waiting for ever.
    const bool in_sync =
        placed != nullptr && std::find(placed->isr.begin(), placed->isr.end(),
                                       context_->state->node_id) != placed->isr.end();
    if (in_sync || result.error != ErrorCode::kNone || result.lacking.any()) return;
    if (result.size_bytes > 0) return;
    result.error = ErrorCode::kNotLeaderOrFollower;
    result.leader = HintLocked();
    return;
  }
  result.end_unknown = !follower && entry.fetch_offset >= high_watermark_ && !Settled();
  // Only a fetch that proved its history the same says how far the follower is (rule 3). That does
  // not wait for what the answer lacks: a high watermark may.
  if (follower && result.error == ErrorCode::kNone) RecordFollower(request, mark, result, effects);
}

// One that is in sync gets all there is: acknowledgements wait for it. Of the others a move may be
// slowed down; where the next batch is larger than what the quota has left it goes all the same, as
// the quota's debt.
void Partition::ReadForFollower(const ReadRequest& request, FetchEntryResult& result,
                                PartitionEffects& effects) {
  ReadRequest allowed = request;
  const NodeId follower = request.fetch->replica_id;
  if (!replicas_.InIsr(follower)) {
    result.throttled = config_->leader_throttled.Has(key().partition, context_->state->node_id);
    result.slowed = replicas_.Slowed(follower);
  }
  if (result.throttled || result.slowed) {
    ReplicationThrottles& throttles = *context_->throttles;
    const int64_t none = std::numeric_limits<int64_t>::max();
    const int64_t available = std::min(result.throttled ? throttles.leader.Available() : none,
                                       result.slowed ? throttles.leader_moves.Available() : none);
    if (available == 0 || (request.size_bytes_max == 0 && !request.one_at_least)) return;
    allowed.size_bytes_max =
        std::min(request.size_bytes_max, static_cast<size_t>(std::max<int64_t>(available, 0)));
    allowed.one_at_least = true;
  }
  ReadLog(allowed, log_->log_end_offset(), result, effects);
}

std::optional<storage::EpochEndOffset> Partition::DivergenceOf(const FetchEntry& entry,
                                                               ErrorCode& error) const {
  if (entry.last_fetched_epoch == kNoEpoch || FaultPlanted(ReplicationFault::kDivergenceUntold))
    return std::nullopt;
  const storage::EpochEndOffset end = log_->EndOffsetFor(entry.last_fetched_epoch);
  const Offset log_start = log_->log_start_offset();
  if (end.epoch == kNoEpoch) {
    // All that is left here is of later epochs than the reader's last: the two can only agree below
    // our start.
    if (entry.fetch_offset == log_start) return std::nullopt;
    if (entry.fetch_offset < log_start) {
      error = ErrorCode::kOffsetOutOfRange;
      return std::nullopt;
    }
    return storage::EpochEndOffset{entry.last_fetched_epoch, log_start};
  }
  if (end.epoch < entry.last_fetched_epoch || end.end_offset < entry.fetch_offset) return end;
  return std::nullopt;
}

void Partition::ReadLog(const ReadRequest& request, Offset readable_end, FetchEntryResult& result,
                        PartitionEffects& effects) {
  const Offset from = request.entry->fetch_offset;
  if (from >= readable_end) return;
  const size_t limit =
      std::min<size_t>(std::max(request.entry->size_bytes_max, 0), request.size_bytes_max);
  if (limit == 0 && !request.one_at_least) return;
  const storage::NoWaiting no_waiting(*log_, request.may_wait ? nullptr : &result.lacking);
  Result<storage::ReadResult> read = log_->Read(from, limit, readable_end, request.one_at_least);
  if (read.status().code() == StatusCode::kWouldWait) return;
  if (!read.ok()) {
    NoteRead(read.status(), effects);
    result.error = ReadError(request.fetch->replica_id != kNoNode);
    return;
  }
  result.records = std::move(read->slices);
  result.size_bytes = read->size_bytes;
  const bool committed_only = request.fetch->read_committed && request.fetch->replica_id == kNoNode;
  if (committed_only && result.size_bytes > 0) ReadAborted(request, result, effects);
}

void Partition::ReadAborted(const ReadRequest& request, FetchEntryResult& result,
                            PartitionEffects& effects) {
  auto aborted =
      log_->AbortedInRead({request.entry->fetch_offset, high_watermark_}, result.size_bytes);
  if (aborted.ok()) {
    result.aborted = std::move(*aborted);
    return;
  }
  // Without them the records of aborted transactions would pass for committed ones.
  result.records.clear();
  result.size_bytes = 0;
  if (aborted.status().code() == StatusCode::kWouldWait) return;
  NoteRead(aborted.status(), effects);
  result.error = ReadError(/*follower=*/false);
}

// Clients take KAFKA_STORAGE_ERROR for a leader on its way to another broker: they ask again and
// show nothing. So it is while others are in sync. Damage where nobody else is stays until somebody
// mends it, and their user has to know.
ErrorCode Partition::ReadError(bool follower) const {
  const bool stays = !damage_.empty() && role_ == Role::kLeader && replicas_.isr().size() <= 1;
  return stays && !follower ? ErrorCode::kCorruptMessage : ErrorCode::kKafkaStorageError;
}

Offset Partition::StableEnd(ErrorCode& error, PartitionEffects& effects) {
  const Result<Offset> stable = log_->LastStableOffset(high_watermark_);
  if (stable.ok()) return *stable;
  NoteRead(stable.status(), effects);
  error = ErrorCode::kKafkaStorageError;
  return high_watermark_;
}

void Partition::RecordFollower(const ReadRequest& request, ReadMark& mark, FetchEntryResult& result,
                               PartitionEffects& effects) {
  RemoteReplica& remote = *replicas_.Find(request.fetch->replica_id);
  const bool first = !std::exchange(mark.recorded, true);
  // One that has not heard yet that the topic is in fsync mode gets records, and counts for
  // nothing.
  const bool promises =
      request.fetch->flushed || !config_->fsync || FaultPlanted(ReplicationFault::kCountsUnflushed);
  if (first && promises) {
    const bool counted =
        replicas_.RecordFetch(remote, request.entry->fetch_offset, request.fetch->replica_epoch,
                              log_->log_end_offset(), context_->clock->SteadyMs());
    if (!counted) {
      // From a former life of that broker; nobody waits for this answer.
      result = FetchEntryResult();
      result.error = ErrorCode::kNotLeaderOrFollower;
      result.leader = HintLocked();
      return;
    }
    remote.log_start_offset = request.entry->log_start_offset;
    MaybeExpandIsr(remote, effects);
    AdvanceHighWatermark(effects);
    CompleteDeletes(effects);
  }
  // What finds no data at its first read parks, and has not been answered yet.
  if (result.lacking.any() || (result.size_bytes == 0 && first)) return;
  remote.sent_high_watermark = high_watermark_;
  remote.sent_log_start = log_->log_start_offset();
}

PartitionWatchResult Partition::Watch(const std::shared_ptr<FetchWaiter>& waiter, NodeId replica_id,
                                      ReadMark& mark) {
  std::lock_guard lock(mutex_);
  const bool follower = replica_id != kNoNode;
  const Offset readable_end = !follower         ? high_watermark_
                              : log_ == nullptr ? mark.readable_end
                                                : log_->log_end_offset();
  if (role_version_ != mark.role_version || readable_end != mark.readable_end) return {};
  // Fetches that another partition has answered stay parked here for a while; they hold next to no
  // memory.
  (follower ? follower_waiters_ : consumer_waiters_).Add(waiter, mark.parked_round);
  PartitionWatchResult result{.parked = true};
  if (RemoteReplica* remote = follower ? replicas_.Find(replica_id) : nullptr; remote != nullptr) {
    const Offset log_start = log_ == nullptr ? remote->sent_log_start : log_->log_start_offset();
    result.nudge =
        remote->sent_high_watermark != high_watermark_ || remote->sent_log_start != log_start;
    remote->sent_high_watermark = high_watermark_;
    remote->sent_log_start = log_start;
  }
  return result;
}

LeaderEpoch Partition::EpochAt(Offset offset) const {
  // The smallest epoch that ends above `offset`; ends ascend with epochs.
  int32_t low = 0;
  int32_t high = log_->latest_epoch().value();
  if (high < 0) return kNoEpoch;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    const storage::EpochEndOffset end = log_->EndOffsetFor(LeaderEpoch(middle));
    if (end.epoch != kNoEpoch && end.end_offset > offset) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return LeaderEpoch(low);
}

ListOffsetsResult Partition::FindOffset(const ListOffsetsEntry& entry, storage::Lacking* lacking,
                                        PartitionEffects& effects) {
  constexpr int64_t kLatest = -1, kEarliest = -2, kMaxTimestamp = -3, kEarliestLocal = -4,
                    kLatestTiered = -5;
  ListOffsetsResult result;
  std::lock_guard lock(mutex_);
  result.error = CheckLeader(entry.current_leader_epoch);
  if (result.error == ErrorCode::kKafkaStorageError) result.error = ReadError(/*follower=*/false);
  if (result.error != ErrorCode::kNone) return result;
  const Offset readable_end =
      entry.read_committed ? StableEnd(result.error, effects) : high_watermark_;
  if (result.error != ErrorCode::kNone) result.error = ReadError(/*follower=*/false);
  if (result.error != ErrorCode::kNone) return result;
  if (entry.timestamp_ms == kLatest) {
    // Without a lease, in the midst of a stop, or at the end of a move away from here, the end may
    // be elsewhere by now.
    const BrokerState& state = *context_->state;
    const bool may_tell = FaultPlanted(ReplicationFault::kEndsWhileStopping)
                              ? state.LeaseValid(*context_->clock)
                              : state.MayTellEnds(*context_->clock);
    const bool relieved =
        replicas_.MayBeRelieved() && !FaultPlanted(ReplicationFault::kEndsWhileRelieved);
    if (relieved || (!may_tell && !FaultPlanted(ReplicationFault::kLeaseIgnored))) {
      result.error = ErrorCode::kNotLeaderOrFollower;
      return result;
    }
    result.found = {-1, readable_end, log_->latest_epoch()};
    if (!Settled() && !FaultPlanted(ReplicationFault::kEndBeforeSettled))
      result = {ErrorCode::kOffsetNotAvailable, {}};
    return result;
  }
  if (entry.timestamp_ms == kEarliest || entry.timestamp_ms == kEarliestLocal) {
    result.found = {-1, log_->log_start_offset(), EpochAt(log_->log_start_offset())};
    return result;
  }
  if (entry.timestamp_ms == kLatestTiered) return result;  // nothing is tiered
  if (entry.timestamp_ms < kMaxTimestamp) {
    result.error = ErrorCode::kUnsupportedVersion;
    return result;
  }
  const storage::NoWaiting no_waiting(*log_, lacking);
  const auto found = entry.timestamp_ms == kMaxTimestamp
                         ? log_->MaxTimestamp(readable_end)
                         : log_->FindTimestamp(entry.timestamp_ms, readable_end);
  if (found.status().code() == StatusCode::kWouldWait) return result;
  if (!found.ok()) {
    NoteRead(found.status(), effects);
    result.error = ReadError(/*follower=*/false);
  } else if (found->has_value()) {
    result.found = **found;
  } else if (!Settled()) {
    result.error = ErrorCode::kOffsetNotAvailable;
  }
  return result;
}

LocalState Partition::TakeLocalState() {
  LocalState state;
  std::lock_guard lock(mutex_);
  state.lowest_end = watch_.Look();
  state.usable = usable();
  state.is_leader = role_ == Role::kLeader;
  state.leader_epoch = leader_epoch_;
  state.epoch_start = epoch_start_;
  state.high_watermark = high_watermark_;
  if (log_ != nullptr) state.log_start = log_->log_start_offset();
  return state;
}

LocalRead Partition::ReadLocal(Offset from, size_t size_bytes_max, bool may_wait,
                               PartitionEffects& effects) {
  LocalRead result;
  std::lock_guard lock(mutex_);
  if (!usable()) {
    result.error = ErrorCode::kKafkaStorageError;
    return result;
  }
  if (from < log_->log_start_offset() || from > high_watermark_) {
    result.error = ErrorCode::kOffsetOutOfRange;
    return result;
  }
  const storage::NoWaiting no_waiting(*log_, may_wait ? nullptr : &result.lacking);
  Result<storage::ReadResult> read =
      log_->Read(from, size_bytes_max, high_watermark_, /*one_at_least=*/true);
  if (read.status().code() == StatusCode::kWouldWait) return result;
  if (!read.ok()) {
    NoteRead(read.status(), effects);
    result.error = ErrorCode::kKafkaStorageError;
    return result;
  }
  result.records = std::move(read->slices);
  result.size_bytes = read->size_bytes;
  return result;
}

EpochEndResult Partition::FindEpochEnd(const EpochEndEntry& entry) const {
  EpochEndResult result;
  std::lock_guard lock(mutex_);
  result.error = CheckLeader(entry.current_leader_epoch);
  if (result.error != ErrorCode::kNone) return result;
  // Of an epoch to come there is nothing to say; of one in the past, where it ended.
  if (entry.asked != kNoEpoch && entry.asked <= log_->latest_epoch())
    result.end = log_->EndOffsetFor(entry.asked);
  return result;
}

}  // namespace sluice::broker
