#pragma once
// Moves: members come and go in a simulated cluster, among its first voters and the spares beside
// them. Whoever is no member may lose its disk and come back as somebody else.
//
// Thread rule: one thread.

#include "base/random.h"
#include "raft/core.h"

namespace sluice::raft::testing {

template <typename Cluster>
class Moves {
 public:
  Moves(Cluster& cluster, Random& random) : cluster_(cluster), random_(random) {}

  // Asks `leader`, or whoever is taken for it, for the next step of some node's career.
  void Make(NodeId leader) {
    const NodeId id = AnyNode();
    const VoterId now = cluster_.voter(id);
    const Membership& members = cluster_.core(leader).members();
    MemberChange change{MemberChange::Kind::kAddLearner, {now, {}}};
    if (const Member* known = members.Find(id); known != nullptr) {
      const bool learns = known->id == now && members.FindVoter(id) == nullptr;
      change.kind = learns && random_.Chance(3, 4) ? MemberChange::Kind::kPromote
                                                   : MemberChange::Kind::kRemove;
      change.member = *known;
    }
    cluster_.ChangeMember(leader, change);
    if (random_.Chance(1, 3)) Renew(AnyNode());
  }

 private:
  NodeId AnyNode() {
    const auto& ids = cluster_.ids();
    return ids[random_.Below(ids.size())];
  }

  // Only of who was never a member, or whose removal is committed, nobody needs the disk.
  void Renew(NodeId id) {
    const Membership* committed = cluster_.invariants().committed_members();
    if (committed == nullptr || committed->Find(id) != nullptr) return;
    for (const NodeId other : cluster_.ids()) {
      if (cluster_.running(other) && cluster_.core(other).members().Find(id) != nullptr) return;
    }
    if (cluster_.running(id)) cluster_.Crash(id);
    cluster_.Renew(id);
    cluster_.Start(id);
  }

  Cluster& cluster_;
  Random& random_;
};

}  // namespace sluice::raft::testing
