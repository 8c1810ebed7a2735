// The active controller's answers about the quorum's members: who they are, one step to others, and
// another leader. Unlike all else that it decides, these are no records: Raft keeps the members, as
// entries of its own, and what is replayed of them is MetadataController::ApplyEntry's.
#include <algorithm>
#include <utility>

#include "controller/controller.h"
#include "controller/registration_check.h"

namespace sluice::controller {

using kafka::ErrorCode;

namespace {

const raft::PeerStatus* Find(const std::vector<raft::PeerStatus>& peers, NodeId id) {
  const auto found = std::ranges::find(peers, id, [](const auto& peer) { return peer.voter.id; });
  return found == peers.end() ? nullptr : &*found;
}

raft::MemberChange ToChange(const ChangeQuorumRequest& request) {
  using Kind = raft::MemberChange::Kind;
  raft::MemberChange change;
  change.kind = request.operation() == ChangeQuorumRequest::ADD_LEARNER ? Kind::kAddLearner
                : request.operation() == ChangeQuorumRequest::PROMOTE   ? Kind::kPromote
                                                                        : Kind::kRemove;
  change.member = {{NodeId(request.node_id()), Uuid::FromBytes(request.directory_id())},
                   request.address()};
  return change;
}

// Whether the members are as the change would make them: it is asked for a second time by who got
// no answer to the first.
bool IsSo(const raft::DriverStatus& status, const raft::MemberChange& change) {
  const raft::VoterId& id = change.member.id;
  const raft::PeerStatus* voter = Find(status.voters, id.id);
  const raft::PeerStatus* learner = Find(status.learners, id.id);
  if (change.kind == raft::MemberChange::Kind::kRemove)
    return voter == nullptr && learner == nullptr;
  if (voter != nullptr) return voter->voter == id;
  return change.kind == raft::MemberChange::Kind::kAddLearner && learner != nullptr &&
         learner->voter == id && learner->address == change.member.address;
}

ErrorCode CodeOf(StatusCode refusal) {
  switch (refusal) {
    case StatusCode::kAlreadyExists: return ErrorCode::kDuplicateVoter;
    case StatusCode::kNotFound: return ErrorCode::kVoterNotFound;
    case StatusCode::kResourceExhausted: return ErrorCode::kThrottlingQuotaExceeded;
    case StatusCode::kInvalidArgument: return ErrorCode::kInvalidRequest;
    // Not now: the reason is in the words.
    default: return ErrorCode::kIneligibleReplica;
  }
}

}  // namespace

Outcome MetadataController::OutcomeOf(const Status& refusal) const {
  if (refusal.code() == StatusCode::kNotLeader) return NotController();
  Outcome outcome;
  SetError(outcome, CodeOf(refusal.code()), refusal.message());
  outcome.set_leader_id(options_.self.value());
  return outcome;
}

std::string MetadataController::AddressOf(NodeId controller) const {
  const raft::DriverStatus status = quorum_->status();
  for (const auto* peers : {&status.voters, &status.learners}) {
    const raft::PeerStatus* peer = Find(*peers, controller);
    if (peer != nullptr && !peer->address.empty()) return peer->address;
  }
  const auto configured = options_.addresses.find(controller);
  return configured == options_.addresses.end() ? "" : configured->second;
}

void MetadataController::DescribeQuorum(const DescribeQuorumRequest& request,
                                        Done<DescribeQuorumResponse> done) {
  if (Refuse<DescribeQuorumResponse>(request.sender(), done)) return;
  const raft::DriverStatus status = quorum_->status();
  DescribeQuorumResponse response;
  response.mutable_outcome()->set_leader_id(options_.self.value());
  response.set_leader_id(status.leader.value());
  response.set_term(status.term.value());
  response.set_commit_index(status.commit.value());
  const auto describe = [this](const raft::PeerStatus& peer, DescribeQuorumResponse::Voter& out) {
    out.set_id(peer.voter.id.value());
    out.set_directory_id(std::string(peer.voter.disk_id.view()));
    out.set_address(AddressOf(peer.voter.id));
    out.set_match_index(peer.match.value());
    out.set_recovering(peer.recovering);
    out.set_last_contact_age_ms(peer.voter.id == options_.self ? 0 : peer.last_heard_ms);
  };
  for (const raft::PeerStatus& peer : status.voters) describe(peer, *response.add_voters());
  for (const raft::PeerStatus& peer : status.learners) describe(peer, *response.add_learners());
  for (const auto& [broker, directories] : brokers_.full().told()) {
    if (speculative_->FindBroker(broker) == nullptr) continue;
    auto& full = *response.add_full_brokers();
    full.set_id(broker.value());
    full.set_directories(static_cast<int32_t>(directories.size()));
    for (const Uuid& directory : directories) full.add_directory_ids(std::string(directory.view()));
  }
  done(std::move(response));
}

void MetadataController::ChangeQuorum(const ChangeQuorumRequest& request,
                                      Done<ChangeQuorumResponse> done) {
  if (Refuse<ChangeQuorumResponse>(request.sender(), done)) return;
  ChangeQuorumResponse response;
  response.mutable_outcome()->set_leader_id(options_.self.value());
  if (!IsUuid(request.directory_id())) {
    *response.mutable_outcome() = OutcomeOf(Status::InvalidArgument(
        "a disk id has 16 bytes, this one has " + std::to_string(request.directory_id().size())));
    return done(std::move(response));
  }
  if (const Status fits = CheckText("controller address", request.address()); !fits.ok()) {
    *response.mutable_outcome() = OutcomeOf(fits);
    return done(std::move(response));
  }
  const raft::MemberChange change = ToChange(request);
  if (IsSo(quorum_->status(), change)) {
    response.set_unchanged(true);
    response.set_applied_index(committed_->last_index.value());
    return done(std::move(response));
  }
  if (request.validate_only()) {
    const Status refusal = quorum_->WhyRefuseChange(change);
    if (!refusal.ok()) *response.mutable_outcome() = OutcomeOf(refusal);
    return done(std::move(response));
  }
  // An error from inside the call says that nothing was appended. One that comes later leaves open
  // whether the change is made: whoever asked asks the next leader, and there IsSo knows.
  auto appended = std::make_shared<bool>(false);
  auto answer = std::make_shared<ChangeDone>(
      [this, done, response, appended](const Result<LogIndex>& index) mutable {
        if (index.ok()) {
          response.set_applied_index(index->value());
        } else {
          *response.mutable_outcome() = *appended ? NotController() : OutcomeOf(index.status());
        }
        done(std::move(response));
      });
  quorum_->ChangeMember(change, [answer](const Result<LogIndex>& index) {
    if (const ChangeDone tell = std::exchange(*answer, nullptr)) tell(index);
  });
  *appended = true;
  // There is one at a time: if it is this one, no other can have been begun before.
  if (*answer != nullptr) changing_ = answer;
}

void MetadataController::FailChange() {
  const std::shared_ptr<ChangeDone> answer = std::exchange(changing_, nullptr);
  if (answer == nullptr) return;
  if (const ChangeDone tell = std::exchange(*answer, nullptr))
    tell(Status::Unavailable("the controller is stopping"));
}

void MetadataController::TransferController(const TransferControllerRequest& request,
                                            Done<TransferControllerResponse> done) {
  if (Refuse<TransferControllerResponse>(request.sender(), done)) return;
  TransferControllerResponse response;
  response.mutable_outcome()->set_leader_id(options_.self.value());
  const NodeId target = request.has_target_id() ? NodeId(request.target_id()) : kNoNode;
  if (const Status asked = quorum_->TransferLeadership(target); !asked.ok())
    *response.mutable_outcome() = OutcomeOf(asked);
  done(std::move(response));
}

}  // namespace sluice::controller
