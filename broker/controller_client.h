#pragma once
// ControllerClient: the broker's calls to the active controller. Implementations find the leader,
// follow its hints and retry until the deadline; the answer's Outcome is never NOT_CONTROLLER.
// broker/controller_client_grpc.h is the real one; tests give their own.
//
// Thread rule: call from any thread; `done` runs once, on an unspecified thread that must not be
// blocked.

#include <functional>

#include "base/status.h"
#include "proto/controller.pb.h"

namespace sluice::broker {

class ControllerClient {
 public:
  template <typename Response>
  using Done = std::function<void(Result<Response>)>;

  virtual ~ControllerClient() = default;
  virtual void RegisterBroker(controller::RegisterBrokerRequest request, int64_t timeout_ms,
                              Done<controller::RegisterBrokerResponse> done) = 0;
  virtual void Heartbeat(controller::HeartbeatRequest request, int64_t timeout_ms,
                         Done<controller::HeartbeatResponse> done) = 0;
  // Tried once: without an answer `done` gets an error, and it may be carried out much later.
  virtual void AlterPartition(controller::AlterPartitionRequest request, int64_t timeout_ms,
                              Done<controller::AlterPartitionResponse> done) = 0;
  virtual void AssignReplicasToDirs(controller::AssignReplicasToDirsRequest request,
                                    int64_t timeout_ms,
                                    Done<controller::AssignReplicasToDirsResponse> done) = 0;
  virtual void AllocateProducerIds(controller::AllocateProducerIdsRequest request,
                                   int64_t timeout_ms,
                                   Done<controller::AllocateProducerIdsResponse> done) = 0;
  virtual void CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                            Done<controller::CreateTopicsResponse> done) = 0;
  virtual void DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                            Done<controller::DeleteTopicsResponse> done) = 0;
  virtual void CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                                Done<controller::CreatePartitionsResponse> done) = 0;
  virtual void AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                            Done<controller::AlterConfigsResponse> done) = 0;
  virtual void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
      Done<controller::AlterPartitionReassignmentsResponse> done) = 0;
  virtual void ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                            Done<controller::ElectLeadersResponse> done) = 0;
  virtual void UnregisterBroker(controller::UnregisterBrokerRequest request, int64_t timeout_ms,
                                Done<controller::UnregisterBrokerResponse> done) = 0;
  virtual void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                            Done<controller::ChangeQuorumResponse> done) = 0;
  virtual void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                              Done<controller::DescribeQuorumResponse> done) = 0;
};

}  // namespace sluice::broker
