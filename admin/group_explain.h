#pragma once
// ExplainGroup: why a group is as it is, in words, from what its coordinator knows of it and from
// its lag: what it waits for and since when, what its last rebalance was about, who is silent,
// where the lag grows and who has those partitions.
//
// Thread rule: pure functions.

#include <cstdint>
#include <string>

#include "admin/group_lag.h"

namespace sluice::admin {

ExplainGroupResponse ExplainInWords(const GroupAndLag& found, int64_t wall_ms);

// "4.1 s", "3 min", "2 h", "5 d": as exact as a person wants it.
std::string DurationInWords(int64_t duration_ms);
// "'billing-1' at /10.0.0.7 (billing-1-6f3e...)".
std::string MemberInWords(const GroupMember& member);

}  // namespace sluice::admin
