#include "rpc/tcp_prober.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace sluice::rpc {
namespace {

// A socket that listens on loopback; the kernel accepts for it.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(fd_, 8), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }
  ~Listener() { Close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& address() const { return address_; }
  void WaitForCaller() const {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&waiting, 1, -1), 1);
  }
  int Accept() const { return ::accept(fd_, nullptr, nullptr); }
  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  std::string address_;
};

constexpr int kLongMs = 60'000;
constexpr ProbeTimes kPatient{.answer_ms = kLongMs, .stable_ms = kLongMs};

TEST(TcpProberTest, WhereNobodyListensIsRefused) {
  Listener listener;
  listener.Close();
  EXPECT_EQ(ProbeTcp(listener.address(), kPatient), ProbeOutcome::kRefused);
}

TEST(TcpProberTest, WhoeverSpeaksLives) {
  const Listener listener;
  std::thread server([&] {
    const int fd = listener.Accept();
    EXPECT_EQ(::send(fd, "x", 1, 0), 1);
    ::close(fd);
  });
  EXPECT_EQ(ProbeTcp(listener.address(), kPatient), ProbeOutcome::kAccepted);
  server.join();
}

TEST(TcpProberTest, AStableConnectionIsEnough) {
  const Listener listener;
  EXPECT_EQ(ProbeTcp(listener.address(), {.answer_ms = kLongMs, .stable_ms = 1}),
            ProbeOutcome::kAccepted);
}

// As a process that is killed: it has lost its connections, and the kernel still accepts for it.
TEST(TcpProberTest, AcceptedByADyingProcessIsRefused) {
  Listener listener;
  std::thread death([&] {
    listener.WaitForCaller();
    listener.Close();
  });
  EXPECT_EQ(ProbeTcp(listener.address(), kPatient), ProbeOutcome::kRefused);
  death.join();
}

TEST(TcpProberTest, WhoeverAcceptsAgainAndAgainLives) {
  const Listener listener;
  std::thread server([&] {
    for (int i = 0; i < 5; ++i) ::close(listener.Accept());
  });
  EXPECT_EQ(ProbeTcp(listener.address(), kPatient), ProbeOutcome::kAccepted);
  server.join();
}

TEST(TcpProberTest, WhatIsNoAddressDoesNotAnswer) {
  EXPECT_EQ(ProbeTcp("nowhere", kPatient), ProbeOutcome::kNoAnswer);
}

}  // namespace
}  // namespace sluice::rpc
