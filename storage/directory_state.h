#pragma once
// DirectoryState: how one log directory stands: online or failed, and how much room it has. Shared
// by the LogDirectories that keeps it true and the replicas in it, which look at it on every
// append.
//
// Thread rule: path, id and last_shutdown are constant once the directory is in service; everything
// else is atomic or locked.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/status.h"
#include "base/uuid.h"
#include "storage/log_manager.h"

namespace sluice::storage {

// How full a directory's file system is.
enum class SpaceLevel {
  kAmple,
  kLow,   // below the soft mark: producers are slowed down
  kFull,  // below the hard mark: nothing is appended
};

// Below how many free bytes a directory is low, and full; -1 = a part of the disk's size, 0 = no
// mark. A soft mark below the hard one counts as the hard one.
struct SpaceMarks {
  int64_t soft_bytes = -1;
  int64_t hard_bytes = -1;

  struct Bytes {
    uint64_t soft;
    uint64_t hard;
  };
  Bytes Of(uint64_t total_bytes) const {
    constexpr uint64_t kGiB = uint64_t{1} << 30;
    const auto or_part = [](int64_t bytes, uint64_t part) {
      return bytes >= 0 ? static_cast<uint64_t>(bytes) : part;
    };
    const uint64_t hard = or_part(hard_bytes, std::min(total_bytes / 100, 2 * kGiB));
    const uint64_t soft = or_part(soft_bytes, std::min(total_bytes / 20, 20 * kGiB));
    return {std::max(soft, hard), hard};
  }
};

class DirectoryState {
 public:
  explicit DirectoryState(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  // Zero when meta.properties could not be read.
  const Uuid& id() const { return id_; }
  const ShutdownState& last_shutdown() const { return last_shutdown_; }

  bool online() const { return online_.load(std::memory_order_relaxed); }
  // Empty while online.
  std::string failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
  }
  // By the last look at the file system and what was appended since.
  SpaceLevel level() const {
    const int64_t left_bytes = left_bytes_.load(std::memory_order_relaxed);
    if (left_bytes < 0 && has_hard_mark_.load(std::memory_order_relaxed)) return SpaceLevel::kFull;
    const int64_t low_bytes = low_bytes_.load(std::memory_order_relaxed);
    return low_bytes > 0 && left_bytes < low_bytes ? SpaceLevel::kLow : SpaceLevel::kAmple;
  }
  // Whether it is to be told of as full: from when it is until it has some more room than that: a
  // quarter of what is between the marks. What is gained by a little retention is filled again at
  // once, and each turn costs its replicas' clients a leader.
  bool counts_as_full() const {
    return stays_full_.load(std::memory_order_relaxed) || level() == SpaceLevel::kFull;
  }
  // Between 0 at the soft mark and 1 at the hard one: how hard to slow down.
  double pressure() const {
    const SpaceLevel now = level();
    if (now != SpaceLevel::kLow) return now == SpaceLevel::kFull ? 1 : 0;
    const auto left = static_cast<double>(left_bytes_.load(std::memory_order_relaxed));
    const auto low = static_cast<double>(low_bytes_.load(std::memory_order_relaxed));
    return std::clamp((low - left) / low, 0.0, 1.0);
  }
  // For whoever writes to the directory: a fast producer would be far past the hard mark before the
  // next look.
  void NoteWritten(size_t bytes) const {
    left_bytes_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  }
  uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }
  uint64_t total_bytes() const { return total_bytes_.load(std::memory_order_relaxed); }

  // For LogDirectories.
  void Identify(const Uuid& id) { id_ = id; }
  void PutOnline(const ShutdownState& last_shutdown) {
    last_shutdown_ = last_shutdown;
    online_ = true;
  }
  // False when it was offline already.
  bool PutOffline(const Status& why) {
    std::lock_guard lock(mutex_);
    const bool was_online = online_.exchange(false);
    if (failure_.empty()) failure_ = why.message();
    return was_online;
  }
  void SetSpace(const DiskSpace& space, const SpaceMarks& marks) {
    const bool was_full = counts_as_full();
    free_bytes_ = space.free_bytes;
    total_bytes_ = space.total_bytes;
    const SpaceMarks::Bytes limits = marks.Of(space.total_bytes);
    const auto low_bytes = static_cast<int64_t>(limits.soft - limits.hard);
    const auto left_bytes =
        static_cast<int64_t>(space.free_bytes) - static_cast<int64_t>(limits.hard);
    const int64_t some = std::max(low_bytes / 4, static_cast<int64_t>(limits.hard / 10));
    stays_full_ = was_full && left_bytes < some;
    has_hard_mark_ = limits.hard > 0;
    low_bytes_ = low_bytes;
    left_bytes_ = left_bytes;
  }

 private:
  const std::string path_;
  Uuid id_;
  ShutdownState last_shutdown_;
  std::atomic<bool> online_{false};
  mutable std::atomic<int64_t> left_bytes_{INT64_MAX};  // above the hard mark
  std::atomic<int64_t> low_bytes_{0};                   // from the hard to the soft mark
  std::atomic<bool> has_hard_mark_{false};
  std::atomic<bool> stays_full_{false};
  std::atomic<uint64_t> free_bytes_{0};
  std::atomic<uint64_t> total_bytes_{0};
  mutable std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
};

using DirectoryPtr = std::shared_ptr<const DirectoryState>;

}  // namespace sluice::storage
