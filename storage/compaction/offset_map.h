#pragma once
// OffsetMap: the last offset of each key in the dirty part of a log, in a table of fixed size: open
// addressing, 16 bytes a slot (12 of the key's hash, 4 of the offset relative to where the dirty
// part begins). Kafka's slot takes 24. When it is full, the run cleans what it holds.
//
// Invariants:
//   1. Offsets are put in ascending order, so that the last put of a key wins.
//   2. size() never exceeds entries_max(), which leaves free slots: every search ends.
//
// Thread rule: one owner.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "storage/compaction/key_hash.h"

namespace sluice::storage {

class OffsetMap {
 public:
  static constexpr size_t kSlotBytes = 16;

  struct Options {
    uint64_t bytes_max = 134217728;   // log.cleaner.dedupe.buffer.size, a thread's share
    double load_factor = 0.9;         // log.cleaner.io.buffer.load.factor
    Offset base;                      // no smaller offset is put
    uint64_t entries_expected = ~0u;  // no more keys than this can come: a small log takes little
  };
  explicit OffsetMap(const Options& options);

  // False, and nothing changed, when a new key finds the table full, or the offset is too far from
  // the base (2^32): clean what is here first.
  bool Put(const KeyHash& key, Offset offset);
  std::optional<Offset> Find(const KeyHash& key) const;
  // Asks for the memory that Put or Find will look at first.
  void Prefetch(const KeyHash& key) const { __builtin_prefetch(&slots_.get()[IndexOf(key)]); }

  uint64_t size() const { return size_; }
  uint64_t entries_max() const { return entries_max_; }
  uint64_t bytes() const { return slot_count_ * kSlotBytes; }

 private:
  struct Slot {
    uint64_t hash_high;
    uint32_t hash_low;
    uint32_t offset_plus_one;  // relative to base_; 0 = free
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };

  // The slot is chosen by the high half of the hash's low word, whose low half is stored: all 128
  // bits take part.
  uint64_t IndexOf(const KeyHash& key) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(key.low) * slot_count_) >> 64);
  }
  static bool Holds(const Slot& slot, const KeyHash& key) {
    return slot.hash_high == key.high && slot.hash_low == static_cast<uint32_t>(key.low);
  }

  const Offset base_;
  uint64_t slot_count_;
  uint64_t entries_max_;
  uint64_t size_ = 0;
  std::unique_ptr<Slot, Free> slots_;
};

}  // namespace sluice::storage
