#include "raft/driver.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "raft/core.h"

namespace sluice::raft {

namespace {
constexpr int64_t kInquiryQuietMs = 2000;
constexpr int64_t kInquiryReminderMs = 30'000;
}  // namespace

Result<Membership> MembersOf(const LogStore& log, const std::string& cluster_id) {
  const OpenedLog& opened = log.opened();
  if (opened.first_index == LogIndex(0) && opened.last_index >= LogIndex(0)) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<Entry> first, log.Read(LogIndex(0), LogIndex(1), 1));
    if (first.empty() || first.front().type != EntryType::kBootstrap)
      return Status::Corruption("the log does not begin with a bootstrap entry");
    SLUICE_ASSIGN_OR_RETURN(const Bootstrap bootstrap, DecodeBootstrap(first.front().data));
    if (bootstrap.cluster_id != cluster_id) {
      return Status::InvalidArgument("the log is of cluster " + bootstrap.cluster_id + ", not of " +
                                     cluster_id);
    }
  }
  const bool in_entries =
      !opened.memberships.empty() &&
      (!opened.snapshot.has_value() || opened.memberships.back().first > opened.snapshot->index);
  if (in_entries) return opened.memberships.back().second;
  if (opened.snapshot.has_value()) return opened.snapshot->members;
  return Status::NotFound("the log has no bootstrap entry");
}

Driver::Driver(DriverOptions options, DriverParts parts)
    : config_(options.config),
      parts_(parts),
      self_(options.self),
      core_(std::make_unique<Core>(CoreOptions{.config = options.config,
                                               .cluster_id = options.cluster_id,
                                               .self = options.self,
                                               .random = options.random,
                                               .now_ms = parts.loop.clock().SteadyMs()},
                                   parts.log)),
      alive_(std::make_shared<bool>(true)),
      last_snapshot_ms_(NowMs()) {
  const Result<Membership> members = MembersOf(parts.log, options.cluster_id);
  CHECK(members.ok() || members.status().code() == StatusCode::kNotFound)
      << members.status().ToString();
  PublishStatus();
}

Driver::~Driver() {
  *alive_ = false;
  if (timer_ != 0) parts_.loop.Cancel(timer_);
}

void Driver::Start() {
  CHECK(!started_);
  started_ = true;
  parts_.log.set_on_failure([this, alive = alive_](const Status& status) {
    if (*alive && !failed_) Fail(status);
  });
  if (parts_.log.opened().snapshot.has_value()) {
    const Result<Snapshot> snapshot = parts_.log.LoadSnapshot();
    CHECK(snapshot.ok()) << snapshot.status().ToString();
    parts_.state_machine.LoadSnapshot(snapshot->meta, *snapshot->data);
    applied_ = snapshot->meta.index;
  }
  core_->Tick(NowMs());
  inquiring_ = core_->inquiring();
  // On the first day nobody needs to hear of it.
  tell_of_inquiry_at_ms_ = NowMs() + kInquiryQuietMs;
  Flush();
}

void Driver::Propose(std::string data, ProposeDone done) {
  if (!started_ || failed_) {
    done(Status::Unavailable("this controller is not running"));
    return;
  }
  core_->Tick(NowMs());
  Await(core_->Propose(std::move(data)), std::move(done));
}

void Driver::ChangeMember(const MemberChange& change, ProposeDone done) {
  if (!started_ || failed_) {
    done(Status::Unavailable("this controller is not running"));
    return;
  }
  core_->Tick(NowMs());
  Await(core_->ChangeMember(change), std::move(done));
}

Status Driver::WhyRefuseChange(const MemberChange& change) const {
  if (!started_ || failed_) return Status::Unavailable("this controller is not running");
  return core_->WhyRefuseChange(change);
}

void Driver::Await(const Result<LogIndex>& index, ProposeDone done) {
  OnInput();
  if (!index.ok()) {
    done(index.status());
    return;
  }
  proposals_.emplace(*index, Proposal{core_->term(), std::move(done)});
}

LogIndex Driver::NextIndex() const { return core_->log().last_index() + 1; }

