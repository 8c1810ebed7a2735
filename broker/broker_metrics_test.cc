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
                                         .metadata_resyncs = [&] { return resyncs; },
                                         .directories = {},
                                         .compaction =
                                             [] {
                                               storage::CompactorStats stats;
                                               stats.runs = 7;
                                               stats.dirty_ratio_max = 0.25;
                                               return stats;
                                             },
                                         .kv =
                                             [] {
                                               storage::KvStats stats;
                                               stats.memtable_bytes = 4096;
                                               stats.cache_hits = 12;
                                               stats.background_errors = 1;
                                               stats.failed = true;
                                               return stats;
                                             }});
  api.unsupported_requests = 2;
  ++evictions;
  ++resyncs;
  const std::string page = registry.PrometheusText();
  EXPECT_NE(page.find("\nsluice_unsupported_requests_total 2\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nsluice_fetch_session_evictions_total 4\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nsluice_metadata_resyncs_total 5\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nsluice_compaction_runs_total 7\n"), std::string::npos) << page;
  EXPECT_NE(page.find("\nkafka_log_logcleanermanager_max_dirty_percent 25\n"), std::string::npos)
      << page;
  for (const char* line :
       {"sluice_kv_memtable_bytes 4096", "sluice_kv_block_cache_hits_total 12",
        "sluice_kv_background_errors_total 1", "sluice_kv_failed 1", "sluice_kv_sst_bytes 0"}) {
    EXPECT_NE(page.find("\n" + std::string(line) + "\n"), std::string::npos) << line << page;
  }
}

TEST(BrokerMetricsTest, ShowsHowTheLogDirectoriesStand) {
  MetricsRegistry registry;
  ApiMetrics api;
  NetMetrics net;
  const auto one = std::make_shared<storage::DirectoryState>("/one");
  const auto two = std::make_shared<storage::DirectoryState>("/two");
  one->PutOnline({});
  one->SetSpace({.total_bytes = 1000, .free_bytes = 40}, {.soft_bytes = 50, .hard_bytes = 20});
  const BrokerMetrics metrics(registry, {.api = api,
                                         .net = net,
                                         .session_evictions = [] { return 0; },
                                         .metadata_resyncs = [] { return 0; },
                                         .directories = {one, two},
                                         .compaction = [] { return storage::CompactorStats(); },
                                         .kv = [] { return storage::KvStats(); }});
  const std::string page = registry.PrometheusText();
  for (const char* line : {"kafka_log_logmanager_offlinelogdirectorycount 1",
                           "sluice_log_directory_free_bytes{directory=\"/one\"} 40",
                           "sluice_log_directory_total_bytes{directory=\"/one\"} 1000",
                           "sluice_log_directory_state{directory=\"/one\"} 1",
                           "sluice_log_directory_state{directory=\"/two\"} 3"}) {
    EXPECT_NE(page.find("\n" + std::string(line) + "\n"), std::string::npos) << line << page;
  }
}

}  // namespace
}  // namespace sluice::broker
