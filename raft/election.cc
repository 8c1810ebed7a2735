// Elections: when to campaign, pre-vote, counting, taking and giving up the lead.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"
#include "raft/quorum.h"

namespace sluice::raft {

int64_t Core::DrawElectionTimeout() {
  if (quick_attempts_ < config_.start_attempts_max) {
    if (lost_leader_ != kNoNode)
      return random_.Between(config_.leader_lost_timeout_ms_min,
                             config_.leader_lost_timeout_ms_max);
    if (!ever_heard_leader_)
      return random_.Between(config_.start_timeout_ms_min, config_.start_timeout_ms_max);
  }
  return random_.Between(config_.election_timeout_ms_min, config_.election_timeout_ms_max);
}

void Core::RestartElectionTimer() { election_deadline_ms_ = now_ms_ + DrawElectionTimeout(); }

// Asks whether an election could be won, without touching any term: a voter that was cut off, or
// whose log is behind, does not depose a leader that works.
void Core::StartPreVote() {
  CHECK(MayLead());
  if (term() == kTermMax) return RestartElectionTimer();  // no term is left to stand in
  if (FaultPlanted(Fault::kPreVoteBumpsTerm)) AdoptTerm(term() + 1);
  role_ = Role::kPreCandidate;
  leader_ = kNoNode;
  ++metrics_.pre_votes_started;
  ++quick_attempts_;
  RestartElectionTimer();
  deferred_ = false;
  votes_ = {{self_.id, true}};
  PresumeLostLeaderRefuses();
  for (const Member& voter : members().voters) {
    if (voter.id == self_) continue;
    Message message = MakeMessage(voter.id.id, VoteRequest{.pre_vote = true,
                                                           .last_index = log_.last_index(),
                                                           .last_term = log_.last_term(),
                                                           .process = process_});
    message.term = term() + 1;
    ready_.send_now.push_back(std::move(message));
  }
  CountElection();
}

// No answer will come from a dead process. Counted as a refusal it lets two survivors of three that
// campaign at once see at once that neither wins, instead of waiting for the timeout. For a while
// only: it may come back, and its vote be needed.
void Core::PresumeLostLeaderRefuses() {
  if (lost_leader_ != kNoNode && quick_attempts_ < config_.start_attempts_max)
    votes_[lost_leader_] = false;
}

void Core::StartElection(ElectionCause cause) {
  CHECK(MayLead());
  AdoptTerm(term() + 1);
  SetVote(self_.id);
  role_ = Role::kCandidate;
  leader_ = kNoNode;
  ++metrics_.elections_started;
  if (cause == ElectionCause::kTimeout) ++metrics_.elections_by_timeout;
  if (cause == ElectionCause::kLostLeader) ++metrics_.elections_by_lost_leader;
  if (cause == ElectionCause::kTransfer) ++metrics_.elections_by_transfer;
  // Votes take a flush on each voter: a quick timeout would only start the next term before they
  // are in.
  election_deadline_ms_ =
      now_ms_ + random_.Between(config_.election_timeout_ms_min, config_.election_timeout_ms_max);
  votes_.clear();  // the own vote counts when it is durable: Persisted()
  PresumeLostLeaderRefuses();
  for (const Member& voter : members().voters) {
    if (voter.id == self_) continue;
    SendAfterPersist(voter.id.id, VoteRequest{.transfer = cause == ElectionCause::kTransfer,
                                              .last_index = log_.last_index(),
                                              .last_term = log_.last_term(),
                                              .process = process_});
  }
}

void Core::HandleVoteResponse(const Message& message, const VoteResponse& response) {
  const Role asking = response.pre_vote ? Role::kPreCandidate : Role::kCandidate;
  const Term asked = response.pre_vote && response.granted ? term() + 1 : term();
  if (role_ != asking || message.term != asked || response.process != process_) return;
  votes_[message.from.id] = response.granted;
  CountElection();
}

void Core::CountElection() {
  switch (CountVotes(members().voters, votes_)) {
    case VoteOutcome::kPending: return;
    case VoteOutcome::kWon:
      if (!MayLead()) {
        // What the lost leader had under way has committed the own removal meanwhile.
        BecomeFollower(term(), kNoNode);
      } else if (role_ == Role::kCandidate) {
        BecomeLeader();
      } else {
        StartElection(lost_leader_ != kNoNode ? ElectionCause::kLostLeader
                                              : ElectionCause::kTimeout);
      }
      return;
    case VoteOutcome::kLost: BecomeFollower(term(), kNoNode); return;
  }
}

void Core::BecomeLeader() {
  CHECK(MayLead());
  CHECK(durable_hard_state_ == hard_state_ && hard_state_.voted_for == self_.id);
  CHECK(term_leader_ == kNoNode) << "term " << term() << " has a leader already: " << term_leader_;
  ++metrics_.elections_won;
  role_ = Role::kLeader;
  leader_ = term_leader_ = self_.id;
  ever_heard_leader_ = true;
  lost_leader_ = kNoNode;
  quick_attempts_ = 0;
  votes_.clear();
  incoming_.reset();
  heartbeat_due_ms_ = now_ms_ + config_.heartbeat_ms;
  progress_.clear();
  TrackMembers();
  // Its commit commits everything before it; it also tells the followers at once who leads.
  term_start_index_ = log_.last_index() + 1;
  AppendLocal(EntryType::kLeaderStart, {});
}

// A leader that a majority does not answer cannot commit, and keeps its clients waiting; somebody
// else may lead by now.
void Core::CheckQuorum() {
  if (MajorityIsNear(members(), Contact::kHeard) || FaultPlanted(Fault::kNoCheckQuorum)) return;
  ++metrics_.resignations;
  BecomeFollower(term(), FaultPlanted(Fault::kStickyAfterResigning) ? self_.id : kNoNode);
}

void Core::PeerLost(NodeId peer, bool refused) {
  // A broken connection alone may be a slow or overloaded peer: the timer decides. A refused one
  // means the process is gone.
  if (!refused || peer != leader_ || role_ != Role::kFollower) return;
  leader_ = kNoNode;
  lost_leader_ = peer;
  leader_lost_ms_ = now_ms_;
  quick_attempts_ = 0;
  election_deadline_ms_ = std::min(election_deadline_ms_, now_ms_ + DrawElectionTimeout());
}

}  // namespace sluice::raft
