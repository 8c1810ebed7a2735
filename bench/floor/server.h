#pragma once
// FloorServer: connections over epoll, one thread for each processor as the broker's reactors, and
// nothing that a broker would have beside: no limits, no quotas, no metrics, no TLS. It reads into
// one buffer a connection, answers requests in their order, writes memory with one writev and files
// with sendfile.
//
// Thread rule: a connection belongs to one worker; Run is called once.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bench/floor/api.h"

namespace sluice::bench {

class FloorWorker {
 public:
  FloorWorker(FloorApi& api, std::vector<std::unique_ptr<FloorWorker>>& all);
  ~FloorWorker();
  // From any thread: takes over a connected socket.
  void Adopt(int socket);
  // Does not return.
  void Run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    int socket = -1;
    std::vector<char> in;
    size_t in_begin = 0;
    size_t in_end = 0;
    OutputChain out;
    size_t out_next = 0;     // of its segments
    size_t out_written = 0;  // bytes of that one
    // The request at in_begin is a fetch that found nothing; those behind it wait as well.
    std::optional<Clock::time_point> parked_until;
    bool waits_for_room = false;  // epoll tells when the socket takes more
  };

  int NextTimeoutMs() const;
  void Serve(Connection& connection);
  void WakeParked();
  // Each is false when the connection is over.
  bool Receive(Connection& connection);
  bool AnswerAll(Connection& connection);
  bool Send(Connection& connection);
  bool SendMemory(Connection& connection, bool& room);
  bool SendFile(Connection& connection, const FileSlice& slice, bool& room);
  void Advance(Connection& connection, size_t bytes);
  void TellAppended();
  void WatchForRoom(Connection& connection, bool wanted);
  void Close(Connection& connection);

  FloorApi& api_;
  std::vector<std::unique_ptr<FloorWorker>>& all_;
  const int epoll_;
  const int wake_;              // an eventfd that other workers write to
  std::atomic<int> parked_{0};  // connections with a fetch that waits
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

// Listens and serves until the process ends.
void RunFloor(FloorApi& api, uint16_t port, int workers);

}  // namespace sluice::bench
