#pragma once
// Core: Raft as a function. Inputs are events (time, messages, proposals, outcomes of IO); the
// output is one Ready, a value that says what to persist, send, apply and tell. The core has no
// clock, thread, lock, file or socket, reads only its own log, and gives the same output for the
// same inputs.
//
// Duties of the caller, after each batch of inputs:
//   while (core.HasReady()) {
//     Ready ready = core.TakeReady();
//     1. start persisting ready.persist under ready.persist_id, without waiting; report
//     core.Persisted(id) in order of ids;
//     2. from now on reach ready.peers, if it tells of any; send ready.send_now; send
//     ready.send_after_persist once every persist issued so far, this one included, is durable;
//     3. give ready.load_snapshot to the state machine, then the entries up to commit();
//     4. answer ready.reads_ok once their index is applied;
//     5. start each of ready.snapshot_reads, without waiting; report core.SnapshotWasRead(it, what
//     came of it); likewise ready.load_received, and core.ReceivedWasLoaded.
//   }
// and Tick(now) at next_deadline_ms() at the latest; every other input is preceded by Tick with the
// present time.
//
// Invariants, checked in production too:
//   1. The term never falls, and a voter votes for one candidate a term.
//   2. commit never falls; no entry at or below it is ever removed or replaced.
//   3. A term has one leader, as far as this voter can see.
//   4. Only a voter leads, or a former one until its removal is committed.
//   5. Votes and acknowledgements leave only after what they promise is durable; a leader counts
//   itself only so far, and only while it is a voter.
//   6. At most one change of members is not committed; none is begun before the leader has
//   committed in its term.
//   7. A voter that has lost entries neither votes nor stands until they were given back. One that
//   may have lost all of them takes no part before it knows from the others.
//
// One source file a subject: core.cc (inputs, terms, Ready), admission.cc (what peers may send),
// election.cc, vote_handler.cc, append_handler.cc (follower), replication.cc (leader), snapshot.cc
// (both sides), read_index.cc, transfer.cc, member_change.cc, recovering.cc (after damage),
// inquiry.cc (a disk as it was formatted).
//
// Thread rule: one owner (the driver's loop).

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "raft/config.h"
#include "raft/incoming_snapshot.h"
#include "raft/inquiry.h"
#include "raft/metrics.h"
#include "raft/progress.h"
#include "raft/raft_log.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace sluice::raft {

struct CoreOptions {
  RaftConfig config;
  std::string cluster_id;
  VoterId self;
  Random random;
  int64_t now_ms = 0;
};

class Core {
 public:
  // `store` is only read, for entries that are no longer in memory. Its log tells who the voters
  // are.
  Core(CoreOptions options, const LogStore& store);

  // ---- Inputs
  void Tick(int64_t now_ms);
  void Step(Message message);
  // The index the entry got. kNotLeader, kUnavailable (leadership is being handed over) or
  // kResourceExhausted.
  Result<LogIndex> Propose(std::string data);
  // The index of the entry that makes the change, which holds at once; it is done when that is
  // committed. Besides the errors of Propose and of Changed(), kUnavailable while another change is
  // on its way, before this leader has committed in its term, for a learner that has not caught up,
  // and when those voters that answer would be no majority any more.
  Result<LogIndex> ChangeMember(const MemberChange& change);
  // The error that ChangeMember would give now; nothing changes.
  Status WhyRefuseChange(const MemberChange& change) const;
  void ReadIndex(uint64_t id);
  Status Transfer(NodeId target);
  void Persisted(uint64_t persist_id);
  void PeerLost(NodeId peer, bool refused);
  // The state machine's state after `index`, which is committed.
  void SnapshotTaken(LogIndex index, std::shared_ptr<const std::string> data);
  // What the store has answered: a chunk, all that was received, or an error that is not terminal.
  void SnapshotWasRead(const SnapshotRead& read, Result<SnapshotChunk> chunk);
  void ReceivedWasLoaded(uint64_t load_received, Result<Snapshot> snapshot);

  // ---- Output
  bool HasReady() const;
  Ready TakeReady();
  int64_t next_deadline_ms() const;

