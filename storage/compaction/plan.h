#pragma once
// What a log and its cleaner tell each other: the survey by which logs are picked, the plan of a
// run, and the files that a run hands back. Like a flush, a run is captured and committed under the
// log's guard and works without it in between. The decisions here are pure.
//
// Thread rule: values; a plan may be used on any thread.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "storage/compaction/transactions.h"

namespace sluice::storage {

// A sealed segment as the survey sees it.
struct SourceSegment {
  Offset base;
  Offset end;  // the next segment's base
  uint64_t size_bytes = 0;
  uint64_t index_bytes = 0;  // of the larger index
  int64_t max_timestamp_ms = -1;
  std::optional<int64_t> first_timestamp_ms;  // of the first batch
};

// What decides whether, and how far, a log is cleaned.
struct CompactionRules {
  double dirty_ratio_min = 0.5;            // min.cleanable.dirty.ratio
  int64_t lag_min_ms = 0;                  // min.compaction.lag.ms
  int64_t lag_max_ms = INT64_MAX;          // max.compaction.lag.ms
  int64_t delete_retention_ms = 86400000;  // delete.retention.ms
};

// All sealed segments of a log, and what bounds the cleaner.
struct CompactionView {
  std::vector<SourceSegment> segments;  // ascending, without the active one
  Offset log_start;
  Offset log_end;
  // Nothing at or above it is cleaned: the lowest of last stable offset and durable end.
  Offset stable_end;
  std::optional<Offset> cleaned_upto;  // the checkpoint
  int64_t now_ms = 0;                  // wall clock, as the records' timestamps
};

struct CompactionSurvey {
  Offset first_dirty;
  Offset upper;                  // where the first segment begins that may not be cleaned
  uint64_t clean_bytes = 0;      // of segments below the one that holds first_dirty
  uint64_t cleanable_bytes = 0;  // from there up to `upper`
  bool overdue = false;          // max.compaction.lag.ms has passed for a dirty record

  double dirty_ratio_min = 0.5;  // of the rules

  double dirty_ratio() const {
    const uint64_t all = clean_bytes + cleanable_bytes;
    return all == 0 ? 0 : static_cast<double>(cleanable_bytes) / static_cast<double>(all);
  }
  bool due() const { return cleanable_bytes > 0 && (overdue || dirty_ratio() > dirty_ratio_min); }
};

CompactionSurvey SurveyCompaction(const CompactionView& view, const CompactionRules& rules);

struct GroupLimits {
  uint64_t segment_bytes = 1073741824;
  uint64_t index_bytes = 10485760;
};

// Which neighbours become one segment: as many as together stay within the limits and within 2^31
// offsets. Every source is in exactly one group.
std::vector<std::vector<SourceSegment>> GroupSources(const std::vector<SourceSegment>& sources,
                                                     const GroupLimits& limits);

// The last batch of a producer that is still known: it carries what the next one is checked by.
struct ActiveProducer {
  Offset last_data_offset{-1};  // -1: its last batch is a marker
  int16_t epoch = -1;
};

struct CompactionPlan {
  std::string directory;
  std::vector<SourceSegment> segments;  // all below survey.upper
  CompactionSurvey survey;
  CompactionRules rules;
  // From here on no deletion is forgotten, however old: tombstones and transaction markers stay. A
  // view of the log may be put back so far, and learns of them by reading on.
  Offset tombstones_stay_from{INT64_MAX};
  GroupLimits limits;
  int32_t index_interval_bytes = 4096;
  int64_t now_ms = 0;
  std::map<ProducerId, ActiveProducer> producers;
  std::vector<AbortedTransaction> aborted;
  // Changes when the log is truncated or closed: the plan is then void.
  std::shared_ptr<const std::atomic<uint64_t>> generation;
  uint64_t planned_generation = 0;

  bool stale() const { return generation->load(std::memory_order_relaxed) != planned_generation; }
};

// One new segment, written, synced and named .cleaned, that takes the place of its sources.
struct CleanedSegment {
  std::vector<SourceSegment> sources;
  uint64_t size_bytes = 0;
  bool has_txn_index = false;
  // Of the plan: the log may be another one by now.
  std::shared_ptr<const std::atomic<uint64_t>> generation;
  uint64_t planned_generation = 0;
  Offset base() const { return sources.front().base; }
};

}  // namespace sluice::storage
