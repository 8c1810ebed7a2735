#pragma once
// WireClient: many connections that speak the Kafka protocol, on one thread: what a load generator
// for group coordinators needs, which no client library gives (thousands of members, each with a
// connection of its own, at the cost of a system call each).
//
// Answers come in the order of the requests of their connection. What goes wrong ends the program:
// a benchmark has nothing to say about a server that went.
//
// Thread rule: one owner.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/output_chain.h"
#include "kafka/messages/request_header.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::bench {

// Ends the program with `error` unless `fine`.
void Require(bool fine, const std::string& error);

class WireClient {
 public:
  using ConnectionId = size_t;

  WireClient();
  ~WireClient();
  WireClient(const WireClient&) = delete;
  WireClient& operator=(const WireClient&) = delete;

  ConnectionId Connect(const std::string& host, uint16_t port);
  ConnectionId Connect(const std::string& address);  // host:port

  // `done(response)` is called by Poll. What is asked goes out with the next Poll.
  template <typename Response, typename Request, typename Done>
  void Ask(ConnectionId connection, const Request& request, int16_t version, Done done) {
    Send(connection, FrameOf(request, version), [version, done](std::string_view frame) {
      kafka::WireReader reader(frame);
      kafka::ResponseHeader header;
      Response response;
      Require(header.Decode(reader, version >= Response::kFlexibleSince ? 1 : 0).ok() &&
                  response.Decode(reader, version).ok(),
              "an answer that cannot be read");
      done(std::move(response));
    });
  }
  // The same, and waits for the answer.
  template <typename Response, typename Request>
  Response Call(ConnectionId connection, const Request& request, int16_t version) {
    Response answer;
    bool done = false;
    Ask<Response>(connection, request, version, [&](Response response) {
      answer = std::move(response);
      done = true;
    });
    while (!done) Poll(100);
    return answer;
  }

  // Sends what is due and takes answers; waits for at most `wait_ms` when there are none.
  void Poll(int wait_ms);

 private:
  using OnFrame = std::function<void(std::string_view)>;
  struct Connection {
    int fd = -1;
    std::string in;
    std::string out;
    std::deque<OnFrame> waiting;
    bool queued = false;  // in unsent_
  };

  template <typename Request>
  std::string FrameOf(const Request& request, int16_t version) {
    kafka::RequestHeader header;
    header.request_api_key = Request::kApiKey;
    header.request_api_version = version;
    header.correlation_id = ++last_correlation_;
    header.client_id = "bench";
    kafka::WireWriter writer;
    writer.BeginFrame();
    header.Encode(writer, version >= Request::kFlexibleSince ? 2 : 1);
    request.Encode(writer, version);
    Require(writer.status().ok(), "a request that cannot be written");
    Result<std::string> frame = Flatten(writer.Finish());
    Require(frame.ok(), "a request that cannot be put together");
    return *std::move(frame);
  }
  void Send(ConnectionId connection, const std::string& frame, OnFrame done);
  void Flush();
  void Receive(Connection& connection);

  int epoll_;
  int32_t last_correlation_ = 0;
  std::deque<Connection> connections_;
  std::vector<ConnectionId> unsent_;
};

}  // namespace sluice::bench
