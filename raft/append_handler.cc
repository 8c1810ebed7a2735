// The follower's side of replication. StepTerm has settled the term and that the sender leads it.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {

void Core::HandleAppend(const Message& message, const AppendRequest& request) {
  const LogIndex last_new = request.prev_index + static_cast<int64_t>(request.entries.size());
  // What is committed here is in the leader's log too, so an append that ends there has nothing
  // new. The index to acknowledge is the commit: earlier entries may be gone from this log.
  if (last_new <= commit_) {
    SendAfterPersist(message.from.id, AppendResponse{.success = true, .match = commit_});
    return;
  }
  const bool matches =
      request.prev_index <= commit_ || log_.TermAt(request.prev_index) == request.prev_term;
  if (!matches) {
    ++metrics_.appends_refused;
    // Skips every entry that cannot match in one step: those after the own end and those of a later
    // term than the leader's.
    const LogIndex hint = log_.LastIndexWithTermAtMost(request.prev_index, request.prev_term);
    SendOnceTermDurable(message.from.id,
                        AppendResponse{.success = false,
                                       .prev_index = request.prev_index,
                                       .hint_index = hint,
                                       .hint_term = log_.TermAt(hint).value_or(Term(0)),
                                       .lost = recovering()});
    return;
  }
  CheckCommitted(request.prev_index, request.prev_term);
  AppendFromLeader(request);
  const LogIndex commit_max =
      FaultPlanted(Fault::kCommitsBeyondMatch) ? log_.last_index() : last_new;
  SetCommit(std::max(commit_, std::min(request.commit, commit_max)));
  const AppendResponse matched{.success = true, .match = last_new};
  if (FaultPlanted(Fault::kAckBeforeDurable)) return SendNow(message.from.id, matched);
  SendAfterPersist(message.from.id, matched);
}

// Appends what is new. Only a real conflict truncates: an old append that arrives late must not cut
// off what a newer one of the same leader has added, for that may be acknowledged already.
void Core::AppendFromLeader(const AppendRequest& request) {
  const auto truncate_from = [this](LogIndex index) {
    metrics_.entries_truncated += static_cast<uint64_t>(log_.last_index() - index) + 1;
    log_.TruncateFrom(index);
    for (InFlightPersist& persist : in_flight_)
      persist.last_index = std::min(persist.last_index, log_.last_index());
  };
  LogIndex expected = request.prev_index + 1;
  for (const Entry& entry : request.entries) {
    CHECK_EQ(entry.index, expected) << "entries of one append must be consecutive";
    CHECK_LE(entry.term, term());
    ++expected;
    const bool replaceable =
        entry.index >= log_.first_index() && entry.index > log_.snapshot_index();
    if (replaceable && FaultPlanted(Fault::kTruncatesCommitted)) {
      if (entry.index <= std::min(commit_, log_.last_index())) truncate_from(entry.index);
    } else if (entry.index <= commit_) {
      CheckCommitted(entry.index, entry.term);
      continue;
    }
    if (entry.index <= log_.last_index()) {
      if (log_.TermAt(entry.index) == entry.term || FaultPlanted(Fault::kConflictByIndex)) continue;
      CHECK_GT(entry.index, commit_);
      truncate_from(entry.index);
    }
    log_.Append(entry);
  }
  if (expected > commit_ && expected <= log_.last_index() && FaultPlanted(Fault::kTruncatesOnOlder))
    truncate_from(expected);
}

// The leader of this very term has `term` at `index`. Where that is committed here with another,
// two histories were committed: nothing that this voter could do now is right. Entries that are
// gone cannot be compared.
void Core::CheckCommitted(LogIndex index, Term term) const {
  if (index > commit_) return;
  CHECK(log_.TermAt(index).value_or(term) == term)
      << "the leader contradicts the committed entry " << index;
}

void Core::HandleHeartbeat(const Message& message, const HeartbeatRequest& request) {
  SetCommit(std::max(commit_, Believable(message.from.id, request.commit)));
  SendOnceTermDurable(message.from.id,
                      HeartbeatResponse{request.read_sequence, request.sent_micros, recovering()});
}

}  // namespace sluice::raft
