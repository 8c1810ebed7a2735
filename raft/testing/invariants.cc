#include "raft/testing/invariants.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/crc32c.h"
#include "raft/quorum.h"

namespace sluice::raft::testing {
namespace {

template <typename... Parts>
std::string Join(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace

void Invariants::Breach(std::string what) {
  if (breach_.empty()) breach_ = std::move(what);
}

Invariants::Seen& Invariants::Of(NodeId node) {
  const auto at = static_cast<size_t>(node.value());
  if (at >= seen_.size()) seen_.resize(at + 1);
  return seen_[at];
}

void Invariants::Restarted(NodeId node) {
  Seen& seen = Of(node);
  seen = {.term = seen.term, .lost_term = seen.lost_term};
}

void Invariants::Heard(NodeId node, NodeId from, int64_t now_ms) {
  std::vector<int64_t>& heard_ms = Of(node).heard_ms;
  const auto at = static_cast<size_t>(from.value());
  if (at >= heard_ms.size()) heard_ms.resize(at + 1);
  heard_ms[at] = now_ms;
}

void Invariants::Observe(NodeId node, const Core& core) {
  Seen& seen = Of(node);
  // A term that was never made durable may be forgotten; one that was answered or voted in may not.
  if (core.term() < seen.term)
    Breach(Join("node ", node, " fell from term ", seen.term, " to ", core.term()));
  if (core.commit() < seen.commit)
    Breach(Join("node ", node, " commit fell from ", seen.commit, " to ", core.commit()));
  if (core.commit() > core.log().last_index())
    Breach(Join("node ", node, " has lost entries up to its commit, ", core.commit()));
  if (core.role() != Role::kLeader && core.leader() == node)
    Breach(Join("node ", node, " does not lead and follows itself"));
  seen.commit = core.commit();
  seen.last_term = core.term();
  if (core.recovering()) seen.lost_term = core.term();
  if (seen.members_version != core.log().history().version()) CheckMembers(node, core);
  if (core.role() != Role::kLeader) return;
  CheckLeader(node, core);
  CheckMatches(node, core);
}

void Invariants::CheckMatches(NodeId node, const Core& core) {
  Seen& seen = Of(node);
  const LogIndex members = core.log().history().newest_index();
  if (std::exchange(seen.led_members, members) != members) seen.matches.clear();
  for (const auto& [id, progress] : core.progress()) {
    const auto at = static_cast<size_t>(id.value());
    if (at >= seen.matches.size()) seen.matches.resize(at + 1, kNoIndex);
    const LogIndex before = std::exchange(seen.matches[at], progress.match);
    if (progress.match < before && Of(id).lost_term < core.term())
      Breach(Join("leader ", node, " forgot that ", id, " holds ", before));
  }
}

void Invariants::CheckMembers(NodeId node, const Core& core) {
  const MembershipHistory& history = core.log().history();
  Of(node).members_version = history.version();
  // What one node has applied is committed, whether this one knows it or not.
  const LogIndex committed =
      std::max(core.commit(), LogIndex(static_cast<int64_t>(committed_.size()) - 1));
  if (history.CountAfter(committed) > 1)
    Breach(Join("node ", node, " holds more than one change of members that is not committed"));
  const bool own =
      core.role() == Role::kLeader && core.log().TermAt(history.newest_index()) == core.term();
  if (own && core.log().TermAt(core.commit()) != core.term()) {
    Breach(Join("leader ", node, " changes members before it has committed in term ", core.term()));
  }
  const Membership* before = history.previous();
  // The first one sets all voters at once.
  if (before == nullptr || before->voters.empty()) return;
  const auto missing = [](const Membership& from, const Membership& in) {
    return std::ranges::count_if(from.voters,
                                 [&in](const Member& voter) { return !in.HasVoter(voter.id); });
  };
  if (missing(*before, history.newest()) + missing(history.newest(), *before) > 1) {
    Breach(Join("node ", node, " changes more than one voter at once at ", history.newest_index(),
                ": ", *before, ", then ", history.newest()));
  }
}

void Invariants::CheckElected(NodeId node, const Core& core) {
  if (votes_.empty()) return;  // of messages nothing is told
  const Membership& members = core.members();
  const auto votes = std::ranges::count_if(members.voters, [&](const Member& voter) {
    if (voter.id.id == node) return true;
    const auto vote = votes_.find({voter.id, core.term()});
    return vote != votes_.end() && vote->second.candidate == node;
  });
  if (static_cast<size_t>(votes) < MajorityOf(members.voters.size())) {
    Breach(
        Join("node ", node, " leads term ", core.term(), " with ", votes, " votes of ", members));
  }
  const Membership* before = core.log().history().previous();
  const bool votes_itself = members.FindVoter(node) != nullptr;
  if (!votes_itself && (before == nullptr || before->FindVoter(node) == nullptr))
    Breach(Join("node ", node, " leads term ", core.term(), " and is no voter of ", members));
}

void Invariants::CheckLeader(NodeId node, const Core& core) {
  Seen& seen = Of(node);
  if (seen.led_term == core.term()) return;
  seen.led_term = core.term();
  seen.led_commit = core.commit();
  seen.matches.clear();
  // A leader has voted for itself durably: from now on its term is a promise.
  seen.term = std::max(seen.term, core.term());
  const auto [leader, first] = leaders_.emplace(core.term(), node);
  if (!first && leader->second != node) {
    Breach(Join("term ", core.term(), " has two leaders: ", leader->second, " and ", node));
  }
  CheckElected(node, core);
  for (auto run = committed_runs_.rbegin(); run != committed_runs_.rend(); ++run) {
    if (run->last < core.log().first_index()) return;
    if (run->known_in_term >= core.term() || Holds(core, *run, run->last)) continue;
    Breach(Join("leader ", node, " of term ", core.term(), " lacks committed entries of ",
                run->first, " to ", run->last, ", term ", run->term));
    return;
  }
}

// Terms never fall along a log: what holds at both ends of a run holds within.
bool Invariants::Holds(const Core& core, const CommittedRun& run, LogIndex upto) const {
  const RaftLog& log = core.log();
  return log.TermAt(std::max(run.first, log.first_index())) == run.term &&
         log.TermAt(std::min(run.last, upto)) == run.term;
}

void Invariants::CheckCommitted(NodeId node, const Core& core) {
  for (auto run = committed_runs_.rbegin(); run != committed_runs_.rend(); ++run) {
    if (run->last < core.log().first_index()) return;
    if (run->first > core.commit() || core.commit() < core.log().first_index()) continue;
    if (Holds(core, *run, core.commit())) continue;
    Breach(Join("node ", node, " holds other entries than those committed from ", run->first,
                " to ", run->last, ", term ", run->term));
    return;
  }
}

void Invariants::CheckCommitRule(NodeId node, const Core& core,
                                 const std::vector<VoterDisk>& disks) {
  Seen& seen = Of(node);
  if (core.role() != Role::kLeader || seen.led_term != core.term() ||
      core.commit() <= seen.led_commit)
    return;
  const LogIndex commit = seen.led_commit = core.commit();
  if (core.log().TermAt(commit) != core.term()) {
    Breach(Join("leader ", node, " of term ", core.term(), " committed ", commit,
                ", an entry of another term"));
  }
  const auto holds = std::ranges::count_if(disks, [&](const VoterDisk& voter) {
    const SimDisk* const disk = voter.disk;
    if (!core.members().HasVoter(voter.voter)) return false;
    if (disk->snapshot.has_value() && disk->snapshot->meta.index >= commit) return true;
    // A leader may not know of a loss yet: it is as if the damage had come after the commit.
    const auto lost = disk->lost_terms.find(commit);
    if (lost != disk->lost_terms.end() && lost->second == core.term()) return true;
    if (commit < disk->first_index || commit > disk->last_index()) return false;
    return core.log().TermAt(commit) ==
           disk->entries[static_cast<size_t>(commit - disk->first_index)].term;
  });
  if (static_cast<size_t>(holds) >= MajorityOf(core.members().voters.size())) return;
  Breach(Join("leader ", node, " of term ", core.term(), " committed ", commit, " with ", holds,
              " copies on disk"));
}

void Invariants::Asked(const Message& message, const Core& voter) {
  const auto* request = std::get_if<VoteRequest>(&message.body);
  if (request == nullptr) return;
  const RaftLog& log = voter.log();
  const bool current = std::pair(request->last_term, request->last_index) >=
                       std::pair(log.last_term(), log.last_index());
  Request& latest = requests_[{message.to, message.from.id, request->pre_vote}];
  if (latest.term == message.term) {
    latest.current = latest.current || current;
  } else if (latest.term < message.term) {
    latest = {message.term, current};
  }
}

void Invariants::CheckGrant(const Message& message, bool pre_vote) {
  const auto request = requests_.find({message.from.id, message.to, pre_vote});
  if (request == requests_.end() || request->second.term != message.term) return;
  if (request->second.current) return;
  Breach(
      Join("node ", message.from.id, " granted a vote to ", message.to, ", whose log is behind"));
}

void Invariants::CheckTransfer(const Message& message, LogIndex last, const SimDisk& disk) {
  if (std::max(disk.last_index(), disk.snapshot_index()) >= last) return;
  // It takes no notice of that.
  if (disk.LacksSomething()) return;
  Breach(Join("node ", message.from.id, " hands the lead to ", message.to,
              ", which does not hold all of its log up to ", last));
}

void Invariants::Sent(const Message& message, const SimDisk& disk) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body);
      request != nullptr && !request->pre_vote) {
    CheckVote(message.from, message.term, message.from.id, disk);
  }
  if (const auto* vote = std::get_if<VoteResponse>(&message.body);
      vote != nullptr && vote->granted) {
    CheckGrant(message, vote->pre_vote);
    if (!vote->pre_vote) CheckVote(message.from, message.term, message.to, disk);
  }
  if (const auto* append = std::get_if<AppendResponse>(&message.body);
      append != nullptr && append->success) {
    const LogIndex snapshot = disk.snapshot.has_value() ? disk.snapshot->meta.index : kNoIndex;
    if (append->match > std::max(disk.last_index(), snapshot)) {
      Breach(Join("node ", message.from.id, " acknowledged ", append->match, ", its disk ends at ",
                  disk.last_index()));
    }
    if (disk.TermAt(append->match).value_or(message.term) > message.term) {
      Breach(Join("node ", message.from.id, " acknowledged ", append->match, " in term ",
                  message.term, ", its disk holds an entry of a later one there"));
    }
  }
}

