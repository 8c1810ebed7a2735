// CreatePartitions (key 37): more partitions for topics. Passed on to the controller; answered when
// this broker has applied the change.
//   v2 flexible.  v3 throttling.

#include "kafka/messages/create_partitions.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/admin_call.h"
#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::CreatePartitionsRequest;
using Response = kafka::CreatePartitionsResponse;
using TopicResult = Response::CreatePartitionsTopicResult;

// A request between its decoding and its answer.
struct Growth {
  Response response;
  std::map<std::string, size_t> places;  // of those that the controller was asked for
};

void Fail(ErrorCode error, const std::string& message, TopicResult& out) {
  out.error_code = WireError(error);
  out.error_message = message.empty() ? std::string(kafka::ErrorMessage(error)) : message;
}

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
    if (twice.contains(topic.name)) {
      Fail(ErrorCode::kInvalidRequest, "topic " + topic.name + " is named twice", result);
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

void FailAll(ErrorCode error, const std::string& message, Growth& growth) {
  for (const auto& [name, place] : growth.places)
    Fail(error, message, growth.response.results[place]);
}

void FillOutcomes(const controller::CreatePartitionsResponse& outcomes, Growth& growth) {
  for (const controller::TopicOutcome& outcome : outcomes.topics()) {
    const auto place = growth.places.find(outcome.name());
    if (place == growth.places.end() || outcome.error_code() == 0) continue;
    Fail(static_cast<ErrorCode>(outcome.error_code()), outcome.message(),
         growth.response.results[place->second]);
  }
}

void Answer(const BrokerServices& services, const Growth& growth,
            const Responder<Response>& responder) {
  const auto& all = growth.response.results;
  const bool failed = std::any_of(all.begin(), all.end(),
                                  [](const TopicResult& topic) { return topic.error_code != 0; });
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(growth.response);
}

// How the request ends, whatever the controller says.
AdminEnd<controller::CreatePartitionsResponse> EndOf(BrokerServices& services,
                                                     const std::shared_ptr<Growth>& growth,
                                                     const Responder<Response>& responder) {
  return {[&services, growth, responder](ErrorCode error, const std::string& message) {
            FailAll(error, message, *growth);
            Answer(services, *growth, responder);
          },
          [&services, growth, responder](const controller::CreatePartitionsResponse& response) {
            FillOutcomes(response, *growth);
            Answer(services, *growth, responder);
          }};
}

void HandleCreatePartitions(BrokerServices& services, const RequestContext&, Request request,
                            const Responder<Response>& responder) {
  const auto growth = std::make_shared<Growth>();
  controller::CreatePartitionsRequest translated = Translate(services, request, *growth);
  if (translated.topics().empty()) {
    Answer(services, *growth, responder);
    return;
  }
  const int64_t timeout_ms = AdminTimeoutMs(services, request.timeout_ms);
  services.controller->CreatePartitions(std::move(translated), timeout_ms,
                                        WhenCarriedOut(services, timeout_ms, request.validate_only,
                                                       EndOf(services, growth, responder)));
}

}  // namespace

const ApiHandler kCreatePartitionsApi =
    Serve<Request, Response, &HandleCreatePartitions>(0, 3, /*exclusive=*/true);

}  // namespace sluice::broker
