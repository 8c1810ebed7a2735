// The leader's side of replication: what to send to whom, and what the answers mean.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"
#include "raft/quorum.h"

namespace sluice::raft {

// Runs once a Ready, so that all proposals of one batch of inputs leave in one append.
void Core::ReplicateToAll() {
  for (auto& [to, progress] : progress_) Replicate(to, progress);
}

void Core::Replicate(NodeId to, Progress& progress) {
  switch (progress.state) {
    case ProgressState::kSnapshot:
      if (!progress.waiting) ReadSnapshotChunk(to, progress);
      return;
    case ProgressState::kProbe:
      if (!progress.waiting) SendAppend(to, progress);
      return;
    case ProgressState::kReplicate:
      while (progress.next <= log_.last_index() && !progress.WindowFull(config_)) {
        if (!SendAppend(to, progress)) return;
      }
      // Nothing to append carries the news: followers should not learn of a commit one heartbeat
      // late.
      if (progress.sent_commit < std::min(commit_, progress.match)) SendHeartbeat(to, progress);
      return;
  }
}

// False when the follower now gets a snapshot instead.
bool Core::SendAppend(NodeId to, Progress& progress) {
  const LogIndex prev = progress.next - 1;
  const std::optional<Term> prev_term = log_.TermAt(prev);
  if (!prev_term.has_value() || progress.next < log_.first_index()) {
    StartSnapshot(to, progress);
    return false;
  }
  AppendRequest request{.prev_index = prev, .prev_term = *prev_term, .commit = commit_};
  size_t bytes = 0;
  if (progress.next <= log_.last_index()) {
    request.entries = log_.Entries(progress.next, log_.last_index() + 1, config_.append_bytes_max);
    for (const Entry& entry : request.entries) bytes += SizeOf(entry);
  }
  const LogIndex last = prev + static_cast<int64_t>(request.entries.size());
  progress.sent_commit = std::max(progress.sent_commit, std::min(commit_, last));
  progress.Sent(last, bytes, now_ms_);
  SendNow(to, std::move(request));
  return true;
}

// Asks whether what was sent has arrived: a follower that misses something refuses it, one that
// only waits for its disk agrees.
void Core::SendEmptyAppend(NodeId to, Progress& progress) {
  const LogIndex prev = progress.next - 1;
  const std::optional<Term> prev_term = log_.TermAt(prev);
  if (!prev_term.has_value()) {
    // The log was compacted beyond all that was sent. A full window would hide that for ever: start
    // over, with a snapshot.
    progress.BecomeProbe(progress.match + 1);
    return;
  }
  SendNow(to, AppendRequest{.prev_index = prev, .prev_term = *prev_term, .commit = commit_});
}

void Core::SendHeartbeat(NodeId to, Progress& progress) {
  // Not above the match: what follows it in the follower's log need not be this leader's.
  const LogIndex commit =
      FaultPlanted(Fault::kCommitsBeyondMatch) ? commit_ : std::min(commit_, progress.match);
  progress.sent_commit = std::max(progress.sent_commit, commit);
  SendNow(to, HeartbeatRequest{.commit = commit, .read_sequence = read_sequence_});
}

void Core::BroadcastHeartbeat() {
  heartbeat_due_ms_ = now_ms_ + config_.heartbeat_ms;
  for (auto& [to, progress] : progress_) SendHeartbeat(to, progress);
}

void Core::HandleAppendResponse(const Message& message, const AppendResponse& response) {
  Progress& progress = progress_.at(message.from.id);
  if (!response.success) {
    HandleAppendRefusal(progress, response);
    return;
  }
  CHECK_LE(response.match, log_.last_index());
  const bool news = progress.Matched(response.match, now_ms_);
  const bool probe_answered =
      progress.state == ProgressState::kProbe && response.match >= progress.next - 1;
  const bool snapshot_overtaken =
      progress.state == ProgressState::kSnapshot && progress.match >= progress.snapshot_index;
  if (probe_answered || snapshot_overtaken || (news && progress.state == ProgressState::kProbe)) {
    progress.BecomeReplicate();
  }
  if (news) AdvanceCommit();
  MaybeFinishTransfer(message.from.id);
}

void Core::HandleAppendRefusal(Progress& progress, const AppendResponse& response) {
  if (response.lost && response.hint_index < progress.match) progress.Forget(response.hint_index);
  // Refusals of appends that a later answer has overtaken say nothing any more.
  if (response.prev_index <= progress.match || progress.state == ProgressState::kSnapshot) return;
  if (progress.state == ProgressState::kProbe && response.prev_index != progress.next - 1) return;
  // The follower's hint, cut down to where this log could agree with it.
  const LogIndex agree = log_.LastIndexWithTermAtMost(response.hint_index, response.hint_term);
  progress.BecomeProbe(std::min(agree + 1, response.prev_index));
}

void Core::HandleHeartbeatResponse(const Message& message, const HeartbeatResponse& response) {
  Progress& progress = progress_.at(message.from.id);
  progress.read_sequence = std::max(progress.read_sequence, response.read_sequence);
  progress.recovering = response.recovering;
  FinishReadRounds();
  // It has not campaigned, so what told it to was lost.
  MaybeFinishTransfer(message.from.id);
  if (now_ms_ - progress.sent_ms < retransmit_ms()) return;
  // It lives, but has not answered for a while: a message was lost, or its disk is slow.
  progress.sent_ms = now_ms_;
  if (progress.state == ProgressState::kReplicate) {
    if (!progress.inflight.empty()) SendEmptyAppend(message.from.id, progress);
  } else {
    progress.waiting = false;
    Replicate(message.from.id, progress);
  }
}

// An entry of an earlier term is committed only by one of this term after it (Raft paper, figure
// 8): counting its copies is not enough, a later leader may still replace it.
void Core::AdvanceCommit() {
  const bool unflushed = FaultPlanted(Fault::kLeaderCountsUnflushed) ||
                         (progress_.empty() && FaultPlanted(Fault::kSingleVoterCountsUnflushed));
  const LogIndex own = unflushed ? log_.last_index() : log_.durable_index();
  const LogIndex reached(MajorityValue(
      OfVoters(own.value(), [](const Progress& progress) { return progress.match.value(); })));
  if (reached <= commit_) return;
  if (log_.TermAt(reached) != term() && !FaultPlanted(Fault::kCommitsOlderTerm)) return;
  const bool change_on_its_way = !MembersAreCommitted();
  SetCommit(reached);
  if (change_on_its_way && MembersAreCommitted()) MembersCommitted();
}

}  // namespace sluice::raft
