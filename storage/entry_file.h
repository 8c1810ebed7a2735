#pragma once
// EntryFile: a file of equally long entries that only grows at its end: what the offset index and
// the time index are made of. New entries gather in memory and go out 4 KiB at a time, on Spill and
// at a roll, so that an append costs no second system call; earlier where the files of the
// directory hold back too much in all (FileCache). A crash loses only entries that recovery
// rebuilds. Nothing is mapped and nothing old is held in memory: searches read the file,
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
  ~EntryFile();

  // Learns what the file holds. False when there is no file, or its size is no multiple of the
  // entry size.
  Result<bool> Load();
  // What Load found; false before.
  bool whole() const { return whole_; }
  size_t count() const { return spilled_ + buffer_.size() / entry_size(); }
  bool has_unwritten() const { return !buffer_.empty() || forgotten_; }
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
  // The same, but the file keeps what it holds until the next Spill. For files that are begun again
  // by the thousand: a file system writes one that was cut as soon as it is closed.
  void Forget();
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
    return Search(holds, [](const Bounds& bounds) { return bounds.Middle(); });
  }
  // What ascends from entry to entry, and, about, from where to where: so that a search guesses
  // where its end lies and reads one or two pages, not one for each halving.
  template <typename Key>
  struct Scale {
    Key key;  // (const char* entry) -> int64_t
    int64_t first = 0;
    int64_t last = 0;
  };
  // The number of leading entries whose key is at most `key_max`.
  template <typename Key>
  Result<size_t> CountUpTo(int64_t key_max, const Scale<Key>& scale) const {
    double low_key = static_cast<double>(scale.first);
    double high_key = static_cast<double>(buffer_.empty() ? scale.last : scale.key(buffer_.data()));
    size_t low = 0, high = spilled_;
    int guesses = 0;
    const auto holds = [&](const char* entry) { return scale.key(entry) <= key_max; };
    return Search(holds, [&](const Bounds& bounds) {
      if (bounds.below != nullptr && bounds.low != low)
        low_key = static_cast<double>(scale.key(bounds.below));
      if (bounds.above != nullptr && bounds.high != high)
        high_key = static_cast<double>(scale.key(bounds.above));
      low = bounds.low;
      high = bounds.high;
      const double share = (static_cast<double>(key_max) - low_key) / (high_key - low_key);
      // Keys that grow by fits and starts are not guessed at for ever.
      if (++guesses > kGuessesMax || !(share >= 0 && share <= 1)) return bounds.Middle();
      const auto guess = low + static_cast<size_t>(share * static_cast<double>(high - low));
      return std::min(guess, high - 1);
    });
  }

 private:
  static constexpr size_t kPageBytes = 4096;  // what a read from the disk takes at least
  static constexpr size_t kSpillBytes = 4096;
  static constexpr size_t kSpillBytesMin = 512;  // where memory is short
  static constexpr int kGuessesMax = 4;

  // Where the end of the leading entries may lie: at `low` to `high`.
  struct Bounds {
    size_t low = 0;
    size_t high = 0;
    const char* below = nullptr;  // the entry before `low`, if it was seen
    const char* above = nullptr;  // the entry at `high`, if it was seen
    size_t Middle() const { return low + (high - low) / 2; }
  };

  // Narrows the bounds page by page: `choose(bounds)` names the entry whose page is looked at next.
  template <typename Predicate, typename Choose>
  Result<size_t> Search(Predicate holds, Choose choose) const {
    const size_t buffered = buffer_.size() / entry_size();
    if (buffered > 0 && (spilled_ == 0 || holds(buffer_.data()))) {
      return spilled_ + CountIn(buffer_.data(), buffered, holds);
    }
    Bounds bounds{0, spilled_};
    char below[kEntryBytesMax], above[kEntryBytesMax], page[kPageBytes];
    while (bounds.low < bounds.high) {
      const Block block = PageOf(choose(bounds), bounds.low, bounds.high);
      if (Status read = ReadSpilled(block.begin, block.end - block.begin, page); !read.ok())
        return read;
      const size_t fit = CountIn(page, block.end - block.begin, holds);
      const bool ends_here = fit > 0 && fit < block.end - block.begin;
      if (ends_here) return block.begin + fit;
      if (fit == 0) {
        bounds.high = block.begin;
        bounds.above = std::copy_n(page, entry_size(), above) - entry_size();
      } else {
        bounds.low = block.end;
        const char* const last = page + (fit - 1) * entry_size();
        bounds.below = std::copy_n(last, entry_size(), below) - entry_size();
      }
    }
    return bounds.low;
  }

  struct Block {
    size_t begin = 0;
    size_t end = 0;
  };
  // The entries of [low, high) that lie wholly in the page where `entry` begins; or that one alone,
  // when it ends in the next page.
  Block PageOf(size_t entry, size_t low, size_t high) const {
    const size_t page = entry * entry_size() / kPageBytes * kPageBytes;
    const size_t begin = (page + entry_size() - 1) / entry_size();
    const size_t end = (page + kPageBytes) / entry_size();
    if (entry >= end) return {entry, entry + 1};
    return {std::max(begin, low), std::min(end, high)};
  }

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
  static constexpr size_t kEntryBytesMax = 64;
  void MakeRoom();
  void FreeBuffer();
  Status ReadSpilled(size_t index, size_t entries, char* out) const;
  Status CutForgotten(File& file);
  Result<std::shared_ptr<File>> OpenFor(OpenMode mode) const;

  const SegmentHome& home_;
  const Offset base_;
  const Kind& kind_;
  mutable FileCache::Ref ref_;
  uint32_t spilled_ = 0;    // entries in the file
  bool whole_ = false;      // it was, when it was loaded
  bool forgotten_ = false;  // more may be behind those, and counts for nothing
  std::string buffer_;      // entries after those
};

}  // namespace sluice::storage
