// ThreadEventLoop on a real thread. Nothing here waits for real time to pass but for a few
// milliseconds of a timer; order is what is checked.

#include "base/event_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace sluice {
namespace {

class EventLoopTest : public ::testing::Test {
 protected:
  // Returns when all that was posted before has run.
  void Drain() {
    std::promise<void> done;
    loop_.Post([&] { done.set_value(); });
    done.get_future().wait();
  }

  SystemClock clock_;
  ThreadEventLoop loop_{"test-loop", clock_};
};

TEST_F(EventLoopTest, TasksRunInTheOrderOfPosting) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop_.Post([&, i] { order.push_back(i); });
  Drain();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST_F(EventLoopTest, TasksRunOnTheLoopsThread) {
  EXPECT_FALSE(loop_.InLoopThread());
  bool inside = false;
  loop_.Post([&] { inside = loop_.InLoopThread(); });
  Drain();
  EXPECT_TRUE(inside);
}

TEST_F(EventLoopTest, ATaskMayPostAnother) {
  std::promise<int> result;
  loop_.Post([&] { loop_.Post([&] { result.set_value(7); }); });
  EXPECT_EQ(result.get_future().get(), 7);
}

TEST_F(EventLoopTest, TimersFireInTheOrderOfTheirDeadlines) {
  std::vector<int> order;
  std::promise<void> done;
  loop_.Post([&] {
    loop_.RunAfter(3, [&] {
      order.push_back(3);
      done.set_value();
    });
    loop_.RunAfter(1, [&] { order.push_back(1); });
    loop_.RunAfter(1, [&] { order.push_back(2); });
  });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, ATimerDoesNotFireEarly) {
  const int64_t start_ms = clock_.SteadyMs();
  std::promise<int64_t> fired_ms;
  loop_.RunAfter(5, [&] { fired_ms.set_value(clock_.SteadyMs()); });
  EXPECT_GE(fired_ms.get_future().get(), start_ms + 5);
}

// The thread is not woken for timers later than the one it sleeps for; for this it must be.
TEST_F(EventLoopTest, ATimerEarlierThanAllOthersWakesTheSleepingLoop) {
  loop_.RunAfter(1'000'000, [] {});
  Drain();
  std::promise<void> fired;
  loop_.RunAfter(2'000'000, [] {});
  loop_.RunAfter(1, [&] { fired.set_value(); });
  EXPECT_EQ(fired.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(EventLoopTest, ACancelledTimerNeverRuns) {
  bool ran = false;
  std::promise<void> done;
  loop_.Post([&] {
    const EventLoop::TimerId id = loop_.RunAfter(1, [&] { ran = true; });
    EXPECT_NE(id, 0u);
    loop_.Cancel(id);
    loop_.Cancel(id);
    loop_.Cancel(12345);
    loop_.RunAfter(2, [&] { done.set_value(); });
  });
  done.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST_F(EventLoopTest, TimersThatSetEachOtherAtOnceKeepNoTaskWaiting) {
  constexpr int kTimersMax = 100'000;
  int timers = 0;
  std::function<void()> next = [&] {
    if (++timers < kTimersMax) loop_.RunAfter(0, next);
  };
  std::promise<int> timers_before_task;
  // On the loop, so that the task is there before the second timer.
  loop_.Post([&] {
    next();
    loop_.Post([&] { timers_before_task.set_value(timers); });
  });
  EXPECT_LE(timers_before_task.get_future().get(), 2);
  loop_.Stop();
}

TEST_F(EventLoopTest, PostingFromManyThreadsLosesNothing) {
  int sum = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) loop_.Post([&] { ++sum; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  Drain();
  EXPECT_EQ(sum, 4000);
}

TEST_F(EventLoopTest, StopDropsWhatHasNotRun) {
  bool ran = false;
  loop_.RunAfter(1'000'000, [&] { ran = true; });
  loop_.Stop();
  loop_.Post([&] { ran = true; });
  loop_.Stop();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace sluice
