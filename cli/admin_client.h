#pragma once
// AdminClient: the CLI's blocking calls to the admin service of one node.
//
// Thread rule: the main thread.

#include <grpcpp/grpcpp.h>

#include <memory>

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

}  // namespace sluice::cli
