// AlterPartitionReassignments (key 45): moves partitions to other replicas, or gives up moves that
// are under way. Passed on to the controller; answered when this broker has applied the change:
// the moves have begun then.
//   v0 flexible from the start.  v1 may forbid that the replication factor changes.

#include "kafka/messages/alter_partition_reassignments.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/admin_call.h"
#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::AlterPartitionReassignmentsRequest;
using Response = kafka::AlterPartitionReassignmentsResponse;
using PartitionResult = Response::ReassignablePartitionResponse;

// A request between its decoding and its answer.
struct Reassignments : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  // Of those that the controller was asked for, in the order of its answer: topic and partition in
  // the response.
  std::vector<std::pair<size_t, size_t>> places;

  PartitionResult& At(const std::pair<size_t, size_t>& place) {
    return response.responses[place.first].partitions[place.second];
  }
  std::vector<PartitionResult> Items() const {
    std::vector<PartitionResult> all;
    for (const auto& topic : response.responses)
      all.insert(all.end(), topic.partitions.begin(), topic.partitions.end());
    return all;
  }
  void FailAll(ErrorCode error, const std::string& message) {
    for (const auto& place : places) FailItem(error, message, At(place));
  }
  void Fill(const BrokerServices&,
            const controller::AlterPartitionReassignmentsResponse& outcomes) {
    for (size_t i = 0; i < places.size() && i < static_cast<size_t>(outcomes.partitions_size());
         ++i) {
      const auto& outcome = outcomes.partitions(static_cast<int>(i));
      if (outcome.error_code() == 0) continue;
      FailItem(static_cast<ErrorCode>(outcome.error_code()), outcome.message(), At(places[i]));
    }
  }
};

controller::AlterPartitionReassignmentsRequest Translate(const BrokerServices& services,
                                                         const Request& request,
                                                         Reassignments& call) {
  controller::AlterPartitionReassignmentsRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  out.set_allow_replication_factor_change(request.allow_replication_factor_change);
  call.response.allow_replication_factor_change = request.allow_replication_factor_change;
  call.response.error_message.reset();
  for (const auto& topic : request.topics) {
    auto& results = call.response.responses.emplace_back();
    results.name = topic.name;
    const Refusal text = CheckTopicText(topic.name);
    for (const auto& partition : topic.partitions) {
      PartitionResult& result = results.partitions.emplace_back();
      result.partition_index = partition.partition_index;
      result.error_message.reset();
      if (text.error != ErrorCode::kNone) {
        FailItem(text.error, text.message, result);
        continue;
      }
      call.places.emplace_back(call.response.responses.size() - 1, results.partitions.size() - 1);
      auto* asked = out.add_partitions();
      asked->set_topic(topic.name);
      asked->set_partition(partition.partition_index);
      if (!partition.replicas.has_value()) continue;
      auto* ids = asked->mutable_replicas();
      for (const int32_t id : *partition.replicas) ids->add_ids(id);
    }
  }
  return out;
}

void HandleAlter(BrokerServices& services, const RequestContext& context, Request request,
                 const Responder<Response>& responder) {
  const auto call =
      std::make_shared<Reassignments>(responder, AdminTimeoutMs(services, request.timeout_ms));
  PassOn(services, context, call, Translate(services, request, *call),
         &ControllerClient::AlterPartitionReassignments);
}

}  // namespace

const ApiHandler kAlterPartitionReassignmentsApi =
    Serve<Request, Response, &HandleAlter>(0, 1, /*exclusive=*/true);

}  // namespace sluice::broker
