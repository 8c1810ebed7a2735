// Changing who takes part: one member at a time, as an entry of the log that holds from the moment
// it is appended, committed or not, and is gone when it is truncated (Raft thesis, chapter 4). A
// new node first learns: it gets the log and counts nowhere until it is near the end.
//
// That a leader changes nothing before it has committed in its own term is what the thesis forgot:
// else a change of an earlier leader, uncommitted and forgotten here, and this leader's own could
// both hold, with majorities that do not meet.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"
#include "raft/quorum.h"

namespace sluice::raft {

// Whom messages go to and answers come from: the members, and until a change is committed those
// before it too, for the change may still be undone, and who is removed should hear of it.
const Member* Core::FindPeer(NodeId id) const {
  const Member* member = members().Find(id);
  const Membership* before = log_.history().previous();
  if (member != nullptr || before == nullptr || MembersAreCommitted()) return member;
  return before->Find(id);
}

// A voter whose removal is not committed as far as it knows may hold what nobody else does, and be
// the only one that can be elected: of voters 1 and 2, where 1 alone has the entry that removes it.
// It does not vote for itself then.
bool Core::MayLead() const {
  if (recovering() || inquiring()) return false;
  if (IsVoter()) return true;
  const Membership* before = log_.history().previous();
  return before != nullptr && !MembersAreCommitted() && before->HasVoter(self_);
}

Result<LogIndex> Core::ChangeMember(const MemberChange& change) {
  if (Status refusal = WhyRefuseChange(change); !refusal.ok()) {
    ++metrics_.changes_refused;
    return refusal;
  }
  AppendLocal(EntryType::kMembership, EncodeMembership(*Changed(members(), change)));
  TrackMembers();
  // Who has confirmed the reads that wait may be a majority now, and nobody left to answer.
  FinishReadRounds();
  return log_.last_index();
}

Status Core::WhyRefuseChange(const MemberChange& change) const {
  SLUICE_RETURN_IF_ERROR(WhyNotLeading());
  if (!CommittedInOwnTerm() && !FaultPlanted(Fault::kChangeBeforeOwnCommit))
    return Status::Unavailable("this leader has not committed anything in its term yet");
  if (!MembersAreCommitted() && !FaultPlanted(Fault::kTwoChanges)) {
    return Status::Unavailable("the change of members at index " +
                               std::to_string(log_.history().newest_index().value()) +
                               " is not committed yet");
  }
  SLUICE_ASSIGN_OR_RETURN(const Membership next, Changed(members(), change));
  if (change.kind == MemberChange::Kind::kPromote)
    SLUICE_RETURN_IF_ERROR(WhyNotCaughtUp(change.member.id.id));
  // It would never be committed, and this leader would have to resign; and those that wait for
  // what they have lost can elect nobody after it.
  if (next.voters != members().voters && !MajorityIsNear(next, Contact::kMayElect))
    return Status::Unavailable("the voters that answer would be no majority any more");
  return Status::Ok();
}

// As a voter a node that lags would be missed in the next majority.
Status Core::WhyNotCaughtUp(NodeId learner) const {
  const Progress& progress = progress_.at(learner);
  const bool near = progress.heard && now_ms_ - progress.heard_ms < config_.election_timeout_ms_min;
  if (!near) return Status::Unavailable("the learner does not answer");
  if (progress.state == ProgressState::kReplicate && progress.match >= commit_) return Status::Ok();
  return Status::Unavailable("the learner holds the log up to index " +
                             std::to_string(progress.match.value()) + ", committed is " +
                             std::to_string(commit_.value()));
}

// Of each voter: this leader's own `own`, and what `value_of` its progress tells.
std::vector<int64_t> Core::OfVoters(int64_t own, int64_t (*value_of)(const Progress&)) const {
  std::vector<int64_t> values;
  if (IsVoter()) values.push_back(own);
  for (const auto& [id, progress] : progress_) {
    if (progress.voter || FaultPlanted(Fault::kLearnerCounts)) values.push_back(value_of(progress));
  }
  if (!FaultPlanted(Fault::kLearnerCounts)) CHECK_EQ(values.size(), members().voters.size());
  return values;
}

// A new leader gives all of them the time to answer; who has not answered it yet may be dead.
bool Core::MajorityIsNear(const Membership& members, Contact contact) const {
  const auto near = std::ranges::count_if(members.voters, [&](const Member& voter) {
    if (voter.id == self_) return true;
    const auto peer = progress_.find(voter.id.id);
    if (peer == progress_.end()) return false;
    const Progress& progress = peer->second;
    if (contact == Contact::kMayElect && (!progress.heard || progress.recovering)) return false;
    return now_ms_ - progress.heard_ms < config_.election_timeout_ms_min;
  });
  return static_cast<size_t>(near) >= MajorityOf(members.voters.size());
}

bool Core::PeersChanged() const {
  return told_members_ != log_.history().version() || told_committed_ != MembersAreCommitted();
}

std::vector<Member> Core::TellPeers() {
  told_members_ = log_.history().version();
  told_committed_ = MembersAreCommitted();
  std::vector<Member> peers;
  const auto add = [&](const std::vector<Member>& members) {
    for (const Member& member : members) {
      const bool known = std::ranges::any_of(
          peers, [&](const Member& peer) { return peer.id.id == member.id.id; });
      if (member.id.id != self_.id && !known) peers.push_back(member);
    }
  };
  add(members().voters);
  add(members().learners);
  const Membership* before = log_.history().previous();
  if (before == nullptr || told_committed_) return peers;
  add(before->voters);
  add(before->learners);
  return peers;
}

// Brings `progress_` in line with the members.
void Core::TrackMembers() {
  std::erase_if(progress_, [this](const auto& peer) { return FindPeer(peer.first) == nullptr; });
  const auto track = [this](const Membership& members) {
    for (const auto* list : {&members.voters, &members.learners}) {
      for (const Member& member : *list) {
        if (member.id == self_) continue;
        const auto [peer, fresh] = progress_.try_emplace(member.id.id);
        if (!fresh) continue;
        peer->second.next = log_.last_index() + 1;
        peer->second.heard_ms = now_ms_;
      }
    }
  };
  track(members());
  if (!MembersAreCommitted() && log_.history().previous() != nullptr)
    track(*log_.history().previous());
  for (auto& [id, progress] : progress_) progress.voter = members().FindVoter(id) != nullptr;
}

void Core::MembersCommitted() {
  for (const auto& [id, progress] : progress_) {
    if (members().Find(id) == nullptr) SayFarewell(id, progress);
  }
  TrackMembers();
  if (!IsVoter() && !FaultPlanted(Fault::kRemovedLeaderGoesOn)) StepAside();
}

// Nothing will be sent to it any more. That its removal is committed lets it rest; should this not
// arrive, it asks for votes that nobody gives.
void Core::SayFarewell(NodeId to, const Progress& progress) {
  const LogIndex prev = progress.next - 1;
  const std::optional<Term> prev_term = log_.TermAt(prev);
  if (progress.state == ProgressState::kSnapshot || !prev_term.has_value()) return;
  Message farewell = MakeMessage(
      to, AppendRequest{.prev_index = prev, .prev_term = *prev_term, .commit = commit_});
  farewell.to_disk = log_.history().previous()->Find(to)->id.disk_id;
  ready_.send_now.push_back(std::move(farewell));
}

// This leader's own removal is committed. Its followers need not wait for a timeout.
void Core::StepAside() {
  const NodeId successor = BestPlacedVoter();
  if (successor != kNoNode) SendNow(successor, TimeoutNow{});
  ++metrics_.resignations;
  BecomeFollower(term(), kNoNode);
}

}  // namespace sluice::raft
