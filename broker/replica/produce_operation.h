#pragma once
// EntriesOperation: a request that waits until each of its entries has what it asks for: a
// ProduceOperation for its acks, a DeleteRecordsOperation for the followers' log starts. Entries
// finish in any order, on any thread; the last one answers. Owned jointly by the entries
// that wait.
//
// Thread rule: the constructor, result() and Start on the request's thread; AddWaiting under the
// lock of the partition that will wait; Finish from any thread, once per waiting entry, with no
// lock held.

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "broker/replica/replica_manager.h"

namespace sluice::broker {

template <typename EntryResult>
class EntriesOperation final : public ParkedRequest {
 public:
  using Done = std::function<void(std::vector<EntryResult>)>;

  EntriesOperation(size_t entries, Done done) : results_(entries), done_(std::move(done)) {}

  // An entry's result; not to be touched by the request's thread once the entry waits.
  EntryResult& result(size_t entry) { return results_[entry]; }
  void AddWaiting() { unfinished_.fetch_add(1, std::memory_order_relaxed); }
  // All entries have been tried: answers at once when none waits.
  void Start() { Release(); }
  // The partitions see it at their next look at timeouts, and give up.
  void Abandon() override { abandoned_.store(true, std::memory_order_relaxed); }
  bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }
  bool finished() const override { return unfinished_.load(std::memory_order_acquire) == 0; }
  void Finish(size_t entry, kafka::ErrorCode error) {
    results_[entry].error = error;
    Release();
  }

 private:
  void Release() {
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_(std::move(results_));
  }

  std::vector<EntryResult> results_;
  Done done_;
  std::atomic<bool> abandoned_{false};
  std::atomic<int> unfinished_{1};  // the request itself until Start, and every waiting entry
};

using ProduceOperation = EntriesOperation<ProduceEntryResult>;
using DeleteRecordsOperation = EntriesOperation<DeleteRecordsResult>;

}  // namespace sluice::broker
