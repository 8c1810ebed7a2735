#include "controller/controller.h"

#include <algorithm>
#include <utility>

#include "base/planted_fault.h"
#include "controller/broker_goals.h"
#include "controller/change_log.h"
#include "controller/config_manager.h"
#include "controller/feature_manager.h"
#include "controller/partition_manager.h"
#include "controller/producer_id_manager.h"
#include "controller/reassignment_manager.h"
#include "controller/topic_manager.h"
#include "controller/unregistration.h"
#include "metadata/invariants.h"
#include "metadata/replay.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::ImagePtr;

namespace {

constexpr size_t kEntryBytesMax = 8 << 20;
constexpr int64_t kNoLeaseMs = 1 << 30;

// Brokers know records only, and want to know where the controllers are.
std::string AsRecord(const raft::Membership& members) {
  metadata::MetadataBatch batch;
  metadata::QuorumRecord& quorum = *batch.add_records()->mutable_quorum();
  const auto add = [&quorum](const raft::Member& member, bool learner) {
    metadata::QuorumRecord::Member& out = *quorum.add_members();
    out.set_node_id(member.id.id.value());
    out.set_directory_id(std::string(member.id.disk_id.view()));
    out.set_address(member.address);
    out.set_learner(learner);
  };
  for (const raft::Member& voter : members.voters) add(voter, false);
  for (const raft::Member& learner : members.learners) add(learner, true);
  return batch.SerializeAsString();
}

// `done`, and the line in the log that says what was done, if it was.
template <typename Response>
std::function<void(Response)> Telling(std::string line, std::function<void(Response)> done) {
  if (line.empty()) return done;
  return [line = std::move(line), done = std::move(done)](Response response) {
    LOG_IF(INFO, response.outcome().error_code() == 0) << line;
    done(std::move(response));
  };
}

// Whether nothing is to change; not every request can say so.
template <typename Request>
bool OnlyValidates(const Request& request) {
  if constexpr (requires { request.validate_only(); }) return request.validate_only();
  return false;
}

Status ParseEntry(const raft::Entry& entry, std::string& data) {
  if (entry.type == raft::EntryType::kNormal) data = entry.data;
  if (entry.type == raft::EntryType::kMembership) {
    SLUICE_ASSIGN_OR_RETURN(const raft::Membership members, raft::DecodeMembership(entry.data));
    data = AsRecord(members);
  }
  if (entry.type != raft::EntryType::kBootstrap) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(raft::Bootstrap bootstrap, raft::DecodeBootstrap(entry.data));
  data = std::move(bootstrap.payload);
  return Status::Ok();
}

}  // namespace

MetadataController::MetadataController(ControllerOptions options, EventLoop& loop, Dialer& dialer,
                                       FeedLog& feed)
    : options_(std::move(options)),
      loop_(loop),
      dialer_(dialer),
      feed_(feed),
      random_(options_.random),
      brokers_(options_.brokers),
      leaders_(options_.leaders),
      full_pass_(options_.brokers.fence_step_changes),
      decommission_(options_.moves_max),
      alive_(std::make_shared<bool>(true)),
      committed_(metadata::EmptyImage()),
      speculative_(committed_) {}

MetadataController::~MetadataController() { Stop(); }

void MetadataController::Start(Quorum* quorum) { quorum_ = quorum; }

void MetadataController::Stop() {
  Renounce();
  FailChange();
  *alive_ = false;
}

// ---- Replay

void MetadataController::Apply(const std::vector<raft::Entry>& committed) {
  std::vector<FeedEntryPtr> feed;
  for (const raft::Entry& entry : committed) ApplyEntry(entry, feed);
  const raft::Entry& last = committed.back();
  if (!active_ || committed_->last_index >= speculative_->last_index) speculative_ = committed_;
  feed_.Publish(std::move(feed), committed_);
  AnswerUpTo(last.index, last.term);
}

