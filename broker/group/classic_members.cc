#include "broker/group/classic_members.h"

#include <glog/logging.h>

#include <algorithm>
#include <set>
#include <utility>

namespace sluice::broker {

std::vector<ClassicProtocol> ProtocolsOf(const kafka::JoinGroupRequest& request) {
  std::set<std::string_view> names;
  std::vector<ClassicProtocol> protocols;
  protocols.reserve(request.protocols.size());
  for (const auto& protocol : request.protocols) {
    if (names.insert(protocol.name).second) protocols.push_back({protocol.name, protocol.metadata});
  }
  return protocols;
}

std::string_view ClassicMember::MetadataOf(std::string_view protocol) const {
  for (const ClassicProtocol& offered : terms.protocols) {
    if (offered.name == protocol) return offered.metadata;
  }
  return {};
}

ClassicMember* ClassicMembers::Find(std::string_view id) const {
  const auto at = members_.find(id);
  return at == members_.end() ? nullptr : at->second.get();
}

ClassicMember* ClassicMembers::FindStatic(std::string_view instance_id) const {
  const auto at = statics_.find(instance_id);
  return at == statics_.end() ? nullptr : Find(at->second);
}

ClassicMember& ClassicMembers::Add(ClassicMember member) {
  auto owned = std::make_unique<ClassicMember>(std::move(member));
  ClassicMember& added = *owned;
  CHECK(members_.emplace(added.id, std::move(owned)).second) << added.id;
  if (added.instance_id.has_value()) {
    CHECK(statics_.emplace(*added.instance_id, added.id).second) << *added.instance_id;
  }
  if (leader_.empty()) leader_ = added.id;
  if (added.parked_join.has_value()) ++joins_parked_;
  Count(added.terms, 1);
  pending_.Erase(added.id);
  return added;
}

void ClassicMembers::Remove(std::string_view id) {
  const auto at = members_.find(id);
  CHECK(at != members_.end()) << id;
  ClassicMember& member = *at->second;
  CHECK(!member.parked_join.has_value() && !member.parked_sync.has_value()) << id;
  Count(member.terms, -1);
  if (member.instance_id.has_value()) statics_.erase(*member.instance_id);
  const bool led = leader_ == id;
  members_.erase(at);
  if (led) leader_ = members_.empty() ? std::string() : members_.begin()->second->id;
}

ClassicMember& ClassicMembers::Rename(std::string_view id, std::string new_id) {
  auto node = members_.extract(id);
  CHECK(!node.empty()) << id;
  ClassicMember& member = *node.mapped();
  if (leader_ == id) leader_ = new_id;
  if (member.instance_id.has_value()) statics_[*member.instance_id] = new_id;
  member.id = std::move(new_id);
  node.key() = member.id;
  CHECK(members_.insert(std::move(node)).inserted) << member.id;
  return member;
}

void ClassicMembers::SetTerms(ClassicMember& member, ClassicTerms terms) {
  Count(member.terms, -1);
  member.terms = std::move(terms);
  Count(member.terms, 1);
}

void ClassicMembers::ParkJoin(ClassicMember& member, RequestToken token) {
  CHECK(!member.parked_join.has_value()) << member.id;
  member.parked_join = token;
  ++joins_parked_;
}

std::optional<RequestToken> ClassicMembers::TakeJoin(ClassicMember& member) {
  if (!member.parked_join.has_value()) return std::nullopt;
  --joins_parked_;
  return std::exchange(member.parked_join, std::nullopt);
}

bool ClassicMembers::ElectLeader() {
  const ClassicMember* leader = Find(leader_);
  if (leader != nullptr && leader->parked_join.has_value()) return true;
  for (const auto& [id, member] : members_) {
    if (!member->parked_join.has_value()) continue;
    leader_ = member->id;
    return true;
  }
  return false;
}

bool ClassicMembers::OfferOneOf(const std::vector<ClassicProtocol>& protocols) const {
  return std::any_of(protocols.begin(), protocols.end(), [this](const ClassicProtocol& protocol) {
    const auto at = supporters_.find(protocol.name);
    return (at == supporters_.end() ? 0 : at->second) == members_.size();
  });
}

std::string ClassicMembers::SelectProtocol() const {
  CHECK(!members_.empty());
  std::map<std::string_view, size_t> votes;
  for (const auto& [name, supporters] : supporters_) {
    if (supporters == members_.size()) votes.emplace(name, 0);
  }
  CHECK(!votes.empty()) << "no protocol that all members offer";
  if (votes.size() == 1) return std::string(votes.begin()->first);
  for (const auto& [id, member] : members_) {
    for (const ClassicProtocol& wanted : member->terms.protocols) {
      const auto candidate = votes.find(wanted.name);
      if (candidate == votes.end()) continue;
      ++candidate->second;
      break;
    }
  }
  const auto best = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::string(best->first);
}

int32_t ClassicMembers::rebalance_ms() const {
  int32_t longest = 0;
  for (const auto& [id, member] : members_) {
    longest = std::max(longest, member->terms.rebalance_ms);
  }
  return longest;
}

void ClassicMembers::Count(const ClassicTerms& terms, int by) {
  for (const ClassicProtocol& protocol : terms.protocols) {
    const auto at = supporters_.try_emplace(protocol.name, 0).first;
    at->second += by;
    if (at->second == 0) supporters_.erase(at);
  }
}

}  // namespace sluice::broker
