#include "storage/compaction/plan.h"

#include <algorithm>

namespace sluice::storage {
namespace {

// A checkpoint outside the log tells of another one: a truncation or a deletion came between.
Offset FirstDirty(const CompactionView& view) {
  const Offset checkpoint = view.cleaned_upto.value_or(view.log_start);
  const bool inside = checkpoint >= view.log_start && checkpoint <= view.log_end;
  return inside ? checkpoint : view.log_start;
}

}  // namespace

CompactionSurvey SurveyCompaction(const CompactionView& view, const CompactionRules& rules) {
  CompactionSurvey survey;
  survey.dirty_ratio_min = rules.dirty_ratio_min;
  survey.first_dirty = FirstDirty(view);
  survey.upper = view.segments.empty() ? view.log_start : view.segments.front().base;
  const int64_t overdue_before_ms =
      rules.lag_max_ms > view.now_ms ? INT64_MIN : view.now_ms - rules.lag_max_ms;
  for (const SourceSegment& segment : view.segments) {
    const bool dirty = segment.end > survey.first_dirty;
    const bool too_young =
        rules.lag_min_ms > 0 && dirty && segment.max_timestamp_ms > view.now_ms - rules.lag_min_ms;
    if (segment.end > view.stable_end || too_young) break;
    survey.upper = segment.end;
    if (!dirty) {
      survey.clean_bytes += segment.size_bytes;
      continue;
    }
    survey.cleanable_bytes += segment.size_bytes;
    const int64_t first_ms = segment.first_timestamp_ms.value_or(-1);
    if (first_ms > 0 && first_ms < overdue_before_ms) survey.overdue = true;
  }
  return survey;
}

std::vector<std::vector<SourceSegment>> GroupSources(const std::vector<SourceSegment>& sources,
                                                     const GroupLimits& limits) {
  std::vector<std::vector<SourceSegment>> groups;
  uint64_t bytes = 0;
  uint64_t index_bytes = 0;
  for (const SourceSegment& source : sources) {
    const bool fits = !groups.empty() && bytes + source.size_bytes <= limits.segment_bytes &&
                      index_bytes + source.index_bytes <= limits.index_bytes &&
                      source.end - groups.back().front().base <= INT32_MAX;
    if (!fits) {
      groups.emplace_back();
      bytes = 0;
      index_bytes = 0;
    }
    groups.back().push_back(source);
    bytes += source.size_bytes;
    index_bytes += source.index_bytes;
  }
  return groups;
}

}  // namespace sluice::storage
