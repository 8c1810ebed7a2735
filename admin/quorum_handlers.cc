// Handlers of the admin service for the controllers' quorum (declared in admin/handlers.h).

#include <utility>

#include "admin/errors.h"
#include "admin/handlers.h"
#include "metadata/server_config.h"

namespace sluice::admin {
namespace {

// Who the change is about. kInvalidArgument for a disk id that is none.
template <typename Request>
Result<controller::ChangeQuorumRequest> ChangeOf(
    const Request& request, controller::ChangeQuorumRequest::Operation operation) {
  const Result<Uuid> disk_id = Uuid::Parse(request.disk_id());
  if (!disk_id.ok()) return Status::InvalidArgument("disk_id: " + disk_id.status().message());
  controller::ChangeQuorumRequest change;
  change.set_operation(operation);
  change.set_node_id(request.id());
  change.set_directory_id(std::string(disk_id->view()));
  return change;
}

}  // namespace

void Handlers::DescribeNode(DescribeNodeRequest, int64_t, Done<DescribeNodeResponse> done) {
  const NodeIdentity identity = backend_.Identity();
  DescribeNodeResponse response;
  response.set_cluster_id(identity.cluster_id);
  response.set_id(identity.id.value());
  response.set_disk_id(identity.disk_id.ToString());
  response.set_controller_address(identity.controller_address);
  if (const std::optional<LocalController> controller = backend_.Controller())
    response.set_awaits_voters_of_plan(controller->inquiring);
  done(std::move(response));
}

void Handlers::DescribeQuorum(DescribeQuorumRequest, int64_t timeout_ms,
                              Done<DescribeQuorumResponse> done) {
  backend_.DescribeQuorum({}, timeout_ms, [done](Result<QuorumAnswer> answer) {
    // Nothing was asked that might still happen.
    if (answer.status().code() == StatusCode::kTimeout)
      return done(Status::Unavailable(answer.status().message()));
    if (!answer.ok()) return done(answer.status());
    if (const Status outcome =
            StatusFromKafka(answer->outcome().error_code(), answer->outcome().message());
        !outcome.ok())
      return done(outcome);
    DescribeQuorumResponse response;
    admin::DescribeQuorum(*answer, response.mutable_quorum());
    done(std::move(response));
  });
}

template <typename Response>
void Handlers::ChangeQuorum(controller::ChangeQuorumRequest change, int64_t timeout_ms,
                            Done<Response> done) {
  // A controller that leaves need not hear how the change ended.
  const bool leaves = change.operation() == controller::ChangeQuorumRequest::REMOVE &&
                      NodeId(change.node_id()) == backend_.node_id();
  const bool hears = !leaves && !change.validate_only();
  backend_.ChangeQuorum(
      std::move(change), timeout_ms,
      [this, hears, timeout_ms, done](Result<controller::ChangeQuorumResponse> answer) {
        if (!answer.ok()) return done(answer.status());
        if (const Status outcome =
                StatusFromKafka(answer->outcome().error_code(), answer->outcome().message());
            !outcome.ok())
          return done(outcome);
        Response response;
        response.set_changed(!answer->unchanged());
        if (!hears) return done(std::move(response));
        backend_.WhenApplied(LogIndex(answer->applied_index()), timeout_ms,
                             [this, done, response](bool applied) {
                               if (applied) return done(response);
                               done(Status::Timeout("the change is made, but node " +
                                                    std::to_string(backend_.node_id().value()) +
                                                    " has not heard of it yet"));
                             });
      });
}

void Handlers::AddController(AddControllerRequest request, int64_t timeout_ms,
                             Done<AddControllerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeQuorumRequest::ADD_LEARNER);
  if (!change.ok()) return done(change.status());
  const Result<metadata::HostPort> address = metadata::ParseDialAddress(request.address());
  if (!address.ok()) return done(Status::InvalidArgument("address: " + address.status().message()));
  change->set_address(address->ToString());
  ChangeQuorum<AddControllerResponse>(*std::move(change), timeout_ms, std::move(done));
}

void Handlers::PromoteController(PromoteControllerRequest request, int64_t timeout_ms,
                                 Done<PromoteControllerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeQuorumRequest::PROMOTE);
  if (!change.ok()) return done(change.status());
  ChangeQuorum<PromoteControllerResponse>(*std::move(change), timeout_ms, std::move(done));
}

void Handlers::RemoveController(RemoveControllerRequest request, int64_t timeout_ms,
                                Done<RemoveControllerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeQuorumRequest::REMOVE);
  if (!change.ok()) return done(change.status());
  change->set_validate_only(request.validate_only());
  ChangeQuorum<RemoveControllerResponse>(*std::move(change), timeout_ms, std::move(done));
}

void Handlers::TransferController(TransferControllerRequest request, int64_t timeout_ms,
                                  Done<TransferControllerResponse> done) {
  controller::TransferControllerRequest forward;
  if (request.has_id()) forward.set_target_id(request.id());
  backend_.TransferController(
      std::move(forward), timeout_ms,
      [done](Result<controller::TransferControllerResponse> answer) {
        if (!answer.ok()) return done(answer.status());
        if (const Status outcome =
                StatusFromKafka(answer->outcome().error_code(), answer->outcome().message());
            !outcome.ok())
          return done(outcome);
        done(TransferControllerResponse());
      });
}

}  // namespace sluice::admin
