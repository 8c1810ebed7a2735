// ThreadFlusher: the Flusher of the real process. Worker threads take submissions off one queue.
// Few: each worker syncs one partition's files and reports at once, so that no partition waits for
// another's disk write. Many (more than the threshold): one worker takes all and syncs the file
// system once. A partition that is being synced is not taken again until that ends: what comes
// meanwhile is in the next group.

#include <glog/logging.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/flusher.h"
#include "storage/flusher_metrics.h"

namespace sluice::storage {
namespace {

class ThreadFlusher final : public Flusher {
 public:
  ThreadFlusher(FileSystem& fs, ThreadFlusherOptions options)
      : options_(std::move(options)),
        whole_(fs.OpenWhole(options_.directory)),
        syncfs_threshold_(static_cast<size_t>(std::max(options_.syncfs_threshold, 1))) {
    if (options_.metrics != nullptr) metrics_.emplace(*options_.metrics, options_.directory);
    CHECK(options_.clock != nullptr);
    syncs_began_ms_.resize(static_cast<size_t>(std::max(options_.threads, 1)), -1);
    for (int64_t& began_ms : syncs_began_ms_)
      workers_.emplace_back([this, &began_ms] { Loop(began_ms); });
  }

  ~ThreadFlusher() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void Submit(std::span<const FlushablePtr> dirty) override {
    if (metrics_) metrics_->asked.Add(dirty.size());
    size_t added = 0;
    {
      std::lock_guard lock(mutex_);
      for (const FlushablePtr& partition : dirty) {
        const auto [known, is_new] = states_.try_emplace(partition.get(), State::kWaiting);
        if (is_new) {
          queue_.push_back(partition);
          ++added;
        } else if (known->second == State::kSyncing) {
          known->second = State::kSyncingAndWanted;
        }
      }
      // One worker takes them all.
      if (queue_.size() > syncfs_threshold_) added = std::min<size_t>(added, 1);
    }
    for (; added > 0; --added) wake_.notify_one();
  }

  void Drain() override {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return states_.empty() && working_ == 0; });
  }

  int64_t OldestSyncBeganMs() const override {
    std::lock_guard lock(mutex_);
    int64_t oldest_ms = -1;
    for (const int64_t began_ms : syncs_began_ms_) {
      if (began_ms >= 0 && (oldest_ms < 0 || began_ms < oldest_ms)) oldest_ms = began_ms;
    }
    return oldest_ms;
  }

 private:
  // Of a partition that is known here. kWaiting: it is in the queue.
  enum class State { kWaiting, kSyncing, kSyncingAndWanted };
  using Group = std::vector<Flushed>;

  // What a worker may take now; empty when all that waits must go on waiting.
  Group Take() {
    Group group;
    if (queue_.empty()) return group;
    const bool many = queue_.size() > syncfs_threshold_;
    // Two at once would only queue up in the file system's journal.
    if (many && whole_sync_running_) return group;
    const size_t count = many ? queue_.size() : 1;
    group.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      states_[queue_.front().get()] = State::kSyncing;
      group.push_back({std::move(queue_.front()), Offset(), Status::Ok()});
      queue_.pop_front();
    }
    return group;
  }

  // `began_ms` is this worker's among syncs_began_ms_.
  void Loop(int64_t& began_ms) {
    std::unique_lock lock(mutex_);
    while (true) {
      Group group = Take();
      if (group.empty()) {
        if (stopping_ && queue_.empty()) return;
        wake_.wait(lock);
        continue;
      }
      const bool whole = group.size() > 1;
      if (whole) whole_sync_running_ = true;
      ++working_;
      began_ms = options_.clock->SteadyMs();
      lock.unlock();
      Sync(group);
      options_.report(group);
      lock.lock();
      began_ms = -1;
      if (whole) whole_sync_running_ = false;
      for (const Flushed& synced : group) Finish(synced.partition);
      if (!queue_.empty() || stopping_) wake_.notify_all();
      // A partition whose last owner this is ends here, and whatever that leads to must not meet
      // the mutex.
      lock.unlock();
      group.clear();
      lock.lock();
      --working_;
      if (states_.empty() && working_ == 0) idle_.notify_all();
    }
  }

  void Finish(const FlushablePtr& partition) {
    const auto known = states_.find(partition.get());
    if (known->second == State::kSyncing) {
      states_.erase(known);
      return;
    }
    known->second = State::kWaiting;
    queue_.push_back(partition);
  }

  void Sync(Group& group) {
    const int64_t begin_us = metrics_ ? options_.clock->SteadyMicros() : 0;
    std::vector<FlushTarget> targets;
    targets.reserve(group.size());
    size_t syncs = 0;
    for (Flushed& item : group) {
      targets.push_back(item.partition->CaptureFlush());
      item.upto = targets.back().upto;
      syncs += targets.back().file_count() + targets.back().directories.size();
    }
    const bool whole = group.size() > 1 && syncs > syncfs_threshold_;
    const Status of_all = whole ? SyncWhole() : Status::Ok();
    for (size_t i = 0; i < group.size(); ++i) {
      const bool covered = whole && targets[i].status.ok();
      group[i].outcome = covered ? of_all : targets[i].Run();
    }
    if (!metrics_) return;
    if (syncs > 0) metrics_->seconds.Observe(options_.clock->SteadyMicros() - begin_us);
    metrics_->partitions.Add(group.size());
    metrics_->files.Add(syncs);
    metrics_->whole.Add(whole ? 1 : 0);
    metrics_->failures.Add(static_cast<uint64_t>(std::count_if(
        group.begin(), group.end(), [](const Flushed& flushed) { return !flushed.outcome.ok(); })));
  }

  Status SyncWhole() {
    return whole_.ok() ? (*whole_)->Sync() : Status::IoError(whole_.status().message());
  }

  const ThreadFlusherOptions options_;
  const Result<std::unique_ptr<WholeFileSystem>> whole_;
  const size_t syncfs_threshold_;
  std::optional<FlusherMetrics> metrics_;  // set before a worker starts
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<FlushablePtr> queue_;  // guarded by mutex_, as all below
  std::unordered_map<const Flushable*, State> states_;
  int working_ = 0;                      // workers that hold a group
  std::vector<int64_t> syncs_began_ms_;  // of each worker; -1: it syncs nothing
  bool whole_sync_running_ = false;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace

std::unique_ptr<Flusher> NewThreadFlusher(FileSystem& fs, ThreadFlusherOptions options) {
  return std::make_unique<ThreadFlusher>(fs, std::move(options));
}

}  // namespace sluice::storage
