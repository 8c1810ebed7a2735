// Handlers of the admin service for single brokers (declared in admin/handlers.h): which there are,
// what operators want of them, and whether one may stop.

#include <algorithm>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>

#include "admin/describe.h"
#include "admin/errors.h"
#include "admin/group_routes.h"
#include "admin/handlers.h"
#include "metadata/obstacles.h"

namespace sluice::admin {
namespace {

using Operation = controller::ChangeBrokerRequest::Operation;

constexpr int64_t kHeardMs = 1000;     // a controller that answered so lately answers
constexpr size_t kObstaclesMax = 100;  // told in an answer; their number is always told

Status NoSuchBroker(int32_t id) {
  return Status::NotFound("broker " + std::to_string(id) + " is not registered");
}

void AddObstacles(const std::vector<metadata::Obstacle>& obstacles,
                  google::protobuf::RepeatedPtrField<PartitionInTheWay>* out) {
  for (size_t i = 0; i < std::min(obstacles.size(), kObstaclesMax); ++i) {
    PartitionInTheWay* in_the_way = out->Add();
    in_the_way->set_topic(obstacles[i].topic);
    in_the_way->set_partition(obstacles[i].partition.value());
    in_the_way->set_why(obstacles[i].why);
  }
}

// Why the quorum would be without a majority; empty when it would not.
std::string QuorumInTheWay(const QuorumAnswer& quorum, int32_t node) {
  int others = 0;
  bool is_voter = false;
  for (const auto& voter : quorum.voters()) {
    is_voter = is_voter || voter.id() == node;
    const bool answers = voter.last_contact_age_ms() >= 0 &&
                         voter.last_contact_age_ms() < kHeardMs && !voter.recovering();
    others += voter.id() != node && answers ? 1 : 0;
  }
  const int majority = quorum.voters_size() / 2 + 1;
  if (!is_voter || others >= majority) return "";
  return "of " + std::to_string(quorum.voters_size()) + " controllers " + std::to_string(others) +
         " that answer would be left, a majority is " + std::to_string(majority);
}

bool IsVoter(const QuorumAnswer& quorum, int32_t node) {
  for (const auto& voter : quorum.voters()) {
    if (voter.id() == node) return true;
  }
  return false;
}

CanStopBrokerResponse JudgeStop(const metadata::Image& image, const QuorumAnswer& quorum,
                                int32_t id) {
  CanStopBrokerResponse response;
  const auto obstacles = metadata::ObstaclesToStop(image, NodeId(id));
  AddObstacles(obstacles, response.mutable_in_the_way());
  const std::string controllers = QuorumInTheWay(quorum, id);
  response.set_can_stop(obstacles.empty() && controllers.empty());
  std::string why = controllers;
  if (!obstacles.empty()) {
    why += (why.empty() ? "" : "; ") + std::to_string(obstacles.size()) +
           " partitions would lack in-sync replicas: " + metadata::ToText(obstacles);
  }
  response.set_reason(why);
  return response;
}

ListBrokersResponse BrokersIn(const metadata::Image& image, const ListBrokersRequest& request,
                              const ListReplicasResponse& sizes) {
  ListBrokersResponse response;
  std::map<int32_t, int64_t> bytes;
  for (const BrokerTotal& total : sizes.totals()) bytes[total.node()] = total.bytes();
  const auto only =
      request.has_id() ? std::optional(NodeId(request.id())) : std::optional<NodeId>();
  for (Broker& broker : DescribeBrokers(image, only)) {
    const auto told = bytes.find(broker.id());
    if (told != bytes.end()) broker.set_bytes(told->second);
    *response.add_brokers() = std::move(broker);
  }
  return response;
}

}  // namespace

void AskAllReplicas(Backend& backend, bool totals_only, Deadline deadline,
                    std::function<void(ListReplicasResponse)> done) {
  std::vector<NodeId> nodes;
  for (const auto& [id, broker] : backend.Image()->brokers) {
    if (!broker->fenced) nodes.push_back(id);
  }
  if (nodes.empty()) return done(ListReplicasResponse());
  auto gather = std::make_shared<Gather<ListReplicasResponse>>(
      nodes.size(), [nodes, done](std::vector<Result<ListReplicasResponse>> answers) {
        ListReplicasResponse response;
        for (size_t i = 0; i < answers.size(); ++i) {
          if (answers[i].ok()) {
            response.MergeFrom(*answers[i]);
            continue;
          }
          response.add_incomplete("node " + std::to_string(nodes[i].value()) +
                                  " did not tell its replicas: " + answers[i].status().message());
        }
        done(std::move(response));
      });
  ListReplicasRequest request;
  request.set_at_node(true);
  request.set_totals_only(totals_only);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto set = [gather, i](Result<ListReplicasResponse> answer) {
      gather->Set(i, std::move(answer));
    };
    if (nodes[i] == backend.node_id()) {
      set(LocalReplicas(backend, totals_only));
    } else {
      backend.ListReplicas(nodes[i], request, deadline.question_ms(), set);
    }
  }
}

