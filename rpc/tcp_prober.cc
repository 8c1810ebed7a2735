#include "rpc/tcp_prober.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

namespace sluice::rpc {
namespace {

// Somebody who accepts so often and says nothing lives, whatever he does it for.
constexpr int kDialsMax = 5;

class Socket {
 public:
  explicit Socket(int family)
      : fd_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// Of a connect that failed; nothing, if it had succeeded and the connection broke before anybody
// looked.
std::optional<ProbeOutcome> OutcomeOf(int error) {
  if (error == ECONNRESET) return std::nullopt;
  return error == ECONNREFUSED ? ProbeOutcome::kRefused : ProbeOutcome::kNoAnswer;
}

// Nothing, if the connection broke.
std::optional<ProbeOutcome> DialOnce(const addrinfo& target, const ProbeTimes& times) {
  const Socket socket(target.ai_family);
  if (socket.fd() < 0) return ProbeOutcome::kNoAnswer;
  pollfd waiting{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  if (::connect(socket.fd(), target.ai_addr, target.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return OutcomeOf(errno);
    if (::poll(&waiting, 1, times.answer_ms) <= 0) return ProbeOutcome::kNoAnswer;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      return ProbeOutcome::kNoAnswer;
    if (error != 0) return OutcomeOf(error);
  }
  waiting.events = POLLIN;
  if (::poll(&waiting, 1, times.stable_ms) <= 0) return ProbeOutcome::kAccepted;
  char first = 0;
  if (::recv(socket.fd(), &first, 1, 0) == 1) return ProbeOutcome::kAccepted;
  return std::nullopt;
}

ProbeOutcome Dial(const addrinfo& target, const ProbeTimes& times) {
  for (int dials = 0; dials < kDialsMax; ++dials) {
    if (const std::optional<ProbeOutcome> outcome = DialOnce(target, times)) return *outcome;
  }
  return ProbeOutcome::kAccepted;
}

}  // namespace

ProbeOutcome ProbeTcp(const std::string& address, const ProbeTimes& times) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return ProbeOutcome::kNoAnswer;
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0)
    return ProbeOutcome::kNoAnswer;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  // Of several addresses of one name, one that accepts is enough; dead is only what all refuse.
  ProbeOutcome outcome = ProbeOutcome::kNoAnswer;
  for (const addrinfo* target = found; target != nullptr; target = target->ai_next) {
    const ProbeOutcome one = Dial(*target, times);
    if (one == ProbeOutcome::kAccepted) return one;
    outcome = target == found || one == ProbeOutcome::kNoAnswer ? one : outcome;
  }
  return outcome;
}

TcpProber::TcpProber() : thread_([this] { Run(); }) {}

TcpProber::~TcpProber() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void TcpProber::Probe(std::string address, ProbeTimes times,
                      std::function<void(ProbeOutcome)> done) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(address), times, std::move(done)});
  }
  wake_.notify_one();
}

void TcpProber::Run() {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task.done(ProbeTcp(task.address, task.times));
  }
}

}  // namespace sluice::rpc
