#pragma once
// Whether a simulated node can be expected to follow a leader.
//
// Thread rule: a function of its arguments.

#include <algorithm>

#include "raft/core.h"

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

}  // namespace sluice::raft::testing
