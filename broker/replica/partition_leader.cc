// Partition as a leader: appends, acknowledgements, the ISR and the high watermark.
#include <algorithm>

#include "base/planted_fault.h"
#include "broker/replica/partition.h"

namespace sluice::broker {

using kafka::ErrorCode;

namespace {

// The former leader refused a batch, or its connection broke under it, and before that has come
// here the next one does: librdkafka sends it as soon as it knows this leader. Told that it is out
// of order, the client takes that for the end of everything if the batch had been sent once before.
// So a leader that was just elected says something else of a gap, for this long.
constexpr int64_t kOvertakenMsMax = 5000;

}  // namespace

size_t Partition::MinIsr() const {
  if (FaultPlanted(ReplicationFault::kMinIsrUnchecked)) return 1;
  // A topic with fewer replicas than min.insync.replicas would otherwise never take a record. As
  // the controller counts (metadata::EffectiveMinIsr): those that a move adds do not raise it.
  return std::min<size_t>(static_cast<size_t>(config_->min_insync_replicas), replication_factor_);
}

ReplicaSet::LagRule Partition::LagRuleNow() const {
  return {log_->log_end_offset(), context_->clock->SteadyMs(), context_->replica_lag_ms_max};
}

bool Partition::EligibleForIsr(const RemoteReplica& replica) const {
  if (ReplicaSet::Refused(replica)) return false;
  const metadata::ImagePtr image = context_->metadata->Current();
  const metadata::PartitionImage* partition = image->FindPartition(key().topic_id, key().partition);
  // The epochs differ when the broker was restarted since that fetch: what it had then it may have
  // lost (rule 5).
  return partition != nullptr && metadata::ReplicaActive(*image, *partition, replica.id) &&
         (image->FindBroker(replica.id)->epoch == replica.broker_epoch ||
          FaultPlanted(ReplicationFault::kIsrWithoutBrokerEpoch));
}

ErrorCode Partition::CheckLeader(LeaderEpoch asked_epoch) const {
  if (!usable() && role_ != Role::kNone) return ErrorCode::kKafkaStorageError;
  if (asked_epoch != kNoEpoch) {
    if (asked_epoch < leader_epoch_) return ErrorCode::kFencedLeaderEpoch;
    if (asked_epoch > leader_epoch_) return ErrorCode::kUnknownLeaderEpoch;
  }
  return role_ == Role::kLeader ? ErrorCode::kNone : ErrorCode::kNotLeaderOrFollower;
}

void Partition::Append(const AppendRequest& request, PartitionEffects& effects) {
  ProduceEntryResult& result = request.operation->result(request.entry);
  std::lock_guard lock(mutex_);
  // Whatever it is refused for, that may be over when the producer's next batch comes.
  const auto refuse = [&](ErrorCode error) {
    result.error = error;
    if (usable()) log_->NoteRefused(request.batch);
  };
  if (const ErrorCode error = CheckLeader(request.leader_epoch); error != ErrorCode::kNone) {
    result.leader = HintLocked();
    return refuse(error);
  }
  if (request.acks == -1 && UnderMinIsr()) {
    result.message = "the partition has " + std::to_string(replicas_.isr().size()) +
                     " in-sync replicas, and " + std::to_string(MinIsr()) + " are demanded";
    return refuse(ErrorCode::kNotEnoughReplicas);
  }
  if (DiskFull()) {
    // Not done, and worth trying again: clients wait until there is room.
    result.message = "the disk of " + directory_->path() +
                     " is full: " + std::to_string(directory_->free_bytes()) + " bytes are free";
    return refuse(ErrorCode::kKafkaStorageError);
  }
  Result<storage::AppendOutcome> appended = log_->AppendAsLeader(request.batch, leader_epoch_);
  if (!appended.ok()) {
    NoteStorage(appended.status(), effects);
    result.message = appended.status().message();
    return refuse(ErrorCode::kKafkaStorageError);
  }
  result.log_start_offset = log_->log_start_offset();
  result.error = appended->error;
  // To clients that one means: stored before, only nobody knows where.
  const bool stored =
      appended->error == ErrorCode::kNone || appended->error == ErrorCode::kDuplicateSequenceNumber;
  if (!stored) {
    result.message = std::move(appended->message);
    const bool elected_just_now = leader_epoch_ > LeaderEpoch(0) &&
                                  context_->clock->SteadyMs() - leads_since_ms_ < kOvertakenMsMax;
    if (result.error == ErrorCode::kOutOfOrderSequenceNumber && elected_just_now)
      result.error = ErrorCode::kNotLeaderOrFollower;
    return;
  }
  if (appended->error == ErrorCode::kNone) {
    result.base_offset = appended->info.first_offset;
    if (!appended->info.duplicate) {
      directory_->NoteWritten(request.batch.size());
      traffic_.AddIn(request.batch.size());
      AfterAppend(effects);
    }
  }
  // A resend is acknowledged by the same rule as the original: that one may still be on its way to
  // the followers.
  const Offset last_offset = appended->info.last_offset;
  if (request.acks == -1 && high_watermark_ <= last_offset) AddAckWaiter(request, last_offset);
}

void Partition::NoteRefused(std::string_view batch) {
  std::lock_guard lock(mutex_);
  if (usable()) log_->NoteRefused(batch);
}

void Partition::AddAckWaiter(const AppendRequest& request, Offset last_offset) {
  // Sorted by offset; only a resend goes anywhere but to the end.
  auto position = ack_waiters_.end();
  while (position != ack_waiters_.begin() && std::prev(position)->last_offset > last_offset)
    --position;
  ack_waiters_.insert(position,
                      {last_offset, request.deadline_ms, request.operation, request.entry});
  request.operation->AddWaiting();
}

void Partition::AfterAppend(PartitionEffects& effects) {
  follower_waiters_.TakeAll(effects.woken);
  RequestDueFlush(effects);
  AdvanceHighWatermark(effects);
}

void Partition::AdvanceHighWatermark(PartitionEffects& effects) {
  if (UnderMinIsr()) return;
  const bool flushed_only = config_->fsync && !FaultPlanted(ReplicationFault::kCountsUnflushed);
  const Offset own = flushed_only ? log_->flushed_offset() : log_->log_end_offset();
  Offset committable = replicas_.CommittableOffset(
      own, LagRuleNow(), [this](const RemoteReplica& replica) { return EligibleForIsr(replica); });
  if (FaultPlanted(ReplicationFault::kAcksBeforeReplicated)) committable = own;
  if (committable <= high_watermark_) return;
  SetHighWatermark(committable, effects);
  Acknowledge(effects);
}

void Partition::SetHighWatermark(Offset offset, PartitionEffects& effects) {
  CHECK(offset >= high_watermark_) << name().ToString() << ": the high watermark went back from "
                                   << high_watermark_ << " to " << offset;
  CHECK(offset <= log_->log_end_offset()) << name().ToString() << ": high watermark " << offset
                                          << " above the log end " << log_->log_end_offset();
  if (offset == high_watermark_) return;
  high_watermark_ = offset;
  watch_.Note(effects);
  consumer_waiters_.TakeAll(effects.woken);
  NudgeFollowers(effects);
}

void Partition::NudgeFollowers(PartitionEffects& effects) {
  for (const auto& waiter : follower_waiters_) {
    if (!waiter->finished() && waiter->TakeNudge()) effects.nudged.push_back(waiter);
  }
}

void Partition::Acknowledge(PartitionEffects& effects) {
  if (role_ != Role::kLeader || ack_waiters_.empty()) return;
  // Whatever the followers say: without a lease another leader may exist already, and this log be
  // about to be cut (rule 10).
  if (!context_->state->LeaseValid(*context_->clock) &&
      !FaultPlanted(ReplicationFault::kLeaseIgnored))
    return;
  if (UnderMinIsr()) {
    FailWaiters(ErrorCode::kNotEnoughReplicasAfterAppend, effects);
    return;
  }
  auto first_waiting = ack_waiters_.begin();
  for (; first_waiting != ack_waiters_.end() && first_waiting->last_offset < high_watermark_;
       ++first_waiting) {
    const ErrorCode outcome = first_waiting->operation->result(first_waiting->entry).error;
    effects.acknowledgements.push_back(
        {std::move(first_waiting->operation), first_waiting->entry, outcome});
  }
  ack_waiters_.erase(ack_waiters_.begin(), first_waiting);
}

void Partition::ShrinkIsr(PartitionEffects& effects) {
  std::lock_guard lock(mutex_);
  if (role_ != Role::kLeader || !usable() || replicas_.pending()) return;
  const std::vector<NodeId> lagging = replicas_.Lagging(LagRuleNow());
  if (lagging.empty()) return;
  std::vector<NodeId> isr;
  for (const NodeId id : replicas_.isr()) {
    if (std::find(lagging.begin(), lagging.end(), id) == lagging.end()) isr.push_back(id);
  }
  for (const NodeId id : lagging) {
    context_->isr_log->NoteLeaves(name(), id);
    VLOG(1) << name().ToString() << ": broker " << id << " is to leave the ISR: it has "
            << replicas_.Find(id)->log_end_offset << " of " << log_->log_end_offset();
  }
  Propose(std::move(isr), effects);
}

void Partition::MaybeExpandIsr(const RemoteReplica& replica, PartitionEffects& effects) {
  if (replicas_.pending() || replicas_.InIsr(replica.id)) return;
  // Below the epoch's start it has not proven that its history is ours; below the high watermark it
  // would pull that back (rule 5).
  const bool behind =
      replica.log_end_offset < high_watermark_ || replica.log_end_offset < epoch_start_;
  if (behind && !FaultPlanted(ReplicationFault::kJoinsBehind)) return;
  if (!EligibleForIsr(replica)) return;
  // The next fetch asks again; meanwhile who goes shows up, or leaves the ISR.
  if (replicas_.EndsMoveUnheard(replica.id) && !FaultPlanted(ReplicationFault::kMoveEndsUnheard))
    return;
  std::vector<NodeId> isr = replicas_.isr();
  isr.push_back(replica.id);
  VLOG(1) << name().ToString() << ": broker " << replica.id << " is to join the ISR at "
          << replica.log_end_offset;
  Propose(std::move(isr), effects);
}

// Whoever is waited for without being in the ISR is to join it, or would lag soon. It asks by its
// fetches; but another proposal may have been under way then, and one whose disk is full fetches no
// more. Nor does anybody tell that it lags by now.
void Partition::LookWhoIsWaitedFor(PartitionEffects& effects) {
  for (const RemoteReplica& replica : replicas_.remotes()) {
    if (ReplicaSet::CaughtUp(replica, LagRuleNow())) MaybeExpandIsr(replica, effects);
  }
  AdvanceHighWatermark(effects);
}

std::vector<IsrProposal::Member> Partition::MembersOf(const std::vector<NodeId>& isr) const {
  const metadata::ImagePtr image = context_->metadata->Current();
  std::vector<IsrProposal::Member> members;
  for (const NodeId id : isr) {
    const metadata::BrokerImage* broker = image->FindBroker(id);
    BrokerEpoch epoch = broker == nullptr ? BrokerEpoch(-1) : broker->epoch;
    const RemoteReplica* remote = replicas_.Find(id);
    // What it fetched as is what it promised as: had it been restarted since, the controller must
    // refuse it (KAFKA-15221).
    if (remote != nullptr && remote->fetched_in_epoch()) epoch = remote->broker_epoch;
    if (id == context_->state->node_id) epoch = BrokerEpoch(context_->state->broker_epoch.load());
    members.push_back({id, epoch});
  }
  return members;
}

void Partition::Propose(std::vector<NodeId> isr, PartitionEffects& effects) {
  effects.proposals.push_back(
      {shared_from_this(), key(), leader_epoch_, partition_epoch_, MembersOf(isr)});
  replicas_.Propose(std::move(isr));
}

bool Partition::MatchesProposal(const IsrProposal& proposal) const {
  return role_ == Role::kLeader && replicas_.pending() && proposal.leader_epoch == leader_epoch_ &&
         proposal.partition_epoch == partition_epoch_;
}

bool Partition::Awaits(const IsrProposal& proposal) const {
  std::lock_guard lock(mutex_);
  return MatchesProposal(proposal);
}

Partition::ProposalOutcome Partition::OnRefused(IsrProposal& proposal) {
  const metadata::ImagePtr image = context_->metadata->Current();
  const metadata::PartitionImage* partition = image->FindPartition(key().topic_id, key().partition);
  const bool isr_active =
      partition != nullptr && std::ranges::all_of(replicas_.isr(), [&](NodeId id) {
        return metadata::ReplicaActive(*image, *partition, id);
      });
  // Else it may be for a member that is about to leave, and no fault of whoever is to join.
  // It is told once: what was refused may be refused again for as long as a disk is full.
  if (isr_active) {
    for (const NodeId id : replicas_.NoteRefused(context_->clock->SteadyMs()))
      context_->isr_log->NoteRefused(name(), id);
  }
  // An earlier try may still have whoever is to join join: it is waited for until that cannot come
  // any more. What only shrinks may come whenever it likes.
  if (proposal.settles || (proposal.unanswered && replicas_.ProposesToAdd())) {
    proposal.settles = true;
    proposal.isr = MembersOf(replicas_.isr());
    return ProposalOutcome::kRetry;
  }
  replicas_.DropProposal();
  return ProposalOutcome::kSettled;
}

Partition::ProposalOutcome Partition::OnProposalAnswer(
    IsrProposal& proposal, const controller::AlterPartitionResponse::Partition& answer) {
  std::unique_lock lock(mutex_);
  if (!MatchesProposal(proposal)) return ProposalOutcome::kSettled;  // an image was faster
  switch (static_cast<ErrorCode>(answer.error_code())) {
    case ErrorCode::kNone: {
      // Another leader or epoch: the image that says so is on its way.
      if (LeaderEpoch(answer.leader_epoch()) != leader_epoch_) return ProposalOutcome::kSettled;
      // The controller has had that ISR already; or it is of an earlier version, where asking for
      // the ISR that is settles nothing.
      if (PartitionEpoch(answer.partition_epoch()) <= partition_epoch_) replicas_.DropProposal();
      // Else the change takes effect with its image. It was decided by what the controller knows,
      // and that may be more than is known here: acting on the answer alone, under an older
      // min.insync.replicas, would acknowledge what a member of the new ELR lacks.
      return ProposalOutcome::kSettled;
    }
    case ErrorCode::kIneligibleReplica: {
      const ProposalOutcome outcome = OnRefused(proposal);
      // Acknowledgements may have waited for whoever was to join.
      PartitionEffects effects;
      if (usable()) AdvanceHighWatermark(effects);
      lock.unlock();
      effects.Run(*context_);
      return outcome;
    }
    case ErrorCode::kOperationNotAttempted:
    case ErrorCode::kInvalidRequest:
      // Definitely not done. It is asked for again when the replica's next fetch finds it eligible.
      replicas_.DropProposal();
      return ProposalOutcome::kSettled;
    case ErrorCode::kFencedLeaderEpoch:
    case ErrorCode::kInvalidUpdateVersion:
    case ErrorCode::kUnknownTopicId:
    case ErrorCode::kUnknownTopicOrPartition:
      // The controller is ahead of us, or an earlier try of this proposal was committed and its
      // answer lost: the maximal ISR stays in force until the image tells which.
      return ProposalOutcome::kSettled;
    default: return ProposalOutcome::kRetry;
  }
}

}  // namespace sluice::broker
