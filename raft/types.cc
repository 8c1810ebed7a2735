#include "raft/types.h"

#include <algorithm>
#include <sstream>

#include "base/bytes.h"

namespace sluice::raft {
namespace {

constexpr int8_t kBootstrapVersion = 1;
constexpr size_t kVoterBytes = 4 + 16;

struct BodyPrinter {
  std::ostream& out;

  void operator()(const VoteRequest& m) const {
    out << (m.pre_vote ? "PreVote" : "Vote") << (m.transfer ? " transfer" : "")
        << " last=" << m.last_index << "/" << m.last_term;
  }
  void operator()(const VoteResponse& m) const {
    out << (m.pre_vote ? "PreVoteResponse " : "VoteResponse ")
        << (m.granted ? "granted" : "refused");
  }
  void operator()(const AppendRequest& m) const {
    out << "Append prev=" << m.prev_index << "/" << m.prev_term << " commit=" << m.commit;
    if (m.entries.empty()) return;
    out << " entries=" << m.entries.front().index << "/" << m.entries.front().term;
    if (m.entries.size() > 1) out << ".." << m.entries.back().index << "/" << m.entries.back().term;
  }
  void operator()(const AppendResponse& m) const {
    if (m.success) {
      out << "AppendResponse match=" << m.match;
    } else {
      out << "AppendResponse refused prev=" << m.prev_index << " hint=" << m.hint_index << "/"
          << m.hint_term << (m.lost ? " lost" : "");
    }
  }
  void operator()(const HeartbeatRequest& m) const {
    out << "Heartbeat commit=" << m.commit << " read=" << m.read_sequence;
  }
  void operator()(const HeartbeatResponse& m) const {
    out << "HeartbeatResponse read=" << m.read_sequence << (m.recovering ? " recovering" : "");
  }
  void operator()(const SnapshotChunk& m) const {
    out << "SnapshotChunk index=" << m.meta.index << "/" << m.meta.term << " offset=" << m.offset
        << "+" << m.data.size() << " of " << m.size_total;
  }
  void operator()(const SnapshotChunkResponse& m) const {
    out << "SnapshotChunkResponse index=" << m.index << " next=" << m.next_offset
        << (m.installed ? " installed" : "");
  }
  void operator()(const TimeoutNow&) const { out << "TimeoutNow"; }
  void operator()(const Inquiry&) const { out << "Inquiry"; }
  void operator()(const InquiryResponse& m) const {
    out << "InquiryResponse last=" << m.last_index << (m.leads ? " leads" : "")
        << (m.same_voters ? "" : " other-voters");
  }
};

}  // namespace

std::string EncodeBootstrap(const Bootstrap& bootstrap) {
  ByteWriter writer;
  writer.PutInt8(kBootstrapVersion);
  writer.PutInt32(static_cast<int32_t>(bootstrap.cluster_id.size()));
  writer.PutBytes(bootstrap.cluster_id);
  writer.PutInt32(static_cast<int32_t>(bootstrap.voters.size()));
  for (const VoterId& voter : bootstrap.voters) {
    writer.PutInt32(voter.id.value());
    writer.PutBytes(voter.disk_id.view());
  }
  writer.PutInt32(static_cast<int32_t>(bootstrap.payload.size()));
  writer.PutBytes(bootstrap.payload);
  return writer.Take();
}

Result<Bootstrap> DecodeBootstrap(std::string_view data) {
  ByteReader reader(data);
  const int8_t version = reader.ReadInt8();
  if (version != kBootstrapVersion) {
    return Status::Corruption("the bootstrap entry has version " + std::to_string(version) +
                              ", known is " + std::to_string(kBootstrapVersion));
  }
  Bootstrap bootstrap;
  bootstrap.cluster_id = reader.ReadBytes(
      static_cast<size_t>(std::max(0, reader.CheckedCount(reader.ReadInt32(), 1))));
  const int32_t voters = reader.CheckedCount(reader.ReadInt32(), kVoterBytes);
  for (int32_t i = 0; i < voters && reader.ok(); ++i) {
    const NodeId id(reader.ReadInt32());
    const std::string_view disk = reader.ReadBytes(16);
    if (reader.ok()) bootstrap.voters.push_back({id, Uuid::FromBytes(disk)});
  }
  bootstrap.payload = reader.ReadBytes(
      static_cast<size_t>(std::max(0, reader.CheckedCount(reader.ReadInt32(), 1))));
  if (!reader.ok() || reader.remaining() != 0 || bootstrap.voters.empty()) {
    return Status::Corruption("the bootstrap entry of " + std::to_string(data.size()) +
                              " bytes does not parse");
  }
  return bootstrap;
}

LostEntries LostEntries::And(const LostEntries& later) const {
  return {std::max(upto, later.upto), std::max(term, later.term)};
}

Entry BootstrapEntry(const Bootstrap& bootstrap) {
  return {LogIndex(0), Term(0), EntryType::kBootstrap, EncodeBootstrap(bootstrap)};
}

Result<Membership> MembersIn(const Entry& entry) {
  if (entry.type == EntryType::kMembership) return DecodeMembership(entry.data);
  SLUICE_ASSIGN_OR_RETURN(const Bootstrap bootstrap, DecodeBootstrap(entry.data));
  Membership members = MembershipOf(bootstrap.voters);
  if (!members.IsSound()) return Status::Corruption("the bootstrap entry names a voter twice");
  return members;
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kFollower: return "follower";
    case Role::kPreCandidate: return "pre-candidate";
    case Role::kCandidate: return "candidate";
    case Role::kLeader: return "leader";
  }
  return "unknown";
}

bool IsAnswer(const MessageBody& body) {
  return std::holds_alternative<VoteResponse>(body) ||
         std::holds_alternative<AppendResponse>(body) ||
         std::holds_alternative<HeartbeatResponse>(body) ||
         std::holds_alternative<SnapshotChunkResponse>(body) ||
         std::holds_alternative<InquiryResponse>(body);
}

bool IsFromLeader(const Message& message) {
  return std::holds_alternative<AppendRequest>(message.body) ||
         std::holds_alternative<HeartbeatRequest>(message.body) ||
         std::holds_alternative<SnapshotChunk>(message.body);
}

std::string Describe(const Message& message) {
  std::ostringstream out;
  out << message.from.id << "->" << message.to << " t" << message.term << " ";
  std::visit(BodyPrinter{out}, message.body);
  return out.str();
}

}  // namespace sluice::raft
