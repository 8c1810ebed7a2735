#include "broker/stall_watch.h"

#include <gtest/gtest.h>

#include "base/testing/sim_event_loop.h"

namespace sluice::broker {
namespace {

constexpr int64_t kTimeoutMs = 1000;

class FakeDisk final : public storage::Flusher {
 public:
  void Submit(std::span<const storage::FlushablePtr>) override {}
  void Drain() override {}
  int64_t OldestSyncBeganMs() const override { return began_ms; }

  int64_t began_ms = -1;
};

class FakeWrites final : public DiskWrites {
 public:
  explicit FakeWrites(const std::optional<uint64_t>& completed) : completed_(completed) {}
  std::optional<uint64_t> Completed() const override { return completed_; }

 private:
  const std::optional<uint64_t>& completed_;
};

class StallWatchTest : public ::testing::Test {
 protected:
  void RunForMs(int64_t ms) { scheduler_.RunForMs(ms); }

  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  FakeDisk disk_;
  std::optional<uint64_t> completed_ = 7;
};

TEST_F(StallWatchTest, ADiskIsStuckWhileASyncLastsTooLong) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, nullptr);
  disk_.began_ms = loop_.clock().SteadyMs();
  RunForMs(kTimeoutMs);
  EXPECT_EQ(watch.WhatIsStuck(), "");
  RunForMs(1);
  EXPECT_EQ(watch.WhatIsStuck(), "the disk of /data has not ended a sync for more than 1000 ms");
  disk_.began_ms = loop_.clock().SteadyMs();
  EXPECT_EQ(watch.WhatIsStuck(), "");
}

TEST_F(StallWatchTest, ADiskThatCompletesWritesIsSlowAndNotStuck) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, std::make_unique<FakeWrites>(completed_));
  disk_.began_ms = loop_.clock().SteadyMs();
  for (int i = 0; i < 16; ++i) {
    RunForMs(kTimeoutMs / 2);
    ++*completed_;
    EXPECT_EQ(watch.WhatIsStuck(), "") << i;
  }
  RunForMs(kTimeoutMs);
  EXPECT_EQ(watch.WhatIsStuck(), "");
  RunForMs(1);
  EXPECT_EQ(watch.WhatIsStuck(), "the disk of /data has not ended a sync for more than 1000 ms");
  ++*completed_;
  EXPECT_EQ(watch.WhatIsStuck(), "");
}

// What it writes may be another file's.
TEST_F(StallWatchTest, ASyncThatNeverEndsIsStuckThoughTheDiskWrites) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, std::make_unique<FakeWrites>(completed_));
  disk_.began_ms = loop_.clock().SteadyMs();
  for (int i = 0; i < 20; ++i) {
    RunForMs(kTimeoutMs / 2);
    ++*completed_;
    EXPECT_EQ(watch.WhatIsStuck(), "") << i;
  }
  RunForMs(1);
  ++*completed_;
  EXPECT_NE(watch.WhatIsStuck(), "");
}

TEST_F(StallWatchTest, ADiskWithoutASyncIsNotStuckThoughItWritesNothing) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, std::make_unique<FakeWrites>(completed_));
  RunForMs(10 * kTimeoutMs);
  EXPECT_EQ(watch.WhatIsStuck(), "");
  disk_.began_ms = loop_.clock().SteadyMs();
  RunForMs(kTimeoutMs);
  EXPECT_EQ(watch.WhatIsStuck(), "");
  RunForMs(1);
  EXPECT_NE(watch.WhatIsStuck(), "");
}

// What was written before the sync began excuses nothing.
TEST_F(StallWatchTest, WritesAreSeenAlsoWhileNothingIsSynced) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, std::make_unique<FakeWrites>(completed_));
  ++*completed_;
  EXPECT_EQ(watch.WhatIsStuck(), "");
  disk_.began_ms = loop_.clock().SteadyMs();
  RunForMs(kTimeoutMs + 1);
  EXPECT_NE(watch.WhatIsStuck(), "");
}

// The writes of the second one count though the first one is stuck.
TEST_F(StallWatchTest, EachDiskIsLookedAt) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  FakeDisk other;
  watch.WatchDisk("/a", disk_, nullptr);
  watch.WatchDisk("/b", other, std::make_unique<FakeWrites>(completed_));
  disk_.began_ms = other.began_ms = loop_.clock().SteadyMs();
  RunForMs(kTimeoutMs + 1);
  ++*completed_;
  EXPECT_EQ(watch.WhatIsStuck(), "the disk of /a has not ended a sync for more than 1000 ms");
  RunForMs(kTimeoutMs);
  disk_.began_ms = -1;
  EXPECT_EQ(watch.WhatIsStuck(), "");
}

TEST_F(StallWatchTest, WithoutCountersTheSyncAloneTells) {
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchDisk("/data", disk_, std::make_unique<FakeWrites>(completed_));
  completed_ = std::nullopt;  // the device is gone
  disk_.began_ms = loop_.clock().SteadyMs();
  RunForMs(kTimeoutMs + 1);
  EXPECT_EQ(watch.WhatIsStuck(), "the disk of /data has not ended a sync for more than 1000 ms");
}

TEST_F(StallWatchTest, ALoopIsStuckWhileWhatWasPostedDoesNotRun) {
  sluice::testing::SimScheduler elsewhere;  // whose time does not pass
  sluice::testing::SimEventLoop stuck(elsewhere);
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchLoop("metadata", loop_);
  watch.WatchLoop("replica", stuck);
  EXPECT_EQ(watch.WhatIsStuck(), "");
  RunForMs(kTimeoutMs + 1);
  EXPECT_EQ(watch.WhatIsStuck(), "the thread \"replica\" has not moved for more than 1000 ms");
  elsewhere.RunForMs(1);
  EXPECT_EQ(watch.WhatIsStuck(), "");
}

TEST_F(StallWatchTest, ALoopThatMovesIsAskedTenTimesInTheTimeout) {
  class CountingLoop final : public EventLoop {
   public:
    explicit CountingLoop(EventLoop& inner) : inner_(inner) {}
    void Post(Task task) override {
      ++posted;
      inner_.Post(std::move(task));
    }
    TimerId RunAfter(int64_t ms, Task task) override {
      return inner_.RunAfter(ms, std::move(task));
    }
    void Cancel(TimerId id) override { inner_.Cancel(id); }
    bool InLoopThread() const override { return inner_.InLoopThread(); }
    const Clock& clock() const override { return inner_.clock(); }
    int posted = 0;

   private:
    EventLoop& inner_;
  } loop(loop_);
  StallWatch watch(loop_.clock(), kTimeoutMs);
  watch.WatchLoop("metadata", loop);
  for (int64_t ms = 0; ms < 2 * kTimeoutMs; ms += 10) {
    EXPECT_EQ(watch.WhatIsStuck(), "");
    RunForMs(10);
  }
  EXPECT_EQ(loop.posted, 20);
}

TEST_F(StallWatchTest, WithoutATimeoutNothingIsStuck) {
  StallWatch watch(loop_.clock(), 0);
  watch.WatchDisk("/data", disk_, nullptr);
  disk_.began_ms = loop_.clock().SteadyMs();
  RunForMs(1'000'000);
  EXPECT_EQ(watch.WhatIsStuck(), "");
}

}  // namespace
}  // namespace sluice::broker
