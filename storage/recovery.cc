#include "storage/recovery.h"

#include <algorithm>
#include <set>

#include "storage/checkpoint_file.h"
#include "storage/compaction/swap_recovery.h"
#include "storage/file_names.h"
#include "storage/partition_metadata.h"
#include "storage/remedy.h"
#include "storage/segment_scan.h"

namespace sluice::storage {
namespace {

Result<uint64_t> FileSize(const Segment& segment) {
  SLUICE_ASSIGN_OR_RETURN(const auto file, segment.OpenFile());
  return file->Size();
}

class Recovery {
 public:
  explicit Recovery(const LogOptions& options) : options_(options), fs_(*options.file_system) {
    state_.home = std::make_unique<SegmentHome>(
        SegmentHome{options.directory,
                    options.files != nullptr ? options.files : std::make_shared<FileCache>(fs_)});
  }

  Result<LogState> Run() {
    SLUICE_RETURN_IF_ERROR(PrepareDirectory());
    SLUICE_RETURN_IF_ERROR(CheckTopicId());
    SLUICE_ASSIGN_OR_RETURN(const bool later, OpenForLater());
    if (later) {
      FindTxnIndexes();
      return std::move(state_);
    }
    SLUICE_RETURN_IF_ERROR(OpenSegments());
    SLUICE_RETURN_IF_ERROR(LoadSegments());
    SLUICE_RETURN_IF_ERROR(CheckEnds());
    SLUICE_RETURN_IF_ERROR(LoadEpochs());
    FindTxnIndexes();
    const TxnRebuild rebuild{state_.txn_indexes.get(), state_.scanned_from};
    SLUICE_RETURN_IF_ERROR(ClearScannedTxnIndexes());
    SLUICE_ASSIGN_OR_RETURN(state_.producers, LoadProducers(options_, state_.segments, &rebuild));
    return std::move(state_);
  }

 private:
  std::string PathTo(std::string_view name) const {
    return options_.directory + "/" + std::string(name);
  }
  Offset end() const { return state_.segments.back()->end_offset(); }
  Offset ToldStart() const { return options_.log_start_offset.value_or(Offset(0)); }

  Status PrepareDirectory() {
    if (!fs_.Exists(options_.directory)) {
      state_.directory_created = true;
      return fs_.CreateDirectories(options_.directory);
    }
    SLUICE_ASSIGN_OR_RETURN(auto names, fs_.List(options_.directory));
    SLUICE_ASSIGN_OR_RETURN(const bool swapped, FinishSwaps(fs_, options_.directory, names));
    if (swapped) {
      SLUICE_ASSIGN_OR_RETURN(names, fs_.List(options_.directory));
    }
    std::string unknown;
    for (const std::string& name : names) {
      const DirectoryEntry entry = ClassifyFile(name);
      // Deletions, and files that were being written when the last process stopped.
      if (entry.kind == DirectoryEntry::Kind::kLeftover)
        SLUICE_RETURN_IF_ERROR(fs_.Remove(PathTo(name)));
      if (entry.kind == DirectoryEntry::Kind::kLog) bases_.push_back(entry.base);
      if (entry.kind == DirectoryEntry::Kind::kTxnIndex) txn_bases_.insert(entry.base);
      if (entry.kind == DirectoryEntry::Kind::kUnknown) unknown += " " + name;
    }
    LOG_IF(WARNING, !unknown.empty())
        << options_.directory << " holds files that are no part of a log; they stay:" << unknown;
    std::sort(bases_.begin(), bases_.end());
    return RemoveOrphans(names);
  }

  // Indexes whose segment is gone: a crash fell between the removals of its files. After a clean
  // stop no crash did, and they tell of a .log that was lost.
  Status RemoveOrphans(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
        const auto base = ParseOffsetFileName(name, suffix);
        if (!base || std::binary_search(bases_.begin(), bases_.end(), *base)) continue;
        if (options_.clean && *base >= ToldStart()) {
          state_.lost.insert(*base);
          continue;
        }
        SLUICE_RETURN_IF_ERROR(fs_.Remove(PathTo(name)));
      }
    }
    return Status::Ok();
  }

