#pragma once
// Metrics of one voter: the core only increments; readers subtract.
//
// Thread rule: part of the core; one owner.

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>

namespace sluice::raft {

// Why a message was dropped before anything of it was adopted (admission.cc).
enum class Refusal : uint8_t {
  kCluster,        // another cluster's
  kStranger,       // an answer of who is no member, or not for this node
  kOtherDisk,      // of a member's id with another disk than the member's
  kFormerDisk,     // for this node's id with another disk than its own
  kTerm,           // impossible: of the message, an entry or a snapshot
  kChain,          // entries that do not follow each other
  kMembers,        // a configuration without voters, with a node twice, or that cannot be read
  kNeverSent,      // an answer to what this leader did not send
  kSnapshot,       // too large, or without proper voters
  kChunkOrder,     // beyond its snapshot's end, or before the ones in front of it
  kChunkChecksum,  // of a chunk, or of the whole
  kUnreadable,     // no message at all; counted by whoever receives them
};
inline constexpr size_t kRefusalCount = static_cast<size_t>(Refusal::kUnreadable) + 1;
std::string_view RefusalText(Refusal refusal);
// One word, for metrics.
std::string_view RefusalName(Refusal refusal);

struct Metrics {
  uint64_t pre_votes_started = 0;
  uint64_t elections_started = 0;
  uint64_t elections_won = 0;
  uint64_t elections_by_timeout = 0;      // no leader was heard in time
  uint64_t elections_by_lost_leader = 0;  // the leader's address refused a connection
  uint64_t elections_by_transfer = 0;
  uint64_t resignations = 0;  // a leader that lost its majority
  // Of votes and pre-votes
  uint64_t votes_refused_sticky = 0;              // a leader was heard just now
  uint64_t votes_refused_log = 0;                 // the candidate's log is behind
  uint64_t votes_refused_given = 0;               // another has this voter's vote in that term
  uint64_t votes_refused_term = 0;                // the term is over
  uint64_t votes_refused_lost = 0;                // the own log has lost entries
  std::array<uint64_t, kRefusalCount> refused{};  // messages, by Refusal
  uint64_t appends_refused = 0;                   // the previous entry did not match
  uint64_t entries_truncated = 0;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_installed = 0;
  uint64_t proposals_refused_not_leading = 0;
  uint64_t proposals_refused_too_large = 0;
  uint64_t proposals_refused_backlog = 0;  // too much is proposed and not yet committed
  uint64_t changes_refused = 0;            // of members
  uint64_t reads_confirmed = 0;

  uint64_t messages_refused() const {
    return std::accumulate(refused.begin(), refused.end(), uint64_t{0});
  }
};

}  // namespace sluice::raft
