// What a voter takes from its peers at all. A message is looked at before anything of it is
// adopted: one that no voter of this cluster sends is dropped, counted and told to the driver, for
// behind this gate its content is held to be true, and broken invariants stop the process.
#include <algorithm>
#include <cstdint>

#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {
namespace {

// An entry's term, or a log's, as a message of `most` can tell of it.
bool PossibleTerm(Term term, Term most) { return term >= Term(0) && term <= most; }

std::optional<Refusal> WhyRefuseVote(const VoteRequest& request, Term asked) {
  if (request.last_index < kNoIndex) return Refusal::kChain;
  // A candidate stands in a later term than any that its log has seen.
  if (!PossibleTerm(request.last_term, asked - 1)) return Refusal::kTerm;
  return std::nullopt;
}

// The entries must follow each other and what they are to follow. That no entry is of a later term
// than the leader's is KAFKA-18723: a follower that stored one would vote and truncate by it.
std::optional<Refusal> WhyRefuseAppend(const AppendRequest& request, Term leaders) {
  const auto count = static_cast<int64_t>(request.entries.size());
  if (request.prev_index < kNoIndex || request.prev_index.value() >= INT64_MAX - count)
    return Refusal::kChain;
  if (!PossibleTerm(request.prev_term, leaders)) return Refusal::kTerm;
  if (request.prev_index == kNoIndex && request.prev_term != Term(0)) return Refusal::kChain;
  LogIndex due = request.prev_index + 1;
  Term least = request.prev_term;
  for (const Entry& entry : request.entries) {
    if (entry.term > leaders) return Refusal::kTerm;
    if (entry.index != due || entry.term < least) return Refusal::kChain;
    if (entry.type == EntryType::kBootstrap && due != LogIndex(0)) return Refusal::kChain;
    if (SetsMembers(entry.type) && !MembersIn(entry).ok()) return Refusal::kMembers;
    due = due + 1;
    least = entry.term;
  }
  return std::nullopt;
}

std::optional<Refusal> WhyRefuseChunk(const SnapshotChunk& chunk, Term leaders,
                                      size_t snapshot_bytes_max) {
  if (!PossibleTerm(chunk.meta.term, leaders)) return Refusal::kTerm;
  // Its last index is one above, somewhere.
  const bool possible = chunk.meta.index >= LogIndex(0) && chunk.meta.index.value() < INT64_MAX &&
                        chunk.size_total <= snapshot_bytes_max && chunk.meta.members.IsSound();
  if (!possible) return Refusal::kSnapshot;
  const bool within =
      chunk.offset <= chunk.size_total && chunk.data.size() <= chunk.size_total - chunk.offset;
  return within ? std::nullopt : std::optional(Refusal::kChunkOrder);
}

}  // namespace

std::string_view RefusalText(Refusal refusal) {
  switch (refusal) {
    case Refusal::kCluster: return "it is of another cluster";
    case Refusal::kStranger: return "it is not between two members, as far as this one knows";
    case Refusal::kOtherDisk:
      return "the member of that id has another disk: that node was formatted anew, and is to be "
             "removed and added as who it is now";
    case Refusal::kFormerDisk:
      return "it is for a member of this node's id that has another disk: this node was formatted "
             "anew, and is to be removed and added as who it is now";
    case Refusal::kTerm: return "a term in it cannot be";
    case Refusal::kChain: return "its entries do not follow each other";
    case Refusal::kMembers: return "it sets members that cannot be";
    case Refusal::kNeverSent: return "it answers what was never sent";
    case Refusal::kSnapshot: return "there can be no such snapshot";
    case Refusal::kChunkOrder: return "that part of a snapshot is not the next";
    case Refusal::kChunkChecksum: return "a snapshot's checksum does not hold";
    case Refusal::kUnreadable: return "it cannot be read";
  }
  return "";
}

