#include "cli/admin_client.h"

#include "base/clock.h"
#include "rpc/channel.h"

namespace sluice::cli {

AdminClient::AdminClient(const Context& context)
    : context_(context),
      channel_(rpc::MakeChannel(context.server)),
      stub_(admin::Admin::NewStub(channel_)) {}

std::chrono::system_clock::time_point AdminClient::Deadline() const {
  const SystemClock clock;
  return std::chrono::system_clock::time_point(
      std::chrono::milliseconds(clock.WallMs() + context_.timeout_ms));
}

Status AdminClient::ToStatus(const grpc::Status& status) const {
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE: return Status::InvalidArgument(status.error_message());
    case grpc::StatusCode::NOT_FOUND: return Status::NotFound(status.error_message());
    case grpc::StatusCode::ALREADY_EXISTS: return Status::AlreadyExists(status.error_message());
    case grpc::StatusCode::FAILED_PRECONDITION: return Status::Fenced(status.error_message());
    case grpc::StatusCode::UNAVAILABLE: {
      const std::string text = status.error_message();
      if (answered_) return Status::Unavailable(text);
      // Before the reason gRPC tells all that it has tried.
      const size_t reason = text.rfind(": ");
      return Status::Unavailable("nobody answers in gRPC on " + context_.server + ": " +
                                 (reason == std::string::npos ? text : text.substr(reason + 2)));
    }
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Status::Timeout("no answer in time; the change may still happen");
    case grpc::StatusCode::UNIMPLEMENTED:
      // gRPC itself says so without a word of why.
      if (status.error_message().empty())
        return Status::Internal("the node does not know this call");
      [[fallthrough]];
    default: return Status::Internal(status.error_message());
  }
}

std::string WordsOf(const admin::Remembered& remembered) {
  std::string text =
      "no active controller: this is what node " + std::to_string(remembered.node()) + " knew ";
  if (remembered.has_heard_ms_ago()) {
    text +=
        std::to_string(remembered.heard_ms_ago() / 1000) + " s ago, when it last heard of one, ";
  }
  return text + "at metadata index " + std::to_string(remembered.metadata_index());
}

nlohmann::json AsJson(const admin::Remembered& remembered) {
  nlohmann::json json = {{"node", remembered.node()},
                         {"metadata_index", remembered.metadata_index()},
                         {"heard_ms_ago", nullptr}};
  if (remembered.has_heard_ms_ago()) json["heard_ms_ago"] = remembered.heard_ms_ago();
  return json;
}

ExitCode AdminClient::Report(const std::string& what, const Status& status,
                             const std::string& if_refused) const {
  std::string next = if_refused;
  if (ExitCodeOf(status) == ExitCode::kUnreachable && answered_) {
    next = "sluice cluster health tells what this node, or its controller, waits for";
  } else if (ExitCodeOf(status) == ExitCode::kUnreachable) {
    next =
        "check that a node serves gRPC there (sluice dev status; the ports of Kafka and HTTP "
        "are others), or name one with --server";
  } else if (status.code() == StatusCode::kNotFound) {
    next = "sluice topic list shows the topics";
  } else if (status.code() == StatusCode::kAlreadyExists) {
    next = "sluice topic describe shows it; choose another name, or alter it";
  } else if (status.code() == StatusCode::kInternal) {
    next = "sluice cluster health, and the server's log, tell more";
  }
  PrintError(what, status.message(), next);
  return ExitCodeOf(status);
}

}  // namespace sluice::cli
