// Inputs, terms and the Ready. The algorithm's parts are in the files named in core.h.
#include "raft/core.h"

#include <algorithm>
#include <utility>

#include "raft/fault.h"

namespace sluice::raft {

Core::Core(CoreOptions options, const LogStore& store)
    : config_(options.config),
      cluster_id_(std::move(options.cluster_id)),
      self_(options.self),
      random_(options.random),
      process_(Random(options.random).Next()),
      now_ms_(options.now_ms),
      log_(store, config_.cache_bytes_max),
      hard_state_(store.opened().hard_state),
      handed_hard_state_(hard_state_),
      durable_hard_state_(hard_state_) {
  CHECK(members().IsSound() || log_.last_index() == kNoIndex) << "nobody is known to take part";
  CHECK_GE(hard_state_.term, log_.last_term()) << "the vote slots are older than the log";
  // Every first voter was formatted with the same entry 0: it is committed by definition.
  commit_ = log_.snapshot_index();
  if (log_.last_index() >= LogIndex(0)) commit_ = std::max(commit_, LogIndex(0));
  const std::optional<ReceivedSnapshot>& received = store.opened().received;
  if (received.has_value() && received->meta.index > commit_)
    incoming_ = IncomingSnapshot{.part = *received};
  NoteGivenBack(log_.last_index());
  told_term_ = hard_state_.term;
  if (FaultPlanted(Fault::kVoteForgotten)) hard_state_.voted_for = kNoNode;
  RestartElectionTimer();
  // Nobody else could lead, so there is nothing to wait for.
  if (IsVoter() && members().voters.size() == 1) election_deadline_ms_ = now_ms_;
  BeginInquiry(store.opened());
}

void Core::Tick(int64_t now_ms) {
  CHECK_GE(now_ms, now_ms_);
  now_ms_ = now_ms;
  if (inquiring()) return TickInquiry();
  if (role_ == Role::kLeader) {
    CheckQuorum();
    if (role_ != Role::kLeader) return;
    if (now_ms_ >= heartbeat_due_ms_) BroadcastHeartbeat();
    if (transfer_target_ != kNoNode && now_ms_ >= transfer_deadline_ms_) transfer_target_ = kNoNode;
    return;
  }
  if (now_ms_ >= election_deadline_ms_ && MayLead()) StartPreVote();
}

int64_t Core::next_deadline_ms() const {
  if (inquiring()) return inquiry_->ask_at_ms;
  if (role_ != Role::kLeader)
    return MayLead() ? election_deadline_ms_ : now_ms_ + config_.election_timeout_ms_max;
  // Nobody to tell that it lives, nor to lose.
  if (progress_.empty()) return now_ms_ + config_.election_timeout_ms_max;
  return transfer_target_ == kNoNode ? heartbeat_due_ms_
                                     : std::min(heartbeat_due_ms_, transfer_deadline_ms_);
}

void Core::Step(Message message) {
  if (const std::optional<Refusal> refusal = WhyRefuse(message)) {
    Refuse(message.from.id, *refusal);
    return;
  }
  if (auto* inquiry = std::get_if<Inquiry>(&message.body))
    return AnswerInquiry(message.from.id, std::move(*inquiry));
  if (const auto* answer = std::get_if<InquiryResponse>(&message.body))
    return HandleInquiryResponse(message, *answer);
  // Whatever else is said is said to who this voter was, or to one that takes part.
  if (inquiring()) return;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    HandleVoteRequest(message, *request);
    return;
  }
  if (StepTerm(message)) Dispatch(message);
}

// Brings the own term up to the message's. False when the message is outdated and has been dealt
// with.
bool Core::StepTerm(const Message& message) {
  const bool from_leader = IsFromLeader(message);
  if (message.term < term()) {
    if (FaultPlanted(Fault::kMatchOfOtherTerm) &&
        std::holds_alternative<AppendResponse>(message.body))
      return true;
    // A leader that was left behind learns the new term from a refusal; else, cut off from a voter
    // that has campaigned in vain, it and that voter would ignore each other for ever.
    if (from_leader) SendOnceTermDurable(message.from.id, AppendResponse{});
    return false;
  }
  if (message.term > term()) {
    // A granted pre-vote names the term that was asked about, which does not exist yet.
    const auto* vote = std::get_if<VoteResponse>(&message.body);
    if (vote == nullptr || !vote->pre_vote || !vote->granted) {
      BecomeFollower(message.term, from_leader ? message.from.id : kNoNode);
    }
  }
  if (from_leader) FollowLeader(message.from.id);
  return true;
}