void Invariants::CheckAcknowledgement(const Message& message, const SimDisk& disk,
                                      const Core& receiver) {
  if (receiver.role() != Role::kLeader || receiver.term() != message.term) return;
  LogIndex index = kNoIndex;
  if (const auto* append = std::get_if<AppendResponse>(&message.body);
      append != nullptr && append->success) {
    index = append->match;
  }
  if (const auto* chunk = std::get_if<SnapshotChunkResponse>(&message.body);
      chunk != nullptr && chunk->installed) {
    index = chunk->index;
  }
  if (index == kNoIndex) return;
  const std::optional<Term> held = disk.TermAt(index);
  const std::optional<Term> meant = receiver.log().TermAt(index);
  const bool beyond = index > std::max(disk.last_index(), disk.snapshot_index());
  if (!beyond && (!held.has_value() || !meant.has_value() || held == meant)) return;
  Breach(Join("node ", message.from.id, " acknowledged ", index, " to the leader of term ",
              message.term, ", its disk holds another entry there"));
}

void Invariants::CheckDisk(NodeId node, const Core& core, const SimDisk& disk) {
  if (disk.first_index > disk.snapshot_index() + 1) {
    Breach(Join("the disk of node ", node, " begins at ", disk.first_index, ", its snapshot is at ",
                disk.snapshot_index()));
  }
  if (!disk.newest_stands_alone && !disk.ReachesBackWithoutNewest()) {
    Breach(Join("the disk of node ", node, " begins at ", disk.first_index,
                ", after the end of the snapshot before the newest"));
  }
  const RaftLog& log = core.log();
  const LogIndex durable = log.durable_index();
  // What an installed snapshot stands for counts as durable ahead of time: all that could promise
  // it waits for the same write.
  if (durable > log.snapshot_index() && disk.TermAt(durable) != log.TermAt(durable)) {
    Breach(Join("node ", node, " takes ", durable, " for durable, its disk does not hold it"));
  }
  const Seen& seen = Of(node);
  const LogIndex dropped = log.first_index() - 1;
  // An installation replaces the log at once, and what follows waits for the disk.
  const bool installed = dropped == seen.installed || dropped > seen.applied;
  if (dropped <= disk.snapshot_index() || installed) return;
  Breach(Join("node ", node, " has dropped its log up to ", dropped,
              ", its durable snapshot is at ", disk.snapshot_index()));
}

