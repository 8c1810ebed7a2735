#pragma once
// MetadataCache: where the broker's threads read the cluster image. The metadata client publishes
// each new image; everyone else reads the current one without waiting, or asks to be told.
//
// Thread rule: Current from any thread, lock-free in spirit (one shared_ptr copy); Publish from the
// metadata client's loop only. Listeners run on that loop, in the order they were added, before
// WhenApplied callbacks: once a callback runs, replicas have been made leaders and followers.
//
// Invariant: an image is never followed by one of a smaller index.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "metadata/image.h"

namespace sluice::broker {

class MetadataCache {
 public:
  using Listener =
      std::function<void(const metadata::ImagePtr& before, const metadata::ImagePtr& after)>;

  MetadataCache() : current_(metadata::EmptyImage()) {}

  metadata::ImagePtr Current() const;
  // Before the first Publish only.
  void AddListener(Listener listener) { listeners_.push_back(std::move(listener)); }
  void Publish(metadata::ImagePtr next);
  // Runs `done` once an image at or past `index` has been published: at once on the calling thread
  // if it has, else on the publishing loop.
  void WhenApplied(LogIndex index, std::function<void()> done);

 private:
  std::vector<Listener> listeners_;
  mutable std::mutex mutex_;  // guards all below; never held while calling out
  metadata::ImagePtr current_;
  LogIndex announced_{-1};  // listeners have seen it
  std::multimap<LogIndex, std::function<void()>> waiting_;
};

}  // namespace sluice::broker
