#pragma once
// TcpProber: dials an address, to learn whether somebody listens there. After a broken stream
// "refused" means that the process is gone, which no timer tells as fast; a gRPC channel does not
// say so.
//
// A process that was killed loses its connections before its listening socket as often as after it,
// and meanwhile the kernel accepts for it. So a connection counts only once it was stable for a
// moment; if it breaks, the address is dialled again.
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

struct ProbeTimes {
  int answer_ms;       // for each dial
  int stable_ms = 50;  // how long a connection must stand when the other side says nothing
};

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
  void Probe(std::string address, ProbeTimes times, std::function<void(ProbeOutcome)> done);

 private:
  struct Task {
    std::string address;
    ProbeTimes times;
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
ProbeOutcome ProbeTcp(const std::string& address, const ProbeTimes& times);

}  // namespace sluice::rpc
