#pragma once
// SimFlusher: the Flusher's simulated twin. Syncs take the virtual time that `latency_ms` says, so
// flushes of different partitions may end in another order than they began, and those that end at
// the same time are one group; the disk's faults come from the simulated file system. A crash (the
// loop's end) forgets all that runs.
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
  SimFlusher(EventLoop& loop, FlushReport report, std::function<int64_t()> latency_ms);
  ~SimFlusher() override;

  void Submit(std::span<const FlushablePtr> dirty) override;
  // Ends what runs and does what waits, in the order of submission, without virtual time passing.
  void Drain() override;
  int64_t OldestSyncBeganMs() const override;

 private:
  // One submission of a partition: it waits until none of the same is before it, is captured, takes
  // its time and reports.
  struct Item {
    FlushablePtr partition;
    bool captured = false;
    FlushTarget target;
    int64_t began_ms = 0;          // once captured, as due_ms
    int64_t due_ms = 0;
    EventLoop::TimerId timer = 0;  // 0 while an earlier one runs
  };
  using Position = std::list<Item>::iterator;

  void SubmitOne(const FlushablePtr& partition);
  void Schedule(Position item);
  void Begin(Position item);
  // Those whose time has come, as one group.
  void FinishDue();

  EventLoop& loop_;
  const FlushReport report_;
  const std::function<int64_t()> latency_ms_;
  std::list<Item> items_;  // in the order of submission, which no address may decide
};

}  // namespace sluice::storage::testing