void Driver::Step(Message message) {
  if (!parts_.loop.InLoopThread()) {
    parts_.loop.Post([this, alive = alive_, message = std::move(message)]() mutable {
      if (*alive) Step(std::move(message));
    });
    return;
  }
  if (!started_ || failed_) return;
  core_->Tick(NowMs());
  NoteRoundTrip(message);
  core_->Step(std::move(message));
  OnInput();
}

void Driver::PeerLost(NodeId peer, bool refused) {
  if (!parts_.loop.InLoopThread()) {
    parts_.loop.Post([this, alive = alive_, peer, refused] {
      if (*alive) PeerLost(peer, refused);
    });
    return;
  }
  if (!started_ || failed_) return;
  core_->Tick(NowMs());
  core_->PeerLost(peer, refused);
  OnInput();
}

void Driver::ReadIndex(ReadDone done) {
  if (!started_ || failed_) {
    done(Status::Unavailable("this controller is not running"));
    return;
  }
  const size_t waiting = unconfirmed_reads_.size() + confirmed_reads_.size();
  if (waiting >= config_.reads_max) {
    ++reads_refused_;
    OnInput();
    done(Status::ResourceExhausted(std::to_string(waiting) + " reads wait for their answer"));
    return;
  }
  const uint64_t id = next_read_id_++;
  unconfirmed_reads_.emplace(id, std::move(done));
  core_->Tick(NowMs());
  core_->ReadIndex(id);
  OnInput();
}

Status Driver::TransferLeadership(NodeId target) {
  if (!started_ || failed_) return Status::Unavailable("this controller is not running");
  core_->Tick(NowMs());
  Status status = core_->Transfer(target);
  OnInput();
  return status;
}

// All inputs that arrive before the posted flush share one Ready: one write, one append to each
// follower.
void Driver::OnInput() {
  if (flush_posted_) return;
  flush_posted_ = true;
  parts_.loop.Post([this, alive = alive_] {
    if (!*alive) return;
    flush_posted_ = false;
    Flush();
  });
}

void Driver::Flush() {
  if (failed_) return;
  while (core_->HasReady()) Execute(core_->TakeReady());
  ApplyCommitted();
  MaybeSnapshot();
  ArmTimer();
  TellOfInquiry();
  PublishStatus();
}

void Driver::TellOfInquiry() {
  if (!inquiring_) return;
  const std::string why = core_->WhyInquiring();
  inquiring_ = !why.empty();
  if (!inquiring_) {
    LOG_IF(WARNING, core_->recovering())
        << "raft: this voter has no log, and the others know of entries up to "
        << core_->hard_state().lost.upto << " in term " << core_->term()
        << ": they began without it, or its disk was formatted again. It does not vote before it "
           "has got them";
  } else if (NowMs() >= tell_of_inquiry_at_ms_) {
    tell_of_inquiry_at_ms_ = NowMs() + kInquiryReminderMs;
    LOG(WARNING) << "raft: the disk of this voter is as it was formatted, and it takes no part "
                    "before all the others have told what they know: "
                 << why;
  }
}

void Driver::Execute(Ready ready) {
  StartPersist(ready);
  LogRefusals(ready.refused);
  if (ready.peers.has_value()) parts_.transport.SetPeers(*ready.peers);
  Send(ready.send_now);
  if (!ready.send_after_persist.empty()) {
    held_sends_.emplace_back(last_persist_id_, std::move(ready.send_after_persist));
    ReleaseSends();
  }
  if (ready.role_changed) OnRoleChange();
  if (ready.load_snapshot.has_value()) {
    CHECK_GT(ready.load_snapshot->meta.index, applied_);
    parts_.state_machine.LoadSnapshot(ready.load_snapshot->meta, *ready.load_snapshot->data);
    applied_ = ready.load_snapshot->meta.index;
    bytes_since_snapshot_ = 0;
    last_snapshot_ms_ = NowMs();
  }
  for (const SnapshotRead& read : ready.snapshot_reads) StartSnapshotRead(read);
  if (ready.load_received != 0) StartLoadingReceived(ready.load_received);
  for (const ReadOk& read : ready.reads_ok) {
    auto node = unconfirmed_reads_.extract(read.id);
    confirmed_reads_.push_back({read.index, std::move(node.mapped())});
  }
  for (const uint64_t id : ready.reads_failed) {
    auto node = unconfirmed_reads_.extract(id);
    node.mapped()(Status::NotLeader("this controller does not lead"));
  }
  FinishReads();
}

