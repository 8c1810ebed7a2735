#pragma once
// Invariants: what must hold in every run of a Raft cluster, checked from outside over all nodes
// and all their incarnations.
//
// - election safety: a term has at most one leader;
// - log matching: two logs that hold an entry of the same index and term are equal up to there.
//   Checked by induction: an (index, term) names one content and one term before it;
// - leader completeness: a leader's log holds every entry that was committed in an earlier term.
//   (One that wins late, when a later term has begun to commit, lacks that, and can do nothing.);
// - state machine safety: no two nodes apply different entries at one index, and none skips or
//   repeats one;
// - monotony: term and commit of an incarnation never fall; a node's term never falls, restarts
//   included;
// - acknowledged: an acknowledged proposal is the committed entry at its index;
// - linearizable reads: a read's index covers every write acknowledged before the read began, and
//   the state it is served from covers that index;
// - promises: a vote, a candidacy or an acknowledgement leaves only when the sender's disk holds
//   what it says, and a node votes for one candidate a term, restarts included;
// - commit rule: what a leader commits is of its own term and on the disks of a majority of the
//   voters of its log. (Breaking either loses data only in rare schedules; checked here it shows at
//   once.);
// - snapshots: entries are dropped, in memory and on the disk, only behind a snapshot that is
//   durable, and on the disk only behind the one before the newest, should that prove unreadable;
// - election rule: a leader has the votes of a majority of the voters of its log, and is one of
//   them, or was until a removal that is not committed;
// - members: a configuration differs from the one before it by one voter at most, at most one is
//   not committed, a leader begins none before it has committed in its term, and a snapshot has the
//   one of its index;
// - durable: what a node takes for durable is on its disk;
// - contact: a leader that a majority has not answered for a while has resigned, and who does not
//   lead does not follow itself;
// - election restriction: votes and pre-votes are granted only to candidates whose log is not
//   behind;
// - progress: what a follower is known to hold never shrinks within a term, unless it has lost it;
// - damage: who has lost entries does not vote, nor stand, before they were given back;
// - transfer: only a voter that holds all of the leader's log is told to take over.
//
// Thread rule: one thread, as all of the simulator.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {

struct VoterDisk {
  VoterId voter;
  const SimDisk* disk = nullptr;
};

class Invariants {
 public:
  // A node (re)starts: what it knew in memory is gone.
  void Restarted(NodeId node);
  // It comes back with an empty disk and a new disk id: another voter, if one at all. What the
  // former one said may still arrive.
  void Wiped(NodeId node) { Of(node) = {.lost_term = Of(node).lost_term}; }
  // It comes back with an empty disk as the same voter.
  void FormattedAgain(const VoterId& voter);
  // After an event, for each running node that it may have changed.
  void Observe(NodeId node, const Core& core);
  // After the observation of `node`, with the disks of all that may be voters: what it has
  // committed as a leader since the one before.
  void CheckCommitRule(NodeId node, const Core& core, const std::vector<VoterDisk>& disks);
  // Of all that is committed and in its log.
  void CheckCommitted(NodeId node, const Core& core);
  // A request for a vote has reached a node, which has not seen it yet.
  void Asked(const Message& message, const Core& voter);
  // The lead is handed to `disk`'s node by one that had entries up to `last` before it was asked.
  void CheckTransfer(const Message& message, LogIndex last, const SimDisk& disk);
  // A message leaves `disk`'s node.
  void Sent(const Message& message, const SimDisk& disk);
  // The same message, when the node it is for runs: an acknowledgement must be of that one's log.
  void CheckAcknowledgement(const Message& message, const SimDisk& disk, const Core& receiver);
  void CheckDisk(NodeId node, const Core& core, const SimDisk& disk);
  // A message has arrived; a paused node goes on. A leader must be in contact with a majority, none
  // of which it may miss for longer than `silence_ms_max`.
  void Heard(NodeId node, NodeId from, int64_t now_ms);
  void Awoke(NodeId node, int64_t now_ms) { Of(node).awake_ms = now_ms; }
  void CheckContact(NodeId node, const Core& core, int64_t now_ms, int64_t silence_ms_max);
  // Entries on their way into a node's log; `prev_term` is that of the entry before the first.
  void Appended(NodeId node, Term prev_term, const std::vector<Entry>& entries);
  void Applied(NodeId node, const std::vector<Entry>& entries);
  void SnapshotLoaded(NodeId node, const SnapshotMeta& meta);
  void SnapshotStored(NodeId node, const SnapshotMeta& meta);
  void Acknowledged(LogIndex index, std::string_view data);
  // To be given back to ReadFinished.
  LogIndex ReadStarted() const { return acknowledged_max_; }
  // `applied`: by the node that answers.
  void ReadFinished(LogIndex floor, LogIndex index, LogIndex applied);

