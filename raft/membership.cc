#include "raft/membership.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"

namespace sluice::raft {
namespace {

constexpr int8_t kVersion = 1;
constexpr size_t kMemberBytesMin = 4 + 16 + 4;

const Member* FindIn(const std::vector<Member>& members, NodeId id) {
  for (const Member& member : members) {
    if (member.id.id == id) return &member;
  }
  return nullptr;
}

void Put(const std::vector<Member>& members, ByteWriter& writer) {
  writer.PutInt32(static_cast<int32_t>(members.size()));
  for (const Member& member : members) {
    writer.PutInt32(member.id.id.value());
    writer.PutBytes(member.id.disk_id.view());
    writer.PutInt32(static_cast<int32_t>(member.address.size()));
    writer.PutBytes(member.address);
  }
}

std::vector<Member> Read(ByteReader& reader) {
  std::vector<Member> members;
  const int32_t count = reader.CheckedCount(reader.ReadInt32(), kMemberBytesMin);
  for (int32_t i = 0; i < count && reader.ok(); ++i) {
    const NodeId id(reader.ReadInt32());
    const std::string_view disk = reader.ReadBytes(16);
    const int32_t size = reader.CheckedCount(reader.ReadInt32(), 1);
    const std::string_view address = reader.ReadBytes(static_cast<size_t>(std::max(0, size)));
    if (reader.ok()) members.push_back({{id, Uuid::FromBytes(disk)}, std::string(address)});
  }
  return members;
}

void PrintIds(std::ostream& out, const std::vector<Member>& members) {
  for (size_t i = 0; i < members.size(); ++i) out << (i == 0 ? " " : ",") << members[i].id.id;
}

std::string NameOf(const VoterId& voter) {
  return "node " + std::to_string(voter.id.value()) + " with disk " + voter.disk_id.ToString();
}

Result<Membership> WithLearner(Membership members, const Member& learner) {
  if (learner.id.id < NodeId(0) || learner.id.disk_id.IsZero())
    return Status::InvalidArgument("a member has an id and a disk id");
  const Member* known = members.Find(learner.id.id);
  if (known == nullptr) {
    members.learners.push_back(learner);
    return members;
  }
  const std::string as = members.FindVoter(learner.id.id) != nullptr ? "a voter" : "a learner";
  if (known->id == learner.id)
    return Status::AlreadyExists(NameOf(learner.id) + " is " + as + " already");
  return Status::AlreadyExists(NameOf(known->id) + " is " + as +
                               "; it has to be removed before the node joins with another disk");
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const VoterId& voter) {
  return out << voter.id << "@" << voter.disk_id;
}

std::ostream& operator<<(std::ostream& out, const Membership& members) {
  out << "voters";
  PrintIds(out, members.voters);
  if (members.learners.empty()) return out;
  out << " learners";
  PrintIds(out, members.learners);
  return out;
}

const Member* Membership::FindVoter(NodeId id) const { return FindIn(voters, id); }

const Member* Membership::FindLearner(NodeId id) const { return FindIn(learners, id); }

const Member* Membership::Find(NodeId id) const {
  const Member* voter = FindVoter(id);
  return voter != nullptr ? voter : FindLearner(id);
}

bool Membership::HasVoter(const VoterId& voter) const {
  const Member* found = FindVoter(voter.id);
  return found != nullptr && found->id == voter;
}

bool Membership::IsSound() const {
  std::set<NodeId> ids;
  for (const Member& member : voters) ids.insert(member.id.id);
  for (const Member& member : learners) ids.insert(member.id.id);
  return !voters.empty() && ids.size() == voters.size() + learners.size();
}

std::string EncodeMembership(const Membership& members) {
  ByteWriter writer;
  writer.PutInt8(kVersion);
  Put(members.voters, writer);
  Put(members.learners, writer);
  return writer.Take();
}

Result<Membership> DecodeMembership(std::string_view data) {
  ByteReader reader(data);
  const int8_t version = reader.ReadInt8();
  if (version != kVersion) {
    return Status::Corruption("a configuration of the quorum of version " +
                              std::to_string(version) + ", known is " + std::to_string(kVersion));
  }
  Membership members;
  members.voters = Read(reader);
  members.learners = Read(reader);
  if (!reader.ok() || reader.remaining() != 0 || !members.IsSound()) {
    return Status::Corruption("a configuration of the quorum of " + std::to_string(data.size()) +
                              " bytes does not parse");
  }
  return members;
}

Result<Membership> Changed(const Membership& members, const MemberChange& change) {
  const VoterId& id = change.member.id;
  if (change.kind == MemberChange::Kind::kAddLearner) return WithLearner(members, change.member);
  const Member* known = members.Find(id.id);
  if (known == nullptr || known->id != id)
    return Status::NotFound(NameOf(id) + " is no member of the quorum");
  const Member member = *known;
  const bool votes = members.FindVoter(id.id) != nullptr;
  Membership next = members;
  if (change.kind == MemberChange::Kind::kPromote) {
    if (votes) return Status::AlreadyExists(NameOf(id) + " is a voter already");
    next.voters.push_back(member);
  }
  if (change.kind == MemberChange::Kind::kRemove && votes) {
    if (members.voters.size() == 1)
      return Status::InvalidArgument(NameOf(id) +
                                     " is the only voter: without it there is no quorum");
    std::erase(next.voters, member);
  }
  std::erase(next.learners, member);
  return next;
}

Membership MembershipOf(const std::vector<VoterId>& voters) {
  Membership members;
  for (const VoterId& voter : voters) members.voters.push_back({voter, {}});
  return members;
}

}  // namespace sluice::raft
