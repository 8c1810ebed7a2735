#pragma once
// The tree behind SimFileSystem, private to it: nodes that know of each byte and each name what is
// written and what is synced, and the changes that wait between the two.
//
// Thread rule: guarded by the file system's mutex.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"

namespace sluice::testing {

inline constexpr uint64_t kSectorBytes = 512;
inline constexpr uint64_t kPageBytes = 4096;

struct Node;
using NodePtr = std::shared_ptr<Node>;

// A file or a directory.
struct Node {
  bool is_directory = false;

  // Files. Outside [dirty_low, dirty_high) the two agree, but for what a failed sync forgot.
  std::string content;
  std::string synced;
  uint64_t dirty_low = 0;
  uint64_t dirty_high = 0;

  // Pages of `content` that are only on the disk; all others are in memory, as what is not synced
  // must be.
  std::set<uint64_t> cold;

  // Directories.
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> synced_entries;

  // The first page that holds a byte of [low, high), and the one after the last.
  static uint64_t FirstPage(uint64_t low) { return low / kPageBytes; }
  static uint64_t EndPage(uint64_t high) { return (high + kPageBytes - 1) / kPageBytes; }
  bool InMemory(uint64_t low, uint64_t high) const {
    const auto page = cold.lower_bound(FirstPage(low));
    return low >= high || page == cold.end() || *page >= EndPage(high);
  }
  uint64_t ColdPages(uint64_t low, uint64_t high) const {
    if (InMemory(low, high)) return 0;
    return static_cast<uint64_t>(
        std::distance(cold.lower_bound(FirstPage(low)), cold.lower_bound(EndPage(high))));
  }
  // Brings them into memory; gives how many pages were not there.
  uint64_t Warm(uint64_t low, uint64_t high) {
    const uint64_t pages = ColdPages(low, high);
    if (pages > 0) cold.erase(cold.lower_bound(FirstPage(low)), cold.lower_bound(EndPage(high)));
    return pages;
  }
  // Pages that lie wholly in [low, high), the end of the file rounded up, leave the memory, unless
  // they are not synced.
  void Cool(uint64_t low, uint64_t high) {
    const uint64_t end = high >= content.size() ? EndPage(content.size()) : high / kPageBytes;
    for (uint64_t page = EndPage(low); page < end; ++page) {
      const bool dirty = page * kPageBytes < dirty_high && (page + 1) * kPageBytes > dirty_low;
      if (!dirty || dirty_low == dirty_high) cold.insert(page);
    }
  }

  void MarkDirty(uint64_t low, uint64_t high) {
    if (low >= high) return;
    const bool clean = dirty_low == dirty_high;
    dirty_low = clean ? low : std::min(dirty_low, low);
    dirty_high = clean ? high : std::max(dirty_high, high);
  }

  void Resize(uint64_t size) {
    MarkDirty(std::min<uint64_t>(size, content.size()), std::max<uint64_t>(size, content.size()));
    content.resize(size);
    cold.erase(cold.lower_bound(EndPage(size)), cold.end());
  }

  void SyncContent() {
    synced.resize(content.size());
    const uint64_t high = std::min<uint64_t>(dirty_high, content.size());
    if (dirty_low < high) {
      synced.replace(dirty_low, high - dirty_low, content, dirty_low, high - dirty_low);
    }
    dirty_low = dirty_high = 0;
  }

  // Chooses what a power cut leaves of the unsynced bytes.
  void LoseUnsynced(Random& random) {
    cold.clear();
    if (content == synced) return;
    uint64_t size = random.Chance(1, 2) ? content.size() : synced.size();
    if (random.Chance(1, 3)) {
      const auto low = static_cast<int64_t>(std::min(content.size(), synced.size()));
      const auto high = static_cast<int64_t>(std::max(content.size(), synced.size()));
      size = static_cast<uint64_t>(random.Between(low, high));
    }
    const uint64_t kept_of_eight = random.Below(9);
    std::string left = synced;
    left.resize(size);
    for (uint64_t at = 0; at < std::min<uint64_t>(size, content.size()); at += kSectorBytes) {
      const uint64_t end = std::min({at + kSectorBytes, size, content.size()});
      if (random.Chance(kept_of_eight, 8)) left.replace(at, end - at, content, at, end - at);
    }
    content = left;
    synced = std::move(left);
    dirty_low = dirty_high = 0;
  }
};

// One atomic change of the tree, which may touch two directories.
struct TreeChange {
  struct Entry {
    NodePtr directory;
    std::string name;
    NodePtr node;  // nullptr = the name goes
  };
  std::vector<Entry> entries;

  void Apply() const {
    for (const Entry& entry : entries) {
      if (entry.node == nullptr) {
        entry.directory->synced_entries.erase(entry.name);
      } else {
        entry.directory->synced_entries[entry.name] = entry.node;
      }
    }
  }
};

inline std::vector<std::string> SplitPath(const std::string& path) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (at < path.size()) {
    const size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at && path.compare(at, slash - at, ".") != 0)
      parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

inline uint64_t BytesBelow(const Node& node) {
  uint64_t bytes = node.content.size();
  for (const auto& [name, child] : node.entries) bytes += BytesBelow(*child);
  return bytes;
}

}  // namespace sluice::testing
