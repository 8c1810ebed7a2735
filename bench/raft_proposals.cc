// raft_proposals: how many proposals a second the metadata quorum takes: three processes, each a
// voter with its own log on disk, joined by gRPC as in a cluster; every entry is synced by a
// majority before it counts. Prints numbers and asserts nothing.
//
//   bench_raft_proposals DIR FIRST_PORT [IN_FLIGHT [VALUE_BYTES [SECONDS]]]
//
// Empties DIR. Whoever is elected proposes, always with IN_FLIGHT (64) unanswered, and tells what
// it reached; the others only follow. Ports FIRST_PORT to FIRST_PORT + 2 of 127.0.0.1 are used.
//
// Thread rule: each voter has the threads of a ControllerNode; Load runs on its loop.

#include <glog/logging.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/random.h"
#include "controller/quorum_log.h"
#include "controller/raft_service.h"
#include "controller/raft_transport.h"
#include "raft/driver.h"
#include "raft/state_machine.h"
#include "rpc/server.h"

namespace sluice {
namespace {

constexpr int kVoters = 3;
constexpr char kClusterId[] = "proposals";
constexpr int64_t kWarmUpMs = 1000;
const SystemClock kClock;

struct Options {
  std::string directory;
  int first_port = 0;
  int in_flight = 64;
  size_t value_bytes = 100;
  int seconds = 10;
};

void Must(const Status& status) { CHECK(status.ok()) << status.ToString(); }
template <typename T>
T Must(Result<T> result) {
  Must(result.status());
  return *std::move(result);
}

raft::VoterId VoterOf(int n) { return {NodeId(n), Uuid::FromBytes(std::string(16, char(n)))}; }
std::string AddressOf(const Options& options, int n) {
  return "127.0.0.1:" + std::to_string(options.first_port + n - 1);
}
std::string LogOf(const Options& options, int n) {
  return options.directory + "/" + std::to_string(n);
}

// Keeps proposals in flight once its voter leads, and tells how it went.
class Load final : public raft::StateMachine {
 public:
  Load(const Options& options, const Clock& clock)
      : options_(options), clock_(clock), value_(options.value_bytes, 'v') {}
  void set_driver(raft::Driver* driver) { driver_ = driver; }

  void Apply(const std::vector<raft::Entry>&) override {}
  std::string TakeSnapshot() override { return ""; }
  void LoadSnapshot(const raft::SnapshotMeta&, std::string_view) override {}
  void OnRoleChange(raft::Role, Term, NodeId) override {}
  void OnLeaderReady(Term) override {
    begin_us_ = clock_.SteadyMicros() + kWarmUpMs * 1000;
    for (int i = 0; i < options_.in_flight; ++i) ProposeNext();
  }

 private:
  void ProposeNext() {
    const int64_t proposed_us = clock_.SteadyMicros();
    driver_->Propose(value_, [this, proposed_us](Result<LogIndex> committed) {
      Must(committed.status());
      const int64_t now_us = clock_.SteadyMicros();
      if (proposed_us >= begin_us_) took_us_.push_back(now_us - proposed_us);
      if (now_us < begin_us_ + options_.seconds * 1'000'000LL) return ProposeNext();
      Tell(now_us - begin_us_);
    });
  }

  void Tell(int64_t elapsed_us) {
    std::sort(took_us_.begin(), took_us_.end());
    const auto at = [this](size_t percent) { return took_us_[took_us_.size() * percent / 100]; };
    std::printf("%zu voters, %d in flight, %zu bytes: %.0f proposals/s, p50 %.2f ms, p99 %.2f ms\n",
                size_t{kVoters}, options_.in_flight, options_.value_bytes,
                static_cast<double>(took_us_.size()) * 1e6 / static_cast<double>(elapsed_us),
                static_cast<double>(at(50)) / 1000, static_cast<double>(at(99)) / 1000);
    std::fflush(stdout);
    _exit(0);  // nothing of it is wanted any more
  }

  const Options options_;
  const Clock& clock_;
  const std::string value_;
  raft::Driver* driver_ = nullptr;
  int64_t begin_us_ = 0;
  std::vector<int64_t> took_us_;
};

[[noreturn]] void RunVoter(const Options& options, int self) {
  const auto fs = NewPosixFileSystem();
  ThreadEventLoop loop("raft", kClock);
  ThreadEventLoop io_loop("quorum-log", kClock);
  auto log = Must(controller::QuorumLog::Open({.directory = LogOf(options, self),
                                               .file_system = fs.get(),
                                               .clock = &kClock,
                                               .loop = &loop,
                                               .io_loop = &io_loop}));
  std::map<NodeId, std::string> peers;
  for (int n = 1; n <= kVoters; ++n)
    if (n != self) peers[NodeId(n)] = AddressOf(options, n);
  controller::RaftTransport transport(
      {.self = NodeId(self), .self_address = AddressOf(options, self), .peers = peers}, loop,
      [](NodeId, bool) {});
  Load load(options, kClock);
  raft::Driver driver({.config = {},
                       .cluster_id = kClusterId,
                       .self = VoterOf(self),
                       .random = Random::FromSystem()},
                      {.loop = loop, .log = *log, .transport = transport, .state_machine = load});
  driver.set_on_failure([](const Status& status) { Must(status); });
  load.set_driver(&driver);
  controller::RaftService service(
      [&driver](raft::Message message) { driver.Step(std::move(message)); },
      [&](NodeId peer, const std::string& address) {
        loop.Post([&transport, peer, address] { transport.PeerCalled(peer, address); });
      });
  const auto server =
      Must(rpc::Server::Start({.addresses = {AddressOf(options, self)}, .services = {&service}}));
  loop.Post([&] {
    transport.Start();
    driver.Start();
  });
  while (true) pause();
}

int Run(const Options& options) {
  raft::Bootstrap bootstrap{.cluster_id = kClusterId, .voters = {}, .payload = ""};
  for (int n = 1; n <= kVoters; ++n) bootstrap.voters.push_back(VoterOf(n));
  const auto fs = NewPosixFileSystem();
  Must(fs->RemoveAll(options.directory));
  for (int n = 1; n <= kVoters; ++n) {
    Must(fs->CreateDirectories(LogOf(options, n)));
    Must(controller::QuorumLog::Format(*fs, kClock, LogOf(options, n), bootstrap));
  }
  std::vector<pid_t> voters;
  for (int n = 1; n <= kVoters; ++n) {
    const pid_t pid = fork();
    CHECK_GE(pid, 0);
    if (pid == 0) RunVoter(options, n);
    voters.push_back(pid);
  }
  int status = 0;
  const pid_t first = wait(&status);  // the one that led, or one that failed
  for (const pid_t pid : voters) {
    if (pid == first) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "%s DIR FIRST_PORT [IN_FLIGHT [VALUE_BYTES [SECONDS]]]\n", argv[0]);
    return 2;
  }
  sluice::Options options{.directory = argv[1], .first_port = std::atoi(argv[2])};
  if (argc > 3) options.in_flight = std::max(1, std::atoi(argv[3]));
  if (argc > 4) options.value_bytes = static_cast<size_t>(std::max(0, std::atoi(argv[4])));
  if (argc > 5) options.seconds = std::max(1, std::atoi(argv[5]));
  return sluice::Run(options);
}
