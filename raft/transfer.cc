// Handing over the lead: stop taking proposals, let the target catch up, tell it to campaign at
// once.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {

Status Core::Transfer(NodeId target) {
  if (role_ != Role::kLeader) return Status::NotLeader("only the leader can hand over the lead");
  if (target == self_.id) return Status::Ok();
  if (target == kNoNode) {
    target = BestPlacedVoter();
    if (target == kNoNode) return Status::Unavailable("no other voter answers");
  }
  if (!IsVoter()) return Status::Unavailable("this controller is leaving the quorum");
  if (members().FindVoter(target) == nullptr) {
    return Status::InvalidArgument("node " + std::to_string(target.value()) + " is not a voter");
  }
  if (progress_.at(target).recovering) {
    return Status::Unavailable("node " + std::to_string(target.value()) +
                               " waits for entries that it has lost");
  }
  transfer_target_ = target;
  transfer_deadline_ms_ = now_ms_ + config_.transfer_timeout_ms;
  MaybeFinishTransfer(target);
  return Status::Ok();
}

// Of those that have been heard of lately; kNoNode: of none.
NodeId Core::BestPlacedVoter() const {
  NodeId best = kNoNode;
  LogIndex match = kNoIndex;
  for (const auto& [id, progress] : progress_) {
    const bool near = progress.heard && progress.voter && !progress.recovering &&
                      now_ms_ - progress.heard_ms < config_.election_timeout_ms_min;
    if (!near || (best != kNoNode && progress.match <= match)) continue;
    best = id;
    match = progress.match;
  }
  return best;
}

void Core::MaybeFinishTransfer(NodeId peer) {
  if (role_ != Role::kLeader || peer != transfer_target_) return;
  const bool caught_up = progress_.at(peer).match == log_.last_index();
  if (caught_up || FaultPlanted(Fault::kTransferWithoutCatchUp)) SendNow(peer, TimeoutNow{});
}

void Core::HandleTimeoutNow() {
  if (role_ == Role::kLeader || term() == kTermMax || !MayLead()) return;
  StartElection(ElectionCause::kTransfer);
}

}  // namespace sluice::raft
