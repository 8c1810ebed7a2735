#include "controller/testing/fake_quorum.h"

namespace sluice::controller::testing {

void FakeQuorum::Propose(std::string data, Done done) {
  if (!leading_ || refusing_) return done(Status::NotLeader("refused by the test"));
  raft::Entry entry{.index = NextIndex(), .term = term_, .data = std::move(data)};
  pending_.push_back({std::move(entry), std::move(done)});
}

void FakeQuorum::ReadIndex(Done done) {
  if (silent_) return;
  if (!leading_ || !connected_) return done(Status::Unavailable("no majority"));
  done(LogIndex(static_cast<int64_t>(log_.size()) - 1));
}

Status FakeQuorum::WhyRefuseChange(const raft::MemberChange& change) const {
  if (!leading_) return Status::NotLeader("refused by the test");
  if (refusing_) return Status::Unavailable("another change is under way");
  return raft::Changed(members, change).status();
}

void FakeQuorum::ChangeMember(const raft::MemberChange& change, Done done) {
  if (const Status refusal = WhyRefuseChange(change); !refusal.ok()) return done(refusal);
  members = *raft::Changed(members, change);
  pending_.push_back({{.index = NextIndex(),
                       .term = term_,
                       .type = raft::EntryType::kMembership,
                       .data = raft::EncodeMembership(members)},
                      std::move(done)});
}

Status FakeQuorum::TransferLeadership(NodeId target) {
  if (!leading_) return Status::NotLeader("refused by the test");
  if (refusing_) return Status::Unavailable("no other voter answers");
  asked_to_lead = target;
  return Status::Ok();
}

raft::DriverStatus FakeQuorum::status() const {
  raft::DriverStatus status;
  status.role = leading_ ? raft::Role::kLeader : raft::Role::kFollower;
  status.term = term_;
  status.commit = LogIndex(static_cast<int64_t>(log_.size()) - 1);
  for (const raft::Member& voter : members.voters)
    status.voters.push_back({.voter = voter.id, .address = voter.address});
  for (const raft::Member& learner : members.learners)
    status.learners.push_back({.voter = learner.id, .address = learner.address});
  return status;
}

void FakeQuorum::Append(raft::Entry entry) {
  log_.push_back(entry);
  controller_->Apply({std::move(entry)});
}

void FakeQuorum::Lead() {
  ++term_;
  leading_ = true;
  controller_->OnRoleChange(raft::Role::kLeader, term_, NodeId(1));
  Append({.index = NextIndex(), .term = term_, .type = raft::EntryType::kLeaderStart});
  controller_->OnLeaderReady(term_);
}

void FakeQuorum::Commit(size_t count) {
  for (; count > 0 && !pending_.empty(); --count) {
    Proposal proposal = std::move(pending_.front());
    pending_.pop_front();
    const LogIndex index = proposal.entry.index;
    Append(std::move(proposal.entry));
    proposal.done(index);
  }
}

void FakeQuorum::Lose(NodeId new_leader) {
  leading_ = false;
  auto lost = std::move(pending_);
  pending_.clear();
  ++term_;
  controller_->OnRoleChange(raft::Role::kFollower, term_, new_leader);
  for (const Proposal& proposal : lost) proposal.done(Status::Unavailable("leadership lost"));
}

void FakeDialer::Dial(const std::string& address, int64_t, std::function<void(DialOutcome)> done) {
  dialed.push_back(address);
  const auto outcome = outcomes.find(address);
  done(outcome == outcomes.end() ? DialOutcome::kConnected : outcome->second);
}

}  // namespace sluice::controller::testing
