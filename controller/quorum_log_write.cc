// The writing half of QuorumLog: what happens on the IO loop.
#include <algorithm>
#include <utility>

#include "controller/quorum_log.h"

namespace sluice::controller {
namespace {

constexpr int64_t kIdleMs = 1000;

Offset ToOffset(LogIndex index) { return Offset(index.value()); }
LogIndex ToIndex(Offset offset) { return LogIndex(offset.value()); }

}  // namespace

void QuorumLog::Persist(raft::PersistRequest request, std::function<void(Status)> done) {
  std::lock_guard lock(queue_mutex_);
  queue_.push_back({std::move(request), std::move(done)});
  WakeDisk();
}

void QuorumLog::ReadSnapshot(const raft::SnapshotRead& read,
                             std::function<void(Result<raft::SnapshotChunk>)> done) {
  AfterWrites<raft::SnapshotChunk>([this, read] { return snapshots_.ReadChunk(read); },
                                   std::move(done));
}

void QuorumLog::LoadReceived(std::function<void(Result<raft::Snapshot>)> done) {
  AfterWrites<raft::Snapshot>([this] { return receiver_.Load(); }, std::move(done));
}

template <typename T>
void QuorumLog::AfterWrites(std::function<Result<T>()> read, std::function<void(Result<T>)> done) {
  std::lock_guard lock(queue_mutex_);
  reads_.push_back([this, read = std::move(read), done = std::move(done)] {
    Result<T> result = failure_.ok() ? read() : Result<T>(failure_);
    options_.loop->Post([done, result = std::move(result)]() mutable { done(std::move(result)); });
  });
  WakeDisk();
}

// Under queue_mutex_.
void QuorumLog::WakeDisk() {
  if (busy_) return;
  busy_ = true;
  options_.io_loop->Post([this] { TakeTurn(); });
}

// Takes all writes that have gathered while the last group was on its way to the disk, and then one
// read: it sees what was asked for before it.
void QuorumLog::TakeTurn() {
  std::vector<Waiting> group;
  std::function<void()> read;
  {
    std::lock_guard lock(queue_mutex_);
    group.swap(queue_);
    if (!reads_.empty()) {
      read = std::move(reads_.front());
      reads_.pop_front();
    }
  }
  if (!group.empty()) WriteGroup(std::move(group));
  if (read) read();
  std::lock_guard lock(queue_mutex_);
  busy_ = !queue_.empty() || !reads_.empty();
  if (busy_) options_.io_loop->Post([this] { TakeTurn(); });
}

void QuorumLog::WriteGroup(std::vector<Waiting> group) {
  if (failure_.ok()) failure_ = Execute(group);
  groups_.fetch_add(1, std::memory_order_relaxed);
  if (failure_.ok()) SyncMarkerWhenIdle();
  for (Waiting& waiting : group) {
    options_.loop->Post([done = std::move(waiting.done), status = failure_] { done(status); });
  }
}

// The marker follows each group without a sync of its own. The next group's entries vouch for this
// one, but when none comes the marker has to.
void QuorumLog::SyncMarkerWhenIdle() {
  if (marker_sync_due_) return;
  marker_sync_due_ = true;
  options_.io_loop->RunAfter(kIdleMs, [this, groups_before = groups()] {
    marker_sync_due_ = false;
    if (!failure_.ok()) return;
    if (groups() != groups_before) return SyncMarkerWhenIdle();
    failure_ = slots_->SyncHint();
    if (failure_.ok() || !on_failure_) return;
    options_.loop->Post([tell = on_failure_, status = failure_] { tell(status); });
  });
}

Status QuorumLog::Execute(const std::vector<Waiting>& group) {
  SLUICE_RETURN_IF_ERROR(WriteVote(group));
  for (const Waiting& waiting : group) SLUICE_RETURN_IF_ERROR(ExecuteOne(waiting.request));
  return Flush();
}

Status QuorumLog::WriteVote(const std::vector<Waiting>& group) {
  raft::HardState newest = slots_->state().hard_state;
  for (const Waiting& waiting : group) newest = waiting.request.hard_state.value_or(newest);
  if (newest == slots_->state().hard_state) return Status::Ok();
  const int64_t began_micros = options_.clock->SteadyMicros();
  SLUICE_RETURN_IF_ERROR(slots_->WriteSynced({newest, slots_->state().synced_end}));
  if (options_.metrics != nullptr) Observe(options_.metrics->votes, began_micros);
  return Status::Ok();
}

Status QuorumLog::ExecuteOne(const raft::PersistRequest& request) {
  if (request.received != nullptr) SLUICE_RETURN_IF_ERROR(receiver_.Receive(*request.received));
  if (request.snapshot.has_value()) SLUICE_RETURN_IF_ERROR(StoreSnapshot(request));
  if (request.drop_before.has_value()) {
    std::lock_guard lock(log_mutex_);
    SLUICE_RETURN_IF_ERROR(log_->AdvanceLogStart(ToOffset(*request.drop_before)));
  }
  if (request.truncate_from.has_value()) SLUICE_RETURN_IF_ERROR(Truncate(*request.truncate_from));
  return request.entries.empty() ? Status::Ok() : Append(request.entries);
}

Status QuorumLog::StoreSnapshot(const raft::PersistRequest& request) {
  // What the snapshot stands for is durable before it, so that the log always reaches the snapshots
  // kept.
  SLUICE_RETURN_IF_ERROR(Flush());
  const raft::SnapshotMeta& meta = request.snapshot->meta;
  SLUICE_RETURN_IF_ERROR(receiver_.HasChecked(meta) ? receiver_.GiveName()
                                                    : snapshots_.Write(*request.snapshot));
  {
    std::lock_guard lock(log_mutex_);
    newest_snapshot_ = SnapshotName{meta.index, meta.term};
    if (request.reset_log) {
      SLUICE_RETURN_IF_ERROR(log_->TruncateFullyAndStartAt(ToOffset(meta.index + 1)));
      chain_ = kNoChain;
    }
  }
  SLUICE_RETURN_IF_ERROR(receiver_.DropUpTo(meta.index));
  return snapshots_.RemoveOld();
}

Status QuorumLog::Truncate(LogIndex from) {
  // The chain continues from the entry that stays last.
  uint32_t chain = kNoChain;
  if (from > ToIndex(log_->log_start_offset())) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<DecodedEntry> last, ReadEntries(from - 1, from, 1));
    chain = last.front().chain;
  }
  std::lock_guard lock(log_mutex_);
  SLUICE_RETURN_IF_ERROR(log_->TruncateTo(ToOffset(from)));
  chain_ = chain;
  return Status::Ok();
}

