// Partition: compaction of its log, as the cleaner's threads ask for it. Every replica cleans its
// own; what one replica dropped, another may still have.
#include <algorithm>

#include "broker/replica/partition.h"
#include "storage/compaction/plan.h"

namespace sluice::broker {

bool Partition::MayCompact() const {
  // What the copy has taken over already would lack what goes now, and later take the rest for
  // whole: a tombstone might be gone, and what it deleted not.
  const bool moves = !move_.expired();
  return usable() && role_ != Role::kNone && config_->cleanup_compact && !moves;
}

bool Partition::WantsCompaction() const {
  std::lock_guard lock(mutex_);
  return MayCompact();
}

std::optional<storage::CompactionSurvey> Partition::SurveyCompaction(
    std::optional<Offset> cleaned_upto) {
  std::lock_guard lock(mutex_);
  if (!MayCompact()) return std::nullopt;
  return log_->SurveyCompaction(cleaned_upto, high_watermark_);
}

Result<storage::CompactionPlan> Partition::PlanCompaction(std::optional<Offset> cleaned_upto) {
  PartitionEffects effects;
  Result<storage::CompactionPlan> plan =
      sluice::Status::Unavailable("it is not compacted any more");
  {
    std::lock_guard lock(mutex_);
    if (!MayCompact()) return plan;
    plan = log_->PlanCompaction(cleaned_upto, high_watermark_);
    if (plan.status().code() == StatusCode::kCorruption) NoteRead(plan.status(), effects);
  }
  effects.Run(*context_);
  return plan;
}

sluice::Status Partition::CommitCompaction(const storage::CleanedSegment& cleaned) {
  PartitionEffects effects;
  sluice::Status committed;
  {
    std::lock_guard lock(mutex_);
    if (!MayCompact()) return sluice::Status::Unavailable("it is not compacted any more");
    committed = log_->CommitCompaction(cleaned);
    // Overtaken by a truncation or a deletion: the log is as it was.
    if (committed.code() != StatusCode::kUnavailable) NoteStorage(committed, effects);
  }
  effects.Run(*context_);
  return committed;
}

}  // namespace sluice::broker
