#include "controller/reassignment_manager.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/rate_text.h"
#include "controller/assignment.h"
#include "controller/log_ends.h"
#include "controller/partition_manager.h"
#include "metadata/replay.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

std::string Join(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ",") + std::to_string(node.value());
  return text;
}

std::string NameOf(const std::string& topic, int32_t partition) {
  return topic + "-" + std::to_string(partition);
}

// The partition that an item of a request names.
struct Place {
  std::shared_ptr<const TopicImage> topic;
  size_t index = 0;
  const PartitionImage* partition = nullptr;
};

Failure Find(const Image& image, const std::string& name, int32_t index, Place& place) {
  place.topic = image.FindTopic(name);
  if (place.topic == nullptr)
    return {ErrorCode::kUnknownTopicOrPartition, "topic '" + name + "' does not exist"};
  place.partition = image.FindPartition(place.topic->id, PartitionIndex(index));
  if (place.partition == nullptr) {
    return {ErrorCode::kUnknownTopicOrPartition,
            "topic '" + name + "' has no partition " + std::to_string(index) + ", it has " +
                std::to_string(place.topic->partitions.size())};
  }
  place.index = static_cast<size_t>(index);
  return {};
}

// As AlterPartition has it, which ends moves. `image` is that of `place`.
metadata::ElectionInput InputOf(const HandleContext& context, const Image& image,
                                const Place& place) {
  metadata::ElectionInput input =
      metadata::ElectionInputOf(image, place.topic->name, *place.partition);
  input.is_full = FullIn(context.full, image, *place.partition);
  return input;
}

// One partition of an AlterPartitionReassignments request.
class Reassignment {
 public:
  using Asked = AlterPartitionReassignmentsRequest::Partition;
  Reassignment(const HandleContext& context, const Asked& asked,
               const AlterPartitionReassignmentsRequest& request)
      : context_(context),
        image_(*context.image),
        asked_(asked),
        factor_may_change_(request.allow_replication_factor_change()),
        dry_run_(request.validate_only()) {}

  // Appends the change, if any.
  Failure Run(Records& records) {
    if (Failure failure = Find(image_, asked_.topic(), asked_.partition(), place_)) return failure;
    metadata::Assignment wanted;
    Failure failure = asked_.has_replicas() ? Move(wanted) : Cancel(wanted);
    if (failure) return failure;
    if (wanted == metadata::AssignmentOf(*place_.partition)) return {};
    const metadata::ElectionInput input = InputOf(context_, image_, place_);
    if (!metadata::MayDropAtOnce(*place_.partition, wanted, input.min_isr))
      return TooFewLeft(wanted);
    LOG_IF(INFO, !dry_run_) << NameOf(asked_.topic(), asked_.partition())
                            << (asked_.has_replicas() ? ": moves from "
                                                      : ": gives up its move, back to ")
                            << Join(metadata::OriginOf(*place_.partition))
                            << (asked_.has_replicas() ? " to " + Join(target_) : "")
                            << LimitOf(wanted);
    AppendDecision(*place_.topic, place_.index, metadata::Decide(input, wanted), records, dry_run_);
    return {};
  }

 private:
  static std::string LimitOf(const metadata::Assignment& wanted) {
    if (wanted.kib_per_second == 0) return "";
    return ", each broker with at most " + RateText(int64_t{wanted.kib_per_second} * 1024);
  }

  Failure Cancel(metadata::Assignment& wanted) const {
    if (!place_.partition->moving()) {
      return {ErrorCode::kNoReassignmentInProgress,
              NameOf(asked_.topic(), asked_.partition()) + " is not being reassigned"};
    }
    wanted = metadata::MoveBack(*place_.partition);
    return {};
  }

  Failure Move(metadata::Assignment& wanted) {
    for (const int32_t id : asked_.replicas().ids()) target_.emplace_back(id);
    if (Failure failure = CheckText()) return failure;
    const std::vector<NodeId> before = metadata::TargetOf(*place_.partition);
    wanted = metadata::AssignmentOf(*place_.partition);
    // Under way, or done: only the rate may be another.
    if (target_ == before) {
      if (asked_.has_kib_per_second() && !wanted.adding.empty())
        wanted.kib_per_second = asked_.kib_per_second();
      return {};
    }
    for (const NodeId node : target_) {
      if (Failure failure = CheckBroker(node)) return failure;
    }
    if (!factor_may_change_ && target_.size() != before.size()) {
      return {ErrorCode::kInvalidReplicationFactor,
              "the replication factor would change from " + std::to_string(before.size()) + " to " +
                  std::to_string(target_.size()) + ", which the request does not allow"};
    }
    wanted = metadata::MoveTo(*place_.partition, target_, asked_.kib_per_second());
    return {};
  }

