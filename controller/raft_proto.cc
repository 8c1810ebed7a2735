#include "controller/raft_proto.h"

#include <utility>

namespace sluice::controller {
namespace {

using raftpb::RaftMessage;

void PutVoter(const raft::VoterId& voter, raftpb::Voter* proto) {
  proto->set_node_id(voter.id.value());
  proto->set_disk_id(std::string(voter.disk_id.view()));
}

void PutMember(const raft::Member& member, raftpb::Voter* proto) {
  PutVoter(member.id, proto);
  proto->set_address(member.address);
}

Result<raft::VoterId> GetVoter(const raftpb::Voter& proto) {
  if (proto.disk_id().size() != 16) {
    return Status::InvalidArgument("a disk id of " + std::to_string(proto.disk_id().size()) +
                                   " bytes");
  }
  return raft::VoterId{NodeId(proto.node_id()), Uuid::FromBytes(proto.disk_id())};
}

Result<std::vector<raft::Member>> GetMembers(
    const google::protobuf::RepeatedPtrField<raftpb::Voter>& protos) {
  std::vector<raft::Member> members;
  for (const raftpb::Voter& proto : protos) {
    SLUICE_ASSIGN_OR_RETURN(const raft::VoterId id, GetVoter(proto));
    members.push_back({id, proto.address()});
  }
  return members;
}

// One overload a body.
struct BodyWriter {
  RaftMessage& proto;

