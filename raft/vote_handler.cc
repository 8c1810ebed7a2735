// Voting: one predicate for pre-votes and votes. A pre-vote that is granted where the vote would be
// refused lets a hopeless node depose leaders for ever.
#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {

// A voter that hears its leader refuses to elect another. A leader that has resigned, a follower
// whose leader's process is known to be gone, and a node that never heard one have none.
bool Core::HeardLeaderRecently() const {
  if (leader_ == kNoNode) return false;
  return leader_ == self_.id || now_ms_ - heard_leader_ms_ < config_.election_timeout_ms_min;
}

bool Core::LogIsCurrent(const VoteRequest& request) const {
  if (request.last_term != log_.last_term()) return request.last_term > log_.last_term();
  return request.last_index >= log_.last_index();
}

void Core::HandleVoteRequest(const Message& message, const VoteRequest& request) {
  const auto refuse = [&] {
    SendOnceTermDurable(
        message.from.id,
        VoteResponse{.pre_vote = request.pre_vote, .granted = false, .process = request.process});
  };
  if (message.term < term()) {
    ++metrics_.votes_refused_term;
    refuse();
    return;
  }
  if (HeardLeaderRecently() && !request.transfer) {
    ++metrics_.votes_refused_sticky;
    refuse();
    return;
  }
  // A real candidate's term exists already, so it is adopted, granted or not.
  if (!request.pre_vote && message.term > term()) BecomeFollower(message.term, kNoNode);
  const bool free = message.term > term() || hard_state_.voted_for == kNoNode ||
                    hard_state_.voted_for == message.from.id;
  const bool current =
      LogIsCurrent(request) ||
      FaultPlanted(request.pre_vote ? Fault::kPreVoteIgnoresLog : Fault::kVoteIgnoresLog);
  const bool lost = recovering() && !FaultPlanted(Fault::kDamagedVotes);
  if (!free || !current || lost) {
    ++(lost   ? metrics_.votes_refused_lost
       : free ? metrics_.votes_refused_log
              : metrics_.votes_refused_given);
    refuse();
    return;
  }
  if (request.pre_vote) {
    Message answer =
        MakeMessage(message.from.id,
                    VoteResponse{.pre_vote = true, .granted = true, .process = request.process});
    answer.term = message.term;
    ready_.send_now.push_back(std::move(answer));
    // Lets the other go first, which saves a split vote. Once only: it may be unable to hear the
    // answers.
    if (role_ == Role::kFollower && !deferred_) {
      deferred_ = true;
      RestartElectionTimer();
    }
    return;
  }
  SetVote(message.from.id);
  RestartElectionTimer();
  const VoteResponse granted{.granted = true, .process = request.process};
  if (FaultPlanted(Fault::kVoteBeforeDurable)) return SendNow(message.from.id, granted);
  SendAfterPersist(message.from.id, granted);
}

}  // namespace sluice::raft
