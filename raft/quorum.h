#pragma once
// Quorum arithmetic: what a majority of the voters has reached, and how a vote stands.
//
// Thread rule: pure functions.

#include <cstdint>
#include <map>
#include <vector>

#include "raft/types.h"

namespace sluice::raft {

// The fewest voters that are more than half of `voters`.
inline size_t MajorityOf(size_t voters) { return voters / 2 + 1; }

// The highest value that a majority has reached, given each voter's value. At least one voter.
//
//   voters at 7 7 4      -> 7      (two of three hold 7)
//   voters at 9 5 3 2 2  -> 3
int64_t MajorityValue(std::vector<int64_t> values);

enum class VoteOutcome { kPending, kWon, kLost };

// `votes`: the answers so far (true = granted) of voters among `voters`.
VoteOutcome CountVotes(const std::vector<Member>& voters, const std::map<NodeId, bool>& votes);

}  // namespace sluice::raft
