#pragma once
// Requests and responses of HTTP as plain values, so that routes know no sockets and the server
// knows no routes.
//
// Thread rule: values.

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::admin {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query
  std::string content_type;
  std::string body;
  int64_t timeout_ms = 30'000;  // of the header Connect-Timeout-Ms, or this
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// `reply` is called once, from any thread, during the call or later.
using HttpReply = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, HttpReply)>;

}  // namespace sluice::admin