void MetadataController::ApplyEntry(const raft::Entry& entry, std::vector<FeedEntryPtr>& feed) {
  auto fed = std::make_shared<FeedEntry>(FeedEntry{entry.index, entry.term, {}});
  Status applied = ParseEntry(entry, fed->data);
  metadata::ImageBuilder builder(committed_);
  if (applied.ok()) applied = builder.ApplyEntry(fed->data, entry.index);
  // Going on would let this node diverge from the others, silently.
  CHECK(applied.ok()) << "committed entry " << entry.index
                      << " does not apply: " << applied.ToString();
  const metadata::Delta delta = builder.TakeDelta();
  committed_ = builder.Build(entry.index, entry.term);
  // What this activation proposed was checked then, on the same image.
  const bool checked =
      active_ && entry.term == active_term_ && entry.type == raft::EntryType::kNormal;
  if (!checked) {
    const Status sound = metadata::CheckTouched(*committed_, delta);
    CHECK(sound.ok()) << "after entry " << entry.index << ": " << sound.ToString();
  }
  ++metrics_.entries_applied;
  metrics_.unclean_elections += static_cast<uint64_t>(delta.unclean_elections);
  feed.push_back(std::move(fed));
}

std::string MetadataController::TakeSnapshot() { return metadata::ToSnapshot(*committed_); }

std::function<std::string()> MetadataController::FreezeSnapshot() {
  return [image = committed_] { return metadata::ToSnapshot(*image); };
}

void MetadataController::LoadSnapshot(const raft::SnapshotMeta& meta, std::string_view data) {
  const int64_t begin_ms = NowMs();
  Result<ImagePtr> image = metadata::FromSnapshot(data);
  CHECK(image.ok()) << image.status().ToString();
  LOG(INFO) << "metadata snapshot " << meta.index << " is loaded, in " << NowMs() - begin_ms
            << " ms";
  CHECK_EQ((*image)->last_index, meta.index);
  committed_ = *image;
  speculative_ = committed_;
  feed_.Reset(committed_);
}

// ---- Leadership

void MetadataController::OnRoleChange(raft::Role role, Term term, NodeId leader) {
  leader_ = leader;
  if (active_ && (role != raft::Role::kLeader || term != active_term_)) Renounce();
  feed_.SetLeader(leader, term);
}

void MetadataController::OnLeaderReady(Term term) {
  if (!*alive_) return;
  if (active_) Renounce();
  active_ = true;
  active_term_ = term;
  ++activation_;
  ++metrics_.activations;
  speculative_ = committed_;
  confirmed_ms_ = -1;
  confirmed_rounds_ = 0;
  fenced_ms_.clear();
  brake_round_ = -1;
  failover_ = {};
  brokers_.Activate(*committed_, NowMs());
  leaders_.Activate(*committed_, NowMs());
  full_pass_.Activate(brokers_.full());
  decommission_.Begin();
  LOG(INFO) << "controller " << options_.self << " is active in term " << term
            << ", metadata at index " << committed_->last_index;
  const Records bootstrap = BootstrapRecords(*speculative_, options_.cluster_id, options_.server);
  if (!bootstrap.empty()) {
    const Status proposed = Propose(bootstrap, [](bool) {});
    CHECK(proposed.ok() || proposed.code() == StatusCode::kNotLeader) << proposed.ToString();
  }
  ConfirmLeadership();
  TickLater();
  RunLater(LeaderPass::kStepMs, &MetadataController::MoveLeads);
  RunLater(Decommission::kPauseMs, &MetadataController::GoOnDecommissioning);
}

void MetadataController::Renounce() {
  if (active_) LOG(INFO) << "controller " << options_.self << " is no longer active";
  active_ = false;
  ++activation_;
  speculative_ = committed_;
  brokers_.Deactivate();
  FailAll();
}

void MetadataController::RunLater(int64_t period_ms, void (MetadataController::*task)()) {
  const int64_t now_ms = NowMs();
  loop_.RunAfter(NextMultiple(now_ms, period_ms) - now_ms, Guarded(task));
}

EventLoop::Task MetadataController::Guarded(void (MetadataController::*task)()) {
  return [this, task, alive = alive_, activation = activation_] {
    if (*alive && active_ && activation == activation_) (this->*task)();
  };
}

void MetadataController::ConfirmLeadership() {
  const int64_t sent_ms = NowMs();
  quorum_->ReadIndex(
      [this, sent_ms, alive = alive_, activation = activation_](const Result<LogIndex>& confirmed) {
        if (!*alive || !active_ || activation != activation_) return;
        if (confirmed.ok()) {
          confirmed_ms_ = sent_ms;
          ++confirmed_rounds_;
        }
        RunLater(options_.confirm_interval_ms, &MetadataController::ConfirmLeadership);
      });
}

int64_t MetadataController::LeaseAgeMs() const {
  return confirmed_ms_ < 0 ? kNoLeaseMs : NowMs() - confirmed_ms_;
}

