#pragma once
// AdminService: the gRPC door of the admin service. It turns each call into one of Handlers and the
// outcome into a gRPC status.
//
// Thread rule: called by gRPC on its threads. Stop from the owner before the server stops: it ends
// the calls that still wait, without which the server would wait for them.

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "admin/handlers.h"
#include "proto/admin.grpc.pb.h"

namespace sluice::admin {

class AdminService final : public Admin::CallbackService {
 public:
  explicit AdminService(Handlers& handlers) : handlers_(handlers) {}
  ~AdminService() override { Stop(); }

  // Ends all calls that wait with UNAVAILABLE, and each later one at once.
  void Stop();

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* CreateTopic(Context*, const CreateTopicRequest*, CreateTopicResponse*) override;
  Reactor* DeleteTopic(Context*, const DeleteTopicRequest*, DeleteTopicResponse*) override;
  Reactor* ListTopics(Context*, const ListTopicsRequest*, ListTopicsResponse*) override;
  Reactor* DescribeTopic(Context*, const DescribeTopicRequest*, DescribeTopicResponse*) override;
  Reactor* AddPartitions(Context*, const AddPartitionsRequest*, AddPartitionsResponse*) override;
  Reactor* AlterTopicConfig(Context*, const AlterTopicConfigRequest*,
                            AlterTopicConfigResponse*) override;
  Reactor* DescribeTopicConfig(Context*, const DescribeTopicConfigRequest*,
                               DescribeTopicConfigResponse*) override;
  Reactor* DeleteRecords(Context*, const DeleteRecordsRequest*, DeleteRecordsResponse*) override;
  Reactor* DescribeCluster(Context*, const DescribeClusterRequest*,
                           DescribeClusterResponse*) override;
  Reactor* ListPartitions(Context*, const ListPartitionsRequest*, ListPartitionsResponse*) override;
  Reactor* MovePartitions(Context*, const MovePartitionsRequest*, MovePartitionsResponse*) override;
  Reactor* CancelMoves(Context*, const CancelMovesRequest*, CancelMovesResponse*) override;
  Reactor* ElectLeaders(Context*, const ElectLeadersRequest*, ElectLeadersResponse*) override;
  Reactor* PlanRebalance(Context*, const PlanRebalanceRequest*, PlanRebalanceResponse*) override;
  Reactor* ListBrokers(Context*, const ListBrokersRequest*, ListBrokersResponse*) override;
  Reactor* ListReplicas(Context*, const ListReplicasRequest*, ListReplicasResponse*) override;
  Reactor* DrainBroker(Context*, const DrainBrokerRequest*, DrainBrokerResponse*) override;
  Reactor* UndrainBroker(Context*, const UndrainBrokerRequest*, UndrainBrokerResponse*) override;
  Reactor* DecommissionBroker(Context*, const DecommissionBrokerRequest*,
                              DecommissionBrokerResponse*) override;
  Reactor* CancelDecommission(Context*, const CancelDecommissionRequest*,
                              CancelDecommissionResponse*) override;
  Reactor* CanStopBroker(Context*, const CanStopBrokerRequest*, CanStopBrokerResponse*) override;
  Reactor* ClusterHealth(Context*, const ClusterHealthRequest*, ClusterHealthResponse*) override;
  Reactor* ListOffsets(Context*, const ListOffsetsRequest*, ListOffsetsResponse*) override;
  Reactor* ListGroups(Context*, const ListGroupsRequest*, ListGroupsResponse*) override;
  Reactor* DescribeGroup(Context*, const DescribeGroupRequest*, DescribeGroupResponse*) override;
  Reactor* GroupLag(Context*, const GroupLagRequest*, GroupLagResponse*) override;
  Reactor* ExplainGroup(Context*, const ExplainGroupRequest*, ExplainGroupResponse*) override;
  Reactor* DeleteGroup(Context*, const DeleteGroupRequest*, DeleteGroupResponse*) override;
  Reactor* GetGroupOffsets(Context*, const GetGroupOffsetsRequest*,
                           GetGroupOffsetsResponse*) override;
  Reactor* ResetGroupOffsets(Context*, const ResetGroupOffsetsRequest*,
                             ResetGroupOffsetsResponse*) override;
  Reactor* DescribeNode(Context*, const DescribeNodeRequest*, DescribeNodeResponse*) override;
  Reactor* DescribeQuorum(Context*, const DescribeQuorumRequest*, DescribeQuorumResponse*) override;
  Reactor* AddController(Context*, const AddControllerRequest*, AddControllerResponse*) override;
  Reactor* PromoteController(Context*, const PromoteControllerRequest*,
                             PromoteControllerResponse*) override;
  Reactor* RemoveController(Context*, const RemoveControllerRequest*,
                            RemoveControllerResponse*) override;
  Reactor* TransferController(Context*, const TransferControllerRequest*,
                              TransferControllerResponse*) override;

 private:
  // One call under way; whoever takes it out of the set finishes it.
  struct Call {
    Reactor* reactor = nullptr;
  };

  template <typename Request, typename Response>
  Reactor* Run(void (Handlers::*method)(Request, int64_t, Done<Response>), Context* context,
               const Request* request, Response* response);
  // False when somebody else finishes it or has.
  bool Take(const std::shared_ptr<Call>& call);

  Handlers& handlers_;
  std::mutex mutex_;  // guards all below; never held while calling out
  std::set<std::shared_ptr<Call>> calls_;
  bool stopped_ = false;
};

}  // namespace sluice::admin
