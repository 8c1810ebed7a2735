#pragma once
// Compactor: the workers that keep compacted logs clean. Each takes the dirtiest log that is due
// (the share of its bytes that was never cleaned, above min.cleanable.dirty.ratio; or a record
// older than max.compaction.lag.ms), runs it in small steps, and looks for the next. Between two
// steps it pays for what it read and wrote out of a common budget, and sees whether the log was
// truncated, deleted, or the node stops: then the run is dropped, and what it had not committed
// goes.
//
// A log that cannot be cleaned (a damaged batch, a batch with more keys than the map holds) is set
// aside with an error that names file and position, until it is opened anew.
//
// Not for logs that are only deleted by age or size: Log::ApplyRetention does that.
//
// Thread rule: thread-safe. A worker is an EventLoop; the mutex guards what they share and is never
// held while a target is called.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/random.h"
#include "storage/compaction/plan.h"
#include "storage/log_manager.h"

namespace sluice::storage {

// A log with its guard. Every call takes the guard for a short while.
class CompactionTarget {
 public:
  virtual ~CompactionTarget() = default;
  virtual const TopicPartition& name() const = 0;
  // The log is compacted and in service; asked between any two steps of a run.
  virtual bool WantsCompaction() const = 0;
  // nullopt when it is not.
  virtual std::optional<CompactionSurvey> SurveyCompaction(std::optional<Offset> cleaned_upto) = 0;
  virtual Result<CompactionPlan> PlanCompaction(std::optional<Offset> cleaned_upto) = 0;
  virtual Status CommitCompaction(const CleanedSegment& cleaned) = 0;
};

struct CompactorOptions {
  // One for each worker; none is owned, all outlive the compactor.
  std::vector<EventLoop*> loops;
  FileSystem* file_system = nullptr;  // not owned
  std::function<std::vector<std::shared_ptr<CompactionTarget>>()> targets;
  // cleaner-offset-checkpoint.
  std::function<std::optional<Offset>(const TopicPartition&)> cleaned_upto;
  std::function<Status(const TopicPartition&, Offset)> set_cleaned_upto;
  // A failed sync of the log's directory: as every failed sync, it is the end of the whole log
  // directory (docs/decisions/0001). Called with no lock held; empty: nobody is told.
  std::function<void(const TopicPartition&, const Status&)> sync_failed;
  // CompactionPlan::tombstones_stay_from; nullopt: no view is made of the log. Asked for each run,
  // with no lock held. Empty: of none.
  std::function<std::optional<Offset>(const TopicPartition&)> tombstones_stay_from;
  Random random{0};                          // for the secrets of the key hashes
  uint64_t dedupe_buffer_bytes = 134217728;  // log.cleaner.dedupe.buffer.size, of all workers
  double dedupe_load_factor = 0.9;           // log.cleaner.io.buffer.load.factor
  double io_bytes_per_second_max = 1.7976931348623157e308;  // log.cleaner.io.max.bytes.per.second
  int64_t backoff_ms = 15000;                               // log.cleaner.backoff.ms
};

struct CompactorStats {
  uint64_t runs = 0;  // finished
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t bytes_removed = 0;  // by which segments became smaller
  uint64_t uncleanable_partitions = 0;
  double dirty_ratio_max = 0;  // when a worker last looked
};

class Compactor {
 public:
  static std::unique_ptr<Compactor> Start(CompactorOptions options);
  virtual ~Compactor() = default;  // stops

  // No run goes on after its present step. Idempotent; does not wait for the workers.
  virtual void Stop() = 0;
  virtual CompactorStats stats() const = 0;
  // Why the log is set aside; OK when it is not.
  virtual Status Uncleanable(const TopicPartition& partition) const = 0;
};

}  // namespace sluice::storage