void Invariants::CheckContact(NodeId node, const Core& core, int64_t now_ms,
                              int64_t silence_ms_max) {
  Seen& seen = Of(node);
  if (core.role() != Role::kLeader) {
    seen.leading_since_ms.reset();
    return;
  }
  if (!seen.leading_since_ms.has_value()) seen.leading_since_ms = now_ms;
  const int64_t since_ms = std::max(*seen.leading_since_ms, seen.awake_ms);
  const auto near = std::ranges::count_if(core.members().voters, [&](const Member& voter) {
    const auto at = static_cast<size_t>(voter.id.id.value());
    const int64_t last_ms = at < seen.heard_ms.size() ? seen.heard_ms[at] : 0;
    return voter.id.id == node || now_ms - std::max(last_ms, since_ms) <= silence_ms_max;
  });
  if (static_cast<size_t>(near) >= MajorityOf(core.members().voters.size())) return;
  Breach(Join("node ", node, " leads term ", core.term(), " without hearing a majority"));
}

void Invariants::FormattedAgain(const VoterId& voter) {
  Wiped(voter.id);
  for (auto& [of, vote] : votes_) {
    vote.forgotten_by_voter = vote.forgotten_by_voter || of.first == voter;
    vote.forgotten_by_candidate = vote.forgotten_by_candidate || vote.candidate == voter.id;
  }
}

