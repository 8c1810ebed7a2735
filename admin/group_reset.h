#pragma once
// ResetGroupOffsets: moves the committed offsets of a group without members. What would change is
// worked out first, from the group's coordinator and the partitions' leaders; only then, and only
// when asked to, the coordinator writes it. The coordinator refuses when members have come
// meanwhile.
//
// Thread rule: as Backend's callbacks; PlanChange from anywhere.

#include <optional>

#include "admin/backend.h"

namespace sluice::admin {

// REQUIRES: request.to_case() is set, and the request is not for the coordinator itself.
void ResetOffsets(Backend& backend, ResetGroupOffsetsRequest request, int64_t timeout_ms,
                  Done<ResetGroupOffsetsResponse> done);

// What becomes of one partition. `other`: where another group is, for `group`, null when it has
// nothing there.
OffsetChange PlanChange(const ResetGroupOffsetsRequest& request, const PartitionOffsets& ends,
                        const GroupOffset& before, const GroupOffset* other);

// Why the group's offsets may not be changed now; OK when they may.
Status CheckNoMembers(const Group& group);

}  // namespace sluice::admin
