#pragma once
// How an error looks at each door: Kafka's code from a controller becomes a Status, and a Status
// becomes a gRPC code or, over HTTP, Connect's word and a status number.
//
// Thread rule: pure functions.

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice::admin {

// OK for 0. `message` is the controller's; where it is empty Kafka's own sentence is told.
Status StatusFromKafka(int error_code, const std::string& message);
grpc::StatusCode ToGrpcCode(StatusCode code);
grpc::Status ToGrpc(const Status& status);
// What another node's admin service said, to be passed on.
Status FromGrpc(const grpc::Status& status);

struct HttpError {
  int http_status = 500;
  std::string_view code;  // "invalid_argument"
};
HttpError ToHttp(StatusCode code);

}  // namespace sluice::admin
