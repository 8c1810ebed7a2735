// CreatePartitions (key 37): more partitions for topics. Passed on to the controller; answered when
// this broker has applied the change.
//   v2 flexible.  v3 throttling.

#include "kafka/messages/create_partitions.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/api/admin_call.h"
#include "broker/api/api_support.h"
#include "broker/api/handlers.h"
#include "broker/sender.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::CreatePartitionsRequest;
using Response = kafka::CreatePartitionsResponse;
using TopicResult = Response::CreatePartitionsTopicResult;

// A request between its decoding and its answer.
struct Growth : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  std::map<std::string, size_t> places;  // of those that the controller was asked for

  const auto& Items() const { return response.results; }
  void FailAll(ErrorCode error, const std::string& message);
  void Fill(const BrokerServices& services, const controller::CreatePartitionsResponse& outcomes);
};

controller::CreatePartitionsRequest Translate(const BrokerServices& services,
                                              const Request& request, Growth& growth) {
  controller::CreatePartitionsRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  out.set_validate_only(request.validate_only);
  const metadata::ImagePtr image = services.metadata->Current();
  std::vector<std::string> names;
  for (const auto& topic : request.topics) names.push_back(topic.name);
  const std::set<std::string> twice = Duplicates(names);
  std::set<std::string> refused;
  for (const auto& topic : request.topics) {
    if (twice.contains(topic.name) && !refused.insert(topic.name).second) continue;
    TopicResult& result = growth.response.results.emplace_back();
    result.name = topic.name;
    if (const Refusal text = CheckTopicText(topic.name); text.error != ErrorCode::kNone) {
      FailItem(text.error, text.message, result);
      continue;
    }
    if (twice.contains(topic.name)) {
      FailItem(ErrorCode::kInvalidRequest, "topic " + topic.name + " is named twice", result);
      continue;
    }
    growth.places[topic.name] = growth.response.results.size() - 1;
    auto* to = out.add_topics();
    to->set_name(topic.name);
    to->set_partition_count(topic.count);
    if (!topic.assignments.has_value()) continue;
    // The request lists the new partitions only; they follow those that exist.
    const auto known = image->FindTopic(topic.name);
    int32_t next = known == nullptr ? 0 : static_cast<int32_t>(known->partitions.size());
    for (const auto& assignment : *topic.assignments) {
      auto* added = to->add_assignments();
      added->set_partition(next++);
      for (const int32_t id : assignment.broker_ids) added->add_replicas(id);
    }
  }
  return out;
}

void Growth::FailAll(ErrorCode error, const std::string& message) {
  for (const auto& [name, place] : places) FailItem(error, message, response.results[place]);
}

void Growth::Fill(const BrokerServices&, const controller::CreatePartitionsResponse& outcomes) {
  for (const controller::TopicOutcome& outcome : outcomes.topics()) {
    const auto place = places.find(outcome.name());
    if (place == places.end() || outcome.error_code() == 0) continue;
    FailItem(static_cast<ErrorCode>(outcome.error_code()), outcome.message(),
             response.results[place->second]);
  }
}

void HandleCreatePartitions(BrokerServices& services, const RequestContext& context,
                            Request request, const Responder<Response>& responder) {
  const auto growth =
      std::make_shared<Growth>(responder, AdminTimeoutMs(services, request.timeout_ms));
  growth->validate_only = request.validate_only;
  PassOn(services, context, growth, Translate(services, request, *growth),
         &ControllerClient::CreatePartitions);
}

}  // namespace

const ApiHandler kCreatePartitionsApi =
    Serve<Request, Response, &HandleCreatePartitions>(0, 3, /*exclusive=*/true);

}  // namespace sluice::broker
