#pragma once
// Writers: closed-loop producers of fsync mode, run as a broker runs them: a few event loops (its
// reactors), many writers on each, one batch of each under way. A writer appends to a partition of
// its own and submits it; once its flush is reported it appends again.
//
// EachRun: one batch to each partition at a time, as a produce request brings them.
//
// Thread rule: Run on one thread at a time.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "bench/storage/support.h"

namespace sluice::bench {

struct WritersResult {
  double seconds = 0;
  size_t appends = 0;
  std::vector<size_t> groups;        // partitions in each flush, in the order of their reports
  std::vector<double> latencies_ms;  // from before the append until its flush is known
};

class Writers {
 public:
  // One writer for each partition of `logs`, which outlives this.
  Writers(Logs& logs, std::string batch, size_t loops) : logs_(logs), batch_(std::move(batch)) {
    for (size_t i = 0; i < loops; ++i)
      loops_.push_back(std::make_unique<ThreadEventLoop>("writers", clock_));
    started_.resize(logs_.partitions().size());
    logs_.set_on_group([this](std::span<const storage::Flushed> group) { OnGroup(group); });
  }
  ~Writers() { logs_.set_on_group({}); }

  // Until so many appends are durable, and those that are then under way.
  WritersResult Run(size_t appends) {
    result_ = WritersResult();
    left_ = static_cast<int64_t>(appends);
    active_ = logs_.partitions().size();
    const double begin = Now();
    for (size_t i = 0; i < logs_.partitions().size(); ++i)
      LoopOf(i).Post([this, i] { AppendOne(i); });
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return active_ == 0; });
    result_.seconds = Now() - begin;
    return std::move(result_);
  }

 private:
  EventLoop& LoopOf(size_t writer) { return *loops_[writer % loops_.size()]; }

  void AppendOne(size_t writer) {
    if (left_.fetch_sub(1) <= 0) {
      std::lock_guard lock(mutex_);
      if (--active_ == 0) idle_.notify_all();
      return;
    }
    const PartitionPtr& partition = logs_.partitions()[writer];
    started_[writer] = Now();
    partition->Append(batch_);
    const storage::FlushablePtr dirty = partition;
    logs_.flusher().Submit(std::span(&dirty, 1));
  }

  // A mail for each loop, as the broker's reactors get theirs.
  void OnGroup(std::span<const storage::Flushed> group) {
    const double now = Now();
    std::vector<std::vector<size_t>> mails(loops_.size());
    {
      std::lock_guard lock(mutex_);
      result_.groups.push_back(group.size());
      result_.appends += group.size();
      for (const storage::Flushed& flushed : group) {
        const size_t writer = static_cast<Partition&>(*flushed.partition).index();
        result_.latencies_ms.push_back((now - started_[writer]) * 1e3);
        mails[writer % loops_.size()].push_back(writer);
      }
    }
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (mails[i].empty()) continue;
      loops_[i]->Post([this, writers = std::move(mails[i])] {
        for (const size_t writer : writers) AppendOne(writer);
      });
    }
  }

  Logs& logs_;
  const std::string batch_;
  const SystemClock clock_;
  std::vector<double> started_;
  std::atomic<int64_t> left_ = 0;
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t active_ = 0;  // guarded by mutex_, as the next
  WritersResult result_;
  std::vector<std::unique_ptr<ThreadEventLoop>> loops_;  // last: its tasks use all above
};

// A batch to each partition, submitted together as a produce request's are; until all have
// reported.
class EachRun {
 public:
  explicit EachRun(Logs& logs) : logs_(logs) {
    logs_.set_on_group([this](std::span<const storage::Flushed> group) {
      std::lock_guard lock(mutex_);
      left_ -= group.size();
      if (left_ == 0) done_.notify_all();
    });
  }
  double Run(std::string_view batch) {
    left_ = logs_.partitions().size();
    const double begin = Now();
    std::vector<storage::FlushablePtr> dirty;
    for (const PartitionPtr& partition : logs_.partitions()) {
      partition->Append(batch);
      dirty.push_back(partition);
      if (dirty.size() < storage::kSubmitAheadPartitions) continue;
      logs_.flusher().Submit(dirty);
      dirty.clear();
    }
    logs_.flusher().Submit(dirty);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
    return Now() - begin;
  }

 private:
  Logs& logs_;
  std::mutex mutex_;
  std::condition_variable done_;
  size_t left_ = 0;  // guarded by mutex_
};

}  // namespace sluice::bench
