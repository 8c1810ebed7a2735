#include "broker/broker_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

#include "broker/api/dispatch.h"
#include "kafka/api_keys.h"

namespace sluice::broker {
namespace {

template <typename T>
std::function<double()> Read(const std::atomic<T>& counter) {
  return [&counter] { return static_cast<double>(counter.load(std::memory_order_relaxed)); };
}

}  // namespace

BrokerMetrics::BrokerMetrics(MetricsRegistry& registry, const BrokerMetricsSources& sources)
    : group_(registry) {
  AddTopicMetrics(sources.api);
  AddRequestMetrics(sources.api);
  AddNetwork(sources.net);
  AddOwn(sources);
  AddDirectories(sources.directories);
  AddCompaction(sources.compaction);
  AddKv(sources.kv);
}

void BrokerMetrics::AddCompaction(const std::function<storage::CompactorStats()>& stats) {
  group_.AddCallbackCounter("sluice_compaction_runs_total",
                            "Times that the cleaner went through a log.",
                            [stats] { return static_cast<double>(stats().runs); });
  group_.AddCallbackCounter("sluice_compaction_read_bytes_total", "Bytes that the cleaner read.",
                            [stats] { return static_cast<double>(stats().bytes_read); });
  group_.AddCallbackCounter("sluice_compaction_written_bytes_total",
                            "Bytes that the cleaner wrote.",
                            [stats] { return static_cast<double>(stats().bytes_written); });
  group_.AddCallbackCounter("sluice_compaction_removed_bytes_total",
                            "Bytes by which the cleaner made logs smaller.",
                            [stats] { return static_cast<double>(stats().bytes_removed); });
  group_.AddCallbackGauge("kafka_log_logcleanermanager_max_dirty_percent",
                          "Of the dirtiest compacted log, how much was never cleaned.",
                          [stats] { return stats().dirty_ratio_max * 100; });
  group_.AddCallbackGauge("kafka_log_logcleanermanager_uncleanable_partitions_count",
                          "Compacted logs that cannot be cleaned; the server's log says why.",
                          [stats] { return static_cast<double>(stats().uncleanable_partitions); });
}

// Read from the store when the page is asked for; nothing gathers them meanwhile.
void BrokerMetrics::AddKv(const std::function<storage::KvStats()>& stats) {
  using Field = uint64_t storage::KvStats::*;
  struct Row {
    const char* name;
    const char* help;
    Field field;
  };
  constexpr Row kGauges[] = {
      {"memtable_bytes", "Memory of what was written and not flushed.",
       &storage::KvStats::memtable_bytes},
      {"block_cache_bytes", "Memory of cached blocks, indexes and filters.",
       &storage::KvStats::cache_bytes},
      {"sst_bytes", "Files on disk.", &storage::KvStats::sst_bytes},
      {"pending_compaction_bytes", "Bytes that wait to be merged.",
       &storage::KvStats::pending_compaction_bytes},
      {"keys_estimated", "Entries, by estimate.", &storage::KvStats::keys_estimated},
      {"running_jobs", "Flushes and compactions under way.", &storage::KvStats::running_jobs}};
  constexpr Row kCounters[] = {
      {"block_cache_hits_total", "Blocks found in the cache.", &storage::KvStats::cache_hits},
      {"block_cache_misses_total", "Blocks read from files.", &storage::KvStats::cache_misses},
      {"flushes_total", "Files that flushes wrote.", &storage::KvStats::flushes},
      {"background_errors_total", "Flushes and compactions that failed; the server's log says why.",
       &storage::KvStats::background_errors}};
  const auto read = [&stats](Field field) {
    return [stats, field] { return static_cast<double>(stats().*field); };
  };
  const std::string prefix = "sluice_kv_";
  const std::string about = " Key-value store of groups and transactions.";
  for (const Row& row : kGauges)
    group_.AddCallbackGauge(prefix + row.name, row.help + about, read(row.field));
  for (const Row& row : kCounters)
    group_.AddCallbackCounter(prefix + row.name, row.help + about, read(row.field));
  group_.AddCallbackGauge(prefix + "failed",
                          "1: a flush or compaction failed, and nothing is flushed since." + about,
                          [stats] { return stats().failed ? 1.0 : 0.0; });
}

void BrokerMetrics::AddDirectories(const std::vector<storage::DirectoryPtr>& directories) {
  group_.AddCallbackGauge("kafka_log_logmanager_offlinelogdirectorycount",
                          "Log directories that have failed.", [directories] {
                            return static_cast<double>(
                                std::count_if(directories.begin(), directories.end(),
                                              [](const auto& state) { return !state->online(); }));
                          });
  for (const storage::DirectoryPtr& state : directories) {
    const std::pair<std::string, std::string> label{"directory", state->path()};
    group_.AddCallbackGauge("sluice_log_directory_free_bytes",
                            "Room on the disk of a log directory.",
                            [state] { return static_cast<double>(state->free_bytes()); }, {label});
    group_.AddCallbackGauge("sluice_log_directory_total_bytes",
                            "Size of the disk of a log directory.",
                            [state] { return static_cast<double>(state->total_bytes()); }, {label});
    group_.AddCallbackGauge(
        "sluice_log_directory_state",
        "0: there is room; 1: low, producers are slowed down; 2: full, nothing is appended; 3: "
        "offline.",
        [state] { return state->online() ? static_cast<double>(state->level()) : 3.0; }, {label});
  }
}

void BrokerMetrics::AddOwn(const BrokerMetricsSources& sources) {
  group_.AddCallbackCounter("sluice_unsupported_requests_total",
                            "Requests of an unknown API or version.",
                            Read(sources.api.unsupported_requests));
  group_.AddCallbackCounter("sluice_fetch_session_evictions_total",
                            "Fetch sessions that had to make room for others.",
                            [read = sources.session_evictions] { return double(read()); });
  group_.AddCallbackCounter("sluice_metadata_resyncs_total",
                            "Times that the metadata was fetched anew because it did not agree "
                            "with the controller's.",
                            [read = sources.metadata_resyncs] { return double(read()); });
}

void BrokerMetrics::AddTopicMetrics(const ApiMetrics& api) {
  const size_t produce = ApiMetrics::Slot(static_cast<int16_t>(kafka::ApiKey::kProduce));
  const size_t fetch = ApiMetrics::Slot(static_cast<int16_t>(kafka::ApiKey::kFetch));
  const std::string prefix = "kafka_server_brokertopicmetrics_";
  group_.AddCallbackCounter(prefix + "bytesin_total", "Bytes of records that producers sent.",
                            Read(api.produced_bytes));
  group_.AddCallbackCounter(prefix + "bytesout_total", "Bytes of records that consumers got.",
                            Read(api.consumed_bytes));
  group_.AddCallbackCounter(prefix + "replicationbytesout_total",
                            "Bytes of records that followers got.", Read(api.replicated_bytes_out));
  group_.AddCallbackCounter(prefix + "totalproducerequests_total", "Produce requests.",
                            Read(api.requests[produce]));
  group_.AddCallbackCounter(prefix + "totalfetchrequests_total", "Fetch requests.",
                            Read(api.requests[fetch]));
  group_.AddCallbackCounter(prefix + "failedproducerequests_total",
                            "Produce requests answered with an error.", Read(api.errors[produce]));
  group_.AddCallbackCounter(prefix + "failedfetchrequests_total",
                            "Fetch requests answered with an error.", Read(api.errors[fetch]));
}

void BrokerMetrics::AddRequestMetrics(const ApiMetrics& api) {
  for (const ApiHandler* handler : ServedApis()) {
    const size_t slot = ApiMetrics::Slot(static_cast<int16_t>(handler->key));
    const std::string name = kafka::FindApi(static_cast<int16_t>(handler->key))->name;
    group_.AddCallbackCounter("kafka_network_requestmetrics_requests_total", "Requests by API.",
                              Read(api.requests[slot]), {{"request", name}});
    group_.AddCallbackCounter("kafka_network_requestmetrics_errors_total",
                              "Requests answered with an error, by API.", Read(api.errors[slot]),
                              {{"request", name}});
  }
}

void BrokerMetrics::AddNetwork(const NetMetrics& net) {
  group_.AddCallbackCounter("sluice_network_received_bytes_total",
                            "Bytes read from client connections.", Read(net.bytes_in));
  group_.AddCallbackCounter("sluice_network_sent_bytes_total",
                            "Bytes written to client connections.", Read(net.bytes_out));
  group_.AddCallbackGauge("sluice_network_connections", "Open client connections.",
                          Read(net.connections));
  group_.AddCallbackCounter("sluice_network_connections_accepted_total",
                            "Client connections accepted.", Read(net.connections_accepted));
  group_.AddCallbackCounter("sluice_network_connections_refused_total",
                            "Client connections over a limit.", Read(net.connections_refused));
  group_.AddCallbackCounter("sluice_network_connections_expired_total",
                            "Client connections idle or too slow.", Read(net.connections_expired));
  group_.AddCallbackCounter(
      "sluice_network_frames_refused_total",
      "Requests with a bad size, an unknown API or version, or a malformed body.",
      Read(net.frames_refused));
}

}  // namespace sluice::broker
