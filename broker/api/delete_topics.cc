// DeleteTopics (key 20): passed on to the controller; answered when this broker has applied the
// change.
//   v3 TOPIC_DELETION_DISABLED.  v4 flexible.  v5 error messages.  v6 topics by id.

#include "kafka/messages/delete_topics.h"

#include <algorithm>
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
using Request = kafka::DeleteTopicsRequest;
using Response = kafka::DeleteTopicsResponse;
using TopicResult = Response::DeletableTopicResult;

constexpr int16_t kDeletionDisabledSince = 3;
constexpr int16_t kTopicIdsSince = 6;

// A request between its decoding and its answer.
struct Deletion {
  Response response;
  std::vector<size_t> places;  // of those that the controller was asked for, in their order
};

void Fail(ErrorCode error, const std::string& message, TopicResult& out) {
  out.error_code = WireError(error);
  out.error_message = message.empty() ? std::string(kafka::ErrorMessage(error)) : message;
}

// The topics asked for, in the form of version 6.
std::vector<Request::DeleteTopicState> Asked(const Request& request, int16_t version) {
  if (version >= kTopicIdsSince) return request.topics;
  std::vector<Request::DeleteTopicState> asked;
  for (const std::string& name : request.topic_names) asked.emplace_back().name = name;
  return asked;
}

std::string Key(const Request::DeleteTopicState& topic) {
  return topic.name.has_value() ? "name " + *topic.name : "id " + topic.topic_id.ToString();
}

std::string Mistake(const Request::DeleteTopicState& topic, const std::set<std::string>& twice) {
  if (topic.name.has_value() && !topic.topic_id.IsZero())
    return "a topic is given by name and by id";
  if (!topic.name.has_value() && topic.topic_id.IsZero())
    return "a topic is given neither by name nor by id";
  if (twice.contains(Key(topic))) return "the topic of " + Key(topic) + " is named twice";
  return "";
}

controller::DeleteTopicsRequest Translate(const BrokerServices& services, const Request& request,
                                          int16_t version, Deletion& deletion) {
  controller::DeleteTopicsRequest out;
  *out.mutable_sender() = MakeSender(*services.state);
  const metadata::ImagePtr image = services.metadata->Current();
  const bool enabled = services.config->values.GetBool("delete.topic.enable");
  const auto asked = Asked(request, version);
  std::vector<std::string> keys;
  for (const auto& topic : asked) keys.push_back(Key(topic));
  const std::set<std::string> twice = Duplicates(keys);
  for (const auto& topic : asked) {
    TopicResult& result = deletion.response.responses.emplace_back();
    result.name = topic.name;
    result.topic_id = topic.topic_id;
    const auto known =
        topic.name.has_value() ? image->FindTopic(*topic.name) : image->FindTopic(topic.topic_id);
    if (known != nullptr) {
      result.name = known->name;
      result.topic_id = known->id;
    }
    if (const std::string mistake = Mistake(topic, twice); !mistake.empty()) {
      Fail(ErrorCode::kInvalidRequest, mistake, result);
    } else if (!enabled) {
      const bool known_code = version >= kDeletionDisabledSince;
      Fail(known_code ? ErrorCode::kTopicDeletionDisabled : ErrorCode::kInvalidRequest,
           "delete.topic.enable is false", result);
    } else {
      auto* to = out.add_topics();
      if (topic.name.has_value()) to->set_name(*topic.name);
      if (!topic.name.has_value()) to->set_topic_id(std::string(topic.topic_id.view()));
      deletion.places.push_back(deletion.response.responses.size() - 1);
    }
  }
  return out;
}

void FailAll(ErrorCode error, const std::string& message, Deletion& deletion) {
  for (const size_t place : deletion.places)
    Fail(error, message, deletion.response.responses[place]);
}

// The controller answers in the order of the request.
void FillOutcomes(const controller::DeleteTopicsResponse& outcomes, Deletion& deletion) {
  for (size_t i = 0; i < deletion.places.size(); ++i) {
    TopicResult& out = deletion.response.responses[deletion.places[i]];
    if (static_cast<int>(i) >= outcomes.topics_size()) {
      Fail(ErrorCode::kUnknownServerError, "the controller did not answer for this topic", out);
      continue;
    }
    const controller::TopicOutcome& outcome = outcomes.topics(static_cast<int>(i));
    if (!outcome.name().empty()) out.name = outcome.name();
    if (outcome.topic_id().size() == 16) out.topic_id = Uuid::FromBytes(outcome.topic_id());
    if (outcome.error_code() != 0)
      Fail(static_cast<ErrorCode>(outcome.error_code()), outcome.message(), out);
  }
}

void Answer(const BrokerServices& services, const Deletion& deletion,
            const Responder<Response>& responder) {
  const auto& all = deletion.response.responses;
  const bool failed = std::any_of(all.begin(), all.end(),
                                  [](const TopicResult& topic) { return topic.error_code != 0; });
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(deletion.response);
}

// How the request ends, whatever the controller says.
AdminEnd<controller::DeleteTopicsResponse> EndOf(BrokerServices& services,
                                                 const std::shared_ptr<Deletion>& deletion,
                                                 const Responder<Response>& responder) {
  return {[&services, deletion, responder](ErrorCode error, const std::string& message) {
            FailAll(error, message, *deletion);
            Answer(services, *deletion, responder);
          },
          [&services, deletion, responder](const controller::DeleteTopicsResponse& response) {
            FillOutcomes(response, *deletion);
            Answer(services, *deletion, responder);
          }};
}

void HandleDeleteTopics(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  const auto deletion = std::make_shared<Deletion>();
  controller::DeleteTopicsRequest translated =
      Translate(services, request, context.version, *deletion);
  if (translated.topics().empty()) {
    Answer(services, *deletion, responder);
    return;
  }
  const int64_t timeout_ms = AdminTimeoutMs(services, request.timeout_ms);
  services.controller->DeleteTopics(
      std::move(translated), timeout_ms,
      WhenCarriedOut(services, timeout_ms, false, EndOf(services, deletion, responder)));
}

}  // namespace

const ApiHandler kDeleteTopicsApi =
    Serve<Request, Response, &HandleDeleteTopics>(1, 6, /*exclusive=*/true);

}  // namespace sluice::broker
