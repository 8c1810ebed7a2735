#include "admin/node_backend.h"

#include <atomic>
#include <utility>

#include "admin/errors.h"
#include "base/uuid.h"
#include "rpc/channel.h"

namespace sluice::admin {

NodeBackend::NodeBackend(NodeBackendOptions options, Random random)
    : options_(std::move(options)),
      random_(random),
      leader_(metadata::WhomToAsk(options_.controllers, {}), *options_.loop) {}

NodeBackend::~NodeBackend() { Stop(); }

void NodeBackend::Stop() {
  leader_.Stop();
  gate_->Close();
}

void NodeBackend::WhenApplied(LogIndex index, int64_t timeout_ms, std::function<void(bool)> done) {
  // Whichever comes first tells; the other finds the flag set.
  auto told = std::make_shared<std::atomic<bool>>(false);
  auto tell = [told, done = std::move(done)](bool applied) {
    if (!told->exchange(true)) done(applied);
  };
  options_.when_applied(index, rpc::Guarded(gate_, [tell] { tell(true); }));
  if (!*told) options_.loop->RunAfter(timeout_ms, rpc::Guarded(gate_, [tell] { tell(false); }));
}

void NodeBackend::RunAfter(int64_t delay_ms, std::function<void()> task) {
  options_.loop->RunAfter(delay_ms, rpc::Guarded(gate_, std::move(task)));
}

std::vector<LocalPartition> NodeBackend::Partitions() const {
  return options_.partitions ? options_.partitions() : std::vector<LocalPartition>();
}

std::vector<LocalDirectory> NodeBackend::Directories() const {
  return options_.directories ? options_.directories() : std::vector<LocalDirectory>();
}

std::optional<LocalController> NodeBackend::Controller() const {
  return options_.controller ? options_.controller() : std::nullopt;
}

std::string NodeBackend::NewRequestId() {
  std::lock_guard lock(mutex_);
  return std::string(Uuid::Generate(random_).view());
}

template <typename Request, typename Response>
void NodeBackend::Send(rpc::LeaderClient::Method<Request, Response> method, Request request,
                       int64_t timeout_ms, Done<Response> done) {
  controller::Sender* sender = request.mutable_sender();
  sender->set_cluster_id(options_.cluster_id);
  sender->set_node_id(options_.node_id.value());
  sender->set_directory_id(std::string(options_.directory_id.view()));
  sender->set_broker_epoch(-1);
  sender->set_client("the admin service");
  leader_.OnVoters(metadata::WhomToAsk(
      metadata::AddressesOfControllers(*Image(), options_.controllers), options_.controllers));
  leader_.Call<Request, Response>(method, std::move(request), rpc::CallOptions::Within(timeout_ms),
                                  std::move(done));
}

void NodeBackend::CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                               Done<controller::CreateTopicsResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::CreateTopics, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                               Done<controller::DeleteTopicsResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::DeleteTopics, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                                   Done<controller::CreatePartitionsResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::CreatePartitions, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                               Done<controller::AlterConfigsResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::AlterConfigs, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::AlterPartitionReassignments(
    controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
    Done<controller::AlterPartitionReassignmentsResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::AlterPartitionReassignments, std::move(request), timeout_ms,
       std::move(done));
}

