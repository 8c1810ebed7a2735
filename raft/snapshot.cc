// Snapshots, both sides: one chunk at a time, each with its checksum, resumed where the follower
// stands, checked whole before it replaces anything.
#include <algorithm>

#include "base/crc32c.h"
#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {

void Core::SnapshotTaken(LogIndex index, std::shared_ptr<const std::string> data) {
  CHECK_LE(index, commit_);
  CHECK_GT(index, log_.snapshot_index());
  const SnapshotMeta meta{
      index, log_.TermAt(index).value(),
      FaultPlanted(Fault::kSnapshotLosesMembers) ? members() : log_.history().At(index)};
  // The snapshot before this one and the log after it stay: should this one prove unreadable, all
  // is still there.
  const LogIndex drop_before = log_.snapshot_index() + 1;
  ready_.persist.snapshot = Snapshot{meta, std::move(data)};
  ready_.persist.drop_before = drop_before;
  log_.SnapshotTaken(meta, drop_before);
}

void Core::StartSnapshot(NodeId to, Progress& progress) {
  ++metrics_.snapshots_sent;
  progress.BecomeSnapshot(log_.snapshot_index());
  ReadSnapshotChunk(to, progress);
}

// The disk may take its time: the chunk is sent when it comes (SnapshotWasRead).
void Core::ReadSnapshotChunk(NodeId to, Progress& progress) {
  if (progress.reading != 0) return;
  progress.reading = ++last_snapshot_read_;
  ready_.snapshot_reads.push_back({.id = progress.reading,
                                   .to = to,
                                   .index = progress.snapshot_index,
                                   .offset = progress.snapshot_offset,
                                   .bytes_max = config_.snapshot_chunk_bytes});
}

void Core::SnapshotWasRead(const SnapshotRead& read, Result<SnapshotChunk> chunk) {
  const auto follower = progress_.find(read.to);
  // Asked for in an earlier term of this leader, or for a member that has gone.
  if (follower == progress_.end() || follower->second.reading != read.id) return;
  Progress& progress = follower->second;
  progress.reading = 0;
  leader_input_ = true;
  if (progress.state != ProgressState::kSnapshot || progress.waiting) return;
  // The follower has gone on meanwhile: what it needs now is read next.
  if (read.index != progress.snapshot_index || read.offset != progress.snapshot_offset) return;
  if (!chunk.ok()) {
    CHECK_LT(read.index, log_.snapshot_index())
        << "the newest snapshot is gone: " << chunk.status().ToString();
    StartSnapshot(read.to, progress);
    return;
  }
  if (FaultPlanted(Fault::kSnapshotWithoutTerm)) chunk->meta.term = Term(0);
  progress.snapshot_bytes = chunk->size_total;
  progress.waiting = true;
  progress.sent_ms = now_ms_;
  SendNow(read.to, *std::move(chunk));
}

void Core::HandleSnapshotChunkResponse(const Message& message,
                                       const SnapshotChunkResponse& response) {
  Progress& progress = progress_.at(message.from.id);
  if (progress.state != ProgressState::kSnapshot || response.index != progress.snapshot_index)
    return;
  if (response.installed) {
    progress.Matched(response.index, now_ms_);
    progress.BecomeReplicate();
    AdvanceCommit();
    return;
  }
  // An answer to an earlier copy of a chunk; the present one is still on its way.
  if (response.next_offset == progress.snapshot_offset && progress.waiting) return;
  progress.snapshot_offset = std::min(response.next_offset, progress.snapshot_bytes);
  progress.waiting = false;
}

void Core::HandleSnapshotChunk(const Message& message, const SnapshotChunk& chunk) {
  const NodeId leader = message.from.id;
  if (chunk.meta.index <= commit_) {
    incoming_.reset();
    SendAfterPersist(leader, AppendResponse{.success = true, .match = commit_});
    return;
  }
  const bool stored = TakeChunk(leader, chunk);
  if (stored && incoming_->data.size() == incoming_->size_total) {
    if (Crc32c(incoming_->data) == incoming_->whole_crc) {
      IncomingSnapshot whole = *std::move(incoming_);
      incoming_.reset();
      InstallSnapshot(leader, std::move(whole));
      return;
    }
    Refuse(leader, Refusal::kChunkChecksum);
    incoming_->data.clear();  // from the start
  }
  const uint64_t held = Receives(chunk) ? incoming_->data.size() : 0;
  SendOnceTermDurable(leader, SnapshotChunkResponse{chunk.meta.index, held, false});
}

// Whether it is of the snapshot that is being received.
bool Core::Receives(const SnapshotChunk& chunk) const {
  return incoming_.has_value() && incoming_->meta == chunk.meta &&
         incoming_->whole_crc == chunk.whole_crc && incoming_->size_total == chunk.size_total;
}

// False when nothing of it was stored. The leader is answered all the same: it learns from where to
// go on. A chunk that comes twice is nothing special.
bool Core::TakeChunk(NodeId leader, const SnapshotChunk& chunk) {
  if (Crc32c(chunk.data) != chunk.chunk_crc) {
    Refuse(leader, Refusal::kChunkChecksum);
    return false;
  }
  const uint64_t due = Receives(chunk) ? incoming_->data.size() : 0;
  if (chunk.offset != due) {
    if (chunk.offset > due) Refuse(leader, Refusal::kChunkOrder);
    return false;
  }
  if (!Receives(chunk))
    incoming_ = IncomingSnapshot{chunk.meta, chunk.size_total, chunk.whole_crc, {}};
  incoming_->data += chunk.data;
  return true;
}

void Core::InstallSnapshot(NodeId leader, IncomingSnapshot incoming) {
  const LogIndex index = incoming.meta.index;
  CHECK_GT(index, commit_);
  if (log_.TermAt(index) == incoming.meta.term && !FaultPlanted(Fault::kSnapshotReplacesLonger)) {
    // The log holds the snapshot's last entry, hence all before it (log matching): nothing is to be
    // replaced.
    SetCommit(index);
    SendAfterPersist(leader, SnapshotChunkResponse{index, incoming.size_total, true});
    return;
  }
  ++metrics_.snapshots_installed;
  Snapshot snapshot{incoming.meta, std::make_shared<const std::string>(std::move(incoming.data))};
  // What is on its way to the disk is of the log that goes.
  for (InFlightPersist& persist : in_flight_) persist.last_index = kNoIndex;
  log_.Reset(snapshot.meta);
  ready_.persist.snapshot = snapshot;
  ready_.persist.reset_log = true;
  ready_.persist.drop_before.reset();
  ready_.load_snapshot = std::move(snapshot);
  SetCommit(index);
  SendAfterPersist(leader, SnapshotChunkResponse{index, incoming.size_total, true});
}

}  // namespace sluice::raft