  Failure CheckText() const {
    if (target_.empty())
      return {ErrorCode::kInvalidReplicaAssignment, "a partition is assigned to no broker"};
    std::set<NodeId> seen;
    for (const NodeId node : target_) {
      if (seen.insert(node).second) continue;
      return {ErrorCode::kInvalidReplicaAssignment,
              "broker " + std::to_string(node.value()) + " is assigned twice"};
    }
    return {};
  }

  // Whoever is a replica may stay one, though it is away.
  Failure CheckBroker(NodeId node) const {
    const auto& replicas = place_.partition->replicas;
    if (std::find(replicas.begin(), replicas.end(), node) != replicas.end()) return {};
    const metadata::BrokerImage* broker = image_.FindBroker(node);
    const std::string name = "broker " + std::to_string(node.value());
    if (broker == nullptr)
      return {ErrorCode::kInvalidReplicaAssignment, name + " is not registered"};
    if (broker->active() && !broker->yields()) return {};
    if (broker->active()) {
      return {ErrorCode::kInvalidReplicaAssignment, name + " is drained: it gets no new replicas"};
    }
    return {ErrorCode::kInvalidReplicaAssignment,
            name + (broker->fenced ? " is fenced: it does not run, or is only starting"
                                   : " is shutting down")};
  }

  Failure TooFewLeft(const metadata::Assignment& wanted) const {
    const metadata::PartitionImage& p = *place_.partition;
    const std::string complete = p.elr.empty() ? "the in-sync ones, " + Join(p.isr)
                                               : "those with all records, in sync " +
                                                     (p.isr.empty() ? "none" : Join(p.isr)) +
                                                     " and eligible " + Join(p.elr);
    return {ErrorCode::kInvalidReplicaAssignment,
            "with the replicas " + Join(wanted.replicas) + " too few of " + complete +
                ", would be left: wait until others are in sync"};
  }

  const HandleContext& context_;
  const Image& image_;
  const Asked& asked_;
  const bool factor_may_change_;
  const bool dry_run_;  // nothing is logged that is not done
  Place place_;
  std::vector<NodeId> target_;
};

// Why an unclean election elects nobody.
Failure NobodyElected(const Place& place, const metadata::ElectionInput& input,
                      const metadata::ElectionResult& election) {
  const auto& replicas = place.partition->replicas;
  const size_t silent = election.silent.size();
  std::string why = silent == 1 ? "broker " + Join(election.silent) +
                                      " has not yet told where its log ends; try again"
                                : "brokers " + Join(election.silent) +
                                      " have not yet told where their logs end; try again";
  if (silent == 0) {
    const bool live = std::any_of(replicas.begin(), replicas.end(), input.is_active);
    why = (live ? "none of the live ones has a log that can be used, of the replicas "
                : "none is alive of the replicas ") +
          Join(replicas);
  }
  return {ErrorCode::kEligibleLeadersNotAvailable, why};
}

Failure Elect(const HandleContext& context, const Place& place, const ElectLeadersRequest& request,
              Records& records) {
  const bool unclean = request.unclean();
  const Image& image = *context.image;
  const PartitionImage& before = *place.partition;
  const NodeId preferred = before.replicas.front();
  const bool needed = unclean ? before.leader == kNoNode : before.leader != preferred;
  if (!needed) return {ErrorCode::kElectionNotNeeded, ""};
  metadata::ElectionInput input = InputOf(context, image, place);
  input.unclean = unclean;
  input.log_end = [&](NodeId node) -> std::optional<metadata::LogEnd> {
    const PartitionIndex index(static_cast<int32_t>(place.index));
    if (context.log_ends == nullptr) return std::nullopt;
    return context.log_ends->Find(image, {place.topic->id, index}, node);
  };
  if (!unclean) input.preferred = preferred;
  const metadata::PartitionDecision decision = metadata::Decide(input);
  if (unclean && decision.election.leader == kNoNode)
    return NobodyElected(place, input, decision.election);
  if (!unclean && decision.election.leader != preferred && metadata::Yields(image, preferred)) {
    return {ErrorCode::kPreferredLeaderNotAvailable,
            "broker " + std::to_string(preferred.value()) + " is drained: it leads nothing"};
  }
  const bool full = input.is_full && input.is_full(preferred);
  if (!unclean && decision.election.leader != preferred && full) {
    return {ErrorCode::kPreferredLeaderNotAvailable,
            "the disk of broker " + std::to_string(preferred.value()) +
                " is full: it leads nothing in that log directory until it has room"};
  }
  if (!unclean && decision.election.leader != preferred) {
    return {ErrorCode::kPreferredLeaderNotAvailable,
            "broker " + std::to_string(preferred.value()) +
                " is not in sync: the in-sync replicas are " + Join(before.isr)};
  }
  AppendDecision(*place.topic, place.index, decision, records, request.validate_only());
  return {};
}