void Core::Dispatch(const Message& message) {
  if (const auto* vote = std::get_if<VoteResponse>(&message.body)) {
    HandleVoteResponse(message, *vote);
  } else if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    HandleAppend(message, *append);
  } else if (const auto* heartbeat = std::get_if<HeartbeatRequest>(&message.body)) {
    HandleHeartbeat(message, *heartbeat);
  } else if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body)) {
    HandleSnapshotChunk(message, *chunk);
  } else if (std::holds_alternative<TimeoutNow>(message.body)) {
    HandleTimeoutNow();
  } else if (role_ == Role::kLeader &&
             (message.term == term() || FaultPlanted(Fault::kMatchOfOtherTerm))) {
    leader_input_ = true;
    Progress& progress = progress_.at(message.from.id);
    progress.heard_ms = now_ms_;
    progress.heard = true;
    if (const auto* appended = std::get_if<AppendResponse>(&message.body))
      HandleAppendResponse(message, *appended);
    if (const auto* beat = std::get_if<HeartbeatResponse>(&message.body))
      HandleHeartbeatResponse(message, *beat);
    if (const auto* stored = std::get_if<SnapshotChunkResponse>(&message.body)) {
      HandleSnapshotChunkResponse(message, *stored);
    }
  }
}

void Core::AdoptTerm(Term term) {
  CHECK_GE(term, hard_state_.term);
  if (term == hard_state_.term) return;
  hard_state_.term = term;
  hard_state_.voted_for = kNoNode;
  term_leader_ = kNoNode;
  // Answers of the old term that have not left yet are of no use, and by the time this batch is on
  // the disk, entries that they acknowledge may have been replaced in it.
  ready_.send_after_persist.clear();
}

void Core::SetVote(NodeId candidate) {
  CHECK(hard_state_.voted_for == kNoNode || hard_state_.voted_for == candidate)
      << "second vote in term " << term() << ": " << hard_state_.voted_for << ", then "
      << candidate;
  hard_state_.voted_for = candidate;
}

void Core::BecomeFollower(Term term, NodeId leader) {
  AdoptTerm(term);
  if (role_ == Role::kLeader) {
    FailReads();
    progress_.clear();
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    transfer_target_ = kNoNode;
  }
  role_ = Role::kFollower;
  leader_ = leader;
  votes_.clear();
  RestartElectionTimer();
}

// `leader` has proved that it leads the present term.
void Core::FollowLeader(NodeId leader) {
  CHECK(term_leader_ == kNoNode || term_leader_ == leader)
      << "two leaders in term " << term() << ": " << term_leader_ << " and " << leader;
  term_leader_ = leader;
  // Just after the leader's address refused, this is what was under way when it died. A leader that
  // lives will be heard again.
  if (leader == lost_leader_ && now_ms_ - leader_lost_ms_ < config_.leader_lost_timeout_ms_max)
    return;
  ever_heard_leader_ = true;
  lost_leader_ = kNoNode;
  deferred_ = false;
  quick_attempts_ = 0;
  heard_leader_ms_ = now_ms_;
  BecomeFollower(term(), leader);
}

// Why nothing is appended here now.
Status Core::WhyNotLeading() const {
  if (role_ != Role::kLeader) {
    return Status::NotLeader(
        "this controller does not lead; the leader is " +
        (leader_ == kNoNode ? "not known" : "node " + std::to_string(leader_.value())));
  }
  if (transfer_target_ != kNoNode) {
    return Status::Unavailable("leadership is being handed to " +
                               std::to_string(transfer_target_.value()));
  }
  // What came behind its removal would have an unknown end.
  if (!IsVoter()) return Status::Unavailable("this controller is leaving the quorum");
  return Status::Ok();
}

Result<LogIndex> Core::Propose(std::string data) {
  if (Status not_leading = WhyNotLeading(); !not_leading.ok()) {
    ++metrics_.proposals_refused_not_leading;
    return not_leading;
  }
  if (data.size() > config_.entry_bytes_max) {
    ++metrics_.proposals_refused_too_large;
    return Status::ResourceExhausted("a proposal of " + std::to_string(data.size()) +
                                     " bytes; one entry holds at most " +
                                     std::to_string(config_.entry_bytes_max));
  }
  const size_t uncommitted_after = uncommitted_bytes_ + SizeOfEntry(data.size());
  if (!uncommitted_.empty() && uncommitted_after > config_.proposal_bytes_max) {
    ++metrics_.proposals_refused_backlog;
    return Status::ResourceExhausted(std::to_string(uncommitted_bytes_) +
                                     " bytes are proposed and not yet committed");
  }
  AppendLocal(EntryType::kNormal, std::move(data));
  return log_.last_index();
}

