#pragma once
// Channel set-up: how a node dials another over gRPC. A lost connection is dialled again after 50
// to 500 ms, proxies and DNS service configurations are left out, and messages are bounded as on
// the server.
//
// Thread rule: functions; a grpc::Channel may be used from any thread.

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace sluice::rpc {

inline constexpr int kReconnectMinMs = 50;
inline constexpr int kReconnectMaxMs = 500;

// A channel to host:port. It dials at the first call.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

// Dials at once when the channel is waiting out its back-off: for a caller who has heard that the
// other side lives.
void HurryUp(grpc::Channel& channel);

// Sets the deadline of a call that is about to start.
void SetTimeout(grpc::ClientContext& context, int64_t timeout_ms);

}  // namespace sluice::rpc
