#include "raft/quorum.h"

#include <algorithm>
#include <functional>

namespace sluice::raft {

int64_t MajorityValue(std::vector<int64_t> values) {
  CHECK(!values.empty());
  // In descending order the element at majority - 1 is reached by all before it and itself: exactly
  // a majority.
  const size_t position = MajorityOf(values.size()) - 1;
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(position), values.end(),
                   std::greater<>());
  return values[position];
}

VoteOutcome CountVotes(const std::vector<Member>& voters, const std::map<NodeId, bool>& votes) {
  size_t granted = 0;
  size_t refused = 0;
  for (const Member& voter : voters) {
    const auto vote = votes.find(voter.id.id);
    if (vote == votes.end()) continue;
    ++(vote->second ? granted : refused);
  }
  if (granted >= MajorityOf(voters.size())) return VoteOutcome::kWon;
  // Lost once the voters that may still grant are too few.
  if (voters.size() - refused < MajorityOf(voters.size())) return VoteOutcome::kLost;
  return VoteOutcome::kPending;
}

}  // namespace sluice::raft
