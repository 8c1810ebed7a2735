#pragma once
// WalkedRanges: of which parts of a .log file it is known that whole batches lie there, one behind
// another. Readers in sequence leave one range; of very many it forgets all, and they are walked
// again.
//
// Thread rule: one owner.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace sluice::storage {

class WalkedRanges {
 public:
  static constexpr size_t kRangesMax = 64;

  // Where the range that holds `position` ends; `position` when there is none.
  uint32_t EndFrom(uint32_t position) const {
    const auto after = ranges_.upper_bound(position);
    if (after == ranges_.begin()) return position;
    const uint32_t end = std::prev(after)->second;
    return end > position ? end : position;
  }

  // [from, end); both are where batches begin.
  void Add(uint32_t from, uint32_t end) {
    if (from >= end) return;
    if (ranges_.size() == kRangesMax) ranges_.clear();
    auto next = ranges_.upper_bound(from);
    if (next != ranges_.begin() && std::prev(next)->second >= from) {
      --next;
      from = next->first;
    }
    while (next != ranges_.end() && next->first <= end) {
      if (next->second > end) end = next->second;
      next = ranges_.erase(next);
    }
    ranges_.emplace_hint(next, from, end);
  }

  size_t count() const { return ranges_.size(); }

 private:
  std::map<uint32_t, uint32_t> ranges_;  // disjoint, and none touches another
};

}  // namespace sluice::storage
