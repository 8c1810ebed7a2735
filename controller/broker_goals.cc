#include "controller/broker_goals.h"

#include <algorithm>

#include "controller/assignment.h"
#include "controller/partition_manager.h"
#include "metadata/obstacles.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::BrokerGoal;
using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

std::string NameOf(int32_t broker) { return "broker " + std::to_string(broker); }

metadata::MetadataRecord GoalRecord(int32_t broker, metadata::BrokerGoalCode goal) {
  metadata::MetadataRecord record;
  record.mutable_broker_change()->set_broker_id(broker);
  record.mutable_broker_change()->set_goal(goal);
  return record;
}

// Gives up the moves that take replicas from the broker; those that cannot be given up go on.
void CancelMovesFrom(const Image& image, NodeId broker, bool dry_run, Records& records) {
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const PartitionImage& p = topic->partitions[i];
      if (std::find(p.removing.begin(), p.removing.end(), broker) == p.removing.end()) continue;
      const metadata::ElectionInput input = metadata::ElectionInputOf(image, name, p);
      const metadata::Assignment back = metadata::MoveBack(p);
      if (metadata::MayDropAtOnce(p, back, input.min_isr))
        AppendDecision(*topic, i, metadata::Decide(input, back), records, dry_run);
    }
  }
}

class Change {
 public:
  Change(const HandleContext& context, const ChangeBrokerRequest& request)
      : image_(*context.image),
        request_(request),
        id_(request.broker_id()),
        dry_run_(request.validate_only()) {}

  Failure Run(Records& records) {
    const metadata::BrokerImage* broker = image_.FindBroker(NodeId(id_));
    if (broker == nullptr)
      return {ErrorCode::kBrokerIdNotRegistered, NameOf(id_) + " is not registered"};
    switch (request_.operation()) {
      case ChangeBrokerRequest::DRAIN: return Drain(broker->goal, records);
      case ChangeBrokerRequest::UNDRAIN: return Undrain(broker->goal, records);
      case ChangeBrokerRequest::DECOMMISSION: return Decommission(broker->goal, records);
      case ChangeBrokerRequest::CANCEL_DECOMMISSION: return Cancel(broker->goal, records);
      default: break;
    }
    return {ErrorCode::kInvalidRequest, "there is no such change of a broker"};
  }

 private:
  Failure Drain(BrokerGoal goal, Records& records) const {
    if (goal == BrokerGoal::kDrain) return {};
    if (goal == BrokerGoal::kDecommission) return LeavesForGood();
    const auto obstacles = metadata::ObstaclesToDrain(image_, NodeId(id_));
    if (!obstacles.empty() && !request_.force()) {
      return {ErrorCode::kIneligibleReplica,
              NameOf(id_) + " cannot be done without: " + metadata::ToText(obstacles)};
    }
    LOG_IF(INFO, !dry_run_) << NameOf(id_)
                            << " is drained: it will lead nothing and get no new replicas";
    records.push_back(GoalRecord(id_, metadata::BROKER_GOAL_DRAIN));
    return {};
  }

  Failure Undrain(BrokerGoal goal, Records& records) const {
    if (goal == BrokerGoal::kServe) return {};
    if (goal == BrokerGoal::kDecommission) return LeavesForGood();
    LOG_IF(INFO, !dry_run_) << NameOf(id_) << " is no longer drained";
    records.push_back(GoalRecord(id_, metadata::BROKER_GOAL_SERVE));
    return {};
  }

  Failure Decommission(BrokerGoal goal, Records& records) const {
    if (goal == BrokerGoal::kDecommission) return {};
    const auto obstacles = metadata::ObstaclesToDecommission(image_, NodeId(id_));
    if (!obstacles.empty()) {
      return {ErrorCode::kIneligibleReplica, "too few brokers would be left without " +
                                                 NameOf(id_) + " for " +
                                                 metadata::ToText(obstacles)};
    }
    LOG_IF(INFO, !dry_run_) << NameOf(id_) << " is decommissioned: its replicas move to others";
    records.push_back(GoalRecord(id_, metadata::BROKER_GOAL_DECOMMISSION));
    return {};
  }

  Failure Cancel(BrokerGoal goal, Records& records) const {
    if (goal != BrokerGoal::kDecommission)
      return {ErrorCode::kNoReassignmentInProgress, NameOf(id_) + " is not being decommissioned"};
    LOG_IF(INFO, !dry_run_) << NameOf(id_) << " is no longer decommissioned";
    CancelMovesFrom(image_, NodeId(id_), dry_run_, records);
    records.push_back(GoalRecord(id_, metadata::BROKER_GOAL_SERVE));
    return {};
  }

  Failure LeavesForGood() const {
    return {ErrorCode::kIneligibleReplica,
            NameOf(id_) + " is being decommissioned: give that up first"};
  }

  const Image& image_;
  const ChangeBrokerRequest& request_;
  const int32_t id_;
  const bool dry_run_;  // nothing is logged that is not done
};

}  // namespace

Decision<ChangeBrokerResponse> ChangeBroker(const HandleContext& context,
                                            const ChangeBrokerRequest& request) {
  Decision<ChangeBrokerResponse> decision;
  const Failure failure = Change(context, request).Run(decision.records);
  decision.response.set_changed(!decision.records.empty());
  if (failure) {
    decision.response.set_changed(false);
    SetError(*decision.response.mutable_refusal(), failure.code, failure.message);
  }
  return decision;
}

}  // namespace sluice::controller
