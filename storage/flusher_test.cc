// The group commit: joining, threshold, failure and order, for the threads and for their simulated
// twin.

#include "storage/flusher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <vector>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_event_loop.h"
#include "base/testing/sim_file_system.h"
#include "storage/testing/sim_flusher.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileOperation;
using ::sluice::testing::SimFileSystem;

// A partition with one file, or none.
class TestPartition final : public Flushable {
 public:
  TestPartition(SimFileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}

  FlushTarget CaptureFlush() override {
    if (on_capture) on_capture();
    ++captures;
    FlushTarget target;
    target.upto = Offset(end);
    target.status = failure;
    target.file_system = &fs_;
    if (path_.empty()) return target;
    auto file = fs_.Open(path_, OpenMode::kCreate);
    CHECK(file.ok() && (*file)->WriteAt(0, "x").ok());
    target.files.push_back(*file);
    return target;
  }

  std::function<void()> on_capture;
  std::atomic<int> captures = 0;
  std::atomic<int64_t> end = 1;
  Status failure;  // of every capture

 private:
  SimFileSystem& fs_;
  const std::string path_;
};
using TestPartitionPtr = std::shared_ptr<TestPartition>;

class ThreadFlusherTest : public ::testing::Test {
 protected:
  void Start(int threads, int syncfs_threshold) {
    flusher_ =
        NewThreadFlusher(fs_, {.directory = "/",
                               .report = [this](std::span<const Flushed> group) { Note(group); },
                               .syncfs_threshold = syncfs_threshold,
                               .threads = threads,
                               .metrics = &registry_,
                               .clock = &clock_});
  }
  std::string Metric(const std::string& name) const {
    const std::string page = registry_.PrometheusText();
    const std::string line = "\n" + name + "{directory=\"/\"} ";
    const size_t found = page.find(line);
    if (found == std::string::npos) return page;
    const size_t begin = found + line.size();
    return page.substr(begin, page.find('\n', begin) - begin);
  }
  TestPartitionPtr New(const std::string& path) {
    return std::make_shared<TestPartition>(fs_, path);
  }
  void Submit(const std::vector<TestPartitionPtr>& partitions) {
    const std::vector<FlushablePtr> dirty(partitions.begin(), partitions.end());
    flusher_->Submit(dirty);
  }
  // A worker that is busy until Release.
  void Occupy() {
    blocker_ = New("");
    blocker_->on_capture = [this] {
      entered_.set_value();
      release_.get_future().wait();
    };
    Submit({blocker_});
    entered_.get_future().wait();
  }
  void Release() { release_.set_value(); }

  void Note(std::span<const Flushed> group) {
    std::lock_guard lock(mutex_);
    if (group.front().partition == blocker_) return;
    groups_.push_back(group.size());
    for (const Flushed& flushed : group)
      reports_[flushed.partition.get()].push_back(flushed.outcome.ok() ? flushed.upto.value() : -1);
  }
  std::vector<int64_t> ReportsOf(const TestPartitionPtr& partition) {
    std::lock_guard lock(mutex_);
    return reports_[partition.get()];
  }

  SimFileSystem fs_;
  ::sluice::testing::SimClock clock_;
  MetricsRegistry registry_;
  TestPartitionPtr blocker_;
  std::promise<void> entered_, release_;
  std::mutex mutex_;
  std::vector<size_t> groups_;  // guarded by mutex_, as the next
  std::map<const Flushable*, std::vector<int64_t>> reports_;
  std::unique_ptr<Flusher> flusher_;
};

TEST_F(ThreadFlusherTest, SyncsAndReports) {
  Start(2, 16);
  const auto a = New("/a");
  a->end = 7;
  Submit({a});
  flusher_->Drain();
  EXPECT_EQ(ReportsOf(a), std::vector<int64_t>{7});
  EXPECT_EQ(fs_.counts().file_syncs, 1u);
}

