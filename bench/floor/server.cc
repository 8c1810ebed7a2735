#include "bench/floor/server.h"

#include <arpa/inet.h>
#include <glog/logging.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace sluice::bench {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kPartsAtOnce = 64;
constexpr size_t kLengthBytes = sizeof(int32_t);

int Listen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  PCHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  PCHECK(listen(fd, SOMAXCONN) == 0);
  return fd;
}

}  // namespace

FloorWorker::FloorWorker(FloorApi& api, std::vector<std::unique_ptr<FloorWorker>>& all)
    : api_(api),
      all_(all),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_}};
  PCHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
}

FloorWorker::~FloorWorker() {
  close(wake_);
  close(epoll_);
}

void FloorWorker::Adopt(int socket) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
  PCHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) == 0);
}

void FloorWorker::Run() {
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = epoll_wait(epoll_, events.data(), events.size(), NextTimeoutMs());
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == wake_) {
        uint64_t ignored;
        [[maybe_unused]] const ssize_t size = read(wake_, &ignored, sizeof ignored);
        continue;
      }
      auto& connection = connections_[fd];
      if (connection == nullptr) {
        connection = std::make_unique<Connection>();
        connection->socket = fd;
        connection->in.resize(kBufferBytes);
      }
      Serve(*connection);
    }
    if (parked_ > 0) WakeParked();
  }
}

int FloorWorker::NextTimeoutMs() const {
  if (parked_ == 0) return -1;
  Clock::time_point first = Clock::time_point::max();
  for (const auto& [fd, connection] : connections_)
    if (connection->parked_until) first = std::min(first, *connection->parked_until);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now());
  return std::max(0, static_cast<int>(left.count()));
}

void FloorWorker::WakeParked() {
  std::vector<Connection*> parked;
  for (const auto& [fd, connection] : connections_)
    if (connection->parked_until) parked.push_back(connection.get());
  for (Connection* connection : parked)
    if (!AnswerAll(*connection) || !Send(*connection)) Close(*connection);
}

void FloorWorker::Serve(Connection& connection) {
  if (!Receive(connection) || !AnswerAll(connection) || !Send(connection)) Close(connection);
}

bool FloorWorker::Receive(Connection& connection) {
  if (connection.in_begin == connection.in_end) connection.in_begin = connection.in_end = 0;
  auto& in = connection.in;
  // The whole of a request that is on its way has to fit behind the bytes that are there.
  const size_t have = connection.in_end - connection.in_begin;
  size_t need = kLengthBytes;
  if (have >= kLengthBytes) {
    const auto size = LoadBigEndian<int32_t>(in.data() + connection.in_begin);
    if (size < 0 || size > (100 << 20)) return false;
    need += static_cast<size_t>(size);
  }
  if (connection.in_begin + std::max(need, have + 1) > in.size()) {
    std::memmove(in.data(), in.data() + connection.in_begin, have);
    connection.in_begin = 0;
    connection.in_end = have;
    if (std::max(need, have + 1) > in.size()) in.resize(std::max(need, 2 * in.size()));
  }
  const ssize_t received = recv(connection.socket, in.data() + connection.in_end,
                                in.size() - connection.in_end, MSG_DONTWAIT);
  if (received < 0) return errno == EAGAIN || errno == EINTR;
  connection.in_end += static_cast<size_t>(received);
  return received > 0;
}

bool FloorWorker::AnswerAll(Connection& connection) {
  const bool was_parked = connection.parked_until.has_value();
  bool appended = false;
  bool understood = true;
  while (connection.in_end - connection.in_begin >= kLengthBytes) {
    char* begin = connection.in.data() + connection.in_begin;
    const auto size = static_cast<size_t>(LoadBigEndian<int32_t>(begin));
    if (connection.in_end - connection.in_begin < kLengthBytes + size) break;
    const bool last_try = connection.parked_until && Clock::now() >= *connection.parked_until;
    FloorAnswer answer = api_.Handle({begin + kLengthBytes, size}, last_try);
    understood = !answer.close;
    if (!understood) break;
    if (answer.wait_ms) {
      if (!connection.parked_until)
        connection.parked_until = Clock::now() + std::chrono::milliseconds(*answer.wait_ms);
      break;
    }
    connection.parked_until.reset();
    appended = appended || answer.appended;
    for (auto& segment : answer.bytes.segments()) connection.out.Add(std::move(segment));
    connection.in_begin += kLengthBytes + size;
  }
  parked_ += static_cast<int>(connection.parked_until.has_value()) - static_cast<int>(was_parked);
  if (appended) TellAppended();
  if (!understood) return false;
  // What was appended between the look and the count told nobody.
  if (connection.parked_until && !was_parked) return AnswerAll(connection);
  return true;
}

