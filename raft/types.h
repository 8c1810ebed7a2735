#pragma once
// The nouns of Raft as plain values: entries, durable state, snapshots and the messages between
// voters. The log starts at index 0 with the bootstrap entry, which every first voter holds from
// the day its disk was formatted; kNoIndex (-1) stands for "before the first entry".
//
// Thread rule: values.

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "raft/membership.h"

namespace sluice::raft {

inline constexpr LogIndex kNoIndex{-1};
inline constexpr Term kTermMax{INT32_MAX};  // stored as a leader epoch, which has 32 bits

enum class EntryType : int8_t {
  kNormal = 0,       // data of the state machine
  kLeaderStart = 1,  // empty; the first entry of every term, whose commit commits all before it
  kBootstrap =
      2,  // index 0: cluster id, first voters and the state machine's first data (EncodeBootstrap)
  kMembership = 3,  // who takes part from this entry on (EncodeMembership)
};

struct Entry {
  LogIndex index;
  Term term;
  EntryType type = EntryType::kNormal;
  std::string data;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What an entry with so many bytes of data takes in memory, about: an empty one is not free.
inline size_t SizeOfEntry(size_t data_bytes) { return sizeof(Entry) + data_bytes; }
inline size_t SizeOf(const Entry& entry) { return SizeOfEntry(entry.data.size()); }

// Entries that a damaged disk has lost. This voter may have acknowledged them, so that a majority
// may count on them.
struct LostEntries {
  LogIndex upto = kNoIndex;  // none was above it; kNoIndex: nothing is lost
  Term term;                 // of this voter when that was found out, hence the last they may be of
  bool any() const { return upto != kNoIndex; }
  // Of this loss and of one that was found later.
  LostEntries And(const LostEntries& later) const;
  friend bool operator==(const LostEntries&, const LostEntries&) = default;
};

// What a voter must never forget, durable before it answers.
struct HardState {
  Term term;                   // 0: has never seen an election
  NodeId voted_for = kNoNode;  // in `term`
  LostEntries lost;            // until its peers have given them back
  friend bool operator==(const HardState&, const HardState&) = default;
};

struct SnapshotMeta {
  LogIndex index = kNoIndex;  // the last entry it stands for
  Term term;                  // of that entry
  Membership members;         // at that entry
  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

struct Snapshot {
  SnapshotMeta meta;
  std::shared_ptr<const std::string> data;
};

// The content of the bootstrap entry. `payload` is the state machine's own (its first records);
// Raft does not look into it.
struct Bootstrap {
  std::string cluster_id;
  std::vector<VoterId> voters;
  std::string payload;
};
std::string EncodeBootstrap(const Bootstrap& bootstrap);
Result<Bootstrap> DecodeBootstrap(std::string_view data);
// The entry at index 0, term 0: `sluice cluster init` writes it to every first voter's log.
Entry BootstrapEntry(const Bootstrap& bootstrap);

inline bool SetsMembers(EntryType type) {
  return type == EntryType::kBootstrap || type == EntryType::kMembership;
}
// Who takes part from such an entry on.
Result<Membership> MembersIn(const Entry& entry);

enum class Role : int8_t { kFollower, kPreCandidate, kCandidate, kLeader };
std::string_view RoleName(Role role);

// ---- Messages. The sender's term is in Message::term, but for pre-votes, which ask about a term
// nobody has yet.

struct VoteRequest {
  bool pre_vote = false;
  bool transfer = false;  // the leader asked for this election: stickiness does not apply
  LogIndex last_index = kNoIndex;
  Term last_term;
  uint64_t process = 0;  // drawn by the sender's process; echoed
  friend bool operator==(const VoteRequest&, const VoteRequest&) = default;
};

struct VoteResponse {
  bool pre_vote = false;
  bool granted = false;
  // That asked. An earlier one on a disk that was formatted again since had another log.
  uint64_t process = 0;
  friend bool operator==(const VoteResponse&, const VoteResponse&) = default;
};

struct AppendRequest {
  LogIndex prev_index = kNoIndex;
  Term prev_term;
  LogIndex commit = kNoIndex;
  std::vector<Entry> entries;
  friend bool operator==(const AppendRequest&, const AppendRequest&) = default;
};

struct AppendResponse {
  bool success = false;
  LogIndex match = kNoIndex;       // success: durable on the sender up to here
  LogIndex prev_index = kNoIndex;  // refusal: the prev_index that did not match
  LogIndex hint_index = kNoIndex;  // refusal: the sender's last entry that might match ...
  Term hint_term;                  // ... and its term
  bool lost = false;               // refusal: what the sender acknowledged above the hint is gone
  friend bool operator==(const AppendResponse&, const AppendResponse&) = default;
};

struct HeartbeatRequest {
  LogIndex commit = kNoIndex;  // never above what the receiver is known to hold
  uint64_t read_sequence = 0;  // echoed; confirms leadership for reads up to this number
  int64_t sent_micros = 0;     // echoed; by the sender's own clock. 0: not told
  friend bool operator==(const HeartbeatRequest&, const HeartbeatRequest&) = default;
};

struct HeartbeatResponse {
  uint64_t read_sequence = 0;
  int64_t sent_micros = 0;
  bool recovering = false;  // waits for entries that it has lost
  friend bool operator==(const HeartbeatResponse&, const HeartbeatResponse&) = default;
};

struct SnapshotChunk {
  SnapshotMeta meta;
  uint64_t offset = 0;      // of `data` in the snapshot, bytes
  uint64_t size_total = 0;  // of the snapshot, bytes
  uint32_t chunk_crc = 0;   // CRC-32C of `data`
  uint32_t whole_crc = 0;   // CRC-32C of the whole snapshot
  std::string data;
  friend bool operator==(const SnapshotChunk&, const SnapshotChunk&) = default;
};

struct SnapshotChunkResponse {
  LogIndex index = kNoIndex;  // which snapshot
  uint64_t next_offset = 0;   // bytes the sender of this response has
  bool installed = false;     // the whole is durable
  friend bool operator==(const SnapshotChunkResponse&, const SnapshotChunkResponse&) = default;
};

// "Campaign now": the last message of a leadership transfer.
struct TimeoutNow {
  friend bool operator==(const TimeoutNow&, const TimeoutNow&) = default;
};

// "I hold nothing but the bootstrap entry: has the cluster run?" (inquiry.cc). The only message
// that says nothing of a term.
struct Inquiry {
  uint64_t question = 0;        // echoed: an answer to an earlier one tells too little
  std::vector<VoterId> voters;  // of that entry
  friend bool operator==(const Inquiry&, const Inquiry&) = default;
};

// Message::term is the term that the sender is in.
struct InquiryResponse {
  uint64_t question = 0;
  LogIndex last_index = kNoIndex;  // of the sender's log, and of what it has lost
  bool leads = false;              // in that term
  bool same_voters = false;        // its voters are those of the question, and that is committed
  friend bool operator==(const InquiryResponse&, const InquiryResponse&) = default;
};

using MessageBody = std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse,
                                 HeartbeatRequest, HeartbeatResponse, SnapshotChunk,
                                 SnapshotChunkResponse, TimeoutNow, Inquiry, InquiryResponse>;

struct Message {
  std::string cluster_id;
  VoterId from;
  NodeId to = kNoNode;
  Term term;
  MessageBody body;
  Uuid to_disk;  // of requests: the member that is meant; zero: not told
};
bool IsAnswer(const MessageBody& body);
// Only the leader of message.term sends such a one.
bool IsFromLeader(const Message& message);
// One line for traces: "1->2 t3 Append prev=4/2 commit=3 entries=5/3,6/3".
std::string Describe(const Message& message);

}  // namespace sluice::raft