// ---- Handling requests

HandleContext MetadataController::Context() const {
  return {.image = speculative_,
          .index = quorum_->NextIndex(),
          .now_ms = NowMs(),
          .wall_ms = loop_.clock().WallMs(),
          .server = options_.server,
          .random = random_,
          .log_ends = &brokers_.log_ends(),
          .full = &brokers_.full()};
}

Outcome MetadataController::NotController() const {
  Outcome outcome;
  SetError(outcome, ErrorCode::kNotController,
           "node " + std::to_string(options_.self.value()) + " is not the active controller");
  // A node that was the leader a moment ago knows no other one.
  const NodeId leader = leader_ == options_.self && !active_ ? kNoNode : leader_;
  outcome.set_leader_id(leader.value());
  outcome.set_leader_address(AddressOf(leader));
  return outcome;
}

Status MetadataController::Propose(const Records& records, std::function<void(bool)> answer) {
  const LogIndex index = quorum_->NextIndex();
  metadata::MetadataBatch batch;
  for (const metadata::MetadataRecord& record : records) *batch.add_records() = record;
  std::string data = batch.SerializeAsString();
  metadata::Delta delta;
  Result<ImagePtr> next = Replay(data, index, delta);
  if (!next.ok()) {
    LOG_EVERY_N(ERROR, 100) << "a decision at index " << index
                            << " is not carried out: " << next.status().message();
    return Status::Internal("the request cannot be carried out: " + next.status().message());
  }
  const ImagePtr before = std::exchange(speculative_, *std::move(next));
  const auto waiting = waiting_.emplace(index, std::move(answer));
  auto refused = std::make_shared<bool>(false);
  quorum_->Propose(std::move(data),
                   [refused](const Result<LogIndex>& done) { *refused = !done.ok(); });
  // Only an error from inside the call is looked at: it says that nothing was appended. A later one
  // comes with the loss of leadership.
  if (!*refused) {
    NoteLostLeads(*before, delta, index);
    return Status::Ok();
  }
  if (speculative_->last_index == index) speculative_ = before;
  waiting_.erase(waiting);
  return Status::NotLeader("the quorum takes nothing");
}

// From its bytes, as every node will: an entry that does not apply, or breaks an invariant, would
// stop all controllers once it is committed, and again at each start. So that is found here, where
// one request can still be refused.
Result<ImagePtr> MetadataController::Replay(const std::string& data, LogIndex index,
                                            metadata::Delta& delta) const {
  metadata::ImageBuilder builder(speculative_);
  SLUICE_RETURN_IF_ERROR(builder.ApplyEntry(data, index));
  delta = builder.TakeDelta();
  ImagePtr next = builder.Build(index, active_term_);
  SLUICE_RETURN_IF_ERROR(metadata::CheckTouched(*next, delta));
  return next;
}

void MetadataController::AnswerUpTo(LogIndex index, Term term) {
  if (waiting_.empty()) return;
  if (!active_ || term != active_term_) return FailAll();
  std::vector<std::function<void(bool)>> due;
  const auto end = waiting_.upper_bound(index);
  for (auto it = waiting_.begin(); it != end; ++it) due.push_back(std::move(it->second));
  waiting_.erase(waiting_.begin(), end);
  for (const auto& answer : due) answer(true);
}

void MetadataController::FailAll() {
  const auto failed = std::exchange(waiting_, {});
  const auto unconfirmed = std::exchange(reading_, {});
  for (const auto& [index, answer] : failed) answer(false);
  for (const auto& [id, answer] : unconfirmed) answer(false);
}

std::optional<Outcome> MetadataController::WhyRefuse(const Sender& sender) const {
  if (!active_) return NotController();
  if (sender.cluster_id().empty() || sender.cluster_id() == options_.cluster_id)
    return std::nullopt;
  Outcome outcome;
  SetError(outcome, ErrorCode::kInconsistentClusterId,
           "the request is for cluster " + sender.cluster_id() + ", this is cluster " +
               options_.cluster_id);
  return outcome;
}

