#pragma once
// AdminClient: the CLI's blocking calls to the admin service of one node.
//
// Thread rule: the main thread.

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>
#include <string>

#include "cli/context.h"
#include "proto/admin.grpc.pb.h"
#include "rpc/message_text.h"

namespace sluice::cli {

class AdminClient {
 public:
  explicit AdminClient(const Context& context);

  // Calls `method` (a member of Admin::Stub); the Status carries the server's words.
  template <typename Request, typename Response>
  Result<Response> Call(grpc::Status (admin::Admin::Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                        const Request& request) {
    if (Status readable = rpc::CheckText(request); !readable.ok()) return readable;
    grpc::ClientContext call;
    call.set_deadline(Deadline());
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&call, request, &response);
    answered_ = channel_->GetState(false) == GRPC_CHANNEL_READY;
    if (!status.ok()) return ToStatus(status);
    return response;
  }

  // Prints the three lines for a failed call and gives its exit code. `if_refused`: what to do when
  // the server does not take what was asked.
  ExitCode Report(const std::string& what, const Status& status,
                  const std::string& if_refused = "correct the value and try again") const;

 private:
  std::chrono::system_clock::time_point Deadline() const;
  Status ToStatus(const grpc::Status& status) const;

  const Context& context_;
  const std::shared_ptr<grpc::Channel> channel_;
  bool answered_ = false;  // somebody who speaks gRPC, to the last call
  std::unique_ptr<admin::Admin::Stub> stub_;
};

// "fenced, draining": what a broker does, and what is wanted of it, as an admin::Broker or an
// admin::Node tells it.
template <typename Broker>
std::string StateOf(const Broker& broker) {
  if (broker.goal() == "serve" || broker.goal().empty()) return broker.state();
  const std::string goal = broker.goal() == "decommission" ? "decommissioning"
                           : broker.leaders() > 0          ? "draining"
                                                           : "drained";
  return broker.state() == "active" ? goal : broker.state() + ", " + goal;
}

// What is said of an answer that one node gave from its memory, since no controller is active.
std::string WordsOf(const admin::Remembered& remembered);
nlohmann::json AsJson(const admin::Remembered& remembered);

// A line on stderr; with -o json the answer has a field "remembered" instead, MarkIfRemembered's.
template <typename Response>
void TellIfRemembered(const Context& context, const Response& response) {
  if (response.has_remembered() && !context.json())
    std::cerr << WordsOf(response.remembered()) << std::endl;
}
template <typename Response>
void MarkIfRemembered(const Response& response, nlohmann::json& json) {
  if (response.has_remembered()) json["remembered"] = AsJson(response.remembered());
}

}  // namespace sluice::cli
