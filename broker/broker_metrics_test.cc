// What the metrics page shows of the broker's own counters.

#include "broker/broker_metrics.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

TEST(BrokerMetricsTest, ShowsItsOwnCounters) {
  MetricsRegistry registry;
  ApiMetrics api;
  NetMetrics net;
  uint64_t evictions = 3;
  uint64_t resyncs = 4;
  const BrokerMetrics metrics(registry, {.api = api,
                                         .net = net,
                                         .session_evictions = [&] { return evictions; },
                                         .metadata_resyncs = [&] { return resyncs; }});
  api.unsupported_requests = 2;
  ++evictions;
  ++resyncs;
  const std::string page = registry.PrometheusText();
  EXPECT_NE(page.find("\nsluice_unsupported_requests_total 2\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nsluice_fetch_session_evictions_total 4\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nsluice_metadata_resyncs_total 5\n"), std::string::npos) << page;
}

}  // namespace
}  // namespace sluice::broker
