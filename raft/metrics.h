#pragma once
// Metrics of one voter: the core only increments; readers subtract.
//
// Thread rule: part of the core; one owner.

#include <cstdint>

namespace sluice::raft {

struct Metrics {
  uint64_t pre_votes_started = 0;
  uint64_t elections_started = 0;
  uint64_t elections_won = 0;
  uint64_t elections_by_timeout = 0;      // no leader was heard in time
  uint64_t elections_by_lost_leader = 0;  // the leader's address refused a connection
  uint64_t elections_by_transfer = 0;
  uint64_t resignations = 0;          // a leader that lost its majority
  uint64_t votes_refused_sticky = 0;  // a leader was heard just now
  uint64_t votes_refused_log = 0;     // the candidate's log is behind
  uint64_t messages_refused = 0;  // other cluster, unknown voter, or a voter's id with another disk
  uint64_t appends_refused = 0;   // the previous entry did not match
  uint64_t entries_truncated = 0;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_installed = 0;
  uint64_t proposals_refused = 0;
  uint64_t reads_confirmed = 0;
};

}  // namespace sluice::raft
