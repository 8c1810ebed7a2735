// A voter that has lost entries to a damaged disk. It may have acknowledged them, and a majority
// may count on them: were it to vote by the log that is left, a candidate without them could win.
// So it neither votes nor stands until its peers have given them back, and that is kept with the
// vote. It does acknowledge what it gets: that is as true as any acknowledgement.
//
// What a leader still believes of the lost ones from before, and even commits by it, is no more
// than had it happened just before the damage: whoever leads next had the votes of a majority
// without this voter.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {

// The log is on the disk up to `durable`. With an entry of the present term there it is the log of
// this term's leader so far (log matching). Has that one been elected since the loss, without this
// voter, then it had all that was committed, and what it appended since comes behind. A leader from
// before has appended what this voter lost of it up to `upto`.
void Core::NoteGivenBack(LogIndex durable) {
  const LostEntries& lost = hard_state_.lost;
  if (!lost.any() || log_.TermAt(durable) != term()) return;
  // It remembers no election, and may have been formatted again before: it cannot be told in which
  // term its promises end.
  if (lost.term == Term(0)) return;
  if (term() > lost.term || durable >= lost.upto || FaultPlanted(Fault::kGivenBackEarly))
    hard_state_.lost = {};
}

// A leader tells a commit up to what it knows to be here. Of one that does not know yet that it is
// not, as much as the log has.
LogIndex Core::Believable(NodeId leader, LogIndex commit) {
  if (!recovering() || commit <= log_.last_index()) return commit;
  SendOnceTermDurable(leader, AppendResponse{.success = false,
                                             .prev_index = commit,
                                             .hint_index = log_.last_index(),
                                             .hint_term = log_.last_term(),
                                             .lost = true});
  return log_.last_index();
}

}  // namespace sluice::raft
