#pragma once
// A classic group as __consumer_offsets keeps it (group_records.h has the bytes), and what a
// coordinator takes from it.
//
// Thread rule: pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "broker/group/classic_members.h"
#include "broker/group/group_records.h"

namespace sluice::broker {

// What outlives a coordinator of a classic group, besides its members.
struct ClassicGroupFacts {
  std::string protocol_type;            // empty: no member has joined yet
  std::optional<std::string> protocol;  // that the members agreed on
  int32_t generation = 0;
  int64_t state_since_ms = -1;  // wall time; -1: not known
};

GroupRecord ClassicGroupRecord(const std::string& group_id, const ClassicGroupFacts& facts,
                               const ClassicMembers& members);
GroupRecord ClassicGroupTombstone(const std::string& group_id);
// Where the record is in the view.
std::string ClassicGroupKey(const std::string& group_id);

// Fails on a value that is none, or contradicts itself; `facts` and `members` are then half filled.
// `members` must be empty.
Status ParseClassicGroup(std::string_view value, ClassicGroupFacts& facts, ClassicMembers& members);

}  // namespace sluice::broker