void Driver::StartPersist(Ready& ready) {
  if (ready.persist_id == 0) return;
  last_persist_id_ = ready.persist_id;
  if (ready.persist.snapshot.has_value()) snapshot_persist_id_ = ready.persist_id;
  parts_.log.Persist(std::move(ready.persist),
                     [this, alive = alive_, id = ready.persist_id](const Status& status) {
                       if (*alive) OnPersisted(id, status);
                     });
}

void Driver::OnPersisted(uint64_t persist_id, const Status& status) {
  if (failed_) return;
  if (!status.ok()) {
    Fail(status);
    return;
  }
  last_persisted_id_ = persist_id;
  core_->Tick(NowMs());
  core_->Persisted(persist_id);
  ReleaseSends();
  OnInput();
}

void Driver::StartSnapshotRead(const SnapshotRead& read) {
  parts_.log.ReadSnapshot(read, [this, alive = alive_, read](Result<SnapshotChunk> chunk) {
    if (*alive) OnSnapshotRead(read, std::move(chunk));
  });
}

void Driver::OnSnapshotRead(const SnapshotRead& read, Result<SnapshotChunk> chunk) {
  if (failed_) return;
  if (!chunk.ok() && chunk.status().code() != StatusCode::kNotFound) {
    Fail(chunk.status());
    return;
  }
  core_->Tick(NowMs());
  core_->SnapshotWasRead(read, std::move(chunk));
  OnInput();
}

void Driver::StartLoadingReceived(uint64_t load) {
  parts_.log.LoadReceived([this, alive = alive_, load](Result<Snapshot> snapshot) {
    if (!*alive || failed_) return;
    const StatusCode code = snapshot.status().code();
    if (!snapshot.ok() && code != StatusCode::kCorruption && code != StatusCode::kNotFound) {
      Fail(snapshot.status());
      return;
    }
    core_->Tick(NowMs());
    core_->ReceivedWasLoaded(load, std::move(snapshot));
    OnInput();
  });
}

// What is on the disk is unknown now, and a second flush that succeeds would prove nothing: this
// voter is silent from here on.
void Driver::Fail(const Status& status) {
  failed_ = true;
  LOG(ERROR) << "raft: the disk of the metadata log failed; this controller stops taking part: "
             << status.ToString();
  if (timer_ != 0) parts_.loop.Cancel(timer_);
  timer_ = 0;
  parts_.state_machine.OnRoleChange(Role::kFollower, core_->term(), kNoNode);
  PublishStatus();
  const Status unavailable = Status::Unavailable("the metadata log failed: " + status.message());
  for (auto& [index, proposal] : std::exchange(proposals_, {})) proposal.done(unavailable);
  for (auto& [id, done] : std::exchange(unconfirmed_reads_, {})) done(unavailable);
  for (PendingRead& read : std::exchange(confirmed_reads_, {})) read.done(unavailable);
  if (on_failure_) on_failure_(status);
}

// Once a voter and reason: whoever sends such messages sends many.
void Driver::LogRefusals(const std::vector<Refused>& refused) {
  for (const auto& [from, why] : refused) {
    if (!refusals_logged_.emplace(from, why).second) continue;
    const std::string sender =
        from == kNoNode ? "somebody" : "voter " + std::to_string(from.value());
    LOG(WARNING) << "raft: a message from " << sender << " was dropped: " << RefusalText(why)
                 << ". More of them are only counted";
  }
}

void Driver::Send(std::vector<Message>& messages) {
  for (Message& message : messages) {
    const NodeId to = message.to;
    if (auto* beat = std::get_if<HeartbeatRequest>(&message.body))
      beat->sent_micros = parts_.loop.clock().SteadyMicros();
    parts_.transport.Send(to, std::move(message));
  }
}