// Proposes and answers at commit; what proposes nothing waits too, for it may have been decided on
// what is not committed yet.
template <typename Response>
void MetadataController::Finish(Decision<Response> decision, Done<Response> done) {
  auto answer = [this, response = std::move(decision.response), done](bool committed) mutable {
    if (!committed) {
      response.Clear();
      *response.mutable_outcome() = NotController();
    } else {
      response.mutable_outcome()->set_leader_id(options_.self.value());
    }
    done(std::move(response));
  };
  if (!decision.records.empty()) {
    const Status proposed = Propose(decision.records, answer);
    if (proposed.ok()) return;
    if (proposed.code() == StatusCode::kNotLeader) return answer(false);
    Response refused;
    SetError(*refused.mutable_outcome(), ErrorCode::kUnknownServerError, proposed.message());
    refused.mutable_outcome()->set_leader_id(options_.self.value());
    done(std::move(refused));
  } else if (speculative_->last_index > committed_->last_index) {
    waiting_.emplace(speculative_->last_index, std::move(answer));
  } else {
    AnswerAsLeader(std::move(answer));
  }
}

// Who has been deposed and does not know it would answer by what was: a leader that is told so of a
// change of its ISR that it is refused, though the next controller has committed it, would let its
// high watermark pass who is in the ISR by then.
void MetadataController::AnswerAsLeader(std::function<void(bool)> answer) {
  const uint64_t id = ++last_read_;
  reading_.emplace(id, std::move(answer));
  quorum_->ReadIndex([this, id, alive = alive_](const Result<LogIndex>& confirmed) {
    if (!*alive) return;
    // Not there any more: it was answered when the lead was lost.
    auto read = reading_.extract(id);
    if (!read.empty()) read.mapped()(confirmed.ok());
  });
}

template <typename Request, typename Response>
void MetadataController::HandleAdmin(const Request& request,
                                     Decision<Response> (*handle)(const HandleContext&,
                                                                  const Request&),
                                     Done<Response> done) {
  if (Refuse<Response>(request.sender(), done)) return;
  Decision<Response> decision;
  const std::string& id = request.request_id();
  if (!id.empty() && !IsUuid(id)) {
    SetError(*decision.response.mutable_outcome(), ErrorCode::kInvalidRequest,
             "a request id has 16 bytes, this one has " + std::to_string(id.size()));
    return Finish(std::move(decision), std::move(done));
  }
  if (!id.empty()) {
    const auto known = speculative_->requests->find(Uuid::FromBytes(id));
    if (known != speculative_->requests->end() &&
        decision.response.ParseFromString(known->second->response)) {
      return Finish(std::move(decision), std::move(done));
    }
  }
  decision = handle(Context(), request);
  size_t bytes = 0;
  for (const auto& record : decision.records) bytes += record.ByteSizeLong();
  if (bytes > kEntryBytesMax) {
    decision = {};
    SetError(*decision.response.mutable_outcome(), ErrorCode::kInvalidRequest,
             "the request makes " + std::to_string(bytes) + " bytes of metadata, the limit is " +
                 std::to_string(kEntryBytesMax) + ": split it");
  }
  // Only here: what would be refused above is refused of a dry run, too.
  if (OnlyValidates(request)) decision.records.clear();
  if (!decision.records.empty())
    done = Telling(LineOf(*speculative_, request, decision), std::move(done));
  decision.response.set_applied_index(
      (decision.records.empty() ? speculative_->last_index : quorum_->NextIndex()).value());
  if (!id.empty() && !decision.records.empty()) {
    metadata::MetadataRecord record;
    record.mutable_request_id()->set_request_id(id);
    record.mutable_request_id()->set_time_ms(loop_.clock().WallMs());
    record.mutable_request_id()->set_response(decision.response.SerializeAsString());
    decision.records.push_back(std::move(record));
  }
  Finish(std::move(decision), std::move(done));
}

void MetadataController::RegisterBroker(const RegisterBrokerRequest& request,
                                        Done<RegisterBrokerResponse> done) {
  if (Refuse<RegisterBrokerResponse>(request.sender(), done)) return;
  Finish(brokers_.Register(Context(), request), std::move(done));
}

