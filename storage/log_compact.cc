// Compaction's ends at the log: what a run may work on, and putting its segments in. The rules are
// in storage/compaction/plan.h, the work in compaction_run.h.

#include <algorithm>

#include "storage/compaction/plan.h"
#include "storage/file_names.h"
#include "storage/log_impl.h"

namespace sluice::storage {
namespace {

CompactionRules RulesOf(const LogConfig& config) {
  return {.dirty_ratio_min = config.min_cleanable_dirty_ratio,
          .lag_min_ms = config.min_compaction_lag_ms,
          .lag_max_ms = config.max_compaction_lag_ms,
          .delete_retention_ms = config.delete_retention_ms};
}

// The log first: were an index renamed to its final name before it, a crash in between would have
// it removed with the sources.
constexpr std::string_view kCleanedFiles[] = {kLogSuffix, kIndexSuffix, kTimeIndexSuffix,
                                              kTxnIndexSuffix};

}  // namespace

CompactionView LogImpl::ViewForCompaction(std::optional<Offset> cleaned_upto,
                                          Offset stable_end) const {
  CompactionView view;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {
    // One that cannot be read looks empty here; planning refuses it.
    (void)segments_[i]->EnsureLoaded();
    const Segment& segment = *segments_[i];
    view.segments.push_back({.base = segment.base_offset(),
                             .end = segments_[i + 1]->base_offset(),
                             .size_bytes = segment.size_bytes(),
                             .index_bytes = segment.index_bytes(),
                             .max_timestamp_ms = segment.max_timestamp_ms(),
                             .first_timestamp_ms = segment.first_timestamp_ms()});
  }
  view.log_start = log_start_offset();
  view.log_end = log_end_offset();
  // An older record must not go, durably, for a newer one that a power cut can take; nor for one
  // whose transaction may be aborted yet.
  const auto decided = LastStableOffset(stable_end);
  view.stable_end = decided.ok() ? std::min(*decided, flushed_offset()) : view.log_start;
  view.cleaned_upto = cleaned_upto;
  view.now_ms = options_.clock->WallMs();
  return view;
}

CompactionSurvey LogImpl::SurveyCompaction(std::optional<Offset> cleaned_upto,
                                           Offset stable_end) const {
  return storage::SurveyCompaction(ViewForCompaction(cleaned_upto, stable_end), RulesOf(config()));
}

Result<CompactionPlan> LogImpl::PlanCompaction(std::optional<Offset> cleaned_upto,
                                               Offset stable_end) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_RETURN_IF_ERROR(EnsureProducers());
  for (const auto& segment : segments_) SLUICE_RETURN_IF_ERROR(segment->EnsureLoaded());
  const CompactionView view = ViewForCompaction(cleaned_upto, stable_end);
  CompactionPlan plan;
  plan.directory = options_.directory;
  plan.rules = RulesOf(config());
  plan.survey = storage::SurveyCompaction(view, plan.rules);
  for (const SourceSegment& segment : view.segments) {
    if (segment.end <= plan.survey.upper) plan.segments.push_back(segment);
  }
  plan.limits = {.segment_bytes = static_cast<uint64_t>(config().segment_bytes),
                 .index_bytes = static_cast<uint64_t>(config().index_size_bytes_max)};
  plan.index_interval_bytes = config().index_interval_bytes;
  plan.now_ms = view.now_ms;
  for (const auto& [id, entry] : producers_.producers()) {
    const ProducerBatch* last = entry.last_batch();
    plan.producers[id] = {last == nullptr ? Offset(-1) : last->last_offset, entry.epoch};
  }
  if (!plan.segments.empty()) {
    SLUICE_ASSIGN_OR_RETURN(plan.aborted,
                            AbortedTransactions({plan.segments.front().base, plan.survey.upper}));
  }
  plan.generation = generation_;
  plan.planned_generation = generation_->load(std::memory_order_relaxed);
  return plan;
}

