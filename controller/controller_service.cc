#include "controller/controller_service.h"

#include "proto/controller.grpc.pb.h"

namespace sluice::controller {

namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

class ControllerService final : public Controller::CallbackService {
 public:
  ControllerService(ServiceDoor& door, MetadataController& controller)
      : door_(door), controller_(controller) {}

  Reactor* RegisterBroker(Context* context, const RegisterBrokerRequest* request,
                          RegisterBrokerResponse* response) override {
    return Run(context, &MetadataController::RegisterBroker, request, response);
  }
  Reactor* Heartbeat(Context* context, const HeartbeatRequest* request,
                     HeartbeatResponse* response) override {
    return Run(context, &MetadataController::Heartbeat, request, response);
  }
  Reactor* AlterPartition(Context* context, const AlterPartitionRequest* request,
                          AlterPartitionResponse* response) override {
    return Run(context, &MetadataController::AlterPartition, request, response);
  }
  Reactor* AssignReplicasToDirs(Context* context, const AssignReplicasToDirsRequest* request,
                                AssignReplicasToDirsResponse* response) override {
    return Run(context, &MetadataController::AssignReplicasToDirs, request, response);
  }
  Reactor* AllocateProducerIds(Context* context, const AllocateProducerIdsRequest* request,
                               AllocateProducerIdsResponse* response) override {
    return Run(context, &MetadataController::AllocateProducerIds, request, response);
  }
  Reactor* CreateTopics(Context* context, const CreateTopicsRequest* request,
                        CreateTopicsResponse* response) override {
    return Run(context, &MetadataController::CreateTopics, request, response);
  }
  Reactor* DeleteTopics(Context* context, const DeleteTopicsRequest* request,
                        DeleteTopicsResponse* response) override {
    return Run(context, &MetadataController::DeleteTopics, request, response);
  }
  Reactor* CreatePartitions(Context* context, const CreatePartitionsRequest* request,
                            CreatePartitionsResponse* response) override {
    return Run(context, &MetadataController::CreatePartitions, request, response);
  }
  Reactor* AlterConfigs(Context* context, const AlterConfigsRequest* request,
                        AlterConfigsResponse* response) override {
    return Run(context, &MetadataController::AlterConfigs, request, response);
  }
  Reactor* AlterPartitionReassignments(Context* context,
                                       const AlterPartitionReassignmentsRequest* request,
                                       AlterPartitionReassignmentsResponse* response) override {
    return Run(context, &MetadataController::AlterPartitionReassignments, request, response);
  }
  Reactor* ElectLeaders(Context* context, const ElectLeadersRequest* request,
                        ElectLeadersResponse* response) override {
    return Run(context, &MetadataController::ElectLeaders, request, response);
  }
  Reactor* ChangeBroker(Context* context, const ChangeBrokerRequest* request,
                        ChangeBrokerResponse* response) override {
    return Run(context, &MetadataController::ChangeBroker, request, response);
  }
  Reactor* UnregisterBroker(Context* context, const UnregisterBrokerRequest* request,
                            UnregisterBrokerResponse* response) override {
    return Run(context, &MetadataController::UnregisterBroker, request, response);
  }
  Reactor* DescribeQuorum(Context* context, const DescribeQuorumRequest* request,
                          DescribeQuorumResponse* response) override {
    return Run(context, &MetadataController::DescribeQuorum, request, response);
  }
  Reactor* ChangeQuorum(Context* context, const ChangeQuorumRequest* request,
                        ChangeQuorumResponse* response) override {
    return Run(context, &MetadataController::ChangeQuorum, request, response);
  }
  Reactor* TransferController(Context* context, const TransferControllerRequest* request,
                              TransferControllerResponse* response) override {
    return Run(context, &MetadataController::TransferController, request, response);
  }

 private:
  template <typename Request, typename Response>
  using Method = void (MetadataController::*)(const Request&, std::function<void(Response)>);

  // gRPC keeps request and response until Finish.
  template <typename Request, typename Response>
  Reactor* Run(Context* context, Method<Request, Response> method, const Request* request,
               Response* response) {
    Reactor* reactor = context->DefaultReactor();
    const bool posted = door_.Post([this, method, request, response, reactor] {
      (controller_.*method)(*request, [response, reactor](Response answer) {
        *response = std::move(answer);
        reactor->Finish(grpc::Status::OK);
      });
    });
    if (!posted)
      reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the controller is stopping"));
    return reactor;
  }

  ServiceDoor& door_;
  MetadataController& controller_;
};

}  // namespace

std::shared_ptr<grpc::Service> NewControllerService(ServiceDoor& door,
                                                    MetadataController& controller) {
  return std::make_shared<ControllerService>(door, controller);
}

}  // namespace sluice::controller
