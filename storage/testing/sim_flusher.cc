#include "storage/testing/sim_flusher.h"

#include <algorithm>

namespace sluice::storage::testing {

SimFlusher::SimFlusher(EventLoop& loop, std::function<int64_t()> latency_ms)
    : loop_(loop), latency_ms_(std::move(latency_ms)) {}

SimFlusher::~SimFlusher() {
  for (const Item& item : items_) {
    if (item.timer != 0) loop_.Cancel(item.timer);
  }
}

void SimFlusher::Submit(const void* key, Capture capture, Done done) {
  bool running = false;
  for (const Item& item : items_) {
    if (item.key != key) continue;
    if (!item.captured) return;  // its capture covers this submission too
    running = true;
  }
  items_.push_back({key, std::move(capture), std::move(done)});
  if (!running) Schedule(std::prev(items_.end()));
}

void SimFlusher::Schedule(Position item) {
  // Not at once: the capture takes the guard that the submitter may hold.
  item->timer = loop_.RunAfter(0, [this, item] { Begin(item); });
}

void SimFlusher::Begin(Position item) {
  item->target = item->capture();
  item->captured = true;
  item->timer = loop_.RunAfter(latency_ms_(), [this, item] { Finish(item); });
}

void SimFlusher::Finish(Position item) {
  const Item ended = std::move(*item);
  items_.erase(item);
  const auto next =
      std::find_if(items_.begin(), items_.end(), [&](const Item& i) { return i.key == ended.key; });
  if (next != items_.end()) Schedule(next);
  ended.done(ended.target.upto, ended.target.Run());
}

void SimFlusher::Drain() {
  while (!items_.empty()) {
    const Position first = items_.begin();
    loop_.Cancel(first->timer);
    if (!first->captured) {
      Begin(first);
      loop_.Cancel(first->timer);
    }
    Finish(first);
  }
}

}  // namespace sluice::storage::testing