void NodeBackend::ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                               Done<controller::ElectLeadersResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::ElectLeaders, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::ChangeBroker(controller::ChangeBrokerRequest request, int64_t timeout_ms,
                               Done<controller::ChangeBrokerResponse> done) {
  request.set_request_id(NewRequestId());
  Send(&rpc::ControllerStub::ChangeBroker, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::DeleteRecords(NodeId leader, DeleteRecordsRequest request, int64_t timeout_ms,
                                Done<DeleteRecordsResponse> done) {
  if (leader == options_.node_id) {
    if (!options_.delete_records) return done(Status::Unavailable("this node has no broker"));
    return options_.delete_records(request, timeout_ms, std::move(done));
  }
  Forward<DeleteRecordsRequest, DeleteRecordsResponse>(
      leader, &AdminStub::DeleteRecords, std::move(request), timeout_ms, std::move(done));
}

template <typename Request, typename Response>
void NodeBackend::Forward(NodeId node, RemoteMethod<Request, Response> method, Request request,
                          int64_t timeout_ms, Done<Response> done) {
  const metadata::ImagePtr image = Image();
  const metadata::BrokerImage* broker = image->FindBroker(node);
  if (broker == nullptr || broker->grpc_address.empty()) {
    return done(Status::Unavailable("the address of node " + std::to_string(node.value()) +
                                    " is not known"));
  }
  // Rare calls: a connection for each is cheaper than keeping them.
  struct Forwarded {
    std::unique_ptr<Admin::Stub> stub;
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<Forwarded>();
  call->stub = Admin::NewStub(rpc::MakeChannel(broker->grpc_address));
  call->request = std::move(request);
  rpc::SetTimeout(call->context, timeout_ms);
  auto answer = rpc::Guarded(gate_, [call, node, done](const grpc::Status& status) {
    if (status.ok()) return done(std::move(call->response));
    const Status told = FromGrpc(status);
    const bool silent =
        told.code() == StatusCode::kTimeout || told.code() == StatusCode::kUnavailable;
    const std::string who = silent ? "node " + std::to_string(node.value()) + ": " : "";
    done(Status(told.code(), who + told.message()));
  });
  AdminStub* async = call->stub->async();
  (async->*method)(&call->context, &call->request, &call->response,
                   [answer](const grpc::Status& status) mutable { answer(status); });
}

template <typename Request, typename Response>
void NodeBackend::Pass(NodeId node, Route<Request, Response> route, Request request,
                       int64_t timeout_ms, Done<Response> done) {
  if (node != options_.node_id)
    return Forward(node, route.remote, std::move(request), timeout_ms, std::move(done));
  if (options_.broker == nullptr) return done(Status::Unavailable("this node has no broker"));
  (options_.broker->*route.local)(std::move(request), timeout_ms, std::move(done));
}

#define SLUICE_ADMIN_ROUTE(name)                                                          \
  void NodeBackend::name(NodeId node, name##Request request, int64_t timeout_ms,          \
                         Done<name##Response> done) {                                     \
    Pass<name##Request, name##Response>(node, {&LocalBroker::name, &AdminStub::name},     \
                                        std::move(request), timeout_ms, std::move(done)); \
  }
SLUICE_ADMIN_ROUTE(ListOffsets)
SLUICE_ADMIN_ROUTE(ListGroups)
SLUICE_ADMIN_ROUTE(DescribeGroup)
SLUICE_ADMIN_ROUTE(DeleteGroup)
SLUICE_ADMIN_ROUTE(GetGroupOffsets)
SLUICE_ADMIN_ROUTE(ResetGroupOffsets)
#undef SLUICE_ADMIN_ROUTE

void NodeBackend::ListReplicas(NodeId node, ListReplicasRequest request, int64_t timeout_ms,
                               Done<ListReplicasResponse> done) {
  Forward<ListReplicasRequest, ListReplicasResponse>(
      node, &AdminStub::ListReplicas, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                                 Done<controller::DescribeQuorumResponse> done) {
  Send(&rpc::ControllerStub::DescribeQuorum, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                               Done<controller::ChangeQuorumResponse> done) {
  Send(&rpc::ControllerStub::ChangeQuorum, std::move(request), timeout_ms, std::move(done));
}

void NodeBackend::TransferController(controller::TransferControllerRequest request,
                                     int64_t timeout_ms,
                                     Done<controller::TransferControllerResponse> done) {
  Send(&rpc::ControllerStub::TransferController, std::move(request), timeout_ms, std::move(done));
}

}  // namespace sluice::admin
