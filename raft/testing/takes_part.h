#pragma once
// Whether a simulated node can be expected to follow a leader, and whether there can be one.
//
// Thread rule: functions of their arguments.

#include <algorithm>
#include <utility>

#include "raft/core.h"
#include "raft/quorum.h"

namespace sluice::raft::testing {

// `self` runs as `core`. The leader knows it as a member; and if its disk was formatted again, the
// voters are still those that it was formatted with: else it asks for ever (raft/inquiry.cc).
inline bool TakesPart(const Core& leader, const VoterId& self, const Core& core) {
  const Membership& members = leader.members();
  const Member* known = members.Find(self.id);
  if (known == nullptr || known->id != self) return false;
  return !core.inquiring() || std::ranges::is_permutation(members.voters, core.members().voters, {},
                                                          &Member::id, &Member::id);
}

// By what its log says of who votes, and by who may vote for it: who runs, is not damaged, and has
// no longer log.
template <typename Cluster>
bool CanWin(const Cluster& cluster, NodeId id) {
  const auto can_vote = [&](NodeId node) {
    return cluster.running(node) && !cluster.damaged(node);
  };
  const auto end = [](const Core& core) {
    return std::pair(core.log().last_term(), core.log().last_index());
  };
  if (!can_vote(id)) return false;
  const Core& candidate = cluster.core(id);
  if (!candidate.members().HasVoter(cluster.voter(id))) return false;
  const auto& voters = candidate.members().voters;
  const auto for_it = std::ranges::count_if(voters, [&](const Member& voter) {
    const NodeId other = voter.id.id;
    return can_vote(other) && cluster.voter(other) == voter.id &&
           end(cluster.core(other)) <= end(candidate);
  });
  return static_cast<size_t>(for_it) >= MajorityOf(voters.size());
}

template <typename Cluster>
bool SomebodyCanWin(const Cluster& cluster) {
  return std::ranges::any_of(cluster.ids(), [&](NodeId id) { return CanWin(cluster, id); });
}

}  // namespace sluice::raft::testing
