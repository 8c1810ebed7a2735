// idle: connections that ask which versions the server speaks and then say nothing.

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "bench/client/client.h"

namespace sluice::bench {
namespace {

int Connect(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  Require(getaddrinfo(host.c_str(), port.c_str(), &hints, &found) == 0, "no such address");
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int connected = connect(fd, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  Require(fd >= 0 && connected == 0, "no connection");
  return fd;
}

// ApiVersions 0 with an empty client id: length, key, version, correlation id, client id.
void AskVersions(int fd) {
  static constexpr char kRequest[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0, 0};
  Require(send(fd, kRequest, sizeof kRequest, MSG_NOSIGNAL) == sizeof kRequest,
          "a connection broke");
}

void TakeAnswer(int fd) {
  unsigned char size[4];
  Require(recv(fd, size, sizeof size, MSG_WAITALL) == sizeof size, "a connection was closed");
  std::string answer(size_t{size[0]} << 24 | size[1] << 16 | size[2] << 8 | size[3], '\0');
  Require(
      recv(fd, answer.data(), answer.size(), MSG_WAITALL) == static_cast<ssize_t>(answer.size()),
      "a connection was closed");
}

}  // namespace

int RunIdle(const Arguments& arguments) {
  const std::string bootstrap = arguments.Text("bootstrap");
  const std::string address = bootstrap.substr(0, bootstrap.find(','));
  const size_t colon = address.rfind(':');
  const int64_t count = arguments.Number("connections");
  const int64_t seconds = arguments.Number("seconds");
  arguments.RequireAllUsed();
  std::vector<int> sockets;
  for (int64_t i = 0; i < count; ++i) {
    sockets.push_back(Connect(address.substr(0, colon), address.substr(colon + 1)));
    AskVersions(sockets.back());
    TakeAnswer(sockets.back());
  }
  PrintBegin();
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  PrintFigures({{"connections", count}, {"bytes", 0}, {"seconds", SecondsSince(start)}});
  for (const int fd : sockets) close(fd);
  return 0;
}

}  // namespace sluice::bench
