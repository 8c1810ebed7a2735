// The follower's side of replication. StepTerm has settled the term and that the sender leads it.
#include <algorithm>

#include "raft/core.h"

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
                                       .hint_term = log_.TermAt(hint).value_or(Term(0))});
    return;
  }
  CheckCommitted(request.prev_index, request.prev_term);
  AppendFromLeader(request);
  SetCommit(std::max(commit_, std::min(request.commit, last_new)));
  SendAfterPersist(message.from.id, AppendResponse{.success = true, .match = last_new});
}

// Appends what is new. Only a real conflict truncates: an old append that arrives late must not cut
// off what a newer one of the same leader has added, for that may be acknowledged already.
void Core::AppendFromLeader(const AppendRequest& request) {
  LogIndex expected = request.prev_index + 1;
  for (const Entry& entry : request.entries) {
    CHECK_EQ(entry.index, expected) << "entries of one append must be consecutive";
    CHECK_LE(entry.term, term());
    ++expected;
    if (entry.index <= commit_) {
      CheckCommitted(entry.index, entry.term);
      continue;
    }
    if (entry.index <= log_.last_index()) {
      if (log_.TermAt(entry.index) == entry.term) continue;
      CHECK_GT(entry.index, commit_);
      metrics_.entries_truncated += static_cast<uint64_t>(log_.last_index() - entry.index) + 1;
      log_.TruncateFrom(entry.index);
      for (InFlightPersist& persist : in_flight_)
        persist.last_index = std::min(persist.last_index, log_.last_index());
    }
    log_.Append(entry);
  }
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
  SetCommit(std::max(commit_, request.commit));
  SendOnceTermDurable(message.from.id, HeartbeatResponse{request.read_sequence});
}

}  // namespace sluice::raft
