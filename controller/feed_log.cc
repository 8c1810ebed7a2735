#include "controller/feed_log.h"

#include <glog/logging.h>

#include "metadata/replay.h"

namespace sluice::controller {

void FeedLog::Publish(std::vector<FeedEntryPtr> entries, metadata::ImagePtr image) {
  {
    std::lock_guard lock(mutex_);
    for (FeedEntryPtr& entry : entries) {
      CHECK(entries_.empty() || entries_.back()->index + 1 == entry->index) << entry->index;
      bytes_ += entry->data.size() + sizeof(FeedEntry);
      entries_.push_back(std::move(entry));
    }
    while (bytes_ > bytes_max_ && entries_.size() > 1) {
      bytes_ -= entries_.front()->data.size() + sizeof(FeedEntry);
      entries_.pop_front();
    }
    progress_.commit = image->last_index;
    progress_.image = std::move(image);
  }
  Notify();
}

void FeedLog::Reset(metadata::ImagePtr image) {
  {
    std::lock_guard lock(mutex_);
    entries_.clear();
    bytes_ = 0;
    progress_.commit = image->last_index;
    progress_.image = std::move(image);
  }
  Notify();
}

void FeedLog::SetLeader(NodeId leader, Term term) {
  {
    std::lock_guard lock(mutex_);
    progress_.leader = leader;
    progress_.term = term;
  }
  Notify();
}

LogIndex FeedLog::Resume(LogIndex index, Term term, const metadata::ImageHash& hash) const {
  metadata::ImagePtr image;
  {
    std::lock_guard lock(mutex_);
    if (index < LogIndex(0)) return LogIndex(-1);
    if (index > progress_.commit) return index;  // this controller is behind: it has only to wait
    image = progress_.image;
    if (index < image->last_index) {
      const bool kept = !entries_.empty() && index >= entries_.front()->index;
      if (!kept) return LogIndex(-1);
      const FeedEntryPtr& entry = entries_[static_cast<size_t>(index - entries_.front()->index)];
      return entry->term == term ? index : LogIndex(-1);
    }
  }
  if (image->last_term == term && !metadata::Contradicts(hash, *image)) return index;
  LOG(ERROR) << "a subscriber's metadata at index " << index
             << " differs from this controller's: it gets a snapshot";
  return LogIndex(-1);
}

FeedStep FeedLog::Next(LogIndex have, size_t bytes_max) const {
  FeedStep step;
  std::lock_guard lock(mutex_);
  if (progress_.commit < LogIndex(0) || have >= progress_.commit) return step;
  if (have < LogIndex(0) || entries_.empty() || have + 1 < entries_.front()->index) {
    step.kind = FeedStep::Kind::kSnapshot;
    step.image = progress_.image;
    return step;
  }
  step.kind = FeedStep::Kind::kEntries;
  size_t bytes = 0;
  for (auto i = static_cast<size_t>(have + 1 - entries_.front()->index); i < entries_.size(); ++i) {
    bytes += entries_[i]->data.size();
    if (!step.entries.empty() && bytes > bytes_max) break;
    step.entries.push_back(entries_[i]);
  }
  return step;
}

FeedProgress FeedLog::progress() const {
  std::lock_guard lock(mutex_);
  return progress_;
}

uint64_t FeedLog::AddListener(std::function<void()> listener) {
  std::lock_guard lock(listeners_mutex_);
  listeners_[next_listener_] = std::move(listener);
  return next_listener_++;
}

void FeedLog::RemoveListener(uint64_t id) {
  std::lock_guard lock(listeners_mutex_);
  listeners_.erase(id);
}

void FeedLog::Notify() {
  std::lock_guard lock(listeners_mutex_);
  for (const auto& [id, listener] : listeners_) listener();
}

}  // namespace sluice::controller
