#pragma once
// GrpcControllerClient: ControllerClient by gRPC to whichever controller is active. It fills in the
// sender, and gives each mutation a request id, so that an attempt repeated after a failover is
// answered and not carried out twice.
//
// Thread rule: as ControllerClient; `done` runs on the given loop. After Stop no callback runs.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/random.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "rpc/leader_client.h"

namespace sluice::broker {

class GrpcControllerClient final : public ControllerClient {
 public:
  // `voters`: gRPC addresses of the controllers. `state` and `loop` are not owned and outlive the
  // client.
  GrpcControllerClient(std::vector<std::string> voters, const BrokerState& state, EventLoop& loop,
                       Random random, rpc::ConnectToController connect = &rpc::ConnectOverGrpc);

  void RegisterBroker(controller::RegisterBrokerRequest request, int64_t timeout_ms,
                      Done<controller::RegisterBrokerResponse> done) override;
  void Heartbeat(controller::HeartbeatRequest request, int64_t timeout_ms,
                 Done<controller::HeartbeatResponse> done) override;
  void AlterPartition(controller::AlterPartitionRequest request, int64_t timeout_ms,
                      Done<controller::AlterPartitionResponse> done) override;
  void AssignReplicasToDirs(controller::AssignReplicasToDirsRequest request, int64_t timeout_ms,
                            Done<controller::AssignReplicasToDirsResponse> done) override;
  void AllocateProducerIds(controller::AllocateProducerIdsRequest request, int64_t timeout_ms,
                           Done<controller::AllocateProducerIdsResponse> done) override;
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
  void UnregisterBroker(controller::UnregisterBrokerRequest request, int64_t timeout_ms,
                        Done<controller::UnregisterBrokerResponse> done) override;
  void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                    Done<controller::ChangeQuorumResponse> done) override;
  void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                      Done<controller::DescribeQuorumResponse> done) override;

  // The feed says who leads.
  void OnLeader(const std::string& address) { leader_.OnLeader(address); }
  // Other controllers vote from now on.
  void OnVoters(std::vector<std::string> voters) { leader_.OnVoters(std::move(voters)); }
  void Stop() { leader_.Stop(); }

 private:
  template <typename Request, typename Response>
  void Send(rpc::LeaderClient::Method<Request, Response> method, Request request,
            int64_t timeout_ms, Done<Response> done);
  template <typename Request>
  void AddRequestId(Request& request);

  const BrokerState& state_;
  std::mutex mutex_;  // guards random_
  Random random_;
  rpc::LeaderClient leader_;
};

}  // namespace sluice::broker
