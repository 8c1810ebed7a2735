#include "broker/controller_client_grpc.h"

#include <utility>

#include "base/uuid.h"
#include "broker/sender.h"

namespace sluice::broker {
GrpcControllerClient::GrpcControllerClient(std::vector<std::string> voters,
                                           const BrokerState& state, EventLoop& loop, Random random,
                                           rpc::ConnectToController connect)
    : state_(state), random_(random), leader_(std::move(voters), loop, std::move(connect)) {}

template <typename Request, typename Response>
void GrpcControllerClient::Send(rpc::LeaderClient::Method<Request, Response> method,
                                Request request, int64_t timeout_ms, Done<Response> done) {
  // A caller that has more to say about the sender (registration, shutdown) has said it already.
  if (!request.has_sender()) *request.mutable_sender() = MakeSender(state_);
  leader_.Call<Request, Response>(method, std::move(request), rpc::CallOptions::Within(timeout_ms),
                                  std::move(done));
}

template <typename Request>
void GrpcControllerClient::AddRequestId(Request& request) {
  if (!request.request_id().empty()) return;
  std::lock_guard lock(mutex_);
  request.set_request_id(std::string(Uuid::Generate(random_).view()));
}

void GrpcControllerClient::RegisterBroker(controller::RegisterBrokerRequest request,
                                          int64_t timeout_ms,
                                          Done<controller::RegisterBrokerResponse> done) {
  Send(&rpc::ControllerStub::RegisterBroker, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::Heartbeat(controller::HeartbeatRequest request, int64_t timeout_ms,
                                     Done<controller::HeartbeatResponse> done) {
  Send(&rpc::ControllerStub::Heartbeat, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::AlterPartition(controller::AlterPartitionRequest request,
                                          int64_t timeout_ms,
                                          Done<controller::AlterPartitionResponse> done) {
  if (!request.has_sender()) *request.mutable_sender() = MakeSender(state_);
  rpc::CallOptions options = rpc::CallOptions::Within(timeout_ms);
  options.unanswered_ends = true;
  leader_.Call<controller::AlterPartitionRequest, controller::AlterPartitionResponse>(
      &rpc::ControllerStub::AlterPartition, std::move(request), options, std::move(done));
}

void GrpcControllerClient::AssignReplicasToDirs(
    controller::AssignReplicasToDirsRequest request, int64_t timeout_ms,
    Done<controller::AssignReplicasToDirsResponse> done) {
  Send(&rpc::ControllerStub::AssignReplicasToDirs, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::AllocateProducerIds(controller::AllocateProducerIdsRequest request,
                                               int64_t timeout_ms,
                                               Done<controller::AllocateProducerIdsResponse> done) {
  Send(&rpc::ControllerStub::AllocateProducerIds, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                                        Done<controller::CreateTopicsResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::CreateTopics, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                                        Done<controller::DeleteTopicsResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::DeleteTopics, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::CreatePartitions(controller::CreatePartitionsRequest request,
                                            int64_t timeout_ms,
                                            Done<controller::CreatePartitionsResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::CreatePartitions, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                                        Done<controller::AlterConfigsResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::AlterConfigs, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::AlterPartitionReassignments(
    controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
    Done<controller::AlterPartitionReassignmentsResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::AlterPartitionReassignments, std::move(request), timeout_ms,
       std::move(done));
}

void GrpcControllerClient::ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                                        Done<controller::ElectLeadersResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::ElectLeaders, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::UnregisterBroker(controller::UnregisterBrokerRequest request,
                                            int64_t timeout_ms,
                                            Done<controller::UnregisterBrokerResponse> done) {
  AddRequestId(request);
  Send(&rpc::ControllerStub::UnregisterBroker, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                                        Done<controller::ChangeQuorumResponse> done) {
  Send(&rpc::ControllerStub::ChangeQuorum, std::move(request), timeout_ms, std::move(done));
}

void GrpcControllerClient::DescribeQuorum(controller::DescribeQuorumRequest request,
                                          int64_t timeout_ms,
                                          Done<controller::DescribeQuorumResponse> done) {
  Send(&rpc::ControllerStub::DescribeQuorum, std::move(request), timeout_ms, std::move(done));
}

}  // namespace sluice::broker
