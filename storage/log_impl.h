#pragma once
// LogImpl: the Log of segment files. This header is private to storage/; the members are spread
// over log_impl.cc (life, settings, epochs), log_later.cc (what a clean start left unread),
// log_append.cc, log_read.cc, log_truncate.cc and
// log_flush.cc. Opening and recovery are recovery.h's.
//
// Invariants: those of Log, and
//   1. segments_ is never empty; bases ascend; only the last (active) one grows.
//   2. A sealed segment whose files are not known to be durable is in sealed_unsynced_.
//
// Thread rule: guarded by the log's owner, but for the offsets and the size, which anyone may read.

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/compaction/plan.h"
#include "storage/epoch_cache.h"
#include "storage/log.h"
#include "storage/log_state.h"
#include "storage/producer_state.h"
#include "storage/segment.h"
#include "storage/txn_index.h"

namespace sluice::storage {

class LogImpl final : public Log {
 public:
  LogImpl(LogOptions options, LogState state);

  Result<AppendOutcome> AppendAsLeader(std::string_view batch, LeaderEpoch epoch) override;
  void NoteRefused(std::string_view batch) override;
  Status AppendAsFollower(std::string_view batches, LeaderEpoch epoch_max) override;
  Result<ReadResult> Read(Offset from, size_t size_bytes_max, Offset upto,
                          bool one_at_least) const override;
  Result<std::optional<TimestampOffset>> FindTimestamp(int64_t timestamp_ms,
                                                       Offset upto) const override;
  Result<std::optional<TimestampOffset>> MaxTimestamp(Offset upto) const override;
  void set_lacking(Lacking* lacking) override { home_->lacking = lacking; }
  Result<Offset> LastStableOffset(Offset high_watermark) const override;
  Result<std::vector<AbortedTransaction>> AbortedTransactions(
      const OffsetRange& range) const override;
  Result<std::vector<AbortedTransaction>> AbortedInRead(const OffsetRange& range,
                                                        size_t size_bytes) const override;
  Status TruncateTo(Offset offset) override;
  Status TruncateFullyAndStartAt(Offset offset) override;
  Status AdvanceLogStart(Offset offset) override;
  Status AssignEpochStart(LeaderEpoch epoch, Offset start) override;
  LeaderEpoch latest_epoch() const override;
  EpochEndOffset EndOffsetFor(LeaderEpoch epoch) const override;
  Offset log_start_offset() const override {
    return Offset(log_start_.load(std::memory_order_relaxed));
  }
  Offset log_end_offset() const override {
    return Offset(log_end_.load(std::memory_order_relaxed));
  }
  Offset flushed_offset() const override {
    return Offset(flushed_.load(std::memory_order_relaxed));
  }
  uint64_t size_bytes() const override { return size_bytes_.load(std::memory_order_relaxed); }
  const RecoveryReport& recovery() const override { return recovery_; }
  void set_config(const LogConfig& config) override { options_.config = config; }
  Status failure() const override {
    return offline_.ok() ? Status::Ok() : Status(offline_code_, offline_.message());
  }
  Status known_damage() const override;
  std::optional<Offset> damaged_at() const override {
    const Offset at(damaged_at_.load(std::memory_order_relaxed));
    return at < Offset(0) ? std::nullopt : std::optional(at);
  }
  FlushTarget PrepareFlush() override;
  void OnFlushed(Offset upto, const Status& outcome) override;
  bool has_unsynced_rolled_segment() const override { return !sealed_unsynced_.empty(); }
  Result<int> ApplyRetention(Offset high_watermark) override;
  CompactionSurvey SurveyCompaction(std::optional<Offset> cleaned_upto,
                                    Offset stable_end) const override;
  Result<CompactionPlan> PlanCompaction(std::optional<Offset> cleaned_upto,
                                        Offset stable_end) const override;
  Status CommitCompaction(const CleanedSegment& cleaned) override;
  Status TakeHistoryOf(const Log& source) override;
  void set_home(const std::string& directory,
                std::function<Status(Offset)> lower_recovery_point) override;
  Status Close() override;
  Result<FlushTarget> BeginClose() override;
  Status FinishClose(Offset upto, const Status& outcome) override;

  // Writes what opening changed: indexes, the epoch history and partition.metadata. Once, after
  // construction.
  struct Opened {
    Offset unsynced_from;
    bool epochs_changed;
    bool directory_created;
  };
  Status FinishOpening(const Opened& opened);
  void LookAgain();  // where damage was found before the last stop

