#include "base/shared_map.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/random.h"

namespace sluice {
namespace {

using Map = SharedMap<int, std::string>;
using Model = std::map<int, std::string>;

Model Contents(const Map& map) { return {map.begin(), map.end()}; }

// A random change of both.
void Change(Random& random, int keys, Map& map, Model& model) {
  const int key = static_cast<int>(random.Below(static_cast<uint64_t>(keys)));
  if (random.Below(3) == 0) {
    ASSERT_EQ(map.Erase(key), model.erase(key) == 1);
  } else {
    const std::string value = std::to_string(random.Below(1000));
    map.Set(key, value);
    model[key] = value;
  }
}

TEST(SharedMapTest, IsAMap) {
  for (const int keys : {3, 100, 5000}) {
    Random random(static_cast<uint64_t>(keys));
    Map map;
    Model model;
    for (int i = 0; i < 20000; ++i) {
      Change(random, keys, map, model);
      const int key = static_cast<int>(random.Below(static_cast<uint64_t>(keys)));
      const auto found = map.find(key);
      ASSERT_EQ(found != map.end(), model.contains(key));
      if (found != map.end()) {
        ASSERT_EQ(found->second, model[key]);
      }
      const auto above = map.lower_bound(key);
      const auto expected = model.lower_bound(key);
      ASSERT_EQ(above == map.end(), expected == model.end());
      if (above != map.end()) {
        ASSERT_EQ(above->first, expected->first);
      }
      ASSERT_EQ(map.size(), model.size());
    }
    EXPECT_EQ(Contents(map), model);
    while (!model.empty()) {
      ASSERT_TRUE(map.Erase(model.begin()->first));
      model.erase(model.begin());
    }
    EXPECT_TRUE(map.empty());
    EXPECT_TRUE(map.begin() == map.end());
    EXPECT_FALSE(map.Erase(1));
  }
}

TEST(SharedMapTest, ACopyStaysAsItWas) {
  Random random(7);
  Map map;
  Model model;
  for (int i = 0; i < 300; ++i) {
    const Map copy = map;
    const Model then = model;
    for (int change = 0; change < 20; ++change) Change(random, 1000, map, model);
    ASSERT_EQ(Contents(copy), then);
    ASSERT_EQ(copy == map, then == model);
  }
}

TEST(SharedMapTest, VisitsWhatChanged) {
  Random random(8);
  Map map;
  Model model;
  for (int i = 0; i < 2000; ++i) Change(random, 3000, map, model);
  for (int i = 0; i < 500; ++i) {
    const Map before = map;
    const Model then = model;
    for (uint64_t changes = random.Below(40); changes > 0; --changes)
      Change(random, 3000, map, model);
    Model told = then;
    int last = -1;
    Map::VisitChanges(before, map, [&](int key, const std::string* old, const std::string* now) {
      ASSERT_LT(last, key);
      last = key;
      ASSERT_EQ(old != nullptr, then.contains(key));
      if (old != nullptr) {
        ASSERT_EQ(*old, then.at(key));
      }
      if (now == nullptr) {
        told.erase(key);
      } else {
        ASSERT_TRUE(old == nullptr || *old != *now);
        told[key] = *now;
      }
    });
    ASSERT_EQ(told, model);
  }
}

TEST(SharedMapTest, WhatIsErasedInOrderLeavesNoSmallLeaves) {
  SharedMap<int, int> map;
  for (int i = 0; i < 64000; ++i) map.Set(i, i);
  EXPECT_LE(map.leaf_count(), 1000U) << "what is filled in order fills its leaves";
  for (int i = 0; i < 64000; ++i) {
    if (i % 64 != 0) map.Erase(i);
  }
  EXPECT_EQ(map.size(), 1000U);
  EXPECT_LE(map.leaf_count(), 100U);
}

// What a comparison looks at is what the value itself counts.
struct Counted {
  int value = 0;
  friend bool operator==(const Counted& a, const Counted& b) {
    ++comparisons;
    return a.value == b.value;
  }
  static inline int comparisons = 0;
};

TEST(SharedMapTest, AChangeCostsItsLeaf) {
  SharedMap<int, Counted> map;
  for (int i = 0; i < 100000; ++i) map.Set(i, {i});
  SharedMap<int, Counted> changed = map;
  changed.Set(500, {-1});
  changed.Erase(70000);
  Counted::comparisons = 0;
  std::set<int> keys;
  SharedMap<int, Counted>::VisitChanges(
      map, changed, [&](int key, const Counted*, const Counted*) { keys.insert(key); });
  EXPECT_EQ(keys, (std::set<int>{500, 70000}));
  EXPECT_LT(Counted::comparisons, 200) << "leaves that are shared were looked into";
}

}  // namespace
}  // namespace sluice
