#pragma once
// TcpProber: dials an address once, to learn whether somebody listens there. After a broken stream
// "refused" means that the process is gone, which no timer tells as fast; a gRPC channel does not
// say so.
//
// Thread rule: Probe from any thread; `done` runs on the prober's own thread and must not block it.
// Probes run one after another.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace sluice::rpc {

enum class ProbeOutcome {
  kAccepted,  // somebody listens
  kRefused,   // the host answers that nobody does
  kNoAnswer,  // anything else: no route, no name, no answer in time
};

class TcpProber {
 public:
  TcpProber();
  // Drops what has not begun; waits for the one under way.
  ~TcpProber();
  // `address`: host:port.
  void Probe(std::string address, int timeout_ms, std::function<void(ProbeOutcome)> done);

 private:
  struct Task {
    std::string address;
    int timeout_ms;
    std::function<void(ProbeOutcome)> done;
  };
  void Run();

  std::mutex mutex_;  // guards tasks_ and stopping_
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

// The same on the caller's thread.
ProbeOutcome ProbeTcp(const std::string& address, int timeout_ms);

}  // namespace sluice::rpc