ListReplicasResponse LocalReplicas(const Backend& backend, bool totals_only) {
  ListReplicasResponse response;
  BrokerTotal* total = response.add_totals();
  total->set_node(backend.node_id().value());
  for (const LocalPartition& local : backend.Partitions()) {
    total->set_bytes(total->bytes() + static_cast<int64_t>(local.size_bytes));
    total->set_replicas(total->replicas() + 1);
    if (totals_only) continue;
    Replica* replica = response.add_replicas();
    replica->set_node(backend.node_id().value());
    replica->set_topic(local.topic);
    replica->set_partition(local.partition.value());
    replica->set_bytes(static_cast<int64_t>(local.size_bytes));
    replica->set_in_rate(local.in_rate);
    replica->set_out_rate(local.out_rate);
  }
  return response;
}

void Handlers::ListReplicas(ListReplicasRequest request, int64_t timeout_ms,
                            Done<ListReplicasResponse> done) {
  if (request.at_node()) return done(LocalReplicas(backend_, request.totals_only()));
  AskAllReplicas(backend_, request.totals_only(), Deadline(backend_.clock(), timeout_ms),
                 [done](ListReplicasResponse response) { done(std::move(response)); });
}

void Handlers::ListBrokers(ListBrokersRequest request, int64_t timeout_ms,
                           Done<ListBrokersResponse> done) {
  const Result<metadata::ImagePtr> known = KnownImage();
  if (!known.ok()) return done(known.status());
  if (request.has_id() && (*known)->FindBroker(NodeId(request.id())) == nullptr)
    return done(NoSuchBroker(request.id()));
  const Deadline deadline(backend_.clock(), timeout_ms);
  AskAllReplicas(
      backend_, true, deadline, [this, request, deadline, done](const ListReplicasResponse& sizes) {
        AnswerFromImage<ListBrokersResponse>(
            std::max<int64_t>(deadline.left_ms(), 1), done,
            [request, sizes](const metadata::Image& image) -> Result<ListBrokersResponse> {
              ListBrokersResponse response = BrokersIn(image, request, sizes);
              if (request.has_id() && response.brokers().empty()) return NoSuchBroker(request.id());
              return response;
            });
      });
}

