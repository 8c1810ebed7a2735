#include "broker/replica/fetch_waiters.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

class Waiter final : public FetchWaiter {
 public:
  void Wake() override {}
  void WakeSoon() override {}
  bool finished() const override {
    ++*looks;
    return done;
  }
  bool done = false;
  std::shared_ptr<int> looks = std::make_shared<int>(0);
};

TEST(FetchWaitersTest, AWaiterIsParkedOnceUntilItIsTaken) {
  FetchWaiters waiters;
  const auto waiter = std::make_shared<Waiter>();
  uint64_t round = 0;
  waiters.Add(waiter, round);
  waiters.Add(waiter, round);
  EXPECT_EQ(waiters.size(), 1u);
  std::vector<FetchWaiters::Waiter> taken;
  waiters.TakeAll(taken);
  EXPECT_EQ(taken.size(), 1u);
  EXPECT_EQ(waiters.size(), 0u);
  waiters.Add(waiter, round);
  EXPECT_EQ(waiters.size(), 1u);
}

TEST(FetchWaitersTest, FinishedOnesLeaveThoughNobodyTakesThem) {
  FetchWaiters waiters;
  for (int i = 0; i < 1000; ++i) {
    const auto waiter = std::make_shared<Waiter>();
    uint64_t round = 0;
    waiters.Add(waiter, round);
    waiter->done = true;
    EXPECT_LE(waiters.size(), 16u);
  }
}

TEST(FetchWaitersTest, ParkingLooksAtFewOthersHoweverManyThereAre) {
  FetchWaiters waiters;
  const auto looks = std::make_shared<int>(0);
  constexpr int kCount = 10000;
  for (int i = 0; i < kCount; ++i) {
    const auto waiter = std::make_shared<Waiter>();
    waiter->looks = looks;
    uint64_t round = 0;
    waiters.Add(waiter, round);
  }
  EXPECT_EQ(waiters.size(), static_cast<size_t>(kCount));
  EXPECT_LE(*looks, 2 * kCount);
}

}  // namespace
}  // namespace sluice::broker
