#pragma once
// BrokerMetrics: the counters of the broker's parts on the metrics page, by the names of Kafka's
// exporters where those have one.
//
// Thread rule: one owner; the sources are read from any thread.

#include <functional>
#include <vector>

#include "base/metrics.h"
#include "broker/api/api_metrics.h"
#include "broker/net/net_metrics.h"
#include "storage/compaction/compactor.h"
#include "storage/directory_state.h"
#include "storage/kv.h"

namespace sluice::broker {

// None of it is owned; all outlives the metrics.
struct BrokerMetricsSources {
  const ApiMetrics& api;
  const NetMetrics& net;
  std::function<uint64_t()> session_evictions;
  std::function<uint64_t()> metadata_resyncs;
  std::vector<storage::DirectoryPtr> directories;
  std::function<storage::CompactorStats()> compaction;
  std::function<storage::KvStats()> kv;
};

class BrokerMetrics {
 public:
  // The registry outlives this.
  BrokerMetrics(MetricsRegistry& registry, const BrokerMetricsSources& sources);

 private:
  void AddTopicMetrics(const ApiMetrics& api);
  void AddRequestMetrics(const ApiMetrics& api);
  void AddNetwork(const NetMetrics& net);
  void AddOwn(const BrokerMetricsSources& sources);
  void AddDirectories(const std::vector<storage::DirectoryPtr>& directories);
  void AddCompaction(const std::function<storage::CompactorStats()>& stats);
  void AddKv(const std::function<storage::KvStats()>& stats);

  MetricsGroup group_;
};

}  // namespace sluice::broker
