#include "base/testing/sim_event_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace sluice::testing {
namespace {

TEST(SimEventLoopTest, LoopsShareOneClockAndOneOrder) {
  SimScheduler scheduler;
  SimEventLoop a(scheduler);
  SimEventLoop b(scheduler);
  std::vector<int> order;
  a.RunAfter(10, [&] { order.push_back(3); });
  b.RunAfter(5, [&] { order.push_back(2); });
  a.Post([&] { order.push_back(1); });
  b.RunAfter(10, [&] { order.push_back(4); });
  scheduler.RunForMs(9);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(scheduler.clock().SteadyMs(), 9);
  scheduler.RunForMs(1);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(SimEventLoopTest, StepMovesTheClockToTheNextTask) {
  SimScheduler scheduler;
  SimEventLoop loop(scheduler);
  EXPECT_FALSE(scheduler.Step());
  loop.RunAfter(250, [] {});
  EXPECT_TRUE(scheduler.Step());
  EXPECT_EQ(loop.clock().SteadyMs(), 250);
  EXPECT_FALSE(scheduler.Step());
}

TEST(SimEventLoopTest, CancelledTimersDoNotRun) {
  SimScheduler scheduler;
  SimEventLoop loop(scheduler);
  bool ran = false;
  const EventLoop::TimerId id = loop.RunAfter(5, [&] { ran = true; });
  loop.Cancel(id);
  loop.Cancel(id);
  scheduler.RunForMs(100);
  EXPECT_FALSE(ran);
}

TEST(SimEventLoopTest, ATaskMayCancelAnotherDueAtTheSameTime) {
  SimScheduler scheduler;
  SimEventLoop loop(scheduler);
  bool ran = false;
  EventLoop::TimerId second = 0;
  loop.RunAfter(5, [&] { loop.Cancel(second); });
  second = loop.RunAfter(5, [&] { ran = true; });
  scheduler.RunForMs(100);
  EXPECT_FALSE(ran);
}

TEST(SimEventLoopTest, ADestroyedLoopTakesItsTasksAlong) {
  SimScheduler scheduler;
  SimEventLoop survivor(scheduler);
  auto victim = std::make_unique<SimEventLoop>(scheduler);
  int ran = 0;
  victim->RunAfter(1, [&] { ran += 100; });
  survivor.RunAfter(2, [&] { ran += 1; });
  victim.reset();
  scheduler.RunForMs(10);
  EXPECT_EQ(ran, 1);
}

TEST(SimEventLoopTest, ATaskMayDestroyItsOwnLoop) {
  SimScheduler scheduler;
  auto loop = std::make_unique<SimEventLoop>(scheduler);
  bool later = false;
  loop->RunAfter(2, [&] { later = true; });
  loop->RunAfter(1, [&] { loop.reset(); });
  scheduler.RunForMs(10);
  EXPECT_FALSE(later);
}

TEST(SimEventLoopTest, RunUntilStopsAtTheConditionOrTheLimit) {
  SimScheduler scheduler;
  SimEventLoop loop(scheduler);
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop.RunAfter(10, tick);
  };
  loop.RunAfter(10, tick);
  EXPECT_TRUE(scheduler.RunUntil([&] { return ticks == 5; }, 1000));
  EXPECT_EQ(scheduler.clock().SteadyMs(), 50);
  EXPECT_FALSE(scheduler.RunUntil([&] { return ticks == 500; }, 1000));
  EXPECT_EQ(scheduler.clock().SteadyMs(), 1050);
}

}  // namespace
}  // namespace sluice::testing