// The echo of this leader's own clock. What an earlier leader asked says nothing of this one's
// peers.
void Driver::NoteRoundTrip(const Message& message) {
  const auto* answer = std::get_if<HeartbeatResponse>(&message.body);
  if (answer == nullptr || answer->sent_micros == 0) return;
  if (core_->role() != Role::kLeader || message.term != core_->term()) return;
  if (!core_->progress().contains(message.from.id)) return;
  const int64_t took = parts_.loop.clock().SteadyMicros() - answer->sent_micros;
  if (took >= 0) round_trips_micros_[message.from.id] = took;
}

void Driver::ReleaseSends() {
  while (!held_sends_.empty() && held_sends_.front().first <= last_persisted_id_) {
    std::vector<Message> messages = std::move(held_sends_.front().second);
    held_sends_.pop_front();
    Send(messages);
  }
}

void Driver::OnRoleChange() {
  parts_.state_machine.OnRoleChange(core_->role(), core_->term(), core_->leader());
  if (core_->role() != Role::kLeader) round_trips_micros_.clear();
  FinishProposals();
  std::map<LogIndex, Proposal> lost;
  for (auto proposal = proposals_.begin(); proposal != proposals_.end();) {
    const auto next = std::next(proposal);
    if (MayBeLost(proposal->first, proposal->second.term))
      lost.insert(proposals_.extract(proposal));
    proposal = next;
  }
  for (auto& [index, proposal] : lost) {
    proposal.done(Status::Unavailable("leadership was lost before index " +
                                      std::to_string(index.value()) +
                                      " was committed; the outcome is unknown"));
  }
}

// What was proposed in a term that is over may still be committed by another leader, or be gone for
// ever. A leader that resigns because its own removal is committed knows better.
bool Driver::MayBeLost(LogIndex index, Term term) const {
  if (core_->role() == Role::kLeader && core_->term() == term) return false;
  return index > core_->commit() || core_->log().TermAt(index) != term;
}

// One batch a turn of the loop, so that a long catch-up does not keep heartbeats waiting.
void Driver::ApplyCommitted() {
  if (applied_ >= core_->commit()) return;
  const std::vector<Entry> entries =
      core_->log().Entries(applied_ + 1, core_->commit() + 1, config_.apply_bytes_max);
  CHECK_EQ(entries.front().index, applied_ + 1);
  const bool leading = core_->role() == Role::kLeader;
  for (const Entry& entry : entries) bytes_since_snapshot_ += entry.data.size();
  applied_ = entries.back().index;
  CHECK_LE(applied_, core_->commit());
  parts_.state_machine.Apply(entries);
  const bool own_start = std::any_of(entries.begin(), entries.end(), [this](const Entry& entry) {
    return entry.type == EntryType::kLeaderStart && entry.term == core_->term();
  });
  if (leading && own_start && core_->role() == Role::kLeader &&
      leader_ready_term_ != core_->term()) {
    leader_ready_term_ = core_->term();
    parts_.state_machine.OnLeaderReady(core_->term());
  }
  FinishProposals();
  FinishReads();
  if (applied_ < core_->commit()) OnInput();
}

void Driver::FinishProposals() {
  while (!proposals_.empty() && proposals_.begin()->first <= applied_) {
    auto node = proposals_.extract(proposals_.begin());
    node.mapped().done(node.key());
  }
}

void Driver::FinishReads() {
  if (confirmed_reads_.empty()) return;
  const auto due = std::ranges::stable_partition(
      confirmed_reads_, [this](const PendingRead& read) { return read.index > applied_; });
  std::vector<PendingRead> finished(std::make_move_iterator(due.begin()),
                                    std::make_move_iterator(due.end()));
  confirmed_reads_.erase(due.begin(), due.end());
  for (const PendingRead& read : finished) read.done(read.index);
}

void Driver::TakeSnapshot() {
  snapshot_wanted_ = true;
  OnInput();
}