std::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kCluster: return "cluster";
    case Refusal::kStranger: return "stranger";
    case Refusal::kOtherDisk: return "other_disk";
    case Refusal::kFormerDisk: return "former_disk";
    case Refusal::kTerm: return "term";
    case Refusal::kChain: return "chain";
    case Refusal::kMembers: return "members";
    case Refusal::kNeverSent: return "never_sent";
    case Refusal::kSnapshot: return "snapshot";
    case Refusal::kChunkOrder: return "chunk_order";
    case Refusal::kChunkChecksum: return "chunk_checksum";
    case Refusal::kUnreadable: return "unreadable";
  }
  return "";
}

// What counts for something are answers, and those are taken only from a member that still has the
// disk it joined with: a wiped disk has forgotten its votes and what it acknowledged. Whoever asks
// need not be known: this node may lag behind the configuration that made the other one a voter, or
// have no log yet, and without its answer nobody might be elected. (Raft thesis, 4.1.) A node that
// was removed gets no majority, for a majority has newer logs; and while a leader is heard, no
// answer at all.
std::optional<Refusal> Core::WhyRefuseSender(const Message& message) const {
  if (message.cluster_id != cluster_id_) return Refusal::kCluster;
  if (message.to != self_.id || message.from.id == self_.id) return Refusal::kStranger;
  const bool any_disk = FaultPlanted(Fault::kWipedDiskCounts);
  if (!message.to_disk.IsZero() && message.to_disk != self_.disk_id && !any_disk)
    return Refusal::kFormerDisk;
  if (!IsAnswer(message.body)) return std::nullopt;
  const Member* member = FindPeer(message.from.id);
  if (member == nullptr) return Refusal::kStranger;
  if (member->id != message.from && !any_disk) return Refusal::kOtherDisk;
  return std::nullopt;
}

std::optional<Refusal> Core::WhyRefuse(const Message& message) const {
  if (const auto refusal = WhyRefuseSender(message)) return refusal;
  if (!PossibleTerm(message.term, kTermMax)) return Refusal::kTerm;
  if (const auto* vote = std::get_if<VoteRequest>(&message.body))
    return WhyRefuseVote(*vote, message.term);
  if (const auto* append = std::get_if<AppendRequest>(&message.body))
    return WhyRefuseAppend(*append, message.term);
  if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body))
    return WhyRefuseChunk(*chunk, message.term, config_.snapshot_bytes_max);
  if (const auto* told = std::get_if<InquiryResponse>(&message.body)) {
    return told->last_index < kNoIndex ? std::optional(Refusal::kNeverSent) : std::nullopt;
  }
  // Answers to an earlier leader's messages are dropped later, unread. They may tell of entries
  // that this log has lost since.
  if (role_ != Role::kLeader || message.term != term()) return std::nullopt;
  if (const auto* answer = std::get_if<AppendResponse>(&message.body))
    return WhyRefuseAnswer(*answer);
  const auto* beat = std::get_if<HeartbeatResponse>(&message.body);
  if (beat != nullptr && beat->read_sequence > read_sequence_) return Refusal::kNeverSent;
  return std::nullopt;
}

// Within its own term a leader's log only grows.
std::optional<Refusal> Core::WhyRefuseAnswer(const AppendResponse& answer) const {
  const auto in_log = [this](LogIndex index) {
    return index >= kNoIndex && index <= log_.last_index();
  };
  const bool possible = answer.success ? in_log(answer.match)
                                       : in_log(answer.prev_index) && in_log(answer.hint_index) &&
                                             answer.hint_index <= answer.prev_index;
  return possible ? std::nullopt : std::optional(Refusal::kNeverSent);
}

void Core::Refuse(NodeId from, Refusal why) {
  ++metrics_.refused[static_cast<size_t>(why)];
  // Whoever claims to be somebody has not shown it.
  const bool known =
      why != Refusal::kCluster && why != Refusal::kStranger && FindPeer(from) != nullptr;
  ready_.refused.push_back({known ? from : kNoNode, why});
}

}  // namespace sluice::raft