  void operator()(raft::VoteRequest& m) const {
    raftpb::VoteRequest* out = proto.mutable_vote_request();
    out->set_pre_vote(m.pre_vote);
    out->set_transfer(m.transfer);
    out->set_last_index(m.last_index.value());
    out->set_last_term(m.last_term.value());
    out->set_process(m.process);
  }
  void operator()(raft::VoteResponse& m) const {
    proto.mutable_vote_response()->set_pre_vote(m.pre_vote);
    proto.mutable_vote_response()->set_granted(m.granted);
    proto.mutable_vote_response()->set_process(m.process);
  }
  void operator()(raft::AppendRequest& m) const {
    raftpb::AppendRequest* out = proto.mutable_append_request();
    out->set_prev_index(m.prev_index.value());
    out->set_prev_term(m.prev_term.value());
    out->set_commit(m.commit.value());
    for (raft::Entry& entry : m.entries) {
      raftpb::Entry* added = out->add_entries();
      added->set_term(entry.term.value());
      added->set_type(static_cast<int32_t>(entry.type));
      added->set_data(std::move(entry.data));
    }
  }
  void operator()(raft::AppendResponse& m) const {
    raftpb::AppendResponse* out = proto.mutable_append_response();
    out->set_success(m.success);
    out->set_match(m.match.value());
    out->set_prev_index(m.prev_index.value());
    out->set_hint_index(m.hint_index.value());
    out->set_hint_term(m.hint_term.value());
    out->set_lost(m.lost);
  }
  void operator()(raft::HeartbeatRequest& m) const {
    proto.mutable_heartbeat_request()->set_commit(m.commit.value());
    proto.mutable_heartbeat_request()->set_read_sequence(m.read_sequence);
    proto.mutable_heartbeat_request()->set_sent_micros(m.sent_micros);
  }
  void operator()(raft::HeartbeatResponse& m) const {
    proto.mutable_heartbeat_response()->set_read_sequence(m.read_sequence);
    proto.mutable_heartbeat_response()->set_sent_micros(m.sent_micros);
    proto.mutable_heartbeat_response()->set_recovering(m.recovering);
  }
  void operator()(raft::SnapshotChunk& m) const {
    raftpb::SnapshotChunk* out = proto.mutable_snapshot_chunk();
    out->set_index(m.meta.index.value());
    out->set_term(m.meta.term.value());
    for (const raft::Member& voter : m.meta.members.voters) PutMember(voter, out->add_voters());
    for (const raft::Member& learner : m.meta.members.learners)
      PutMember(learner, out->add_learners());
    out->set_offset(m.offset);
    out->set_size_total(m.size_total);
    out->set_chunk_crc(m.chunk_crc);
    out->set_whole_crc(m.whole_crc);
    out->set_data(std::move(m.data));
  }
  void operator()(raft::SnapshotChunkResponse& m) const {
    raftpb::SnapshotChunkResponse* out = proto.mutable_snapshot_chunk_response();
    out->set_index(m.index.value());
    out->set_next_offset(m.next_offset);
    out->set_installed(m.installed);
  }
  void operator()(raft::TimeoutNow&) const { proto.mutable_timeout_now(); }
  void operator()(raft::Inquiry& m) const {
    proto.mutable_inquiry()->set_question(m.question);
    for (const raft::VoterId& voter : m.voters)
      PutVoter(voter, proto.mutable_inquiry()->add_voters());
  }
  void operator()(raft::InquiryResponse& m) const {
    raftpb::InquiryResponse* out = proto.mutable_inquiry_response();
    out->set_question(m.question);
    out->set_last_index(m.last_index.value());
    out->set_leads(m.leads);
    out->set_same_voters(m.same_voters);
  }
};

Result<raft::MessageBody> GetAppend(raftpb::AppendRequest& proto) {
  raft::AppendRequest append{.prev_index = LogIndex(proto.prev_index()),
                             .prev_term = Term(proto.prev_term()),
                             .commit = LogIndex(proto.commit())};
  if (proto.prev_index() < -1)
    return Status::InvalidArgument("append after index " + std::to_string(proto.prev_index()));
  LogIndex index = append.prev_index;
  for (raftpb::Entry& entry : *proto.mutable_entries()) {
    if (entry.type() < 0 || entry.type() > static_cast<int32_t>(raft::EntryType::kMembership)) {
      return Status::InvalidArgument("an entry of the unknown type " +
                                     std::to_string(entry.type()));
    }
    index = index + 1;
    append.entries.push_back({index, Term(entry.term()), static_cast<raft::EntryType>(entry.type()),
                              std::move(*entry.mutable_data())});
  }
  return raft::MessageBody(std::move(append));
}

Result<raft::MessageBody> GetChunk(raftpb::SnapshotChunk& proto) {
  raft::SnapshotChunk chunk{.offset = proto.offset(),
                            .size_total = proto.size_total(),
                            .chunk_crc = proto.chunk_crc(),
                            .whole_crc = proto.whole_crc(),
                            .data = std::move(*proto.mutable_data())};
  chunk.meta = {LogIndex(proto.index()), Term(proto.term()), {}};
  SLUICE_ASSIGN_OR_RETURN(chunk.meta.members.voters, GetMembers(proto.voters()));
  SLUICE_ASSIGN_OR_RETURN(chunk.meta.members.learners, GetMembers(proto.learners()));
  if (chunk.meta.members.voters.empty())
    return Status::InvalidArgument("a snapshot without voters");
  return raft::MessageBody(std::move(chunk));
}

Result<raft::MessageBody> GetInquiry(const raftpb::Inquiry& proto) {
  raft::Inquiry inquiry{.question = proto.question()};
  for (const raftpb::Voter& voter : proto.voters()) {
    SLUICE_ASSIGN_OR_RETURN(const raft::VoterId id, GetVoter(voter));
    inquiry.voters.push_back(id);
  }
  return raft::MessageBody(std::move(inquiry));
}

Result<raft::MessageBody> GetBody(RaftMessage& proto) {
  switch (proto.body_case()) {
    case RaftMessage::kVoteRequest: {
      const raftpb::VoteRequest& m = proto.vote_request();
      return raft::MessageBody(raft::VoteRequest{
          m.pre_vote(), m.transfer(), LogIndex(m.last_index()), Term(m.last_term()), m.process()});
    }
    case RaftMessage::kVoteResponse: {
      const raftpb::VoteResponse& m = proto.vote_response();
      return raft::MessageBody(raft::VoteResponse{m.pre_vote(), m.granted(), m.process()});
    }
    case RaftMessage::kAppendRequest: return GetAppend(*proto.mutable_append_request());
    case RaftMessage::kAppendResponse: {
      const raftpb::AppendResponse& m = proto.append_response();
      return raft::MessageBody(
          raft::AppendResponse{m.success(), LogIndex(m.match()), LogIndex(m.prev_index()),
                               LogIndex(m.hint_index()), Term(m.hint_term()), m.lost()});
    }
    case RaftMessage::kHeartbeatRequest: {
      const raftpb::HeartbeatRequest& m = proto.heartbeat_request();
      return raft::MessageBody(
          raft::HeartbeatRequest{LogIndex(m.commit()), m.read_sequence(), m.sent_micros()});
    }
    case RaftMessage::kHeartbeatResponse: {
      const raftpb::HeartbeatResponse& m = proto.heartbeat_response();
      return raft::MessageBody(
          raft::HeartbeatResponse{m.read_sequence(), m.sent_micros(), m.recovering()});
    }
    case RaftMessage::kSnapshotChunk: return GetChunk(*proto.mutable_snapshot_chunk());
    case RaftMessage::kSnapshotChunkResponse: {
      const raftpb::SnapshotChunkResponse& m = proto.snapshot_chunk_response();
      return raft::MessageBody(
          raft::SnapshotChunkResponse{LogIndex(m.index()), m.next_offset(), m.installed()});
    }
    case RaftMessage::kTimeoutNow: return raft::MessageBody(raft::TimeoutNow{});
    case RaftMessage::kInquiry: return GetInquiry(proto.inquiry());
    case RaftMessage::kInquiryResponse: {
      const raftpb::InquiryResponse& m = proto.inquiry_response();
      return raft::MessageBody(raft::InquiryResponse{m.question(), LogIndex(m.last_index()),
                                                     m.leads(), m.same_voters()});
    }
    case RaftMessage::BODY_NOT_SET: break;
  }
  return Status::InvalidArgument("a Raft message of a kind that this version does not know");
}

}  // namespace

RaftMessage ToProto(raft::Message message) {
  RaftMessage proto;
  proto.set_cluster_id(message.cluster_id);
  PutVoter(message.from, proto.mutable_from());
  proto.set_to_node_id(message.to.value());
  proto.set_term(message.term.value());
  if (!message.to_disk.IsZero()) proto.set_to_disk_id(std::string(message.to_disk.view()));
  std::visit(BodyWriter{proto}, message.body);
  return proto;
}

Result<raft::Message> FromProto(RaftMessage proto) {
  if (proto.term() < 0) return Status::InvalidArgument("term " + std::to_string(proto.term()));
  SLUICE_ASSIGN_OR_RETURN(const raft::VoterId from, GetVoter(proto.from()));
  const std::string& to_disk = proto.to_disk_id();
  if (!to_disk.empty() && to_disk.size() != 16)
    return Status::InvalidArgument("a disk id of " + std::to_string(to_disk.size()) + " bytes");
  SLUICE_ASSIGN_OR_RETURN(raft::MessageBody body, GetBody(proto));
  return raft::Message{proto.cluster_id(),
                       from,
                       NodeId(proto.to_node_id()),
                       Term(proto.term()),
                       std::move(body),
                       to_disk.empty() ? Uuid() : Uuid::FromBytes(to_disk)};
}

}  // namespace sluice::controller
