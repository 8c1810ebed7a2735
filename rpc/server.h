#pragma once
// Server: a gRPC server on one or more addresses, set up the way every node of Sluice wants it:
// reflection and the standard health service on, the message size bounded, memory and threads kept
// small, and a port that is taken told in one clear Status.
//
// Thread rule: Start, SetServing and Stop from one owner; the services are called on gRPC's
// threads.
//
//   rpc::ServerOptions options{.addresses = {"127.0.0.1:9095"}, .services = {&admin_service}};
//   SLUICE_ASSIGN_OR_RETURN(auto server, rpc::Server::Start(options));
//
// When not to use: for anything that speaks the Kafka protocol (broker/net) or HTTP
// (admin/http_server.h).

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice::rpc {

// What one message may hold; a snapshot or a batch of metadata is cut into smaller chunks by its
// sender.
inline constexpr int kMessageBytesMax = 64 << 20;

struct ServerOptions {
  std::vector<std::string> addresses;    // host:port; port 0 picks a free one
  std::vector<grpc::Service*> services;  // not owned; outlive the server
  int message_bytes_max = kMessageBytesMax;
  size_t memory_bytes_max = 256 << 20;  // for all connections together
};

class Server {
 public:
  // kUnavailable when an address cannot be bound, naming it and the reason.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options);
  ~Server();

  // The bound port of options.addresses[i].
  int port(size_t i) const { return ports_[i]; }
  // To this server from its own process, without a socket. Calls fail once the server stops.
  std::shared_ptr<grpc::Channel> ChannelWithin();
  // What the standard health service answers, for the whole server ("") and for each service by
  // its name; true from Start on.
  void SetServing(bool serving);
  // No new calls; those running get `grace_ms` to end and are cancelled then. Idempotent.
  void Stop(int64_t grace_ms);

 private:
  Server(std::unique_ptr<grpc::Server> server, std::vector<int> ports);

  std::unique_ptr<grpc::Server> server_;
  std::vector<int> ports_;
};

}  // namespace sluice::rpc
