// PlanRebalance of the admin service (declared in admin/handlers.h): the plan is made from this
// node's image and from the sizes and rates that the brokers tell.

#include <algorithm>
#include <map>
#include <utility>

#include "admin/group_routes.h"
#include "admin/handlers.h"
#include "metadata/reassignment.h"
#include "metadata/rebalance.h"

namespace sluice::admin {
namespace {

constexpr int32_t kMovesMax = 1000;

// What brokers tell of a partition.
struct Told {
  int64_t bytes = 0;
  int64_t in_rate = 0;
  int64_t out_rate = 0;
};
using ToldByName = std::map<std::pair<std::string, int32_t>, Told>;

// Its replicas should have the same size. Of rates each tells what it had itself: just after
// another one took the lead two of them tell a part.
ToldByName ToldIn(const ListReplicasResponse& replicas) {
  ToldByName told;
  for (const Replica& replica : replicas.replicas()) {
    Told& one = told[{replica.topic(), replica.partition()}];
    one.bytes = std::max(one.bytes, replica.bytes());
    one.in_rate += replica.in_rate();
    one.out_rate += replica.out_rate();
  }
  return told;
}

std::vector<metadata::RebalanceBroker> BrokersOf(const metadata::Image& image) {
  std::vector<metadata::RebalanceBroker> brokers;
  for (const auto& [id, broker] : image.brokers)
    brokers.push_back({id, broker->rack, broker->active() && !broker->yields()});
  return brokers;
}

std::vector<metadata::RebalancePartition> PartitionsOf(const metadata::Image& image,
                                                       const ToldByName& told) {
  std::vector<metadata::RebalancePartition> partitions;
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const metadata::PartitionImage& p = topic->partitions[i];
      const auto index = static_cast<int32_t>(i);
      const auto found = told.find({name, index});
      const Told known = found == told.end() ? Told() : found->second;
      partitions.push_back({name, index, metadata::TargetOf(p), known.bytes,
                            p.moving() || p.leader == kNoNode, known.in_rate, known.out_rate});
    }
  }
  return partitions;
}

void FillLoads(const std::map<NodeId, metadata::BrokerLoad>& loads,
               google::protobuf::RepeatedPtrField<BrokerLoad>* out) {
  for (const auto& [id, load] : loads) {
    BrokerLoad* one = out->Add();
    one->set_id(id.value());
    one->set_leaders(load.leads);
    one->set_replicas(load.replicas);
    one->set_bytes(load.bytes);
    one->set_lead_rate(load.lead_rate);
    one->set_write_rate(load.write_rate);
  }
}

PlanRebalanceResponse AnswerOf(const metadata::RebalancePlan& plan) {
  PlanRebalanceResponse response;
  for (const metadata::PlannedMove& move : plan.moves) {
    PlannedMove* out = response.add_moves();
    out->set_topic(move.topic);
    out->set_partition(move.index);
    for (const NodeId node : move.from) out->add_from(node.value());
    for (const NodeId node : move.to) out->add_to(node.value());
    out->set_bytes(move.bytes);
    out->set_reason(move.reason);
  }
  FillLoads(plan.before, response.mutable_before());
  FillLoads(plan.after, response.mutable_after());
  return response;
}

}  // namespace

void Handlers::PlanRebalance(PlanRebalanceRequest request, int64_t timeout_ms,
                             Done<PlanRebalanceResponse> done) {
  const Result<metadata::ImagePtr> known = KnownImage();
  if (!known.ok()) return done(known.status());
  if (request.copies_max() < 0 || request.copies_max() > kMovesMax) {
    return done(Status::InvalidArgument("copies_max " + std::to_string(request.copies_max()) +
                                        " is outside 1 to " + std::to_string(kMovesMax) +
                                        ", 0 = " + std::to_string(kMovesMax)));
  }
  const metadata::RebalanceOptions options{
      .moves_max =
          static_cast<size_t>(request.copies_max() == 0 ? kMovesMax : request.copies_max()),
      .leads_only = request.leaders_only()};
  AskAllReplicas(backend_, false, Deadline(backend_.clock(), timeout_ms),
                 [image = *known, options, done](const ListReplicasResponse& replicas) {
                   PlanRebalanceResponse response = AnswerOf(metadata::PlanRebalance(
                       BrokersOf(*image), PartitionsOf(*image, ToldIn(replicas)), options));
                   *response.mutable_incomplete() = replicas.incomplete();
                   done(std::move(response));
                 });
}

}  // namespace sluice::admin
