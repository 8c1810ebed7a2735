#include "admin/http_routes.h"

#include <utility>

#include "admin/json_api.h"

namespace sluice::admin {
namespace {

void Ready(Backend& backend, const HttpReply& reply) {
  const Readiness readiness = backend.Ready();
  if (readiness.ready) return reply({.body = "ready\n"});
  reply({.status = 503, .body = "not ready: " + readiness.reason + "\n"});
}

}  // namespace

HttpHandler MakeHttpHandler(Backend& backend, Handlers& handlers, const MetricsCollector& metrics) {
  return [&backend, &handlers, &metrics](HttpRequest request, HttpReply reply) {
    if (request.path.starts_with(kJsonApiPrefix))
      return HandleJson(handlers, std::move(request), std::move(reply));
    const bool known = request.path == "/live" || request.path == "/ready" ||
                       request.path == "/health" || request.path == "/metrics";
    if (!known) {
      return reply({.status = 404,
                    .body = "not found; there are /live /ready /health /metrics and " +
                            std::string(kJsonApiPrefix) + "<Method>\n"});
    }
    if (request.method != "GET") return reply({.status = 405, .body = "use GET\n"});
    if (request.path == "/live") return reply({.body = "live\n"});
    if (request.path == "/ready") return Ready(backend, reply);
    if (request.path == "/metrics") {
      return reply(
          {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics.Collect()});
    }
    HttpRequest health{.method = "POST",
                       .path = std::string(kJsonApiPrefix) + "ClusterHealth",
                       .content_type = "application/json",
                       .timeout_ms = request.timeout_ms};
    HandleJson(handlers, std::move(health), std::move(reply));
  };
}

}  // namespace sluice::admin
