#include "storage/file_cache.h"

#include <algorithm>

namespace sluice::storage {

struct FileCache::Entry {
  Entry(std::shared_ptr<File> f, std::shared_ptr<std::atomic<size_t>> o)
      : file(std::move(f)), open(std::move(o)) {
    open->fetch_add(1, std::memory_order_relaxed);
  }
  ~Entry() { open->fetch_sub(1, std::memory_order_relaxed); }

  const std::shared_ptr<File> file;
  const std::shared_ptr<std::atomic<size_t>> open;
  std::atomic<bool> used{false};  // since the hand came by; opening is no use yet
  size_t slot = 0;                // guarded by the cache's mutex
  bool cached = false;            // guarded by the cache's mutex
};

std::shared_ptr<File> FileCache::Ref::Get() const {
  std::shared_ptr<Entry> entry = entry_.lock();
  if (entry == nullptr) return nullptr;
  // Read first: most uses find it set, and need not take the cache line from
  // other cores.
  if (!entry->used.load(std::memory_order_relaxed))
    entry->used.store(true, std::memory_order_relaxed);
  File* const file = entry->file.get();
  return {std::move(entry), file};
}

FileCache::FileCache(FileSystem& fs, size_t handles_max)
    : fs_(fs),
      handles_max_(std::max<size_t>(handles_max, 1)),
      open_(std::make_shared<std::atomic<size_t>>(0)) {}

Result<std::shared_ptr<File>> FileCache::Open(Ref& ref, const std::string& path, OpenMode mode) {
  Forget(ref);
  auto opened = fs_.Open(path, mode);
  if (opened.status().code() == StatusCode::kResourceExhausted) {
    std::vector<EntryPtr> victims;
    {
      std::lock_guard lock(mutex_);
      for (size_t i = (slots_.size() - free_slots_.size() + 1) / 2; i > 0; --i)
        victims.push_back(TakeVictim());
    }
    victims.clear();
    opened = fs_.Open(path, mode);
  }
  if (!opened.ok()) return opened.status();
  // Not one block with its counters: a Ref that forgot to look would hold the
  // memory of the whole.
  const EntryPtr entry(new Entry(std::move(*opened), open_));
  EntryPtr victim;
  {
    std::lock_guard lock(mutex_);
    if (slots_.size() - free_slots_.size() >= handles_max_) victim = TakeVictim();
    Insert(entry);
  }
  ref.entry_ = entry;
  return std::shared_ptr<File>(entry, entry->file.get());
}

void FileCache::Forget(Ref& ref) {
  EntryPtr entry = ref.entry_.lock();
  ref.entry_.reset();
  if (entry == nullptr) return;
  std::lock_guard lock(mutex_);
  if (!entry->cached) return;
  entry->cached = false;
  slots_[entry->slot].reset();  // `entry` closes it, or who else holds it
  free_slots_.push_back(entry->slot);
}

FileCache::EntryPtr FileCache::TakeVictim() {
  // Of many handles in use the hand would find none to spare; then it takes the
  // one it stands on: that one stays open as long as it is held, and its Ref
  // still finds it.
  constexpr size_t kStepsMax = 64;
  for (size_t step = 0;; ++step) {
    hand_ = hand_ + 1 < slots_.size() ? hand_ + 1 : 0;
    EntryPtr& entry = slots_[hand_];
    if (entry == nullptr) continue;
    const bool held = entry.use_count() > 1;
    const bool used = entry->used.exchange(false, std::memory_order_relaxed);
    if ((used || held) && step < kStepsMax) continue;
    entry->cached = false;
    free_slots_.push_back(hand_);
    return std::move(entry);
  }
}

void FileCache::Insert(const EntryPtr& entry) {
  if (free_slots_.empty()) {
    entry->slot = slots_.size();
    slots_.push_back(entry);
  } else {
    entry->slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[entry->slot] = entry;
  }
  entry->cached = true;
}

}  // namespace sluice::storage
