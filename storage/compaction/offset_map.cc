#include "storage/compaction/offset_map.h"

#include <algorithm>

#include "base/status.h"

namespace sluice::storage {
namespace {

constexpr uint64_t kSlotsMin = 16;
constexpr double kRoomyLoad = 0.5;  // where memory is no question, searches are short

}  // namespace

OffsetMap::OffsetMap(const Options& options) : base_(options.base) {
  const double load = std::clamp(options.load_factor, 0.1, 0.95);
  const auto wanted = static_cast<uint64_t>(
      static_cast<double>(std::min<uint64_t>(options.entries_expected, uint64_t{1} << 40)) /
      std::min(load, kRoomyLoad));
  slot_count_ = std::max(std::min(wanted + 1, options.bytes_max / kSlotBytes), kSlotsMin);
  entries_max_ =
      std::min(slot_count_ - 1, static_cast<uint64_t>(static_cast<double>(slot_count_) * load));
  // calloc: the kernel gives the pages when they are touched first.
  slots_.reset(static_cast<Slot*>(std::calloc(slot_count_, kSlotBytes)));
  CHECK(slots_ != nullptr) << "no memory for " << slot_count_ * kSlotBytes << " bytes";
}

bool OffsetMap::Put(const KeyHash& key, Offset offset) {
  CHECK_GE(offset, base_);
  const int64_t relative = offset - base_;
  if (relative >= int64_t{UINT32_MAX}) return false;
  const auto stored = static_cast<uint32_t>(relative + 1);
  for (uint64_t i = IndexOf(key);;) {
    Slot& slot = slots_.get()[i];
    if (slot.offset_plus_one == 0) {
      if (size_ == entries_max_) return false;
      slot = {key.high, static_cast<uint32_t>(key.low), stored};
      ++size_;
      return true;
    }
    if (Holds(slot, key)) {
      slot.offset_plus_one = std::max(slot.offset_plus_one, stored);
      return true;
    }
    if (++i == slot_count_) i = 0;
  }
}

std::optional<Offset> OffsetMap::Find(const KeyHash& key) const {
  for (uint64_t i = IndexOf(key);;) {
    const Slot& slot = slots_.get()[i];
    if (slot.offset_plus_one == 0) return std::nullopt;
    if (Holds(slot, key)) return base_ + (int64_t{slot.offset_plus_one} - 1);
    if (++i == slot_count_) i = 0;
  }
}

}  // namespace sluice::storage
