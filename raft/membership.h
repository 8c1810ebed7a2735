#pragma once
// Who takes part in the quorum: the voters, and the learners, which get the log and count nowhere.
// The configuration is part of the log: the bootstrap entry holds the first one, each membership
// entry the whole of the next, and every snapshot the one at its index.
//
// Thread rule: values.

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/uuid.h"

namespace sluice::raft {

// A voter is a node *with its disk*: a node that comes back with an empty disk has forgotten its
// votes, so it is another voter.
struct VoterId {
  NodeId id = kNoNode;
  Uuid disk_id;
  friend auto operator<=>(const VoterId&, const VoterId&) = default;
};
std::ostream& operator<<(std::ostream& out, const VoterId& voter);

struct Member {
  VoterId id;
  std::string address;  // host:port; empty for first voters, whose addresses are configured
  friend bool operator==(const Member&, const Member&) = default;
};

struct Membership {
  std::vector<Member> voters;
  std::vector<Member> learners;
  friend bool operator==(const Membership&, const Membership&) = default;

  // nullptr: it is none.
  const Member* FindVoter(NodeId id) const;
  const Member* FindLearner(NodeId id) const;
  const Member* Find(NodeId id) const;  // either
  bool HasVoter(const VoterId& voter) const;
  // At least one voter, and no node twice.
  bool IsSound() const;
};
// "voters 1,2,3" or "voters 1,2,3 learners 4", for traces.
std::ostream& operator<<(std::ostream& out, const Membership& members);

// One step from a configuration to the next. Any majority of the one shares a voter with any
// majority of the other, so both may decide while the step is on its way.
struct MemberChange {
  enum class Kind : uint8_t { kAddLearner, kPromote, kRemove };
  Kind kind = Kind::kAddLearner;
  Member member;  // the address counts for kAddLearner only
};
// kAlreadyExists, kNotFound or kInvalidArgument for a step that cannot be.
Result<Membership> Changed(const Membership& members, const MemberChange& change);

// The content of a membership entry. docs/formats/raft_log.md has the layout.
std::string EncodeMembership(const Membership& members);
Result<Membership> DecodeMembership(std::string_view data);

// Voters at their configured addresses.
Membership MembershipOf(const std::vector<VoterId>& voters);

}  // namespace sluice::raft