  // ---- What is known
  Role role() const { return role_; }
  Term term() const { return hard_state_.term; }
  NodeId leader() const { return leader_; }
  LogIndex commit() const { return commit_; }
  bool IsVoter() const { return members().HasVoter(self_); }
  bool recovering() const { return hard_state_.lost.any(); }
  // Takes no part yet: it asks the other voters whether the cluster has run (inquiry.cc).
  bool inquiring() const { return inquiry_.has_value(); }
  // What keeps it from taking part, for the operator; empty when nothing does.
  std::string WhyInquiring() const;
  const RaftLog& log() const { return log_; }
  const HardState& hard_state() const { return hard_state_; }
  const Membership& members() const { return log_.members(); }
  uint64_t process() const { return process_; }
  const std::map<NodeId, Progress>& progress() const { return progress_; }
  const Metrics& metrics() const { return metrics_; }
  int64_t now_ms() const { return now_ms_; }

 private:
  struct InFlightPersist {
    uint64_t id;
    LogIndex last_index;
    HardState hard_state;
  };
  struct ReadBatch {
    uint64_t sequence;
    LogIndex index;
    std::vector<uint64_t> ids;
  };
  enum class ElectionCause { kTimeout, kLostLeader, kTransfer };

  // core.cc
  Status WhyNotLeading() const;
  bool StepTerm(const Message& message);
  void Dispatch(const Message& message);
  void AdoptTerm(Term term);
  void BecomeFollower(Term term, NodeId leader);
  void FollowLeader(NodeId leader);
  void SetVote(NodeId candidate);
  void AppendLocal(EntryType type, std::string data);
  void SetCommit(LogIndex commit);
  Message MakeMessage(NodeId to, MessageBody body) const;
  void SendNow(NodeId to, MessageBody body);
  void SendAfterPersist(NodeId to, MessageBody body);
  void SendOnceTermDurable(NodeId to, MessageBody body);
  int64_t retransmit_ms() const { return config_.election_timeout_ms_min / 2; }

  // admission.cc
  std::optional<Refusal> WhyRefuseSender(const Message& message) const;
  std::optional<Refusal> WhyRefuse(const Message& message) const;
  std::optional<Refusal> WhyRefuseAnswer(const AppendResponse& answer) const;
  void Refuse(NodeId from, Refusal why);

  // election.cc
  int64_t DrawElectionTimeout();
  void RestartElectionTimer();
  void StartPreVote();
  void PresumeLostLeaderRefuses();
  void StartElection(ElectionCause cause);
  void BecomeLeader();
  void HandleVoteResponse(const Message& message, const VoteResponse& response);
  void CountElection();
  void CheckQuorum();

  // vote_handler.cc
  bool HeardLeaderRecently() const;
  bool LogIsCurrent(const VoteRequest& request) const;
  void HandleVoteRequest(const Message& message, const VoteRequest& request);

  // append_handler.cc
  void HandleAppend(const Message& message, const AppendRequest& request);
  void AppendFromLeader(const AppendRequest& request);
  void CheckCommitted(LogIndex index, Term term) const;
  void HandleHeartbeat(const Message& message, const HeartbeatRequest& request);

  // replication.cc
  void ReplicateToAll();
  void Replicate(NodeId to, Progress& progress);
  bool SendAppend(NodeId to, Progress& progress);
  void SendEmptyAppend(NodeId to, Progress& progress);
  void SendHeartbeat(NodeId to, Progress& progress);
  void BroadcastHeartbeat();
  void HandleAppendResponse(const Message& message, const AppendResponse& response);
  void HandleAppendRefusal(Progress& progress, const AppendResponse& response);
  void HandleHeartbeatResponse(const Message& message, const HeartbeatResponse& response);
  void AdvanceCommit();

  // snapshot.cc
  void StartSnapshot(NodeId to, Progress& progress);
  void ReadSnapshotChunk(NodeId to, Progress& progress);
  void HandleSnapshotChunk(const Message& message, const SnapshotChunk& chunk);
  bool Receives(const SnapshotChunk& chunk) const;
  bool TakeChunk(NodeId leader, const SnapshotChunk& chunk);
  void ChunkIsDurable();
  void LoadReceived();
  void InstallSnapshot(Snapshot snapshot);
  void HandleSnapshotChunkResponse(const Message& message, const SnapshotChunkResponse& response);

