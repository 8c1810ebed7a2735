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
  Result<Snapshot> snapshot = log_.LoadSnapshot();
  // A snapshot that was stored whole and cannot be read is a broken disk: this voter must not go
  // on.
  CHECK(snapshot.ok()) << "reading the snapshot at " << log_.snapshot_index() << ": "
                       << snapshot.status().ToString();
  const uint32_t crc = Crc32c(*snapshot->data);
  ++metrics_.snapshots_sent;
  if (FaultPlanted(Fault::kSnapshotWithoutTerm)) snapshot->meta.term = Term(0);
  progress.BecomeSnapshot(*std::move(snapshot), crc);
  SendSnapshotChunk(to, progress);
}

void Core::SendSnapshotChunk(NodeId to, Progress& progress) {
  const std::string& whole = *progress.snapshot.data;
  SnapshotChunk chunk{.meta = progress.snapshot.meta,
                      .offset = progress.snapshot_offset,
                      .size_total = whole.size(),
                      .whole_crc = progress.snapshot_crc};
  chunk.data = whole.substr(progress.snapshot_offset, config_.snapshot_chunk_bytes);
  chunk.chunk_crc = Crc32c(chunk.data);
  progress.waiting = true;
  progress.sent_ms = now_ms_;
  SendNow(to, std::move(chunk));
}

void Core::HandleSnapshotChunkResponse(const Message& message,
                                       const SnapshotChunkResponse& response) {
  Progress& progress = progress_.at(message.from.id);
  if (progress.state != ProgressState::kSnapshot || response.index != progress.snapshot.meta.index)
    return;
  if (response.installed) {
    progress.Matched(response.index, now_ms_);
    progress.BecomeReplicate();
    AdvanceCommit();
    return;
  }
  // An answer to an earlier copy of a chunk; the present one is still on its way.
  if (response.next_offset == progress.snapshot_offset && progress.waiting) return;
  progress.snapshot_offset =
      std::min<uint64_t>(response.next_offset, progress.snapshot.data->size());
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
