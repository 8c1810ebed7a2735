#pragma once
// NodeBackend: Backend for a real node, put together by the composition root from the node's parts,
// which admin/ must not know.
//
// Thread rule: as Backend. Stop from the owner, before the parts go; afterwards no callback runs.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "admin/backend.h"
#include "admin/local_broker.h"
#include "base/event_loop.h"
#include "base/random.h"
#include "proto/admin.grpc.pb.h"
#include "rpc/gate.h"
#include "rpc/leader_client.h"

namespace sluice::admin {

struct NodeBackendOptions {
  NodeId node_id = kNoNode;
  std::string cluster_id;
  Uuid directory_id;  // of the first log directory
  Uuid disk_id;       // under which its controller votes; directory_id where it is none
  const ConfigValues* config = nullptr;       // none of these is owned; all outlive the backend
  EventLoop* loop = nullptr;                  // timers and the controller's answers
  metadata::ControllerAddresses controllers;  // as configured; at least one
  std::string controller_address;             // of this node; empty when it is none
  std::function<metadata::ImagePtr()> image;
  std::function<bool()> knows_cluster;
  std::function<void(LogIndex, std::function<void()>)> when_applied;
  std::function<Readiness()> ready;
  std::function<std::vector<LocalPartition>()> partitions;  // empty on a node without a broker
  std::function<std::vector<LocalDirectory>()> directories;
  std::function<void(const DeleteRecordsRequest&, int64_t timeout_ms, Done<DeleteRecordsResponse>)>
      delete_records;             // empty on such a node; of a partition that this node leads
  LocalBroker* broker = nullptr;  // likewise null
  // As Backend::CoordinatorOf, by the image.
  std::function<Result<NodeId>(const std::string& group)> coordinator_of;
  std::function<std::optional<LocalController>()>
      controller;  // empty on a node without a controller
  std::function<std::optional<int64_t>()> controller_heard_ms_ago;  // as Backend's
};

class NodeBackend final : public Backend {
 public:
  NodeBackend(NodeBackendOptions options, Random random);
  ~NodeBackend() override;

  NodeId node_id() const override { return options_.node_id; }
  NodeIdentity Identity() const override {
    return {options_.cluster_id, options_.node_id, options_.disk_id, options_.controller_address};
  }
  const Clock& clock() const override { return options_.loop->clock(); }
  void RunAfter(int64_t delay_ms, std::function<void()> task) override;
  const ConfigValues& config() const override { return *options_.config; }
  metadata::ImagePtr Image() const override { return options_.image(); }
  bool KnowsCluster() const override { return options_.knows_cluster(); }
  void WhenApplied(LogIndex index, int64_t timeout_ms, std::function<void(bool)> done) override;
  Readiness Ready() const override { return options_.ready(); }
  std::vector<LocalPartition> Partitions() const override;
  std::vector<LocalDirectory> Directories() const override;
  std::optional<LocalController> Controller() const override;
  std::optional<int64_t> ControllerHeardMsAgo() const override {
    return options_.controller_heard_ms_ago();
  }

  void CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                    Done<controller::CreateTopicsResponse> done) override;
  void DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                    Done<controller::DeleteTopicsResponse> done) override;
  void CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                        Done<controller::CreatePartitionsResponse> done) override;
  void AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                    Done<controller::AlterConfigsResponse> done) override;
  void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
      Done<controller::AlterPartitionReassignmentsResponse> done) override;
  void ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                    Done<controller::ElectLeadersResponse> done) override;
  void ChangeBroker(controller::ChangeBrokerRequest request, int64_t timeout_ms,
                    Done<controller::ChangeBrokerResponse> done) override;
  void DeleteRecords(NodeId leader, DeleteRecordsRequest request, int64_t timeout_ms,
                     Done<DeleteRecordsResponse> done) override;
  void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                      Done<controller::DescribeQuorumResponse> done) override;
  void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                    Done<controller::ChangeQuorumResponse> done) override;
  void TransferController(controller::TransferControllerRequest request, int64_t timeout_ms,
                          Done<controller::TransferControllerResponse> done) override;

  Result<NodeId> CoordinatorOf(const std::string& group) const override {
    return options_.coordinator_of(group);
  }
  void ListOffsets(NodeId node, ListOffsetsRequest request, int64_t timeout_ms,
                   Done<ListOffsetsResponse> done) override;
  void ListGroups(NodeId node, ListGroupsRequest request, int64_t timeout_ms,
                  Done<ListGroupsResponse> done) override;
  void DescribeGroup(NodeId node, DescribeGroupRequest request, int64_t timeout_ms,
                     Done<DescribeGroupResponse> done) override;
  void DeleteGroup(NodeId node, DeleteGroupRequest request, int64_t timeout_ms,
                   Done<DeleteGroupResponse> done) override;
  void GetGroupOffsets(NodeId node, GetGroupOffsetsRequest request, int64_t timeout_ms,
                       Done<GetGroupOffsetsResponse> done) override;
  void ResetGroupOffsets(NodeId node, ResetGroupOffsetsRequest request, int64_t timeout_ms,
                         Done<ResetGroupOffsetsResponse> done) override;

  void ListReplicas(NodeId node, ListReplicasRequest request, int64_t timeout_ms,
                    Done<ListReplicasResponse> done) override;

  void Stop();

 private:
  template <typename Request, typename Response>
  void Send(rpc::LeaderClient::Method<Request, Response> method, Request request,
            int64_t timeout_ms, Done<Response> done);
  std::string NewRequestId();
  using AdminStub = Admin::StubInterface::async_interface;
  template <typename Request, typename Response>
  using RemoteMethod = void (AdminStub::*)(grpc::ClientContext*, const Request*, Response*,
                                           std::function<void(grpc::Status)>);
  template <typename Request, typename Response>
  using LocalMethod = void (LocalBroker::*)(Request, int64_t, Done<Response>);
  // To the admin service of another node.
  template <typename Request, typename Response>
  void Forward(NodeId node, RemoteMethod<Request, Response> method, Request request,
               int64_t timeout_ms, Done<Response> done);
  // To the own broker, or to another node.
  template <typename Request, typename Response>
  struct Route {
    LocalMethod<Request, Response> local;
    RemoteMethod<Request, Response> remote;
  };
  template <typename Request, typename Response>
  void Pass(NodeId node, Route<Request, Response> route, Request request, int64_t timeout_ms,
            Done<Response> done);

  NodeBackendOptions options_;
  std::shared_ptr<rpc::Gate> gate_ = std::make_shared<rpc::Gate>();
  std::mutex mutex_;  // guards random_
  Random random_;
  rpc::LeaderClient leader_;
};

}  // namespace sluice::admin