TEST_F(ThreadFlusherTest, WhatWaitsOfOnePartitionIsOneSync) {
  Start(1, 16);
  Occupy();
  const auto a = New("/a");
  for (int i = 0; i < 10; ++i) Submit({a, a});
  Release();
  flusher_->Drain();
  EXPECT_EQ(a->captures, 1);
  EXPECT_EQ(ReportsOf(a).size(), 1u);
}

TEST_F(ThreadFlusherTest, WhatComesDuringASyncIsTheNextOne) {
  Start(2, 16);
  const auto a = New("/a");
  // Once captured, another submission is not covered any more, however many there are of it.
  int left = 3;
  a->on_capture = [&] {
    a->end += 1;
    if (left-- > 0) Submit({a, a});
  };
  Submit({a});
  flusher_->Drain();
  EXPECT_EQ(ReportsOf(a), (std::vector<int64_t>{2, 3, 4, 5}));
}

TEST_F(ThreadFlusherTest, TellsWhenTheOldestSyncBegan) {
  Start(1, 16);
  EXPECT_EQ(flusher_->OldestSyncBeganMs(), -1);
  const int64_t began_ms = clock_.SteadyMs();
  Occupy();
  clock_.AdvanceMs(500);
  EXPECT_EQ(flusher_->OldestSyncBeganMs(), began_ms);
  Release();
  flusher_->Drain();
  EXPECT_EQ(flusher_->OldestSyncBeganMs(), -1);
}

TEST_F(ThreadFlusherTest, ManyAreOneSyncOfTheFileSystemAndOneReport) {
  Start(1, 4);
  Occupy();
  std::vector<TestPartitionPtr> partitions;
  for (int i = 0; i < 20; ++i) {
    partitions.push_back(New("/f" + std::to_string(i)));
    partitions.back()->end = i;
    if (i % 2 == 1) Submit({partitions[static_cast<size_t>(i) - 1], partitions.back()});
  }
  Release();
  flusher_->Drain();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(ReportsOf(partitions[static_cast<size_t>(i)]), std::vector<int64_t>{i});
  EXPECT_EQ(groups_, std::vector<size_t>{20});
  EXPECT_EQ(fs_.counts().file_system_syncs, 1u);
  EXPECT_EQ(fs_.counts().file_syncs, 0u);
}

TEST_F(ThreadFlusherTest, WhatIsSubmittedTogetherIsOneGroup) {
  Start(4, 4);
  std::vector<TestPartitionPtr> partitions;
  for (int i = 0; i < 1000; ++i) partitions.push_back(New("/f" + std::to_string(i)));
  Submit(partitions);
  flusher_->Drain();
  EXPECT_EQ(groups_, std::vector<size_t>{1000});
  EXPECT_EQ(fs_.counts().file_system_syncs, 1u);
}

TEST_F(ThreadFlusherTest, ManyWithLittleToSyncSpareTheFileSystem) {
  Start(2, 4);
  std::vector<TestPartitionPtr> partitions = {New("/dirty")};
  for (int i = 0; i < 9; ++i) partitions.push_back(New(""));
  Submit(partitions);
  flusher_->Drain();
  EXPECT_EQ(fs_.counts().file_system_syncs, 0u);
  EXPECT_EQ(fs_.counts().file_syncs, 1u);
}

TEST_F(ThreadFlusherTest, FlushesAreCountedAndTimed) {
  Start(1, 4);
  const auto a = New("/a");
  a->on_capture = [this] { clock_.AdvanceMs(500); };
  Submit({a});
  flusher_->Drain();
  std::vector<TestPartitionPtr> many = {a, a};
  for (int i = 0; i < 9; ++i) many.push_back(New("/f" + std::to_string(i)));
  Submit(many);
  flusher_->Drain();
  Submit({New("")});  // nothing to flush
  flusher_->Drain();
  EXPECT_EQ(Metric("kafka_log_logflushstats_logflush_seconds_count"), "2");
  EXPECT_EQ(Metric("kafka_log_logflushstats_logflush_seconds_sum"), "1");
  EXPECT_EQ(Metric("sluice_log_flush_appends_total"), "13");
  EXPECT_EQ(Metric("sluice_log_flush_partitions_total"), "12");
  EXPECT_EQ(Metric("sluice_log_flush_files_total"), "11");
  EXPECT_EQ(Metric("sluice_log_flush_syncfs_total"), "1");
  EXPECT_EQ(Metric("sluice_log_flush_failures_total"), "0");
}