  // The first breach, or empty.
  const std::string& breach() const { return breach_; }
  size_t committed_count() const { return committed_.size(); }
  // The newest that is known to be committed; nullptr: nothing is.
  const Membership* committed_members() const {
    return members_.empty() ? nullptr : &members_.back().second;
  }

 private:
  struct Seen {
    Term term;       // the highest it led in; survives restarts
    Term last_term;  // when it was last observed
    LogIndex commit = kNoIndex;
    LogIndex applied = kNoIndex;
    Term led_term{-1};
    LogIndex led_commit = kNoIndex;  // at the last observation as leader of led_term
    LogIndex installed = kNoIndex;   // the snapshot loaded last
    std::vector<int64_t> heard_ms;   // by node; shorter: never
    int64_t awake_ms = 0;
    std::optional<int64_t> leading_since_ms;
    std::vector<LogIndex> matches;    // by node: what is known of it in led_term
    LogIndex led_members = kNoIndex;  // the entry of the members that `matches` is of
    uint64_t members_version = 0;
    Term lost_term{-1};  // the last in which it waited for entries that it had lost
  };
  // An entry that some log holds.
  struct Content {
    Term term{-1};  // -1: none was seen yet
    Term prev_term;
    uint32_t crc = 0;
  };
  struct Committed {
    Term term;
    uint32_t crc;
  };
  // Committed entries of one term, which became known in one term: that of the node that first
  // applied them, and not before the term in which they were committed.
  struct CommittedRun {
    LogIndex first;
    LogIndex last;
    Term term;
    Term known_in_term;
  };
  void Breach(std::string what);
  Seen& Of(NodeId node);
  void CheckLeader(NodeId node, const Core& core);
  void CheckMatches(NodeId node, const Core& core);
  bool Holds(const Core& core, const CommittedRun& run, LogIndex upto) const;
  void CheckGrant(const Message& message, bool pre_vote);
  void CheckElected(NodeId node, const Core& core);
  void CheckMembers(NodeId node, const Core& core);
  void CheckVote(const VoterId& voter, Term term, NodeId candidate, const SimDisk& disk);
  Content& ContentAt(LogIndex index, Term term);
  void NoteCommitted(const Entry& entry, uint32_t crc, Term known_in_term);

  std::vector<Seen> seen_;  // by node
  std::map<Term, NodeId> leaders_;
  struct Request {
    Term term;
    bool current = false;  // the candidate's log was not behind the voter's when it came
  };
  // By voter, candidate and whether it is a pre-vote: the latest.
  std::map<std::tuple<NodeId, NodeId, bool>, Request> requests_;
  // Once both have forgotten it, a vote is none: no process is left that could lead by it.
  struct Vote {
    NodeId candidate;
    bool forgotten_by_voter = false;
    bool forgotten_by_candidate = false;
  };
  std::map<std::pair<VoterId, Term>, Vote> votes_;
  std::vector<std::pair<LogIndex, Membership>> members_;  // committed ones
  std::vector<Content> contents_;  // by index: the first that was seen there; the others:
  std::map<std::pair<LogIndex, Term>, Content> more_contents_;
  std::vector<Committed> committed_;          // by index
  std::vector<CommittedRun> committed_runs_;  // all of them, in order
  LogIndex acknowledged_max_ = kNoIndex;
  std::string breach_;
};

}  // namespace sluice::raft::testing
