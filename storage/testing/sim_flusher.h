#pragma once
// SimFlusher: the Flusher's simulated twin. Syncs take the virtual time that `latency_ms` says, so
// flushes of different partitions may end in another order than they began; the disk's faults come
// from the simulated file system. A crash (the loop's end) forgets all that runs.
//
// Thread rule: the event loop's.

#include <functional>
#include <list>
#include <memory>

#include "base/event_loop.h"
#include "storage/flusher.h"

namespace sluice::storage::testing {

class SimFlusher final : public Flusher {
 public:
  // The loop outlives the flusher. `latency_ms` is asked for each sync.
  SimFlusher(EventLoop& loop, std::function<int64_t()> latency_ms);
  ~SimFlusher() override;

  void Submit(const void* key, Capture capture, Done done) override;
  // Ends what runs and does what waits, in the order of submission, without virtual time passing.
  void Drain() override;

 private:
  // One submission: it waits until none of its key is before it, is captured, takes its time and
  // reports.
  struct Item {
    const void* key;
    Capture capture;
    Done done;
    bool captured = false;
    FlushTarget target;
    EventLoop::TimerId timer = 0;  // 0 while an earlier one of the key runs
  };
  using Position = std::list<Item>::iterator;

  void Schedule(Position item);
  void Begin(Position item);
  void Finish(Position item);

  EventLoop& loop_;
  const std::function<int64_t()> latency_ms_;
  std::list<Item> items_;  // in the order of submission, which no address may decide
};

}  // namespace sluice::storage::testing
