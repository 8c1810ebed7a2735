#pragma once
// Log: one partition's records on disk, in Kafka's files (docs/formats): segments with their offset
// and time indexes, the leader-epoch history and the producer state. Offsets, truncation and
// recovery live here; replication, high watermarks and the network do not.
//
// Invariants:
//   1. log_start_offset <= flushed_offset <= log_end_offset, and offsets ascend without reuse until
//   a truncation.
//   2. The epoch history's start offsets ascend strictly and never exceed log_end_offset.
//   3. After any operation failed with kIoError the log is offline: every later operation fails (a
//   failed fsync proves nothing). So it is after others that broke off in its midst: failure()
//   tells.
//
// Thread rule: not thread-safe; the owner (broker::Partition, controller::QuorumLog) guards it with
// its mutex or thread. FileSlices that Read handed out stay readable without the guard.
// FlushTarget::Run may run on any thread, beside everything else.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/ids.h"
#include "base/output_chain.h"
#include "base/status.h"
#include "base/uuid.h"
#include "kafka/error_code.h"
#include "storage/lacking.h"

namespace sluice::storage {

class FileCache;
struct CleanedSegment;    // storage/compaction/plan.h
struct CompactionPlan;    // the same
struct CompactionSurvey;  // the same

// The topic settings that the log obeys; names and defaults are Kafka's (kafka-features.md 3.14).
struct LogConfig {
  int64_t segment_bytes = 1073741824;
  int64_t segment_ms = 604800000;
  int64_t retention_ms = 604800000;  // -1 = for ever
  int64_t retention_bytes = -1;      // per partition; -1 = without limit
  int32_t index_interval_bytes = 4096;
  int32_t index_size_bytes_max = 10485760;
  int64_t producer_id_expiration_ms = 86400000;
  bool cleanup_delete = true;
  bool cleanup_compact = false;
  double min_cleanable_dirty_ratio = 0.5;
  int64_t min_compaction_lag_ms = 0;
  int64_t max_compaction_lag_ms = INT64_MAX;
  int64_t delete_retention_ms = 86400000;
};

struct AppendInfo {
  Offset first_offset;
  Offset last_offset;
  bool duplicate = false;  // an exact resend of a batch already stored (KIP-98): nothing was
                           // written, offsets are the original's
};

// Why the producer state refused a batch; kNone when it did not. The error is one of
// kOutOfOrderSequenceNumber, kInvalidProducerEpoch, kDuplicateSequenceNumber: the last says that
// the batch was stored long ago, at or below info.last_offset, and its offsets are forgotten.
struct AppendOutcome {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  std::string message;
  AppendInfo info;
};

struct ReadResult {
  // Whole batches from the one that holds the asked offset on; empty at the log's end. The last
  // batch may be partial only when the size limit cut it and an earlier batch is whole (KIP-74).
  std::vector<FileSlice> slices;
  size_t size_bytes = 0;
};

// A transaction that ended in an ABORT marker. Its records, [first_offset, last_offset) of that
// producer, are not to be seen by readers of what is committed.
struct AbortedTransaction {
  ProducerId producer_id = kNoProducer;
  Offset first_offset;
  Offset last_offset;         // the marker's
  Offset last_stable_offset;  // when the marker was written
  friend bool operator==(const AbortedTransaction&, const AbortedTransaction&) = default;
};

struct OffsetRange {
  Offset from;
  Offset upto;  // exclusive
};

struct TimestampOffset {
  int64_t timestamp_ms = -1;
  Offset offset{-1};
  LeaderEpoch leader_epoch = kNoEpoch;
};

struct EpochEndOffset {
  // The largest epoch <= the asked one that the log knows. When the asked one is older than the
  // whole history: itself, ending where the history begins. kNoEpoch when there is no history.
  LeaderEpoch epoch = kNoEpoch;
  Offset end_offset{-1};
};

// What a flush has to sync, captured under the owner's guard and run outside it.
struct FlushTarget {
  Offset upto;    // all below it are durable once Run succeeded
  Status status;  // why nothing could be captured: the outcome then, whatever is synced
  // Run syncs in this order: whose records they are (the topic's id) is durable before any of them.
  std::vector<std::string> beside;           // the small files; opened as `paths`
  std::vector<std::string> directories;      // with names that are not durable yet
  std::vector<std::shared_ptr<File>> files;  // with unsynced bytes, oldest first
  // The same, to be opened for it: many logs may be captured before one sync of the file system.
  // All that must exist did at the capture: what is gone was removed with segment or partition.
  std::vector<std::string> paths;
  std::shared_ptr<FileCache> cache;   // for the paths
  FileSystem* file_system = nullptr;  // not owned; for the directories
  size_t file_count() const { return files.size() + paths.size() + beside.size(); }
  Status Run() const;  // syncs each in turn; blocking
};

struct LogOptions {
  std::string directory;  // <log.dir>/<topic>-<partition>
  TopicId topic_id;       // checked against partition.metadata, or written to it
  LogConfig config;
  FileSystem* file_system = nullptr;  // not owned
  const Clock* clock = nullptr;       // not owned
  // The open files of the log directory; null: one of its own.
  std::shared_ptr<FileCache> files;
  // From recovery-point-offset-checkpoint: bytes below it were synced. The tail above it is scanned
  // at opening unless `clean`.
  Offset recovery_point{0};
  bool clean = false;  // the last stop left the clean-shutdown marker
  // Damage above the recovery point is cut even where valid batches follow it: a power cut may
  // persist unsynced pages in any order. For owners who know that nothing above the recovery point
  // counts (another copy has it, or it was never acknowledged).
  bool cut_unsynced_damage = false;
  // This software has not kept all logs of the directory once: others may have written last. What
  // it knows of its own ways to write is not true of these files: see recovery.h.
  bool taken_over = false;
  // Where a read found damage before the last stop: it is looked at again, as by that read.
  std::optional<Offset> damaged_at;
  // Only the process died since the files were written, not the host: the page cache kept all that
  // was written, whole but for the last write to each file. So indexes are taken over where they
  // fit, and only the last bytes of the log are read and checked: these, and its last batch. After
  // a power cut pages of different ages may lie side by side.
  bool host_stayed_up = false;
  uint64_t checked_tail_bytes = 65536;
  std::optional<Offset> log_start_offset;  // from log-start-offset-checkpoint
  // From cleaner-offset-checkpoint. Kafka's cleaner may leave no batch at the end of a segment, so
  // that a gap before the next one below this offset is no lost tail.
  Offset cleaned_upto{0};
  // Called before a truncation to an offset below what was synced: must make durable that the
  // recovery point is no higher than that, or the next start would take the missing bytes for
  // damage. Empty when the owner keeps no checkpoint.
  std::function<Status(Offset)> lower_recovery_point;
  // Runs a task soon, outside the owner's guard: removing a large file takes long. Empty: at once.
  std::function<void(std::function<void()>)> run_later;
};

// What opening had to do about a torn tail; told to the operator.
struct RecoveryReport {
  uint64_t truncated_bytes = 0;
  uint64_t checked_bytes = 0;  // that were read and checked
  bool gaps_left = false;      // between segments that are not known to be synced
  std::string message;         // empty when nothing was cut
};

class Log {
 public:
  // Opens or creates the directory. kCorruption (file and position named) when bytes before the
  // torn tail are damaged: nothing is cut then.
  static Result<std::unique_ptr<Log>> Open(LogOptions options);
  virtual ~Log() = default;

