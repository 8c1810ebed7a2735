#include "storage/testing/sim_flusher.h"

#include <algorithm>

namespace sluice::storage::testing {

SimFlusher::SimFlusher(EventLoop& loop, FlushReport report, std::function<int64_t()> latency_ms)
    : loop_(loop), report_(std::move(report)), latency_ms_(std::move(latency_ms)) {}

SimFlusher::~SimFlusher() {
  for (const Item& item : items_) {
    if (item.timer != 0) loop_.Cancel(item.timer);
  }
}

void SimFlusher::Submit(std::span<const FlushablePtr> dirty) {
  for (const FlushablePtr& partition : dirty) SubmitOne(partition);
}

void SimFlusher::SubmitOne(const FlushablePtr& partition) {
  bool running = false;
  for (const Item& item : items_) {
    if (item.partition != partition) continue;
    if (!item.captured) return;  // its capture covers this submission too
    running = true;
  }
  items_.push_back({partition});
  if (!running) Schedule(std::prev(items_.end()));
}

void SimFlusher::Schedule(Position item) {
  // Not at once: the capture takes the guard that the submitter may hold.
  item->timer = loop_.RunAfter(0, [this, item] { Begin(item); });
}

void SimFlusher::Begin(Position item) {
  item->target = item->partition->CaptureFlush();
  item->captured = true;
  const int64_t latency_ms = latency_ms_();
  item->began_ms = loop_.clock().SteadyMs();
  item->due_ms = item->began_ms + latency_ms;
  item->timer = loop_.RunAfter(latency_ms, [this] { FinishDue(); });
}

void SimFlusher::FinishDue() {
  std::vector<Flushed> group;
  for (auto item = items_.begin(); item != items_.end();) {
    if (!item->captured || item->due_ms > loop_.clock().SteadyMs()) {
      ++item;
      continue;
    }
    loop_.Cancel(item->timer);
    group.push_back({item->partition, item->target.upto, item->target.Run()});
    item = items_.erase(item);
  }
  for (const Flushed& flushed : group) {
    const auto next = std::find_if(items_.begin(), items_.end(), [&](const Item& item) {
      return item.partition == flushed.partition;
    });
    if (next != items_.end()) Schedule(next);
  }
  report_(group);
}

int64_t SimFlusher::OldestSyncBeganMs() const {
  // In the order of submission, which for those that run is that of their begin.
  for (const Item& item : items_) {
    if (item.captured) return item.began_ms;
  }
  return -1;
}

void SimFlusher::Drain() {
  while (!items_.empty()) {
    const Position first = items_.begin();
    loop_.Cancel(first->timer);
    if (!first->captured) {
      Begin(first);
      loop_.Cancel(first->timer);
    }
    first->due_ms = loop_.clock().SteadyMs();
    FinishDue();
  }
}

}  // namespace sluice::storage::testing
