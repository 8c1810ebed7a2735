#pragma once
// GroupLag: how far a group is behind, per partition: what it has committed, from its coordinator,
// against where the log ends and how old the first record is that it has not committed, from the
// partition's leader. With a sample time both are asked for twice, and rates follow from the
// difference.
//
// Thread rule: as Backend's callbacks; the pure functions from anywhere.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "admin/backend.h"

namespace sluice::admin {

// A group and its lag, as one look or two found them.
struct GroupAndLag {
  Group group;
  GroupLagResponse lag;
  std::map<std::string, int> missing_topics;  // with how many members subscribe to each
};

// `sample_ms` as in GroupLagRequest.
void MeasureGroupLag(Backend& backend, const GroupLagRequest& request, int64_t timeout_ms,
                     Done<GroupAndLag> done);

// One look.
struct LagSample {
  int64_t steady_ms = 0;
  int64_t wall_ms = 0;
  std::map<std::pair<std::string, int32_t>, GroupOffset> committed;
  ListOffsetsResponse ends;
};

// `before`: an earlier look, or null.
GroupLagResponse ComputeLag(const Group& group, const LagSample* before, const LagSample& now);

}  // namespace sluice::admin
