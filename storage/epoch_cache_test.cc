// The leader-epoch history: what each change leaves, and what followers are told.

#include "storage/epoch_cache.h"

#include <gtest/gtest.h>

namespace sluice::storage {
namespace {

// "1@0 4@10": epochs with their start offsets.
EpochCache Make(std::initializer_list<std::pair<int, int64_t>> entries) {
  EpochCache cache;
  for (const auto& [epoch, start] : entries) CHECK(cache.Assign(LeaderEpoch(epoch), Offset(start)));
  return cache;
}

std::string Show(const EpochCache& cache) {
  std::string text;
  for (const auto& entry : cache.entries()) {
    if (!text.empty()) text += " ";
    text += std::to_string(entry.epoch.value()) + "@" + std::to_string(entry.start.value());
  }
  return text;
}

std::string Ask(const EpochCache& cache, int epoch) {
  const EpochEndOffset end = cache.EndOffsetFor(LeaderEpoch(epoch), Offset(100));
  return std::to_string(end.epoch.value()) + "@" + std::to_string(end.end_offset.value());
}

TEST(EpochCacheTest, AssignKeepsBothAscending) {
  EpochCache cache;
  EXPECT_EQ(cache.latest(), kNoEpoch);
  EXPECT_FALSE(cache.Assign(kNoEpoch, Offset(0)));
  EXPECT_TRUE(cache.Assign(LeaderEpoch(2), Offset(0)));
  EXPECT_FALSE(cache.Assign(LeaderEpoch(2), Offset(5))) << "known";
  EXPECT_FALSE(cache.Assign(LeaderEpoch(1), Offset(5))) << "older";
  EXPECT_TRUE(cache.Assign(LeaderEpoch(3), Offset(10)));
  EXPECT_TRUE(cache.Assign(LeaderEpoch(5), Offset(10))) << "epoch 3 wrote nothing";
  EXPECT_EQ(Show(cache), "2@0 5@10");
  EXPECT_TRUE(cache.Assign(LeaderEpoch(6), Offset(4)));
  EXPECT_EQ(Show(cache), "2@0 6@4");
}

TEST(EpochCacheTest, EndOffsets) {
  const EpochCache cache = Make({{2, 10}, {4, 20}, {7, 30}});
  const struct {
    int epoch;
    const char* answer;
  } cases[] = {
      {-1, "-1@-1"},               // asked for nothing
      {0, "0@10"},   {1, "1@10"},  // older than the history: ends where that begins
      {2, "2@20"},   {3, "2@20"},  // a gap belongs to the epoch before it
      {4, "4@30"},   {6, "4@30"}, {7, "7@100"}, {9, "7@100"},  // the latest ends with the log
  };
  for (const auto& c : cases) EXPECT_EQ(Ask(cache, c.epoch), c.answer) << c.epoch;
  EXPECT_EQ(Ask(EpochCache(), 3), "-1@-1");
}

TEST(EpochCacheTest, EpochOfAnOffset) {
  const EpochCache cache = Make({{2, 10}, {4, 20}});
  EXPECT_EQ(cache.EpochAt(Offset(9)), kNoEpoch);
  EXPECT_EQ(cache.EpochAt(Offset(10)), LeaderEpoch(2));
  EXPECT_EQ(cache.EpochAt(Offset(19)), LeaderEpoch(2));
  EXPECT_EQ(cache.EpochAt(Offset(20)), LeaderEpoch(4));
}

TEST(EpochCacheTest, TruncateFromEnd) {
  const struct {
    int end;
    const char* left;
    bool changed;
  } cases[] = {
      {31, "2@10 4@20 7@30", false},
      {30, "2@10 4@20", true},
      {21, "2@10 4@20", true},
      {20, "2@10", true},
      {11, "2@10", true},
      {10, "", true},
      {0, "", true},
  };
  for (const auto& c : cases) {
    EpochCache cache = Make({{2, 10}, {4, 20}, {7, 30}});
    EXPECT_EQ(cache.TruncateFromEnd(Offset(c.end)), c.changed) << c.end;
    EXPECT_EQ(Show(cache), c.left) << c.end;
  }
}

TEST(EpochCacheTest, TruncateFromStart) {
  const struct {
    int start;
    const char* left;
    bool changed;
  } cases[] = {
      {9, "2@10 4@20 7@30", false}, {10, "2@10 4@20 7@30", false}, {11, "2@11 4@20 7@30", true},
      {20, "4@20 7@30", true},      {25, "4@25 7@30", true},       {30, "7@30", true},
      {99, "7@99", true},
  };
  for (const auto& c : cases) {
    EpochCache cache = Make({{2, 10}, {4, 20}, {7, 30}});
    EXPECT_EQ(cache.TruncateFromStart(Offset(c.start)), c.changed) << c.start;
    EXPECT_EQ(Show(cache), c.left) << c.start;
  }
}

TEST(EpochCacheTest, AFileThatIsCutAnywhereIsNone) {
  EpochCache cache;
  cache.Assign(LeaderEpoch(2), Offset(0));
  cache.Assign(LeaderEpoch(4), Offset(165));
  const std::string text = cache.ToText();
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(EpochCache::Parse(text.substr(0, size)).ok()) << text.substr(0, size);
}

TEST(EpochCacheTest, TheFileIsKafkas) {
  const EpochCache cache = Make({{0, 0}, {12, 345678901234}});
  EXPECT_EQ(cache.ToText(), "0\n2\n0 0\n12 345678901234\n");
  EXPECT_EQ(Show(EpochCache::Parse(cache.ToText()).value()), "0@0 12@345678901234");
  EXPECT_EQ(Show(EpochCache::Parse("0\n0\n").value()), "");
  for (const char* bad : {"", "1\n0\n", "0\n2\n0 0\n", "0\n1\n0\n", "0\n1\nx 0\n",
                          "0\n2\n1 5\n1 6\n", "0\n2\n1 5\n2 5\n", "0\n1\n-1 0\n"}) {
    EXPECT_EQ(EpochCache::Parse(bad).status().code(), StatusCode::kCorruption) << bad;
  }
}

}  // namespace
}  // namespace sluice::storage