Status QuorumLog::Append(const std::vector<raft::Entry>& entries) {
  std::string batches;
  EntryContext context{.previous_chain = chain_,
                       .timestamp_ms = options_.clock->WallMs(),
                       .synced_end = ToIndex(log_->flushed_offset())};
  for (const raft::Entry& entry : entries) {
    EncodedEntry encoded = EncodeEntry(entry, context);
    batches += encoded.batch;
    context.previous_chain = chain_ = encoded.chain;
  }
  std::lock_guard lock(log_mutex_);
  return log_->AppendAsFollower(batches,
                                LeaderEpoch(static_cast<int32_t>(entries.back().term.value())));
}

Status QuorumLog::Flush() {
  storage::FlushTarget target;
  {
    std::lock_guard lock(log_mutex_);
    target = log_->PrepareFlush();
  }
  const int64_t began_micros = options_.clock->SteadyMicros();
  const Status synced = target.Run();
  if (options_.metrics != nullptr && target.file_count() > 0)
    Observe(options_.metrics->entries, began_micros);
  {
    std::lock_guard lock(log_mutex_);
    log_->OnFlushed(target.upto, synced);
  }
  SLUICE_RETURN_IF_ERROR(synced);
  return slots_->WriteHint(ToIndex(target.upto));
}

void QuorumLog::Observe(Histogram& what, int64_t since_micros) const {
  what.Observe(options_.clock->SteadyMicros() - since_micros);
}

}  // namespace sluice::controller
