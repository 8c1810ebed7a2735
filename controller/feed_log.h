#pragma once
// FeedLog: the committed metadata that the feed hands to brokers: the newest image and the entries
// that led to it, as far back as memory allows. Every stream has its own cursor into it; entries
// are stored once and shared.
//
// Thread rule: thread-safe. Publish, Reset and SetLeader from the controller's loop; the rest from
// any thread. Listeners are called on the loop, without the lock, and must not block.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "metadata/image.h"
#include "proto/metadata.pb.h"

namespace sluice::controller {

struct FeedEntry {
  LogIndex index;
  Term term;
  std::string data;  // a serialised MetadataBatch, or empty
};
using FeedEntryPtr = std::shared_ptr<const FeedEntry>;

// What a stream should do next.
struct FeedStep {
  enum class Kind { kWait, kEntries, kSnapshot } kind = Kind::kWait;
  std::vector<FeedEntryPtr> entries;  // consecutive, from the cursor on
  metadata::ImagePtr image;           // kSnapshot: send it whole and go on after its last index
};

struct FeedProgress {
  LogIndex commit{-1};
  NodeId leader = kNoNode;
  Term term;
  metadata::ImagePtr image;
};

class FeedLog {
 public:
  // Beyond `bytes_max` the oldest entries are forgotten.
  explicit FeedLog(size_t bytes_max) : bytes_max_(bytes_max) {}

  // `entries` follow those published before, and lead to `image`.
  void Publish(std::vector<FeedEntryPtr> entries, metadata::ImagePtr image);
  // The image was replaced by a snapshot.
  void Reset(metadata::ImagePtr image);
  void SetLeader(NodeId leader, Term term);

  // Where a subscriber that has everything up to (index, term) goes on: the same index when that is
  // part of this log or ahead of it, -1 when it must start from a snapshot. `hash`: of its image;
  // looked at where both have the same index.
  LogIndex Resume(LogIndex index, Term term, const metadata::ImageHash& hash) const;
  // For a stream that has everything up to `have` (-1 = nothing).
  FeedStep Next(LogIndex have, size_t bytes_max) const;
  FeedProgress progress() const;

  uint64_t AddListener(std::function<void()> listener);
  // When it returns the listener is not running and will not run again.
  void RemoveListener(uint64_t id);

 private:
  void Notify();

  const size_t bytes_max_;
  mutable std::mutex mutex_;  // guards all below but the listeners
  std::deque<FeedEntryPtr> entries_;
  size_t bytes_ = 0;
  FeedProgress progress_{.image = metadata::EmptyImage()};

  std::mutex listeners_mutex_;  // guards all below; taken before mutex_, never after; held while
                                // listeners run
  std::map<uint64_t, std::function<void()>> listeners_;
  uint64_t next_listener_ = 1;
};

}  // namespace sluice::controller
