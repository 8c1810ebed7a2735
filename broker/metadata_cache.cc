#include "broker/metadata_cache.h"

#include <glog/logging.h>

namespace sluice::broker {

metadata::ImagePtr MetadataCache::Current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void MetadataCache::Publish(metadata::ImagePtr next) {
  metadata::ImagePtr before;
  {
    std::lock_guard lock(mutex_);
    CHECK_GE(next->last_index, current_->last_index) << "published metadata goes back";
    before = std::exchange(current_, next);
  }
  for (const Listener& listener : listeners_) listener(before, next);

  std::vector<std::function<void()>> due;
  {
    std::lock_guard lock(mutex_);
    announced_ = next->last_index;
    const auto end = waiting_.upper_bound(announced_);
    for (auto it = waiting_.begin(); it != end; ++it) due.push_back(std::move(it->second));
    waiting_.erase(waiting_.begin(), end);
  }
  for (const auto& done : due) done();
}

void MetadataCache::WhenApplied(LogIndex index, std::function<void()> done) {
  {
    std::lock_guard lock(mutex_);
    if (index > announced_) {
      waiting_.emplace(index, std::move(done));
      return;
    }
  }
  done();
}

}  // namespace sluice::broker
