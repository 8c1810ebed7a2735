// ElectLeaders (key 43): gives partitions their preferred leader, or those without a leader the
// live replica whose log has the most. Passed on to the controller; answered when this broker has
// applied the change.
//   v1 the latter (unclean); before, always the preferred one.  v2 flexible.

#include "kafka/messages/elect_leaders.h"

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
using Request = kafka::ElectLeadersRequest;
using Response = kafka::ElectLeadersResponse;
using TopicResult = Response::ReplicaElectionResult;
using PartitionResult = Response::PartitionResult;

constexpr int8_t kPreferredElection = 0;
constexpr int8_t kUncleanElection = 1;

// A request between its decoding and its answer.
struct Elections : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  bool all = false;          // every partition: what was elected, the answer tells
  metadata::ImagePtr image;  // of the request's time
  // Of those that the controller was asked for, in the order of its answer; where their results
  // are. One that stands for none when all were.
  std::vector<std::pair<size_t, size_t>> places;

  PartitionResult& Add(const std::string& topic, int32_t partition) {
    auto& results = response.replica_election_results;
    if (results.empty() || results.back().topic != topic) results.emplace_back().topic = topic;
    PartitionResult& result = results.back().partition_result.emplace_back();
    result.partition_id = partition;
    result.error_message.reset();
    return result;
  }
  std::vector<PartitionResult> Items() const {
    std::vector<PartitionResult> items;
    for (const TopicResult& topic : response.replica_election_results)
      items.insert(items.end(), topic.partition_result.begin(), topic.partition_result.end());
    return items;
  }
  void FailAll(ErrorCode error, const std::string& message);
  void Fill(const BrokerServices&, const controller::ElectLeadersResponse& outcomes);
};

void Elections::FailAll(ErrorCode error, const std::string& message) {
  if (!all) {
    for (const auto& [topic, partition] : places) {
      FailItem(error, message,
               response.replica_election_results[topic].partition_result[partition]);
    }
    return;
  }
  for (const auto& [name, topic] : *image->topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i)
      FailItem(error, message, Add(name, static_cast<int32_t>(i)));
  }
}

void Elections::Fill(const BrokerServices&, const controller::ElectLeadersResponse& outcomes) {
  for (int i = 0; i < outcomes.partitions_size(); ++i) {
    const controller::PartitionOutcome& outcome = outcomes.partitions(i);
    if (!all && static_cast<size_t>(i) >= places.size()) return;
    PartitionResult& result =
        all ? Add(outcome.topic(), outcome.partition())
            : response.replica_election_results[places[i].first].partition_result[places[i].second];
    if (outcome.error_code() != 0)
      FailItem(static_cast<ErrorCode>(outcome.error_code()), outcome.message(), result);
  }
}

controller::ElectLeadersRequest Translate(const BrokerServices& services, const Request& request,
                                          Elections& call) {
  controller::ElectLeadersRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  const bool known =
      request.election_type == kPreferredElection || request.election_type == kUncleanElection;
  out.set_unclean(request.election_type == kUncleanElection);
  call.all = known && !request.topic_partitions.has_value();
  call.image = services.metadata->Current();
  if (call.all) {
    out.set_all(true);
    call.places.emplace_back();
    return out;
  }
  if (!request.topic_partitions.has_value()) {
    call.response.error_code = kafka::WireError(ErrorCode::kInvalidRequest);
    return out;
  }
  for (const auto& topic : *request.topic_partitions) {
    const Refusal text = CheckTopicText(topic.topic);
    for (const int32_t partition : topic.partitions) {
      PartitionResult& result = call.Add(topic.topic, partition);
      if (text.error != ErrorCode::kNone) {
        FailItem(text.error, text.message, result);
        continue;
      }
      if (!known) {
        FailItem(ErrorCode::kInvalidRequest,
                 "election type " + std::to_string(request.election_type) +
                     " is unknown; allowed are 0 (preferred) and 1 (unclean)",
                 result);
        continue;
      }
      const auto& results = call.response.replica_election_results;
      call.places.emplace_back(results.size() - 1, results.back().partition_result.size() - 1);
      auto* asked = out.add_partitions();
      asked->set_topic(topic.topic);
      asked->set_partition(partition);
    }
  }
  return out;
}

void HandleElect(BrokerServices& services, const RequestContext& context, Request request,
                 const Responder<Response>& responder) {
  const auto call =
      std::make_shared<Elections>(responder, AdminTimeoutMs(services, request.timeout_ms));
  PassOn(services, context, call, Translate(services, request, *call),
         &ControllerClient::ElectLeaders);
}

}  // namespace

const ApiHandler kElectLeadersApi =
    Serve<Request, Response, &HandleElect>(0, 2, /*exclusive=*/true);

}  // namespace sluice::broker
