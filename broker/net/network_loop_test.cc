// NetworkLoop on a real thread, as base/event_loop_test.cc does it: order is what is checked, and
// nothing waits for more than a few milliseconds of a timer.

#include "broker/net/network_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <vector>

namespace sluice::broker {
namespace {

class NetworkLoopTest : public ::testing::Test {
 protected:
  // Returns when all that was posted before has run.
  void Drain() {
    std::promise<void> done;
    loop_.Post([&] { done.set_value(); });
    done.get_future().wait();
  }

  SystemClock clock_;
  NetworkLoop loop_{"test-loop", clock_};
};

// What a task posts must not overtake what another thread posts because of it.
TEST_F(NetworkLoopTest, TasksRunInTheOrderOfPostingWhoeverPosts) {
  std::vector<int> order;
  for (int round = 0; round < 1000; ++round) {
    std::promise<void> posted;
    std::promise<void> went_on;
    loop_.Post([&] {
      EXPECT_TRUE(loop_.InLoopThread());
      loop_.Post([&] { order.push_back(1); });
      posted.set_value();
      went_on.get_future().wait();
    });
    posted.get_future().wait();
    loop_.Post([&] { order.push_back(2); });
    went_on.set_value();
    Drain();
    ASSERT_EQ(order, (std::vector<int>{1, 2}));
    order.clear();
  }
  EXPECT_FALSE(loop_.InLoopThread());
}

TEST_F(NetworkLoopTest, TimersFireInTheOrderOfTheirDeadlinesAndNotEarly) {
  std::vector<int> order;
  std::promise<void> done;
  const int64_t start_ms = clock_.SteadyMs();
  loop_.RunAfter(5, [&] {
    order.push_back(3);
    EXPECT_GE(clock_.SteadyMs(), start_ms + 5);
    done.set_value();
  });
  loop_.Post([&] {
    loop_.RunAfter(1, [&] { order.push_back(1); });
    loop_.RunAfter(1, [&] { order.push_back(2); });
  });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

// The thread is not woken for timers later than the one it waits for; for this it must be.
TEST_F(NetworkLoopTest, ATimerEarlierThanAllOthersIsNotMissed) {
  loop_.RunAfter(1'000'000, [] {});
  Drain();
  for (int round = 0; round < 3; ++round) {
    std::promise<void> fired;
    loop_.RunAfter(2'000'000, [] {});
    loop_.RunAfter(1, [&] { fired.set_value(); });
    ASSERT_EQ(fired.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  }
}

TEST_F(NetworkLoopTest, ACancelledTimerNeverRunsAndTheNextOneDoes) {
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
  ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_FALSE(ran);
}

TEST_F(NetworkLoopTest, TimersThatSetEachOtherAtOnceKeepNoTaskWaiting) {
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

TEST_F(NetworkLoopTest, TimersAndTasksOfManyThreadsAreAllRun) {
  int sum = 0;
  std::promise<void> all;
  const auto add = [&] {
    if (++sum == 4 * 2000) all.set_value();
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        loop_.Post(add);
        loop_.RunAfter(i % 3, add);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(all.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(NetworkLoopTest, StopDropsWhatHasNotRun) {
  bool ran = false;
  loop_.RunAfter(1'000'000, [&] { ran = true; });
  loop_.Stop();
  loop_.Post([&] { ran = true; });
  loop_.Stop();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace sluice::broker
