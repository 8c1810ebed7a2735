// Handing over the lead: stop taking proposals, let the target catch up, tell it to campaign at
// once.
#include <algorithm>

#include "raft/core.h"

namespace sluice::raft {

Status Core::Transfer(NodeId target) {
  if (role_ != Role::kLeader) return Status::NotLeader("only the leader can hand over the lead");
  if (target == self_.id) return Status::Ok();
  if (target == kNoNode) {
    // The best placed voter that has been heard of lately.
    const Progress* best = nullptr;
    for (const auto& [id, progress] : progress_) {
      if (now_ms_ - progress.heard_ms >= config_.election_timeout_ms_min || !progress.heard)
        continue;
      if (best != nullptr && progress.match <= best->match) continue;
      best = &progress;
      target = id;
    }
    if (best == nullptr) return Status::Unavailable("no other voter answers");
  }
  if (!progress_.contains(target)) {
    return Status::InvalidArgument("node " + std::to_string(target.value()) + " is not a voter");
  }
  transfer_target_ = target;
  transfer_deadline_ms_ = now_ms_ + config_.transfer_timeout_ms;
  MaybeFinishTransfer(target);
  return Status::Ok();
}

void Core::MaybeFinishTransfer(NodeId peer) {
  if (role_ != Role::kLeader || peer != transfer_target_) return;
  if (progress_.at(peer).match == log_.last_index()) SendNow(peer, TimeoutNow{});
}

void Core::HandleTimeoutNow() {
  if (role_ == Role::kLeader || term() == kTermMax) return;
  StartElection(ElectionCause::kTransfer);
}

}  // namespace sluice::raft