  // Appends one batch that kafka::ValidateBatch accepted, giving it the next offsets and `epoch`
  // (the leader's). The bytes of `batch` are not changed: the patched header goes out with the rest
  // in one gathered write.
  virtual Result<AppendOutcome> AppendAsLeader(std::string_view batch, LeaderEpoch epoch) = 0;
  // The batch was turned away before: see ProducerState.
  virtual void NoteRefused(std::string_view batch) = 0;
  // Appends whole batches as the leader sent them. kInvalidArgument unless offsets ascend from
  // log_end_offset on (gaps are what compaction left; a log without records may start in the midst
  // of the first batch), and CRCs hold; kFenced when a batch's epoch exceeds `epoch_max` (rule 2 of
  // reliability.md 3.1). A partial last batch is ignored.
  virtual Status AppendAsFollower(std::string_view batches, LeaderEpoch epoch_max) = 0;

  // Batches from the one holding `from`, up to `size_bytes_max` and below `upto` (exclusive; by
  // batch). With `one_at_least` the first batch comes whole even when larger. kOutOfRange when
  // `from` is outside [log_start_offset, log_end_offset].
  virtual Result<ReadResult> Read(Offset from, size_t size_bytes_max, Offset upto,
                                  bool one_at_least) const = 0;
  // The first record with timestamp >= `timestamp_ms` below `upto` (record level); nullopt when
  // none.
  virtual Result<std::optional<TimestampOffset>> FindTimestamp(int64_t timestamp_ms,
                                                               Offset upto) const = 0;
  // The record with the largest timestamp below `upto` (KIP-734); nullopt when the log is empty.
  virtual Result<std::optional<TimestampOffset>> MaxTimestamp(Offset upto) const = 0;

  // While `lacking` is not null, the three above and AbortedInRead wait for no disk: they fail with
  // kWouldWait where bytes are not in memory, or an index has to be built again, and leave in
  // *lacking which. The caller has that done elsewhere, without its guard, and asks again; each
  // time a little more is there. What a log does once in its life, as reading a producer snapshot,
  // it does at once. Use NoWaiting.
  virtual void set_lacking(Lacking* lacking) = 0;