void MetadataController::Heartbeat(const HeartbeatRequest& request, Done<HeartbeatResponse> done) {
  if (Refuse<HeartbeatResponse>(request.sender(), done)) return;
  Decision<HeartbeatResponse> decision = brokers_.Heartbeat(Context(), request);
  // What is not taken now, the next heartbeat brings up again.
  if (!decision.records.empty()) {
    if (const Status proposed = Propose(decision.records, [](bool) {}); !proposed.ok())
      VLOG(1) << "after a heartbeat: " << proposed.message();
  }
  if (!brokers_.full().empty()) TickBefore(NextMultiple(NowMs(), kTickMs));
  // Answered at once: the broker's lease must not wait for a disk. What it learns of itself is what
  // is committed.
  HeartbeatResponse& response = decision.response;
  const metadata::BrokerImage* broker = committed_->FindBroker(NodeId(request.sender().node_id()));
  response.set_fenced(broker == nullptr || broker->fenced);
  const bool knows = brokers_.KnowsWhatItLeads(NodeId(request.sender().node_id()), NowMs()) ||
                     FaultPlanted(ReplicationFault::kLeaseWhileFencing);
  response.set_lease_age_ms(knows ? LeaseAgeMs() : kNoLeaseMs);
  response.set_commit_index(committed_->last_index.value());
  response.mutable_outcome()->set_leader_id(options_.self.value());
  done(std::move(response));
}

void MetadataController::AssignReplicasToDirs(const AssignReplicasToDirsRequest& request,
                                              Done<AssignReplicasToDirsResponse> done) {
  if (Refuse<AssignReplicasToDirsResponse>(request.sender(), done)) return;
  Finish(controller::AssignReplicasToDirs(Context(), request), std::move(done));
}

void MetadataController::AlterPartition(const AlterPartitionRequest& request,
                                        Done<AlterPartitionResponse> done) {
  if (Refuse<AlterPartitionResponse>(request.sender(), done)) return;
  Finish(controller::AlterPartition(Context(), request), std::move(done));
}

void MetadataController::AllocateProducerIds(const AllocateProducerIdsRequest& request,
                                             Done<AllocateProducerIdsResponse> done) {
  if (Refuse<AllocateProducerIdsResponse>(request.sender(), done)) return;
  Finish(controller::AllocateProducerIds(Context(), request), std::move(done));
}

void MetadataController::CreateTopics(const CreateTopicsRequest& request,
                                      Done<CreateTopicsResponse> done) {
  HandleAdmin(request, &controller::CreateTopics, std::move(done));
}

void MetadataController::DeleteTopics(const DeleteTopicsRequest& request,
                                      Done<DeleteTopicsResponse> done) {
  HandleAdmin(request, &controller::DeleteTopics, std::move(done));
}

void MetadataController::CreatePartitions(const CreatePartitionsRequest& request,
                                          Done<CreatePartitionsResponse> done) {
  HandleAdmin(request, &controller::CreatePartitions, std::move(done));
}

void MetadataController::AlterConfigs(const AlterConfigsRequest& request,
                                      Done<AlterConfigsResponse> done) {
  HandleAdmin(request, &controller::AlterConfigs, std::move(done));
}

void MetadataController::AlterPartitionReassignments(
    const AlterPartitionReassignmentsRequest& request,
    Done<AlterPartitionReassignmentsResponse> done) {
  HandleAdmin(request, &controller::AlterPartitionReassignments, std::move(done));
}

void MetadataController::ElectLeaders(const ElectLeadersRequest& request,
                                      Done<ElectLeadersResponse> done) {
  HandleAdmin(request, &controller::ElectLeaders, std::move(done));
}

void MetadataController::ChangeBroker(const ChangeBrokerRequest& request,
                                      Done<ChangeBrokerResponse> done) {
  HandleAdmin(request, &controller::ChangeBroker, std::move(done));
  leaders_.Request();
  decommission_.Begin();
}

// What is not taken now, the next walk comes to again.
void MetadataController::MoveLeads() {
  const LeaderPass::Step step = leaders_.Next(*speculative_, brokers_.full(), NowMs());
  if (!step.records.empty() && Propose(step.records, [](bool) {}).ok()) {
    metrics_.preferred_elections += step.preferred;
    metrics_.yielded_leads += step.yielded;
  }
  RunLater(LeaderPass::kStepMs, &MetadataController::MoveLeads);
}

void MetadataController::GoOnDecommissioning() {
  const Records records = decommission_.Next(*speculative_, brokers_.full());
  if (!records.empty()) {
    if (const Status proposed = Propose(records, [](bool) {}); !proposed.ok())
      LOG(WARNING) << "a step of a decommission is not taken: " << proposed.message();
  }
  RunLater(decommission_.next_in_ms(), &MetadataController::GoOnDecommissioning);
}

void MetadataController::UnregisterBroker(const UnregisterBrokerRequest& request,
                                          Done<UnregisterBrokerResponse> done) {
  HandleAdmin(request, &controller::UnregisterBroker, std::move(done));
}

}  // namespace sluice::controller
