#pragma once
// EpochCache: which leader epoch began at which offset (KIP-101), the truth from which followers
// learn how far they agree with a leader. Its file is leader-epoch-checkpoint. Pure: the log reads
// and writes the file.
//
// Invariants: epochs and start offsets both ascend strictly.
//
// Thread rule: guarded by the log's owner.

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "storage/log.h"

namespace sluice::storage {

class EpochCache {
 public:
  struct Entry {
    LeaderEpoch epoch;
    Offset start;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // The text of leader-epoch-checkpoint: "0\n<count>\n" and a line "<epoch> <start>" for each.
  static Result<EpochCache> Parse(std::string_view text);
  std::string ToText() const;

  // Notes that `epoch` starts at `start`. Entries that start at or after `start` belonged to
  // leaders that wrote nothing: they go. False when it changed nothing: the epoch is known already.
  bool Assign(LeaderEpoch epoch, Offset start);
  LeaderEpoch latest() const { return entries_.empty() ? kNoEpoch : entries_.back().epoch; }
  // The epoch of the record at `offset`; kNoEpoch when it is older than the history.
  LeaderEpoch EpochAt(Offset offset) const;
  // See Log::EndOffsetFor; `log_end` ends the latest epoch.
  EpochEndOffset EndOffsetFor(LeaderEpoch epoch, Offset log_end) const;

  // Forgets epochs that start at or after `end`. True when there were any.
  bool TruncateFromEnd(Offset end);
  // Forgets epochs that ended before `start`; the one it falls into now begins there. True when
  // something changed.
  bool TruncateFromStart(Offset start);
  void Clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace sluice::storage
