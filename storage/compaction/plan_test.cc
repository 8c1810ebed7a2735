#include "storage/compaction/plan.h"

#include <gtest/gtest.h>

namespace sluice::storage {
namespace {

constexpr int64_t kNow = 1'000'000;

SourceSegment Segment(int64_t base, int64_t end, uint64_t bytes = 100, int64_t timestamp = 1000) {
  return {Offset(base), Offset(end), bytes, 8, timestamp, timestamp};
}

CompactionView View(std::vector<SourceSegment> segments) {
  return {.segments = std::move(segments),
          .log_start = Offset(0),
          .log_end = Offset(1000),
          .stable_end = Offset(1000),
          .cleaned_upto = std::nullopt,
          .now_ms = kNow};
}

TEST(CompactionSurvey, WithoutACheckpointAllIsDirty) {
  const auto survey = SurveyCompaction(View({Segment(0, 10), Segment(10, 20)}), {});
  EXPECT_EQ(survey.first_dirty, Offset(0));
  EXPECT_EQ(survey.upper, Offset(20));
  EXPECT_EQ(survey.cleanable_bytes, 200u);
  EXPECT_EQ(survey.dirty_ratio(), 1);
  EXPECT_TRUE(survey.due());
}

TEST(CompactionSurvey, TheRatioIsOfBytesAndMustBeExceeded) {
  CompactionView view = View({Segment(0, 10), Segment(10, 20)});
  view.cleaned_upto = Offset(10);
  const auto survey = SurveyCompaction(view, {});
  EXPECT_EQ(survey.clean_bytes, 100u);
  EXPECT_EQ(survey.cleanable_bytes, 100u);
  EXPECT_FALSE(survey.due());  // a half is not above a half
  EXPECT_TRUE(SurveyCompaction(view, {.dirty_ratio_min = 0.49}).due());
}

TEST(CompactionSurvey, StopsAtTheFirstUnstableSegment) {
  CompactionView view = View({Segment(0, 10), Segment(10, 20), Segment(20, 30)});
  view.stable_end = Offset(25);
  EXPECT_EQ(SurveyCompaction(view, {}).upper, Offset(20));
  view.stable_end = Offset(9);
  EXPECT_EQ(SurveyCompaction(view, {}).upper, Offset(0));
  EXPECT_FALSE(SurveyCompaction(view, {}).due());
}

TEST(CompactionSurvey, LeavesYoungSegmentsAlone) {
  const CompactionView view =
      View({Segment(0, 10), Segment(10, 20, 100, kNow - 50), Segment(20, 30)});
  EXPECT_EQ(SurveyCompaction(view, {.lag_min_ms = 51}).upper, Offset(10));
  EXPECT_EQ(SurveyCompaction(view, {.lag_min_ms = 50}).upper, Offset(30));
}

TEST(CompactionSurvey, AnOldDirtyRecordMakesItDueWhateverTheRatio) {
  CompactionView view = View({Segment(0, 10, 1000), Segment(10, 20, 1, kNow - 500)});
  view.cleaned_upto = Offset(10);
  EXPECT_FALSE(SurveyCompaction(view, {.lag_max_ms = 500}).due());
  EXPECT_TRUE(SurveyCompaction(view, {.lag_max_ms = 499}).due());
}

TEST(CompactionSurvey, ACheckpointOutsideTheLogCountsForNothing) {
  CompactionView view = View({Segment(0, 10), Segment(10, 20)});
  view.cleaned_upto = Offset(1001);
  EXPECT_EQ(SurveyCompaction(view, {}).first_dirty, Offset(0));
  view.log_start = Offset(5);
  view.cleaned_upto = Offset(4);
  EXPECT_EQ(SurveyCompaction(view, {}).first_dirty, Offset(5));
}

std::vector<size_t> Sizes(const std::vector<std::vector<SourceSegment>>& groups) {
  std::vector<size_t> sizes;
  for (const auto& group : groups) sizes.push_back(group.size());
  return sizes;
}

TEST(GroupSources, MergesUpToTheSizesAndTheOffsets) {
  using Sized = std::vector<size_t>;
  const std::vector<SourceSegment> five = {Segment(0, 10), Segment(10, 20), Segment(20, 30),
                                           Segment(30, 40), Segment(40, 50)};
  EXPECT_EQ(Sizes(GroupSources(five, {.segment_bytes = 200})), (Sized{2, 2, 1}));
  EXPECT_EQ(Sizes(GroupSources(five, {.segment_bytes = 199})), (Sized{1, 1, 1, 1, 1}));
  EXPECT_EQ(Sizes(GroupSources(five, {.index_bytes = 24})), (Sized{3, 2}));
  EXPECT_EQ(Sizes(GroupSources(five, {.segment_bytes = 10})), (Sized{1, 1, 1, 1, 1}));
  const std::vector<SourceSegment> far = {Segment(0, 10), Segment(10, INT32_MAX),
                                          Segment(INT32_MAX, int64_t{INT32_MAX} + 1)};
  EXPECT_EQ(Sizes(GroupSources(far, {})), (Sized{2, 1}));
  EXPECT_TRUE(GroupSources({}, {}).empty());
}

}  // namespace
}  // namespace sluice::storage
