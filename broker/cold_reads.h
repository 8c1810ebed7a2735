#pragma once
// ColdReads: brings old records from the disk into memory on threads that may wait, so that a
// reactor never does, and lets them go again, so that a reader far behind does not push out what
// everybody else reads. Each worker reads one range at a time; who asks waits for the answer
// before it asks again, and what nobody wants any more when its turn comes is not read. So what
// the disk has to do is bounded by the connections that there are and what they may ask at once.
// Indexes that have to be built again from a whole segment have a worker of their own.
//
// Not for the hot tail: what was written moments ago needs nobody's help.
//
// Thread rule: thread-safe. `then` runs on a worker.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "base/output_chain.h"
#include "storage/cold_pages.h"
#include "storage/lacking.h"

namespace sluice::broker {

class ColdReads {
 public:
  using Pin = storage::ColdPages::Pin;

  // What stays in memory of all that was brought in for readers in passing.
  static constexpr uint64_t kKeptBytes = uint64_t{64} << 20;
  // What a reader of old records is sent next, most likely.
  static constexpr uint64_t kAheadBytes = uint64_t{512} << 10;

  // One loop for each worker; none is owned. Of several the last does what takes long.
  explicit ColdReads(std::vector<EventLoop*> loops, uint64_t kept_bytes = kKeptBytes);

  // Asked on a worker when the read's turn has come: false, and it is not done, nor `then` called.
  using Wanted = std::function<bool()>;

  // For a look-up: a few bytes, which stay as long as the system likes, or what its log wants done.
  // What is to be sent next comes as for a reader in passing.
  // `then` gets the read's outcome.
  void BringIn(storage::Lacking lacking, Wanted wanted, std::function<void(const Status&)> then);
  // For a reader on its way through old records: the slice, which stays while the pin is held, and
  // in the background the `ahead_bytes` behind it, which it wants next.
  void BringInPassing(FileSlice slice, uint64_t ahead_bytes, Wanted wanted,
                      std::function<void(const Status&, Pin)> then);

 private:
  // The reads of one file stay in order.
  EventLoop& LoopFor(const FileSlice& slice) const;

  const std::vector<EventLoop*> loops_;
  const std::shared_ptr<storage::ColdPages> pages_;  // outlived by reads that are under way
};

}  // namespace sluice::broker
