#include "broker/net/server.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <thread>
#include <utility>

#include "broker/net/reactor.h"

namespace sluice::broker {

namespace asio = boost::asio;
using asio::ip::tcp;

bool ConnectionCounter::TryAdd(const std::string& ip) {
  std::lock_guard lock(mutex_);
  if (total_ >= max_) return false;
  int32_t& of_ip = by_ip_[ip];
  if (of_ip >= per_ip_max_) return false;
  ++of_ip;
  ++total_;
  return true;
}

void ConnectionCounter::Remove(const std::string& ip) {
  std::lock_guard lock(mutex_);
  const auto found = by_ip_.find(ip);
  CHECK(found != by_ip_.end());
  if (--found->second == 0) by_ip_.erase(found);
  if (--total_ == 0) none_left_.notify_all();
}

bool ConnectionCounter::WaitUntilNone(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return none_left_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [this] { return total_ == 0; });
}

namespace {

constexpr int kReactorsMax = 8;
constexpr std::chrono::milliseconds kAcceptRetry(100);

std::string ListenerText(const ListenerAddress& address) {
  return "listener " + address.name + " on " + (address.host.empty() ? "0.0.0.0" : address.host) +
         ":" + std::to_string(address.port);
}

Result<tcp::endpoint> Resolve(asio::io_context& io, const ListenerAddress& address) {
  boost::system::error_code error;
  const std::string host = address.host.empty() ? "0.0.0.0" : address.host;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return Status::InvalidArgument(ListenerText(address) +
                                   ": the host cannot be resolved: " + error.message());
  }
  return found.begin()->endpoint();
}

Status BindFailure(const ListenerAddress& address, const boost::system::error_code& error) {
  if (error == asio::error::address_in_use) {
    return Status::Unavailable(ListenerText(address) + ": the port is in use by another process");
  }
  return Status::Unavailable(ListenerText(address) + ": " + error.message());
}

uint64_t MachineMemoryBytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

class AsioServer final : public Server {
 public:
  explicit AsioServer(ServerOptions options)
      : counter_(options.connections_max, options.connections_per_ip_max) {
    const uint64_t asked_bytes = options.request_memory_bytes;
    shared_.budget =
        std::make_shared<MemoryBudget>(asked_bytes > 0 ? asked_bytes : MachineMemoryBytes() / 5);
    shared_.counter = &counter_;
    shared_.options = std::move(options);
  }
  ~AsioServer() override { Stop(0); }

  Status Open();
  int port(const std::string& listener) const override;
  void CloseIdle(std::function<bool(const ConnectionInfo&)> which, int64_t within_ms) override;
  void Stop(int64_t grace_ms) override;

 private:
  struct Listener {
    ListenerAddress address;
    tcp::acceptor acceptor;
    int port = 0;
  };

  Status Bind(const ListenerAddress& address);
  asio::awaitable<void> AcceptLoop(Listener& listener);
  void OnAccepted(Listener& listener, Reactor& reactor, tcp::socket socket);

  ServerShared shared_;
  ConnectionCounter counter_;
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  size_t next_reactor_ = 0;  // of the accepting reactor's thread
  bool stopped_ = false;
};

Status AsioServer::Open() {
  int count = shared_.options.reactors;
  if (count <= 0)
    count = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kReactorsMax);
  for (int i = 0; i < count; ++i) reactors_.push_back(std::make_unique<Reactor>(shared_, i));
  for (const ListenerAddress& address : shared_.options.listeners)
    SLUICE_RETURN_IF_ERROR(Bind(address));
  for (const auto& listener : listeners_) {
    asio::co_spawn(reactors_.front()->io(), AcceptLoop(*listener), asio::detached);
  }
  for (const auto& reactor : reactors_) reactor->Start();
  return Status::Ok();
}

Status AsioServer::Bind(const ListenerAddress& address) {
  asio::io_context& io = reactors_.front()->io();
  SLUICE_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve(io, address));
  auto listener = std::make_unique<Listener>(Listener{address, tcp::acceptor(io), 0});
  boost::system::error_code error;
  listener->acceptor.open(endpoint.protocol(), error);
  // Lets a restarted broker bind beside connections in TIME_WAIT; two listeners on one port still
  // exclude each other.
  if (!error) listener->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) listener->acceptor.bind(endpoint, error);
  if (!error) listener->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return BindFailure(address, error);
  listener->port = listener->acceptor.local_endpoint(error).port();
  listeners_.push_back(std::move(listener));
  return Status::Ok();
}

asio::awaitable<void> AsioServer::AcceptLoop(Listener& listener) {
  asio::steady_timer retry(reactors_.front()->io());
  while (listener.acceptor.is_open()) {
    Reactor& reactor = *reactors_[next_reactor_++ % reactors_.size()];
    boost::system::error_code error;
    tcp::socket socket = co_await listener.acceptor.async_accept(
        reactor.io(), asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      OnAccepted(listener, reactor, std::move(socket));
    } else if (listener.acceptor.is_open() && error != asio::error::connection_aborted) {
      LOG_EVERY_N(WARNING, 100) << ListenerText(listener.address)
                                << ": accept: " << error.message();
      retry.expires_after(kAcceptRetry);
      co_await retry.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void AsioServer::OnAccepted(Listener& listener, Reactor& reactor, tcp::socket socket) {
  NetMetrics& metrics = *shared_.options.metrics;
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;  // gone again
  const std::string ip = peer.address().to_string();
  if (!counter_.TryAdd(ip)) {
    Count(metrics.connections_refused);
    LOG_EVERY_N(WARNING, 100) << "refusing a connection from " << ip
                              << ": max.connections or max.connections.per.ip is reached; "
                              << metrics.connections_refused.load() << " refused so far";
    return;
  }
  Count(metrics.connections_accepted);
  metrics.connections.fetch_add(1, std::memory_order_relaxed);
  std::string peer_address = ip + ":" + std::to_string(peer.port());
  reactor.Adopt({std::move(socket), listener.address.name, ip, std::move(peer_address)});
}

int AsioServer::port(const std::string& listener) const {
  for (const auto& known : listeners_) {
    if (known->address.name == listener) return known->port;
  }
  return 0;
}

void AsioServer::CloseIdle(std::function<bool(const ConnectionInfo&)> which, int64_t within_ms) {
  const int64_t until_ms = shared_.options.clock->SteadyMs() + within_ms;
  for (const auto& reactor : reactors_) reactor->CloseIdle(which, until_ms);
}

void AsioServer::Stop(int64_t grace_ms) {
  if (std::exchange(stopped_, true) || reactors_.empty()) return;
  asio::post(reactors_.front()->io(), [this] {
    boost::system::error_code ignored;
    for (const auto& listener : listeners_) listener->acceptor.close(ignored);
  });
  for (const auto& reactor : reactors_) reactor->Drain();
  if (!counter_.WaitUntilNone(grace_ms))
    LOG(INFO) << "closing connections that still have requests in progress";
  // Those after the first first: the acceptors' sockets live on the first one.
  for (auto reactor = reactors_.rbegin(); reactor != reactors_.rend(); ++reactor)
    (*reactor)->Stop();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  CHECK(options.sink && options.clock != nullptr && options.metrics != nullptr);
  CHECK(options.cold_reads != nullptr);
  auto server = std::make_unique<AsioServer>(std::move(options));
  SLUICE_RETURN_IF_ERROR(server->Open());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace sluice::broker
