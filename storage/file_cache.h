#pragma once
// FileCache: the open files of one log directory, bounded. Who reads or writes
// a file keeps a Ref and asks it first; the cache opens what is closed, and
// closes what nobody has used for long. A handle that somebody holds (a
// FileSlice on its way out, a segment with unsynced bytes) stays open until
// that holder lets go, whatever the cache does: such handles come on top of the
// bound.
//
//   std::shared_ptr<File> file = ref.Get();
//   if (file == nullptr) SLUICE_ASSIGN_OR_RETURN(file, cache.Open(ref, path,
//   OpenMode::kReadWrite));
//
// Eviction is second chance: a hand goes round, spares once what was used since
// it last came by, and closes the next. So a use costs one flag and no lock.
//
// It also counts the memory in which its index files gather new entries: many thousand active
// segments with a few KiB each would be a lot.
//
// Thread rule: thread-safe; a Ref belongs to its owner. The mutex is a leaf:
// nothing is called under it, and files are closed outside it.

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace sluice::storage {

class FileCache {
  struct Entry;

 public:
  // One user's way to its open file.
  class Ref {
   public:
    // Null when the file is not open.
    std::shared_ptr<File> Get() const;

   private:
    friend class FileCache;
    std::weak_ptr<Entry> entry_;
  };

  static constexpr size_t kHandlesMax = 1500;
  static constexpr int64_t kHeldBackBytesMax = 16 << 20;

  // `fs` outlives the cache and all files.
  explicit FileCache(FileSystem& fs, size_t handles_max = kHandlesMax);

  // Opens `path` for `ref`. Where the process has no descriptors left, half of
  // the cache is closed first.
  Result<std::shared_ptr<File>> Open(Ref& ref, const std::string& path, OpenMode mode);
  // The file is gone or will not be used again: its handle need not wait for
  // the hand.
  void Forget(Ref& ref);
  FileSystem& fs() const { return fs_; }

  // `bytes` more wait in memory to be written; less, when negative.
  void HoldBack(int64_t bytes) { held_back_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  int64_t held_back_bytes() const { return held_back_bytes_.load(std::memory_order_relaxed); }
  // Write what waits rather than hold it back.
  bool short_of_memory() const { return held_back_bytes() > kHeldBackBytesMax; }

  // Files that are open now, those included that only their users hold.
  size_t open_files() const { return open_->load(std::memory_order_relaxed); }

 private:
  using EntryPtr = std::shared_ptr<Entry>;

  // Both: mutex_ is held; what must be closed is given back, to be closed
  // without it.
  EntryPtr TakeVictim();
  void Insert(const EntryPtr& entry);

  FileSystem& fs_;
  const size_t handles_max_;
  const std::shared_ptr<std::atomic<size_t>> open_;  // outlived by open files
  std::atomic<int64_t> held_back_bytes_{0};
  std::mutex mutex_;
  std::vector<EntryPtr> slots_;     // guarded by mutex_; null where free
  std::vector<size_t> free_slots_;  // guarded by mutex_
  size_t hand_ = 0;                 // guarded by mutex_
};

}  // namespace sluice::storage
