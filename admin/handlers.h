#pragma once
// Handlers: the methods of the admin service, the same for gRPC and JSON. What changes the cluster
// goes to the active controller and is answered once this node has applied it; what only describes
// is answered from this node's image.
//
// Thread rule: call from any thread; `done` runs once, on the calling thread or on the backend's.

#include <functional>

#include "admin/backend.h"
#include "admin/describe.h"
#include "proto/admin.pb.h"

namespace sluice::admin {

class Handlers {
 public:
  explicit Handlers(Backend& backend) : backend_(backend) {}

  void CreateTopic(CreateTopicRequest request, int64_t timeout_ms, Done<CreateTopicResponse> done);
  void DeleteTopic(DeleteTopicRequest request, int64_t timeout_ms, Done<DeleteTopicResponse> done);
  void ListTopics(ListTopicsRequest request, int64_t timeout_ms, Done<ListTopicsResponse> done);
  void DescribeTopic(DescribeTopicRequest request, int64_t timeout_ms,
                     Done<DescribeTopicResponse> done);
  void AddPartitions(AddPartitionsRequest request, int64_t timeout_ms,
                     Done<AddPartitionsResponse> done);
  void AlterTopicConfig(AlterTopicConfigRequest request, int64_t timeout_ms,
                        Done<AlterTopicConfigResponse> done);
  void DescribeTopicConfig(DescribeTopicConfigRequest request, int64_t timeout_ms,
                           Done<DescribeTopicConfigResponse> done);
  // Done by the partition's leader, wherever that is.
  void DeleteRecords(DeleteRecordsRequest request, int64_t timeout_ms,
                     Done<DeleteRecordsResponse> done);
  void DescribeCluster(DescribeClusterRequest request, int64_t timeout_ms,
                       Done<DescribeClusterResponse> done);
  void ListPartitions(ListPartitionsRequest request, int64_t timeout_ms,
                      Done<ListPartitionsResponse> done);
  void ClusterHealth(ClusterHealthRequest request, int64_t timeout_ms,
                     Done<ClusterHealthResponse> done);

  // --- Moves and elections (admin/partition_handlers.cc) ---
  void MovePartitions(MovePartitionsRequest request, int64_t timeout_ms,
                      Done<MovePartitionsResponse> done);
  void CancelMoves(CancelMovesRequest request, int64_t timeout_ms, Done<CancelMovesResponse> done);
  void ElectLeaders(ElectLeadersRequest request, int64_t timeout_ms,
                    Done<ElectLeadersResponse> done);

  // --- Brokers (admin/broker_handlers.cc, admin/rebalance_handlers.cc) ---
  void PlanRebalance(PlanRebalanceRequest request, int64_t timeout_ms,
                     Done<PlanRebalanceResponse> done);
  void ListBrokers(ListBrokersRequest request, int64_t timeout_ms, Done<ListBrokersResponse> done);
  void ListReplicas(ListReplicasRequest request, int64_t timeout_ms,
                    Done<ListReplicasResponse> done);
  void DrainBroker(DrainBrokerRequest request, int64_t timeout_ms, Done<DrainBrokerResponse> done);
  void UndrainBroker(UndrainBrokerRequest request, int64_t timeout_ms,
                     Done<UndrainBrokerResponse> done);
  void DecommissionBroker(DecommissionBrokerRequest request, int64_t timeout_ms,
                          Done<DecommissionBrokerResponse> done);
  void CancelDecommission(CancelDecommissionRequest request, int64_t timeout_ms,
                          Done<CancelDecommissionResponse> done);
  void CanStopBroker(CanStopBrokerRequest request, int64_t timeout_ms,
                     Done<CanStopBrokerResponse> done);

