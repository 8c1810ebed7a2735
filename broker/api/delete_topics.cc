// DeleteTopics (key 20): passed on to the controller; answered when this broker has applied the
// change.
//   v3 TOPIC_DELETION_DISABLED.  v4 flexible.  v5 error messages.  v6 topics by id.

#include "kafka/messages/delete_topics.h"

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
using Request = kafka::DeleteTopicsRequest;
using Response = kafka::DeleteTopicsResponse;
using TopicResult = Response::DeletableTopicResult;

constexpr int16_t kDeletionDisabledSince = 3;
constexpr int16_t kTopicIdsSince = 6;

// A request between its decoding and its answer.
struct Deletion : AdminCall<Request, Response> {
  using AdminCall::AdminCall;

  std::vector<size_t> places;  // of those that the controller was asked for, in their order

  const auto& Items() const { return response.responses; }
  void FailAll(ErrorCode error, const std::string& message);
  void Fill(const BrokerServices& services, const controller::DeleteTopicsResponse& outcomes);
};

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
    const Refusal text = CheckTopicText(topic.name.value_or(""));
    if (text.error != ErrorCode::kNone) {
      FailItem(text.error, text.message, result);
    } else if (const std::string mistake = Mistake(topic, twice); !mistake.empty()) {
      FailItem(ErrorCode::kInvalidRequest, mistake, result);
    } else if (!enabled) {
      const bool known_code = version >= kDeletionDisabledSince;
      FailItem(known_code ? ErrorCode::kTopicDeletionDisabled : ErrorCode::kInvalidRequest,
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

void Deletion::FailAll(ErrorCode error, const std::string& message) {
  for (const size_t place : places) FailItem(error, message, response.responses[place]);
}

// The controller answers in the order of the request.
void Deletion::Fill(const BrokerServices&, const controller::DeleteTopicsResponse& outcomes) {
  for (size_t i = 0; i < places.size(); ++i) {
    TopicResult& out = response.responses[places[i]];
    if (static_cast<int>(i) >= outcomes.topics_size()) {
      FailItem(ErrorCode::kUnknownServerError, "the controller did not answer for this topic", out);
      continue;
    }
    const controller::TopicOutcome& outcome = outcomes.topics(static_cast<int>(i));
    if (!outcome.name().empty()) out.name = outcome.name();
    if (outcome.topic_id().size() == 16) out.topic_id = Uuid::FromBytes(outcome.topic_id());
    if (outcome.error_code() != 0)
      FailItem(static_cast<ErrorCode>(outcome.error_code()), outcome.message(), out);
  }
}

void HandleDeleteTopics(BrokerServices& services, const RequestContext& context, Request request,
                        const Responder<Response>& responder) {
  const auto deletion =
      std::make_shared<Deletion>(responder, AdminTimeoutMs(services, request.timeout_ms));
  PassOn(services, context, deletion, Translate(services, request, context.version, *deletion),
         &ControllerClient::DeleteTopics);
}

}  // namespace

const ApiHandler kDeleteTopicsApi =
    Serve<Request, Response, &HandleDeleteTopics>(1, 6, /*exclusive=*/true);

}  // namespace sluice::broker
