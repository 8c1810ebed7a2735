#pragma once
// Decision: what a manager makes of a request, as a value: records for the log and the answer to
// give once they are committed. Nothing has happened yet when a Decision exists; replaying its
// records is what changes the cluster (architecture.md, decision 5). A request that is only
// validated gets the same records: the controller measures them as it measures all, and drops them.
//
// Thread rule: values.

#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/ids.h"
#include "base/random.h"
#include "kafka/error_code.h"
#include "metadata/image.h"
#include "proto/controller.pb.h"
#include "proto/metadata.pb.h"

namespace sluice::controller {

using Records = std::vector<metadata::MetadataRecord>;

class FullDirectories;
class LogEnds;

// What a manager may look at. `image` holds all that is committed or proposed.
struct HandleContext {
  const metadata::ImagePtr& image;
  LogIndex index;  // that the decision's records will have
  int64_t now_ms;  // steady
  int64_t wall_ms;
  const ConfigValues& server;  // this node's configuration: the defaults of requests
  Random& random;
  const LogEnds* log_ends = nullptr;  // what replicas without a leader have told; null = nothing
  const FullDirectories* full = nullptr;  // null = nobody has told of any
};

template <typename Response>
struct Decision {
  Records records;
  Response response;
};

inline int32_t Code(kafka::ErrorCode code) { return static_cast<int32_t>(code); }

// Sets code and message of an Outcome, a TopicOutcome or an AlterConfigsResponse::Resource.
template <typename Message>
void SetError(Message& message, kafka::ErrorCode code, const std::string& text) {
  message.set_error_code(Code(code));
  message.set_message(text);
}

inline void Append(Records& records, Records more) {
  for (auto& record : more) records.push_back(std::move(record));
}

inline bool IsUuid(const std::string& bytes) { return bytes.size() == 16; }

// The error of a request whose sender is not the broker registered under its id, in that epoch and
// with that disk, or kNone.
struct SenderCheck {
  kafka::ErrorCode code = kafka::ErrorCode::kNone;
  std::string message;
};
SenderCheck CheckBrokerSender(const metadata::Image& image, const Sender& sender);

}  // namespace sluice::controller
