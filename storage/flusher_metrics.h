#pragma once
// FlusherMetrics: what a log directory's flusher tells of itself. Appends, partitions and files in
// one flush are these counters divided by the histogram's count.
//
// Thread rule: one owner; counted on from any thread.

#include <string>

#include "base/metrics.h"

namespace sluice::storage {

struct FlusherMetrics {
  // The registry outlives this.
  FlusherMetrics(MetricsRegistry& registry, const std::string& directory)
      : group(registry, {{"directory", directory}}),
        seconds(group.AddHistogram("kafka_log_logflushstats_logflush_seconds",
                                   "Flushes of groups of partitions, and their time.",
                                   kSecondsRange)),
        asked(group.AddCounter("sluice_log_flush_appends_total",
                               "Appends to partitions that asked for a flush.")),
        partitions(
            group.AddCounter("sluice_log_flush_partitions_total", "Partitions that were flushed.")),
        files(group.AddCounter("sluice_log_flush_files_total",
                               "Files and directories that flushes made durable.")),
        whole(group.AddCounter("sluice_log_flush_syncfs_total",
                               "Flushes by one sync of the whole file system.")),
        failures(group.AddCounter("sluice_log_flush_failures_total",
                                  "Partitions whose flush failed; the server's log says why.")) {}

  MetricsGroup group;
  Histogram& seconds;
  Counter& asked;
  Counter& partitions;
  Counter& files;
  Counter& whole;
  Counter& failures;
};

}  // namespace sluice::storage