  // --- Groups and offsets (admin/group_handlers.cc): by the coordinators and leaders, wherever
  // they are ---
  void ListOffsets(ListOffsetsRequest request, int64_t timeout_ms, Done<ListOffsetsResponse> done);
  void ListGroups(ListGroupsRequest request, int64_t timeout_ms, Done<ListGroupsResponse> done);
  void DescribeGroup(DescribeGroupRequest request, int64_t timeout_ms,
                     Done<DescribeGroupResponse> done);
  void GroupLag(GroupLagRequest request, int64_t timeout_ms, Done<GroupLagResponse> done);
  void ExplainGroup(ExplainGroupRequest request, int64_t timeout_ms,
                    Done<ExplainGroupResponse> done);
  void DeleteGroup(DeleteGroupRequest request, int64_t timeout_ms, Done<DeleteGroupResponse> done);
  void GetGroupOffsets(GetGroupOffsetsRequest request, int64_t timeout_ms,
                       Done<GetGroupOffsetsResponse> done);
  void ResetGroupOffsets(ResetGroupOffsetsRequest request, int64_t timeout_ms,
                         Done<ResetGroupOffsetsResponse> done);

  // --- The controllers' quorum (admin/quorum_handlers.cc) ---
  void DescribeNode(DescribeNodeRequest request, int64_t timeout_ms,
                    Done<DescribeNodeResponse> done);
  void DescribeQuorum(DescribeQuorumRequest request, int64_t timeout_ms,
                      Done<DescribeQuorumResponse> done);
  void AddController(AddControllerRequest request, int64_t timeout_ms,
                     Done<AddControllerResponse> done);
  void PromoteController(PromoteControllerRequest request, int64_t timeout_ms,
                         Done<PromoteControllerResponse> done);
  void RemoveController(RemoveControllerRequest request, int64_t timeout_ms,
                        Done<RemoveControllerResponse> done);
  void TransferController(TransferControllerRequest request, int64_t timeout_ms,
                          Done<TransferControllerResponse> done);

 private:
  // kUnavailable while it may lack what the cluster has: it would deny topics that exist.
  Result<metadata::ImagePtr> KnownImage() const;
  // Waits until this node has applied `index`, then answers with what `describe` makes of its
  // image.
  template <typename Response>
  void AnswerWhenApplied(int64_t index, int64_t timeout_ms, Done<Response> done,
                         std::function<Result<Response>(const metadata::Image&)> describe);
  // Answers with what `describe` makes of this node's image, and says so where no controller is
  // active.
  template <typename Response>
  void AnswerFromImage(int64_t timeout_ms, Done<Response> done,
                       std::function<Result<Response>(const metadata::Image&)> describe);
  // What this node's image is worth when no controller is active.
  Remembered WhatIsRemembered(const metadata::Image& image) const;
  // Of moves and elections, with the partitions as they then are.
  template <typename Outcomes, typename Response>
  void AnswerOutcomes(const Result<Outcomes>& outcomes, bool changes, int64_t timeout_ms,
                      Done<Response> done);
  template <typename Response>
  void ChangeBroker(controller::ChangeBrokerRequest change, int64_t timeout_ms,
                    Done<Response> done);
  template <typename Response>
  void ChangeQuorum(controller::ChangeQuorumRequest change, int64_t timeout_ms,
                    Done<Response> done);
  // Asks the active controller about the quorum; null when none answers soon.
  void WithQuorum(int64_t timeout_ms, std::function<void(const QuorumAnswer*)> use);

  Backend& backend_;
};

template <typename Response>
void Handlers::AnswerWhenApplied(int64_t index, int64_t timeout_ms, Done<Response> done,
                                 std::function<Result<Response>(const metadata::Image&)> describe) {
  backend_.WhenApplied(LogIndex(index), timeout_ms, [this, index, done, describe](bool applied) {
    if (!applied) {
      return done(Status::Timeout(
          "the change is made, but node " + std::to_string(backend_.node_id().value()) +
          " has not applied metadata index " + std::to_string(index) + " yet"));
    }
    done(describe(*backend_.Image()));
  });
}

template <typename Response>
void Handlers::AnswerFromImage(int64_t timeout_ms, Done<Response> done,
                               std::function<Result<Response>(const metadata::Image&)> describe) {
  WithQuorum(timeout_ms, [this, done, describe](const QuorumAnswer* quorum) {
    const Result<metadata::ImagePtr> image = KnownImage();
    if (!image.ok()) return done(image.status());
    Result<Response> response = describe(**image);
    if (response.ok() && quorum == nullptr)
      *response->mutable_remembered() = WhatIsRemembered(**image);
    done(std::move(response));
  });
}

}  // namespace sluice::admin