// Where in segments_ the sources are.
Result<size_t> LogImpl::FindSources(const CleanedSegment& cleaned) const {
  const Status stale =
      Status::Unavailable(options_.directory + " has changed since the compaction was planned");
  if (cleaned.generation != generation_) return stale;  // planned before the log moved here
  if (cleaned.planned_generation != generation_->load(std::memory_order_relaxed)) return stale;
  const auto begin = std::lower_bound(
      segments_.begin(), segments_.end(), cleaned.base(),
      [](const auto& segment, Offset base) { return segment->base_offset() < base; });
  const auto first = static_cast<size_t>(begin - segments_.begin());
  // The active one is never a source.
  if (first + cleaned.sources.size() >= segments_.size()) return stale;
  for (size_t i = 0; i < cleaned.sources.size(); ++i) {
    const Segment& segment = *segments_[first + i];
    const SourceSegment& source = cleaned.sources[i];
    if (segment.base_offset() != source.base || segment.size_bytes() != source.size_bytes)
      return stale;
  }
  return first;
}

Status LogImpl::RenameCleaned(const CleanedSegment& cleaned, std::string_view from,
                              std::string_view to) {
  for (const std::string_view suffix : kCleanedFiles) {
    if (suffix == kTxnIndexSuffix && !cleaned.has_txn_index) continue;
    const std::string path = home_->PathOf(cleaned.base(), suffix);
    SLUICE_RETURN_IF_ERROR(fs().Rename(path + std::string(from), path + std::string(to)));
  }
  return Status::Ok();
}

Status LogImpl::RemoveSwap(const CleanedSegment& cleaned) {
  for (const std::string_view suffix : kCleanedFiles) {
    const std::string path = home_->PathOf(cleaned.base(), suffix) + std::string(kSwapSuffix);
    if (fs().Exists(path)) SLUICE_RETURN_IF_ERROR(fs().Remove(path));
  }
  return Status::Ok();
}

Status LogImpl::CommitCompaction(const CleanedSegment& cleaned) {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  SLUICE_ASSIGN_OR_RETURN(const size_t first, FindSources(cleaned));
  // A crash among these is undone, one after them completed (compaction/swap_recovery.h). Names
  // reach the disk in the order in which they were changed; the files under them did before.
  if (Status renamed = RenameCleaned(cleaned, kCleanedSuffix, kSwapSuffix); !renamed.ok()) {
    // For want of room for a name nothing has happened yet.
    const bool undone = renamed.code() == StatusCode::kDiskFull && RemoveSwap(cleaned).ok();
    return undone ? renamed : Checked(Status::IoError(renamed.message()));
  }
  Status swapped = SwapIn(cleaned, first);
  // The sources' names are gone or going: without their successor the log cannot go on.
  if (!swapped.ok()) return Checked(Status::IoError(swapped.message()));
  // What the cleaner wrote need not be in memory, however new it is.
  hot_from_ = std::max(hot_from_, active().base_offset());
  next_hot_from_ = std::max(next_hot_from_, active().base_offset());
  return Status::Ok();
}

Status LogImpl::SwapIn(const CleanedSegment& cleaned, size_t first) {
  const size_t count = cleaned.sources.size();
  Doomed doomed;
  for (size_t i = first; i < first + count; ++i) {
    // The snapshot at the new segment's base tells of what comes before it.
    SLUICE_RETURN_IF_ERROR(RenameToDeleted(*segments_[i], i > first, doomed));
  }
  SLUICE_RETURN_IF_ERROR(RenameCleaned(cleaned, kSwapSuffix, ""));
  const Offset end = segments_[first + count]->base_offset();
  std::erase_if(sealed_unsynced_, [&](const SealedFiles& sealed) {
    return sealed.end > cleaned.base() && sealed.end <= end;
  });
  auto segment = Segment::Open(*home_, cleaned.base());
  SLUICE_ASSIGN_OR_RETURN(const bool sound, segment->Load(config().index_interval_bytes));
  if (!sound) return Status::Corruption(segment->path() + " is not what compaction wrote");
  segment->SetSealed();
  if (cleaned.has_txn_index) txn_indexes_->Add(cleaned.base());
  const auto at = segments_.begin() + static_cast<ptrdiff_t>(first);
  segments_.erase(at + 1, at + static_cast<ptrdiff_t>(count));
  segments_[first] = std::move(segment);
  uint64_t size = 0;
  for (const auto& each : segments_) size += each->size_bytes();
  size_bytes_.store(size, std::memory_order_relaxed);
  MarkDirectoryDirty();
  RemoveLater(std::move(doomed));
  return Status::Ok();
}

}  // namespace sluice::storage
