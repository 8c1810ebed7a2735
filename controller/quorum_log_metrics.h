#pragma once
// QuorumLogMetrics: what the metadata log tells of its disk.
//
// Thread rule: one owner; observed on the IO loop.

#include "base/metrics.h"

namespace sluice::controller {

struct QuorumLogMetrics {
  // The registry outlives this.
  explicit QuorumLogMetrics(MetricsRegistry& registry)
      : group(registry), entries(Flushes("entries")), votes(Flushes("votes")) {}

  MetricsGroup group;
  Histogram& entries;
  Histogram& votes;

 private:
  Histogram& Flushes(const char* what) {
    return group.AddHistogram("sluice_raft_log_flush_seconds",
                              "Time until a group of entries of the metadata log, or a vote, was "
                              "on the disk.",
                              kSecondsRange, {{"of", what}});
  }
};

}  // namespace sluice::controller
