#include "broker/group/group_timers.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

TEST(GroupTimersTest, TheMostOverdueComesFirstAndOnce) {
  GroupTimers timers;
  timers.Set({"g", 1, "late"}, 30);
  timers.Set({"g", 1, "early"}, 10);
  timers.Set({"f", 2, ""}, 10);
  EXPECT_EQ(timers.next_deadline_ms(), 10);
  EXPECT_EQ(timers.PopDue(9), std::nullopt);
  // Of one time by key.
  EXPECT_EQ(timers.PopDue(100), (GroupTimerKey{"f", 2, ""}));
  EXPECT_EQ(timers.PopDue(100), (GroupTimerKey{"g", 1, "early"}));
  EXPECT_EQ(timers.PopDue(29), std::nullopt);
  EXPECT_EQ(timers.PopDue(30), (GroupTimerKey{"g", 1, "late"}));
  EXPECT_EQ(timers.PopDue(100), std::nullopt);
  EXPECT_EQ(timers.next_deadline_ms(), std::nullopt);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(GroupTimersTest, ADeadlineIsReplacedAndCancelled) {
  GroupTimers timers;
  const GroupTimerKey key{"g", 1, "m"};
  timers.Set(key, 10);
  timers.Set(key, 20);
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers.PopDue(19), std::nullopt);
  timers.Set(key, 5);
  EXPECT_EQ(timers.next_deadline_ms(), 5);
  timers.Cancel(key);
  timers.Cancel(key);
  EXPECT_EQ(timers.PopDue(100), std::nullopt);
}

TEST(GroupTimersTest, AGroupThatIsGoneLeavesNothing) {
  GroupTimers timers;
  for (const char* group : {"a", "b", "bb"}) {
    timers.Set({group, -1, ""}, 10);
    timers.Set({group, 0, "m"}, 20);
    timers.Set({group, 7, "n"}, 30);
  }
  timers.CancelAll("b");
  EXPECT_EQ(timers.size(), 6u);
  while (const auto due = timers.PopDue(100)) EXPECT_NE(due->group_id, "b");
}

}  // namespace
}  // namespace sluice::broker