void Core::AppendLocal(EntryType type, std::string data) {
  Entry entry{log_.last_index() + 1, term(), type, std::move(data)};
  uncommitted_.emplace_back(entry.index, SizeOf(entry));
  uncommitted_bytes_ += SizeOf(entry);
  log_.Append(std::move(entry));
}

void Core::SetCommit(LogIndex commit) {
  CHECK_LE(commit, log_.last_index())
      << "entries that this voter had acknowledged are gone from its log";
  if (commit <= commit_) return;
  commit_ = commit;
  while (!uncommitted_.empty() && uncommitted_.front().first <= commit_) {
    uncommitted_bytes_ -= uncommitted_.front().second;
    uncommitted_.pop_front();
  }
}

void Core::Persisted(uint64_t persist_id) {
  CHECK(!in_flight_.empty() && in_flight_.front().id == persist_id) << persist_id;
  const InFlightPersist done = in_flight_.front();
  in_flight_.pop_front();
  const bool vote_is_news = !(done.hard_state == durable_hard_state_);
  durable_hard_state_ = done.hard_state;
  const LogIndex durable = std::min(done.last_index, log_.handed_index());
  log_.Durable(durable);
  NoteGivenBack(durable);
  if (incoming_.has_value() && incoming_->persist_id == persist_id) ChunkIsDurable();
  if (role_ == Role::kLeader) {
    leader_input_ = true;
    AdvanceCommit();
  }
  // The own vote counts once it is durable, like any other.
  if (role_ == Role::kCandidate && vote_is_news && durable_hard_state_ == hard_state_) {
    votes_[self_.id] = true;
    CountElection();
  }
}

Message Core::MakeMessage(NodeId to, MessageBody body) const {
  // An answer is for whoever asked.
  const Member* meant = IsAnswer(body) ? nullptr : FindPeer(to);
  return {cluster_id_, self_,           to,
          term(),      std::move(body), meant == nullptr ? Uuid() : meant->id.disk_id};
}

void Core::SendNow(NodeId to, MessageBody body) {
  ready_.send_now.push_back(MakeMessage(to, std::move(body)));
}

void Core::SendAfterPersist(NodeId to, MessageBody body) {
  ready_.send_after_persist.push_back(MakeMessage(to, std::move(body)));
}

// For messages that promise nothing but the sender's term: they need not wait behind entries on
// their way to the disk.
void Core::SendOnceTermDurable(NodeId to, MessageBody body) {
  if (durable_hard_state_.term == term()) {
    SendNow(to, std::move(body));
  } else {
    SendAfterPersist(to, std::move(body));
  }
}

bool Core::HasReady() const {
  return leader_input_ || !(hard_state_ == handed_hard_state_) ||
         log_.handed_index() != log_.last_index() || ready_.persist.snapshot.has_value() ||
         !ready_.send_now.empty() || !ready_.send_after_persist.empty() ||
         ready_.load_snapshot.has_value() || !ready_.reads_ok.empty() ||
         !ready_.reads_failed.empty() || !ready_.snapshot_reads.empty() ||
         ready_.persist.received != nullptr || ready_.load_received != 0 ||
         !ready_.refused.empty() || role_ != told_role_ || term() != told_term_ ||
         leader_ != told_leader_ || PeersChanged();
}

Ready Core::TakeReady() {
  leader_input_ = false;
  if (role_ == Role::kLeader) {
    StartReadRound();
    ReplicateToAll();
  }
  Ready ready = std::move(ready_);
  ready_ = {};
  bool persist = ready.persist.snapshot.has_value() || ready.persist.received != nullptr;
  if (!(hard_state_ == handed_hard_state_)) {
    ready.persist.hard_state = handed_hard_state_ = hard_state_;
    persist = true;
  }
  persist = log_.HandOver(ready.persist) || persist;
  if (persist) {
    ready.persist_id = ++last_persist_id_;
    in_flight_.push_back({ready.persist_id, log_.last_index(), hard_state_});
    if (ready.persist.received != nullptr && incoming_.has_value())
      incoming_->persist_id = ready.persist_id;
  }
  ready.role_changed = role_ != told_role_ || term() != told_term_ || leader_ != told_leader_;
  if (PeersChanged()) ready.peers = TellPeers();
  told_role_ = role_;
  told_term_ = term();
  told_leader_ = leader_;
  return ready;
}

}  // namespace sluice::raft
