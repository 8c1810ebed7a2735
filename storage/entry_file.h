#pragma once
// EntryFile: a file of equally long entries that only grows at its end: what the offset index and
// the time index are made of. New entries gather in memory and go out 4 KiB at a time, on Spill and
// at a roll, so that an append costs no second system call; a crash loses only entries that
// recovery rebuilds. Nothing is mapped and nothing old is held in memory: searches read the file,
// which the log's FileCache opens for as long as it is used. A writeback that fails while it is
// closed may go unnoticed: the entries are then wrong or missing, which loading checks, and the log
// has all that they say.
//
// Thread rule: as its segment: guarded by the log's owner.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/segment_home.h"

namespace sluice::storage {

class EntryFile {
 public:
  struct Kind {
    std::string_view suffix;
    uint8_t entry_size;
  };
  // `home` outlives it.
  EntryFile(const SegmentHome& home, Offset base, const Kind& kind)
      : home_(home), base_(base), kind_(kind) {}
  EntryFile(const EntryFile&) = delete;
  EntryFile& operator=(const EntryFile&) = delete;
  ~EntryFile() { home_.cache->Forget(ref_); }

  // Learns what the file holds. False when there is no file, or its size is no multiple of the
  // entry size.
  Result<bool> Load();
  size_t count() const { return spilled_ + buffer_.size() / entry_size(); }
  bool has_unwritten() const { return !buffer_.empty(); }
  Offset base() const { return base_; }
  std::string path() const { return home_.PathOf(base_, kind_.suffix); }

  Status Append(std::string_view entry);
  // Copies entry `index` (below count()) to `out`.
  Status ReadEntry(size_t index, char* out) const;
  // Copies up to `entries` of them, from `index` on, to `out`; gives how many there were.
  Result<size_t> ReadEntries(size_t index, size_t entries, char* out) const;
  // Keeps the first `count` entries.
  Status Shrink(size_t count);
  // Forgets all entries, and whatever else the file holds.
  Status Clear();
  // Writes what is buffered; the file exists afterwards even when it is empty.
  Status Spill();
  // Spill, then the open file, for a flush to sync. No more entries are awaited.
  Result<std::shared_ptr<File>> Complete();

  // Whether `holds(entry)` is true for each entry, asked in their order.
  template <typename Predicate>
  Result<bool> AllOf(Predicate holds) const {
    std::string block(kSpillBytes / entry_size() * entry_size(), '\0');
    const size_t block_entries = block.size() / entry_size();
    for (size_t at = 0; at < spilled_; at += block_entries) {
      const size_t entries = std::min<size_t>(spilled_ - at, block_entries);
      if (Status read = ReadSpilled(at, entries, block.data()); !read.ok()) return read;
      for (size_t i = 0; i < entries; ++i) {
        if (!holds(block.data() + i * entry_size())) return false;
      }
    }
    for (size_t i = 0; i < buffer_.size(); i += entry_size()) {
      if (!holds(buffer_.data() + i)) return false;
    }
    return true;
  }
  // The number of leading entries for which `holds(entry)` is true; entries must be partitioned by
  // it.
  template <typename Predicate>
  Result<size_t> CountWhile(Predicate holds) const {
    const size_t buffered = buffer_.size() / entry_size();
    if (buffered > 0 && (spilled_ == 0 || holds(buffer_.data()))) {
      return spilled_ + CountIn(buffer_.data(), buffered, holds);
    }
    size_t low = 0, high = spilled_;
    char block[kBlockBytes];
    const size_t block_entries = kBlockBytes / entry_size();
    while (high - low > block_entries) {
      const size_t middle = low + (high - low) / 2;
      if (Status read = ReadSpilled(middle, 1, block); !read.ok()) return read;
      if (holds(block))
        low = middle + 1;
      else
        high = middle;
    }
    if (high == low) return low;
    if (Status read = ReadSpilled(low, high - low, block); !read.ok()) return read;
    return low + CountIn(block, high - low, holds);
  }

 private:
  static constexpr size_t kBlockBytes =
      768;  // 96 offset entries or 64 time entries: one short read ends a search
  static constexpr size_t kSpillBytes = 4096;

  template <typename Predicate>
  size_t CountIn(const char* entries, size_t count, Predicate holds) const {
    size_t low = 0, high = count;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (holds(entries + middle * entry_size()))
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
  size_t entry_size() const { return kind_.entry_size; }
  Status ReadSpilled(size_t index, size_t entries, char* out) const;
  Result<std::shared_ptr<File>> OpenFor(OpenMode mode) const;

  const SegmentHome& home_;
  const Offset base_;
  const Kind& kind_;
  mutable FileCache::Ref ref_;
  uint32_t spilled_ = 0;  // entries in the file
  std::string buffer_;    // entries after those
};

}  // namespace sluice::storage
