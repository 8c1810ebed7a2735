#pragma once
// The paths of the node's HTTP address:
//   GET /live      200 as long as the process answers
//   GET /ready     200 when the node can do its work, else 503 with the reason
//   GET /health    the cluster's health as JSON (ClusterHealthResponse); always 200, so that a sick
//   cluster does not look like a sick node GET /metrics   Prometheus' text format POST
//   /sluice.admin.Admin/<Method>   the admin service as JSON
//
// Thread rule: the handler may be called from any thread.

#include "admin/backend.h"
#include "admin/handlers.h"
#include "admin/http.h"
#include "admin/metrics_collector.h"

namespace sluice::admin {

// None is owned; all outlive the handler.
HttpHandler MakeHttpHandler(Backend& backend, Handlers& handlers, const MetricsCollector& metrics);

}  // namespace sluice::admin