  Status CheckTopicId() {
    const std::string path = PathTo(kPartitionMetadataName);
    if (!fs_.Exists(path)) return Status::Ok();
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs_, path));
    if (PartitionMetadataIsBlank(text)) return fs_.Remove(path);
    auto id = ParsePartitionMetadata(text);
    if (!id.ok()) return Status::Corruption(path + ": " + id.status().message());
    if (options_.topic_id.IsZero() || *id == options_.topic_id) return Status::Ok();
    return Status::Fenced(options_.directory + " belongs to topic id " + id->ToString() +
                          ", not to " + options_.topic_id.ToString());
  }

  void FindTxnIndexes() {
    state_.txn_indexes = std::make_unique<TxnIndexes>(*state_.home);
    for (const auto& segment : state_.segments) {
      if (txn_bases_.contains(segment->base_offset()))
        state_.txn_indexes->Add(segment->base_offset());
    }
  }

  // What a crash left in them is not known; LoadProducers finds the markers again.
  Status ClearScannedTxnIndexes() {
    for (const auto& segment : state_.segments) {
      if (segment->base_offset() < state_.scanned_from) continue;
      SLUICE_RETURN_IF_ERROR(state_.txn_indexes->StartAgain(segment->base_offset()));
    }
    return Status::Ok();
  }

  // After a clean stop the recovery point is the log's end, and the rest can wait for its first
  // use, if the files' sizes agree with that.
  Result<bool> OpenForLater() {
    const Offset end = options_.recovery_point;
    if (!options_.clean || bases_.empty() || end < bases_.back()) return false;
    // A stop writes the start, if it is not 0 (Kafka's: if it is above the first base). A first
    // segment that begins above it, or above an index without its .log, was not the first.
    const bool begins_late = options_.log_start_offset.has_value() ||
                             (!state_.lost.empty() && *state_.lost.begin() < bases_.front());
    const Offset start = begins_late ? ToldStart() : std::max(bases_.front(), ToldStart());
    if (start > end) return false;
    std::vector<std::unique_ptr<Segment>> segments;
    for (size_t i = 0; i < bases_.size(); ++i) {
      const bool sealed = i + 1 < bases_.size();
      SLUICE_ASSIGN_OR_RETURN(const uint64_t size,
                              fs_.FileSize(state_.home->PathOf(bases_[i], kLogSuffix)));
      const Offset segment_end = sealed ? bases_[i + 1] : end;
      // Compaction may have emptied a sealed one.
      const bool plausible =
          size <= Segment::kBytesMax && (sealed || (size > 0) == (segment_end > bases_[i]));
      if (!plausible) return false;
      segments.push_back(
          Segment::OpenLater(*state_.home, bases_[i],
                             {size, segment_end, sealed, options_.config.index_interval_bytes}));
    }
    state_.segments = std::move(segments);
    state_.log_start = start;
    state_.flushed = end;
    state_.scanned_from = Offset(INT64_MAX);
    state_.later = true;
    return true;
  }

  Status OpenSegments() {
    if (bases_.empty() && !state_.directory_created && SyncedUpto() > Offset(0)) {
      return Status::Corruption(options_.directory +
                                " holds no .log file any more, and records up "
                                "to offset " +
                                std::to_string(SyncedUpto().value()) + " had been synced" +
                                kFileRemedy);
    }
    if (bases_.empty()) {
      bases_.push_back(options_.log_start_offset.value_or(Offset(0)));
      state_.directory_created = true;
      SLUICE_ASSIGN_OR_RETURN(auto segment, Segment::Create(*state_.home, bases_.front()));
      state_.segments.push_back(std::move(segment));
      return Status::Ok();
    }
    SLUICE_ASSIGN_OR_RETURN(const size_t complete, CompleteSegments());
    for (size_t i = 0; i < bases_.size(); ++i) {
      if (i >= complete) {
        state_.segments.push_back(Segment::Open(*state_.home, bases_[i]));
        continue;
      }
      SLUICE_ASSIGN_OR_RETURN(const uint64_t size,
                              fs_.FileSize(state_.home->PathOf(bases_[i], kLogSuffix)));
      state_.segments.push_back(
          Segment::OpenLater(*state_.home, bases_[i],
                             {size, bases_[i + 1], true, options_.config.index_interval_bytes}));
    }
    return Status::Ok();
  }

  // Of a process that was killed: a roll writes out everything about a segment, its snapshot too,
  // before a record comes into the next. So these are read at first use, as after a clean stop.
  Result<size_t> CompleteSegments() {
    if (!options_.host_stayed_up) return size_t{0};
    SLUICE_ASSIGN_OR_RETURN(const uint64_t newest_bytes,
                            fs_.FileSize(state_.home->PathOf(bases_.back(), kLogSuffix)));
    // The kill may have come amid the roll.
    const size_t incomplete = newest_bytes > 0 ? 1 : 2;
    return bases_.size() - std::min(incomplete, bases_.size());
  }

  // Below it every byte had been synced. A log's start may pass what was synced, and takes the
  // recovery point along: then that tells nothing.
  Offset SyncedUpto() const {
    return options_.recovery_point > options_.log_start_offset.value_or(Offset(0))
               ? options_.recovery_point
               : Offset(0);
  }

  // Whether all of segment `i` had been synced when the last process stopped, its indexes too.
  // Where the recovery point is exactly its end, the flush may have come before the roll, and only
  // the .log was in it.
  bool Trusted(size_t i) const {
    return options_.clean || (i + 1 < bases_.size() && bases_[i + 1] < SyncedUpto());
  }

  Status LoadSegments() {
    state_.scanned_from = state_.unsynced_from = Offset(INT64_MAX);
    for (size_t i = 0; i < state_.segments.size(); ++i) {
      Segment& segment = *state_.segments[i];
      if (!Trusted(i)) state_.unsynced_from = std::min(state_.unsynced_from, segment.base_offset());
      if (!segment.loaded()) continue;
      if (Trusted(i)) {
        SLUICE_ASSIGN_OR_RETURN(const bool sound,
                                segment.Load(options_.config.index_interval_bytes));
        const Offset end_max = i + 1 < bases_.size() ? bases_[i + 1] : Offset(INT64_MAX);
        if (sound) {
          SLUICE_RETURN_IF_ERROR(segment.CheckOrigin(end_max, options_.clean));
          continue;
        }
        LOG(WARNING) << segment.path()
                     << ": its indexes do not fit; its batches are checked, to build them again";
        SLUICE_RETURN_IF_ERROR(
            segment.Rebuild(end_max, options_.clean, options_.config.index_interval_bytes));
        continue;
      }
      state_.scanned_from = std::min(state_.scanned_from, segment.base_offset());
      SLUICE_ASSIGN_OR_RETURN(ScanOutcome outcome,
                              ScanAndIndex(segment,
                                           {.synced_upto = SyncedUpto(),
                                            .host_stayed_up = options_.host_stayed_up,
                                            .checked_tail_bytes = options_.checked_tail_bytes},
                                           options_.config.index_interval_bytes));
      state_.report.checked_bytes += outcome.checked_bytes;
      // A tail torn off exactly between two batches shows only in what follows.
      const bool gap = !outcome.damaged && i + 1 < bases_.size() &&
                       segment.end_offset() < bases_[i + 1] &&
                       bases_[i + 1] > options_.cleaned_upto;
      const bool hole = gap && !options_.taken_over;
      if (gap && !hole) state_.report.gaps_left = true;
      if (hole)
        outcome.reason =
            "the records up to offset " + std::to_string(bases_[i + 1].value()) + " are missing";
      if (!outcome.damaged && !hole) {
        const Offset end_max = i + 1 < bases_.size() ? bases_[i + 1] : Offset(INT64_MAX);
        SLUICE_RETURN_IF_ERROR(segment.CheckOrigin(end_max, false));
        continue;
      }
      SLUICE_RETURN_IF_ERROR(JudgeDamage(i, outcome));
      return CutTail(i, outcome);
    }
    return Status::Ok();
  }

  // Ok when the damage in segment `i` is a torn tail.
  Status JudgeDamage(size_t i, const ScanOutcome& outcome) {
    const Segment& segment = *state_.segments[i];
    const std::string place = segment.path() + ": " + outcome.reason + " at position " +
                              std::to_string(segment.size_bytes());
    if (segment.end_offset() < SyncedUpto()) {
      return Status::Corruption(place + ", offset " + std::to_string(segment.end_offset().value()) +
                                "; it lies below the recovery point " +
                                std::to_string(options_.recovery_point.value()) +
                                ", up to which everything had been synced" + kFileRemedy);
    }
    if (options_.cut_unsynced_damage) return Status::Ok();
    if (outcome.valid_batch_after) {
      return Status::Corruption(place + "; a valid batch follows at position " +
                                std::to_string(*outcome.valid_batch_after) +
                                ", so this is no torn tail" + kFileRemedy);
    }
    for (size_t later = i + 1; later < state_.segments.size(); ++later) {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(*state_.segments[later]));
      if (size > 0) {
        return Status::Corruption(place + "; " + state_.segments[later]->path() +
                                  " follows with records, so this is no torn tail" + kFileRemedy);
      }
    }
    return Status::Ok();
  }

  Status CutTail(size_t i, const ScanOutcome& outcome) {
    RecoveryReport& report = state_.report;
    while (state_.segments.size() > i + 1) {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(*state_.segments.back()));
      report.truncated_bytes += size;
      for (const std::string& path : state_.segments.back()->FilePaths()) {
        if (fs_.Exists(path)) SLUICE_RETURN_IF_ERROR(fs_.Remove(path));
      }
      state_.segments.pop_back();
    }
    Segment& segment = *state_.segments[i];
    report.truncated_bytes += outcome.file_size_bytes - segment.size_bytes();
    report.message = segment.path() + ": cut " + std::to_string(report.truncated_bytes) +
                     " bytes of a torn tail at position " + std::to_string(segment.size_bytes()) +
                     " (" + outcome.reason + "); the log ends at offset " +
                     std::to_string(segment.end_offset().value());
    LOG(WARNING) << report.message;
    SLUICE_RETURN_IF_ERROR(segment.CutTail());
    // A segment that was removed and comes back after the next crash would lie in the middle of
    // newer records.
    return fs_.SyncDirectory(options_.directory);
  }

  Status CheckEnds() {
    for (size_t i = 0; i + 1 < state_.segments.size(); ++i) {
      if (state_.segments[i]->end_offset() <= state_.segments[i + 1]->base_offset()) continue;
      return Status::Corruption(state_.segments[i]->path() + " ends at offset " +
                                std::to_string(state_.segments[i]->end_offset().value()) +
                                ", above the next segment's base" + kFileRemedy);
    }
    if (end() < SyncedUpto()) {
      return Status::Corruption(state_.segments.back()->path() + " ends at offset " +
                                std::to_string(end().value()) + ", below the recovery point " +
                                std::to_string(options_.recovery_point.value()) +
                                ", up to which everything had been synced" + kFileRemedy);
    }
    state_.log_start = std::max(state_.segments.front()->base_offset(),
                                options_.log_start_offset.value_or(Offset(0)));
    if (state_.log_start > end()) {
      SLUICE_RETURN_IF_ERROR(JudgeStart());
      SLUICE_RETURN_IF_ERROR(StartAgain());
    }
    state_.flushed =
        options_.clean ? end() : std::clamp(options_.recovery_point, state_.log_start, end());
    return Status::Ok();
  }

  // A start takes the recovery point along: then two files tell of it, and not one wrong number.
  bool StartToldTwice() const { return options_.recovery_point == state_.log_start; }

  // Ok when the log may have ended at its start or above, and lost an unsynced tail since. A clean
  // stop has synced everything; a host that stayed up lost nothing, and a log that is truncated as
  // a whole has no recovery point meanwhile.
  Status JudgeStart() const {
    const bool kept = options_.host_stayed_up && options_.recovery_point > Offset(0);
    if (!options_.clean && (StartToldTwice() || !kept)) return Status::Ok();
    const size_t name = options_.directory.rfind('/') + 1;
    const std::string end_text = std::to_string(end().value());
    return Status::Corruption(
        options_.directory.substr(0, name) + kLogStartCheckpointName + ": " +
        options_.directory.substr(name) + " is to start at offset " +
        std::to_string(state_.log_start.value()) + ", but it ends at " + end_text +
        ", and no record of it can have been lost: the number is wrong. Nothing was removed. Stop "
        "the node, put the right start into that line (" +
        std::to_string(state_.segments.front()->base_offset().value()) + " to " + end_text +
        "; records below it count as deleted), and start again");
  }

  // All that is left lies below the log's start: records that had been deleted. An unsynced tail
  // was lost. Where only one file tells of that start, what is left stays beside the new log.
  Status StartAgain() {
    LOG(WARNING) << options_.directory << " ends at offset " << end() << " and starts at "
                 << state_.log_start << ": it goes on empty at its start";
    while (!state_.segments.empty()) {
      for (const std::string& path : state_.segments.back()->FilePaths()) {
        if (!fs_.Exists(path)) continue;
        SLUICE_RETURN_IF_ERROR(StartToldTwice() ? fs_.Remove(path) : SetAside(path));
      }
      state_.segments.pop_back();
    }
    SLUICE_ASSIGN_OR_RETURN(auto segment, Segment::Create(*state_.home, state_.log_start));
    state_.segments.push_back(std::move(segment));
    return fs_.SyncDirectory(options_.directory);
  }

  Status SetAside(const std::string& path) {
    std::string aside = path + ".aside";
    for (int i = 2; fs_.Exists(aside); ++i) aside = path + ".aside-" + std::to_string(i);
    LOG(WARNING) << path << " is kept as " << aside << ": remove it when it is not missed";
    return fs_.Rename(path, aside);
  }

  // A flush syncs the epoch history together with the records, and it is written before the first
  // of them.
  Offset EpochsKnownUpto() const {
    const bool complete = state_.scanned_from == Offset(INT64_MAX) || options_.host_stayed_up;
    return complete ? Offset(INT64_MAX) : std::max(state_.scanned_from, SyncedUpto());
  }

  Status LoadEpochs() {
    SLUICE_ASSIGN_OR_RETURN(
        auto loaded,
        storage::LoadEpochs(options_, state_.segments, {EpochsKnownUpto(), state_.log_start}));
    state_.epochs = std::move(loaded.epochs);
    state_.epochs_changed = loaded.changed;
    return Status::Ok();
  }

  const LogOptions& options_;
  FileSystem& fs_;
  LogState state_;
  std::vector<Offset> bases_;
  std::set<Offset> txn_bases_;  // that have a .txnindex
};

}  // namespace

