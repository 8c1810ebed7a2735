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

// Whether this node may stop: for whoever stops it, before it does.
void SafeToStop(Backend& backend, Handlers& handlers, int64_t timeout_ms, const HttpReply& reply) {
  CanStopBrokerRequest request;
  request.set_id(backend.node_id().value());
  handlers.CanStopBroker(request, timeout_ms, [reply](const Result<CanStopBrokerResponse>& answer) {
    if (answer.ok() && answer->can_stop()) return reply({.body = "safe to stop\n"});
    const std::string why = answer.ok() ? answer->reason() : answer.status().message();
    reply({.status = 503, .body = "not safe to stop: " + why + "\n"});
  });
}

}  // namespace

HttpHandler MakeHttpHandler(Backend& backend, Handlers& handlers, const MetricsCollector& metrics) {
  return [&backend, &handlers, &metrics](HttpRequest request, HttpReply reply) {
    if (request.path.starts_with(kJsonApiPrefix))
      return HandleJson(handlers, std::move(request), std::move(reply));
    const bool known = request.path == "/live" || request.path == "/ready" ||
                       request.path == "/health" || request.path == "/safe-to-stop" ||
                       request.path == "/metrics";
    if (!known) {
      return reply(
          {.status = 404,
           .body = "not found; there are /live /ready /health /safe-to-stop /metrics and " +
                   std::string(kJsonApiPrefix) + "<Method>\n"});
    }
    if (request.method != "GET") return reply({.status = 405, .body = "use GET\n"});
    if (request.path == "/live") return reply({.body = "live\n"});
    if (request.path == "/ready") return Ready(backend, reply);
    if (request.path == "/safe-to-stop")
      return SafeToStop(backend, handlers, request.timeout_ms, reply);
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
