#pragma once
// Server: the broker's Kafka listeners. It accepts connections, cuts them into request frames,
// hands each frame to a sink, and writes the replies in the order of the requests. It knows frames,
// not APIs. Owned by the composition root.
//
//   ServerOptions options;
//   options.listeners = {{"PLAINTEXT", "127.0.0.1", 9092}};
//   Result<std::unique_ptr<Server>> server = Server::Start(std::move(options));
//
// Thread rule: Start, Stop and the destructor from one thread; the sink is called on reactor
// threads, one request of a connection after another.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/output_chain.h"
#include "base/status.h"
#include "broker/api/handler.h"
#include "broker/cold_reads.h"
#include "broker/net/net_metrics.h"

namespace sluice::broker {

struct ListenerAddress {
  std::string name;  // "PLAINTEXT"
  std::string host;  // empty = all interfaces
  int port = 0;      // 0 = any free one
};

// Takes a request without its length. True when the connection shall look at its next request only
// after this one's reply.
using RequestSink = std::function<bool(
    SharedBytes frame, const std::shared_ptr<ConnectionInfo>& connection, ReplyCallback reply)>;

struct ServerOptions {
  std::vector<ListenerAddress> listeners;
  RequestSink sink;
  // Which requests the sink gets only when all before them on their connection are answered: what
  // they tell is of the moment, and would be old by then. Null: none.
  bool (*in_turn)(std::string_view request) = nullptr;
  const Clock* clock = nullptr;  // neither is owned
  NetMetrics* metrics = nullptr;
  ColdReads* cold_reads = nullptr;        // not owned either; its loops run as long as the server
  int reactors = 0;                       // 0 = one per core, at most 8
  int32_t request_bytes_max = 104857600;  // socket.request.max.bytes
  int64_t idle_ms_max = 600000;           // connections.max.idle.ms; negative = never
  int32_t connections_max = 10000;        // max.connections
  int32_t connections_per_ip_max = 1000;  // max.connections.per.ip
  int32_t socket_send_bytes = -1;         // socket.send.buffer.bytes; -1 = the kernel tunes it
  int32_t socket_receive_bytes = -1;      // socket.receive.buffer.bytes
  uint64_t request_memory_bytes = 0;      // of all requests in flight; 0 = a fifth of the machine's
  int outstanding_requests_max = 32;      // of one connection
  size_t outstanding_bytes_max = size_t{32}
                                 << 20;  // of one connection; one request is always allowed
  int64_t slow_frame_ms = 30000;  // a frame under way must bring slow_frame_bytes_min in this time
  size_t slow_frame_bytes_min = 30 * 1024;
  int64_t sweep_ms = 1000;  // how often connections are looked at for these limits
};

// Connections open in all, and by client address.
class ConnectionCounter {
 public:
  ConnectionCounter(int32_t max, int32_t per_ip_max) : max_(max), per_ip_max_(per_ip_max) {}
  bool TryAdd(const std::string& ip);
  void Remove(const std::string& ip);
  // True when no connection is left; waits for that up to `timeout_ms`.
  bool WaitUntilNone(int64_t timeout_ms);

 private:
  const int32_t max_;
  const int32_t per_ip_max_;
  std::mutex mutex_;  // guards all below
  std::condition_variable none_left_;
  int32_t total_ = 0;
  std::map<std::string, int32_t> by_ip_;
};

class Server {
 public:
  // Binds all listeners, or says which address cannot be had and why.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options);
  virtual ~Server() = default;

  // The port that the listener has, for port 0.
  virtual int port(const std::string& listener) const = 0;
  // Closes the connections that `which` picks, each when it next owes and is owed nothing; those
  // that have no such moment within `within_ms` stay. `which` runs on each reactor's thread.
  virtual void CloseIdle(std::function<bool(const ConnectionInfo&)> which, int64_t within_ms) = 0;
  // Accepts nothing more, lets requests in progress finish for up to `grace_ms`, closes everything
  // and joins. Idempotent.
  virtual void Stop(int64_t grace_ms) = 0;
};

}  // namespace sluice::broker