// Runs with nothing left in the core, so that `applied_` belongs to the log as the core sees it.
void Driver::MaybeSnapshot() {
  const bool by_bytes = bytes_since_snapshot_ >= config_.snapshot_interval_bytes;
  const bool by_time = NowMs() - last_snapshot_ms_ >= config_.snapshot_interval_ms;
  if (made_snapshot_.has_value()) StoreSnapshot();
  if (making_snapshot_ || (!snapshot_wanted_ && !by_bytes && !by_time)) return;
  // One at a time: the log is cut behind the last snapshot, which must be durable by then.
  if (snapshot_persist_id_ > last_persisted_id_ || applied_ <= core_->log().snapshot_index())
    return;
  snapshot_wanted_ = false;
  bytes_since_snapshot_ = 0;
  last_snapshot_ms_ = NowMs();
  making_snapshot_ = true;
  std::function<std::string()> make = parts_.state_machine.FreezeSnapshot();
  if (parts_.background == nullptr) {
    made_snapshot_ = {applied_, make()};
    return StoreSnapshot();
  }
  parts_.background->Post(
      [this, alive = alive_, &loop = parts_.loop, index = applied_, make = std::move(make)] {
        auto state = std::make_shared<std::string>(make());
        loop.Post([this, alive, index, state] {
          if (!*alive) return;
          made_snapshot_ = {index, std::move(*state)};
          OnInput();
        });
      });
}

void Driver::StoreSnapshot() {
  MadeSnapshot made = *std::exchange(made_snapshot_, std::nullopt);
  making_snapshot_ = false;
  // The leader may have sent a later one meanwhile.
  if (made.index <= core_->log().snapshot_index() || snapshot_persist_id_ > last_persisted_id_)
    return;
  if (!parts_.log.HasRoomForSnapshot(made.state.size())) {
    LOG(WARNING) << "raft: the disk has no room for a snapshot of " << made.state.size()
                 << " bytes at index " << made.index
                 << ": the log goes on without it, and a newer one is made when the next is due";
    return;
  }
  core_->SnapshotTaken(made.index, std::make_shared<const std::string>(std::move(made.state)));
  OnInput();
}

void Driver::ArmTimer() {
  const int64_t deadline_ms = core_->next_deadline_ms();
  // A timer that fires too early re-arms itself: deadlines move on with every heartbeat, timers
  // need not.
  if (timer_ != 0 && timer_at_ms_ <= deadline_ms) return;
  if (timer_ != 0) parts_.loop.Cancel(timer_);
  timer_at_ms_ = deadline_ms;
  timer_ =
      parts_.loop.RunAfter(std::max<int64_t>(0, deadline_ms - NowMs()), [this, alive = alive_] {
        if (!*alive) return;
        timer_ = 0;
        core_->Tick(NowMs());
        Flush();
      });
}

void Driver::PublishStatus() {
  DriverStatus status;
  status.role = core_->role();
  status.term = core_->term();
  status.leader = core_->leader();
  if (failed_) {
    status.role = Role::kFollower;
    status.leader = kNoNode;
  }
  status.recovering = core_->recovering();
  status.inquiring = core_->inquiring();
  status.why_inquiring = core_->WhyInquiring();
  status.first_index = core_->log().first_index();
  status.last_index = core_->log().last_index();
  status.commit = core_->commit();
  status.applied = applied_;
  status.snapshot_index = core_->log().snapshot_index();
  status.leader_ready = status.role == Role::kLeader && leader_ready_term_ == status.term;
  for (const Member& voter : core_->members().voters) status.voters.push_back(StatusOf(voter));
  for (const Member& learner : core_->members().learners)
    status.learners.push_back(StatusOf(learner));
  status.counts = core_->metrics();
  status.reads_refused = reads_refused_;
  std::lock_guard lock(status_mutex_);
  LOG_IF(WARNING, status_.recovering && !status.recovering)
      << "raft: this voter was given back what its log had lost, and votes again";
  status_ = std::move(status);
}

PeerStatus Driver::StatusOf(const Member& member) const {
  PeerStatus peer{.voter = member.id, .address = member.address};
  const auto progress = core_->progress().find(member.id.id);
  if (member.id == self_) {
    peer.match = core_->log().durable_index();
    peer.last_heard_ms = 0;
    peer.recovering = core_->recovering();
  } else if (progress != core_->progress().end()) {
    peer.match = progress->second.match;
    peer.recovering = progress->second.recovering;
    peer.last_heard_ms = NowMs() - progress->second.heard_ms;
    const auto took = round_trips_micros_.find(member.id.id);
    if (took != round_trips_micros_.end()) peer.round_trip_micros = took->second;
  }
  return peer;
}

DriverStatus Driver::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace sluice::raft
