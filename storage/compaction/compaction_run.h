#pragma once
// CompactionRun: the work on one log between plan and commits, in steps of bounded size, so that
// its owner can throttle it, and give it up between any two. First the dirty part is read and the
// last offset of each key noted (Kafka's own two passes); then, group by group, the segments are
// copied without what newer records supersede.
//
//   CompactionRun run(std::move(plan), options);
//   while (true) {
//     SLUICE_ASSIGN_OR_RETURN(const CompactionRun::Progress progress, run.Step(1 << 20));
//     if (progress == kDone) break;
//     if (progress == kSegmentReady) { log->CommitCompaction(run.ready()); run.OnCommitted(); }
//   }
//   // everything below run.cleaned_upto() is clean
//
// Invariants:
//   1. The last batch of every new segment ends where its last source did (empty, if need be), so
//   that neither recovery nor a reader finds a hole at its end.
//   2. An older record of a key is dropped only when the newer one is durable: the plan ends at the
//   durable end.
//
// Thread rule: one owner; nothing of it needs the log's guard.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "storage/batch_scanner.h"
#include "storage/cold_pages.h"
#include "storage/compaction/batch_filter.h"
#include "storage/compaction/cleaned_writer.h"
#include "storage/compaction/plan.h"

namespace sluice::storage {

class CompactionRun {
 public:
  struct Options {
    FileSystem* file_system = nullptr;  // not owned
    uint64_t map_bytes_max = 134217728;
    double map_load_factor = 0.9;
    size_t read_bytes = 4u << 20;  // read at once
    KeyHasher hasher{0, 0};
  };
  enum class Progress { kWorking, kSegmentReady, kDone };
  struct Stats {
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
    uint64_t bytes_before = 0;  // of the segments that were replaced
    uint64_t bytes_after = 0;
    uint64_t map_entries = 0;
    uint64_t records_without_key = 0;
    bool map_was_full = false;
  };

  CompactionRun(CompactionPlan plan, const Options& options);
  ~CompactionRun();

  // Works on about `budget_bytes` of files. kCorruption (file and position named) when a batch is
  // damaged; kUnavailable when a file is gone, as after a truncation or a deletion.
  Result<Progress> Step(uint64_t budget_bytes);
  // REQUIRES: Step said kSegmentReady. Commit it before the next Step.
  const CleanedSegment& ready() const { return ready_; }
  void OnCommitted();
  // After kDone.
  Offset cleaned_upto() const { return std::max(mapped_upto_, plan_.survey.first_dirty); }
  bool stale() const { return plan_.stale(); }
  const Stats& stats() const { return stats_; }

 private:
  enum class Phase { kMapping, kCleaning, kDone };

  Status OpenSource(const SourceSegment& source);
  void CloseSource();
  void ReadAhead();
  // The next batch of the open source, checked; false at its end.
  Result<bool> NextBatch(std::string_view& bytes);
  Status Damaged(uint64_t position, std::string_view why) const;
  Status AtBatch(const Status& status) const;

  Result<bool> MapSome(uint64_t budget_bytes);
  void MakeMap(Offset base);
  Result<bool> MapOne(const BatchHeader& batch, std::string_view bytes);
  void BeginCleaning();
  Result<Progress> CleanSome(uint64_t budget_bytes);
  Result<bool> EndGroup();
  void NextGroup();
  Status CleanBatch(const BatchHeader& batch, std::string_view bytes, bool ends_group);
  BatchRetention RetentionOf(const BatchHeader& batch, std::string_view bytes, bool ends_group);
  bool IsLastOfProducer(const BatchHeader& batch) const;

  const CompactionPlan plan_;
  const Options options_;
  Phase phase_ = Phase::kMapping;
  Stats stats_;

  // The source being read.
  size_t source_ = 0;  // of plan_.segments, or of the current group
  std::string source_path_;
  std::shared_ptr<File> source_file_;
  std::unique_ptr<BatchScanner> scanner_;
  Offset source_base_;
  Offset source_end_;
  Offset expected_;  // no batch of the source may begin below
  uint64_t source_bytes_ = 0;
  uint64_t asked_upto_ = 0;      // of its bytes, those that the system was told to fetch
  bool source_is_cold_ = false;  // nobody reads it: nor what will be written in its place
  std::set<Offset> cold_sources_;
  ColdPages cold_pages_;

  std::unique_ptr<OffsetMap> map_;
  Offset mapped_upto_;
  TransactionTracker tracker_;
  std::unique_ptr<BatchFilter> filter_;

  std::vector<std::vector<SourceSegment>> groups_;
  size_t group_ = 0;
  size_t last_filled_ = 0;  // of the group's sources, the last that has batches; counted from 1
  std::unique_ptr<CleanedWriter> writer_;
  bool changed_ = false;  // the group's batches are not all as they were
  std::string rewritten_;
  CleanedSegment ready_;
};

}  // namespace sluice::storage