 private:
  // What was appended so long ago may still be a hot tail; after four times that it is asked about.
  static constexpr int64_t kHotStepMs = 1000;

  struct SealedFiles {
    uint64_t sequence = 0;
    Offset base;
    Offset end;
    // Empty where recovery found the segment: they are opened to be synced, as there may be many.
    std::vector<std::shared_ptr<File>> files;
  };
  // A file or directory beside the segments that the next flush has to sync. Files are opened when
  // they are synced: were their bytes lost meanwhile, the next start finds no checksum or no such
  // text, and does without them. An idle log may keep some for long, so that no path is kept.
  struct Beside {
    enum class Kind : uint8_t { kDirectory, kParent, kTopicId, kEpochs, kSnapshot };
    Kind kind;
    Offset offset{0};  // of a snapshot
    friend bool operator==(const Beside&, const Beside&) = default;
  };
  struct Unsynced {
    Beside what;
    uint64_t sequence = 0;
  };
  // A PrepareFlush whose OnFlushed has not come.
  struct Captured {
    Offset upto;
    Offset cap;  // a truncation meanwhile took away what lies above
    uint64_t sequence = 0;
  };
  // Damage that a read has met, in [from, upto).
  struct FoundDamage {
    Offset from;
    Offset upto;
    Status why;
  };
  // Batches of one AppendAsFollower that go to the active segment in one write.
  struct Run {
    std::string_view bytes;
    std::vector<BatchHeader> batches;
  };

  const LogConfig& config() const { return options_.config; }
  FileSystem& fs() const { return *options_.file_system; }
  Segment& active() const { return *segments_.back(); }
  std::string PathTo(std::string_view name) const {
    return options_.directory + "/" + std::string(name);
  }
  // Passes `status` on; an IO error or a broken promise of the disk takes the log offline for good.
  Status Checked(Status status) const;
  Status CheckOnline() const { return offline_; }

  // log_later.cc: reads what a clean start left unread, once. A failure of EnsureActive or
  // EnsureProducers takes the log offline; EnsureEpochs does so for callers that give no status.
  Status EnsureActive();
  Status EnsureProducers() const;
  Status EnsureEpochs() const;

  // log_append.cc
  bool NeedsRoll(const BatchHeader& batch, size_t pending_bytes, size_t pending_batches) const;
  Status Roll();
  Status SealActive();
  Status NoteEpoch(LeaderEpoch epoch, Offset start);
  Result<std::vector<BatchHeader>> CheckFetched(std::string_view batches, LeaderEpoch max) const;
  Status AppendFetched(std::string_view batches, const std::vector<BatchHeader>& headers);
  Status WriteRun(Run& run);
  Status Observe(const BatchHeader& batch, std::string_view bytes);

  // log_read.cc
  struct Reading {
    Offset from;
    Offset upto;
    size_t size_bytes_max;
    bool one_at_least;
    bool hot;
    bool first_batch = true;  // it is still to be found
  };
  // Adds what segment `i` holds of it; false when it ends there. kCorruption may come beside good
  // bytes: then these lie before the damage.
  Result<bool> ReadSegment(size_t i, Reading& reading, ReadResult& result) const;
  // kCorruption when records between loaded segment `i` and the next one have been lost.
  Status CheckSeam(size_t i) const;
  Result<bool> SkipsOffsets(size_t i) const;
  // Passes `status` on; remembers damage that a read at `from` has met in segment `i`, or behind
  // it.
  Status Noted(size_t i, Offset from, Status status) const;
  Status NotedAtEnd(size_t i, Status status) const;
  bool Holds(const FoundDamage& found) const;
  void SettleDamagedAt() const;
  // kCorruption when `from`, at or above the log's start, lies before its first segment.
  Status CheckFirst(Offset from) const;
  size_t SegmentIndexOf(Offset offset) const;
  bool IsHot(Offset from) const;
  Result<std::optional<TimestampOffset>> FindInSegment(size_t i, int64_t timestamp_ms,
                                                       Offset upto) const;
  Result<std::optional<TimestampOffset>> FindByIndex(size_t i, int64_t timestamp_ms, Offset upto,
                                                     std::string& misled) const;

