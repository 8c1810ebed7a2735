// The group commit: joining, threshold, failure and order, for the threads and for their simulated
// twin.

#include "storage/flusher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>

#include "base/testing/sim_event_loop.h"
#include "base/testing/sim_file_system.h"
#include "storage/testing/sim_flusher.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using ::sluice::testing::SimFileSystem;

FlushTarget TargetOf(SimFileSystem& fs, const std::string& path, int64_t upto) {
  auto file = fs.Open(path, OpenMode::kCreate);
  CHECK(file.ok() && (*file)->WriteAt(0, "x").ok());
  FlushTarget target;
  target.upto = Offset(upto);
  target.files.push_back(*file);
  target.file_system = &fs;
  return target;
}

TEST(ThreadFlusherTest, SyncsAndReports) {
  SimFileSystem fs;
  auto flusher = NewThreadFlusher(fs, "/", 2, 16);
  std::atomic<int64_t> reported = 0;
  int key = 0;
  flusher->Submit(
      &key, [&] { return TargetOf(fs, "/a", 7); },
      [&](Offset upto, const Status& outcome) { reported = outcome.ok() ? upto.value() : -1; });
  flusher->Drain();
  EXPECT_EQ(reported, 7);
  EXPECT_EQ(fs.counts().file_syncs, 1u);
}

TEST(ThreadFlusherTest, WhatWaitsOfOnePartitionIsOneSync) {
  SimFileSystem fs;
  auto flusher = NewThreadFlusher(fs, "/", 1, 16);
  int blocker = 0, key = 0;
  std::promise<void> entered, release;
  std::atomic<int> captures = 0, reports = 0;
  flusher->Submit(
      &blocker,
      [&] {
        entered.set_value();
        release.get_future().wait();
        return FlushTarget();
      },
      [](Offset, const Status&) {});
  entered.get_future().wait();
  for (int i = 0; i < 10; ++i) {
    flusher->Submit(
        &key,
        [&] {
          ++captures;
          return TargetOf(fs, "/a", 1);
        },
        [&](Offset, const Status&) { ++reports; });
  }
  release.set_value();
  flusher->Drain();
  EXPECT_EQ(captures, 1);
  EXPECT_EQ(reports, 1);
}

TEST(ThreadFlusherTest, ManyFilesAreOneSyncOfTheFileSystem) {
  SimFileSystem fs;
  auto flusher = NewThreadFlusher(fs, "/", 1, 4);
  int keys[21];
  std::promise<void> entered, release;
  std::atomic<int> reports = 0;
  flusher->Submit(
      &keys[20],
      [&] {
        entered.set_value();
        release.get_future().wait();
        return FlushTarget();
      },
      [](Offset, const Status&) {});
  entered.get_future().wait();
  for (int i = 0; i < 20; ++i) {
    flusher->Submit(
        &keys[i], [&fs, i] { return TargetOf(fs, "/f" + std::to_string(i), i); },
        [&](Offset, const Status& outcome) { reports += outcome.ok(); });
  }
  release.set_value();
  flusher->Drain();
  EXPECT_EQ(reports, 20);
  EXPECT_EQ(fs.counts().file_system_syncs, 1u);
  EXPECT_EQ(fs.counts().file_syncs, 0u);
}

TEST(ThreadFlusherTest, AFailureReachesItsPartition) {
  SimFileSystem fs;
  fs.InjectFault({.operation = FileOperation::kSync, .path_part = "/bad"});
  auto flusher = NewThreadFlusher(fs, "/", 2, 16);
  int good = 0, bad = 0;
  std::atomic<bool> good_ok = false, bad_ok = true;
  flusher->Submit(
      &bad, [&] { return TargetOf(fs, "/bad", 1); },
      [&](Offset, const Status& s) { bad_ok = s.ok(); });
  flusher->Submit(
      &good, [&] { return TargetOf(fs, "/good", 1); },
      [&](Offset, const Status& s) { good_ok = s.ok(); });
  flusher->Drain();
  EXPECT_TRUE(good_ok);
  EXPECT_FALSE(bad_ok);
}

TEST(SimFlusherTest, TakesItsVirtualTimeAndKeepsOneSyncAKey) {
  SimFileSystem fs;
  ::sluice::testing::SimScheduler scheduler;
  ::sluice::testing::SimEventLoop loop(scheduler);
  testing::SimFlusher flusher(loop, [] { return 10; });
  int key = 0;
  std::vector<int64_t> done_at;
  int64_t end = 5;
  const auto submit = [&] {
    flusher.Submit(
        &key, [&] { return TargetOf(fs, "/a", end); },
        [&](Offset upto, const Status&) {
          done_at.push_back(upto.value() * 1000 + loop.clock().SteadyMs());
        });
  };
  submit();
  submit();
  scheduler.RunForMs(4);
  EXPECT_TRUE(done_at.empty());
  end = 6;
  submit();
  submit();
  scheduler.RunForMs(100);
  EXPECT_EQ(done_at, (std::vector<int64_t>{5010, 6020}));
  submit();
  flusher.Drain();
  EXPECT_EQ(done_at.size(), 3u);
}

TEST(SimFlusherTest, ACrashForgetsWhatRuns) {
  SimFileSystem fs;
  ::sluice::testing::SimScheduler scheduler;
  ::sluice::testing::SimEventLoop loop(scheduler);
  int key = 0, reports = 0;
  {
    testing::SimFlusher flusher(loop, [] { return 10; });
    flusher.Submit(
        &key, [&] { return TargetOf(fs, "/a", 1); }, [&](Offset, const Status&) { ++reports; });
    scheduler.RunForMs(5);
  }
  scheduler.RunForMs(50);
  EXPECT_EQ(reports, 0);
}

}  // namespace
}  // namespace sluice::storage