  // read_index.cc
  bool CommittedInOwnTerm() const;
  void StartReadRound();
  void FinishReadRounds();
  void FailReads();

  // transfer.cc
  void MaybeFinishTransfer(NodeId peer);
  void HandleTimeoutNow();
  NodeId BestPlacedVoter() const;

  // member_change.cc
  bool MembersAreCommitted() const { return log_.history().newest_index() <= commit_; }
  const Member* FindPeer(NodeId id) const;
  bool MayLead() const;
  Status WhyNotCaughtUp(NodeId learner) const;
  enum class Contact { kHeard, kMayElect };
  bool MajorityIsNear(const Membership& members, Contact contact) const;
  bool PeersChanged() const;
  std::vector<Member> TellPeers();
  void TrackMembers();
  void MembersCommitted();
  void SayFarewell(NodeId to, const Progress& progress);
  void StepAside();
  std::vector<int64_t> OfVoters(int64_t own, int64_t (*value_of)(const Progress&)) const;

  // recovering.cc
  void NoteGivenBack(LogIndex durable);
  LogIndex Believable(NodeId leader, LogIndex commit);

  // inquiry.cc
  void BeginInquiry(const OpenedLog& opened);
  void EndInquiry(Term newest, NodeId vote, const LostEntries& lost);
  void TickInquiry();
  void AnswerInquiry(NodeId to, Inquiry inquiry);
  void HandleInquiryResponse(const Message& message, const InquiryResponse& response);
  void ConcludeInquiry();

  const RaftConfig config_;
  const std::string cluster_id_;
  const VoterId self_;
  Random random_;
  const uint64_t process_;  // names this incarnation to whoever answers it
  int64_t now_ms_;
  RaftLog log_;
  Metrics metrics_;

  HardState hard_state_;
  HardState handed_hard_state_;   // given to the store
  HardState durable_hard_state_;  // reported durable
  Role role_ = Role::kFollower;
  NodeId leader_ = kNoNode;
  NodeId term_leader_ = kNoNode;  // whoever led hard_state_.term, even when it is lost now
  LogIndex commit_ = kNoIndex;

  // Elections
  int64_t election_deadline_ms_ = 0;
  int64_t heard_leader_ms_ = 0;  // when leader_ was last heard
  bool ever_heard_leader_ = false;
  NodeId lost_leader_ = kNoNode;  // its address refused a connection; until a leader is heard
  int64_t leader_lost_ms_ = 0;
  bool deferred_ = false;   // has let another's pre-vote go first since the own last one
  int quick_attempts_ = 0;  // campaigns since start, or since the leader was lost
  std::map<NodeId, bool> votes_;

  // Leading
  std::map<NodeId, Progress> progress_;  // of the other members, and of who is being removed
  int64_t heartbeat_due_ms_ = 0;
  LogIndex term_start_index_;                            // of this leader's kLeaderStart entry
  std::deque<std::pair<LogIndex, size_t>> uncommitted_;  // this leader's proposals
  size_t uncommitted_bytes_ = 0;
  NodeId transfer_target_ = kNoNode;
  int64_t transfer_deadline_ms_ = 0;
  uint64_t read_sequence_ = 0;
  std::vector<uint64_t> new_reads_;  // not yet in a round
  std::deque<ReadBatch> read_rounds_;
  uint64_t last_snapshot_read_ = 0;

  std::optional<IncomingSnapshot> incoming_;
  uint64_t last_load_received_ = 0;
  std::optional<Inquiring> inquiry_;

  // Output
  Ready ready_;
  bool leader_input_ = false;  // something came in that may let the leader send more
  uint64_t last_persist_id_ = 0;
  std::deque<InFlightPersist> in_flight_;
  Role told_role_ = Role::kFollower;
  Term told_term_;
  NodeId told_leader_ = kNoNode;
  uint64_t told_members_ = 0;  // the history's version
  bool told_committed_ = false;
};

}  // namespace sluice::raft