Result<LogState> RecoverLog(const LogOptions& options) { return Recovery(options).Run(); }

Result<LoadedEpochs> LoadEpochs(const LogOptions& options,
                                const std::vector<std::unique_ptr<Segment>>& segments,
                                const EpochRange& range) {
  FileSystem& fs = *options.file_system;
  const std::string path = options.directory + "/" + kEpochCheckpointName;
  LoadedEpochs loaded;
  Offset from(0);
  if (fs.Exists(path)) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
    auto epochs = EpochCache::Parse(text);
    if (epochs.ok()) {
      loaded.epochs = std::move(*epochs);
      from = range.read_from;
    } else {
      LOG(WARNING) << path << ": " << epochs.status().message()
                   << "; the history is read from the batches";
    }
  }
  const auto before = loaded.epochs.entries();
  // An epoch may start at the end, where its leader has written nothing yet, but not above.
  loaded.epochs.TruncateFromEnd(segments.back()->end_offset() + 1);
  SLUICE_RETURN_IF_ERROR(ForEachBatch(segments, std::max(from, range.log_start),
                                      [&](const BatchHeader& batch, BatchScanner&) {
                                        loaded.epochs.Assign(batch.leader_epoch, batch.base_offset);
                                        return Status::Ok();
                                      }));
  loaded.epochs.TruncateFromStart(range.log_start);
  loaded.changed = loaded.epochs.entries() != before;
  return loaded;
}

}  // namespace sluice::storage
