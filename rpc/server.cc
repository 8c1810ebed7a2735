#include "rpc/server.h"

#include <arpa/inet.h>
#include <google/protobuf/message.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_initializer.h>
#include <grpcpp/resource_quota.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "proto/health.pb.h"

namespace sluice::rpc {
namespace {

// gRPC says only that a bind failed; a bind of our own says why. Empty when nothing seems wrong
// now.
std::string WhyNotBound(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "it is not of the form host:port";
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), address.c_str() + colon + 1,
                                &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string why;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool bound = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0;
    if (!bound) why = std::strerror(errno);
    close(fd);
  }
  freeaddrinfo(found);
  return why;
}

Status BindError(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    const std::string why = WhyNotBound(address);
    if (!why.empty())
      return Status::Unavailable("cannot listen on " + address + " for gRPC: " + why);
  }
  std::string all;
  for (const std::string& address : addresses) all += (all.empty() ? "" : ", ") + address;
  return Status::Unavailable("cannot listen on " + all + " for gRPC");
}

// Learns the names of the server's services, which nothing else of gRPC's tells, so that the health
// service can answer for each of them.
class ServiceNames final : public grpc::ServerBuilderPlugin {
 public:
  explicit ServiceNames(std::vector<std::string>& names) : names_(names) {}

  std::string name() override { return "sluice_service_names"; }
  void InitServer(grpc::ServerInitializer*) override {}
  void Finish(grpc::ServerInitializer* server) override { names_ = *server->GetServiceList(); }
  void ChangeArguments(const std::string&, void*) override {}

 private:
  std::vector<std::string>& names_;
};

class ServiceNamesOption final : public grpc::ServerBuilderOption {
 public:
  explicit ServiceNamesOption(std::vector<std::string>& names) : names_(names) {}

  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    plugins->push_back(std::make_unique<ServiceNames>(names_));
  }

 private:
  std::vector<std::string>& names_;
};

// Reflection and health are global switches of the library, to be set before the first builder. Its
// own log lines tell of ordinary connection troubles in pages; whoever wants them asks with --v=1.
void EnablePlugins() {
  static const bool done = [] {
    gpr_set_log_function([](gpr_log_func_args* line) { VLOG(1) << "grpc: " << line->message; });
    grpc::EnableDefaultHealthCheckService(true);
    // gRPC's health service has no descriptor of its own: reflection describes it by ours.
    google::protobuf::LinkMessageReflection<grpc::health::v1::HealthCheckRequest>();
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)done;
}

}  // namespace

Server::Server(std::unique_ptr<grpc::Server> server, std::vector<int> ports)
    : server_(std::move(server)), ports_(std::move(ports)) {}

Server::~Server() { Stop(0); }

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  EnablePlugins();
  std::vector<std::string> names;  // outlives the builder, which fills it
  grpc::ServerBuilder builder;
  builder.SetOption(std::make_unique<ServiceNamesOption>(names));
  std::vector<int> ports(options.addresses.size(), 0);
  for (size_t i = 0; i < options.addresses.size(); ++i) {
    builder.AddListeningPort(options.addresses[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  // By default two processes may share a port on Linux, and each would get some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Peers ping idle connections to notice a dead host early; the default would answer with GOAWAY.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 100);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.SetMaxReceiveMessageSize(options.message_bytes_max);
  builder.SetMaxSendMessageSize(options.message_bytes_max);
  // The product's services use the callback interface; only reflection is synchronous and needs
  // pollers of its own.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  grpc::ResourceQuota quota("sluice");
  quota.Resize(options.memory_bytes_max);
  quota.SetMaxThreads(16);
  builder.SetResourceQuota(quota);

  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return BindError(options.addresses);
  // A name the health service does not know cannot be checked; SetServing speaks for all it knows.
  for (const std::string& name : names)
    server->GetHealthCheckService()->SetServingStatus(name, true);
  return std::unique_ptr<Server>(new Server(std::move(server), std::move(ports)));
}

std::shared_ptr<grpc::Channel> Server::ChannelWithin() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  return server_->InProcessChannel(arguments);
}

void Server::SetServing(bool serving) {
  if (server_ == nullptr) return;
  if (auto* health = server_->GetHealthCheckService(); health != nullptr) {
    health->SetServingStatus(serving);
  }
}

void Server::Stop(int64_t grace_ms) {
  if (server_ == nullptr) return;
  // gpr's clock, so that no clock of ours is asked outside base/.
  server_->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(grace_ms, GPR_TIMESPAN)));
  server_->Wait();
  server_.reset();
}

}  // namespace sluice::rpc
