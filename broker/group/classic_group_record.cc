#include "broker/group/classic_group_record.h"

#include <algorithm>
#include <utility>

namespace sluice::broker {
namespace {

kafka::GroupMetadataKey KeyOf(const std::string& group_id) {
  kafka::GroupMetadataKey key;
  key.group = group_id;
  return key;
}

// GroupShard lets nothing in that is too long for a record, and the group makes no such member ids.
GroupRecord Encoded(Result<GroupRecord> record) {
  CHECK(record.ok()) << record.status().ToString();
  return *std::move(record);
}

}  // namespace

GroupRecord ClassicGroupRecord(const std::string& group_id, const ClassicGroupFacts& facts,
                               const ClassicMembers& members) {
  kafka::GroupMetadataValue value;
  value.protocol_type = facts.protocol_type;
  value.generation = facts.generation;
  value.protocol = facts.protocol;
  if (!members.leader().empty()) value.leader = members.leader();
  value.current_state_timestamp = facts.state_since_ms;
  value.members.reserve(members.size());
  for (const auto& [id, member] : members.all()) {
    auto& kept = value.members.emplace_back();
    kept.member_id = member->id;
    kept.group_instance_id = member->instance_id;
    kept.client_id = member->client_id;
    kept.client_host = member->client_host;
    kept.rebalance_timeout = member->terms.rebalance_ms;
    kept.session_timeout = member->terms.session_ms;
    kept.subscription = member->MetadataOf(facts.protocol.value_or(""));
    kept.assignment = member->assignment;
  }
  return Encoded(EncodeGroupRecord(KeyOf(group_id), value));
}

GroupRecord ClassicGroupTombstone(const std::string& group_id) {
  return Encoded(EncodeGroupTombstone(KeyOf(group_id)));
}

std::string ClassicGroupKey(const std::string& group_id) {
  return ClassicGroupTombstone(group_id).key;
}

Status ParseClassicGroup(std::string_view value, ClassicGroupFacts& facts,
                         ClassicMembers& members) {
  SLUICE_ASSIGN_OR_RETURN(kafka::GroupMetadataValue parsed,
                          DecodeGroupValue<kafka::GroupMetadataValue>(value));
  facts.protocol_type = std::move(parsed.protocol_type);
  facts.protocol = std::move(parsed.protocol);
  facts.generation = parsed.generation;
  facts.state_since_ms = parsed.current_state_timestamp;
  for (auto& kept : parsed.members) {
    if (members.Find(kept.member_id) != nullptr ||
        (kept.group_instance_id.has_value() &&
         members.FindStatic(*kept.group_instance_id) != nullptr)) {
      return Status::Corruption("the group's record has the member " + kept.member_id + " twice");
    }
    ClassicMember member;
    member.id = std::move(kept.member_id);
    member.instance_id = std::move(kept.group_instance_id);
    member.client_id = std::move(kept.client_id);
    member.client_host = std::move(kept.client_host);
    member.terms.session_ms = kept.session_timeout;
    // Records of old brokers have no time for rebalances of its own.
    member.terms.rebalance_ms =
        kept.rebalance_timeout < 0 ? kept.session_timeout : kept.rebalance_timeout;
    // Of the protocols that it offered only the one in use was kept.
    member.terms.protocols.push_back({facts.protocol.value_or(""), std::move(kept.subscription)});
    member.assignment = std::move(kept.assignment);
    members.Add(std::move(member));
  }
  if (!parsed.leader.has_value()) {
    members.set_leader("");
  } else if (members.Find(*parsed.leader) != nullptr) {
    members.set_leader(*std::move(parsed.leader));
  }
  return Status::Ok();
}

}  // namespace sluice::broker
