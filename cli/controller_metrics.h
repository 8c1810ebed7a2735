#pragma once
// What the node's controller counts, on the metrics page: of its decisions since the process began.
// Gauges of the cluster are the admin service's (admin/metrics_collector.h).
//
// Thread rule: any thread.

#include "admin/metrics_text.h"
#include "controller/controller.h"

namespace sluice::cli {

void WriteControllerMetrics(const controller::ControllerMetrics& counts, admin::MetricsText& text);

}  // namespace sluice::cli
