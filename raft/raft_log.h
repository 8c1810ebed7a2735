#pragma once
// RaftLog: the core's view of the log. It knows the bounds, the term of every entry, which entries
// the disk has, and holds the newest entries in memory; older ones it reads from the LogStore.
//
// Invariants (checked):
//   1. first_index <= last_index + 1, and snapshot.index >= first_index - 1: no gap between the
//   snapshot and the log.
//   2. durable_index <= handed_index <= last_index: what is durable was handed to the store, what
//   was handed exists.
//   3. The members are those of the last entry that sets them, up to the snapshot's index those of
//   the snapshot.
//   4. The cache is the suffix [cache_first, last_index], and everything not durable is in it.
//
// Thread rule: part of the core; one owner.

#include <deque>
#include <optional>
#include <vector>

#include "raft/log_store.h"
#include "raft/membership_history.h"
#include "raft/types.h"

namespace sluice::raft {

class RaftLog {
 public:
  // `store` is only read.
  RaftLog(const LogStore& store, size_t cache_bytes_max);

  LogIndex first_index() const { return first_index_; }
  LogIndex last_index() const { return last_index_; }
  Term last_term() const { return *TermAt(last_index_); }
  LogIndex durable_index() const { return durable_index_; }
  LogIndex snapshot_index() const { return snapshot_.index; }
  // Who takes part, as of the log's end.
  const Membership& members() const { return history_.newest(); }
  const MembershipHistory& history() const { return history_; }
  // Of an entry of the log, of the snapshot's index, or of kNoIndex (0). Nothing for an entry that
  // is gone or not yet there.
  std::optional<Term> TermAt(LogIndex index) const;
  // The last index at or before `index` whose term is at most `term`, as far as the log reaches
  // back.
  LogIndex LastIndexWithTermAtMost(LogIndex index, Term term) const;
  // Entries [from, to): at least one, then as many as fit in `bytes_max`.
  std::vector<Entry> Entries(LogIndex from, LogIndex to, size_t bytes_max) const;

  void Append(Entry entry);
  void TruncateFrom(LogIndex index);
  // A snapshot of the state at `meta.index` exists now; entries before `drop_before` are forgotten.
  void SnapshotTaken(const SnapshotMeta& meta, LogIndex drop_before);
  // The snapshot replaces the whole log.
  void Reset(const SnapshotMeta& meta);

  // Moves what the store has not been told into `request`. True when that is something.
  bool HandOver(PersistRequest& request);
  // The last index handed to the store, with all before it.
  LogIndex handed_index() const { return handed_index_; }
  // The store has reported everything up to `index` of the present log durable.
  void Durable(LogIndex index);

 private:
  struct TermStart {
    LogIndex index;
    Term term;
  };
  void CheckInvariants() const;
  void TrimCache();
  const Entry& Cached(LogIndex index) const {
    return cache_[static_cast<size_t>(index - cache_first_)];
  }

  const LogStore& store_;
  const size_t cache_bytes_max_;
  LogIndex first_index_{0};
  LogIndex last_index_ = kNoIndex;
  SnapshotMeta snapshot_;  // index kNoIndex: none
  MembershipHistory history_;
  std::vector<TermStart> term_starts_;     // of the entries in the log, ascending
  std::optional<Term> term_before_first_;  // of first_index - 1, when known
  LogIndex handed_index_ = kNoIndex;
  LogIndex durable_index_ = kNoIndex;
  std::optional<LogIndex> truncate_from_;  // not yet handed over
  std::deque<Entry> cache_;
  LogIndex cache_first_{0};
  size_t cache_bytes_ = 0;
};

}  // namespace sluice::raft
