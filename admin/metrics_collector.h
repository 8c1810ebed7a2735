#pragma once
// MetricsCollector: the node's metrics in Prometheus' text format, by the names that Kafka's
// exporters use, so that existing dashboards and alerts work. Gauges of the cluster are computed
// from the image when somebody asks; counters come from the sources that the composition root adds.
//
// Thread rule: AddSource before the first Collect; Collect from any thread.

#include <functional>
#include <string>
#include <vector>

#include "admin/backend.h"
#include "admin/metrics_text.h"

namespace sluice::admin {

class MetricsCollector {
 public:
  // Writes its own families, each with another name than anybody else's.
  using Source = std::function<void(MetricsText&)>;

  explicit MetricsCollector(Backend& backend) : backend_(backend) {}

  void AddSource(Source source) { sources_.push_back(std::move(source)); }
  std::string Collect() const;

 private:
  Backend& backend_;
  std::vector<Source> sources_;
};

}  // namespace sluice::admin