void AddOutcome(const std::string& topic, int32_t partition, const Failure& failure,
                ElectLeadersResponse& response) {
  PartitionOutcome& outcome = *response.add_partitions();
  outcome.set_topic(topic);
  outcome.set_partition(partition);
  if (failure) SetError(outcome, failure.code, failure.message);
}

void ElectAll(const HandleContext& context, const ElectLeadersRequest& request,
              Decision<ElectLeadersResponse>& decision) {
  for (const auto& [name, topic] : *context.image->topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const Place place{topic, i, &topic->partitions[i]};
      const Failure failure = Elect(context, place, request, decision.records);
      if (failure.code == ErrorCode::kElectionNotNeeded) continue;
      AddOutcome(name, static_cast<int32_t>(i), failure, decision.response);
    }
  }
}

// Who will lead once the move is done that the partition is in: with all that it waits for in sync,
// and the disks and drains of now.
NodeId LeaderAtItsEnd(const HandleContext& context, const Image& image, const Place& place) {
  const PartitionImage& partition = *place.partition;
  if (!partition.moving() || partition.leader == kNoNode) return partition.leader;
  metadata::ElectionInput input = InputOf(context, image, place);
  input.is_active = [](NodeId) { return true; };  // else it would not be in sync
  input.wished_isr = metadata::TargetOf(partition);
  return metadata::Decide(input).election.leader;
}

// Says of each partition that the records would change what it would be.
template <typename Response>
void OnlyTell(const HandleContext& context, Decision<Response>& decision) {
  metadata::ImageBuilder builder(context.image);
  for (const metadata::MetadataRecord& record : decision.records) {
    const Status fits = builder.Apply(record, context.index);
    if (fits.ok()) continue;
    decision.records.clear();
    return SetError(*decision.response.mutable_outcome(), ErrorCode::kUnknownServerError,
                    "the request could not be carried out: " + fits.message());
  }
  const metadata::ImagePtr then = builder.Build(context.index, context.image->last_term);
  for (PartitionOutcome& outcome : *decision.response.mutable_partitions()) {
    Place now, would_be;
    if (outcome.error_code() != 0 ||
        Find(*context.image, outcome.topic(), outcome.partition(), now) ||
        Find(*then, outcome.topic(), outcome.partition(), would_be) ||
        *now.partition == *would_be.partition) {
      continue;
    }
    outcome.mutable_would_be()->set_leader(LeaderAtItsEnd(context, *then, would_be).value());
    for (const NodeId node : metadata::TargetOf(*would_be.partition))
      outcome.mutable_would_be()->add_replicas(node.value());
  }
}

Failure NamedTwice(const std::string& topic, int32_t partition) {
  return {ErrorCode::kInvalidRequest,
          NameOf(topic, partition) + " comes more than once in the request"};
}

void ElectNamed(const HandleContext& context, const ElectLeadersRequest& request,
                Decision<ElectLeadersResponse>& decision) {
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& asked : request.partitions()) {
    Place place;
    Failure failure = NamedTwice(asked.topic(), asked.partition());
    if (seen.emplace(asked.topic(), asked.partition()).second) {
      failure = Find(*context.image, asked.topic(), asked.partition(), place);
      if (!failure) failure = Elect(context, place, request, decision.records);
    }
    AddOutcome(asked.topic(), asked.partition(), failure, decision.response);
  }
}

}  // namespace

Decision<AlterPartitionReassignmentsResponse> AlterPartitionReassignments(
    const HandleContext& context, const AlterPartitionReassignmentsRequest& request) {
  Decision<AlterPartitionReassignmentsResponse> decision;
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& asked : request.partitions()) {
    PartitionOutcome& outcome = *decision.response.add_partitions();
    outcome.set_topic(asked.topic());
    outcome.set_partition(asked.partition());
    const bool first = seen.emplace(asked.topic(), asked.partition()).second;
    Reassignment reassignment(context, asked, request);
    const Failure failure =
        first ? reassignment.Run(decision.records) : NamedTwice(asked.topic(), asked.partition());
    if (failure) SetError(outcome, failure.code, failure.message);
  }
  if (request.validate_only()) OnlyTell(context, decision);
  return decision;
}

Decision<ElectLeadersResponse> ElectLeaders(const HandleContext& context,
                                            const ElectLeadersRequest& request) {
  Decision<ElectLeadersResponse> decision;
  if (request.all()) {
    ElectAll(context, request, decision);
  } else {
    ElectNamed(context, request, decision);
  }
  if (request.validate_only()) OnlyTell(context, decision);
  return decision;
}

}  // namespace sluice::controller
