// Handlers of the admin service that move partitions and choose their leaders (declared in
// admin/handlers.h).

#include <algorithm>
#include <limits>
#include <utility>

#include "admin/describe.h"
#include "admin/errors.h"
#include "admin/handlers.h"
#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

// What the controller said of each partition, and what they are like now. Those that a dry run
// would change are told as they are.
template <typename Response>
Response OutcomesIn(
    const metadata::Image& image,
    const google::protobuf::RepeatedPtrField<controller::PartitionOutcome>& outcomes) {
  Response response;
  for (const controller::PartitionOutcome& outcome : outcomes) {
    PartitionOutcome* out = response.add_partitions();
    out->set_topic(outcome.topic());
    out->set_partition(outcome.partition());
    if (outcome.error_code() != 0) {
      const auto code = static_cast<kafka::ErrorCode>(outcome.error_code());
      out->set_code(std::string(kafka::ErrorName(code)));
      out->set_error(StatusFromKafka(outcome.error_code(), outcome.message()).message());
    }
    if (outcome.has_would_be()) {
      out->mutable_would_be()->set_leader(outcome.would_be().leader());
      *out->mutable_would_be()->mutable_replicas() = outcome.would_be().replicas();
    }
    const auto topic = image.FindTopic(outcome.topic());
    if (topic == nullptr ||
        image.FindPartition(topic->id, PartitionIndex(outcome.partition())) == nullptr) {
      continue;
    }
    DescribePartition(*topic, static_cast<size_t>(outcome.partition()), out->mutable_now());
  }
  return response;
}

uint32_t KibPerSecond(int64_t bytes_per_second) {
  if (bytes_per_second == 0) return 0;
  return static_cast<uint32_t>(
      std::clamp<int64_t>(bytes_per_second / 1024, 1, std::numeric_limits<uint32_t>::max()));
}

controller::AlterPartitionReassignmentsRequest MovesOf(const MovePartitionsRequest& request) {
  controller::AlterPartitionReassignmentsRequest out;
  out.set_allow_replication_factor_change(request.allow_replication_factor_change());
  out.set_validate_only(request.validate_only());
  for (const PartitionMove& move : request.moves()) {
    auto* partition = out.add_partitions();
    partition->set_topic(move.topic());
    partition->set_partition(move.partition());
    *partition->mutable_replicas()->mutable_ids() = move.replicas();
    if (request.has_bytes_per_second())
      partition->set_kib_per_second(KibPerSecond(request.bytes_per_second()));
  }
  return out;
}

controller::AlterPartitionReassignmentsRequest CancellationsOf(const CancelMovesRequest& request,
                                                               const metadata::Image& image) {
  controller::AlterPartitionReassignmentsRequest out;
  out.set_validate_only(request.validate_only());
  const auto add = [&out](const std::string& topic, int32_t partition) {
    out.add_partitions()->set_topic(topic);
    out.mutable_partitions()->rbegin()->set_partition(partition);
  };
  for (const PartitionName& name : request.partitions()) add(name.topic(), name.partition());
  if (!request.partitions().empty()) return out;
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      if (topic->partitions[i].moving()) add(name, static_cast<int32_t>(i));
    }
  }
  return out;
}

}  // namespace

template <typename Outcomes, typename Response>
void Handlers::AnswerOutcomes(const Result<Outcomes>& outcomes, bool changes, int64_t timeout_ms,
                              Done<Response> done) {
  if (!outcomes.ok()) return done(outcomes.status());
  if (const Status status =
          StatusFromKafka(outcomes->outcome().error_code(), outcomes->outcome().message());
      !status.ok())
    return done(status);
  AnswerWhenApplied<Response>(
      changes ? outcomes->applied_index() : -1, timeout_ms, std::move(done),
      [answer = *outcomes](const metadata::Image& image) -> Result<Response> {
        return OutcomesIn<Response>(image, answer.partitions());
      });
}

void Handlers::MovePartitions(MovePartitionsRequest request, int64_t timeout_ms,
                              Done<MovePartitionsResponse> done) {
  if (request.bytes_per_second() < 0) {
    return done(Status::InvalidArgument("bytes_per_second " +
                                        std::to_string(request.bytes_per_second()) +
                                        " is below 0, which means no limit"));
  }
  const bool changes = !request.validate_only();
  backend_.AlterPartitionReassignments(
      MovesOf(request), timeout_ms,
      [this, changes, timeout_ms,
       done](Result<controller::AlterPartitionReassignmentsResponse> outcomes) {
        AnswerOutcomes(outcomes, changes, timeout_ms, done);
      });
}

void Handlers::CancelMoves(CancelMovesRequest request, int64_t timeout_ms,
                           Done<CancelMovesResponse> done) {
  const Result<metadata::ImagePtr> image = KnownImage();
  if (!image.ok()) return done(image.status());
  auto cancellations = CancellationsOf(request, **image);
  if (cancellations.partitions().empty()) return done(CancelMovesResponse());
  backend_.AlterPartitionReassignments(
      std::move(cancellations), timeout_ms,
      [this, changes = !request.validate_only(), timeout_ms,
       done](Result<controller::AlterPartitionReassignmentsResponse> outcomes) {
        AnswerOutcomes(outcomes, changes, timeout_ms, done);
      });
}

void Handlers::ElectLeaders(ElectLeadersRequest request, int64_t timeout_ms,
                            Done<ElectLeadersResponse> done) {
  controller::ElectLeadersRequest forward;
  forward.set_unclean(request.unclean());
  forward.set_validate_only(request.validate_only());
  forward.set_all(request.partitions().empty());
  for (const PartitionName& name : request.partitions()) {
    auto* partition = forward.add_partitions();
    partition->set_topic(name.topic());
    partition->set_partition(name.partition());
  }
  backend_.ElectLeaders(std::move(forward), timeout_ms,
                        [this, changes = !request.validate_only(), timeout_ms,
                         done](Result<controller::ElectLeadersResponse> outcomes) {
                          AnswerOutcomes(outcomes, changes, timeout_ms, done);
                        });
}

}  // namespace sluice::admin
