#include "bench/groups/wire_client.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"

namespace sluice::bench {
namespace {

constexpr size_t kReadBytes = 64 << 10;

}  // namespace

void Require(bool fine, const std::string& error) {
  if (fine) return;
  std::fprintf(stderr, "bench_groups: %s\n", error.c_str());
  std::exit(1);
}

WireClient::WireClient() : epoll_(epoll_create1(0)) { Require(epoll_ >= 0, "no epoll"); }

WireClient::~WireClient() {
  for (const Connection& connection : connections_) close(connection.fd);
  close(epoll_);
}

WireClient::ConnectionId WireClient::Connect(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  Require(getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) == 0,
          "no address of " + host);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0,
          "no connection to " + host + ":" + std::to_string(port));
  freeaddrinfo(found);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const ConnectionId id = connections_.size();
  connections_.emplace_back().fd = fd;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll refuses a connection");
  return id;
}

WireClient::ConnectionId WireClient::Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  Require(colon != std::string::npos, "no port in " + address);
  return Connect(address.substr(0, colon),
                 static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
}

void WireClient::Send(ConnectionId id, const std::string& frame, OnFrame done) {
  Connection& connection = connections_[id];
  connection.out += frame;
  connection.waiting.push_back(std::move(done));
  if (!std::exchange(connection.queued, true)) unsent_.push_back(id);
}

// A server that is slow to read makes this wait, and its answers with it: none of the loads here
// have more under way than a socket buffer holds.
void WireClient::Flush() {
  for (const ConnectionId id : std::exchange(unsent_, {})) {
    Connection& connection = connections_[id];
    connection.queued = false;
    for (std::string_view rest = connection.out; !rest.empty();) {
      const ssize_t sent = send(connection.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      Require(sent > 0 || errno == EINTR, "a connection was lost while it was written to");
      if (sent > 0) rest.remove_prefix(static_cast<size_t>(sent));
    }
    connection.out.clear();
  }
}

void WireClient::Poll(int wait_ms) {
  Flush();
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_, events.data(), events.size(), wait_ms);
  for (int i = 0; i < count; ++i) Receive(connections_[events[static_cast<size_t>(i)].data.u64]);
  Flush();
}

void WireClient::Receive(Connection& connection) {
  std::array<char, kReadBytes> buffer;
  const ssize_t received = recv(connection.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  Require(received > 0, "a connection was lost");
  connection.in.append(buffer.data(), static_cast<size_t>(received));
  size_t position = 0;
  while (connection.in.size() - position >= sizeof(int32_t)) {
    const auto size = static_cast<size_t>(LoadBigEndian<int32_t>(connection.in.data() + position));
    if (connection.in.size() - position - sizeof(int32_t) < size) break;
    Require(!connection.waiting.empty(), "an answer that nobody asked for");
    const OnFrame done = std::move(connection.waiting.front());
    connection.waiting.pop_front();
    done(std::string_view(connection.in).substr(position + sizeof(int32_t), size));
    position += sizeof(int32_t) + size;
  }
  connection.in.erase(0, position);
}

}  // namespace sluice::bench