  // log_transactions.cc
  Result<Offset> EndOfRead(Offset from, size_t size_bytes) const;
  Offset EndOfSegment(size_t i) const;
  Status EnsureTxnIndex(size_t i) const;
  Status TruncateTxnIndex(Offset end);
  // Adds the active segment's .txnindex, if there is one, to the files of its seal.
  Status SealTxnIndex(Offset base, std::vector<std::shared_ptr<File>>& files);

  // log_truncate.cc
  bool Expired(size_t i, int64_t now_ms) const;
  Status LowerRecoveryPoint(Offset offset);
  Status EndTruncation();
  Status RemoveSegmentsFrom(size_t first);
  void SetStart(Offset start);
  Result<size_t> DeleteOldSegments(size_t count);  // the first, at most; how many went
  // Files on their way out. Those that were open are closed outside the guard: the last close of a
  // removed file frees its blocks.
  struct Doomed {
    std::vector<std::string> paths;
    std::vector<std::shared_ptr<File>> open_files;
  };
  Status RenameToDeleted(const Segment& segment, bool with_snapshot, Doomed& doomed);
  void RemoveLater(Doomed doomed);
  Status ReloadProducers();
  Status RemoveSnapshots(Offset from, Offset below);
  void ForgetSnapshot(Offset offset);

  // log_compact.cc; VoidPlans: those made before count no more
  void VoidPlans() { generation_->fetch_add(1, std::memory_order_relaxed); }
  CompactionView ViewForCompaction(std::optional<Offset> cleaned_upto, Offset stable_end) const;
  Result<size_t> FindSources(const CleanedSegment& cleaned) const;
  Status RenameCleaned(const CleanedSegment& cleaned, std::string_view from, std::string_view to);
  Status RemoveSwap(const CleanedSegment& cleaned);
  Status SwapIn(const CleanedSegment& cleaned, size_t first);

  // log_flush.cc
  Status SaveEpochs();
  Status SaveSnapshot();
  // Writes through a temporary name, without waiting for the disk: the next flush syncs it.
  Status WriteUnsynced(const Beside& file, std::string_view data);
  void MarkUnsynced(const Beside& what);
  void MarkDirectoryDirty() { MarkUnsynced({Beside::Kind::kDirectory}); }
  std::string PathOf(const Beside& what) const;
  // Adds to the target, whose status is left alone.
  Status Capture(FlushTarget& target);
  Status FlushNow();
  void SetEnd(Offset end);
  // Records from `first` on are being appended.
  void NoteHot(Offset first);

  LogOptions options_;
  const std::unique_ptr<SegmentHome> home_;  // outlives segments_
  std::vector<std::unique_ptr<Segment>> segments_;
  mutable EpochCache epochs_;  // see EnsureEpochs
  mutable bool epochs_loaded_;
  bool epochs_unsaved_ = false;      // for want of room
  mutable ProducerState producers_;  // see EnsureProducers
  mutable bool producers_loaded_;
  const Offset opened_end_;  // where the log ended when it was opened
  const std::unique_ptr<TxnIndexes> txn_indexes_;
  std::set<Offset> lost_;
  mutable std::vector<FoundDamage> found_;
  mutable std::atomic<int64_t> damaged_at_{-1};
  mutable bool skips_offsets_ = false;  // once it was seen to
  std::atomic<int64_t> log_start_;
  std::atomic<int64_t> log_end_;
  std::atomic<int64_t> flushed_;
  std::atomic<uint64_t> size_bytes_;
  RecoveryReport recovery_;
  mutable Status offline_;  // what every operation gives then
  mutable StatusCode offline_code_ = StatusCode::kOk;
  int64_t active_since_ms_;  // steady clock: when the active segment was opened
  // What lies at or above hot_from_ was appended after hot_since_ms_ (steady clock), so it is in
  // memory as long as that is not long ago; at or above next_hot_from_, after next_hot_since_ms_.
  Offset hot_from_{INT64_MAX};
  int64_t hot_since_ms_ = INT64_MIN / 2;
  Offset next_hot_from_{INT64_MAX};
  int64_t next_hot_since_ms_ = INT64_MIN / 2;

  std::vector<SealedFiles> sealed_unsynced_;
  std::vector<Unsynced> unsynced_;
  uint64_t next_sequence_ = 1;
  std::vector<Captured> captures_;  // oldest first
  // Shared with the compaction plans that are under way.
  const std::shared_ptr<std::atomic<uint64_t>> generation_ =
      std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace sluice::storage