void Invariants::CheckVote(const VoterId& voter, Term term, NodeId candidate, const SimDisk& disk) {
  Vote& vote = votes_.try_emplace(std::pair(voter, term), Vote{candidate}).first->second;
  if (vote.forgotten_by_voter && vote.forgotten_by_candidate) vote = {candidate};
  if (vote.candidate != candidate) {
    Breach(Join("node ", voter, " voted for ", vote.candidate, " and for ", candidate, " in term ",
                term));
  }
  if (disk.hard_state.lost.any()) {
    Breach(Join("node ", voter, " voted for ", candidate, " in term ", term,
                " before it was given back what it had lost"));
  }
  if (disk.hard_state.term > term) return;
  if (disk.hard_state.term == term && disk.hard_state.voted_for == candidate) return;
  Breach(Join("node ", voter, " voted for ", candidate, " in term ", term,
              " before that was on its disk"));
}

Invariants::Content& Invariants::ContentAt(LogIndex index, Term term) {
  const auto at = static_cast<size_t>(index.value());
  if (at >= contents_.size()) contents_.resize(at + 1);
  Content& first = contents_[at];
  return first.term == term || first.term == Term(-1) ? first : more_contents_[{index, term}];
}

void Invariants::Appended(NodeId node, Term prev_term, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    const uint32_t crc = Crc32c(entry.data);
    Content& content = ContentAt(entry.index, entry.term);
    if (content.term == Term(-1)) content = {entry.term, prev_term, crc};
    if (content.crc != crc || content.prev_term != prev_term) {
      Breach(Join("node ", node, ": entry ", entry.index, "/", entry.term,
                  " differs from another log's"));
    }
    prev_term = entry.term;
  }
}

void Invariants::NoteCommitted(const Entry& entry, uint32_t crc, Term known_in_term) {
  committed_.push_back({entry.term, crc});
  if (SetsMembers(entry.type)) members_.emplace_back(entry.index, *MembersIn(entry));
  if (!committed_runs_.empty() && committed_runs_.back().term == entry.term &&
      committed_runs_.back().known_in_term == known_in_term) {
    committed_runs_.back().last = entry.index;
  } else {
    committed_runs_.push_back({entry.index, entry.index, entry.term, known_in_term});
  }
}

void Invariants::Applied(NodeId node, const std::vector<Entry>& entries) {
  Seen& seen = Of(node);
  for (const Entry& entry : entries) {
    if (entry.index != seen.applied + 1) {
      Breach(Join("node ", node, " applied ", entry.index, " after ", seen.applied));
    }
    seen.applied = entry.index;
    const uint32_t crc = Crc32c(entry.data);
    const auto at = static_cast<size_t>(entry.index.value());
    if (at == committed_.size()) NoteCommitted(entry, crc, seen.last_term);
    if (at >= committed_.size()) {
      Breach(Join("node ", node, " applied ", entry.index, " when only ", committed_.size(),
                  " were known"));
    } else if (committed_[at].term != entry.term || committed_[at].crc != crc) {
      Breach(Join("node ", node, " applied another entry at ", entry.index));
    }
  }
}

void Invariants::SnapshotLoaded(NodeId node, const SnapshotMeta& meta) {
  Seen& seen = Of(node);
  if (meta.index <= seen.applied)
    Breach(Join("node ", node, " loaded a snapshot of the past, ", meta.index));
  const auto at = static_cast<size_t>(meta.index.value());
  if (at >= committed_.size() || committed_[at].term != meta.term) {
    Breach(Join("node ", node, " loaded a snapshot of what is not committed, ", meta.index, "/",
                meta.term));
  }
  seen.applied = seen.installed = meta.index;
  SnapshotStored(node, meta);
}

// It is of applied entries only, so all of the configurations up to it are known.
void Invariants::SnapshotStored(NodeId node, const SnapshotMeta& meta) {
  const Membership* at = nullptr;
  for (const auto& [index, members] : members_) {
    if (index <= meta.index) at = &members;
  }
  if (at != nullptr && *at == meta.members) return;
  Breach(Join("node ", node, " has a snapshot at ", meta.index, " with ", meta.members));
}

void Invariants::Acknowledged(LogIndex index, std::string_view data) {
  const auto at = static_cast<size_t>(index.value());
  if (at >= committed_.size() || committed_[at].crc != Crc32c(data)) {
    Breach(Join("the proposal acknowledged at ", index, " is not the entry committed there"));
  }
  acknowledged_max_ = std::max(acknowledged_max_, index);
}

void Invariants::ReadFinished(LogIndex floor, LogIndex index, LogIndex applied) {
  if (applied < index)
    Breach(Join("a read at ", index, " was answered when only ", applied, " was applied"));
  if (index < floor)
    Breach(Join("a read at ", index, " misses the write acknowledged before it at ", floor));
}

}  // namespace sluice::raft::testing
