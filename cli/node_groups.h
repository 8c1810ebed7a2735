#pragma once
// NodeGroups: what the node's broker does for the admin service (admin::LocalBroker): the calls of
// proto/admin.proto become requests to the group coordinator and look-ups of offsets, and their
// answers the admin service's.
//
// Thread rule: as admin::LocalBroker.

#include <functional>
#include <string>

#include "admin/local_broker.h"
#include "broker/broker.h"
#include "broker/group/group_types.h"

namespace sluice::cli {

class NodeGroups final : public admin::LocalBroker {
 public:
  // `broker`: null until it is in service.
  NodeGroups(NodeId node_id, std::function<broker::Broker*()> broker)
      : node_id_(node_id), broker_(std::move(broker)) {}

  void ListOffsets(admin::ListOffsetsRequest request, int64_t timeout_ms,
                   admin::Done<admin::ListOffsetsResponse> done) override;
  void ListGroups(admin::ListGroupsRequest request, int64_t timeout_ms,
                  admin::Done<admin::ListGroupsResponse> done) override;
  void DescribeGroup(admin::DescribeGroupRequest request, int64_t timeout_ms,
                     admin::Done<admin::DescribeGroupResponse> done) override;
  void DeleteGroup(admin::DeleteGroupRequest request, int64_t timeout_ms,
                   admin::Done<admin::DeleteGroupResponse> done) override;
  void GetGroupOffsets(admin::GetGroupOffsetsRequest request, int64_t timeout_ms,
                       admin::Done<admin::GetGroupOffsetsResponse> done) override;
  void ResetGroupOffsets(admin::ResetGroupOffsetsRequest request, int64_t timeout_ms,
                         admin::Done<admin::ResetGroupOffsetsResponse> done) override;

 private:
  // Asks the coordinator of this node; `then` gets the answer as `Answer`, one of GroupResponse.
  template <typename Answer, typename Response, typename Then>
  void Ask(broker::GroupRequest request, const admin::Done<Response>& done, Then then);
  void DescribeClassic(const std::string& group,
                       const admin::Done<admin::DescribeGroupResponse>& done);

  // What only the coordinator's memory knows of it.
  void AddStanding(admin::Group group, const admin::Done<admin::DescribeGroupResponse>& done);

  const NodeId node_id_;
  const std::function<broker::Broker*()> broker_;
};

// Which node leads the partition of __consumer_offsets that keeps the group.
Result<NodeId> CoordinatorOf(const metadata::Image& image, const std::string& group);

}  // namespace sluice::cli
