#pragma once
// LocalBroker: what the node's own broker does for the admin service: the groups that it
// coordinates and the partitions that it leads, without asking another node. The composition root
// implements it (cli/node_groups.h).
//
// Thread rule: call from any thread; `done` runs once, on an unspecified thread that must not be
// blocked.

#include "admin/backend.h"

namespace sluice::admin {

class LocalBroker {
 public:
  virtual ~LocalBroker() = default;

  // As Backend's.
  virtual void ListOffsets(ListOffsetsRequest request, int64_t timeout_ms,
                           Done<ListOffsetsResponse> done) = 0;
  virtual void ListGroups(ListGroupsRequest request, int64_t timeout_ms,
                          Done<ListGroupsResponse> done) = 0;
  virtual void DescribeGroup(DescribeGroupRequest request, int64_t timeout_ms,
                             Done<DescribeGroupResponse> done) = 0;
  virtual void DeleteGroup(DeleteGroupRequest request, int64_t timeout_ms,
                           Done<DeleteGroupResponse> done) = 0;
  virtual void GetGroupOffsets(GetGroupOffsetsRequest request, int64_t timeout_ms,
                               Done<GetGroupOffsetsResponse> done) = 0;
  virtual void ResetGroupOffsets(ResetGroupOffsetsRequest request, int64_t timeout_ms,
                                 Done<ResetGroupOffsetsResponse> done) = 0;
};

}  // namespace sluice::admin
