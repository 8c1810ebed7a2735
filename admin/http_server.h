#pragma once
// HttpServer: HTTP/1.1 for health checks, metrics and the JSON twin, on one thread with small
// bounds: it must answer when everything else is busy, and never be what takes the memory.
//
// Thread rule: Start and Stop from the owner; the handler is called on the server's thread and
// replies from any.

#include <cstdint>
#include <memory>
#include <string>

#include "admin/http.h"
#include "base/status.h"

namespace sluice::admin {

struct HttpServerOptions {
  std::string host;   // empty = all interfaces
  uint16_t port = 0;  // 0 = any free one
  HttpHandler handler;
  size_t body_bytes_max = 1 << 20;
  int connections_max = 64;
  int64_t timeout_ms = 30'000;  // for reading a request, and for an idle connection
};

class HttpServer {
 public:
  // kUnavailable when the address cannot be bound, naming it and the reason.
  static Result<std::unique_ptr<HttpServer>> Start(HttpServerOptions options);
  ~HttpServer();

  uint16_t port() const;
  // Closes all connections. Replies that come later are dropped.
  void Stop();

 private:
  struct Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::admin