template <typename Response>
void Handlers::ChangeBroker(controller::ChangeBrokerRequest change, int64_t timeout_ms,
                            Done<Response> done) {
  const int32_t id = change.broker_id();
  const bool changes = !change.validate_only();
  backend_.ChangeBroker(
      std::move(change), timeout_ms,
      [this, id, changes, timeout_ms, done](Result<controller::ChangeBrokerResponse> answer) {
        if (!answer.ok()) return done(answer.status());
        for (const Status& refusal :
             {StatusFromKafka(answer->outcome().error_code(), answer->outcome().message()),
              StatusFromKafka(answer->refusal().error_code(), answer->refusal().message())}) {
          if (!refusal.ok()) return done(refusal);
        }
        AnswerWhenApplied<Response>(
            changes ? answer->applied_index() : -1, timeout_ms, done,
            [id, changed = answer->changed()](const metadata::Image& image) -> Result<Response> {
              const std::vector<Broker> broker = DescribeBrokers(image, NodeId(id));
              if (broker.empty()) return NoSuchBroker(id);
              Response response;
              response.set_changed(changed);
              *response.mutable_broker() = broker[0];
              AddObstacles(metadata::LeadsLeft(image, NodeId(id)), response.mutable_leads_left());
              if constexpr (std::is_same_v<Response, DrainBrokerResponse>) {
                AddObstacles(metadata::LeadsThatWaitFor(image, NodeId(id)),
                             response.mutable_unavailable());
              }
              return response;
            });
      });
}

namespace {

template <typename Request>
controller::ChangeBrokerRequest ChangeOf(const Request& request, Operation operation) {
  controller::ChangeBrokerRequest change;
  change.set_operation(operation);
  change.set_broker_id(request.id());
  return change;
}

}  // namespace

void Handlers::DrainBroker(DrainBrokerRequest request, int64_t timeout_ms,
                           Done<DrainBrokerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeBrokerRequest::DRAIN);
  change.set_force(request.force());
  change.set_validate_only(request.validate_only());
  ChangeBroker<DrainBrokerResponse>(std::move(change), timeout_ms, std::move(done));
}

void Handlers::UndrainBroker(UndrainBrokerRequest request, int64_t timeout_ms,
                             Done<UndrainBrokerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeBrokerRequest::UNDRAIN);
  change.set_validate_only(request.validate_only());
  ChangeBroker<UndrainBrokerResponse>(std::move(change), timeout_ms, std::move(done));
}

void Handlers::DecommissionBroker(DecommissionBrokerRequest request, int64_t timeout_ms,
                                  Done<DecommissionBrokerResponse> done) {
  auto change = ChangeOf(request, controller::ChangeBrokerRequest::DECOMMISSION);
  change.set_validate_only(request.validate_only());
  ChangeBroker<DecommissionBrokerResponse>(std::move(change), timeout_ms, std::move(done));
}

void Handlers::CancelDecommission(CancelDecommissionRequest request, int64_t timeout_ms,
                                  Done<CancelDecommissionResponse> done) {
  ChangeBroker<CancelDecommissionResponse>(
      ChangeOf(request, controller::ChangeBrokerRequest::CANCEL_DECOMMISSION), timeout_ms,
      std::move(done));
}

// By what is committed now, not by what this node happens to have heard.
void Handlers::CanStopBroker(CanStopBrokerRequest request, int64_t timeout_ms,
                             Done<CanStopBrokerResponse> done) {
  backend_.DescribeQuorum(
      {}, timeout_ms, [this, id = request.id(), timeout_ms, done](Result<QuorumAnswer> quorum) {
        if (!quorum.ok()) {
          return done(Status::Unavailable("no active controller answers, so nothing is sure: " +
                                          quorum.status().message()));
        }
        if (const Status told =
                StatusFromKafka(quorum->outcome().error_code(), quorum->outcome().message());
            !told.ok())
          return done(told);
        backend_.WhenApplied(
            LogIndex(quorum->commit_index()), timeout_ms,
            [this, id, quorum = *quorum, done](bool applied) {
              if (!applied)
                return done(Status::Unavailable("this node lags behind the cluster's metadata"));
              const metadata::ImagePtr image = backend_.Image();
              if (image->FindBroker(NodeId(id)) == nullptr && !IsVoter(quorum, id))
                return done(NoSuchBroker(id));
              done(JudgeStop(*image, quorum, id));
            });
      });
}

}  // namespace sluice::admin
