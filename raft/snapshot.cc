// Snapshots, both sides: one chunk at a time, each with its checksum, from the leader's disk to the
// follower's; resumed where the follower stands, also after its restart; read back and checked
// whole before it replaces anything.
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
  // What is under way is answered when it is done; the leader sends again what goes unheard.
  if (incoming_.has_value() && incoming_->busy()) return;
  if (TakeChunk(leader, chunk)) return;
  const uint64_t held = Receives(chunk) ? incoming_->part.held : 0;
  if (Receives(chunk) && incoming_->complete()) {
    LoadReceived();
  } else {
    SendOnceTermDurable(leader, SnapshotChunkResponse{chunk.meta.index, held, false});
  }
}

// Whether it is of the snapshot that is being received.
bool Core::Receives(const SnapshotChunk& chunk) const {
  return incoming_.has_value() && incoming_->IsOf(chunk);
}

// False when nothing of it is stored. The leader is answered all the same: it learns from where to
// go on. A chunk that comes twice is nothing special.
bool Core::TakeChunk(NodeId leader, const SnapshotChunk& chunk) {
  if (Crc32c(chunk.data) != chunk.chunk_crc) {
    Refuse(leader, Refusal::kChunkChecksum);
    return false;
  }
  const uint64_t due = Receives(chunk) ? incoming_->part.held : 0;
  const bool empty = chunk.data.empty() && chunk.size_total > 0;
  if (chunk.offset != due || empty || (Receives(chunk) && incoming_->complete())) {
    if (chunk.offset > due) Refuse(leader, Refusal::kChunkOrder);
    return false;
  }
  if (!Receives(chunk))
    incoming_ = IncomingSnapshot{.part = {chunk.meta, chunk.size_total, chunk.whole_crc, 0}};
  incoming_->writing = true;
  incoming_->persist_id = 0;
  incoming_->chunk_bytes = chunk.data.size();
  ready_.persist.received = std::make_shared<const SnapshotChunk>(chunk);
  const uint64_t held = due + chunk.data.size();
  // The last one is answered when the whole is installed.
  if (held < chunk.size_total)
    SendAfterPersist(leader, SnapshotChunkResponse{chunk.meta.index, held, false});
  return true;
}

void Core::ChunkIsDurable() {
  incoming_->writing = false;
  incoming_->persist_id = 0;
  incoming_->part.held += incoming_->chunk_bytes;
  if (incoming_->complete()) LoadReceived();
}

void Core::LoadReceived() {
  incoming_->loading = ++last_load_received_;
  ready_.load_received = incoming_->loading;
}

void Core::ReceivedWasLoaded(uint64_t load_received, Result<Snapshot> snapshot) {
  if (!incoming_.has_value() || incoming_->loading != load_received) return;
  incoming_->loading = 0;
  const LogIndex index = incoming_->part.meta.index;
  // It would replace the log that this voter stands with. The next leader asks again.
  if (role_ != Role::kFollower) return;
  incoming_.reset();
  if (index <= commit_) return;
  if (snapshot.ok()) {
    InstallSnapshot(*std::move(snapshot));
    return;
  }
  Refuse(leader_, Refusal::kChunkChecksum);
  // From the start.
  if (leader_ != kNoNode) SendOnceTermDurable(leader_, SnapshotChunkResponse{index, 0, false});
}

void Core::InstallSnapshot(Snapshot snapshot) {
  const LogIndex index = snapshot.meta.index;
  CHECK_GT(index, commit_);
  // Who leads now need not be who sent it. That the whole is durable holds in any term.
  const SnapshotChunkResponse installed{index, snapshot.data->size(), true};
  if (leader_ != kNoNode) SendAfterPersist(leader_, installed);
  if (log_.TermAt(index) == snapshot.meta.term && !FaultPlanted(Fault::kSnapshotReplacesLonger)) {
    // The log holds the snapshot's last entry, hence all before it (log matching): nothing is to be
    // replaced.
    SetCommit(index);
    return;
  }
  ++metrics_.snapshots_installed;
  // What is on its way to the disk is of the log that goes.
  for (InFlightPersist& persist : in_flight_) persist.last_index = kNoIndex;
  log_.Reset(snapshot.meta);
  ready_.persist.snapshot = snapshot;
  ready_.persist.reset_log = true;
  ready_.persist.drop_before.reset();
  ready_.load_snapshot = std::move(snapshot);
  SetCommit(index);
}

}  // namespace sluice::raft
