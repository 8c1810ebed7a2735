// ThreadFlusher: the Flusher of the real process. Worker threads take submissions off one queue.
// Few: each worker syncs one partition's files and reports at once, so that no partition waits for
// another's disk write. Many (more dirty files than the threshold): one worker takes all and syncs
// the file system once. A partition that is being synced is not taken again until that ends: what
// comes meanwhile is the next group.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "storage/flusher.h"

namespace sluice::storage {
namespace {

class ThreadFlusher final : public Flusher {
 public:
  ThreadFlusher(FileSystem& fs, std::string directory, int threads, int syncfs_threshold)
      : fs_(fs),
        directory_(std::move(directory)),
        syncfs_threshold_(static_cast<size_t>(std::max(syncfs_threshold, 1))) {
    for (int i = 0; i < std::max(threads, 1); ++i) workers_.emplace_back([this] { Loop(); });
  }

  ~ThreadFlusher() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void Submit(const void* key, Capture capture, Done done) override {
    {
      std::lock_guard lock(mutex_);
      for (const Item& waiting : queue_) {
        if (waiting.key == key) return;  // its capture comes later and covers this one too
      }
      queue_.push_back({key, std::move(capture), std::move(done)});
    }
    wake_.notify_one();
  }

  void Drain() override {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return queue_.empty() && busy_.empty(); });
  }

 private:
  struct Item {
    const void* key;
    Capture capture;
    Done done;
  };

  // What a worker may take now; empty when all that waits must go on waiting.
  std::vector<Item> Take() {
    std::vector<Item> group;
    const bool many = queue_.size() > syncfs_threshold_;
    if (many && whole_sync_running_)
      return group;  // two at once would only queue up in the file system's journal
    for (auto it = queue_.begin(); it != queue_.end();) {
      if (busy_.contains(it->key)) {
        ++it;
        continue;
      }
      busy_.insert(it->key);
      group.push_back(std::move(*it));
      it = queue_.erase(it);
      if (!many) break;
    }
    return group;
  }

  void Loop() {
    std::unique_lock lock(mutex_);
    while (true) {
      std::vector<Item> group = Take();
      if (group.empty()) {
        if (stopping_ && queue_.empty()) return;
        wake_.wait(lock);
        continue;
      }
      const bool whole = group.size() > syncfs_threshold_;
      if (whole) whole_sync_running_ = true;
      lock.unlock();
      Sync(group);
      lock.lock();
      if (whole) whole_sync_running_ = false;
      for (const Item& item : group) busy_.erase(item.key);
      if (!queue_.empty() || stopping_) wake_.notify_all();
      if (queue_.empty() && busy_.empty()) idle_.notify_all();
    }
  }

  void Sync(std::vector<Item>& group) {
    std::vector<FlushTarget> targets;
    size_t files = 0;
    for (Item& item : group) {
      targets.push_back(item.capture());
      files += targets.back().file_count();
    }
    const bool whole = files > syncfs_threshold_;
    const Status outcome = whole ? fs_.SyncFileSystem(directory_) : Status::Ok();
    for (size_t i = 0; i < group.size(); ++i) {
      group[i].done(targets[i].upto, whole ? outcome : targets[i].Run());
    }
  }

  FileSystem& fs_;
  const std::string directory_;
  const size_t syncfs_threshold_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Item> queue_;      // guarded by mutex_, as all below
  std::set<const void*> busy_;  // keys that a worker is syncing
  bool whole_sync_running_ = false;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace

std::unique_ptr<Flusher> NewThreadFlusher(FileSystem& fs, const std::string& directory, int threads,
                                          int syncfs_threshold) {
  return std::make_unique<ThreadFlusher>(fs, directory, threads, syncfs_threshold);
}

}  // namespace sluice::storage
