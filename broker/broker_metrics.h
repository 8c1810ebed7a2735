#pragma once
// BrokerMetrics: the counters of the network and of the API handlers on the metrics page, by the
// names of Kafka's exporters.
//
// Thread rule: one owner; what it reads are atomics.

#include "base/metrics.h"
#include "broker/api/api_metrics.h"
#include "broker/net/net_metrics.h"

namespace sluice::broker {

class BrokerMetrics {
 public:
  // Neither counters nor registry are owned; all outlive this.
  BrokerMetrics(MetricsRegistry& registry, const ApiMetrics& api, const NetMetrics& net);

 private:
  void AddTopicMetrics(const ApiMetrics& api);
  void AddRequestMetrics(const ApiMetrics& api);
  void AddNetwork(const NetMetrics& net);

  MetricsGroup group_;
};

}  // namespace sluice::broker