TEST_F(ThreadFlusherTest, AFailureReachesItsPartition) {
  fs_.InjectFault({.operation = FileOperation::kSync, .path_part = "/bad"});
  Start(2, 16);
  const auto good = New("/good"), bad = New("/bad");
  Submit({bad, good});
  flusher_->Drain();
  EXPECT_EQ(ReportsOf(good), std::vector<int64_t>{1});
  EXPECT_EQ(ReportsOf(bad), std::vector<int64_t>{-1});
  EXPECT_EQ(Metric("sluice_log_flush_failures_total"), "1");
}

TEST_F(ThreadFlusherTest, AFailedSyncOfTheFileSystemReachesAll) {
  fs_.InjectFault({.operation = FileOperation::kSyncFileSystem});
  Start(2, 4);
  std::vector<TestPartitionPtr> partitions;
  for (int i = 0; i < 6; ++i) partitions.push_back(New("/f" + std::to_string(i)));
  Submit(partitions);
  flusher_->Drain();
  for (const auto& partition : partitions)
    EXPECT_EQ(ReportsOf(partition), std::vector<int64_t>{-1});
}

TEST_F(ThreadFlusherTest, ACaptureThatFailedIsReportedWhateverIsSynced) {
  std::vector<TestPartitionPtr> partitions;
  for (const size_t count : {1u, 6u}) {
    Start(2, 4);
    partitions.clear();
    reports_.clear();
    for (size_t i = 0; i < count; ++i) partitions.push_back(New("/f" + std::to_string(i)));
    partitions[0]->failure = Status::NotFound("no file");
    Submit(partitions);
    flusher_->Drain();
    for (size_t i = 0; i < count; ++i)
      EXPECT_EQ(ReportsOf(partitions[i]), std::vector<int64_t>{i == 0 ? -1 : 1}) << i;
  }
  EXPECT_EQ(fs_.counts().file_system_syncs, 1u);
}

class SimFlusherTest : public ::testing::Test {
 protected:
  FlushReport Report() {
    return [this](std::span<const Flushed> group) {
      for (const Flushed& flushed : group)
        done_at_.push_back(flushed.upto.value() * 1000 + loop_.clock().SteadyMs());
    };
  }

  SimFileSystem fs_;
  ::sluice::testing::SimScheduler scheduler_;
  ::sluice::testing::SimEventLoop loop_{scheduler_};
  std::vector<int64_t> done_at_;
};

TEST_F(SimFlusherTest, TakesItsVirtualTimeAndKeepsOneSyncAPartition) {
  testing::SimFlusher flusher(loop_, Report(), [] { return 10; });
  const auto a = std::make_shared<TestPartition>(fs_, "/a");
  const std::vector<FlushablePtr> dirty = {a, a};
  a->end = 5;
  flusher.Submit(dirty);
  scheduler_.RunForMs(4);
  EXPECT_TRUE(done_at_.empty());
  a->end = 6;
  flusher.Submit(dirty);
  scheduler_.RunForMs(100);
  EXPECT_EQ(done_at_, (std::vector<int64_t>{5010, 6020}));
  flusher.Submit(dirty);
  flusher.Drain();
  EXPECT_EQ(done_at_.size(), 3u);
}

TEST_F(SimFlusherTest, ACrashForgetsWhatRuns) {
  const std::vector<FlushablePtr> dirty = {std::make_shared<TestPartition>(fs_, "/a")};
  {
    testing::SimFlusher flusher(loop_, Report(), [] { return 10; });
    flusher.Submit(dirty);
    scheduler_.RunForMs(5);
  }
  scheduler_.RunForMs(50);
  EXPECT_TRUE(done_at_.empty());
}

}  // namespace
}  // namespace sluice::storage