void FloorWorker::TellAppended() {
  const uint64_t one = 1;
  for (const auto& worker : all_) {
    if (worker->parked_ == 0) continue;
    [[maybe_unused]] const ssize_t size = write(worker->wake_, &one, sizeof one);
  }
}

bool FloorWorker::Send(Connection& connection) {
  bool room = true;
  while (room && connection.out_next < connection.out.segments().size()) {
    const auto& segment = connection.out.segments()[connection.out_next];
    const auto* slice = std::get_if<FileSlice>(&segment);
    const bool fine =
        slice != nullptr ? SendFile(connection, *slice, room) : SendMemory(connection, room);
    if (!fine) return false;
  }
  if (connection.out_next == connection.out.segments().size() && connection.out_next > 0) {
    connection.out = OutputChain();
    connection.out_next = 0;
  }
  WatchForRoom(connection, !room);
  return true;
}

bool FloorWorker::SendMemory(Connection& connection, bool& room) {
  std::array<iovec, kPartsAtOnce> parts;
  size_t count = 0;
  size_t skip = connection.out_written;
  const auto& segments = connection.out.segments();
  size_t next = connection.out_next;
  for (; next < segments.size() && count < parts.size(); ++next) {
    std::string_view bytes;
    if (const auto* owned = std::get_if<std::string>(&segments[next]))
      bytes = *owned;
    else if (const auto* shared = std::get_if<SharedBytes>(&segments[next]))
      bytes = shared->bytes;
    else
      break;
    bytes.remove_prefix(std::exchange(skip, 0));
    parts[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  const bool more = next < segments.size();  // a file's bytes follow: one packet with them
  const ssize_t sent =
      sendmsg(connection.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  if (sent < 0) {
    room = errno != EAGAIN;
    return !room || errno == EINTR;
  }
  Advance(connection, static_cast<size_t>(sent));
  return true;
}

bool FloorWorker::SendFile(Connection& connection, const FileSlice& slice, bool& room) {
  auto offset = static_cast<off_t>(slice.offset + connection.out_written);
  const ssize_t sent = sendfile(connection.socket, slice.file->descriptor(), &offset,
                                slice.size_bytes - connection.out_written);
  if (sent < 0) {
    room = errno != EAGAIN;
    return !room || errno == EINTR;
  }
  Advance(connection, static_cast<size_t>(sent));
  return sent > 0;
}

void FloorWorker::Advance(Connection& connection, size_t bytes) {
  const auto& segments = connection.out.segments();
  while (bytes > 0) {
    const size_t left = OutputChain::SizeOf(segments[connection.out_next]) - connection.out_written;
    if (bytes < left) {
      connection.out_written += bytes;
      return;
    }
    bytes -= left;
    ++connection.out_next;
    connection.out_written = 0;
  }
}

void FloorWorker::WatchForRoom(Connection& connection, bool wanted) {
  if (connection.waits_for_room == wanted) return;
  connection.waits_for_room = wanted;
  epoll_event event{.events = EPOLLIN, .data = {.fd = connection.socket}};
  if (wanted) event.events |= EPOLLOUT;
  PCHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket, &event) == 0);
}

void FloorWorker::Close(Connection& connection) {
  if (connection.parked_until) --parked_;
  const int socket = connection.socket;
  connections_.erase(socket);
  close(socket);
}

void RunFloor(FloorApi& api, uint16_t port, int workers) {
  const int listener = Listen(port);
  std::vector<std::unique_ptr<FloorWorker>> all;
  for (int i = 0; i < workers; ++i) all.push_back(std::make_unique<FloorWorker>(api, all));
  std::vector<std::thread> threads;
  for (const auto& worker : all) threads.emplace_back([&worker] { worker->Run(); });
  std::printf("ready\n");
  std::fflush(stdout);
  for (size_t next = 0;; ++next) {
    const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) continue;
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    all[next % all.size()]->Adopt(socket);
  }
}

}  // namespace sluice::bench