  // Below it the outcome of every transaction is known, and known on all of the ISR: the least of
  // `high_watermark`, where the first open transaction begins, and where the first one begins that
  // a marker at or above `high_watermark` has ended.
  virtual Result<Offset> LastStableOffset(Offset high_watermark) const = 0;
  // The aborted transactions that overlap `range`, in the order of their markers; perhaps others
  // that end after it.
  virtual Result<std::vector<AbortedTransaction>> AbortedTransactions(
      const OffsetRange& range) const = 0;
  // The same for what Read(range.from, ...) gave: `size_bytes` of batches below range.upto.
  virtual Result<std::vector<AbortedTransaction>> AbortedInRead(const OffsetRange& range,
                                                                size_t size_bytes) const = 0;

  // Removes all records at or above `offset` (follower only), with indexes, epochs and producer
  // state; durable on return.
  virtual Status TruncateTo(Offset offset) = 0;
  // Removes everything; the log continues at `offset`.
  virtual Status TruncateFullyAndStartAt(Offset offset) = 0;
  // Moves the log start (DeleteRecords, or the leader's start learnt by a follower); whole segments
  // below it are deleted.
  virtual Status AdvanceLogStart(Offset offset) = 0;

  // Leader-epoch history (KIP-101). AssignEpochStart notes that `epoch` starts at `start` (a leader
  // does so at election even with no records: rule 2). EndOffsetFor: of the largest known epoch <=
  // `epoch`, where it ends.
  virtual Status AssignEpochStart(LeaderEpoch epoch, Offset start) = 0;
  virtual LeaderEpoch latest_epoch() const = 0;
  virtual EpochEndOffset EndOffsetFor(LeaderEpoch epoch) const = 0;

  virtual Offset log_start_offset() const = 0;
  virtual Offset log_end_offset() const = 0;
  virtual Offset flushed_offset() const = 0;  // everything below is durable
  virtual uint64_t size_bytes() const = 0;
  virtual const RecoveryReport& recovery() const = 0;
  virtual void set_config(const LogConfig& config) = 0;

  // Why the log is offline, with the code of what failed; OK while it is not.
  virtual Status failure() const = 0;

  // What opening found to be missing, or reads found damaged since, as far as it still lies within
  // the log. The rest can be used.
  virtual Status known_damage() const = 0;
  // Where the first damage is that reads have found. Thread-safe.
  virtual std::optional<Offset> damaged_at() const = 0;

  // Durability: capture, run the target elsewhere, report. OnFlushed(error) puts the log offline;
  // a target whose status is an error is reported as failed, and no flush is to be tried again.
  virtual FlushTarget PrepareFlush() = 0;
  virtual void OnFlushed(Offset upto, const Status& outcome) = 0;
  // A roll left segments that nobody has synced: the owner submits a flush in the background,
  // whatever its durability mode.
  virtual bool has_unsynced_rolled_segment() const = 0;

  // Deletes segments that retention allows, given the `high_watermark`; returns how many. The
  // active one goes only after a roll: when all of it has expired. Also forgets expired producers.
  virtual Result<int> ApplyRetention(Offset high_watermark) = 0;

  // Compaction, by a Compactor: capture, run elsewhere, report, as a flush. Nothing at or above
  // `stable_end` is touched, nor the active segment, nor what is not durable. `cleaned_upto`: from
  // cleaner-offset-checkpoint. Commit gives kUnavailable when the log was truncated, or lost one of
  // the sources, since the plan was made: the new files are then to be removed.
  virtual CompactionSurvey SurveyCompaction(std::optional<Offset> cleaned_upto,
                                            Offset stable_end) const = 0;
  virtual Result<CompactionPlan> PlanCompaction(std::optional<Offset> cleaned_upto,
                                                Offset stable_end) const = 0;
  virtual Status CommitCompaction(const CleanedSegment& cleaned) = 0;

  // For the copy of a log that moves to another directory. The epochs and producers that `source`
  // knows, beyond what its records tell, are this log's from now on; both end at the same offset.
  // Plans to compact the source count no more.
  virtual Status TakeHistoryOf(const Log& source) = 0;
  // Its directory has been given another name. `lower_recovery_point`: as LogOptions'.
  virtual void set_home(const std::string& directory,
                        std::function<Status(Offset)> lower_recovery_point) = 0;

  // Syncs everything, trims indexes, writes the producer snapshot. The log can only be destroyed
  // afterwards.
  virtual Status Close() = 0;
  // The same in two halves, for an owner that closes many: the first writes everything out, and the
  // second wants what came of syncing the target.
  virtual Result<FlushTarget> BeginClose() = 0;
  virtual Status FinishClose(Offset upto, const Status& outcome) = 0;
};

}  // namespace sluice::storage
