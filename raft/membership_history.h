#pragma once
// MembershipHistory: which configuration holds from which index of the log on. One is effective as
// soon as its entry is in the log, committed or not, and goes when the entry is truncated. A
// snapshot keeps the one at its index, which is not always the newest.
//
// Thread rule: part of the core; one owner.

#include <cstdint>
#include <utility>
#include <vector>

#include "raft/membership.h"

namespace sluice::raft {

class MembershipHistory {
 public:
  // Nobody is known: that of a log without entries.
  MembershipHistory() : known_{{LogIndex(-1), {}}} {}

  const Membership& newest() const { return known_.back().second; }
  LogIndex newest_index() const { return known_.back().first; }
  // The one before the newest, as far as it is remembered.
  const Membership* previous() const {
    return known_.size() < 2 ? nullptr : &known_[known_.size() - 2].second;
  }
  // The one that holds at `index`, which is not before what was forgotten.
  const Membership& At(LogIndex index) const;
  // Another one whenever the newest has changed.
  uint64_t version() const { return version_; }
  // How many take effect after `index`.
  size_t CountAfter(LogIndex index) const;

  // The entry at `index`, after all that are known, sets `members`.
  void Append(LogIndex index, Membership members);
  void TruncateFrom(LogIndex index);
  // A snapshot at `index` exists: what held before it is of no use any more.
  void ForgetBefore(LogIndex index);
  // A snapshot at `index` replaces the log.
  void Reset(LogIndex index, Membership members);

 private:
  std::vector<std::pair<LogIndex, Membership>> known_;  // ascending, never empty
  uint64_t version_ = 1;
};

}  // namespace sluice::raft
